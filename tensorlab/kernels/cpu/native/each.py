"""Running a kernel over all elements of arrays of one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.threads import run_parts, split, thread_count


def each(kernel: Any, work: int, *arrays: np.ndarray, numbers: tuple[Any, ...] = ()) -> np.ndarray:
    """`kernel(*arrays, out, *numbers)` on flat pieces; `work` is its operations for each element."""
    out = np.empty(arrays[0].shape, np.float32)
    flat = [np.ascontiguousarray(a).reshape(-1) for a in (*arrays, out)]
    threads = thread_count(work * out.size)
    if threads == 1:
        kernel(*flat, *numbers)
        return out
    # Whole cache lines to each thread.
    run_parts(
        lambda first, last: kernel(*(a[first:last] for a in flat), *numbers),
        split(out.size, threads, 16),
    )
    return out
