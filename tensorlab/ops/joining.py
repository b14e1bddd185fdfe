"""New tensors out of whole ones: joining, repeating, turning round, padding."""

from __future__ import annotations

import builtins
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops._dims import as_dim, as_dims, numpy_names
from tensorlab.ops._out import with_out
from tensorlab.ops.cutting import narrow, unbind
from tensorlab.ops.shape import expand, reshape, sum_to
from tensorlab.ops.views import unsqueeze


def _legacy_empty(x: Any) -> bool:
    """PyTorch lets `tensor([])` be joined with anything, for old code."""
    return x.ndim == 1 and x.size == 0


@op(
    samples=lambda r: [
        Sample([r(2, 3), r(1, 3)]), Sample([r(2, 3), r(2, 1), r(2, 2)], 1), Sample([r(3)], dim=-1),
        Sample([r(2), r.int(2)]), Sample([r(0), r(2, 3)]), Sample([r(0, 2), r(1, 2)]),
    ],
    errors=lambda r: [
        ErrorSample([r(2, 3), r(2, 2)], error=RuntimeError, match="Sizes of tensors must match except in dimension 0"),
        ErrorSample([r(), r()], error=RuntimeError, match="zero-dimensional tensor"),
        ErrorSample([r(2), r(2, 2)], error=RuntimeError, match="same number of dimensions"),
        ErrorSample([r(2)], 1, error=IndexError, match="Dimension out of range"),
    ],
    variadic=True,
)  # fmt: skip
def cat(xp, tensors, /, dim=0):
    """Tensors joined along an existing dimension; their other sizes are equal.

    >>> import tensorlab as tl
    >>> tl.cat([tl.tensor([1, 2]), tl.tensor([3])])
    tensor([1, 2, 3])
    """
    for x in tensors:
        if x.ndim == 0:
            raise RuntimeError(
                "zero-dimensional tensor (at position 0) cannot be concatenated: use stack()"
            )
    kept = [x for x in tensors if not _legacy_empty(x)] or tensors[:1]
    first = kept[0]
    axis = as_dim("cat", dim, first.ndim)
    for i, x in enumerate(kept):
        if x.ndim != first.ndim:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {first.ndim} and {x.ndim}"
            )
        for d in range(first.ndim):
            if d != axis and x.shape[d] != first.shape[d]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {first.shape[d]} "
                    f"but got size {x.shape[d]} for tensor number {i} in the list."
                )
    return xp.concatenate(kept, axis=axis)


def _cat_backward(g, tensors_shape, dim, needs):
    ndim = builtins.max(len(s) for s in tensors_shape)
    dim, start, grads = dim % ndim, 0, []
    for shape, need in zip(tensors_shape, needs, strict=True):
        n = 0 if len(shape) != ndim or (len(shape) == 1 and shape[0] == 0) else shape[dim]
        if not need:
            grads.append(None)
        else:
            piece = narrow(g, dim, start, n)
            grads.append(
                piece if len(shape) == ndim else reshape(narrow(reshape(g, (-1,)), 0, 0, 0), shape)
            )
        start += n
    return grads


cat.vjp(_cat_backward)


def _checked(function: Any, empty: Exception) -> Any:
    """The function of a sequence of tensors with PyTorch's errors for what is no such sequence."""

    @functools.wraps(function)  # keeps `.op`: it is the same operation
    def checked(tensors: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(tensors, (list, tuple)):
            raise TypeError(
                f"{function.__name__}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
                f"{type(tensors).__name__}"
            )
        if not tensors:
            raise empty
        for i, x in enumerate(tensors):
            if not hasattr(x, "ndim"):
                raise TypeError(
                    f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}"
                )
        return function(tensors, *args, **kwargs)

    return checked


cat = _checked(cat, ValueError("torch.cat(): expected a non-empty list of Tensors"))
concat = concatenate = cat


@op(
    samples=lambda r: [
        Sample([r(2, 3), r(2, 3)]), Sample([r(2), r(2), r(2)], -1), Sample([r(), r()]), Sample([r(2), r.int(2)], 1),
    ],
    errors=lambda r: [
        ErrorSample([r(2), r(3)], error=RuntimeError, match="stack expects each tensor to be equal size"),
        ErrorSample([r(2)], 3, error=IndexError, match="Dimension out of range"),
    ],
    variadic=True,
)  # fmt: skip
def stack(xp, tensors, /, dim=0):
    """Tensors of one shape joined along a new dimension.

    >>> import tensorlab as tl
    >>> tl.stack([tl.tensor([1, 2]), tl.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 and "
                f"{list(x.shape)} at entry {i}"
            )
    return xp.stack(tensors, axis=as_dim("stack", dim, tensors[0].ndim + 1))


stack.vjp(
    lambda g, dim, needs: [
        p if need else None for p, need in zip(unbind(g, dim), needs, strict=True)
    ]
)
stack = _checked(stack, RuntimeError("stack expects a non-empty TensorList"))


def _at_least(n: int, x: Any) -> Any:
    """With new dimensions of size 1, as NumPy's atleast_1d, 2d and 3d."""
    while len(x.shape) < n:
        x = unsqueeze(x, 0 if len(x.shape) != 2 else 2)
    return x


