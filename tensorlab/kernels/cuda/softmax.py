"""Which softmax kernel runs: see `softmax.cu`."""

from __future__ import annotations

import math
from typing import Any

from tensorlab.kernels.cuda.launch import (
    blocks,
    contiguous,
    i32,
    launch,
    like,
    runtime,
    suits,
    type_of,
    variants,
    width,
)

#: `ITEMS` of softmax.cu, and the largest block.
ITEMS, MOST_THREADS = 8, 1024
INSTANCES = variants(
    "softmax_rows<{T}, {N}>", "softmax_long<{T}, {N}>", "softmax_columns<{T}>",
    "softmax_rows_backward<{T}, {N}>", "softmax_long_backward<{T}, {N}>", "softmax_columns_backward<{T}>",
)  # fmt: skip


def row_block(n: int, items: int) -> tuple[int, int]:
    """Threads for a row of which each takes `items` numbers, and rows for a block of 128 threads or more.

    >>> row_block(10, 8), row_block(1000, 8), row_block(8192, 8)
    ((32, 4), (128, 1), (1024, 1))
    """
    threads = blocks(blocks(n, items), 32) * 32
    return threads, 4 if threads == 32 else 1


def _suits(dim: Any, *arrays: Any) -> bool:
    x = arrays[0]
    if type(dim) is not int or not suits(*arrays) or not x.size or not -x.ndim <= dim < x.ndim:
        return False
    return all(a.shape == x.shape for a in arrays) and x.shape[dim] < 2**31


def _run(suffix: str, dim: int, is_log: bool, *arrays: Any) -> Any:
    arrays = tuple(map(contiguous, arrays))
    x = arrays[0]
    out, axis = like(x), dim % x.ndim
    kind, n = type_of(x), x.shape[axis]
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    if inner > 1:
        grid, block = (blocks(outer * inner, 128),), (128,)
        name = f"softmax_columns{suffix}<{kind}>"
        launch("softmax", name, grid, block, *arrays, out, outer, i32(n), inner, is_log)
        return out
    wide = width(n, *arrays)
    if n <= ITEMS * MOST_THREADS:
        threads, rows = row_block(n, ITEMS)
        grid, block = (blocks(outer, rows),), (threads, rows)
        name = f"softmax_rows{suffix}<{kind}, {wide}>"
        launch("softmax", name, grid, block, *arrays, out, outer, i32(n), is_log)
        return out
    name = f"softmax_long{suffix}<{kind}, {wide}>"
    if suffix:
        launch("softmax", name, (outer,), (MOST_THREADS,), *arrays, out, i32(n), is_log)
        return out
    found, row = runtime(), n * x.dtype.itemsize
    # Static shared memory of the kernel counts too.
    keeps = found is not None and row + 1024 <= found.shared_limit
    shared = row if keeps else 0
    launch("softmax", name, (outer,), (MOST_THREADS,), x, out, i32(n), is_log, keeps, shared=shared)
    return out


def softmax(input: Any, dim: Any, dtype: Any = None) -> Any:
    if dtype is not None or not _suits(dim, input):
        return NotImplemented
    return _run("", dim, False, input)


def log_softmax(input: Any, dim: Any, dtype: Any = None) -> Any:
    if dtype is not None or not _suits(dim, input):
        return NotImplemented
    return _run("", dim, True, input)


def softmax_backward(g: Any, out: Any, dim: Any) -> Any:
    return _run("_backward", dim, False, g, out) if _suits(dim, g, out) else NotImplemented


def log_softmax_backward(g: Any, out: Any, dim: Any) -> Any:
    return _run("_backward", dim, True, g, out) if _suits(dim, g, out) else NotImplemented
