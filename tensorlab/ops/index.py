"""Indexing: reading with `x[...]`, writing with `x[...] = y`, in every form that NumPy has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tensorlab._apply import apply
from tensorlab._backend import backend_of, is_array, to_device
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd.inplace import apply_inplace
from tensorlab.ops import _names
from tensorlab.ops._scatter import combine_at
from tensorlab.ops.creation import fill


def _is_old_tuple(index: Any) -> bool:
    """Whether a list stands for a tuple, as it did in old NumPy: `x[[rows, columns]]` of two lists."""
    return (
        isinstance(index, list)
        and len(index) < 32
        and any(
            i is None or i is Ellipsis or isinstance(i, (Tensor, list, tuple, range, slice))
            for i in index
        )
    )


def _key(index: Any, array: Any) -> tuple[Any, ...]:
    """An index as a tuple of ints, slices, None, Ellipsis and index arrays, checked."""
    items: Any = index if isinstance(index, tuple) or _is_old_tuple(index) else (index,)
    key: list[Any] = []
    item: Any
    for item in items:
        if isinstance(item, Tensor):
            item = item._data
            if item.dtype == np.uint8 and item.ndim:
                item = item != 0  # as in PyTorch, which took masks of uint8 before it had bool
        elif isinstance(item, str):
            raise TypeError("new(): invalid data type 'str'")
        elif isinstance(item, (list, tuple, range)):
            item = np.asarray([i.tolist() if isinstance(i, Tensor) else i for i in item])
            if item.size == 0:
                item = item.astype(np.int64)
        elif isinstance(item, slice):
            item = slice(
                *(None if v is None else int(v) for v in (item.start, item.stop, item.step))
            )
            if item.step is not None and item.step <= 0:
                raise ValueError("step must be greater than zero")
        if hasattr(item, "dtype") and hasattr(item, "shape"):
            if item.dtype.kind not in "iub":
                raise IndexError(
                    "tensors used as indices must be long, int, byte or bool tensors, "
                    f"got {item.dtype.name}"
                )
            if item.ndim == 0 and item.dtype.kind in "iu":
                item = int(item)
        elif not (
            item is None or item is Ellipsis or isinstance(item, (bool, int, slice, np.integer))
        ):
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are "
                f"valid indices (got {type(item).__name__})"
            )
        key.append(item)
    _check(key, array)
    plain = isinstance(array, np.ndarray) and all(
        not is_array(k) or isinstance(k, np.ndarray) for k in key
    )
    return tuple(key) if plain else tuple(_on_its_device(key, array))


def _on_its_device(key: list[Any], array: Any) -> Iterator[Any]:
    """The key with index arrays of the CPU moved to the device of what is indexed, as in PyTorch."""
    where = backend_of(array).device(array)
    for item in key:
        if is_array(item):
            here = backend_of(item).device(item)
            if here.type != "cpu" and here != where:
                raise RuntimeError(
                    "indices should be either on cpu or on the same device as the indexed tensor "
                    f"({where}), got indices on {here}"
                )
            item = to_device(item, where)
        yield item


def _check(key: list[Any], array: Any) -> None:
    """Raise PyTorch's errors for too many indices and for indices out of range."""
    used = 0
    for item in key:
        if item is None or item is Ellipsis or item is True or item is False:
            continue
        used += (
            item.ndim if getattr(item, "dtype", None) is not None and item.dtype.kind == "b" else 1
        )
    if used > array.ndim:
        if array.ndim == 0:
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
            )
        raise IndexError(f"too many indices for tensor of dimension {array.ndim}")
    rest = array.ndim - used
    axis = 0
    for item in key:
        if item is None or item is True or item is False:
            continue
        if item is Ellipsis:
            axis += rest
            continue
        n = array.shape[axis] if axis < array.ndim else 0  # a 0-dim mask takes up no dimension
        if isinstance(item, (int, np.integer)):
            if not -n <= item < n:
                raise IndexError(
                    f"index {item} is out of bounds for dimension {axis} with size {n}"
                )
        elif isinstance(item, np.ndarray) and item.dtype.kind == "b":
            for k, (have, want) in enumerate(zip(item.shape, array.shape[axis:], strict=False)):
                if have != want:
                    raise IndexError(
                        f"The shape of the mask {list(item.shape)} at index {k} does not match the shape "
                        f"of the indexed tensor {list(array.shape)} at index {axis + k}"
                    )
            axis += item.ndim - 1
        elif (
            isinstance(item, np.ndarray) and item.size and not (-n <= item.min() and item.max() < n)
        ):
            bad = item[(item < -n) | (item >= n)].flat[0]
            raise IndexError(f"index {bad} is out of bounds for dimension {axis} with size {n}")
        axis += 1


