"""Smooth activations of `nn.functional`, one fused operation each, and the error function.

(`relu`, `sigmoid` and `tanh`, which are functions of `tensorlab` itself, are in `functions`; those
made of straight pieces are in `piecewise`.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import normalize_dim
from tensorlab.ops.compare import where
from tensorlab.ops.cutting import narrow
from tensorlab.ops.elementwise import _conj
from tensorlab.ops.functions import _reject, exp, sigmoid, tanh
from tensorlab.ops.joining import cat
from tensorlab.ops.piecewise import _CONVERT, no_integers

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
    if x.dtype == np.float16:  # the coefficients would overflow
        return _erf(xp, x.astype(np.float32)).astype(x.dtype)
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
    samples=_samples,
    errors=no_integers("silu"),
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
    _reject("silu", input, "biu", _CONVERT)
    return input * sigmoid(input)


def _silu_backward(g, input):
    s = sigmoid(input)
    return g * _conj(s * (1 + input * (1 - s)))


silu.vjp(input=_silu_backward)


def _gelu_reference(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(_SQRT_2_OVER_PI * (x + 0.044715 * x**3)))
    return x * (1 + np.vectorize(math.erf, otypes=[np.float64])(x * _SQRT_HALF)) / 2


@op(
    samples=lambda r: [*_samples(r), Sample(r(2, 3), approximate="tanh")],
    errors=lambda r: [
        *no_integers("gelu")(r),
        ErrorSample(r(2), approximate="cubic", error=RuntimeError, match="either none or tanh"),
    ],
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
    _reject("gelu", input, "biuc", _CONVERT)
    # In half precision x³ overflows, and 1 + erf is 0 or too coarse long before x·Φ(x) is.
    x = input.astype(np.float32) if input.dtype == np.float16 else input
    if approximate == "none":
        return (x * (_erf(xp, x * _SQRT_HALF) + 1) * 0.5).astype(input.dtype, copy=False)
    if approximate == "tanh":
        out = x * (xp.tanh((x + x**3 * 0.044715) * _SQRT_2_OVER_PI) + 1) * 0.5
        return out.astype(input.dtype, copy=False)
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
    errors=no_integers("softplus"),
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
    _reject("softplus", input, "biuc", _CONVERT)
    scaled = input * beta
    return xp.where(scaled > threshold, input, _softplus(xp, scaled) / beta)


softplus.vjp(
    input=lambda g, input, beta, threshold: where(
        input * beta > threshold, g, g * sigmoid(input * beta)
    ),
)


@op(
    samples=_samples, errors=no_integers("log_sigmoid"), ref=lambda x: -np.logaddexp(0, -x),
    torch="nn.functional.logsigmoid",
)  # fmt: skip
def log_sigmoid(xp, input, /):
    r"""\(\ln \sigma(x)\), without overflow.

    >>> import tensorlab as tl
    >>> log_sigmoid(tl.tensor([0.0, -1000.0]))
    tensor([-6.9315e-01, -1.0000e+03])
    """
    _reject("log_sigmoid", input, "biuc", _CONVERT)
    return -_softplus(xp, -input)


log_sigmoid.vjp(input=lambda g, input: g * sigmoid(-input))


@op(
    samples=_samples,
    errors=no_integers("mish"),
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
    _reject("mish", input, "biuc", _CONVERT)
    return input * xp.tanh(_softplus(xp, input))


def _mish_backward(g, input):
    t = tanh(softplus(input))
    return g * (t + input * sigmoid(input) * (1 - t * t))


mish.vjp(input=_mish_backward)


def _glu_reference(x: Any, dim: int = -1) -> np.ndarray:
    first, second = np.split(x, 2, dim)
    return first / (1 + np.exp(-second))


@op(
    samples=lambda r: [Sample(r(2, 4)), Sample(r(4, 3), 0), Sample(r(2, 2, 3), -2), Sample(r(0, 2))],
    errors=lambda r: [
        ErrorSample(r(2, 3), error=RuntimeError, match="Halving dimension must be even, but dimension 1 is size 3"),
        ErrorSample(r(), error=RuntimeError, match="does not support scalars"),
        ErrorSample(r(2, 4), 2, error=IndexError, match="Dimension out of range"),
        ErrorSample(r.int(2), error=NotImplementedError, match="glu.*int64: convert with"),
    ],
    ref=_glu_reference,
    torch="nn.functional.glu",
)  # fmt: skip
def glu(xp, input, /, dim=-1):
    r"""The first half of `input` along `dim`, times the sigmoid of the second half.

    Source: Y. N. Dauphin et al., "Language modeling with gated convolutional networks",
    arXiv:1612.08083.

    >>> import tensorlab as tl
    >>> glu(tl.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5000, 1.0000])
    """
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    axis = normalize_dim(dim, input.ndim)
    if input.shape[axis] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {axis} is size {input.shape[axis]}"
        )
    _reject("glu", input, "biuc", _CONVERT)
    first, second = xp.split(input, 2, axis)
    return first * sigmoid(second)


def _glu_backward(g, input, dim):
    half = input.shape[dim] // 2
    first, second = narrow(input, dim, 0, half), narrow(input, dim, half, half)
    gate = sigmoid(second)
    # 1 - gate, without losing the digits of a gate near 1.
    return cat([g * gate, g * first * gate * sigmoid(-second)], dim)


glu.vjp(input=_glu_backward)
