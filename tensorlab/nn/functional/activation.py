"""Activations, with PyTorch's signatures: the operations themselves are in `tensorlab.ops`."""

from __future__ import annotations

import warnings
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.autograd.inplace import apply_inplace
from tensorlab.ops import activation as ops
from tensorlab.ops.functions import relu as _relu
from tensorlab.ops.functions import sigmoid, tanh
from tensorlab.ops.loss import log_softmax as _log_softmax
from tensorlab.ops.loss import softmax as _softmax

__all__ = [
    "elu",
    "gelu",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "relu",
    "relu6",
    "relu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "tanh",
    "tanhshrink",
]


def _call(operation: Any, inplace: bool, input: Tensor, *params: Any) -> Any:
    if inplace:
        return apply_inplace(operation.op, (input,), params)
    return operation(input, *params)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`max(0, x)`; `inplace` overwrites the input.

    >>> import tensorlab
    >>> relu(tensorlab.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return apply_inplace(_relu.op, (input,), ()) if inplace else _relu(input)


def relu_(input: Tensor) -> Tensor:
    """`relu` in place."""
    return _call(_relu, True, input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`min(max(0, x), 6)`."""
    return _call(ops.hardtanh, inplace, input, 0.0, 6.0)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """`x` cut off below `min_val` and above `max_val`; `ValueError` if `min_val` is the larger one."""
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val, got {min_val} and {max_val}")
    return _call(ops.hardtanh, inplace, input, min_val, max_val)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`x` above zero, `negative_slope · x` below."""
    return _call(ops.leaky_relu, inplace, input, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`x` above zero, `alpha · (exp(x) - 1)` below."""
    return _call(ops.elu, inplace, input, alpha)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`x · sigmoid(x)`, also called swish."""
    return _call(ops.silu, inplace, input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x · tanh(softplus(x))`."""
    return _call(ops.mish, inplace, input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`x · Φ(x)`, exact or with the hyperbolic tangent formula (`approximate="tanh"`)."""
    return ops.gelu(input, approximate=approximate)


def logsigmoid(input: Tensor) -> Tensor:
    """The logarithm of the sigmoid, without overflow."""
    return ops.log_sigmoid(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """`log(1 + exp(beta · x)) / beta`; `x` itself where `beta · x > threshold`."""
    return ops.softplus(input, beta, threshold)


def softsign(input: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return input / (input.abs() + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """`x - tanh(x)`."""
    return input - tanh(input)


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    r"""`exp(x)` divided by its sum along `dim`: positive numbers that add up to 1.

    Args:
        input: any shape.
        dim: the dimension; without it one is guessed, with a warning.
        dtype: convert to this type first.

    >>> import tensorlab
    >>> softmax(tensorlab.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([0.0900, 0.2447, 0.6652])
    """
    dim = _guess("softmax", input, _stacklevel) if dim is None else dim
    return _softmax(input if dtype is None else input.to(dtype), dim)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The softmax of `-x`."""
    dim = _guess("softmin", input, _stacklevel) if dim is None else dim
    return softmax(-input, dim, dtype=dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of the softmax, more exact than the two in turn."""
    dim = _guess("log_softmax", input, _stacklevel) if dim is None else dim
    return _log_softmax(input if dtype is None else input.to(dtype), dim)


def _guess(name: str, input: Tensor, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if input.dim() in (0, 1, 3) else 1