def _is_basic(key: tuple[Any, ...]) -> bool:
    return not any(
        k is True
        or k is False
        or (
            hasattr(k, "dtype")
            and getattr(k, "shape", None) is not None
            and not isinstance(k, np.integer)
        )
        for k in key
    )


@op(
    samples=lambda r: [
        Sample(r(4, 3), (1,)), Sample(r(4, 3), (slice(0, 4, 2), None)), Sample(r(4, 3), (Ellipsis, 0)),
        Sample(r(), (None,)), Sample(r(0, 3), (slice(None),)),
    ],
    ref=lambda x, key: x[key], torch="Tensor.__getitem__", view=True, result=None, node_name="Select",
)  # fmt: skip
def getitem(xp, input, /, key):
    """A view by ints, slices, None and Ellipsis: what `x[key]` does for such a key."""
    return (
        input[key]
        if type(key) is not tuple or any(k is Ellipsis for k in key)
        else input[(*key, Ellipsis)]
    )


getitem.op.names = _names.indexed
getitem.vjp(input=lambda g, input_shape, key: scatter_to(g, input_shape, key))


@op(
    samples=lambda r: [
        Sample(r(4, 3), (np.array([0, 2, 2]),)), Sample(r(4, 3), (np.array([True, False, True, True]),)),
        Sample(r(4, 3, 2), (slice(None), np.array([0, -1]), np.array([1, 1]))), Sample(r(3), (np.array([], int),)),
    ],
    ref=lambda x, key: x[key], torch="Tensor.__getitem__", result=None,
)  # fmt: skip
def index(xp, input, /, indices):
    """A copy by index arrays and masks: what `x[indices]` does for such a key."""
    out = input[indices]
    return out.copy() if out.ndim > 1 and not out.flags.c_contiguous else out


index.vjp(input=lambda g, input_shape, indices: scatter_to(g, input_shape, indices))


@op(
    samples=lambda r: [Sample(r(3), (4, 3), (1,)), Sample(r(3, 2), (4, 2), (np.array([0, 2, 2]),))],
    ref=lambda g, shape, key: _scatter_reference(g, shape, key), torch="", result=None,
)  # fmt: skip
def scatter_to(xp, input, /, shape, key):
    """Zeros of `shape` with `input` added at `key`: the gradient of indexing.

    An element that was read several times receives the sum.
    """
    out = xp.zeros(shape, input.dtype)
    if _is_basic(key if isinstance(key, tuple) else (key,)):
        out[key] = input
    else:
        combine_at(xp, "add", out, key, input)
    return out


scatter_to.vjp(input=lambda g, key: _read(g, key))


def _scatter_reference(g: Any, shape: tuple[int, ...], key: Any) -> np.ndarray:
    out = np.zeros(shape)
    positions = np.arange(out.size).reshape(shape)[key]
    for position, value in zip(positions.reshape(-1), np.asarray(g).reshape(-1), strict=True):
        out.flat[position] += value
    return out


def _read(x: Any, key: tuple[Any, ...]) -> Any:
    return getitem(x, key) if _is_basic(key) else index(x, key)


