"""Distances and angles between vectors, pair by pair. (Those of all pairs are in `norms`.)"""

from __future__ import annotations

from typing import Any

from tensorlab._autocast import autocasts_within
from tensorlab._tensor import Tensor
from tensorlab.ops._dims import as_dim
from tensorlab.ops.joining import broadcast_tensors
from tensorlab.ops.norms import vector_norm
from tensorlab.ops.reduce import sum as sum_


@autocasts_within
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    r"""The cosine of the angle between vectors: \(x_1 \cdot x_2 / (\max(|x_1|, ε) \max(|x_2|, ε))\).

    Args:
        x1, x2: tensors that broadcast to one shape.
        dim: the dimension of that shape in which the vectors lie; the result is without it.
        eps: least length, against division by zero.

    Raises:
        RuntimeError: shapes that do not broadcast, or whole numbers.
        IndexError: there is no such dimension.

    >>> import tensorlab as tl
    >>> cosine_similarity(tl.tensor([[1.0, 0.0]]), tl.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
    x1, x2 = broadcast_tensors(x1, x2)
    if not any(x.dtype.is_floating_point or x.dtype.is_complex for x in (x1, x2)):
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {(x1 + x2).dtype}"
        )
    axis = as_dim("cosine_similarity", dim, x1.dim())
    return sum_(_unit(x1, axis, eps) * _unit(x2, axis, eps), axis)


def _unit(x: Any, axis: int, eps: float) -> Any:
    if not x.dtype.is_floating_point and not x.dtype.is_complex:
        x = x.float()
    length = vector_norm(x, 2, axis, keepdim=True)
    # The bound changes the value alone and not its slope, as in PyTorch.
    missing = (eps - length.detach()).clamp(min=0)
    return x / (length + missing)


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    r"""The p-norm of \(x_1 - x_2 + ε\) over the last dimension, where the vectors lie.

    Args:
        x1, x2: `(N, D)` or `(D,)`, or any shapes that broadcast.
        p: which norm.
        eps: added to each difference, which keeps the slope finite where two vectors are equal.
        keepdim: whether the last dimension stays, with size 1.

    Raises:
        RuntimeError: shapes that do not broadcast.

    >>> import tensorlab as tl
    >>> pairwise_distance(tl.tensor([[3.0, 0.0]]), tl.tensor([[0.0, -4.0]]))
    tensor([5.0000])
    """
    difference = x1 - x2 + eps
    return vector_norm(difference, p, -1 if difference.dim() else None, keepdim)
