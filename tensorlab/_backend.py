"""The seam between tensorlab and the array libraries that hold its numbers.

A tensor's numbers live in a plain array: `numpy.ndarray` on the CPU, `cupy.ndarray` on a
CUDA device. Everything above this file is written once, on the module `xp` that owns the
array (`numpy` or `cupy`), so one gradient rule and one generic kernel serve every device.

CuPy is imported the first time somebody asks for a CUDA device, never before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab import _capturing

__all__ = ["Backend", "Device", "backend_of", "device", "register_backend", "sum_to", "to_device"]


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


def _load_cuda() -> Backend:
    try:
        import cupy  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise RuntimeError(
            "device 'cuda' needs CuPy, which is not installed here: install the extra "
            "'cuda12' or 'cuda13' of tensorlab-course, or use device='cpu'"
        ) from error
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(f"No CUDA GPUs are available ({error}); use device='cpu'") from error
    return register_backend(Backend("cuda", cupy, cupy.ndarray))


def to_device(array: Any, where: Device) -> Any:
    """`array` on device `where`: itself if it is there already, else a copy."""
    here, there = backend_of(array), backend_for(where)
    if here is there:
        if here.kind != "cuda" or where.index in (None, int(array.device.id)):
            return array
        with there.xp.cuda.Device(where.index):
            return there.xp.array(array)
    if here.kind != "cpu":
        _capturing.refuse_reading()
    host = array if here.kind == "cpu" else here.xp.asnumpy(array)
    if there.kind == "cpu":
        return host
    if there.kind == "cuda" and where.index is not None:
        with there.xp.cuda.Device(where.index):
            return there.xp.asarray(host)
    return there.xp.asarray(host)


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