@op(
    samples=lambda r: [
        Sample(r(4, 3), r(3), (np.array([0, 2]),)), Sample(r(4, 3), r(), (np.array([True, False, True, True]),)),
    ],
    ref=lambda x, values, key: _put_reference(x, values, key), torch="", promote=(), inplace=True, result=None,
    node_name="IndexPut",
)  # fmt: skip
def index_set(xp, input, values, /, indices):
    """A copy of `input` with `values` stored at index arrays: what `x[indices] = values` does."""
    out = input.copy()
    out[indices] = values
    return out


index_set.vjp(
    input=lambda g, indices: index_set(g, 0.0, indices),
    values=lambda g, indices: index(g, indices),
)


def _put_reference(x: Any, values: Any, key: Any) -> np.ndarray:
    out = np.array(x)
    positions = np.arange(out.size).reshape(out.shape)[key]
    out.reshape(-1)[positions.reshape(-1)] = np.broadcast_to(values, positions.shape).reshape(-1)
    return out


@op(
    samples=lambda r: [Sample(r(2, 3), r(3)), Sample(r(3), 2.0), Sample(r(), r())],
    errors=lambda r: [ErrorSample(r(2), r(3), error=RuntimeError, match="must match")],
    ref=lambda x, src: np.broadcast_to(src, x.shape), torch="", promote=(), inplace=True, result=None,
    node_name="Copy",
)  # fmt: skip
def copy(xp, input, src, /):
    """`src` broadcast to the shape of `input` and converted to its dtype; `copy_` stores it there."""
    shape = getattr(src, "shape", ())
    try:
        return xp.broadcast_to(xp.asarray(src).astype(input.dtype), input.shape)
    except ValueError:
        raise RuntimeError(
            f"The size of tensor a ({list(input.shape)}) must match the size of tensor b ({list(shape)}) "
            "or broadcast to it: copy_ cannot change the shape it writes to"
        ) from None


copy.op.backward_name = "CopyBackwards"
copy.vjp(input=lambda g: fill(g, 0.0), src=lambda g: g)


def _beside(self: Tensor, src: Any) -> Any:
    """`src` on the device of `self`; differentiable."""
    if not isinstance(src, Tensor) or type(src._data) is type(self._data) is np.ndarray:
        return src
    return src if src.device == self.device else src.to(self.device)  # type: ignore[attr-defined]


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """In-place version of `copy`: overwrite with `src`, broadcast, converted, from any device.

    `non_blocking` has no effect.
    """
    return apply_inplace(copy.op, (self, _beside(self, src)), ())


Tensor.copy_ = copy_  # type: ignore[attr-defined]


