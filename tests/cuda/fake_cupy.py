"""A `cupy` that keeps books and computes nothing on a GPU: arrays are those of the strict device.

It shows what tensorlab asks of CuPy about devices, memory, streams and events, and lets an allocation fail.
How the real ones behave it cannot show; the tests marked `gpu` do.
"""

from __future__ import annotations

import importlib.machinery
import types
from typing import Any

import numpy as np

from tensorlab.testing import strict


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class Memory:
    def __init__(self, size: int, device_id: int) -> None:
        self.size, self.device_id = size, device_id


class Pool:
    """Counts bytes in units of 512, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used, self.kept, self.emptied = limit, 0, 0, 0

    def malloc(self, size: int) -> Memory:
        rounded = -(-size // 512) * 512
        if self.used + rounded > self.limit:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes")
        self.used += rounded
        self.kept = max(self.kept, self.used)
        return Memory(rounded, Device.current)

    def free(self, memory: Memory) -> None:
        self.used -= memory.size

    def used_bytes(self) -> int:
        return self.used

    def total_bytes(self) -> int:
        return self.kept

    def free_all_blocks(self) -> None:
        self.emptied += 1
        self.kept = self.used

    def set_limit(self, fraction: float) -> None:
        self.limit = int(fraction * 16 * 2**30)


class Device:
    current = 0
    entered: list[int]

    def __init__(self, number: int | None = None) -> None:
        self.id = Device.current if number is None else number
        self._outer: list[int] = []
        self.mem_info = (2**30, 16 * 2**30)
        self.waited = False

    def use(self) -> None:
        Device.current = self.id

    def synchronize(self) -> None:
        LOG.append(f"synchronize {self.id}")

    def __enter__(self) -> Device:
        self._outer.append(Device.current)
        Device.current = self.id
        return self

    def __exit__(self, *exception: Any) -> None:
        Device.current = self._outer.pop()


LOG: list[str] = []


class Stream:
    _stack: list[Stream]
    _count = 0

    def __init__(self, null: bool = False, non_blocking: bool = False, priority: int = 0) -> None:
        Stream._count += not null
        self.ptr = 0 if null else 0x1000 + Stream._count
        self.priority, self.done = priority, True

    def synchronize(self) -> None:
        LOG.append(f"synchronize stream {self.ptr:#x}")

    def wait_event(self, event: Event) -> None:
        LOG.append(f"stream {self.ptr:#x} waits for {event.ptr:#x}")

    def use(self) -> None:
        Stream._stack[-1] = self

    def is_capturing(self) -> bool:
        return False

    def __enter__(self) -> Stream:
        Stream._stack.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        Stream._stack.pop()


class Event:
    _count = 0

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        Event._count += 1
        self.ptr, self.done = 0xE000 + Event._count, True
        self.disable_timing = disable_timing

    def record(self, stream: Stream) -> None:
        LOG.append(f"record {self.ptr:#x} in {stream.ptr:#x}")

    def synchronize(self) -> None:
        LOG.append(f"synchronize {self.ptr:#x}")


class PinnedMemoryPointer:
    """A buffer, as CuPy's is."""

    def __init__(self, size: int) -> None:
        self._memory = np.zeros(size, np.uint8)

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self._memory)


def make(devices: int = 1, limit: int = 2**20) -> Any:
    """The module, with its own pool and its own current device and stream."""
    cupy = types.ModuleType("cupy")
    vars(cupy).update({k: v for k, v in vars(strict.xp).items() if not k.startswith("__")})
    cupy.__version__ = "14.2.0"  # type: ignore[attr-defined]
    cupy.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    pool, pinned = Pool(limit), Pool(limit)
    Device.current, Stream._stack = 0, [Stream(null=True)]
    Stream.null = Stream._stack[0]  # type: ignore[attr-defined]
    LOG.clear()
    allocators = [pool.malloc]
    properties = {
        "name": b"Test GPU", "major": 8, "minor": 6, "totalGlobalMem": 16 * 2**30, "multiProcessorCount": 4,
        "warpSize": 32, "maxThreadsPerMultiProcessor": 2048, "regsPerMultiprocessor": 65536,
        "sharedMemPerBlock": 49152, "sharedMemPerBlockOptin": 101376, "sharedMemPerMultiprocessor": 102400,
        "l2CacheSize": 2**22, "integrated": 0,
    }  # fmt: skip
    runtime = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDevice=lambda: Device.current,
        getDeviceCount=lambda: devices,
        getDeviceProperties=lambda i: properties,
        deviceCanAccessPeer=lambda a, b: int(a != b),
    )
    cupy.cuda = types.SimpleNamespace(  # type: ignore[attr-defined]
        runtime=runtime, Device=Device, Stream=Stream, Event=Event, alloc_pinned_memory=PinnedMemoryPointer,
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        get_allocator=lambda: allocators[-1], set_allocator=allocators.append,
        get_current_stream=lambda: Stream._stack[-1], get_elapsed_time=lambda a, b: 1.5,
    )  # fmt: skip
    cupy.get_default_memory_pool = lambda: pool  # type: ignore[attr-defined]
    cupy.get_default_pinned_memory_pool = lambda: pinned  # type: ignore[attr-defined]
    cupy.allocate = lambda size: allocators[-1](size)  # type: ignore[attr-defined]
    return cupy
