"""Max pooling of one and two dimensions in float32, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many results the generic path is as fast.
FEWEST = 2_000


def _count(x: Any, how: tuple[Any, ...]) -> Any:
    """The size of the result, if the kernel is made for the case; else None."""
    from tensorlab.ops.pool import output_size

    kernel, stride, padding, dilation, ceil_mode = how
    dims = len(kernel)
    if (
        dims > 2
        or x.ndim not in (dims + 1, dims + 2)
        or min(*kernel, *stride, *dilation) < 1
        or min(padding) < 0
    ):
        return None
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        return None
    count = output_size(x.shape[-dims:], kernel, stride, padding, dilation, ceil_mode)
    if min(count) < 1 or int(np.prod(x.shape[:-dims])) * int(np.prod(count)) < FEWEST:
        return None
    return count


@register_kernel("max_pool", "cpu")
def _max_pool(input: Any, *how: Any) -> Any:
    count = _count(input, how) if all_float32(input) else None
    pool = None if count is None else native("pool")
    return NotImplemented if pool is None else pool.max_pool(input, count, *how[:4])


@register_kernel("max_pool_positions", "cpu")
def _max_pool_positions(input: Any, output: Any, *how: Any) -> Any:
    count = _count(input, how) if all_float32(input, output) else None
    pool = None if count is None else native("pool")
    return NotImplemented if pool is None else pool.max_pool_positions(input, count, *how[:4])


@register_kernel("pool_scatter", "cpu")
def _pool_scatter(input: Any, indices: Any, size: Any) -> Any:
    if not all_float32(input) or input.size < FEWEST or indices.dtype != np.int64:
        return NotImplemented
    if not isinstance(size, tuple) or not all(size):
        return NotImplemented
    pool = native("pool")
    return NotImplemented if pool is None else pool.pool_scatter(input, indices, size)
