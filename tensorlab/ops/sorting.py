"""Sorting, searching in sorted values, counting: sort, topk, unique, searchsorted, bincount."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tensorlab import return_types
from tensorlab._backend import backend_of
from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops._dims import as_dim, numpy_names
from tensorlab.ops._out import with_out
from tensorlab.ops.gathering import gather_backward

#: Picking some elements and sorting these is faster than sorting all for arrays of so many, of which so many
#: are in a row, and up to this share of them is asked for.
FEWEST, SHORTEST, LARGEST_SHARE = 2_048, 32, 0.5


def _order(xp: Any, input: Any, axis: int, descending: bool) -> Any:
    """The positions in sorted order, equal elements in the order they stand in."""
    if not descending:
        return xp.argsort(input, axis=axis, kind="stable")
    # Sorted from the back and turned round: stable, and nan comes first as it is the largest.
    turned = xp.flip(input, axis)
    return input.shape[axis] - 1 - xp.flip(xp.argsort(turned, axis=axis, kind="stable"), axis)


def _moved_backward(g, input_shape, out, dim):
    if len(input_shape) == 0:
        return g[0]
    return gather_backward(g[0], out[1], tuple(input_shape), dim)


def _first(xp: Any, input: Any, axis: int, descending: bool, k: int) -> Any:
    """The first `k` positions in sorted order; few of many are picked before they are sorted."""
    n = input.shape[axis]
    before = (slice(None),) * axis
    if k == 0 or k > LARGEST_SHARE * n or n < SHORTEST or input.size < FEWEST:
        return _order(xp, input, axis, descending)[(*before, slice(k))]
    if descending:
        picked = xp.argpartition(input, n - k, axis)[(*before, slice(n - k, n))]
    else:
        picked = xp.argpartition(input, k - 1, axis)[(*before, slice(k))]
    picked = xp.sort(picked, axis)  # equal elements are to come in the order they stand in
    order = _order(xp, xp.take_along_axis(input, picked, axis), axis, descending)
    return xp.take_along_axis(picked, order, axis)


@op(
    samples=lambda r: [
        Sample(r.distinct(5)), Sample(r.distinct(3, 4), 0), Sample(r.distinct(3, 4), -1, True), Sample(r()),
        Sample(r.int(6), descending=True, stable=True), Sample(r(0, 3)),
        Sample(np.array([2.0, np.nan, 1.0], r.dtype), 0, True).kink(),
    ],
    errors=lambda r: [ErrorSample(r(3), 1, error=IndexError, match="Dimension out of range")],
    result=None, method=True, named_tuple=return_types.sort,
)  # fmt: skip
def sort(xp, input, /, dim=-1, descending=False, stable=False):
    """The elements in order along `dim`, and where they stood. Always stable; nan counts as largest.

    >>> import tensorlab as tl
    >>> values, indices = tl.sort(tl.tensor([3., 1., 2.]))
    >>> values, indices
    (tensor([1., 2., 3.]), tensor([1, 2, 0]))
    """
    axis = as_dim("sort", dim, input.ndim)
    if input.ndim == 0:
        return input.copy(), xp.zeros((), np.int64)
    order = _order(xp, input, axis, descending)
    return xp.take_along_axis(input, order, axis), order.astype(np.int64)


sort.vjp(input=_moved_backward)


@numpy_names
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The positions that sort the elements along `dim`; see `sort`.

    >>> import tensorlab as tl
    >>> tl.argsort(tl.tensor([3., 1., 2.]))
    tensor([1, 2, 0])
    """
    return sort(input, dim, descending, stable)[1]


@with_out
def msort(input: Any) -> Any:
    """The elements in order along dimension 0.

    >>> import tensorlab as tl
    >>> tl.msort(tl.tensor([3., 1., 2.]))
    tensor([1., 2., 3.])
    """
    return sort(input, 0)[0]


