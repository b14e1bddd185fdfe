"""Views with strides of their own: diagonals, sliding windows, and any strides at all."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._backend import backend_of, strided_view
from tensorlab._layout import address, element_strides, root_array
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, normalize_dim
from tensorlab.ops._dims import as_dim
from tensorlab.ops.cutting import along
from tensorlab.ops.index import index, scatter_to

# Diagonals --------------------------------------------------------------------------------


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


# Windows ----------------------------------------------------------------------------------


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
    one = strides[dim]
    strides[dim] = one * step
    return strided_view(input, (*shape, size), (*strides, one))


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
        out[along(len(shape), dim, slice(k, k + (windows - 1) * step + 1, step))] += input[..., k]
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
