"""Running a kernel over all elements of arrays of one shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import pass_threads, split

__all__ = ["each", "elementwise"]


def elementwise(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Make a function a kernel for `each`: all its arrays are flat, and what it writes is the last of them."""
    return compiled(signature, cut=0)


def each(
    kernel: Any,
    work: int,
    *arrays: np.ndarray,
    numbers: tuple[Any, ...] = (),
    out: np.ndarray | None = None,
) -> np.ndarray:
    """`kernel(*arrays, out, *numbers)` on flat pieces; `work` is its operations for each element.

    out: a contiguous array, which the kernel may read as well; a new one unless given.
    """
    if out is None:
        out = np.empty(arrays[0].shape, np.float32)
    flat = [a.ravel() for a in (*arrays, out)]
    # Whole cache lines to each thread.
    run_parts(kernel, split(out.size, pass_threads(work * out.size), 16), *flat, *numbers)
    return out
