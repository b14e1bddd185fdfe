"""Rows of a table by their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._backend import backend_of
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import no_grad
from tensorlab.ops.embedding import embedding as _embedding

__all__ = ["embedding"]


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that the numbers in `input` name.

    Args:
        input: row numbers (int64 or int32), any shape.
        weight: `(rows, D)`.
        padding_idx: a row that gets no gradient.
        max_norm: first scale the rows used, in place, down to this norm.
        norm_type: which p-norm that is.
        scale_grad_by_freq: divide each row's gradient by how often it is in `input`.
        sparse: only False: gradients are dense here.

    Returns:
        `(*, D)`.

    Raises:
        IndexError: a number that is no row.
        AssertionError: `padding_idx` is no row.

    >>> import tensorlab
    >>> embedding(tensorlab.tensor([1, 0]), tensorlab.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    rows = weight.size(0)
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise AssertionError(f"padding_idx {padding_idx} must be within num_embeddings, {rows}")
    skipped = -1 if padding_idx is None else padding_idx % rows
    if max_norm is not None:
        _shrink(weight, input, max_norm, norm_type)
    return _embedding(weight, input, skipped, scale_grad_by_freq, sparse)


def _shrink(weight: Any, input: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows of `weight` that are used and longer than `max_norm` down to it."""
    xp = backend_of(weight._data).xp
    used = wrap(xp.unique(input._data).astype(np.int64))
    with no_grad():
        rows = _embedding(weight, used)
        lengths = rows.norm(norm_type, 1, keepdim=True)
        weight[used] = rows * (max_norm / (lengths + 1e-7)).clamp(max=1.0)
