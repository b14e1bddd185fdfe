"""How much memory of a device is in use, by whom, and how to give back what is only kept.

A device's memory is asked for in blocks that CuPy's pool keeps when tensors are freed: *allocated* is what
arrays use, *reserved* is that and what the pool keeps. Sizes are in bytes, rounded up to 512 for each array.
"""

from __future__ import annotations

import gc

from tensorlab import _gpu
from tensorlab._backend import Device
from tensorlab._gpu import OutOfMemoryError, in_bytes
from tensorlab._layout import root_array
from tensorlab._tensor import Tensor
from tensorlab.cuda.devices import index_of, require, runtime

__all__ = [
    "OutOfMemoryError", "empty_cache", "max_memory_allocated", "max_memory_reserved", "mem_get_info",
    "memory_allocated", "memory_reserved", "memory_stats", "memory_summary", "reset_peak_memory_stats",
    "set_per_process_memory_fraction",
]  # fmt: skip

#: How many tensors an error of exhausted memory names.
NAMED = 5


def memory_stats(device: int | str | Device | None = None) -> dict[str, int]:
    """What `memory_summary` shows, by PyTorch's names; empty without a CUDA device."""
    cupy = runtime()
    if cupy is None or _gpu.allocator is None:
        return {}
    index = index_of(device, cupy)
    with cupy.cuda.Device(index):
        used, reserved = _gpu.allocator.pool.used_bytes(), _gpu.allocator.pool.total_bytes()
    return {
        "allocated_bytes.all.current": used,
        "allocated_bytes.all.peak": max(used, _gpu.allocator.peak.get(index, 0)),
        "reserved_bytes.all.current": reserved,
        "reserved_bytes.all.peak": max(reserved, _gpu.allocator.peak_reserved.get(index, 0)),
    }


def memory_allocated(device: int | str | Device | None = None) -> int:
    """The bytes that tensors on a device use now; 0 without one."""
    return memory_stats(device).get("allocated_bytes.all.current", 0)


def max_memory_allocated(device: int | str | Device | None = None) -> int:
    """The most bytes that tensors used at one time, since the start or `reset_peak_memory_stats`.

    It may be up to 0.4 % too small: see `tensorlab._gpu.Allocator`.
    """
    return memory_stats(device).get("allocated_bytes.all.peak", 0)


def memory_reserved(device: int | str | Device | None = None) -> int:
    """The bytes that the pool holds now: for tensors, and kept for those to come."""
    return memory_stats(device).get("reserved_bytes.all.current", 0)


def max_memory_reserved(device: int | str | Device | None = None) -> int:
    """The most bytes that the pool held at one time, since the start or `reset_peak_memory_stats`."""
    return memory_stats(device).get("reserved_bytes.all.peak", 0)


def reset_peak_memory_stats(device: int | str | Device | None = None) -> None:
    """Begin anew with `max_memory_allocated` and `max_memory_reserved`; nothing happens without a device."""
    cupy = runtime()
    if cupy is None or _gpu.allocator is None:
        return
    index = index_of(device, cupy)
    with cupy.cuda.Device(index):
        _gpu.allocator.reset_peaks(index)


def mem_get_info(device: int | str | Device | None = None) -> tuple[int, int]:
    """The free bytes of a device and all it has, as the driver counts them, for all programs together.

    Raises `RuntimeError` without a CUDA device.
    """
    cupy = require()
    free, total = cupy.cuda.Device(index_of(device, cupy)).mem_info
    return int(free), int(total)


def empty_cache() -> None:
    """Give memory that no tensor uses back to the device; nothing to do without one."""
    cupy = runtime()
    if cupy is not None:
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()


def set_per_process_memory_fraction(
    fraction: float, device: int | str | Device | None = None
) -> None:
    """Let tensors have no more than this share of a device's memory, 0 to 1.

    Raises `ValueError` for another number, `TypeError` for none, `RuntimeError` without a device.
    """
    cupy = require()
    if not isinstance(fraction, float):
        raise TypeError("Invalid type for fraction argument, must be `float`")
    if not 0 <= fraction <= 1:
        raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
    with cupy.cuda.Device(index_of(device, cupy)):
        cupy.get_default_memory_pool().set_limit(fraction=fraction)


def memory_summary(device: int | str | Device | None = None, abbreviated: bool = False) -> str:
    """A table of what is used and reserved, now and at most, and of the largest tensors.

    abbreviated: without the tensors.
    """
    stats = memory_stats(device)
    if not stats:
        return "no CUDA device: no memory is used"
    index = index_of(device, runtime())
    lines = [f"memory of cuda:{index}", f"{'':12}{'now':>14}{'peak':>14}"]
    for name, key in (("allocated", "allocated_bytes"), ("reserved", "reserved_bytes")):
        now, peak = (in_bytes(stats[f"{key}.all.{when}"]) for when in ("current", "peak"))
        lines.append(f"{name:12}{now:>14}{peak:>14}")
    if not abbreviated:
        lines += ["the largest tensors alive:", *largest(index)]
    return "\n".join(lines)


def largest(index: int) -> list[str]:
    """The blocks of memory that the largest tensors alive on device `index` hold, a line for each."""
    found: dict[int, tuple[int, Tensor]] = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), Tensor) and _is_on(thing, index):
            root = root_array(thing._data)
            if id(root) not in found:
                found[id(root)] = (int(root.nbytes), thing)
    ordered = sorted(found.values(), key=lambda pair: -pair[0])
    return [f"  {in_bytes(size):>12}  {_described(tensor)}" for size, tensor in ordered[:NAMED]]


def _is_on(tensor: Tensor, index: int) -> bool:
    try:
        where = tensor.device
    except (AttributeError, TypeError):
        return False  # one that is being made
    return where.type == "cuda" and where.index == index


def _described(tensor: Tensor) -> str:
    name = f"{type(tensor).__name__} {list(tensor.shape)} {tensor.dtype}"
    made = tensor.grad_fn.name() if tensor._node is not None and tensor.grad_fn is not None else ""
    return f"{name} {made}".rstrip()


_gpu.holders = largest
