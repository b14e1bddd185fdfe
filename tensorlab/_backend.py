"""The seam between tensorlab and the array libraries that hold its numbers.

A tensor's numbers live in a plain array: `numpy.ndarray` on the CPU, `cupy.ndarray` on a
CUDA device. Everything above this file is written once, on the module `xp` that owns the
array (`numpy` or `cupy`), so one gradient rule and one generic kernel serve every device.

CuPy is imported the first time somebody asks for a CUDA device, never before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from tensorlab import _capturing, _gpu

__all__ = ["Backend", "Device", "backend_of", "device", "register_backend", "sum_to", "to_device"]


_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Backend:
    """One array library: the device type it serves, its module and its array class."""

    kind: str
    xp: ModuleType
    array_type: type
    # Within it, linear algebra raises `numpy.linalg.LinAlgError` for matrices that it cannot take.
    linalg_errors: Callable[[], AbstractContextManager[Any]] = nullcontext

    def device(self, array: Any) -> Device:
        """The device that holds `array`."""
        if self.kind != "cuda":
            return Device(self.kind)
        return Device(self.kind, int(array.device.id))


_by_type: dict[type, Backend] = {}
_by_kind: dict[str, Backend] = {}
#: The device type that an array module serves.
KIND_OF: dict[ModuleType, str] = {}


def register_backend(backend: Backend) -> Backend:
    """Make arrays of `backend.array_type` usable as tensor storage on device `backend.kind`."""
    _by_type[backend.array_type] = backend
    _by_kind[backend.kind] = backend
    KIND_OF[backend.xp] = backend.kind
    return backend


NUMPY = register_backend(Backend("cpu", np, np.ndarray))


class Device:
    """Where a tensor lives: `device("cpu")`, `device("cuda")`, `device("cuda:1")`, `device("cuda", 1)`.

    Raises `RuntimeError` for an unknown device type.

    >>> device("cuda", 1)
    device(type='cuda', index=1)
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, type: str | int | Device, index: int | None = None) -> None:
        if isinstance(type, Device):
            type, index = type.type, type.index if index is None else index
        elif isinstance(type, int):
            type, index = "cuda", type
        elif ":" in type:
            if index is not None:
                raise RuntimeError(
                    f"the device index is given twice: device({type!r}, {index}); give it once"
                )
            type, _, number = type.partition(":")
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}:{number}'")
            index = int(number)
        if type not in ("cpu", "cuda", "meta") and type not in _by_kind:
            known = ", ".join(sorted({"cpu", "cuda", *_by_kind}))
            raise RuntimeError(
                f"Expected one of {known} device type at start of device string: {type}"
            )
        self.type = type
        self.index = index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Device, (self.type, self.index)


device = Device
CPU = Device("cpu")


def backend_of(array: Any) -> Backend:
    """The backend that owns `array`; `TypeError` if no backend does."""
    kind = type(array)
    found = _by_type.get(kind)
    if found is None:
        found = next((b for t, b in _by_type.items() if isinstance(array, t)), None)
        if found is None:
            raise TypeError(f"expected an array of numpy or cupy, got {kind.__name__}")
    return found


def linalg_errors(xp: ModuleType) -> AbstractContextManager[Any]:
    """Within it, the linear algebra of `xp` raises `numpy.linalg.LinAlgError` where NumPy's does.

    CuPy does not look otherwise, because that waits for the device.
    """
    if xp is np:
        return nullcontext()
    return _by_kind[KIND_OF[xp]].linalg_errors()


def is_array(value: Any) -> bool:
    """Whether `value` is an array of a library that tensors can be made of."""
    return type(value) in _by_type or isinstance(value, np.ndarray)


def backend_for(where: Device) -> Backend:
    """The backend that serves device `where`, importing CuPy when it is the first use of CUDA."""
    found = _by_kind.get(where.type)
    if found is not None:
        return found
    if where.type == "cuda":
        return _load_cuda()
    raise RuntimeError(f"no tensors can be made on device '{where}'")


#: Called with CuPy when it is loaded, by what has settings to carry over to it.
on_load: list[Callable[[Any], None]] = []


#: Whether there are two CUDA devices or more, between which arrays could be mixed up.
several = False


def _load_cuda() -> Backend:
    cupy = _gpu.load()
    global several
    several = cupy.cuda.runtime.getDeviceCount() > 1
    backend = register_backend(Backend("cuda", cupy, cupy.ndarray, _gpu.linalg_errors))
    for use in on_load:
        use(cupy)
    return backend


