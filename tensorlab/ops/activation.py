"""Activations of `nn.functional` that are one fused operation each, and the error function.

(`relu`, `sigmoid` and `tanh`, which are functions of `tensorlab` itself, are in `functions`.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import Sample, op
from tensorlab.ops.compare import where
from tensorlab.ops.functions import exp, sigmoid, tanh

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


def _samples(r: Any) -> list[Sample]:
    return [Sample(r(2, 3)), Sample(r()), Sample(r(0, 3)), Sample(r(4, low=-30.0, high=30.0))]


# The error function -----------------------------------------------------------------------

# Rational approximations by S. L. Moshier, Cephes Math Library (ndtr.c), 1984-1995: relative
# error below 4e-16. Highest power first.
_ERF_TOP = (9.60497373987051638749, 90.0260197203842689217, 2232.00534594684319226,
            7003.32514112805075473, 55592.3013010394962768)  # fmt: skip
_ERF_BOTTOM = (1.0, 33.5617141647503099647, 521.357949780152679795, 4594.32382970980127987,
               22629.0000613890934246, 49267.3942608635921086)  # fmt: skip
_ERFC_TOP = (2.46196981473530512524e-10, 0.564189564831068821977, 7.46321056442269912687,
             48.6371970985681366614, 196.520832956077098242, 526.445194995477358631,
             934.528527171957607540, 1027.55188689515710272, 557.535335369399327526)  # fmt: skip
_ERFC_BOTTOM = (1.0, 13.2281951154744992508, 86.7072140885989742329, 354.937778887819891062,
                975.708501743205489753, 1823.90916687909736289, 2246.33760818710981792,
                1656.66309194161350182, 557.535340817727675546)  # fmt: skip


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    total = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


def _erf(xp: Any, x: Any) -> Any:
    inner = xp.clip(x, -1, 1)
    outer = xp.clip(xp.abs(x), 1, 6)  # erf(6) rounds to 1
    square = inner * inner
    near = inner * _polynomial(_ERF_TOP, square) / _polynomial(_ERF_BOTTOM, square)
    rest = xp.exp(-outer * outer) * _polynomial(_ERFC_TOP, outer)
    far = xp.copysign(1 - rest / _polynomial(_ERFC_BOTTOM, outer), x)
    return xp.where(xp.abs(x) <= 1, near, far)


def _gaussian(x: Any) -> Any:
    return exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))


@op(
    samples=lambda r: [*_samples(r), Sample(r.int(3))],
    ref=np.vectorize(math.erf, otypes=[np.float64]), result="float", method=True, inplace=True,
)  # fmt: skip
def erf(xp, input, /):
    r"""The error function \(\frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt\) of each element.

    >>> import tensorlab as tl
    >>> tl.erf(tl.tensor([0.0, 1.0, -1.0]))
    tensor([ 0.0000,  0.8427, -0.8427])
    """
    return _erf(xp, input)


erf.vjp(input=lambda g, input: g * (exp(-(input * input)) * (2 / math.sqrt(math.pi))))

# Activations ------------------------------------------------------------------------------


@op(
    samples=lambda r: [*_samples(r), Sample(r(3), 0.2), Sample(r(3), -0.5)],
    ref=lambda x, negative_slope=0.01: np.maximum(x, 0) + negative_slope * np.minimum(x, 0),
    torch="nn.functional.leaky_relu",
)  # fmt: skip
def leaky_relu(xp, input, /, negative_slope=0.01):
    r"""\(x\) above zero, `negative_slope` \(\cdot x\) below.

    Source: A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural network
    acoustic models", ICML 2013.

    >>> import tensorlab as tl
    >>> leaky_relu(tl.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """
    return xp.where(input > 0, input, input * negative_slope)


leaky_relu.vjp(
    input=lambda g, input, negative_slope: where(input > 0, g, g * negative_slope),
)


@op(
    samples=lambda r: [*_samples(r), Sample(r(3), 0.5)],
    ref=lambda x, alpha=1.0: np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1)),
    torch="nn.functional.elu",
)  # fmt: skip
def elu(xp, input, /, alpha=1.0):
    r"""\(x\) above zero, `alpha` \(\cdot (e^x - 1)\) below.

    Source: D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network
    learning by exponential linear units", ICLR 2016, arXiv:1511.07289.

    >>> import tensorlab as tl
    >>> elu(tl.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return xp.where(input > 0, input, xp.expm1(xp.minimum(input, 0)) * alpha)


elu.vjp(
    input=lambda g, input, alpha: where(
        input > 0, g, g * exp(where(input > 0, 0.0, input)) * alpha
    ),
)


@op(
    samples=lambda r: [*_samples(r), Sample(r(3), -0.5, 2.0)],
    ref=lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
    torch="nn.functional.hardtanh",
)  # fmt: skip
def hardtanh(xp, input, /, min_val=-1.0, max_val=1.0):
    """Each element limited to [`min_val`, `max_val`]; the slope is 0 at the limits, unlike `clamp`'s.

    >>> import tensorlab as tl
    >>> hardtanh(tl.tensor([-3.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """
    return xp.clip(input, min_val, max_val).astype(input.dtype, copy=False)


hardtanh.vjp(
    input=lambda g, input, min_val, max_val: where((input > min_val) & (input < max_val), g, 0.0),
)


@op(
    samples=_samples,
    ref=lambda x: x / (1 + np.exp(-x)),
    torch="nn.functional.silu",
)
def silu(xp, input, /):
    r"""\(x \cdot \sigma(x)\), also called swish.

    Source: S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network
    function approximation in reinforcement learning", arXiv:1702.03118.

    >>> import tensorlab as tl
    >>> silu(tl.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    return input * sigmoid(input)


def _silu_backward(g, input):
    s = sigmoid(input)
    return g * (s * (1 + input * (1 - s)))


silu.vjp(input=_silu_backward)


def _gelu_reference(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(_SQRT_2_OVER_PI * (x + 0.044715 * x**3)))
    return x * (1 + np.vectorize(math.erf, otypes=[np.float64])(x * _SQRT_HALF)) / 2


@op(
    samples=lambda r: [*_samples(r), Sample(r(2, 3), approximate="tanh")],
    ref=_gelu_reference,
    torch="nn.functional.gelu",
)
def gelu(xp, input, /, *, approximate="none"):
    r"""\(x \cdot \Phi(x)\), with the distribution function \(\Phi\) of the normal distribution.

    `approximate="tanh"` computes \(\frac{x}{2}(1 + \tanh(\sqrt{2/\pi}(x + 0.044715 x^3)))\).

    Source: D. Hendrycks, K. Gimpel, "Gaussian error linear units", arXiv:1606.08415.

    >>> import tensorlab as tl
    >>> gelu(tl.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate == "none":
        return input * (_erf(xp, input * _SQRT_HALF) + 1) * 0.5
    if approximate == "tanh":
        return input * (xp.tanh((input + input**3 * 0.044715) * _SQRT_2_OVER_PI) + 1) * 0.5
    raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate!r}")


def _gelu_backward(g, input, approximate):
    x = input
    if approximate == "none":
        return g * ((erf(x * _SQRT_HALF) + 1) * 0.5 + x * _gaussian(x))
    t = tanh((x + x * x * x * 0.044715) * _SQRT_2_OVER_PI)
    slope = (x * x * (3 * 0.044715) + 1) * _SQRT_2_OVER_PI
    return g * ((t + 1) * 0.5 + x * (1 - t * t) * slope * 0.5)


gelu.vjp(input=_gelu_backward)


def _softplus(xp: Any, x: Any) -> Any:
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


@op(
    samples=lambda r: [*_samples(r), Sample(r(3), 2.0), Sample(r(3), 1.0, 0.5)],
    ref=lambda x, beta=1.0, threshold=20.0: np.where(
        x * beta > threshold, x, np.logaddexp(0, x * beta) / beta
    ),
    torch="nn.functional.softplus",
)
def softplus(xp, input, /, beta=1.0, threshold=20.0):
    r"""\(\frac{1}{\beta} \ln(1 + e^{\beta x})\), a smooth ReLU; \(x\) itself where \(\beta x >\) `threshold`.

    >>> import tensorlab as tl
    >>> softplus(tl.tensor([0.0, 30.0]))
    tensor([ 0.6931, 30.0000])
    """
    scaled = input * beta
    return xp.where(scaled > threshold, input, _softplus(xp, scaled) / beta)


softplus.vjp(
    input=lambda g, input, beta, threshold: where(
        input * beta > threshold, g, g * sigmoid(input * beta)
    ),
)


@op(samples=_samples, ref=lambda x: -np.logaddexp(0, -x), torch="nn.functional.logsigmoid")
def log_sigmoid(xp, input, /):
    r"""\(\ln \sigma(x)\), without overflow.

    >>> import tensorlab as tl
    >>> log_sigmoid(tl.tensor([0.0, -1000.0]))
    tensor([-6.9315e-01, -1.0000e+03])
    """
    return -_softplus(xp, -input)


log_sigmoid.vjp(input=lambda g, input: g * sigmoid(-input))


@op(
    samples=_samples,
    ref=lambda x: x * np.tanh(np.logaddexp(0, x)),
    torch="nn.functional.mish",
)
def mish(xp, input, /):
    r"""\(x \cdot \tanh(\ln(1 + e^x))\).

    Source: D. Misra, "Mish: a self regularized non-monotonic activation function",
    arXiv:1908.08681.

    >>> import tensorlab as tl
    >>> mish(tl.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.9440])
    """
    return input * xp.tanh(_softplus(xp, input))


def _mish_backward(g, input):
    t = tanh(softplus(input))
    return g * (t + input * sigmoid(input) * (1 - t * t))


mish.vjp(input=_mish_backward)
