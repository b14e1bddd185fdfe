"""Max pooling of any number of dimensions in float32, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many results the generic path is as fast.
FEWEST = 2_000


def _count(x: Any, how: tuple[Any, ...]) -> Any:
    """The size of the result, if the kernel is made for the case; else None."""
    from tensorlab.ops.pool import output_size

    kernel, stride, padding, dilation, ceil_mode = how
    dims = len(kernel)
    if (
        x.ndim not in (dims + 1, dims + 2)
        or min(*kernel, *stride, *dilation) < 1
        or min(padding) < 0
    ):
        return None
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        return None
    if any(d > n and p for d, n, p in zip(dilation, x.shape[-dims:], padding, strict=True)):
        return None  # a window may have no element of the image
    count = output_size(x.shape[-dims:], kernel, stride, padding, dilation, ceil_mode)
    if min(count) < 1 or int(np.prod(x.shape[:-dims])) * int(np.prod(count)) < FEWEST:
        return None
    return count


def _is_halving(x: Any, how: tuple[Any, ...]) -> bool:
    """The commonest case, which has a kernel of its own."""
    return how[:4] == ((2, 2), (2, 2), (0, 0), (1, 1)) and x.shape[-1] % 2 == 0


def _largest(what: str, how: tuple[Any, ...], input: Any, *others: Any) -> Any:
    """A function of the module that is made for these windows; NotImplemented if none is."""
    count = _count(input, how) if all_float32(input, *others) else None
    if count is None:
        return NotImplemented
    halving = _is_halving(input, how)
    found = native("pool" if halving else "windows")
    if found is None:
        return NotImplemented
    return getattr(found, what)(input, count, *(() if halving else how[:4]))


@register_kernel("max_pool", "cpu")
def _max_pool(input: Any, *how: Any) -> Any:
    return _largest("max_pool", how, input)


@register_kernel("max_pool_positions", "cpu")
def _max_pool_positions(input: Any, output: Any, *how: Any) -> Any:
    return _largest("max_pool_positions", how, input, output)


@register_backward_kernel("max_pool", "cpu", "input")
def _max_pool_backward(g: Any, input: Any, *how: Any) -> Any:
    if not all_float32(g, input) or _is_halving(input, how) or _count(input, how) is None:
        return NotImplemented
    windows = native("windows")
    return NotImplemented if windows is None else windows.max_pool_backward(g, input, *how[:4])


@register_kernel("pool_scatter", "cpu")
def _pool_scatter(input: Any, indices: Any, size: Any) -> Any:
    if not all_float32(input) or input.size < FEWEST or indices.dtype != np.int64:
        return NotImplemented
    if not isinstance(size, tuple) or not all(size):
        return NotImplemented
    pool = native("pool")
    return NotImplemented if pool is None else pool.pool_scatter(input, indices, size)


@register_kernel("adaptive_max_pool_with_indices", "cpu")
def _adaptive_max_pool(input: Any, size: Any) -> Any:
    dims = len(size)
    if not all_float32(input) or dims > 3 or input.size < FEWEST or min(*size, *input.shape) < 1:
        return NotImplemented
    adaptive = native("adaptive")
    return NotImplemented if adaptive is None else adaptive.largest_parts(input, tuple(size))
