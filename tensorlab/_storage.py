"""The memory that tensors show: what stays shared when they are copied or pickled together."""

from __future__ import annotations

import copy
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from tensorlab._backend import Device, backend_of, on_device_of, strided_view, to_device, to_numpy
from tensorlab._dtypes import held
from tensorlab._layout import address, root_array
from tensorlab._tensor import Tensor, wrap


class UntypedStorage:
    """A block of memory that one or more tensors show, each with its own shape and strides.

    `tensor.untyped_storage()` gives it; tensors that share memory have the same one. Copied with
    `copy.deepcopy` or pickled, it is one block again, however many tensors show it.

    >>> import tensorlab
    >>> x = tensorlab.zeros(2, 3)
    >>> x[1].untyped_storage().nbytes()
    24
    >>> x[1].untyped_storage() is x.untyped_storage()
    True
    """

    __slots__ = ("__weakref__", "root")
    root: Any  # the array that owns the memory

    def __init__(self, root: Any) -> None:
        self.root = root

    @property
    def device(self) -> Device:
        """Where the memory is."""
        return backend_of(self.root).device(self.root)

    def nbytes(self) -> int:
        """Its size in bytes."""
        low, high = _extent(self.root)
        return high - low

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        """The address of its first byte."""
        return address(self.root) + _extent(self.root)[0]

    def tolist(self) -> list[int]:
        """Its bytes as numbers from 0 to 255."""
        return to_numpy(flat_memory(self.root).reshape(-1).view(np.uint8)).tolist()

    def __repr__(self) -> str:
        return f"<tensorlab.UntypedStorage of {self.nbytes()} bytes on {self.device}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> UntypedStorage:
        with on_device_of(self.root):
            return storage_of(flat_memory(self.root).copy())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (to_numpy(flat_memory(self.root)), str(self.device))


def _restored(root: Any, where: str) -> UntypedStorage:
    return storage_of(to_device(root, Device(where)))


# One storage object per block of memory: its identity is how copy and pickle notice the sharing.
_known: WeakValueDictionary[int, UntypedStorage] = WeakValueDictionary()


def storage_of(array: Any) -> UntypedStorage:
    """The storage that `array` shows."""
    root = root_array(array)
    found = _known.get(id(root))
    if found is None:
        _known[id(root)] = found = UntypedStorage(root)
    return found


# Where in its storage an array lies: the byte offset, the shape, the strides in bytes, the dtype.
Place = tuple[int, tuple[int, ...], tuple[int, ...], Any]


def place_of(array: Any) -> Place:
    """Where `array` lies in its storage; `array_at` finds it there again, or in a copy."""
    root = root_array(array)
    offset = address(array) - address(root) - _extent(root)[0] if array.size else 0
    return offset, array.shape, array.strides, array.dtype


def array_at(storage: UntypedStorage, place: Place) -> Any:
    """The array at `place` of a storage."""
    offset, shape, strides, dtype = place
    root = storage.root
    if root.dtype == dtype and root.shape == shape and root.strides == strides:
        return held(root)
    xp = backend_of(root).xp
    if 0 in shape:
        with on_device_of(root):
            return held(xp.empty(shape, dtype))
    memory = root.reshape(-1).view(np.uint8)
    if xp is np:
        return held(np.ndarray(shape, dtype, memory, offset, strides))
    first = memory[offset : offset + dtype.itemsize].view(dtype)
    return strided_view(first, shape, strides)


def _extent(array: Any) -> tuple[int, int]:
    """The first byte and the one past the last that `array` shows, from its first element."""
    if array.size == 0:
        return 0, 0
    steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    return sum(s for s in steps if s < 0), sum(s for s in steps if s > 0) + array.itemsize


def flat_memory(root: Any) -> Any:
    """The memory of a root as a contiguous array: itself, or its bytes if it is not contiguous."""
    if root.flags.c_contiguous:
        return root if type(root) is not np.memmap else root.view(np.ndarray)
    low, high = _extent(root)
    lowest = root[tuple(slice(-1, None) if s < 0 else slice(0, 1) for s in root.strides)]
    first = lowest.reshape(1).view(np.uint8)
    return strided_view(first, (high - low,), (1,))


# What Tensor does when it is copied or pickled ----------------------------------------------


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory that this tensor shows, all of it; tensors that share it give the same object.

    >>> import tensorlab
    >>> tensorlab.zeros(4)[1:].untyped_storage().nbytes()
    16
    """
    return storage_of(self._data)


def __deepcopy__(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """A copy with memory of its own; views copied together with their base share the new memory."""
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment. Use .detach().clone() to copy the values of a result."
        )
    storage = copy.deepcopy(storage_of(self._data), memo)
    out = wrap(array_at(storage, place_of(self._data)), type(self))
    memo[id(self)] = out
    out._requires_grad = self._requires_grad
    out._grad = copy.deepcopy(self._grad, memo)
    out.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return out


def __reduce_ex__(self: Tensor, protocol: Any) -> tuple[Any, ...]:
    """Pickle the storage and the place in it: of views pickled together it is written once.

    All of the storage goes into the pickle, as in PyTorch: `clone()` a small view of a large
    tensor before pickling it alone. History and gradient stay behind.
    """
    state = (place_of(self._data), self.requires_grad, self.__dict__)
    return _rebuild, (type(self), storage_of(self._data), *state)


def _rebuild(
    cls: type[Tensor],
    storage: UntypedStorage,
    place: Place,
    requires_grad: bool,
    attributes: dict[str, Any],
) -> Tensor:
    out = wrap(array_at(storage, place), cls)
    out._requires_grad = requires_grad
    out.__dict__.update(attributes)
    return out


Tensor.untyped_storage = untyped_storage  # type: ignore[attr-defined]
Tensor.__deepcopy__ = __deepcopy__  # type: ignore[attr-defined]
Tensor.__reduce_ex__ = __reduce_ex__  # type: ignore[method-assign]
