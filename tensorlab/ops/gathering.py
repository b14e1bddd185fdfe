"""Reading and writing at given positions: gather, scatter, index_select, masked_fill, take.

Most take the dimension before the index, as PyTorch does: `gather(input, dim, index)`. An index
holds int64 positions along `dim`; no gradient flows to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd.inplace import apply_inplace
from tensorlab.ops._dims import as_dim, numpy_names
from tensorlab.ops._out import with_out
from tensorlab.ops._scatter import combine_at
from tensorlab.ops.compare import where
from tensorlab.ops.elementwise import no_slope
from tensorlab.ops.index import copy, getitem, scatter_to
from tensorlab.ops.shape import expand, reshape

# Checking ---------------------------------------------------------------------------------


def _check_index(name: str, index: Any) -> None:
    if index.dtype.kind not in "iu" or index.dtype.itemsize < 4:
        raise RuntimeError(
            f"{name}(): Expected dtype int64 (or int32) for index, got {from_numpy_dtype(index.dtype)}"
        )


def _check_range(
    name: str, index: Any, dim: int, n: int, error: type[Exception] = IndexError
) -> None:
    # Reading an extreme of a GPU array waits for it; out of range on a GPU is undefined, as in PyTorch.
    if isinstance(index, np.ndarray) and index.size:
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= n:
            bad = low if low < 0 else high
            raise error(f"{name}(): index {bad} is out of bounds for dimension {dim} with size {n}")


def _grid(xp: Any, index: Any, dim: int) -> tuple[Any, ...]:
    """The full positions that an index along one dimension stands for."""
    ndim = index.ndim
    key = []
    for d, n in enumerate(index.shape):
        shape = [1] * ndim
        shape[d] = n
        key.append(index if d == dim else xp.arange(n).reshape(shape))
    return tuple(key)


def _check_gather(name: str, input: Any, index: Any, dim: int) -> tuple[Any, Any, int]:
    """0-dim operands as vectors of one element; the dimension from the front."""
    _check_index(name, index)
    dim = as_dim(name, dim, input.ndim)
    if input.ndim == 0:
        input = input.reshape(1)
    if index.ndim == 0:
        index = index.reshape(1)
    if index.ndim != input.ndim and index.size:
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor: {name}() got index "
            f"{list(index.shape)} and input {list(input.shape)}"
        )
    for d in range(input.ndim):
        if index.size and d != dim and index.shape[d] > input.shape[d]:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be no larger "
                f"than self {list(input.shape)} apart from dimension {dim}"
            )
    _check_range(name, index, dim, input.shape[dim], RuntimeError)
    return input, index, dim


# Gather and scatter -----------------------------------------------------------------------


@op(
    samples=lambda r: [
        Sample(r(3, 4), r.int(2, 4, low=0, high=3), 0), Sample(r(3, 4), r.int(3, 6, low=0, high=4), 1),
        Sample(r(3, 4), r.int(2, 1, low=0, high=4), -1), Sample(r(), np.array(0), 0),
        Sample(r(3, 4), np.zeros((0, 4), np.int64), 0), Sample(r(3), np.array(1), 0),
    ],
    errors=lambda r: [
        ErrorSample(r(3), r(3), 0, error=RuntimeError, match="Expected dtype int64"),
        ErrorSample(r(3), np.array([3]), 0, error=RuntimeError, match="index 3 is out of bounds for dim").looks(),
        ErrorSample(r(3, 2), np.array([0]), 0, error=RuntimeError, match="same number of dimensions"),
        ErrorSample(r(3, 2), np.zeros((1, 3), np.int64), 0, error=RuntimeError, match="match at dimension 1"),
    ],
    ref=lambda x, i, dim: _gather_reference(x, i, dim),
    torch=lambda x, i, dim: x.gather(dim, i), promote=(), result=None, name="gather",
)  # fmt: skip
def _gather(xp, input, index, /, dim):
    """`out[i][j] = input[index[i][j]][j]` for dim 0; `gather` is the public form."""
    shape = index.shape
    input, index, dim = _check_gather("gather", input, index, dim)
    if index.size == 0:
        return xp.zeros(shape, input.dtype)
    return input[_grid(xp, index, dim)].reshape(shape)


def _gather_reference(x: Any, index: Any, dim: int) -> np.ndarray:
    out = np.zeros(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        source = list(place)
        if source:
            source[dim] = index[place]
        out[place] = x[tuple(source)] if x.ndim == index.ndim else x[index[place]]
    return out


_gather.vjp(input=lambda g, input_shape, index, dim: gather_backward(g, index, input_shape, dim))


@op(
    samples=lambda r: [
        Sample(r(2, 4), r.int(2, 4, low=0, high=3), (3, 4), 0),
        Sample(r(3, 1), r.int(3, 1, low=0, high=4), (3, 4), 1),
    ],
    torch="", promote=(), result=None,
)  # fmt: skip
def gather_backward(xp, input, index, /, shape, dim):
    """Zeros of `shape` with `input` added at `index` along `dim`: the gradient of `gather`."""
    out = xp.zeros(shape or (1,), input.dtype)
    if index.size:
        index = index.reshape(1) if index.ndim == 0 else index
        key = _grid(xp, index, as_dim("gather", dim, out.ndim))
        combine_at(xp, "add", out, key, input.reshape(index.shape))
    return out.reshape(shape)


gather_backward.vjp(input=lambda g, index, dim: _gather(g, index, dim))


@numpy_names
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False, out: Any = None) -> Any:
    """The elements at `index` along `dim`: `out[i][j] = input[index[i][j]][j]` for dim 0.

    index: int64, as many dimensions as `input`, no larger than it except along `dim`; the result
        has its shape. sparse_grad: accepted for PyTorch's sake; gradients are dense.

    Raises `RuntimeError` for positions out of range and for a wrong shape or dtype.

    >>> import tensorlab as tl
    >>> tl.gather(tl.tensor([[1, 2], [3, 4]]), 1, tl.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    return _gather(input, index, dim, out=out)


@with_out
@numpy_names
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """As `gather`, with broadcasting; without `dim` from the flattened input.

    >>> import tensorlab as tl
    >>> x = tl.tensor([[3, 1], [2, 4]])
    >>> tl.take_along_dim(x, x.argsort(dim=1), dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    if dim is None:
        return _gather(reshape(input, (-1,)), reshape(indices, (-1,)), 0)
    axis = as_dim("take_along_dim", dim, len(input.shape))
    if len(input.shape) != len(indices.shape):
        raise RuntimeError(
            "take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {len(input.shape)} dimensions for input, and {len(indices.shape)} dimensions for indices"
        )
    shapes = [list(input.shape), list(indices.shape)]
    for s in shapes:
        s[axis] = 1
    common = list(np.broadcast_shapes(*shapes))
    to = [[*common[:axis], x.shape[axis], *common[axis + 1 :]] for x in (input, indices)]
    return _gather(expand(input, to[0]), expand(indices, to[1]), axis)


def _scattered(name: str, method: str) -> Any:
    """`scatter` and `scatter_add`: the source stored at, or added to, positions of a copy."""

    def forward(xp, input, src, index, /, dim):
        shape = input.shape
        out, index, dim = _check_gather(name, input.copy(), index, dim)
        if index.size == 0:
            return out.reshape(shape)
        if hasattr(src, "shape"):
            if src.dtype != out.dtype:
                raise RuntimeError(
                    f"{name}(): Expected self.dtype to be equal to src.dtype, got {from_numpy_dtype(out.dtype)} "
                    f"and {from_numpy_dtype(src.dtype)}"
                )
            src = src.reshape(1) if src.ndim == 0 else src
            src = src[tuple(slice(n) for n in index.shape)]
        key = _grid(xp, index, dim)
        if method == "add":
            combine_at(xp, "add", out, key, src)
        else:
            out[key] = src
        return out.reshape(shape)

    forward.__name__ = name
    forward.__doc__ = f"A copy with `src` at `index`; `{name}` is the public form."
    return op(
        samples=lambda r: [
            Sample(r(3, 4), r(2, 4), np.array([[0, 1, 2, 0], [1, 2, 0, 1]]), 0),
            Sample(r(3, 4), r(3, 5), np.array([[3], [0], [1]]), 1),
            *([Sample(r(3), 2.0, np.array([2, 0]), 0)] if method == "set" else []),
            Sample(r(3), r(3), np.array([], np.int64), 0),
        ],
        errors=lambda r: [
            ErrorSample(r(3), r(3), np.array([5]), 0, error=RuntimeError, match="out of bounds").looks(),
            ErrorSample(r(3), r(3), r(3), 0, error=RuntimeError, match="Expected dtype int64"),
        ],
        torch=lambda x, s, i, dim: getattr(x, name)(dim, i, s), promote=(), result=None, name=name,
    )(forward)  # fmt: skip


_scatter = _scattered("scatter", "set")
_scatter.vjp(
    input=lambda g, index, dim: _scatter(g, 0.0, index, dim),
    src=lambda g, src_shape, index, dim: _grad_of_source(g, src_shape, index, dim),
)
_scatter_add = _scattered("scatter_add", "add")
_scatter_add.vjp(
    input=lambda g: g,
    src=lambda g, src_shape, index, dim: _grad_of_source(g, src_shape, index, dim),
)


def _grad_of_source(g: Any, src_shape: tuple[int, ...], index: Any, dim: int) -> Any:
    """Read where it was written; what lies outside the index was not used."""
    read = _gather(g, index, dim)
    shape = tuple(index.shape)
    if shape == tuple(src_shape):
        return read
    if len(src_shape) == 0:
        return reshape(read, ())
    return scatter_to(read, tuple(src_shape), tuple(slice(n) for n in shape))


@with_out
def scatter(
    input: Any,
    dim: int,
    index: Any,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Any:
    """A copy of `input` with `src` stored at `index` along `dim`: `out[index[i][j]][j] = src[i][j]` for dim 0.

    src: a tensor at least as large as `index`, or a number (also as `value`).
    reduce: "add" or "multiply" combines instead of replacing; see `scatter_reduce`.

    Where an index comes twice, any of its values may win; gradients are right for unique ones.

    >>> import tensorlab as tl
    >>> tl.scatter(tl.zeros(3), 0, tl.tensor([2, 0]), tl.tensor([1., 5.]))
    tensor([5., 0., 1.])
    """
    source = _source(src, value)
    if reduce is None:
        return _scatter(input, source, index, dim)
    if reduce not in ("add", "multiply"):
        raise RuntimeError(f"reduce argument must be either add or multiply, got {reduce!r}")
    if not hasattr(source, "shape"):
        source = wrap(np.full(index.shape, source, input._data.dtype))
    return scatter_reduce(input, dim, index, source, {"add": "sum", "multiply": "prod"}[reduce])


def _source(src: Any, value: Any) -> Any:
    if (src is None) == (value is None):
        raise TypeError("scatter(): give either src or value")
    return value if src is None else src


def _scatter_in_place(
    self: Tensor,
    dim: int,
    index: Any,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    """In-place version of `scatter`."""
    if reduce is None:
        return apply_inplace(_scatter.op, (self, _source(src, value), index), (dim,))
    return apply_inplace(
        copy.op, (self, scatter(self, dim, index, src, value=value, reduce=reduce)), ()
    )


@with_out
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of `input` with `src` added at `index` along `dim`; positions may repeat.

    >>> import tensorlab as tl
    >>> tl.scatter_add(tl.zeros(2), 0, tl.tensor([1, 1, 0]), tl.tensor([1., 2., 3.]))
    tensor([3., 3.])
    """
    return _scatter_add(input, src, index, dim)


def _scatter_add_in_place(self: Tensor, dim: int, index: Any, src: Any) -> Tensor:
    """In-place version of `scatter_add`."""
    return apply_inplace(_scatter_add.op, (self, src, index), (dim,))


_REDUCTIONS = {
    "sum": "add",
    "prod": "multiply",
    "amax": "maximum",
    "amin": "minimum",
    "mean": "add",
}


@op(
    samples=lambda r: [
        *(Sample(r(3, 4), r(2, 4), r.int(2, 4, low=0, high=3), 0, how, keep)
          for how in ("sum", "prod", "amax", "amin", "mean") for keep in (True, False)),
    ],
    errors=lambda r: [
        ErrorSample(r(3), r(3), np.array([0]), 0, "max", error=RuntimeError, match="reduce argument must be"),
    ],
    torch=lambda x, s, i, dim, how, keep=True: x.scatter_reduce(dim, i, s, how, include_self=keep),
    promote=(), result=None, name="scatter_reduce",
)  # fmt: skip
def _scatter_reduce(xp, input, src, index, /, dim, reduce, include_self=True):
    """A copy with `src` combined at `index`; `scatter_reduce` is the public form."""
    if reduce not in _REDUCTIONS:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce!r}"
        )
    shape = input.shape
    out, index, dim = _check_gather("scatter_reduce", input.copy(), index, dim)
    if index.size == 0:
        return out.reshape(shape)
    key = _grid(xp, index, dim)
    src = src[tuple(slice(n) for n in index.shape)]
    if not include_self:
        neutral = {"sum": 0, "mean": 0, "prod": 1}.get(reduce)
        if neutral is None:
            limits = np.finfo(out.dtype) if out.dtype.kind == "f" else np.iinfo(out.dtype)
            neutral = limits.min if reduce == "amax" else limits.max
            if out.dtype.kind == "f":
                neutral = -np.inf if reduce == "amax" else np.inf
        out[key] = neutral
    combine_at(xp, _REDUCTIONS[reduce], out, key, src)
    if reduce == "mean":
        counts = _hits(xp, out.shape, key, include_self)
        out = out / counts if out.dtype.kind == "f" else out // counts.astype(out.dtype)
    return out.reshape(shape).astype(input.dtype)


