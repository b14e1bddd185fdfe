"""Activations made of pieces: one formula on one side of a bound, another beyond it.

(`relu`, which is a function of `tensorlab` itself, is in `functions`; the smooth activations are
in `activation`.) At a bound the slope is the one PyTorch takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab import _dtypes, _random
from tensorlab._autocast import autocasts
from tensorlab._backend import NUMPY, to_device, to_numpy
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._random import default_generator
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd.inplace import apply_inplace
from tensorlab.ops.compare import where
from tensorlab.ops.functions import _reject, exp

_CONVERT = ": convert with .float() first"


def _samples(r: Any) -> list[Sample]:
    return [Sample(r(2, 3)), Sample(r()), Sample(r(0, 3)), Sample(r(4, low=-30.0, high=30.0))]


def no_integers(name: str) -> Any:
    """The error sample of an activation that takes floating-point numbers alone."""
    return lambda r: [
        ErrorSample(r.int(3), error=NotImplementedError, match=f"{name}.*int64: convert with")
    ]


def _at(r: Any, *values: float) -> Any:
    """Samples at corners, where finite differences mean nothing."""
    return Sample(np.array(values, r.dtype)).kink()


# Two slopes -------------------------------------------------------------------------------


@op(
    samples=lambda r: [*_samples(r), Sample(r(3), 0.2), Sample(r(3), -0.5), _at(r, 0.0)],
    errors=no_integers("leaky_relu"),
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
    _reject("leaky_relu", input, "biuc", _CONVERT)
    return xp.where(input > 0, input, input * negative_slope)


leaky_relu.vjp(
    input=lambda g, input, negative_slope: where(input > 0, g, g * negative_slope),
)


@op(
    samples=lambda r: [
        Sample(r(2, 3), r(1, 3)), Sample(r(3), r(1)), Sample(r(), r()), Sample(r(0, 2), r(1, 2)),
        Sample(np.zeros(2, r.dtype), r(2)).kink(),
    ],
    errors=lambda r: [
        ErrorSample(r.int(3), r.int(1), error=NotImplementedError, match="prelu.*int64: convert with")
    ],
    ref=lambda x, weight: np.maximum(x, 0) + weight * np.minimum(x, 0), torch="",
)  # fmt: skip
def prelu_kernel(xp, input, weight, /):
    """`input` above zero, `weight · input` below, with broadcasting; see `prelu`."""
    _reject("prelu", input, "biuc", _CONVERT)
    return xp.where(input > 0, input, input * weight)


prelu_kernel.vjp(
    input=lambda g, input, weight: where(input > 0, g, g * weight),
    weight=lambda g, input: where(input > 0, 0.0, g * input),
)


@autocasts
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`input` above zero, `weight · input` below, with a weight that is learned.

    weight: one number, or one for each channel (dimension 1 of `input`).

    Raises `RuntimeError` if `weight` has another number of elements, more than one dimension, or
    another dtype than `input`.

    Source: K. He et al., "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852.

    >>> import tensorlab as tl
    >>> prelu(tl.tensor([[-1.0, -1.0]]), tl.tensor([0.5, 0.1]))
    tensor([[-0.5000, -0.1000]])
    """
    if not isinstance(input, Tensor) or not isinstance(weight, Tensor):
        given = weight if isinstance(input, Tensor) else input
        raise TypeError(f"prelu(): expected two tensors, got {type(given).__name__}")
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {input.dtype} and {weight.dtype}: convert one of them"
        )
    ndim = input.dim()
    if weight.dim() > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.dim()}"
        )
    if weight.numel() != 1:
        if ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.size(1) if ndim > 1 else 1
        if channels != weight.numel():
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
        weight = weight.reshape([1, -1] + [1] * (ndim - 2))  # type: ignore[attr-defined]
    elif weight.dim() == 1 and ndim != 1:
        weight = weight.reshape([1] * ndim)  # type: ignore[attr-defined]
    return prelu_kernel(input, weight)