@op(
    samples=lambda r: [
        Sample(r.distinct(5), 2), Sample(r.distinct(3, 4), 2, 0), Sample(r.distinct(3, 4), 3, -1, False),
        Sample(r(), 1),
        Sample(r.distinct(3, 4), 0),
    ],
    errors=lambda r: [
        ErrorSample(r(3), 4, error=RuntimeError, match="selected index k out of range"),
        ErrorSample(r(3), 1, 1, error=IndexError, match="Dimension out of range"),
        ErrorSample(r.bool(3), 1, error=RuntimeError, match="topk.. does not support"),
    ],
    result=None, method=True, named_tuple=return_types.topk,
)  # fmt: skip
def topk(xp, input, /, k, dim=-1, largest=True, sorted=True):
    """The `k` largest (or smallest) elements along `dim`, in order, and where they stood; nan counts as largest.

    Which of equal elements are taken is not said. The result is in order even if `sorted` is False.

    >>> import tensorlab as tl
    >>> tl.topk(tl.tensor([3., 1., 2.]), 2).values
    tensor([3., 2.])
    """
    if input.dtype.kind in "bc":
        raise RuntimeError(
            f"topk() does not support {from_numpy_dtype(input.dtype)}, expected integers or real numbers"
        )
    axis = as_dim("topk", dim, input.ndim)
    if not 0 <= k <= (input.shape[axis] if input.ndim else 1):
        raise RuntimeError(
            f"selected index k out of range: k={k}, size {input.shape[axis] if input.ndim else 1} of dimension {axis}"
        )
    if input.ndim == 0:
        return input.copy(), xp.zeros((), np.int64)
    order = _first(xp, input, axis, largest, operator.index(k)).astype(np.int64)
    return xp.take_along_axis(input, order, axis), order


topk.vjp(input=_moved_backward)

# Distinct values --------------------------------------------------------------------------


@numpy_names
def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in order; with `dim` the distinct slices along it.

    return_inverse: also which of them each element is. return_counts: also how often each occurs.

    >>> import tensorlab as tl
    >>> tl.unique(tl.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    array = input._data
    xp = backend_of(array).xp
    if dim is not None:
        dim = as_dim("unique", dim, array.ndim)
    values, inverse, counts = xp.unique(array, return_inverse=True, return_counts=True, axis=dim)
    inverse = inverse.reshape(array.shape if dim is None else -1)
    return _distinct(values, inverse, counts, return_inverse, return_counts)


def _distinct(
    values: Any, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool
) -> Any:
    found = [wrap(values)]
    if return_inverse:
        found.append(wrap(inverse.astype(np.int64)))
    if return_counts:
        found.append(wrap(counts.astype(np.int64)))
    return found[0] if len(found) == 1 else tuple(found)


@numpy_names
def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices along `dim`) without those equal to the one before them.

    >>> import tensorlab as tl
    >>> tl.unique_consecutive(tl.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    array = input._data
    xp = backend_of(array).xp
    rows = (
        array.reshape(-1)
        if dim is None
        else xp.moveaxis(array, as_dim("unique_consecutive", dim, array.ndim), 0)
    )
    n = rows.shape[0]
    flat = rows.reshape(n, -1) if rows.size else rows.reshape(n, 0)
    starts = xp.ones(n, bool)
    if n:
        starts[1:] = (flat[1:] != flat[:-1]).any(axis=1)
    values = rows[starts]
    if dim is not None:
        values = xp.moveaxis(values, 0, dim)
    inverse = xp.cumsum(starts) - 1
    first = xp.nonzero(starts)[0]
    counts = xp.diff(xp.concatenate([first, xp.asarray([n])]))
    inverse = inverse.reshape(array.shape) if dim is None else inverse
    return _distinct(values, inverse, counts, return_inverse, return_counts)


# Searching and counting -------------------------------------------------------------------


@with_out
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Where each value would be inserted to keep the sequence in order, from the left unless `right`.

    sorted_sequence: ascending along its last dimension; its other dimensions are those of `input`.
    sorter: indices that put the sequence in order, as `argsort` gives them, if it is not.

    >>> import tensorlab as tl
    >>> tl.searchsorted(tl.tensor([1, 3, 5]), tl.tensor([3, 6]))
    tensor([1, 3])
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    where_ = "right" if right or side == "right" else "left"
    if sorter is not None:
        if sorter.shape != sorted_sequence.shape:
            raise RuntimeError(
                f"searchsorted(): boundary and sorter must have the same size, but got boundary tensor "
                f"{list(sorted_sequence.shape)} and got sorter tensor {list(sorter.shape)}"
            )
        sorted_sequence = sorted_sequence.gather(-1, sorter)
    sequence = sorted_sequence._data
    xp = backend_of(sequence).xp
    values = input._data if isinstance(input, Tensor) else xp.asarray(input)
    kind = np.int32 if out_int32 else np.int64
    if sequence.ndim == 1:
        return wrap(xp.asarray(xp.searchsorted(sequence, values, side=where_)).astype(kind))
    if sequence.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            "searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            "tensor and "
            f"input value tensor must match, but we got boundaries tensor {list(sequence.shape)} and input "
            f"value tensor {list(values.shape)}"
        )
    rows, wanted = sequence.reshape(-1, sequence.shape[-1]), values.reshape(-1, values.shape[-1])
    found = [xp.searchsorted(a, v, side=where_) for a, v in zip(rows, wanted, strict=True)]
    return wrap(
        (xp.stack(found) if found else xp.zeros(values.shape)).reshape(values.shape).astype(kind)
    )


