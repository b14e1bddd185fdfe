"""Initialisation: filling a tensor in place, with numbers that suit training.

All functions change the tensor given, record nothing for autograd, return that tensor, and
draw the same numbers as PyTorch's from the same seed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from tensorlab._backend import backend_of, runs_there
from tensorlab._random import Generator
from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.ops.creation import empty_like
from tensorlab.ops.random import randperm

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {"sigmoid": 1, "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
_LINEAR = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that makes up for what a nonlinearity does to the standard deviation.

    Args:
        nonlinearity: "linear", "conv1d" and so on, "sigmoid" (1), "tanh" (5/3), "relu" (√2),
            "leaky_relu" (√(2 / (1 + slope²))), "selu" (3/4).
        param: the slope of a leaky ReLU, 0.01 by default.

    Raises:
        ValueError: an unknown nonlinearity or a slope that is not a number.

    >>> round(calculate_gain("leaky_relu", 0.2), 4)
    1.3868
    """
    if nonlinearity in _LINEAR:
        return 1
    if nonlinearity in _GAINS:
        return _GAINS[nonlinearity]
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    known = ", ".join(sorted({*_GAINS, *_LINEAR, "leaky_relu"}))
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}: expected one of {known}")


@no_grad()
def uniform_(
    tensor: Any, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Any:
    """Fill with numbers uniform between `a` and `b`."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Any:
    """Fill with normal numbers."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def constant_(tensor: Any, val: float) -> Any:
    """Fill with one value.

    >>> import tensorlab
    >>> constant_(tensorlab.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return tensor.fill_(val)


def ones_(tensor: Any) -> Any:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Any) -> Any:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


@no_grad()
def eye_(tensor: Any) -> Any:
    """Make a matrix the identity; `ValueError` unless it has two dimensions."""
    if tensor.ndimension() != 2:
        raise ValueError(f"Only tensors with 2 dimensions are supported, got {tensor.ndimension()}")
    tensor.zero_()
    for i in range(min(tensor.shape)):
        tensor[i, i] = 1
    return tensor


@no_grad()
def dirac_(tensor: Any, groups: int = 1) -> Any:
    """Make a convolution's weight pass its input channels on unchanged, as far as there are some.

    Args:
        tensor: the weight, `(out_channels, in_channels / groups, *kernel)`, 3 to 5 dimensions.
        groups: the groups of the convolution.

    Raises:
        ValueError: other dimensions, or `out_channels` is no multiple of `groups`.
    """
    if tensor.ndimension() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    out_channels, in_channels, *kernel = tensor.shape
    if out_channels % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    tensor.zero_()
    per_group = out_channels // groups
    middle = tuple(size // 2 for size in kernel)
    for group in range(groups):
        for channel in range(min(per_group, in_channels)):
            tensor[(group * per_group + channel, channel, *middle)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs each output has, and how many outputs each input has."""
    if tensor.dim() < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    receptive_field = math.prod(tensor.shape[2:])
    return tensor.size(1) * receptive_field, tensor.size(0) * receptive_field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    fans = {"fan_in": fan_in, "fan_out": fan_out}
    if mode.lower() not in fans:
        raise ValueError(f"Mode {mode} not supported, please use one of {list(fans)}")
    return fans[mode.lower()]


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Generator | None = None) -> Any:
    r"""Fill uniformly between ±a, `a = gain · √(6 / (fan_in + fan_out))`.

    Keeps the variance of activations and of gradients roughly the same through tanh layers.

    Raises:
        ValueError: fewer than two dimensions.

    Source: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010.

    >>> import tensorlab
    >>> w = xavier_uniform_(tensorlab.empty(3, 5), gain=calculate_gain("relu"))
    >>> bool(w.abs().max() <= (2 * 6 / 8) ** 0.5)
    True
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    a = math.sqrt(3.0) * std
    return uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Generator | None = None) -> Any:
    r"""Fill with normal numbers of deviation `gain · √(2 / (fan_in + fan_out))`; see `xavier_uniform_`."""
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Any:
    r"""Fill uniformly between ±bound, `bound = gain · √(3 / fan)`; also called He initialisation.

    Keeps the variance of activations the same through layers with ReLU.

    Args:
        tensor: at least two dimensions.
        a: the slope below zero of the leaky ReLU that follows.
        mode: "fan_in" keeps the variance forward, "fan_out" backward.
        nonlinearity: what follows; see `calculate_gain`.
        generator: the source of randomness.

    Raises:
        ValueError: fewer than two dimensions, an unknown mode or nonlinearity.

    Source: K. He et al., "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852.
    """
    if _has_no_elements(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Any:
    r"""Fill with normal numbers of deviation `gain / √fan`; see `kaiming_uniform_`."""
    if _has_no_elements(tensor):
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _has_no_elements(tensor: Tensor) -> bool:
    if 0 not in tensor.shape:
        return False
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return True


@no_grad()
@runs_there
def orthogonal_(tensor: Any, gain: float = 1, generator: Generator | None = None) -> Any:
    """Fill with a matrix of orthonormal rows (or columns, if there are fewer), times `gain`.

    Dimensions after the first count as columns.

    Raises:
        ValueError: fewer than two dimensions.

    Source: A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks", ICLR 2014, arXiv:1312.6120.

    >>> import tensorlab
    >>> w = orthogonal_(tensorlab.empty(2, 3))
    >>> (w @ w.T).round(decimals=3).abs().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    flat = empty_like(tensor).normal_(0, 1, generator=generator)._data.reshape(rows, -1)
    is_wide = rows < flat.shape[1]
    xp = backend_of(flat).xp
    q, r = xp.linalg.qr(flat.T if is_wide else flat)
    # The signs of R's diagonal make Q unique, and uniform among the orthogonal matrices.
    q = q * xp.sign(xp.diagonal(r))
    tensor._data[...] = ((q.T if is_wide else q) * gain).reshape(tensor._data.shape)
    tensor._version_cell[0] += 1
    return tensor


