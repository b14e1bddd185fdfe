"""Reading and writing slices and masked elements: index_select, index_add, masked_fill, take, nonzero."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._backend import backend_of
from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops._dims import as_dim
from tensorlab.ops._out import with_out
from tensorlab.ops._scatter import combine_at
from tensorlab.ops.compare import where
from tensorlab.ops.gathering import _check_index, _check_range
from tensorlab.ops.index import index as index_by_key
from tensorlab.ops.index import index_set
from tensorlab.ops.reduce import sum as sum_
from tensorlab.ops.shape import expand, reshape

# Whole slices along a dimension -----------------------------------------------------------


def _slices(name: str, index: Any, dim: int, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], int]:
    """The key that picks slices along `dim`, and the dimension from the front."""
    array = getattr(index, "_data", index)
    _check_index(name, array)
    if array.ndim > 1:
        raise IndexError(
            f"{name}(): Index is supposed to be a vector, got shape {list(array.shape)}"
        )
    dim = as_dim(name, dim, len(shape))
    _check_range(name, array, dim, shape[dim] if shape else 1)
    return (slice(None),) * dim + (array.reshape(-1),), dim


@with_out
def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices at these positions of `dim`, copied.

    >>> import tensorlab as tl
    >>> tl.index_select(tl.tensor([[1, 2], [3, 4]]), 0, tl.tensor([1, 1]))
    tensor([[3, 4],
            [3, 4]])
    """
    key, _ = _slices("index_select", index, dim, tuple(input.shape))
    if len(input.shape) == 0:
        return reshape(input, ()) * 1
    return index_by_key(input, key)


@op(
    samples=lambda r: [
        Sample(r(4, 3), r(2, 3), (np.array([0, 0]),), 1),
        Sample(r(4), 2.0, (np.array([True, False, True, False]),), 0.5),
    ],
    torch="", promote=(), result=None, inplace=True, node_name="IndexPut",
)  # fmt: skip
def index_accumulate(xp, input, values, /, indices, alpha=1):
    """A copy of `input` with `alpha · values` added at index arrays; repeated positions add up."""
    out = input.copy()
    combine_at(xp, "add", out, indices, values if alpha == 1 else values * alpha)
    return out


index_accumulate.vjp(
    input=lambda g: g,
    values=lambda g, indices, alpha: (
        index_by_key(g, indices) if alpha == 1 else index_by_key(g, indices) * alpha
    ),
)


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """A copy of `input` with the slices of `source` added at these positions of `dim`.

    >>> import tensorlab as tl
    >>> tl.index_add(tl.zeros(2), 0, tl.tensor([0, 0]), tl.tensor([1., 2.]))
    tensor([3., 0.])
    """
    return index_accumulate(
        input, source, _slices("index_add", index, dim, tuple(input.shape))[0], alpha
    )


def _index_add_in_place(
    self: Tensor, dim: int, index: Any, source: Any, *, alpha: float = 1
) -> Tensor:
    """In-place version of `index_add`."""
    return self.index_accumulate_(
        source, _slices("index_add_", index, dim, tuple(self.shape))[0], alpha
    )  # type: ignore[attr-defined]


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of `input` with the slices of `source` stored at these positions of `dim`.

    >>> import tensorlab as tl
    >>> tl.index_copy(tl.zeros(3), 0, tl.tensor([2]), tl.tensor([5.]))
    tensor([0., 0., 5.])
    """
    return index_set(input, source, _slices("index_copy", index, dim, tuple(input.shape))[0])


def _index_copy_in_place(self: Tensor, dim: int, index: Any, source: Any) -> Tensor:
    """In-place version of `index_copy`."""
    return self.index_set_(source, _slices("index_copy_", index, dim, tuple(self.shape))[0])  # type: ignore[attr-defined]


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of `input` with one value at these positions of `dim`.

    >>> import tensorlab as tl
    >>> tl.index_fill(tl.zeros(3), 0, tl.tensor([0, 2]), 1.0)
    tensor([1., 0., 1.])
    """
    return index_set(input, value, _slices("index_fill", index, dim, tuple(input.shape))[0])


