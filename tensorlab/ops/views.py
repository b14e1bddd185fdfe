"""More views of the same memory: adding, dropping, moving, cutting dimensions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._backend import backend_of, strided_view
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, address, element_strides, normalize_dim, root_array
from tensorlab.ops import _names
from tensorlab.ops._dims import as_dim, as_dims, numpy_names
from tensorlab.ops.index import index, scatter_to
from tensorlab.ops.shape import permute, reshape, sum_to, transpose


def _out_of_range(r: Any) -> list[ErrorSample]:
    return [ErrorSample(r(2, 3), 5, error=IndexError, match="Dimension out of range")]


# Dimensions of size 1 ---------------------------------------------------------------------


@op(
    samples=lambda r: [
        Sample(r(1, 2, 1)), Sample(r(1, 2, 1), 0), Sample(r(1, 2, 1), 1), Sample(r(1, 2, 1), (0, -1)), Sample(r()),
    ],
    errors=_out_of_range, ref=lambda x, dim=None: _squeeze(x, dim), view=True, method=True,
)  # fmt: skip
def squeeze(xp, input, /, dim=None):
    """A view without the dimensions of size 1, or without `dim` (int or tuple) where it has size 1.

    >>> import tensorlab as tl
    >>> tl.squeeze(tl.zeros(1, 2, 1)).shape
    tensorlab.Size([2])
    """
    return _squeeze(input, dim)


def _squeeze(x: Any, dim: Any) -> Any:
    dims = as_dims("squeeze", dim, x.ndim)
    return x.reshape(tuple(n for i, n in enumerate(x.shape) if i not in dims or n != 1))


squeeze.op.names = _names.squeezed
squeeze.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@op(
    samples=lambda r: [Sample(r(2, 3), 0), Sample(r(2, 3), -1), Sample(r(2, 3), 1), Sample(r(), 0)],
    errors=_out_of_range, ref=np.expand_dims, view=True, method=True,
)  # fmt: skip
def unsqueeze(xp, input, /, dim):
    """A view with a new dimension of size 1 at `dim`.

    >>> import tensorlab as tl
    >>> tl.unsqueeze(tl.tensor([1, 2]), 1)
    tensor([[1],
            [2]])
    """
    return xp.expand_dims(input, as_dim("unsqueeze", dim, input.ndim + 1))


unsqueeze.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@op(
    samples=lambda r: [
        Sample(r(2, 3, 4)), Sample(r(2, 3, 4), 1), Sample(r(2, 3, 4), 0, -2), Sample(r()), Sample(r(0, 3), 0, 1),
    ],
    errors=lambda r: [
        ErrorSample(r(2, 3), 1, 0, error=RuntimeError, match="start_dim cannot come after end_dim"),
        *_out_of_range(r),
    ],
    ref=lambda x, start_dim=0, end_dim=-1: _flatten(x, start_dim, end_dim), name="flatten", view=True, method=True,
    node_name="View",
)  # fmt: skip
def _flatten_op(xp, input, /, start_dim=0, end_dim=-1):
    """The dimensions from `start_dim` to `end_dim` made one; a view where the strides allow it.

    >>> import tensorlab as tl
    >>> tl.flatten(tl.zeros(2, 3, 4), start_dim=1).shape
    tensorlab.Size([2, 12])
    """
    return _flatten(input, start_dim, end_dim)


def _flatten(x: Any, start_dim: int, end_dim: int) -> Any:
    start, end = as_dim("flatten", start_dim, x.ndim), as_dim("flatten", end_dim, x.ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    joined = 1
    for n in x.shape[start : end + 1]:
        joined *= n
    return x.reshape((*x.shape[:start], joined, *x.shape[end + 1 :]))


_flatten_op.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@functools.wraps(_flatten_op)  # keeps `.op`: it is the same operation
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1, **out: Any) -> Any:
    ndim = len(input.shape)
    if ndim and as_dim("flatten", start_dim, ndim) == as_dim("flatten", end_dim, ndim):
        return input  # nothing to flatten: the tensor itself, as PyTorch documents it
    return _flatten_op(input, start_dim, end_dim, **out)


Tensor.flatten = flatten  # type: ignore[attr-defined]


@op(
    samples=lambda r: [Sample(r(6, 2), 0, (2, 3)), Sample(r(2, 6), -1, (3, -1))],
    errors=lambda r: [ErrorSample(r(6), 0, (4, 2), error=RuntimeError, match="don't multiply up to the size")],
    ref=lambda x, dim, sizes: x.reshape((*x.shape[: dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1 :])),
    torch="Tensor.unflatten", view=True, method=True, node_name="View",
)  # fmt: skip
def unflatten(xp, input, /, dim, sizes):
    """One dimension split into several, of these `sizes`; one of them may be -1.

    >>> import tensorlab as tl
    >>> tl.unflatten(tl.zeros(2, 12), 1, (3, 4)).shape
    tensorlab.Size([2, 3, 4])
    """
    dim, sizes = as_dim("unflatten", dim, input.ndim), tuple(sizes)
    known = 1
    for n in sizes:
        known *= n if n != -1 else 1
    missing = sizes.count(-1)
    have = input.shape[dim]
    if missing > 1 or (missing and (known == 0 or have % known)) or (not missing and known != have):
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({have}) in "
            "the input tensor"
        )
    sizes = tuple(have // known if n == -1 else n for n in sizes)
    return input.reshape((*input.shape[:dim], *sizes, *input.shape[dim + 1 :]))


unflatten.vjp(input=lambda g, input_shape: reshape(g, input_shape))


def ravel(input: Any) -> Any:
    """All elements in one dimension; a view where the strides allow it.

    >>> import tensorlab as tl
    >>> tl.ravel(tl.tensor([[1, 2], [3, 4]]))
    tensor([1, 2, 3, 4])
    """
    if isinstance(input, Tensor):
        return input.contiguous().view(-1)  # type: ignore[attr-defined]
    return reshape(input, (-1,))


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """`self.view(other.shape)`."""
    return self.view(other.shape)  # type: ignore[attr-defined]


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """`self.reshape(other.shape)`."""
    return reshape(self, other.shape)


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """`self.expand(other.shape)`."""
    return self.expand(other.shape)  # type: ignore[attr-defined]


def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed over the dimensions that broadcasting `size` to this shape would repeat."""
    return sum_to(self, size[0] if len(size) == 1 and not isinstance(size[0], int) else size)


