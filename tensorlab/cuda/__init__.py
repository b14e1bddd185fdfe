"""What CUDA devices there are. Tensors move to them with `.to("cuda")`; CuPy does the work.

Every question here can be asked on a machine without a GPU: the answer is then "none".
"""

from __future__ import annotations

import importlib
from typing import Any

from tensorlab import _backend, _random
from tensorlab._backend import Device
from tensorlab.cuda.graphs import (
    CUDAGraph,
    graph,
    graph_pool_handle,
    is_current_stream_capturing,
)

__all__ = [
    "CUDAGraph",
    "current_device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "graph",
    "graph_pool_handle",
    "is_available",
    "is_current_stream_capturing",
    "manual_seed",
    "manual_seed_all",
    "synchronize",
]


def _runtime() -> Any | None:
    """CuPy, or None where it or the GPU is missing."""
    try:
        return _backend.backend_for(Device("cuda")).xp
    except RuntimeError:
        return None


def is_available() -> bool:
    """Whether tensors can be put on a CUDA device here.

    >>> import tensorlab
    >>> device = "cuda" if tensorlab.cuda.is_available() else "cpu"
    """
    return device_count() > 0


def device_count() -> int:
    """The number of CUDA devices; 0 without a GPU, a driver or CuPy."""
    cupy = _runtime()
    return 0 if cupy is None else int(cupy.cuda.runtime.getDeviceCount())


def current_device() -> int:
    """The index of the device that new CUDA tensors go to; `RuntimeError` if there is none."""
    return int(_require().cuda.Device().id)


def get_device_name(device: int | str | Device | None = None) -> str:
    """The name of a CUDA device, by default the current one; `RuntimeError` if there is none."""
    cupy = _require()
    index = current_device() if device is None else Device(device).index or 0
    return cupy.cuda.runtime.getDeviceProperties(index)["name"].decode()


def synchronize(device: int | str | Device | None = None) -> None:
    """Wait until everything asked of a device is done: kernels run behind Python's back."""
    cupy = _require()
    cupy.cuda.Device(
        current_device() if device is None else Device(device).index or 0
    ).synchronize()


def empty_cache() -> None:
    """Give memory that no tensor uses back to the device; nothing to do without one."""
    cupy = _runtime()
    if cupy is not None:
        cupy.get_default_memory_pool().free_all_blocks()


def manual_seed(seed: int) -> None:
    """Seed random numbers; one stream serves all devices, so this is `tensorlab.manual_seed`."""
    _random.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """As `manual_seed`: one stream serves all devices."""
    _random.manual_seed(seed)


def _require() -> Any:
    return _backend.backend_for(Device("cuda")).xp


def __getattr__(name: str) -> Any:
    """Import `tensorlab.cuda.amp`, `jit` and what builds on modules when they are first used."""
    if name in ("amp", "jit"):
        return importlib.import_module(f"tensorlab.cuda.{name}")
    if name == "make_graphed_callables":
        return importlib.import_module("tensorlab.cuda.graphed").make_graphed_callables
    raise AttributeError(f"module 'tensorlab.cuda' has no attribute {name!r}")