def _hits(xp: Any, shape: tuple[int, ...], key: Any, include_self: bool) -> Any:
    counts = xp.zeros(shape) + (1.0 if include_self else 0.0)
    combine_at(xp, "add", counts, key, 1.0)
    return xp.maximum(counts, 1.0)


def _scatter_reduce_backward(g, input, src, index, out, dim, reduce, include_self, needs):
    zero = no_slope(g)
    like = _gather(zero, index, dim)
    source = _gather_top(src, index)
    if reduce in ("sum", "mean"):
        # How many values were combined in each place.
        ones = like + 1.0
        hits = _scatter_add(zero, ones, index, dim)
        share = g
        if reduce == "mean":
            total = hits + (1.0 if include_self else 0.0)
            share = g / where(total < 1.0, 1.0, total)
        mine = share if include_self else where(hits > 0, 0.0, g)
        theirs = _gather(share, index, dim)
    elif reduce == "prod":
        mine, theirs = _prod_shares(g, input, source, index, out, dim, include_self)
    else:
        # The winners of a place share its gradient.
        won = where(source == _gather(out, index, dim), like + 1.0, like)
        winners = _scatter_add(zero, won, index, dim)
        hit = _scatter_add(zero, like + 1.0, index, dim) > 0
        own = where(input == out if include_self else ~hit, zero + 1.0, zero)
        total = winners + own
        mine, theirs = g * own / total, won * _gather(g / total, index, dim)
    shape = tuple(src.shape)
    if shape != tuple(index.shape):
        theirs = scatter_to(theirs, shape, tuple(slice(n) for n in index.shape))
    return mine, theirs, None


