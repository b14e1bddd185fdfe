"""Tensors from data: numbers, nested sequences, arrays, other tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab import _backend, _dtypes, _settings
from tensorlab._backend import Device
from tensorlab._dtypes import dtype as DType
from tensorlab._layout import shares_storage
from tensorlab._tensor import Tensor, wrap


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of `data`: numbers, nested sequences, arrays or tensors.

    dtype: default: Python floats take the default dtype (float32), ints int64, bools bool; arrays
        keep theirs.
    device: default: the CPU, or where `data` is.
    requires_grad: record operations on the result. pin_memory is accepted and has no effect.

    Raises `ValueError` for ragged sequences and `TypeError` for what is no number.

    >>> import tensorlab
    >>> tensorlab.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    array = _array_of(data, None if dtype is None else _dtypes.as_dtype(dtype), copy=True)
    return finish(array, device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, without a copy when dtype and device allow: a tensor stays itself, and a
    NumPy array shares its memory.

    >>> import numpy, tensorlab
    >>> array = numpy.zeros(2)
    >>> tensorlab.as_tensor(array)[0] = 5
    >>> array.tolist()
    [5.0, 0.0]
    """
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)  # type: ignore[attr-defined]
    array = _array_of(data, None if dtype is None else _dtypes.as_dtype(dtype), copy=False)
    return finish(array, device, False)


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`as_tensor` with a choice: copy=True always copies, False never (`ValueError` if it had to).

    >>> import tensorlab
    >>> x = tensorlab.ones(2)
    >>> tensorlab.asarray(x) is x, tensorlab.asarray(x, copy=True) is x
    (True, False)
    """
    out = as_tensor(obj, dtype, device)
    shared = isinstance(obj, (Tensor, np.ndarray)) and shares_storage(
        out._data, obj._data if isinstance(obj, Tensor) else obj
    )
    if copy is False and not shared:
        raise ValueError(
            f"can't alias the memory of a {type(obj).__name__} with this dtype and device: leave copy=None to copy it"
        )
    if copy and shared:
        out = out.clone()  # type: ignore[attr-defined]
    return out.requires_grad_() if requires_grad else out


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor on the memory of a NumPy array: a change of either is a change of both.

    Raises `TypeError` for other objects and for dtypes that tensors do not have.

    >>> import numpy, tensorlab
    >>> tensorlab.from_numpy(numpy.arange(3))
    tensor([0, 1, 2])
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if not ndarray.dtype.isnative:
        raise ValueError(
            "given numpy ndarray has byte order different from the native byte order: convert it with "
            "ndarray.astype(ndarray.dtype.newbyteorder('='))"
        )
    _dtypes.from_numpy_dtype(ndarray.dtype)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy ndarray is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your ndarray with ndarray.copy().)"
        )
    return wrap(_dtypes.held(ndarray))


def _array_of(data: Any, to: DType | None, copy: bool) -> Any:
    if isinstance(data, Tensor):
        data = data._data
    if isinstance(data, np.generic):
        data = np.asarray(data)
    if hasattr(data, "dtype") and hasattr(data, "shape") and hasattr(data, "astype"):
        target = _dtypes.from_numpy_dtype(data.dtype) if to is None else to
        return data.astype(target.numpy, copy=copy)
    if not isinstance(data, (Sequence, bool, int, float, complex)) or isinstance(
        data, (str, bytes)
    ):
        if hasattr(data, "__array__"):
            return _array_of(np.asarray(data), to, copy)
        if isinstance(data, (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    _check_sequence(data, 0)
    array = np.array(_plain(data))
    if array.dtype == object and (to is None or to.category == _dtypes.INTEGER):
        raise ValueError("Overflow when unpacking long long: a number does not fit in 64 bits")
    if to is None:
        to = _inferred(array, data)
    if array.dtype.kind == "c" and not to.is_complex:
        raise TypeError(
            f"must be real number, not complex: dtype {to.name} holds no imaginary part"
        )
    if to.category == _dtypes.INTEGER and array.dtype == np.uint64:  # beyond int64
        raise ValueError("Overflow when unpacking long long: a number does not fit in 64 bits")
    if to.category == _dtypes.INTEGER and array.dtype.kind in "iu" and array.size:
        low, high = np.iinfo(to.numpy).min, np.iinfo(to.numpy).max
        low = low or -high  # negative numbers wrap around in unsigned types, as in PyTorch
        if array.min() < low or array.max() > high:
            raise RuntimeError(
                f"value cannot be converted to type {to.name} without overflow: expected numbers from "
                f"{low} to {high}, got {array.min() if array.min() < low else array.max()}"
            )
    return array.astype(to.numpy)


def _inferred(array: np.ndarray, data: Any) -> DType:
    """The dtype of Python data: that of its numbers, floats being of the default dtype."""
    if array.size == 0:
        return _dtypes.get_default_dtype()
    category = {"b": 0, "i": 1, "u": 1, "f": 2, "V": 2, "c": 3}.get(array.dtype.kind)
    if category is None:
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    inner = _inner_dtype(data)
    return inner or _dtypes.default_of_category(category)


def _inner_dtype(data: Any) -> DType | None:
    """The dtype of the first array in nested sequences: it, not the default, then decides."""
    while isinstance(data, Sequence) and len(data):
        data = data[0]
    if isinstance(data, Tensor):
        return data.dtype
    if isinstance(data, (np.ndarray, np.generic)):
        return _dtypes.from_numpy_dtype(data.dtype)
    return None


def _plain(data: Any) -> Any:
    """Nested sequences with every tensor in them, which must be of one element, as a number."""
    if isinstance(data, Tensor):
        if data._data.size != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars, "
                f"got shape {list(data.shape)} among the data: use stack() or cat()"
            )
        return _backend.to_numpy(data._data).reshape(())
    if isinstance(data, Sequence) and not isinstance(data, str):
        return [_plain(item) for item in data]
    return data


def _length(data: Any) -> int | None:
    if isinstance(data, np.ndarray):
        return data.shape[0] if data.ndim else None
    return len(data) if isinstance(data, Sequence) and not isinstance(data, str) else None


def _check_sequence(data: Any, depth: int) -> None:
    """Refuse ragged sequences and elements that are no numbers, in PyTorch's words."""
    if not isinstance(data, Sequence) or isinstance(data, (str, bytes)):
        if isinstance(data, (str, bytes)):
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        if not isinstance(data, (bool, int, float, complex, np.generic, np.ndarray, Tensor)):
            raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
        return
    if not data:
        return
    first = _length(data[0])
    for item in data:
        n = _length(item)
        if isinstance(item, (str, bytes)) and not isinstance(data[0], (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(item).__name__}'")
        if n != first:
            if first is None or n is None:
                kind = type(item if n is None else data[0]).__name__
                raise TypeError(
                    f"expected a sequence of sequences or of numbers at dim {depth + 1}, got a {kind} among others"
                )
            raise ValueError(f"expected sequence of length {first} at dim {depth + 1} (got {n})")
        if type(item) not in (float, int):
            _check_sequence(item, depth + 1)


def finish(array: Any, device: Any, requires_grad: bool) -> Tensor:
    """The tensor on a new array, on this device or the default one."""
    if device is None:
        device = _settings.default_device
    if device is not None:
        array = _backend.to_device(array, Device(device))
    out = wrap(_dtypes.held(array))
    return out.requires_grad_() if requires_grad else out
