"""Sums and means in float32 over the last dimensions, and over earlier ones besides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many numbers, or for rows this short, the generic path is as fast.
FEWEST, SHORTEST = 4_096, 32


def _dims(dim: Any, ndim: int) -> list[int] | None:
    """The dimensions, counted from the front and in order; None where the generic path shall look."""
    if dim is None:
        return list(range(ndim))
    given = [dim] if type(dim) is int else list(dim) if type(dim) in (tuple, list) else []
    if not given or not all(type(d) is int and -ndim <= d < ndim for d in given):
        return None
    found = sorted(d % ndim for d in given)
    return found if len(set(found)) == len(found) else None


def _sum(x: Any, dim: Any, keepdim: Any, dtype: Any, mean: bool) -> Any:
    if dtype is not None or type(keepdim) is not bool or not all_float32(x):
        return NotImplemented
    if x.size < FEWEST or not x.size or not x.flags.c_contiguous:
        return NotImplemented
    dims = _dims(dim, x.ndim)
    if not dims or dims[-1] != x.ndim - 1:
        return NotImplemented
    first = x.ndim - 1  # of the dimensions at the end that are all summed over
    while first - 1 in dims:
        first -= 1
    n = math.prod(x.shape[first:])
    found = native("reduce") if n >= SHORTEST else None
    if found is None:
        return NotImplemented
    share = 1.0 / math.prod(x.shape[d] for d in dims) if mean else 1.0
    out = found.row_sums(x, n, share).reshape(x.shape[:first])
    earlier = tuple(d for d in dims if d < first)
    if earlier:
        out = np.add.reduce(out, earlier)
    return out.reshape([1 if d in dims else s for d, s in enumerate(x.shape)]) if keepdim else out


@register_kernel("sum", "cpu")
def _sum_kernel(input: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    return _sum(input, dim, keepdim, dtype, mean=False)


@register_kernel("mean", "cpu")
def _mean_kernel(input: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    return _sum(input, dim, keepdim, dtype, mean=True)