Tensor.prelu = prelu  # type: ignore[attr-defined]


@op(
    samples=lambda r: [Sample(r(2, 3), np.full((2, 3), 0.25, r.dtype)), Sample(r(), np.array(0.5, r.dtype))],
    errors=lambda r: [
        ErrorSample(r.int(3), r.int(3), error=NotImplementedError, match="rrelu.*int64: convert with")
    ],
    ref=lambda x, noise: x * noise, torch="",
)  # fmt: skip
def rrelu_with_noise(xp, input, noise, /):
    """Each element times its slope `noise`, which `rrelu` draws."""
    _reject("rrelu", input, "biuc", _CONVERT)
    return input * noise


rrelu_with_noise.vjp(input=lambda g, noise: g * noise)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """`input` above zero, and below it times a slope drawn between `lower` and `upper`.

    Without `training` the slope is their mean. Raises `RuntimeError` if `lower` is the larger one.

    Source: B. Xu et al., "Empirical evaluation of rectified activations in convolutional
    network", arXiv:1505.00853.

    >>> import tensorlab as tl
    >>> rrelu(tl.tensor([-4.0, 2.0]), 0.25, 0.75)
    tensor([-2.,  2.])
    """
    return rrelu_with_noise(input, _slopes(input, lower, upper, training))


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """`rrelu` in place."""
    noise = _slopes(input, lower, upper, training)
    return apply_inplace(rrelu_with_noise.op, (input, noise), ())


def _slopes(input: Tensor, lower: float, upper: float, training: bool) -> Tensor:
    if lower > upper:
        raise RuntimeError(
            "Lower bound should be less than or equal to the upper bound, "
            f"got lower={lower} and upper={upper}"
        )
    _reject("rrelu", input._data, "biuc", _CONVERT)
    values = to_numpy(input._data)
    below = values <= 0
    noise = np.ones(values.shape, _dtypes.float64.numpy)
    if training:
        # As in PyTorch, numbers are drawn for these elements alone, in order, in double precision.
        count = int(below.sum())
        noise[below] = _random.uniform(default_generator, count, noise.dtype, lower, upper)
    else:
        noise[~(values > 0)] = (lower + upper) / 2
    made = noise.astype(values.dtype)
    return wrap(made if input.device.type == NUMPY.kind else to_device(made, input.device))


# A line that bends into an exponential ----------------------------------------------------


def _elu(xp: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    below = xp.expm1(xp.minimum(x, 0) * input_scale) * (alpha * scale)
    return xp.where(x > 0, x * scale, below)


def _elu_backward(g: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    bent = exp(where(x > 0, 0.0, x) * input_scale) * (alpha * scale * input_scale)
    return g * where(x > 0, scale, bent)


def _elu_reference(x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Any:
    return scale * np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0) * input_scale) - 1))


