"""Activations, with PyTorch's signatures: the operations themselves are in `tensorlab.ops`."""

from __future__ import annotations

import warnings
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.autograd.inplace import apply_inplace
from tensorlab.ops import activation as smooth
from tensorlab.ops import piecewise
from tensorlab.ops.activation import gelu, glu, softplus
from tensorlab.ops.activation import log_sigmoid as logsigmoid
from tensorlab.ops.creation import empty_like, zeros_like
from tensorlab.ops.functions import relu as _relu
from tensorlab.ops.functions import sigmoid, tanh
from tensorlab.ops.piecewise import hardshrink, prelu, rrelu_, selu_, softshrink
from tensorlab.ops.softmax import log_softmax as _log_softmax
from tensorlab.ops.softmax import softmax as _softmax

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]


def _call(operation: Any, inplace: bool, input: Tensor, *params: Any) -> Any:
    if inplace:
        return apply_inplace(operation.op, (input,), params)
    return operation(input, *params)


# Rectifiers -------------------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`max(0, x)`; `inplace` overwrites the input.

    >>> import tensorlab
    >>> relu(tensorlab.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return apply_inplace(_relu.op, (input,), ()) if inplace else _relu(input)


def relu_(input: Tensor) -> Tensor:
    """`relu` in place.

    >>> import tensorlab
    >>> x = tensorlab.tensor([-2.0, 0.5, 4.0])
    >>> relu_(x) is x
    True
    """
    return _call(_relu, True, input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`min(max(0, x), 6)`.

    >>> import tensorlab
    >>> relu6(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([0.0000, 0.5000, 4.0000])
    """
    return _call(piecewise.hardtanh, inplace, input, 0.0, 6.0)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`x` above `threshold`, `value` in place of the others.

    >>> import tensorlab
    >>> threshold(tensorlab.tensor([0.5, 2.0]), 1.0, 20.0)
    tensor([20.,  2.])
    """
    return _call(piecewise.threshold, inplace, input, threshold, value)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place.

    >>> import tensorlab
    >>> x = tensorlab.tensor([0.5, 2.0])
    >>> threshold_(x, 1.0, 20.0)
    tensor([20.,  2.])
    """
    return _call(piecewise.threshold, True, input, threshold, value)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """`x` cut off below `min_val` and above `max_val`; `ValueError` if `min_val` is the larger one.

    >>> import tensorlab
    >>> hardtanh(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val, got {min_val} and {max_val}")
    return _call(piecewise.hardtanh, inplace, input, min_val, max_val)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place.

    >>> import tensorlab
    >>> x = tensorlab.tensor([-2.0, 0.5, 4.0])
    >>> hardtanh_(x) is x
    True
    """
    return hardtanh(input, min_val, max_val, True)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`x` above zero, `negative_slope · x` below.

    >>> import tensorlab
    >>> leaky_relu(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.0200,  0.5000,  4.0000])
    """
    return _call(piecewise.leaky_relu, inplace, input, negative_slope)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place.

    >>> import tensorlab
    >>> x = tensorlab.tensor([-2.0, 0.5, 4.0])
    >>> leaky_relu_(x) is x
    True
    """
    return _call(piecewise.leaky_relu, True, input, negative_slope)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """`x` above zero, and below it times a slope drawn between `lower` and `upper`; their mean unless `training`.

    Raises:
        RuntimeError: `lower` is the larger one.

    >>> import tensorlab
    >>> rrelu(tensorlab.tensor([-4.0, 2.0]), 0.25, 0.75)
    tensor([-2.,  2.])
    """
    return (rrelu_ if inplace else piecewise.rrelu)(input, lower, upper, training)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`x` above zero, `alpha · (exp(x) - 1)` below.

    >>> import tensorlab
    >>> elu(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.8647,  0.5000,  4.0000])
    """
    return _call(piecewise.elu, inplace, input, alpha, 1.0, 1.0)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place.

    >>> import tensorlab
    >>> x = tensorlab.tensor([-2.0, 0.5, 4.0])
    >>> elu_(x) is x
    True
    """
    return elu(input, alpha, True)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`x` above zero, `alpha · (exp(x / alpha) - 1)` below; `RuntimeError` if `alpha` is 0.

    >>> import tensorlab
    >>> celu(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.8647,  0.5000,  4.0000])
    """
    return _call(piecewise.celu, inplace, input, alpha)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` in place.

    >>> import tensorlab
    >>> x = tensorlab.tensor([-2.0, 0.5, 4.0])
    >>> celu_(x) is x
    True
    """
    return celu(input, alpha, True)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """`elu` with the constants that keep mean 0 and variance 1: Klambauer et al., arXiv:1706.02515.

    >>> import tensorlab
    >>> selu(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-1.5202,  0.5254,  4.2028])
    """
    return (selu_ if inplace else piecewise.selu)(input)


# Gates ------------------------------------------------------------------------------------


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`x · sigmoid(x)`, also called swish.

    >>> import tensorlab
    >>> silu(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.2384,  0.3112,  3.9281])
    """
    return _call(smooth.silu, inplace, input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x · tanh(softplus(x))`.

    >>> import tensorlab
    >>> mish(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.2525,  0.3752,  3.9974])
    """
    return _call(smooth.mish, inplace, input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`x / 6 + 1 / 2` limited to [0, 1].

    >>> import tensorlab
    >>> hardsigmoid(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([0.1667, 0.5833, 1.0000])
    """
    return _call(piecewise.hardsigmoid, inplace, input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x · hardsigmoid(x)`.

    >>> import tensorlab
    >>> hardswish(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.3333,  0.2917,  4.0000])
    """
    return _call(piecewise.hardswish, inplace, input)


def softsign(input: Any) -> Tensor:
    """`x / (1 + |x|)`.

    >>> import tensorlab
    >>> softsign(tensorlab.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    return input / (input.abs() + 1)


def tanhshrink(input: Any) -> Tensor:
    """`x - tanh(x)`.

    >>> import tensorlab
    >>> tanhshrink(tensorlab.tensor([1.0]))
    tensor([0.2384])
    """
    return input - tanh(input)


# Over a dimension -------------------------------------------------------------------------


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
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


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The softmax of `-x`.

    >>> import tensorlab
    >>> softmin(tensorlab.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([0.6652, 0.2447, 0.0900])
    """
    dim = _guess("softmin", input, _stacklevel) if dim is None else dim
    return softmax(-input, dim, dtype=dtype)


def log_softmax(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of the softmax, more exact than the two in turn.

    >>> import tensorlab
    >>> log_softmax(tensorlab.tensor([0.0, -1000.0]), dim=0)
    tensor([    0., -1000.])
    """
    dim = _guess("log_softmax", input, _stacklevel) if dim is None else dim
    return _log_softmax(input if dtype is None else input.to(dtype), dim)


def _guess(name: str, input: Tensor, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if input.dim() in (0, 1, 3) else 1


def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the Gumbel-softmax distribution, almost one-hot and yet differentiable.

    Args:
        logits: `(*, classes)`, log-probabilities up to a constant.
        tau: temperature: the lower, the closer to one-hot.
        hard: whether to return exactly one-hot rows, with the gradient of the soft ones.
        eps: has no effect.
        dim: the dimension of the classes.

    Source: E. Jang, S. Gu, B. Poole, "Categorical reparameterization with Gumbel-softmax",
    arXiv:1611.01144.

    >>> import tensorlab
    >>> gumbel_softmax(tensorlab.zeros(2, 5), hard=True).sum(1)
    tensor([1., 1.])
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise: Any = empty_like(logits).exponential_()  # type: ignore[attr-defined]
    soft: Any = _softmax((logits - noise.log()) / tau, dim)
    if not hard:
        return soft
    winner = soft.max(dim, keepdim=True)[1]
    chosen: Any = zeros_like(logits).scatter_(dim, winner, 1.0)  # type: ignore[attr-defined]
    return chosen - soft.detach() + soft