def _index_fill_in_place(self: Tensor, dim: int, index: Any, value: Any) -> Tensor:
    """In-place version of `index_fill`."""
    return self.index_set_(value, _slices("index_fill_", index, dim, tuple(self.shape))[0])  # type: ignore[attr-defined]


def _put_key(indices: Any) -> tuple[Any, ...]:
    return tuple(slice(None) if i is None else getattr(i, "_data", i) for i in indices)


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy of `input` with `values` stored (or added) at a tuple of index tensors: `x[indices] = values`.

    >>> import tensorlab as tl
    >>> tl.index_put(tl.zeros(3), (tl.tensor([0, 0]),), tl.tensor(1.0), accumulate=True)
    tensor([2., 0., 0.])
    """
    key = _put_key(indices)
    return index_accumulate(input, values, key) if accumulate else index_set(input, values, key)


def _index_put_in_place(
    self: Tensor, indices: Any, values: Any, accumulate: bool = False
) -> Tensor:
    """In-place version of `index_put`."""
    key = _put_key(indices)
    return self.index_accumulate_(values, key) if accumulate else self.index_set_(values, key)  # type: ignore[attr-defined]


# By mask ----------------------------------------------------------------------------------


def _check_mask(name: str, mask: Any) -> Any:
    array = getattr(mask, "_data", mask)
    if array.dtype.kind != "b":
        raise RuntimeError(
            f"{name} only supports boolean masks, but got mask with dtype {from_numpy_dtype(array.dtype)}"
        )
    return array


@op(
    samples=lambda r: [
        Sample(r(2, 3), r.bool(2, 3), 0.5), Sample(r(2, 3), r.bool(3), r()), Sample(r(2, 3), r.bool(2, 1), -1),
        Sample(r.int(3), r.bool(3), 7), Sample(r(0), r.bool(0), 1.0),
    ],
    errors=lambda r: [
        ErrorSample(r(3), r.int(3), 0.0, error=RuntimeError, match="only supports boolean masks"),
        ErrorSample(r(3), r.bool(3), r(3), error=RuntimeError, match="only supports a 0-dimensional value"),
        ErrorSample(r(3), r.bool(2), 0.5, error=RuntimeError, match="must match"),
    ],
    ref=lambda x, mask, value: np.where(mask, np.asarray(value).astype(x.dtype), x), method=True, inplace=True,
    promote=(), result=None,
)  # fmt: skip
def masked_fill(xp, input, mask, value, /):
    """A copy with `value`, a number or a 0-dim tensor, where `mask` is true.

    >>> import tensorlab as tl
    >>> tl.masked_fill(tl.tensor([1., 2.]), tl.tensor([True, False]), float("-inf"))
    tensor([-inf, 2.])
    """
    _check_mask("masked_fill", mask)
    if getattr(value, "ndim", 0):
        raise RuntimeError(
            f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
        )
    return xp.where(mask, xp.asarray(value).astype(input.dtype), input)


masked_fill.vjp(
    input=lambda g, mask: where(mask, 0.0, g), value=lambda g, mask: sum_(where(mask, g, 0.0))
)


@with_out
def masked_select(input: Any, mask: Any) -> Any:
    """The elements where `mask` is true (broadcast with `input`), in one dimension.

    >>> import tensorlab as tl
    >>> x = tl.tensor([1, 5, 3])
    >>> tl.masked_select(x, x > 2)
    tensor([5, 3])
    """
    _check_mask("masked_select", mask)
    shape = np.broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    shown = getattr(expand(mask, shape), "_data", None)
    return index_by_key(expand(input, shape), (expand(mask, shape) if shown is None else shown,))


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy with the elements of `source`, in order, where `mask` is true.

    >>> import tensorlab as tl
    >>> tl.masked_scatter(tl.zeros(3), tl.tensor([True, False, True]), tl.tensor([1., 2., 3.]))
    tensor([1., 0., 2.])
    """
    array = _check_mask("masked_scatter", mask)
    shape = np.broadcast_shapes(tuple(input.shape), array.shape)
    array = backend_of(array).xp.broadcast_to(array, shape)
    n = int(array.sum())
    flat = reshape(source, (-1,))
    if flat.shape[0] < n:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes and source with enough elements: "
            f"the mask has {n} true elements, source has {flat.shape[0]}"
        )
    return index_set(
        expand(input, shape),
        index_by_key(flat, (slice(0, n),)) if n == flat.shape[0] else flat[:n],
        (array,),
    )