# Moving dimensions ------------------------------------------------------------------------


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """A view with the dimensions at `source` moved to `destination`; the others keep their order.

    >>> import tensorlab as tl
    >>> tl.movedim(tl.zeros(2, 3, 4), 0, -1).shape
    tensorlab.Size([3, 4, 2])
    """
    ndim = len(input.shape)
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    if len(sources) != len(targets):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source should contain the same number of dims "
            f"as destination, got {len(sources)} and {len(targets)}"
        )
    sources, targets = (
        list(as_dims("movedim", sources, ndim)),
        list(as_dims("movedim", targets, ndim)),
    )
    rest = [d for d in range(ndim) if d not in sources]
    order: list[int] = []
    for position in range(ndim):
        order.append(sources[targets.index(position)] if position in targets else rest.pop(0))
    return permute(input, order)


moveaxis = movedim


@op(
    samples=lambda r: [Sample(r(2, 3)), Sample(r(3)), Sample(r()), Sample(r(0, 2))],
    errors=lambda r: [ErrorSample(r(1, 2, 3), error=RuntimeError, match="<= 2 dimensions, but self is 3D")],
    ref=np.transpose, view=True, method=True,
)  # fmt: skip
def t(xp, input, /):
    """The transpose of a matrix; tensors of fewer dimensions as they are.

    Raises `RuntimeError` for more than two dimensions.

    >>> import tensorlab as tl
    >>> tl.t(tl.zeros(2, 3)).shape
    tensorlab.Size([3, 2])
    """
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return input.T if input.ndim else input[...]


t.vjp(input=lambda g: t(g))


def _reversed(self: Tensor) -> Tensor:
    """A view with the order of the dimensions reversed: the transpose of a matrix."""
    return permute(self, tuple(range(self.ndim - 1, -1, -1)))


def _matrix_transpose(self: Tensor) -> Tensor:
    """A view with the last two dimensions exchanged: the transpose of a batch of matrices."""
    if self.ndim < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor."
        )
    return transpose(self, -2, -1)


def _adjoint(self: Tensor) -> Tensor:
    """The conjugate transpose of the last two dimensions."""
    turned = _matrix_transpose(self)
    return turned.conj() if turned.is_complex() else turned  # type: ignore[attr-defined]