@with_out
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the bucket between ascending `boundaries` that each value falls into.

    >>> import tensorlab as tl
    >>> tl.bucketize(tl.tensor([3, 6, 9]), tl.tensor([1, 3, 5, 7, 9]))
    tensor([1, 3, 4])
    """
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each whole number from 0 on occurs, or the sum of its `weights`.

    >>> import tensorlab as tl
    >>> tl.bincount(tl.tensor([1, 3, 1]))
    tensor([0, 2, 0, 1])
    """
    array = input._data
    if array.ndim == 1 and array.dtype.kind not in "iu":
        raise NotImplementedError(
            f"bincount() is not implemented for {input.dtype}: it counts integers"
        )
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array.size and int(array.min()) < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    xp = backend_of(array).xp
    counts = xp.bincount(array, None if weights is None else weights._data, minlength)
    if weights is None:
        return wrap(counts.astype(np.int64))
    kind = weights._data.dtype
    return wrap(counts.astype(kind if kind == np.float32 else np.float64))


@with_out
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall into each of `bins` equal ranges from `min` to `max`.

    With min = max the range is that of the elements. Elements outside are not counted.

    >>> import tensorlab as tl
    >>> tl.histc(tl.tensor([1., 2., 1.]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    array = input._data
    if array.dtype.kind != "f":
        raise NotImplementedError(f"histc() is not implemented for {from_numpy_dtype(array.dtype)}")
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    if max < min:
        raise RuntimeError("max must be larger than min")
    xp = backend_of(array).xp
    low, high = float(min), float(max)
    if low == high:
        if array.size:
            low, high = float(array.min()), float(array.max())
        if low == high:
            low, high = low - 1, high + 1
    values = array.reshape(-1)
    values = values[(values >= low) & (values <= high)]
    place = xp.minimum(((values - low) / (high - low) * bins).astype(np.int64), bins - 1)
    return wrap(xp.bincount(place, minlength=bins).astype(array.dtype))


@with_out
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Any:
    """Which elements are among `test_elements`; bool.

    >>> import tensorlab as tl
    >>> tl.isin(tl.tensor([1, 2, 3]), tl.tensor([2, 5]))
    tensor([False,  True, False])
    """
    operands = [getattr(x, "_data", x) for x in (elements, test_elements)]
    xp = backend_of(next(x for x in operands if hasattr(x, "dtype"))).xp
    return wrap(
        xp.asarray(xp.isin(*map(xp.asarray, operands), assume_unique=assume_unique, invert=invert))
    )


for _name, _method in {
    "argsort": argsort, "msort": msort, "unique": unique, "unique_consecutive": unique_consecutive,
    "bincount": bincount,
    "histc": histc,
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
