"""Copies with one part written anew: select_scatter, slice_scatter, diagonal_scatter, as_strided_scatter.

Each is the counterpart of a view: where `x.select(0, 1)` shows a part, `select_scatter` gives x with
other values there. Functional code uses them for what `x[1] = y` does in place.
"""

from __future__ import annotations

from typing import Any

from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import normalize_dim
from tensorlab.ops.convert import clone
from tensorlab.ops.cutting import select
from tensorlab.ops.index import getitem
from tensorlab.ops.strided import as_strided, diagonal, strided_part


def _store(name: str, out: Any, part: Any, src: Any) -> Any:
    if tuple(part.shape) != tuple(src.shape):
        raise RuntimeError(
            f"{name}: expected src to have a size equal to the slice of self. src size = {list(src.shape)}, "
            f"slice size = {list(part.shape)}"
        )
    part[...] = src
    return out


def _bounds(n: int, start: int | None, end: int | None, step: int) -> slice:
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    first, last, _ = slice(start, end).indices(n)
    return slice(first, max(first, last), step)


def _slice_key(ndim: int, shape: Any, dim: int, start: Any, end: Any, step: int) -> tuple[Any, ...]:
    dim = normalize_dim(dim, ndim)
    return (slice(None),) * dim + (_bounds(shape[dim], start, end, step),)


@op(
    samples=lambda r: [
        Sample(r(3, 4), r(4), 0, 1), Sample(r(3, 4), r(3), -1, -2), Sample(r(2, 3, 4), r(2, 4), 1, 0),
        Sample(r(3), r(), 0, 2),
    ],
    errors=lambda r: [
        ErrorSample(r(3, 4), r(3), 0, 1, error=RuntimeError, match="src size"),
        ErrorSample(r(3), r(), 0, 3, error=IndexError, match="out of range"),
    ],
    result=None, method=True,
)  # fmt: skip
def select_scatter(xp, input, src, /, dim, index):
    """A copy of `input` with `src` at one position of `dim`: what `x.select(dim, index)` shows.

    >>> import tensorlab as tl
    >>> tl.select_scatter(tl.zeros(2, 2), tl.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    out = input.copy()
    return _store("select_scatter", out, select.op.forward(xp, out, dim, index), src)


@op(
    samples=lambda r: [
        Sample(r(5, 2), r(3, 2), 0, 1, 4), Sample(r(2, 5), r(2, 3), 1, None, None, 2), Sample(r(4), r(2), 0, -2),
        Sample(r(4), r(4)), Sample(r(4), r(0), 0, 4, 2),
    ],
    errors=lambda r: [
        ErrorSample(r(3, 4), r(3), 0, 1, 2, error=RuntimeError, match="src size"),
        ErrorSample(r(3), r(3), 0, 0, 3, 0, error=RuntimeError, match="step must be positive"),
    ],
    result=None, method=True,
)  # fmt: skip
def slice_scatter(xp, input, src, /, dim=0, start=None, end=None, step=1):
    """A copy of `input` with `src` in a slice of `dim`: what `x[start:end:step]` shows for dim 0.

    >>> import tensorlab as tl
    >>> tl.slice_scatter(tl.zeros(4), tl.ones(2), 0, 1, 3)
    tensor([0., 1., 1., 0.])
    """
    out = input.copy()
    key = _slice_key(out.ndim, out.shape, dim, start, end, step)
    return _store("slice_scatter", out, out[key], src)


@op(
    samples=lambda r: [
        Sample(r(3, 4), r(3)), Sample(r(3, 4), r(3), 1), Sample(r(4, 3), r(2), -2),
        Sample(r(2, 3, 4), r(3, 2), 0, 0, 2),
    ],
    errors=lambda r: [ErrorSample(r(3, 4), r(4), error=RuntimeError, match="src size")], result=None, method=True,
)  # fmt: skip
def diagonal_scatter(xp, input, src, /, offset=0, dim1=0, dim2=1):
    """A copy of `input` with `src` on a diagonal: what `x.diagonal(offset, dim1, dim2)` shows.

    >>> import tensorlab as tl
    >>> tl.diagonal_scatter(tl.zeros(2, 2), tl.tensor([1., 2.]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    out = input.copy()
    return _store("diagonal_scatter", out, diagonal.op.forward(xp, out, offset, dim1, dim2), src)


@op(
    samples=lambda r: [
        Sample(r(6), r(2, 2), (2, 2), (3, 1)), Sample(r(3, 3), r(3), (3,), (4,)), Sample(r(6), r(2), (2,), (2,), 1),
    ],
    errors=lambda r: [
        ErrorSample(r(6), r(3), (2,), (1,), error=RuntimeError, match="src size"),
        ErrorSample(r(4), r(3), (3,), (2,), error=RuntimeError, match="out of bounds for storage of size"),
    ],
    torch=lambda x, src, *part: _torch_write(x, src, *part), result=None, method=True,
)  # fmt: skip
def as_strided_scatter(xp, input, src, /, size, stride, storage_offset=None):
    """A copy of `input` with `src` in a part given by strides: what `x.as_strided(size, stride)` shows.

    >>> import tensorlab as tl
    >>> tl.as_strided_scatter(tl.zeros(2, 2), tl.ones(2), (2,), (3,))
    tensor([[1., 0.],
            [0., 1.]])
    """
    out = input.copy(order="C")
    part = strided_part(xp, out, tuple(size), tuple(stride), storage_offset or 0)
    return _store("as_strided_scatter", out, part, src)


def _slice_of(g: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    return getitem(g, _slice_key(len(g.shape), g.shape, dim, start, end, step))


def _torch_write(x: Any, src: Any, *part: Any) -> Any:
    """The same in place: PyTorch's own `as_strided_scatter` gives `input` the gradient of `src` (2.13)."""
    out = x.clone()
    out.as_strided(*part).copy_(src)
    return out


def _strided_of(g: Any, size: Any, stride: Any, storage_offset: int | None) -> Any:
    return as_strided(clone(g), size, stride, storage_offset or 0)


# The written part passes its gradient to `src`, the rest to `input`.
select_scatter.vjp(
    input=lambda g, dim, index: select_scatter(g, select(g, dim, index) * 0.0, dim, index),
    src=lambda g, dim, index: select(g, dim, index),
)
slice_scatter.vjp(
    input=lambda g, dim, start, end, step: slice_scatter(
        g, _slice_of(g, dim, start, end, step) * 0.0, dim, start, end, step
    ),
    src=lambda g, dim, start, end, step: _slice_of(g, dim, start, end, step),
)
diagonal_scatter.vjp(
    input=lambda g, offset, dim1, dim2: diagonal_scatter(
        g, diagonal(g, offset, dim1, dim2) * 0.0, offset, dim1, dim2
    ),
    src=lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2),
)
as_strided_scatter.vjp(
    input=lambda g, size, stride, storage_offset: as_strided_scatter(
        g, _strided_of(g, size, stride, storage_offset) * 0.0, size, stride, storage_offset
    ),
    src=lambda g, size, stride, storage_offset: _strided_of(g, size, stride, storage_offset),
)