# Cutting ----------------------------------------------------------------------------------


def _slice(ndim: int, dim: int, key: Any) -> tuple[Any, ...]:
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
    return input[(*_slice(input.ndim, dim, index), Ellipsis)]


select.vjp(
    input=lambda g, input_shape, dim, index: scatter_to(
        g, input_shape, _slice(len(input_shape), dim % len(input_shape), int(index))
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
    return input[_slice(input.ndim, dim, slice(start, start + length))]


def _narrow_reference(x: Any, dim: int, start: int, length: int) -> np.ndarray:
    if start < 0:
        start += x.shape[dim]
    return np.take(x, range(start, start + length), axis=dim)


def _narrow_backward(g, input_shape, dim, start, length):
    dim = dim % len(input_shape)
    start = int(start) % input_shape[dim] if start < 0 else int(start)
    return scatter_to(g, input_shape, _slice(len(input_shape), dim, slice(start, start + length)))


narrow.vjp(input=_narrow_backward)


@op(
    samples=lambda r: [
        Sample(r(3, 3)), Sample(r(3, 4), 1), Sample(r(4, 3), -2), Sample(r(2, 3, 4), 0, 0, 2), Sample(r(2, 2), 5),
    ],
    errors=lambda r: [ErrorSample(r(2, 2), 0, 1, 1, error=RuntimeError, match="dimensions cannot be identical")],
    ref=np.diagonal, view=True, method=True,
)  # fmt: skip
def diagonal(xp, input, /, offset=0, dim1=0, dim2=1):
    """A view of the diagonal of two dimensions, put last; `offset` > 0 lies above the main one.

    >>> import tensorlab as tl
    >>> tl.diagonal(tl.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    if normalize_dim(dim1, input.ndim) == normalize_dim(dim2, input.ndim):
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    shown = xp.diagonal(input, offset, dim1, dim2)
    if isinstance(shown, np.ndarray) and not shown.flags.writeable and input.flags.writeable:
        shown.flags.writeable = True  # NumPy marks it read-only, out of caution
    return shown


diagonal.vjp(
    input=lambda g, input_shape, offset, dim1, dim2: diagonal_scatter_to(
        g, input_shape, offset, dim1, dim2
    )
)


@op(
    samples=lambda r: [Sample(r(3), (3, 4), 1, 0, 1), Sample(r(2, 3), (3, 2, 3), 0, 0, 2)],
    ref=lambda x, shape, offset, dim1, dim2: _diagonal_reference(x, shape, offset, dim1, dim2), torch="",
    node_name="DiagEmbed",
)  # fmt: skip
def diagonal_scatter_to(xp, input, /, shape, offset, dim1, dim2):
    """Zeros of `shape` with `input` on a diagonal: the gradient of `diagonal`."""
    out = xp.zeros(shape, input.dtype)
    diagonal.op.forward(xp, out, offset, dim1, dim2)[...] = input
    return out


def _diagonal_reference(x: Any, shape: Any, offset: int, dim1: int, dim2: int) -> np.ndarray:
    out = np.zeros(shape)
    inner = np.moveaxis(out, (dim1, dim2), (-2, -1))
    for i in range(x.shape[-1]):
        inner[..., i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return out


diagonal_scatter_to.vjp(input=lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2))


@op(
    samples=lambda r: [Sample(r(7), 0, 3, 1), Sample(r(2, 6), 1, 2, 2), Sample(r(5, 2), 0, 5, 1)],
    errors=lambda r: [
        ErrorSample(r(3), 0, 4, 1, error=RuntimeError, match="maximum size for tensor at dimension 0 is 3"),
        ErrorSample(r(3), 0, 2, 0, error=RuntimeError, match="step is 0 but must be > 0"),
    ],
    ref=lambda x, dim, size, step: _unfold_reference(x, dim, size, step),
    torch="Tensor.unfold", view=True, method=True,
)  # fmt: skip
def unfold(xp, input, /, dimension, size, step):
    """A view of all windows of `size` along `dimension`, `step` apart; their elements are put last.

    >>> import tensorlab as tl
    >>> tl.tensor([1, 2, 3, 4]).unfold(0, 2, 1)
    tensor([[1, 2],
            [2, 3],
            [3, 4]])
    """
    dim = as_dim("unfold", dimension, input.ndim)
    n = input.shape[dim] if input.ndim else 1
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {dim} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if input.ndim == 0:
        return input.reshape(1)[:size]
    shape, strides = list(input.shape), list(input.strides)
    shape[dim] = (n - size) // step + 1
    along = strides[dim]
    strides[dim] = along * step
    return strided_view(input, (*shape, size), (*strides, along))


unfold.vjp(
    input=lambda g, input_shape, dimension, size, step: fold_windows(
        g, input_shape, dimension, size, step
    )
)


@op(
    samples=lambda r: [Sample(r(5, 3), (7,), 0, 3, 1), Sample(r(2, 3, 2), (2, 6), 1, 2, 2)],
    ref=lambda x, shape, dim, size, step: _fold_reference(x, shape, dim, size, step), torch="",
    node_name="UnfoldBackward",
)  # fmt: skip
def fold_windows(xp, input, /, shape, dimension, size, step):
    """Zeros of `shape` with every window added at its place: the gradient of `unfold`."""
    out = xp.zeros(shape, input.dtype)
    if not shape:
        return input.sum()
    dim = normalize_dim(dimension, len(shape))
    windows = input.shape[dim]
    for k in range(size):  # the k-th elements of all windows lie step apart: none twice
        out[_slice(len(shape), dim, slice(k, k + (windows - 1) * step + 1, step))] += input[..., k]
    return out


def _unfold_reference(x: Any, dim: int, size: int, step: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=dim)
    return np.take(windows, range(0, x.shape[dim] - size + 1, step), axis=dim)


def _fold_reference(x: Any, shape: Any, dim: int, size: int, step: int) -> np.ndarray:
    out = np.zeros(shape)
    moved, windows = np.moveaxis(out, dim, 0), np.moveaxis(x, dim, 0)
    for w in range(windows.shape[0]):
        moved[w * step : w * step + size] += np.moveaxis(windows[w], -1, 0)
    return out


fold_windows.vjp(input=lambda g, dimension, size, step: unfold(g, dimension, size, step))

# Into several views -----------------------------------------------------------------------


def _pieces(input: Any, sizes: Sequence[int], dim: int) -> tuple[Any, ...]:
    out, start = [], 0
    for n in sizes:
        out.append(input[_slice(input.ndim, dim, slice(start, start + n))])
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
    return tuple(input[(*_slice(input.ndim, dim, i), Ellipsis)] for i in range(input.shape[dim]))


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


for _name, _method in {
    "ravel": ravel, "view_as": view_as, "reshape_as": reshape_as, "expand_as": expand_as, "movedim": movedim,
    "moveaxis": moveaxis, "sum_to_size": sum_to_size, "chunk": chunk, "tensor_split": tensor_split,
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
Tensor.T = property(_reversed)  # type: ignore[attr-defined]
Tensor.mT = property(_matrix_transpose)  # type: ignore[attr-defined]
Tensor.H = Tensor.mH = property(_adjoint)  # type: ignore[attr-defined]


# Any strides at all -----------------------------------------------------------------------


@op(
    samples=lambda r: [
        Sample(r(6), (2, 3), (3, 1), 0, (1,)), Sample(r(6), (4, 3), (1, 1), 0, (1,)),
        Sample(r(2, 3), (3, 2), (1, 3), 0, (3, 1)), Sample(r(6), (2,), (2,), 1, (1,)),
        Sample(r(6), (2, 2), (0, 1), 0, (1,)), Sample(r(6), (0, 2), (2, 1), 0, (1,)),
    ],
    errors=lambda r: [
        ErrorSample(r(4), (3,), (2,), 0, (1,), error=RuntimeError, match="out of bounds for storage of size"),
        ErrorSample(r(4), (2, 2), (1,), 0, (1,), error=RuntimeError, match="mismatch in length of strides and shape"),
        ErrorSample(r(4), (2,), (-1,), 0, (1,), error=RuntimeError, match="Negative strides are not supported"),
    ],
    ref=lambda x, size, stride, start, own: x.reshape(-1)[_strided_positions(size, stride, start)],
    torch=lambda x, size, stride, start, own: x.as_strided(size, stride, x.storage_offset() + start),
    view=True, name="as_strided",
)  # fmt: skip
def _as_strided(xp, input, /, size, stride, start, own):
    """The view that `as_strided` gives, beginning `start` elements after the tensor's own first one.

    own: the tensor's own strides in elements, for the gradient.
    """
    return strided_part(xp, input, size, stride, start)


def strided_part(xp: Any, array: Any, size: Any, stride: Any, start: int) -> Any:
    """The array of `size` and `stride` (in elements) in the memory of `array`, from its first element + `start`."""
    if len(size) != len(stride):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {list(stride)} and {list(size)}"
        )
    if any(s < 0 for s in stride):
        raise RuntimeError(
            f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}"
        )
    if 0 in size:
        return array.reshape(-1)[:0].reshape(size)
    root = root_array(array)
    width = array.itemsize
    before = (address(array) - address(root)) // width
    first = before + start
    last = first + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if first < 0 or (last + 1) * width > root.nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {first}, and itemsize {width} "
            f"requiring a storage size of {(last + 1) * width} are out of bounds for storage of size {root.nbytes}"
        )
    memory = strided_view(root, (root.nbytes // root.itemsize,), (root.itemsize,))
    if memory.dtype != array.dtype:
        memory = memory.view(array.dtype)
    return strided_view(memory[first:], tuple(size), tuple(s * width for s in stride))


def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """A view of the tensor's memory with any sizes and strides (in elements).

    The element at (i, j, …) is the one at `storage_offset + i·stride[0] + j·stride[1] + …` of the storage,
    of which the tensor itself may be a part; without `storage_offset` it begins where the tensor does.
    Elements may be shown several times.

    Raises `RuntimeError` if an element would lie outside the storage.

    >>> import tensorlab as tl
    >>> tl.as_strided(tl.arange(4), (3, 2), (1, 1))
    tensor([[0, 1],
            [1, 2],
            [2, 3]])
    """
    array = getattr(input, "_data", input)
    start = 0
    if storage_offset is not None:
        start = storage_offset - (address(array) - address(root_array(array))) // array.itemsize
    return _as_strided(input, tuple(size), tuple(stride), start, element_strides(array))


def _strided_positions(size: Any, stride: Any, start: int) -> np.ndarray:
    """Where in the flat memory each element lies."""
    positions = np.full((1,) * len(size), start)
    for d, (n, s) in enumerate(zip(size, stride, strict=True)):
        shape = [1] * len(size)
        shape[d] = n
        positions = positions + np.arange(n).reshape(shape) * s
    return positions.reshape(tuple(size))


def _as_strided_backward(g, input_shape, size, stride, start, own):
    """Gradients meet in the memory, and each element of the input takes its own from there."""
    theirs = _strided_positions(size, stride, start)
    mine = _strided_positions(input_shape, own, 0)
    low = int(min(theirs.min(initial=0), mine.min(initial=0)))
    count = int(max(theirs.max(initial=0), mine.max(initial=0))) - low + 1
    found = index(scatter_to(g, (count,), (theirs - low,)), (mine - low,))
    shown = np.bincount((mine - low).reshape(-1), minlength=count)[mine - low]
    if mine.size and shown.max() > 1:  # an expanded tensor: its copies of an element share
        found = found * backend_of(getattr(g, "_data", g)).xp.asarray(
            (1.0 / shown).astype(getattr(g, "_data", g).dtype)
        )
    return found


_as_strided.vjp(input=_as_strided_backward)
Tensor.as_strided = as_strided  # type: ignore[attr-defined]


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


Tensor.hsplit, Tensor.vsplit, Tensor.dsplit = hsplit, vsplit, dsplit  # type: ignore[attr-defined]


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """`transpose` under NumPy's name.

    >>> import tensorlab as tl
    >>> tl.swapaxes(tl.zeros(2, 3), 0, 1).shape
    tensorlab.Size([3, 2])
    """
    return transpose(input, axis0, axis1)


def swapdims(input: Any, dim0: int, dim1: int) -> Any:
    """`transpose` under another name.

    >>> import tensorlab as tl
    >>> tl.swapdims(tl.zeros(2, 3), 0, 1).shape
    tensorlab.Size([3, 2])
    """
    return transpose(input, dim0, dim1)


Tensor.swapaxes, Tensor.swapdims = swapaxes, swapdims  # type: ignore[attr-defined]