def elsewhere(arrays: Iterable[Any]) -> Any:
    """The device of the first CUDA array among values of any kind, if it is not the current one; else None.

    It is CuPy's, a context in which it is the current one. An operation runs on the device of its arrays,
    whichever is current (PyTorch's rule); CuPy runs everything on the current one. Ask only if `several`.
    """
    for array in arrays:
        backend = _by_type.get(type(array))
        if backend is not None and backend.kind == "cuda":
            device = array.device
            return None if device.id == backend.xp.cuda.runtime.getDevice() else device
    return None


def current_cuda_device() -> Any:
    """The current CUDA device, which is CuPy's: `use()` makes it the current one again. Ask only if `several`."""
    return _by_kind["cuda"].xp.cuda.Device()


_HERE = nullcontext()


def on_device_of(array: Any) -> AbstractContextManager[Any]:
    """A context in which the device of `array` is the current one; it changes nothing on the CPU."""
    device = elsewhere((array,)) if several else None
    return _HERE if device is None else device


def runs_there(function: _F) -> _F:
    """Decorate a function that computes on arrays itself: it runs on the device of its first tensor or array.

    Operations and in-place operations do so anyway.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if several:
            device = elsewhere(getattr(x, "_data", x) for x in (*args, *kwargs.values()))
            if device is not None:
                with device:
                    return function(*args, **kwargs)
        return function(*args, **kwargs)

    return run  # type: ignore[return-value]


def to_device(array: Any, where: Device, non_blocking: bool = False) -> Any:
    """`array` on device `where`: itself if it is there already, else a copy.

    non_blocking: from page-locked memory to a GPU the copy may still be under way on return.
    """
    here, there = backend_of(array), backend_for(where)
    if here is there and (here.kind != "cuda" or where.index in (None, here.device(array).index)):
        return array
    if there.kind != "cuda":
        return (
            there.xp.asarray(_on_host(here, array))
            if there.kind != "cpu"
            else _on_host(here, array)
        )
    with there.xp.cuda.Device(where.index):  # None is the current one
        if here is there:
            return there.xp.array(array)
        host = _on_host(here, array)
        if non_blocking and host.flags.c_contiguous and is_pinned(host):
            made = there.xp.empty(host.shape, host.dtype)
            made.set(host, there.xp.cuda.get_current_stream())
            return made
        return there.xp.asarray(host)


def _on_host(here: Backend, array: Any) -> np.ndarray:
    if here.kind != "cpu":
        _capturing.refuse_reading()
        return here.xp.asnumpy(array)
    return array.view(np.ndarray) if array.dtype.kind == "V" else array


def is_pinned(array: Any) -> bool:
    """Whether an array shows page-locked memory, which a GPU reads without the processor's help."""
    while isinstance(array, np.ndarray):
        array = array.base
    array = getattr(array, "obj", array)  # of a memoryview
    return type(array).__name__ == "PinnedMemoryPointer"


def pinned(array: np.ndarray, cupy: Any) -> np.ndarray:
    """A copy of `array` in page-locked memory."""
    memory = cupy.cuda.alloc_pinned_memory(max(array.nbytes, 1))
    made = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
    made[...] = array
    return made


def strided_view(array: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """A view from the first element of `array` on, with strides in bytes; its base owns the memory.

    CuPy's own `as_strided` gives an array without a base, which nothing tells from one of its own.
    """
    if isinstance(array, np.ndarray):
        return np.lib.stride_tricks.as_strided(array, shape, strides)
    shown = array.view()
    shown._set_shape_and_strides(shape, strides, True, True)
    return shown


def to_numpy(array: Any) -> np.ndarray:
    """`array` as a NumPy array; no copy when it is one."""
    return to_device(array, CPU)


def sum_to(array: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum `array` over the axes that broadcasting `shape` had stretched.

    If `y = broadcast(x)`, every element of `x` is used once per copy, so its gradient is the
    sum over the copies. Leading axes that `shape` lacks are summed away; axes where `shape`
    has 1 are summed and kept.
    """
    if array.shape == shape:
        return array
    lead = array.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + i for i, n in enumerate(shape) if n == 1 and array.shape[lead + i] != 1
    )
    kind = array.dtype
    # As `tensorlab.sum`: numbers of float16 are added in float32, and an overflow is no warning.
    wide = np.dtype(np.float32) if kind == np.float16 else kind
    out = backend_of(array).xp.add.reduce(array, axes, wide, None, True)
    return (out if wide is kind else out.astype(kind)).reshape(shape)


def describe_devices(arrays: Iterable[Any]) -> str:
    """The distinct devices of `arrays`, in order, for error messages."""
    seen = dict.fromkeys(str(backend_of(a).device(a)) for a in arrays)
    return " and ".join(seen)
