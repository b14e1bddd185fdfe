"""Views of parts of a tensor: one position or a stretch of a dimension, or all of it in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops import _names
from tensorlab.ops._dims import as_dim, numpy_names
from tensorlab.ops.index import scatter_to

# One view ---------------------------------------------------------------------------------


def along(ndim: int, dim: int, key: Any) -> tuple[Any, ...]:
    """The index that has `key` at `dim` and all of the other dimensions."""
    return (slice(None),) * dim + (key,) + (slice(None),) * (ndim - dim - 1)


@op(
    samples=lambda r: [Sample(r(3, 4), 0, 1), Sample(r(3, 4), 1, -1), Sample(r(2, 3, 4), -2, 0)],
    errors=lambda r: [
        ErrorSample(r(3), 0, 3, error=IndexError, match="select"),
        ErrorSample(r(), 0, 0, error=IndexError, match="cannot be applied to a 0-dim tensor"),
    ],
    ref=lambda x, dim, index: np.take(x, index, axis=dim), view=True, method=True,
)  # fmt: skip
def select(xp, input, /, dim, index):
    """The view at one position of `dim`, which disappears: `x[:, index]` for dim 1.

    >>> import tensorlab as tl
    >>> tl.select(tl.tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = as_dim("select", dim, input.ndim)
    n, index = input.shape[dim], int(index)
    if not -n <= index < n:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {dim}"
        )
    return input[(*along(input.ndim, dim, index), Ellipsis)]


select.vjp(
    input=lambda g, input_shape, dim, index: scatter_to(
        g, input_shape, along(len(input_shape), dim % len(input_shape), int(index))
    )
)


@op(
    samples=lambda r: [
        Sample(r(4, 3), 0, 1, 2), Sample(r(4, 3), -1, 0, 3), Sample(r(4, 3), 0, -2, 1), Sample(r(4), 0, 4, 0),
    ],
    errors=lambda r: [
        ErrorSample(r(3), 0, 2, 2, error=RuntimeError, match="exceeds dimension size"),
        ErrorSample(r(3), 0, 0, -1, error=RuntimeError, match="length must be non-negative"),
    ],
    ref=lambda x, dim, start, length: _narrow_reference(x, dim, start, length),
    view=True, method=True, node_name="Slice",
)  # fmt: skip
def narrow(xp, input, /, dim, start, length):
    """The view of `length` positions of `dim` from `start` on.

    >>> import tensorlab as tl
    >>> tl.narrow(tl.tensor([1, 2, 3, 4]), 0, 1, 2)
    tensor([2, 3])
    """
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    dim, start = as_dim("narrow", dim, input.ndim), int(start)
    n = input.shape[dim]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= start <= n:
        raise IndexError(
            f"start out of range (expected to be in range of [{-n}, {n}], but got {start})"
        )
    if start < 0:
        start += n
    if start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return input[along(input.ndim, dim, slice(start, start + length))]


def _narrow_reference(x: Any, dim: int, start: int, length: int) -> np.ndarray:
    if start < 0:
        start += x.shape[dim]
    return np.take(x, range(start, start + length), axis=dim)


def _narrow_backward(g, input_shape, dim, start, length):
    dim = dim % len(input_shape)
    start = int(start) % input_shape[dim] if start < 0 else int(start)
    return scatter_to(g, input_shape, along(len(input_shape), dim, slice(start, start + length)))


narrow.vjp(input=_narrow_backward)


# Into several views -----------------------------------------------------------------------


def _pieces(input: Any, sizes: Sequence[int], dim: int) -> tuple[Any, ...]:
    out, start = [], 0
    for n in sizes:
        out.append(input[along(input.ndim, dim, slice(start, start + n))])
        start += n
    return tuple(out)


@op(
    samples=lambda r: [
        Sample(r(5, 2), 2), Sample(r(5, 2), [1, 4]), Sample(r(2, 4), 3, 1), Sample(r(2, 4), [4], dim=-1),
    ],
    errors=lambda r: [
        ErrorSample(r(5), [1, 2], error=RuntimeError, match="sum exactly to 5"),
        ErrorSample(r(), 1, error=RuntimeError, match="at least a 1-dimensional tensor"),
        ErrorSample(r(3), -1, error=RuntimeError, match="non-negative"),
    ],
    view=True, method=True,
)  # fmt: skip
def split(xp, tensor, /, split_size_or_sections, dim=0):
    """Views of consecutive pieces along `dim`: all of one size (the last may be smaller), or of a list of sizes.

    >>> import tensorlab as tl
    >>> tl.split(tl.tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    """
    if tensor.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = as_dim("split", dim, tensor.ndim)
    n = tensor.shape[dim]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and n):
            raise RuntimeError(
                f"split expects split_size be non-negative (and positive for a dimension of size {n}), but got "
                f"split_size={size}"
            )
        sizes = [min(size, n - start) for start in range(0, n, size)] if n else [0]
    else:
        sizes = [int(s) for s in split_size_or_sections]
        if sum(sizes) != n or any(s < 0 for s in sizes):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension "
                f"{dim}), but got split_sizes={sizes}"
            )
    return _pieces(tensor, sizes, dim)