@no_grad()
def sparse_(
    tensor: Any, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Any:
    """Fill a matrix with normal numbers, then set the share `sparsity` of each column to zero.

    Raises:
        ValueError: other than two dimensions.
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    tensor.normal_(0, std, generator=generator)
    for column in range(columns):
        tensor[randperm(rows)[:zeros], column] = 0
    return tensor


@no_grad()
@runs_there
def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Any:
    """Fill with normal numbers, those outside `[a, b]` drawn again.

    Where few would fall inside, uniform candidates are accepted with the normal density instead.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )

    def below(x: float) -> float:
        return (1.0 + math.erf((x - mean) / std / math.sqrt(2.0))) / 2.0

    if below(b) - below(a) > 0.3:
        low, high = (tensor._data.dtype.type(bound) for bound in (a, b))
        tensor.normal_(mean, std, generator=generator)
        result = tensor._data
        while (outside := (result < low) | (result > high)).any():
            fresh = empty_like(tensor).normal_(mean, std, generator=generator)
            result[outside] = fresh._data[outside]
    else:
        _accept_uniform(tensor, mean, std, a, b, generator)
    tensor._version_cell[0] += 1
    return tensor


def _accept_uniform(
    tensor: Any, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> None:
    """Rejection sampling: a uniform candidate stays with probability density / largest density."""
    xp = backend_of(tensor._data).xp
    nearest = max(a, min(mean, b))  # to the mean, within [a, b]: where the density is largest
    log_peak = -0.5 * ((nearest - mean) / std) ** 2
    candidates, chance = empty_like(tensor), empty_like(tensor)
    pending = xp.ones(tensor._data.shape, bool)
    target = tensor  # the first candidates are drawn where they belong
    while True:
        target.uniform_(a, b, generator=generator)
        x = target._data
        tensor._data[pending] = x[pending]
        log_density = ((x - mean) / std) ** 2 * -0.5 - log_peak
        chance.uniform_(generator=generator)
        pending &= xp.log(chance._data) > log_density
        if not pending.any():
            return
        target = candidates


def _deprecated(function: Callable[..., Any]) -> Callable[..., Any]:
    """The old name, without the underscore, of a function here."""
    new = function.__name__
    old = new[:-1]

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    wrapper.__name__ = wrapper.__qualname__ = old
    wrapper.__doc__ = f"Deprecated: use `{new}`."
    return wrapper


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
