"""CuPy as the array library of CUDA devices: found, judged and prepared at the first use of one.

Why there is no GPU to use is said once, here: `tensorlab doctor`, `tensorlab.cuda` and the error of
`.to("cuda")` all repeat it.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

#: The oldest CuPy whose functions the operations are written for.
OLDEST_CUPY = 14


class Missing(NamedTuple):
    """Why no CUDA device can be used: what is found, and what to do about it."""

    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}" if self.remedy else self.reason


class OutOfMemoryError(RuntimeError):
    """A CUDA device has no room for what was asked for, not even without the memory that was kept for later."""


def has_driver() -> bool:
    """Whether the driver's own library can be loaded; it comes with the driver and nothing else."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def find() -> tuple[Any, Missing | None]:
    """CuPy and None where a CUDA device can be used; else None, or the CuPy that is there, and why not."""
    installed = importlib.util.find_spec("cupy") is not None
    if not has_driver():
        text = "no NVIDIA driver on this machine"
        return None, Missing(f"{text} (CuPy is installed)" if installed else text)
    if not installed:
        return None, Missing(
            "an NVIDIA driver is here, but CuPy is not installed",
            "install the extra 'cuda13' of tensorlab-course (or 'cuda12' for an older driver)",
        )
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        return None, Missing(
            f"CuPy is installed but cannot be imported: {error}",
            "install it anew, one CuPy package alone ('pip list' shows whether there are two)",
        )
    if int(cupy.__version__.partition(".")[0]) < OLDEST_CUPY:
        return cupy, Missing(
            f"CuPy {cupy.__version__} is too old",
            f"tensorlab needs CuPy {OLDEST_CUPY} or newer: pip install --upgrade the installed cupy package",
        )
    return cupy, _devices(cupy)


def _devices(cupy: Any) -> Missing | None:
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        return _misfit(runtime, error)
    return None if count else Missing("the driver lists no device", "see whether nvidia-smi does")


def _misfit(runtime: Any, error: Exception) -> Missing:
    """Why CuPy cannot speak with the driver: it is too old for this CuPy, or something else is wrong."""
    if "InsufficientDriver" not in str(error):
        return Missing(
            f"none that works: {error}", "see whether nvidia-smi works and fits the installed CuPy"
        )
    needed = _release(runtime.runtimeGetVersion())
    try:
        offered = f"the driver offers CUDA {_release(runtime.driverGetVersion())}"
    except runtime.CUDARuntimeError:
        offered = "the driver is older"
    return Missing(
        f"version mismatch: the installed CuPy is made for CUDA {needed}, {offered}",
        "update the driver, or install the extra 'cuda12' in place of 'cuda13'",
    )


def _release(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


# Memory ------------------------------------------------------------------------------------

#: Says what holds the memory of a device, largest first; `tensorlab.cuda.memory` knows how.
holders: Callable[[int], Iterable[str]] | None = None


class Allocator:
    """CuPy's allocator, watched: peaks are remembered, and its error becomes PyTorch's.

    CuPy's pool itself gives back what it had kept and tries once more before it gives up.

    To look how much is in use costs time proportional to the number of arrays, so it is looked only
    when the peak may have been passed by a 256th: when what was in use at the last look, and all that was
    asked for since, come to more than that.
    """

    UNIT = 512  # the pool's rounding, in bytes
    SLACK = 256

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.inner = cupy.cuda.get_allocator()
        self.pool = cupy.get_default_memory_pool()
        self.peak: dict[int, int] = {}
        self.peak_reserved: dict[int, int] = {}
        self._bound: dict[int, int] = {}

    def __call__(self, size: int) -> Any:
        try:
            memory = self.inner(size)
        except self.cupy.cuda.memory.OutOfMemoryError as error:
            raise OutOfMemoryError(self.explain(size)) from error
        index = memory.device_id
        bound = self._bound.get(index, 0) + -(-size // self.UNIT) * self.UNIT
        peak = self.peak.get(index, 0)
        if bound > peak + peak // self.SLACK:
            bound = self.pool.used_bytes()
            self.peak[index] = max(peak, bound)
            self.peak_reserved[index] = max(
                self.peak_reserved.get(index, 0), self.pool.total_bytes()
            )
        self._bound[index] = bound
        return memory

    def reset_peaks(self, index: int) -> None:
        """Begin anew at what is in use on the current device."""
        self.peak[index] = self._bound[index] = self.pool.used_bytes()
        self.peak_reserved[index] = self.pool.total_bytes()

    def explain(self, size: int) -> str:
        """What PyTorch says when there is no room for `size` bytes, and what holds the most."""
        device = self.cupy.cuda.Device()
        free, total = device.mem_info
        used, reserved = self.pool.used_bytes(), self.pool.total_bytes()
        lines = [
            f"CUDA out of memory. Tried to allocate {in_bytes(size)}. GPU {int(device.id)} has a total capacity of "
            f"{in_bytes(total)} of which {in_bytes(free)} is free. {in_bytes(used)} is allocated by tensorlab, and "
            f"{in_bytes(reserved - used)} is reserved by tensorlab but unallocated."
        ]
        found = list(holders(int(device.id))) if holders is not None else []
        if found:
            lines.append("The largest tensors alive:")
            lines += found
        lines.append(
            "A smaller batch, `del` of what is no longer needed (a loss kept for its history keeps its graph: use "
            "loss.item()), no_grad for evaluation, or utils.checkpoint may help."
        )
        return "\n".join(lines)


def in_bytes(size: int) -> str:
    """A number of bytes as PyTorch writes it: "2.00 GiB"."""
    for unit, step in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= step:
            return f"{size / step:.2f} {unit}"
    return f"{size} bytes"


# At the first use ---------------------------------------------------------------------------

allocator: Allocator | None = None


def load() -> Any:
    """CuPy, ready for tensors; `RuntimeError` says why there is none."""
    global allocator
    cupy, missing = find()
    if missing is not None:
        raise RuntimeError(
            f"Found no CUDA device that can be used: {missing}. Use device='cpu', or ask tensorlab.cuda.is_available()"
        )
    allocator = Allocator(cupy)
    cupy.cuda.set_allocator(allocator)
    return cupy


def linalg_errors() -> Any:
    """Within it, CuPy's linear algebra raises `numpy.linalg.LinAlgError` for matrices that it cannot take."""
    return importlib.import_module("cupyx").errstate(linalg="raise")


def allow_tf32(cupy: Any, allow: bool) -> None:
    """Whether products of float32 matrices may be rounded to TF32, which is what `CUPY_TF32=1` does."""
    linalg = importlib.import_module("cupy._core._routines_linalg")
    kind = linalg.COMPUTE_TYPE_TF32 if allow else linalg.COMPUTE_TYPE_DEFAULT
    linalg.set_compute_type(cupy.float32, kind)
