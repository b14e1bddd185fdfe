"""Embeddings: rows of a table by their numbers. The gradient adds up what each row was used for."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops._scatter import combine_at


def _check(weight: Any, indices: Any) -> None:
    if weight.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, got shape {list(weight.shape)}")
    if indices.dtype not in (np.int64, np.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; "
            f"but got {indices.dtype.name} instead (while checking arguments for embedding)"
        )
    bad = indices[(indices < 0) | (indices >= weight.shape[0])]
    if bad.size:
        raise IndexError(
            f"index out of range in self: {int(bad.reshape(-1)[0])} is no row of a table of {weight.shape[0]}"
        )


# Leaving rows out and dividing by frequency are wanted, but no derivative: a kink for the tests.
@op(
    samples=lambda r: [
        Sample(r(4, 3), np.array([0, 2, 2])), Sample(r(4, 3), np.array([[0, 3], [3, 3]]), -1, True).kink(),
        Sample(r(4, 3), np.array(1)),
        Sample(r(4, 3), np.zeros((0, 2), np.int64)), Sample(r(4, 3), np.array([1, 1, 0]), 1, False).kink(),
    ],
    errors=lambda r: [
        ErrorSample(r(3, 2), np.array([5]), error=IndexError, match="index out of range in self: 5"),
        ErrorSample(r(3, 2), np.array([-1]), error=IndexError, match="index out of range"),
        ErrorSample(r(3), np.array([1]), error=RuntimeError, match="must be 2-D"),
        ErrorSample(r(3, 2), r(1), error=RuntimeError, match="scalar types: Long, Int"),
    ],
    ref=lambda weight, indices, *rest: np.take(weight, indices, axis=0), result=None, promote=(),
)  # fmt: skip
def embedding(xp, weight, indices, /, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """The rows of `weight` (number of rows, D) that `indices` (any shape) name: (*, D).

    Args:
        padding_idx: a row that gets no gradient; none if −1.
        scale_grad_by_freq: divide each row's gradient by how often it is in `indices`.
        sparse: only False: gradients are dense here.

    Raises:
        IndexError: for a number that is no row.
        RuntimeError: for other shapes and dtypes.
        NotImplementedError: for `sparse=True`.

    >>> import tensorlab as tl
    >>> tl.embedding(tl.tensor([[1.0, 2.0], [3.0, 4.0]]), tl.tensor([1, 1]))
    tensor([[3., 4.],
            [3., 4.]])
    """
    if sparse:
        raise NotImplementedError(
            "embedding(): sparse gradients are not available; leave out sparse=True: the gradient's values "
            "are the same"
        )
    _check(weight, indices)
    return weight[indices]


def _shares(
    xp: Any, indices: Any, rows: int, padding_idx: int, by_frequency: bool, dtype: Any
) -> Any:
    """What the gradient at each index is multiplied by."""
    flat = indices.reshape(-1)
    shares = (flat != padding_idx).astype(dtype)
    return (
        shares / xp.bincount(flat, minlength=rows)[flat].astype(dtype) if by_frequency else shares
    )


def _rows_reference(g, indices, rows, padding_idx, by_frequency):
    out = np.zeros((rows, g.shape[-1]))
    for row in range(rows):
        used = g[indices == row]
        if row != padding_idx and len(used):
            out[row] = used.mean(0) if by_frequency else used.sum(0)
    return out


@op(
    samples=lambda r: [
        Sample(r(3, 2), np.array([0, 2, 2]), 4, -1, False), Sample(r(2, 2, 3), np.array([[0, 3], [3, 1]]), 4, 1, True),
    ],
    torch="", result=None, promote=(), ref=_rows_reference,
)  # fmt: skip
def embedding_rows(xp, input, indices, /, rows, padding_idx, scale_grad_by_freq):
    """The gradient of `embedding` by its table of so many `rows`."""
    flat = indices.reshape(-1)
    g = input.reshape(flat.size, input.shape[-1])
    if padding_idx >= 0 or scale_grad_by_freq:
        g = g * _shares(xp, indices, rows, padding_idx, scale_grad_by_freq, input.dtype)[:, None]
    # NumPy adds single numbers at places several times faster than whole rows.
    size = input.shape[-1]
    places = (flat.astype(np.int64)[:, None] * size + xp.arange(size)).reshape(-1)
    out = xp.zeros(rows * size, input.dtype)
    combine_at(xp, "add", out, places, g.reshape(-1))
    return out.reshape(rows, size)


@op(
    samples=lambda r: [
        Sample(r(4, 2), np.array([0, 2, 2]), -1, False), Sample(r(4, 3), np.array([[0, 3], [3, 1]]), 1, True),
    ],
    torch="", result=None, promote=(),
)  # fmt: skip
def embedding_shares(xp, input, indices, /, padding_idx, scale_grad_by_freq):
    """The rows at `indices` as `embedding_rows` weighs them: its transpose."""
    shares = _shares(xp, indices, len(input), padding_idx, scale_grad_by_freq, input.dtype)
    return (input[indices.reshape(-1)] * shares[:, None]).reshape(*indices.shape, input.shape[1])


embedding.vjp(
    weight=lambda g, indices, weight_shape, padding_idx, scale_grad_by_freq: embedding_rows(
        g, indices, weight_shape[0], padding_idx, scale_grad_by_freq
    )
)
embedding_rows.vjp(
    input=lambda g, indices, padding_idx, scale_grad_by_freq: embedding_shares(
        g, indices, padding_idx, scale_grad_by_freq
    )
)
embedding_shares.vjp(
    input=lambda g, indices, input_shape, padding_idx, scale_grad_by_freq: embedding_rows(
        g, indices, input_shape[0], padding_idx, scale_grad_by_freq
    )
)