def _gather_top(src: Any, index: Any) -> Any:
    if tuple(src.shape) == tuple(index.shape):
        return src
    return getitem(src, tuple(slice(n) for n in index.shape))


def _prod_shares(g, input, source, index, out, dim, include_self):
    """Products of all the others. Division is exact enough but for zeros, which are counted apart."""
    zero = no_slope(g)
    like = _gather(zero, index, dim)  # numbers alone would be float64
    is_zero = where(source == 0, like + 1.0, like)
    zeros = _scatter_add(zero, is_zero, index, dim)
    hit = _scatter_add(zero, like + 1.0, index, dim) > 0
    base = input if include_self else where(hit, 1.0, input)
    own_zero = where(base == 0, zero + 1.0, zero)
    total_zeros = zeros + own_zero
    safe_source, safe_base = where(source == 0, 1.0, source), where(base == 0, 1.0, base)
    # The product of everything that is not zero, in each place.
    nonzero = _scatter_reduce(safe_base, safe_source, index, dim, "prod", True)
    others_of_base = where(total_zeros - own_zero > 0, 0.0, nonzero / safe_base)
    mine = g * others_of_base
    if not include_self:
        mine = where(hit, 0.0, mine)
    others = where(
        _gather(total_zeros, index, dim) - is_zero > 0,
        0.0,
        _gather(nonzero, index, dim) / safe_source,
    )
    return mine, _gather(g, index, dim) * others


