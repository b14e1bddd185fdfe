"""How an array lies in memory: where, in which steps, and on whose memory."""

from __future__ import annotations

from typing import Any

import numpy as np


def element_strides(array: Any) -> tuple[int, ...]:
    """Strides in elements. PyTorch's convention also for arrays without elements or with size-1 axes."""
    if array.flags.c_contiguous:
        # NumPy leaves the strides of size-1 axes undefined; a contiguous tensor's are canonical.
        strides, step = [], 1
        for n in reversed(array.shape):
            strides.append(step)
            step *= max(n, 1)
        return tuple(reversed(strides))
    return tuple(s // array.itemsize for s in array.strides)


def root_array(array: Any) -> Any:
    """The array that owns the memory which `array` shows."""
    kind = np.ndarray if isinstance(array, np.ndarray) else type(array)
    while array.base is not None:
        below = array.base
        if not isinstance(below, kind):  # NumPy's as_strided puts an object in between
            below = getattr(below, "base", None)
            if not isinstance(below, kind):
                break
        array = below
    return array


def address(array: Any) -> int:
    """The memory address of the first element."""
    if isinstance(array, np.ndarray):
        return array.__array_interface__["data"][0]
    return int(array.data.ptr)


def shares_storage(out: Any, source: Any) -> bool:
    """Whether the array `out` is a view on `source`'s memory rather than a copy."""
    base = out.base
    return out is source or (
        base is not None
        and (base is source or base is source.base or root_array(out) is root_array(source))
    )
