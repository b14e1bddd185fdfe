"""What PyTorch's names in a checkpoint stand for: storage classes, dtypes, and how tensors are built."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tensorlab import _dtypes
from tensorlab._backend import CPU, Device, to_device
from tensorlab._dtypes import DTYPES, dtype
from tensorlab._pickle_reader import PLAIN, Global
from tensorlab._pickle_writer import STORAGE_NAMES
from tensorlab._storage import UntypedStorage, array_at, flat_memory, storage_of
from tensorlab._tensor import Size, Tensor, wrap

__all__ = ["Kind", "MapLocation", "Placement", "PlacementError", "Rebuilder"]


class Kind(NamedTuple):
    """A storage class: the type of its elements in the file, and that of its tensors."""

    name: str
    in_file: np.dtype
    dtype: dtype | None  # None for bare bytes, and for bfloat16 until it is needed


_BFLOAT16 = Kind("BFloat16Storage", np.dtype(np.uint16), None)
_BYTES = Kind("UntypedStorage", np.dtype(np.uint8), None)
_NAMED = {d.name: d for d in DTYPES}
_STORAGES = {
    f"torch.{kind.name}": kind
    for kind in (
        _BFLOAT16,
        _BYTES,
        *(
            Kind(name, _NAMED[d].numpy, _NAMED[d])
            for d, name in STORAGE_NAMES.items()
            if d in _NAMED
        ),
    )
}
_STORAGES["torch.storage.UntypedStorage"] = _BYTES


class _Names(dict[str, Any]):
    """Names of a checkpoint; that of bfloat16 loads what the type needs only when it occurs."""

    def get(self, key: str, default: Any = None) -> Any:
        if key == "torch.bfloat16":
            return _dtypes.load_bfloat16().bfloat16
        return super().get(key, default)


class Rebuilder:
    """Makes tensors on storages that come from one file.

    place: called with the array of a storage and the saved name of its device; gives the array
    where it should be. With None for it nothing is made: to look only at what a file refers to.
    """

    def __init__(self, place: Callable[[np.ndarray, str], Any] | None) -> None:
        self.place = place
        self._kinds: dict[UntypedStorage, Kind] = {}
        builders: dict[str, Any] = {
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_tensor_v3": self.tensor_of_dtype,
            "torch._utils._rebuild_parameter": self.parameter,
            "torch._utils._rebuild_parameter_with_state": self.parameter,
            "torch._tensor._rebuild_from_type_v2": self.with_attributes,
            "torch.Size": _size,
            "torch.device": _device,
        }
        self.names: dict[str, Any] = _Names(
            {
                **PLAIN,
                **_STORAGES,
                **{f"torch.{d.name}": d for d in DTYPES},
                **{
                    name: Global(name, build if place else _nothing)
                    for name, build in builders.items()
                },
                "torch.Tensor": Global("torch.Tensor", None),
                "torch.nn.parameter.Parameter": Global("torch.nn.parameter.Parameter", None),
            }
        )

    def storage(self, array: np.ndarray, kind: Kind, location: str) -> UntypedStorage:
        """The storage of these elements, as they were in the file, at its place."""
        assert self.place is not None
        placed = self.place(array, location)
        out = storage_of(placed)
        self._kinds[out] = kind
        return out

    def tensor(
        self,
        storage: Any,
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        requires_grad: bool = False,
        hooks: Any = None,
        metadata: Any = None,
    ) -> Tensor:
        """A tensor on a storage: of these sizes, its elements these steps apart."""
        kind = self._kind_of(storage)
        of = _dtypes.load_bfloat16().bfloat16 if kind is _BFLOAT16 else kind.dtype
        if of is None:
            raise ValueError("a tensor lies on a storage without a type")
        return self._on(storage, of, offset, size, stride, requires_grad, metadata)

    def tensor_of_dtype(
        self,
        storage: Any,
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        requires_grad: bool,
        hooks: Any,
        of: Any,
        metadata: Any = None,
    ) -> Tensor:
        """As `tensor`, on a storage of bytes."""
        self._kind_of(storage)
        if not isinstance(of, dtype):
            raise ValueError(f"{of!r} is no dtype")
        return self._on(storage, of, offset, size, stride, requires_grad, metadata)

    def _kind_of(self, storage: Any) -> Kind:
        if not isinstance(storage, UntypedStorage) or storage not in self._kinds:
            raise ValueError("a tensor lies on something that is no storage")
        return self._kinds[storage]

    def _on(
        self,
        storage: UntypedStorage,
        of: dtype,
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        requires_grad: bool,
        metadata: Any,
    ) -> Tensor:
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError(f"a tensor has offset {offset}, size {size} and stride {stride}")
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if 0 not in size and (last + 1) * of.itemsize > storage.nbytes():
            raise ValueError(
                f"a tensor with offset {offset}, size {size} and stride {stride} is larger than "
                f"its storage of {storage.nbytes()} bytes"
            )
        steps = tuple(s * of.itemsize for s in stride)
        array = array_at(storage, (offset * of.itemsize, tuple(size), steps, of.numpy))
        # PyTorch notes a conjugate or a sign instead of writing to memory.
        if metadata and metadata.get("conj"):
            array = array.conj()
        if metadata and metadata.get("neg"):
            array = -array
        out = wrap(array)
        return out.requires_grad_() if requires_grad else out

    def parameter(self, data: Any, requires_grad: bool, hooks: Any, state: Any = None) -> Tensor:
        """A parameter on the memory of a tensor."""
        from tensorlab.nn.parameter import Parameter

        return _with_state(Parameter(data, bool(requires_grad)), state)

    def with_attributes(self, function: Any, kind: Any, args: Any, state: Any) -> Any:
        """A tensor that had attributes."""
        if not isinstance(function, Global) or not isinstance(kind, Global):
            raise ValueError("a tensor with attributes is not as it should be")
        if function.build is None or not function.name.startswith("torch._utils._rebuild_"):
            raise pickle.UnpicklingError(f"refused: a tensor is built by {function.name}")
        return _with_state(function.build(*args), state)


def _nothing(*args: Any) -> None:
    """What is built when nothing is."""


def _with_state(tensor: Tensor, state: Any) -> Tensor:
    """Set the attributes that a tensor had in Python."""
    # An object with slots gives two dicts.
    parts = state if isinstance(state, tuple) else (state,)
    for name, value in [item for part in parts if part for item in part.items()]:
        if not isinstance(name, str) or hasattr(type(tensor), name):
            raise pickle.UnpicklingError(f"refused: the file replaces Tensor.{name}")
        tensor.__dict__[name] = value
    return tensor


def _size(sizes: Any = ()) -> Size:
    if not all(type(n) is int for n in sizes):
        raise ValueError(f"{sizes!r} is no size")
    return Size(sizes)


def _device(kind: Any, index: Any = None) -> Device:
    try:
        return Device(kind) if index is None else Device(kind, index)
    except RuntimeError as error:  # PyTorch runs on more devices
        raise pickle.UnpicklingError(f"refused: the file holds a device: {error}") from None


# Where tensors go ----------------------------------------------------------------------------


MapLocation = Callable[[UntypedStorage, str], Any] | Device | str | dict[str, Any] | None


class PlacementError(Exception):
    """Carries what was raised while a storage was placed past the handling of damaged files."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Placement:
    """What `map_location` says of each storage; raises `PlacementError`."""

    def __init__(self, map_location: MapLocation) -> None:
        if isinstance(map_location, (str, Device)):
            map_location = Device(map_location)
        elif not (map_location is None or isinstance(map_location, dict) or callable(map_location)):
            raise TypeError(
                "map_location must be None, a device, its name, a dict or a function, got "
                f"{type(map_location).__name__}"
            )
        self.map_location = map_location

    def __call__(self, array: np.ndarray, location: str) -> Any:
        """The array that holds the numbers of `array`, read for `location`, where it should be."""
        try:
            return self._place(array, location)
        except Exception as error:
            raise PlacementError(error) from error

    def _place(self, array: np.ndarray, location: str) -> Any:
        target = self.map_location
        if isinstance(target, dict):
            target = Device(target.get(location, location))
        elif callable(target):
            storage = target(storage_of(array), location)
            if isinstance(storage, UntypedStorage):
                if storage.nbytes() != array.nbytes:
                    raise RuntimeError(
                        f"map_location returned a storage of {storage.nbytes()} bytes for one of "
                        f"{array.nbytes}"
                    )
                return flat_memory(storage.root).reshape(-1).view(array.dtype)
            if storage is not None:
                raise TypeError(
                    "map_location must return a storage or None, got "
                    f"{type(storage).__name__}; give a device or its name to move everything there"
                )
            target = None
        if isinstance(target, Device):
            return to_device(array, target)
        return to_device(array, _saved_device(location))


def _saved_device(location: str) -> Device:
    kind = location.partition(":")[0]
    if kind == "cpu":
        return CPU
    if kind != "cuda":
        raise RuntimeError(
            f"don't know how to restore data location of a storage tagged with {location!r}: load "
            "it with map_location='cpu'"
        )
    from tensorlab import cuda

    if not cuda.is_available():
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but tensorlab.cuda.is_available() "
            "is False. If you are running on a CPU-only machine, please use load with "
            "map_location='cpu' to map your storages to the CPU."
        )
    return Device(location)