def _masked_scatter_in_place(self: Tensor, mask: Any, source: Any) -> Tensor:
    """In-place version of `masked_scatter`."""
    array = backend_of(self._data).xp.broadcast_to(
        _check_mask("masked_scatter_", mask), self._data.shape
    )
    return self.index_set_(reshape(source, (-1,))[: int(array.sum())], (array,))  # type: ignore[attr-defined]


# By flat position -------------------------------------------------------------------------


@with_out
def take(input: Any, index: Any) -> Any:
    """The elements at these positions of the flattened input; the result has the shape of `index`.

    >>> import tensorlab as tl
    >>> tl.take(tl.tensor([[1, 2], [3, 4]]), tl.tensor([0, 3]))
    tensor([1, 4])
    """
    array = getattr(index, "_data", index)
    _check_index("take", array)
    flat = reshape(input, (-1,))
    n = flat.shape[0]
    if isinstance(array, np.ndarray) and array.size and not (-n <= array.min() and array.max() < n):
        raise IndexError(
            f"out of range: tried to access index {int(array.max())} on a tensor of {n} elements."
        )
    return index_by_key(flat, (array,))


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy with `source` stored (or added) at positions of the flattened input.

    >>> import tensorlab as tl
    >>> tl.put(tl.zeros(2, 2), tl.tensor([3]), tl.tensor([7.]))
    tensor([[0., 0.],
            [0., 7.]])
    """
    flat = index_put(reshape(input, (-1,)), (index,), source, accumulate)
    return reshape(flat, tuple(input.shape))


@with_out
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The positions of the elements other than 0: one row each, or one index tensor per dimension.

    >>> import tensorlab as tl
    >>> tl.nonzero(tl.tensor([0, 3, 5]))
    tensor([[1],
            [2]])
    """
    array = getattr(input, "_data", input)
    xp = backend_of(array).xp
    if as_tuple:
        found = xp.nonzero(array.reshape(1) if array.ndim == 0 else array)
        return tuple(wrap(i.astype(np.int64)) for i in found)
    if array.ndim == 0:
        return wrap(xp.zeros((int(bool(array)), 0), np.int64))
    return wrap(xp.stack(xp.nonzero(array), axis=1).astype(np.int64))


def argwhere(input: Any) -> Any:
    """As `nonzero`: the positions of the elements other than 0, one row each.

    >>> import tensorlab as tl
    >>> tl.argwhere(tl.tensor([[0, 1]]))
    tensor([[0, 1]])
    """
    return nonzero(input)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Class numbers as vectors with a single 1: a new last dimension of size `num_classes`.

    num_classes: the largest class + 1 unless given. The result is int64.

    Raises `RuntimeError` for classes out of range, or for input that isn't int64.

    >>> import tensorlab as tl
    >>> tl.nn.functional.one_hot(tl.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    array = getattr(tensor, "_data", tensor)
    if array.dtype != np.int64:
        raise RuntimeError(
            f"one_hot is only applicable to index tensor of type int64, got {from_numpy_dtype(array.dtype)}"
        )
    if array.size == 0 and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    if array.size and int(array.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    top = int(array.max()) + 1 if array.size else 0
    if num_classes == -1:
        num_classes = top
    if num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    if top > num_classes:
        raise RuntimeError(
            f"Class values must be smaller than num_classes, got class {top - 1} and num_classes={num_classes}."
        )
    xp = backend_of(array).xp
    return wrap((array[..., None] == xp.arange(num_classes)).astype(np.int64))


for _name, _method in {
    "index_select": index_select, "index_add": index_add, "index_add_": _index_add_in_place, "index_copy": index_copy,
    "index_copy_": _index_copy_in_place, "index_fill": index_fill, "index_fill_": _index_fill_in_place,
    "index_put": index_put, "index_put_": _index_put_in_place, "masked_select": masked_select,
    "masked_scatter": masked_scatter, "masked_scatter_": _masked_scatter_in_place, "take": take, "put": put,
    "nonzero": nonzero, "argwhere": argwhere,
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
