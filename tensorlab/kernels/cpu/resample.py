"""Weighted sums along a dimension in float32: adaptive averages, resizing, and the gradients of both."""

from __future__ import annotations

from typing import Any

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many results the generic path is as fast.
FEWEST = 4_000


@register_kernel("resample", "cpu")
def _resample(input: Any, dim: Any, size: Any, table: Any) -> Any:
    sources = table[0]
    if not all_float32(input) or not input.size or not sources.size:
        return NotImplemented
    if input.size // input.shape[dim] * len(sources) < FEWEST:
        return NotImplemented
    resample = native("resample")
    return NotImplemented if resample is None else resample.resample(input, dim, *table)