def _covered(item: Any) -> int:
    """How many dimensions one item of a key takes up."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    return (
        np.ndim(item) if getattr(item, "dtype", None) is not None and item.dtype.kind == "b" else 1
    )


def _split(
    key: tuple[Any, ...], shape: tuple[int, ...]
) -> tuple[tuple[Any, ...] | None, tuple[Any, ...]]:
    """A key of all kinds as a basic key, applied first, and one of arrays alone.

    NumPy counts an int among the index arrays, and an ellipsis as a slice even where it stands
    for nothing; both move the arrays' dimensions to the front. PyTorch selects first
    (`x[0, :, i]` is `x[0][:, i]`) and sees only what an ellipsis stands for.
    """
    if any(k is Ellipsis for k in key):
        at = next(i for i, k in enumerate(key) if k is Ellipsis)
        rest_dims = len(shape) - sum(map(_covered, key))
        key = key[:at] + (slice(None),) * rest_dims + key[at + 1 :]
    if _selects_nothing(key, shape):
        return None, key
    basic: list[Any] = []
    rest: list[Any] = []
    for k in key:
        if k is None or isinstance(k, slice):
            basic.append(k)
            rest.append(slice(None))
        elif isinstance(k, (int, np.integer)) and not isinstance(k, bool):
            basic.append(k)
        else:
            basic += [slice(None)] * _covered(k)
            rest.append(k)
    return tuple(basic), tuple(rest)


def _selects_nothing(key: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    """Whether a key, its index arrays apart, leaves everything as it is: `x[...]`, `x[:]`, `x[:, i]`."""
    axis = 0
    for k in key:
        if isinstance(k, slice):
            n = shape[axis]
            if (
                k.start not in (None, 0)
                or k.step not in (None, 1)
                or not (k.stop is None or k.stop >= n)
            ):
                return False
            axis += 1
        elif k is Ellipsis:
            axis += len(shape) - sum(map(_covered, key))
        elif k is None or (isinstance(k, (int, np.integer)) and not isinstance(k, bool)):
            return False
        else:
            axis += _covered(k)
    return True


def _without_leading_ones(value: Tensor) -> Tensor:
    """A value to store, without leading dimensions of size 1, which NumPy and PyTorch ignore too."""
    extra = next((i for i, n in enumerate(value.shape) if n != 1), value.ndim)
    return value.reshape(value.shape[extra:]) if extra else value  # type: ignore[attr-defined]


def __getitem__(self: Tensor, key: Any) -> Tensor:
    """Read `x[key]`: a view for ints, slices, None and Ellipsis; a copy for index tensors and masks."""
    if type(key) is int:  # the commonest key, kept fast
        _check([key], self._data)
        return apply(getitem.op, (self,), ((key,),))
    key = _key(key, self._data)
    if _is_basic(key):
        return apply(getitem.op, (self,), (key,))
    basic, key = _split(key, self._data.shape)
    source = self if basic is None else apply(getitem.op, (self,), (basic,))
    return apply(index.op, (source,), (key,))


def __setitem__(self: Tensor, key: Any, value: Any) -> None:
    """Write `x[key] = value`, broadcasting and converting `value`; autograd follows."""
    key = _key(key, self._data)
    if isinstance(value, str):
        raise TypeError(f"can't assign a str to a tensor of {self.dtype}")
    if not isinstance(value, (Tensor, bool, int, float, complex)):
        value = wrap(np.asarray(value).astype(self._data.dtype))
    value = _beside(self, value)
    if _is_basic(key):
        part = (
            self if _selects_nothing(key, self._data.shape) else apply(getitem.op, (self,), (key,))
        )
        one = isinstance(value, Tensor) and value.ndim == 0
        if isinstance(value, Tensor) and value.ndim and value.shape != part.shape:
            value = _without_leading_ones(value).expand(part.shape)  # type: ignore[attr-defined]
        apply_inplace(fill.op if one else copy.op, (part, value), ())
        return
    arrays = [k for k in key if hasattr(k, "dtype") and not isinstance(k, np.integer)]
    masked = len(arrays) == 1 and arrays[0].dtype == np.bool_
    if (
        isinstance(value, Tensor)
        and value.dtype is not self.dtype
        and not (masked and value.numel() == 1)
    ):
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {self.dtype} for the "
            f"destination and {value.dtype} for the source; convert with .to({self.dtype}) first"
        )
    if isinstance(value, Tensor) and value.ndim:
        value = _without_leading_ones(value)
    if masked and arrays[0].ndim and isinstance(value, Tensor) and value.ndim == 0:
        value = value.clone()  # type: ignore[attr-defined]  # read before anything is written, even from here
    basic, key = _split(key, self._data.shape)
    target = self if basic is None else apply(getitem.op, (self,), (basic,))
    try:
        apply_inplace(index_set.op, (target, value), (key,))
    except (ValueError, TypeError) as error:
        raise RuntimeError(f"shape mismatch: {error}") from None


Tensor.__getitem__ = __getitem__  # type: ignore[attr-defined]
Tensor.__setitem__ = __setitem__  # type: ignore[attr-defined]
