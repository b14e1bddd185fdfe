"""Rows of a table by their numbers, one by one or in bags."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from tensorlab._backend import backend_of, runs_there
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import no_grad
from tensorlab.ops.creation import zeros
from tensorlab.ops.embedding import embedding as _embedding

__all__ = ["embedding", "embedding_bag"]


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


@runs_there
def _shrink(weight: Any, input: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows of `weight` that are used and longer than `max_norm` down to it."""
    xp = backend_of(weight._data).xp
    used = wrap(xp.unique(input._data).astype(np.int64))
    with no_grad():
        rows = _embedding(weight, used)
        lengths = rows.norm(norm_type, 1, keepdim=True)
        weight[used] = rows * (max_norm / (lengths + 1e-7)).clamp(max=1.0)


# Bags ---------------------------------------------------------------------------------


@runs_there
def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of rows of `weight`, for each bag of row numbers.

    Args:
        input: row numbers (int64 or int32): `(B, N)`, B bags of N; or `(n,)`, bags one after the other.
        weight: `(rows, D)`.
        offsets: where each bag starts in a one-dimensional `input`: `(B,)`, from 0 upwards.
        max_norm: first scale the rows used, in place, down to this norm.
        norm_type: which p-norm that is.
        scale_grad_by_freq: divide each row's gradient by how often it is in `input`; not for the maximum.
        mode: "sum", "mean" or "max".
        sparse: only False: gradients are dense here.
        per_sample_weights: a factor for each row number, for the sum only.
        include_last_offset: `offsets` has the end of the last bag too.
        padding_idx: a row that is left out of every bag.

    Returns:
        `(B, D)`; zeros for an empty bag.

    Raises:
        ValueError: shapes or a mode that do not fit.
        RuntimeError: a number that is no row, or offsets that are no starts.
        NotImplementedError: `per_sample_weights` with another mode than the sum, or `sparse`.

    >>> import tensorlab
    >>> table = tensorlab.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> embedding_bag(tensorlab.tensor([0, 1, 2]), table, tensorlab.tensor([0, 2]), mode="sum")
    tensor([[4., 6.],
            [5., 6.]])
    """
    if not weight.is_floating_point() and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, "
            "...)` is deprecated, and should now be `embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    _check_bags(input, weight, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights)
    if max_norm is not None:
        _shrink(weight, input, max_norm, norm_type)
    bags = _bags(input, offsets, include_last_offset)
    if padding_idx is not None:
        rows = weight.size(0)
        if not -rows <= padding_idx < rows:
            raise RuntimeError(
                "padding_idx must be within the number of embeddings, "
                f"{-rows} through {rows - 1}, but got {padding_idx}"
            )
        kept = bags.rows != padding_idx % rows
        bags = bags._replace(rows=bags.rows[kept], numbers=bags.numbers[kept])
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)[wrap(kept)]
    found = _embedding(weight, wrap(bags.rows), -1, scale_grad_by_freq)
    if per_sample_weights is not None:
        found = found * per_sample_weights.reshape(-1, 1)
    if offsets is None and padding_idx is None and bags.rows.size:  # bags of one size
        square = found.unflatten(0, tuple(input.shape))
        if mode == "max":
            return square.max(1).values
        return square.sum(1) if mode == "sum" else square.mean(1)
    if mode == "max" and bags.rows.size:
        return _maximum(found, bags)
    total = zeros((bags.amount, weight.size(1)), dtype=weight.dtype, device=weight.device)
    total = total.index_add(0, wrap(bags.numbers), found)
    return total / _sizes(bags).clip(1)[:, None] if mode == "mean" else total


class _Bags(NamedTuple):
    """Row numbers, and the number of the bag that each is in, in order."""

    rows: Any
    numbers: Any
    amount: int


def _bags(input: Any, offsets: Any, include_last: bool) -> _Bags:
    xp = backend_of(input._data).xp
    rows = input._data.reshape(-1).astype(np.int64)
    if offsets is None:
        count, size = input.shape
        return _Bags(rows, xp.arange(rows.size) // max(size, 1), count)
    starts = offsets._data.astype(np.int64)
    if include_last and not starts.size:
        raise RuntimeError("include_last_offset: number of offset should be at least 1")
    if starts.size and starts[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {int(starts[0])}"
        )
    if starts.size and starts[-1] > rows.size:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {rows.size} but got offsets[-1] of "
            f"{int(starts[-1])}"
        )
    if (starts[1:] < starts[:-1]).any():
        raise RuntimeError(f"expected offsets in ascending order, got {starts.tolist()}")
    if include_last:
        if starts[-1] != rows.size:
            raise RuntimeError(
                f"include_last_offset: expected the last offset to be input's length {rows.size}, got "
                f"{int(starts[-1])}"
            )
        starts = starts[:-1]
    # A number belongs to the last bag that starts no later than at its position.
    numbers = xp.searchsorted(starts, xp.arange(rows.size), side="right") - 1
    return _Bags(rows, numbers, starts.size)


def _check_bags(
    input: Any, weight: Any, offsets: Any, by_frequency: bool, mode: str, sparse: bool, factors: Any
) -> None:
    if factors is not None and input.shape != factors.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({factors.shape}) is not None, then it must have the same "
            f"shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}"
        )
    if input.dim() not in (1, 2):
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    if input.dim() == 2 and offsets is not None:
        raise ValueError(
            "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
            f"sequences. However, found offsets of type {type(offsets)}"
        )
    if input.dim() == 1 and (offsets is None or offsets.dim() != 1):
        got = "None" if offsets is None else f"{offsets.dim()} dimensions"
        raise ValueError(f"offsets has to be a 1D Tensor but got {got}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"mode has to be one of sum, mean or max, got {mode!r}")
    if mode == "max" and (by_frequency or sparse):
        what = "scaling the gradient by the frequency" if by_frequency else "sparse weights"
        raise ValueError(f"max mode does not support {what}")
    if factors is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for "
            f"mode='sum' (got mode='{mode}')."
        )
    if factors is not None and factors.dtype != weight.dtype:
        raise RuntimeError(
            f"expected weight and per_sample_weights of the same type, got {weight.dtype} and {factors.dtype}"
        )
    if sparse:
        raise NotImplementedError(
            "embedding_bag(): sparse gradients are not available; leave out sparse=True: the gradient's "
            "values are the same"
        )
    bad = (input < 0) | (input >= weight.size(0))
    if not input.is_floating_point() and bad.any():
        place = int(bad.reshape(-1).nonzero()[0])
        raise RuntimeError(
            f"Index {place} of input takes value {int(input.reshape(-1)[place])} which is not in the valid "
            f"range [0, {weight.size(0)})"
        )


def _sizes(bags: _Bags) -> Any:
    return backend_of(bags.rows).xp.bincount(bags.numbers, minlength=bags.amount)


def _maximum(found: Tensor, bags: _Bags) -> Tensor:
    """The largest number of each column in each bag, from a rectangle of bags filled up with −inf."""
    xp = backend_of(bags.rows).xp
    sizes = _sizes(bags)
    longest = int(sizes.max())
    starts = xp.cumsum(sizes) - sizes
    within = xp.arange(longest)
    absent = wrap(within >= sizes[:, None])
    # Beyond a bag's end any row will do: it is covered.
    places = wrap(xp.minimum(starts[:, None] + within, len(bags.rows) - 1))
    rectangle = found[places].masked_fill(absent.unsqueeze(-1), -np.inf)
    return rectangle.max(1).values.masked_fill(wrap(sizes == 0).unsqueeze(-1), 0.0)
