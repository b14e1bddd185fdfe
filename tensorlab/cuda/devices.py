"""Which CUDA devices there are, what they can do, and which one is the current one."""

from __future__ import annotations

from typing import Any, NamedTuple

from tensorlab import _backend, _gpu
from tensorlab._backend import Device


class DeviceProperties(NamedTuple):
    """What `get_device_properties` tells of a device; memory in bytes."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int
    max_threads_per_multi_processor: int
    regs_per_multiprocessor: int
    shared_memory_per_block: int
    shared_memory_per_block_optin: int
    shared_memory_per_multiprocessor: int
    L2_cache_size: int
    is_integrated: int


def runtime() -> Any | None:
    """CuPy, or None where it or the GPU is missing."""
    try:
        return require()
    except RuntimeError:
        return None


def require() -> Any:
    """CuPy; `RuntimeError` says why there is no CUDA device that can be used."""
    return _backend.backend_for(Device("cuda")).xp


def index_of(device: int | str | Device | None, cupy: Any, optional: bool = False) -> int:
    """The number of a CUDA device; of the current one for None, and for "cuda" alone.

    Raises `ValueError` for a device of another type, `RuntimeError` for a number that no device has.
    """
    if device is None:
        return int(cupy.cuda.runtime.getDevice())
    found = Device(device)
    if found.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {found}")
    if found.index is None:
        return int(cupy.cuda.runtime.getDevice())
    count = int(cupy.cuda.runtime.getDeviceCount())
    if not 0 <= found.index < count:
        raise RuntimeError(
            f"CUDA error: invalid device ordinal: there is no device {found.index}, but {count} from 0 on"
        )
    return found.index


def is_available() -> bool:
    """Whether tensors can be put on a CUDA device here; `unavailable_reason` says why not.

    >>> import tensorlab
    >>> device = "cuda" if tensorlab.cuda.is_available() else "cpu"
    """
    return device_count() > 0


def unavailable_reason() -> str:
    """Why `is_available` is False: no driver, no CuPy, or two that do not fit; "" where it is True.

    >>> import tensorlab
    >>> bool(tensorlab.cuda.unavailable_reason()) != tensorlab.cuda.is_available()
    True
    """
    if runtime() is not None:
        return ""
    _, missing = _gpu.find()
    return "" if missing is None else str(missing)


def device_count() -> int:
    """The number of CUDA devices; 0 without a GPU, a driver or CuPy."""
    cupy = runtime()
    return 0 if cupy is None else int(cupy.cuda.runtime.getDeviceCount())


def init() -> None:
    """Find the device and CuPy now, not when they are first used; `RuntimeError` if there is none."""
    require()


def is_initialized() -> bool:
    """Whether a CUDA device has been used already."""
    return "cuda" in _backend._by_kind


def current_device() -> int:
    """The index of the device that new CUDA tensors go to; `RuntimeError` if there is none."""
    return int(require().cuda.runtime.getDevice())


def set_device(device: int | str | Device) -> None:
    """Make a device the current one for this thread; a negative index changes nothing.

    Operations run on the current device: with several GPUs, use `cuda.device` around work on another one.
    """
    if isinstance(device, int) and device < 0:
        return
    cupy = require()
    cupy.cuda.Device(index_of(device, cupy)).use()


class device:
    """Make a device the current one within a block; None and a negative index change nothing.

    with tensorlab.cuda.device(1):
        x = tensorlab.zeros(3, device="cuda")   # on cuda:1
    """

    def __init__(self, device: Any) -> None:
        ignored = device is None or (isinstance(device, int) and device < 0)
        self.idx = -1 if ignored else index_of(device, require())
        self.prev_idx = -1

    def __enter__(self) -> None:
        if self.idx >= 0:
            self.prev_idx = current_device()
            set_device(self.idx)

    def __exit__(self, *exception: Any) -> None:
        if self.idx >= 0:
            set_device(self.prev_idx)


class device_of(device):
    """Make a tensor's device the current one within a block; a tensor on the CPU changes nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.device if obj.is_cuda else -1)


def get_device_properties(device: int | str | Device | None = None) -> DeviceProperties:
    """Name, compute capability, memory and limits of a device; `RuntimeError` if there is none."""
    cupy = require()
    found = cupy.cuda.runtime.getDeviceProperties(index_of(device, cupy))
    return DeviceProperties(
        found["name"].decode(),
        found["major"],
        found["minor"],
        found["totalGlobalMem"],
        found["multiProcessorCount"],
        found["warpSize"],
        found["maxThreadsPerMultiProcessor"],
        found["regsPerMultiprocessor"],
        found["sharedMemPerBlock"],
        found["sharedMemPerBlockOptin"],
        found["sharedMemPerMultiprocessor"],
        found["l2CacheSize"],
        found["integrated"],
    )


def get_device_name(device: int | str | Device | None = None) -> str:
    """The name of a CUDA device, by default the current one; `RuntimeError` if there is none."""
    return get_device_properties(device).name


def get_device_capability(device: int | str | Device | None = None) -> tuple[int, int]:
    """The compute capability of a device, such as (9, 0); `RuntimeError` if there is none."""
    found = get_device_properties(device)
    return found.major, found.minor


def can_device_access_peer(device: int | str | Device, peer_device: int | str | Device) -> bool:
    """Whether one device reads the memory of another without a copy."""
    cupy = require()
    pair = index_of(device, cupy), index_of(peer_device, cupy)
    return bool(cupy.cuda.runtime.deviceCanAccessPeer(*pair))


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether bfloat16 can be used on the current device: in hardware from capability 8.0 on.

    including_emulation: older devices compute it in float32, as the CPU does, and count too.
    """
    if not is_available():
        return False
    return including_emulation or get_device_capability()[0] >= 8


def is_tf32_supported() -> bool:
    """Whether the current device has TF32 (see `backends.cuda.matmul.allow_tf32`): from capability 8.0 on."""
    return is_available() and get_device_capability()[0] >= 8


def get_arch_list() -> list[str]:
    """The architectures that kernels are compiled for: that of the current device, when they are first used."""
    if not is_available():
        return []
    major, minor = get_device_capability()
    return [f"sm_{major}{minor}"]


def synchronize(device: int | str | Device | None = None) -> None:
    """Wait until everything asked of a device is done: kernels run behind Python's back."""
    cupy = require()
    cupy.cuda.Device(index_of(device, cupy)).synchronize()