_scatter_reduce.vjp(_scatter_reduce_backward)


@with_out
def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy of `input` with `src` combined into the positions `index` along `dim`.

    reduce: "sum", "prod", "mean", "amax" or "amin". include_self: whether the old value counts.

    >>> import tensorlab as tl
    >>> tl.scatter_reduce(tl.zeros(2), 0, tl.tensor([0, 1, 1]), tl.tensor([1., 2., 5.]), "amax")
    tensor([1., 5.])
    """
    return _scatter_reduce(input, src, index, dim, reduce, include_self)


def _scatter_reduce_in_place(
    self: Tensor, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place version of `scatter_reduce`."""
    return apply_inplace(_scatter_reduce.op, (self, src, index), (dim, reduce, include_self))


@with_out
def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy of `input` with the slices of `source` combined into these positions of `dim`.

    reduce: "prod", "mean", "amax" or "amin". include_self: whether the old value counts.

    >>> import tensorlab as tl
    >>> tl.index_reduce(tl.ones(2), 0, tl.tensor([0, 0]), tl.tensor([2., 5.]), "prod")
    tensor([10.,  1.])
    """
    return _scatter_reduce(
        input, source, *_index_reduction(input, dim, index, source, reduce), reduce, include_self
    )


def _index_reduction(input: Any, dim: int, index: Any, source: Any, reduce: str) -> tuple[Any, int]:
    """The index of `scatter_reduce` that stands for one of whole slices, and the dimension."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}."
        )
    axis = as_dim("index_reduce", dim, len(input.shape))
    if len(index.shape) > 1:
        raise IndexError(
            f"index_reduce(): Index is supposed to be a vector, but got dim: {len(index.shape)}"
        )
    shape = [1] * max(len(source.shape), 1)
    shape[axis] = -1
    return expand(reshape(index, shape), tuple(source.shape) or (1,)), axis


def _index_reduce_in_place(
    self: Tensor, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place version of `index_reduce`."""
    grid, axis = _index_reduction(self, dim, index, source, reduce)
    return apply_inplace(_scatter_reduce.op, (self, source, grid), (axis, reduce, include_self))


for _name, _method in {
    "index_reduce": index_reduce, "index_reduce_": _index_reduce_in_place, "gather": gather,
    "take_along_dim": take_along_dim, "scatter": scatter, "scatter_": _scatter_in_place,
    "scatter_add": scatter_add, "scatter_add_": _scatter_add_in_place, "scatter_reduce": scatter_reduce,
    "scatter_reduce_": _scatter_reduce_in_place,
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