split.op.names = _names.pieces
split.vjp(tensor=lambda g, dim: _joined(g, dim))


def _joined(g: Any, dim: int) -> Any:
    from tensorlab.ops.joining import cat

    return cat(list(g) if isinstance(g, tuple) else [g], dim)


@op(
    samples=lambda r: [Sample(r(3, 2)), Sample(r(3, 2), 1), Sample(r(2, 3, 4), -2)],
    errors=lambda r: [ErrorSample(r(), error=IndexError, match="0-dim|Dimension")],
    view=True, method=True,
)  # fmt: skip
def unbind(xp, input, /, dim=0):
    """Views of all positions of `dim`, which disappears.

    >>> import tensorlab as tl
    >>> tl.unbind(tl.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    if input.ndim == 0:
        raise IndexError(
            "unbind: Dimension specified as 0 but tensor has no dimensions (a 0-dim tensor)"
        )
    dim = as_dim("unbind", dim, input.ndim)
    return tuple(input[(*along(input.ndim, dim, i), Ellipsis)] for i in range(input.shape[dim]))


def _unbind_backward(g, dim):
    from tensorlab.ops.joining import stack

    return stack(list(g) if isinstance(g, tuple) else [g], dim)


unbind.vjp(input=_unbind_backward)


@numpy_names
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Views of at most `chunks` pieces along `dim`, all of one size but the last.

    >>> import tensorlab as tl
    >>> tl.chunk(tl.tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    """
    if len(input.shape) == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input.shape[as_dim("chunk", dim, len(input.shape))]
    return split(input, -(-n // chunks), dim) if n else split(input, [0] * chunks, dim)


@numpy_names
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of that many pieces, as equal as can be, or of the pieces between these indices.

    >>> import tensorlab as tl
    >>> tl.tensor_split(tl.tensor([1, 2, 3]), (1,))
    (tensor([1]), tensor([2, 3]))
    """
    n = input.shape[as_dim("tensor_split", dim, len(input.shape))]
    if isinstance(indices_or_sections, int):
        if indices_or_sections <= 0:
            raise RuntimeError(
                f"number of sections must be larger than 0, got {indices_or_sections}"
            )
        small, larger = divmod(n, indices_or_sections)
        indices_or_sections = [i * small + min(i, larger) for i in range(1, indices_or_sections)]
    # Each piece is a view of its own, which may be written to, unlike those of `split`.
    ends = [min(max(int(i) + n * (int(i) < 0), 0), n) for i in indices_or_sections]
    starts = [0, *ends]
    pieces = [narrow(input, dim, a, max(b - a, 0)) for a, b in zip(starts, [*ends, n], strict=True)]
    return tuple(pieces)


def _cut(name: str, input: Any, parts: Any, dim: int, ndim: int) -> tuple[Any, ...]:
    """`tensor_split` of a tensor with at least `ndim` dimensions, into equal parts if their number is given."""
    shape = tuple(input.shape)
    if len(shape) < ndim:
        raise RuntimeError(
            f"{name} requires a tensor with at least {ndim} dimension, but got a tensor with {len(shape)} dimensions!"
        )
    if isinstance(parts, int) and (parts <= 0 or shape[dim] % parts):
        raise RuntimeError(
            f"{name} attempted to split along dimension {dim}, but the size of the dimension {shape[dim]} is not "
            f"divisible by the split_size {parts}!"
        )
    return tensor_split(input, parts, dim)


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split side by side: `tensor_split` along dimension 1, of a vector along 0.

    >>> import tensorlab as tl
    >>> tl.hsplit(tl.tensor([1, 2, 3, 4]), 2)
    (tensor([1, 2]), tensor([3, 4]))
    """
    return _cut("hsplit", input, indices_or_sections, 0 if len(input.shape) == 1 else 1, 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split into upper and lower parts: `tensor_split` along dimension 0.

    >>> import tensorlab as tl
    >>> tl.vsplit(tl.tensor([[1], [2]]), 2)
    (tensor([[1]]), tensor([[2]]))
    """
    return _cut("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split along dimension 2, as `tensor_split`.

    >>> import tensorlab as tl
    >>> tl.dsplit(tl.zeros(1, 1, 2), 2)[0].shape
    tensorlab.Size([1, 1, 1])
    """
    return _cut("dsplit", input, indices_or_sections, 2, 3)


for _name, _method in {
    "chunk": chunk, "tensor_split": tensor_split, "hsplit": hsplit, "vsplit": vsplit, "dsplit": dsplit,
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
