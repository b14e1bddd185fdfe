"""Dropout with random numbers made on the device: see `dropout.cu`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cuda.launch import (
    aligned,
    launch,
    like,
    ours,
    strided_grid,
    suits,
    type_of,
    wide_variants,
)

INSTANCES = wide_variants("dropout")
THREADS = 256


def dropout(input: Any, keep: float, scale: float, key: Any) -> Any:
    held = not isinstance(key, int)  # in memory, where the graph that is captured will find it
    if not suits(input) or (held and not (ours(key) and key.dtype == np.uint64)):
        return NotImplemented
    from tensorlab.ops.dropout import threshold

    x = aligned(input)
    out, count, wide = like(x), int(x.size), 16 // x.dtype.itemsize
    grid = strided_grid(count, THREADS * wide) if count else (0,)
    launch(
        "dropout", f"dropout<{type_of(x)}, {wide}>", grid, (THREADS,), x, out, count,
        np.uint64(threshold(keep)), float(scale), np.uint64(0 if held else key), key if held else None,
    )  # fmt: skip
    return out