@op(
    samples=lambda r: [*_samples(r), Sample(r(3), 0.5), Sample(r(3), 0.5, 2.0, 0.25), _at(r, 0.0)],
    errors=no_integers("elu"), ref=_elu_reference, torch="_C._nn.elu",
)  # fmt: skip
def elu(xp, input, /, alpha=1.0, scale=1.0, input_scale=1.0):
    r"""\(x\) above zero, `alpha` \(\cdot (e^x - 1)\) below.

    `scale` multiplies the result and `input_scale` the exponent.

    Source: D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network
    learning by exponential linear units", ICLR 2016, arXiv:1511.07289.

    >>> import tensorlab as tl
    >>> elu(tl.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    _reject("elu", input, "biuc", _CONVERT)
    return _elu(xp, input, alpha, scale, input_scale)


elu.vjp(
    input=lambda g, input, alpha, scale, input_scale: _elu_backward(
        g, input, alpha, scale, input_scale
    )
)


@op(
    samples=lambda r: [*_samples(r), Sample(r(3), 0.5), Sample(r(3), -2.0), _at(r, 0.0)],
    errors=lambda r: [
        *no_integers("celu")(r), ErrorSample(r(2), 0.0, error=RuntimeError, match="alpha cannot be 0"),
    ],
    ref=lambda x, alpha=1.0: _elu_reference(x, alpha, 1.0, 1 / alpha),
)  # fmt: skip
def celu(xp, input, /, alpha=1.0):
    r"""\(x\) above zero, `alpha` \(\cdot (e^{x / \alpha} - 1)\) below: its slope has no jump.

    Source: J. T. Barron, "Continuously differentiable exponential linear units",
    arXiv:1704.07483.

    >>> import tensorlab as tl
    >>> celu(tl.tensor([-1.0, 2.0]), 0.5)
    tensor([-0.4323,  2.0000])
    """
    _reject("celu", input, "biuc", _CONVERT)
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _elu(xp, input, alpha, 1.0, 1.0 / alpha)


celu.vjp(input=lambda g, input, alpha: _elu_backward(g, input, alpha, 1.0, 1.0 / alpha))

# The fixed point of mean 0 and variance 1: G. Klambauer et al., 2017, equation 14.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def selu(input: Tensor) -> Tensor:
    """`elu` with the constants that pull activations towards mean 0 and variance 1.

    Source: G. Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515.

    >>> import tensorlab as tl
    >>> selu(tl.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    return elu(input, SELU_ALPHA, SELU_SCALE)


def selu_(input: Tensor) -> Tensor:
    """`selu` in place."""
    return apply_inplace(elu.op, (input,), (SELU_ALPHA, SELU_SCALE, 1.0))


# Straight lines ---------------------------------------------------------------------------


@op(
    samples=lambda r: [*_samples(r), Sample(r(3), -0.5, 2.0), Sample(r.int(3)), _at(r, -1.0, 1.0)],
    errors=lambda r: [
        ErrorSample(r.bool(3), error=RuntimeError, match="Bool inputs not supported"),
        ErrorSample(np.ones(2, np.uint8), error=RuntimeError, match="unsigned type with negative limits"),
    ],
    ref=lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
    torch="nn.functional.hardtanh",
)  # fmt: skip
def hardtanh(xp, input, /, min_val=-1.0, max_val=1.0):
    """Each element limited to [`min_val`, `max_val`]; the slope is 0 at the limits, unlike `clamp`'s.

    >>> import tensorlab as tl
    >>> hardtanh(tl.tensor([-3.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """
    if input.dtype.kind == "b":
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if input.dtype.kind == "u" and min_val < 0:
        raise RuntimeError(
            f"cannot do hardtanh on an unsigned type with negative limits: min_val is {min_val}"
        )
    _reject("hardtanh", input, "c")
    return xp.clip(input, min_val, max_val).astype(input.dtype, copy=False)


hardtanh.vjp(
    input=lambda g, input, min_val, max_val: where((input <= min_val) | (input >= max_val), 0.0, g),
)


@op(
    samples=lambda r: [
        Sample(r(2, 3), 0.1, 20.0), Sample(r(), -0.5, 0.0), Sample(r(0, 3), 0.0, 1.0), Sample(r.int(4), 1, 7),
        Sample(np.array([0.5], r.dtype), 0.5, 2.0).kink(),
    ],
    errors=lambda r: [ErrorSample(r.bool(3), 0, 1, error=NotImplementedError, match="threshold.*bool")],
    ref=lambda x, threshold, value: np.where(x > threshold, x, value),
)  # fmt: skip
def threshold(xp, input, /, threshold, value):
    """Each element above `threshold`, and `value` in place of the others.

    >>> import tensorlab as tl
    >>> threshold(tl.tensor([0.5, 2.0]), 1.0, 20.0)
    tensor([20.,  2.])
    """
    _reject("threshold", input, "bc")
    return xp.where(input <= threshold, xp.asarray(value).astype(input.dtype), input)


threshold.vjp(input=lambda g, input, threshold: where(input <= threshold, 0.0, g))


@op(
    samples=lambda r: [*_samples(r), Sample(r(5), 1.0), Sample(r(3), 0.0), _at(r, -0.5, 0.5)],
    errors=no_integers("hardshrink"),
    ref=lambda x, lambd=0.5: np.where(np.abs(x) > lambd, x, 0), method=True,
)  # fmt: skip
def hardshrink(xp, input, /, lambd=0.5):
    """0 from −`lambd` to `lambd`, and the element itself outside.

    >>> import tensorlab as tl
    >>> hardshrink(tl.tensor([-1.0, 0.3, 2.0]))
    tensor([-1.,  0.,  2.])
    """
    _reject("hardshrink", input, "biuc", _CONVERT)
    return xp.where((input >= -lambd) & (input <= lambd), 0, input)


hardshrink.vjp(
    input=lambda g, input, lambd: where((input >= -lambd) & (input <= lambd), 0.0, g),
)


@op(
    samples=lambda r: [*_samples(r), Sample(r(5), 1.0), Sample(r(3), 0.0), _at(r, -0.5, 0.5)],
    errors=lambda r: [
        *no_integers("softshrink")(r), ErrorSample(r(2), -1.0, error=RuntimeError, match="lambda must be in range"),
    ],
    ref=lambda x, lambd=0.5: np.sign(x) * np.maximum(np.abs(x) - lambd, 0),
    torch="nn.functional.softshrink",
)  # fmt: skip
def softshrink(xp, input, /, lambd=0.5):
    """Each element moved towards 0 by `lambd`, and 0 where that would pass it.

    >>> import tensorlab as tl
    >>> softshrink(tl.tensor([-1.0, 0.3, 2.0]))
    tensor([-0.5000,  0.0000,  1.5000])
    """
    _reject("softshrink", input, "biuc", _CONVERT)
    if not lambd >= 0:
        raise RuntimeError(f"lambda must be in range [0, inf) for softshrink, but found {lambd}")
    inside = input * 0  # and not 0, so that nan stays nan
    outside = xp.where(input > lambd, input - lambd, input + lambd)
    return xp.where((input > lambd) | (input < -lambd), outside, inside)


softshrink.vjp(
    input=lambda g, input, lambd: where((input >= -lambd) & (input <= lambd), 0.0, g),
)


@op(
    samples=lambda r: [*_samples(r), _at(r, -3.0, 3.0)], errors=no_integers("hardsigmoid"),
    ref=lambda x: np.clip(x / 6 + 0.5, 0, 1), torch="nn.functional.hardsigmoid",
)  # fmt: skip
def hardsigmoid(xp, input, /):
    """x/6 + 1/2 limited to [0, 1], a cheap `sigmoid`.

    Source: M. Courbariaux, Y. Bengio, J.-P. David, "BinaryConnect", arXiv:1511.00363.

    >>> import tensorlab as tl
    >>> hardsigmoid(tl.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """
    _reject("hardsigmoid", input, "biuc", _CONVERT)
    return xp.clip(input + 3, 0, 6) / 6


hardsigmoid.vjp(input=lambda g, input: where((input > -3) & (input < 3), g * (1.0 / 6.0), 0.0))


@op(
    samples=lambda r: [*_samples(r), _at(r, -3.0, 3.0)], errors=no_integers("hardswish"),
    ref=lambda x: x * np.clip(x / 6 + 0.5, 0, 1), torch="nn.functional.hardswish",
)  # fmt: skip
def hardswish(xp, input, /):
    """x · `hardsigmoid(x)`, a cheap `silu`.

    Source: A. Howard et al., "Searching for MobileNetV3", arXiv:1905.02244.

    >>> import tensorlab as tl
    >>> hardswish(tl.tensor([-4.0, 1.0, 4.0]))
    tensor([-0.0000,  0.6667,  4.0000])
    """
    _reject("hardswish", input, "biuc", _CONVERT)
    return input * xp.clip(input + 3, 0, 6) / 6


hardswish.vjp(
    input=lambda g, input: where(input <= -3, 0.0, where(input < 3, g * (input / 3.0 + 0.5), g)),
)