@with_out
def hstack(tensors: Sequence[Any]) -> Any:
    """Joined side by side: along dimension 1, vectors along 0.

    >>> import tensorlab as tl
    >>> tl.hstack([tl.tensor([1, 2]), tl.tensor([3])])
    tensor([1, 2, 3])
    """
    wide = [_at_least(1, x) for x in tensors]
    return cat(wide, 0 if len(wide[0].shape) == 1 else 1)


@with_out
def vstack(tensors: Sequence[Any]) -> Any:
    """Joined below each other: along dimension 0, vectors as rows.

    >>> import tensorlab as tl
    >>> tl.vstack([tl.tensor([1, 2]), tl.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return cat([_at_least(2, x) for x in tensors], 0)


row_stack = vstack


@with_out
def dstack(tensors: Sequence[Any]) -> Any:
    """Joined along dimension 2.

    >>> import tensorlab as tl
    >>> tl.dstack([tl.tensor([1, 2]), tl.tensor([3, 4])]).shape
    tensorlab.Size([1, 2, 2])
    """
    return cat([_at_least(3, x) for x in tensors], 2)


@with_out
def column_stack(tensors: Sequence[Any]) -> Any:
    """Vectors as the columns of a matrix; matrices side by side.

    >>> import tensorlab as tl
    >>> tl.column_stack([tl.tensor([1, 2]), tl.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    return cat([reshape(x, (-1, 1)) if len(x.shape) < 2 else x for x in tensors], 1)


# Repeating --------------------------------------------------------------------------------


@op(
    samples=lambda r: [Sample(r(2, 3), (2, 1)), Sample(r(3), (2, 2)), Sample(r(), (3,)), Sample(r(2), (0,))],
    errors=lambda r: [
        ErrorSample(r(2, 3), (2,), error=RuntimeError, match="can not be smaller than number of dimensions"),
    ],
    ref=np.tile, torch="Tensor.repeat", varargs="repeats", method=True,
)  # fmt: skip
def repeat(xp, input, /, repeats):
    """The tensor repeated that many times along each dimension (copied; `expand` does not copy).

    >>> import tensorlab as tl
    >>> tl.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    repeats = tuple(int(n) for n in repeats)
    if len(repeats) < input.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"got {len(repeats)} and {input.ndim}"
        )
    return xp.tile(input, repeats)


def _repeat_backward(g, input_shape, repeats):
    # Every dimension as (copies, size): the gradient is the sum over the copies.
    shape = (1,) * (len(repeats) - len(input_shape)) + tuple(input_shape)
    split = tuple(itertools.chain.from_iterable(zip(map(int, repeats), shape, strict=True)))
    kept = tuple(itertools.chain.from_iterable((1, n) for n in shape))
    return reshape(sum_to(reshape(g, split), kept), input_shape)


repeat.vjp(input=_repeat_backward)


def tile(input: Any, *dims: Any) -> Any:
    """As `repeat`, but missing leading repeats are 1.

    >>> import tensorlab as tl
    >>> tl.tile(tl.tensor([1, 2]), (2,))
    tensor([1, 2, 1, 2])
    """
    repeats = tuple(dims[0]) if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return repeat(input, (1,) * (len(input.shape) - len(repeats)) + tuple(repeats))


@numpy_names
def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each element (or slice along `dim`) repeated, one after the other; without `dim` flattened.

    With `repeats` alone: 0 that many times, then 1, and so on. output_size: how many there will be,
    checked; PyTorch needs it to avoid waiting for a GPU.

    >>> import tensorlab as tl
    >>> tl.repeat_interleave(tl.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if repeats is None:
        from tensorlab.ops.creation import arange

        return repeat_interleave(arange(input.shape[0]), input)
    if dim is None:
        input, dim = reshape(input, (-1,)), 0
    n = input.shape[as_dim("repeat_interleave", dim, len(input.shape))]
    counts = repeats._data if isinstance(repeats, Tensor) else np.asarray(repeats)
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    if counts.ndim and counts.shape[0] not in (1, n):
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got {counts.shape[0]} and {n}"
        )
    positions = np.repeat(np.arange(n), np.broadcast_to(counts, (n,)))
    if output_size is not None and output_size != positions.size:
        raise RuntimeError(
            f"repeat_interleave: allocated size does not match required size: output_size={output_size}, "
            f"but the repeats add up to {positions.size}"
        )
    key = (slice(None),) * (dim % len(input.shape)) + (positions,)
    from tensorlab.ops.index import index

    return index(input, key)


# Turning round ----------------------------------------------------------------------------


@op(
    samples=lambda r: [Sample(r(2, 3), (0,)), Sample(r(2, 3, 2), (0, -1)), Sample(r(3), (0,)), Sample(r(2, 3), ())],
    errors=lambda r: [
        ErrorSample(r(3), (1,), error=IndexError, match="Dimension out of range"),
        ErrorSample(r(3), (0, 0), error=RuntimeError, match="appears multiple times"),
    ],
    ref=np.flip, varargs="dims", method=True,
)  # fmt: skip
def flip(xp, input, /, dims):
    """The order of the elements reversed along `dims` (copied: strides here are never negative).

    >>> import tensorlab as tl
    >>> tl.flip(tl.tensor([[1, 2], [3, 4]]), (1,))
    tensor([[2, 1],
            [4, 3]])
    """
    return xp.flip(input, as_dims("flip", dims, input.ndim)).copy()


flip.vjp(input=lambda g, dims: flip(g, dims))


def fliplr(input: Any) -> Any:
    """Left and right exchanged: `flip` along dimension 1.

    >>> import tensorlab as tl
    >>> tl.fliplr(tl.tensor([[1, 2]]))
    tensor([[2, 1]])
    """
    if len(input.shape) < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, (1,))


def flipud(input: Any) -> Any:
    """Up and down exchanged: `flip` along dimension 0.

    >>> import tensorlab as tl
    >>> tl.flipud(tl.tensor([1, 2]))
    tensor([2, 1])
    """
    if len(input.shape) < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, (0,))


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """Turned by k·90 degrees in the plane of two dimensions, from the first towards the second.

    >>> import tensorlab as tl
    >>> tl.rot90(tl.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    from tensorlab.ops.shape import transpose

    a, b = as_dims("rot90", tuple(dims), len(input.shape))
    k = k % 4
    if k == 2:
        return flip(input, (a, b))
    if k == 0:
        return input * 1
    return flip(transpose(input, a, b), (a,)) if k == 1 else transpose(flip(input, (a,)), a, b)


@op(
    samples=lambda r: [
        Sample(r(2, 3), 1), Sample(r(2, 3), 1, 0), Sample(r(2, 3), (1, -2), (0, 1)), Sample(r(3), 5, -1),
    ],
    errors=lambda r: [ErrorSample(r(3), (1, 2), 0, error=RuntimeError, match="shifts and dimensions must align")],
    ref=lambda x, shifts, dims=None: np.roll(x, shifts, dims), method=True,
)  # fmt: skip
def roll(xp, input, /, shifts, dims=None):
    """The elements moved along `dims`, those that leave at the end coming back at the start.

    Without `dims` the tensor is rolled as if it were flat.

    >>> import tensorlab as tl
    >>> tl.roll(tl.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    if dims is None or dims == ():
        return xp.roll(input, shifts if isinstance(shifts, int) else shifts[0])
    many = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    along = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(many) != len(along):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(many)}, dims: {len(along)}"
        )
    return xp.roll(input, many, tuple(as_dim("roll", d, input.ndim) for d in along))


roll.vjp(
    input=lambda g, shifts, dims: roll(
        g, -shifts if isinstance(shifts, int) else tuple(-s for s in shifts), dims
    )
)


# Triangles --------------------------------------------------------------------------------


def _triangle(name: str, part: str, example: str) -> Any:
    def forward(xp, input, /, diagonal=0):
        if input.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        return getattr(xp, name)(input, diagonal)

    forward.__name__ = name
    forward.__doc__ = (
        f"The {part} triangle of the last two dimensions, the rest 0; `diagonal` > 0 starts above the main one.\n\n"
        f"    >>> import tensorlab as tl\n    >>> tl.{name}(tl.tensor([[1, 2], [3, 4]]))\n    tensor({example})\n    "
    )
    made = op(
        samples=lambda r: [Sample(r(3, 3)), Sample(r(2, 3), 1), Sample(r(2, 3, 2), -1), Sample(r.int(2, 2))],
        errors=lambda r: [ErrorSample(r(3), error=RuntimeError, match="at least 2 dimensions")],
        ref=getattr(np, name), method=True, inplace=True,
    )(forward)  # fmt: skip
    made.vjp(input=lambda g, diagonal: made(g, diagonal))
    return made


tril = _triangle("tril", "lower", "[[1, 0],\n            [3, 4]]")
triu = _triangle("triu", "upper", "[[1, 2],\n            [0, 4]]")


@with_out
def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal.

    >>> import tensorlab as tl
    >>> tl.diag(tl.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    from tensorlab.ops.strided import diagonal as diagonal_of

    if len(input.shape) == 1:
        return diag_embed(input, diagonal)
    if len(input.shape) != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {len(input.shape)}D")
    return diagonal_of(input, diagonal) * 1


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the last dimension of `input` on their diagonals.

    >>> import tensorlab as tl
    >>> tl.diag_embed(tl.tensor([[1, 2]])).shape
    tensorlab.Size([1, 2, 2])
    """
    from tensorlab.ops.strided import diagonal_scatter_to

    ndim, n = len(input.shape) + 1, input.shape[-1] + builtins.abs(offset)
    a, b = as_dims("diag_embed", (dim1, dim2), ndim)
    shape = list(input.shape[:-1])
    for d in sorted((a, b)):
        shape.insert(d, n)
    return diagonal_scatter_to(input, tuple(shape), offset, a, b)


def diagflat(input: Any, offset: int = 0) -> Any:
    """The matrix with all elements of `input` on its diagonal.

    >>> import tensorlab as tl
    >>> tl.diagflat(tl.tensor([[1], [2]]))
    tensor([[1, 0],
            [0, 2]])
    """
    return diag(reshape(input, (-1,)), offset)


def block_diag(*tensors: Any) -> Any:
    """The matrix with these matrices along its diagonal.

    >>> import tensorlab as tl
    >>> tl.block_diag(tl.tensor([[1, 2]]), tl.tensor([[3]]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    from tensorlab.ops.index import scatter_to

    blocks = [_at_least(2, x) for x in tensors]
    rows, columns = (builtins.sum(b.shape[d] for b in blocks) for d in (0, 1))
    out, i, j = None, 0, 0
    for b in blocks:
        h, w = b.shape
        placed = scatter_to(b, (rows, columns), (slice(i, i + h), slice(j, j + w)))
        out = placed if out is None else out + placed
        i, j = i + h, j + w
    return out


def broadcast_to(input: Any, size: Sequence[int]) -> Any:
    """`input` expanded to `size`, see `Tensor.expand`.

    >>> import tensorlab as tl
    >>> tl.broadcast_to(tl.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand(input, size)


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """All tensors expanded to their common shape.

    >>> import tensorlab as tl
    >>> a, b = tl.broadcast_tensors(tl.zeros(2, 1), tl.zeros(3))
    >>> a.shape, b.shape
    (tensorlab.Size([2, 3]), tensorlab.Size([2, 3]))
    """
    shape = broadcast_shapes(*(x.shape for x in tensors))
    return tuple(expand(x, shape) for x in tensors)


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that tensors of these shapes broadcast to.

    >>> import tensorlab as tl
    >>> tl.broadcast_shapes((2, 1), (3,))
    tensorlab.Size([2, 3])
    """
    from tensorlab._tensor import Size

    shapes = tuple((s,) if isinstance(s, int) else tuple(s) for s in shapes)
    try:
        return Size(np.broadcast_shapes(*shapes))
    except ValueError:
        listed = ", ".join(str(list(s)) for s in shapes)
        raise RuntimeError(
            f"Shape mismatch: objects cannot be broadcast to a single shape, got {listed}"
        ) from None


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Grids of coordinates: the i-th result varies along dimension i alone.

    indexing: "ij" (matrix order) or "xy", which exchanges the first two dimensions.

    >>> import tensorlab as tl
    >>> x, y = tl.meshgrid(tl.tensor([1, 2]), tl.tensor([3, 4, 5]))
    >>> x.shape
    tensorlab.Size([2, 3])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    for x in tensors:
        if len(x.shape) > 1:
            raise RuntimeError(
                f"meshgrid: Expected 0D or 1D tensor in the tensor list but got: {list(x.shape)}"
            )
    swap = indexing == "xy" and len(tensors) > 1
    order = [1, 0, *range(2, len(tensors))] if swap else list(range(len(tensors)))
    sizes = [1 if len(tensors[i].shape) == 0 else tensors[i].shape[0] for i in order]
    grids = []
    for i, x in enumerate(tensors):
        shape = [1] * len(tensors)
        shape[order.index(i)] = -1
        grids.append(expand(reshape(x, shape), sizes))
    return tuple(grids)


def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of one element of each vector, as rows.

    >>> import tensorlab as tl
    >>> tl.cartesian_prod(tl.tensor([1, 2]), tl.tensor([3, 4])).shape
    tensorlab.Size([4, 2])
    """
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(x, (-1,)) for x in meshgrid(*tensors)], 1)


for _name, _method in {
    "tile": tile, "repeat_interleave": repeat_interleave, "fliplr": fliplr, "flipud": flipud, "rot90": rot90,
    "diag": diag, "diag_embed": diag_embed, "diagflat": diagflat, "broadcast_to": broadcast_to,
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
