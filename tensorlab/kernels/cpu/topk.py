"""The largest or smallest numbers along a dimension, in float32."""

from __future__ import annotations

from typing import Any

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.copying import row_major
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many numbers, or where more are asked for, the generic path is as fast.
FEWEST, MOST = 64, 64
#: Places are numbered in 32 bits.
LONGEST = 2**31


@register_kernel("topk", "cpu")
def _topk(input: Any, k: Any, dim: Any, largest: Any, sorted: Any) -> Any:
    if not all_float32(input) or input.size < FEWEST or type(k) is not int or type(dim) is not int:
        return NotImplemented
    if not -input.ndim <= dim < input.ndim or type(largest) is not bool:
        return NotImplemented
    n = input.shape[dim]
    if not 0 < k <= min(n, MOST) or n > LONGEST:
        return NotImplemented
    found = native("topk")
    if found is None:
        return NotImplemented
    last = dim in (-1, input.ndim - 1)
    turned = input if last else input.swapaxes(dim, -1)
    shape = (*turned.shape[:-1], k)
    both = [a.reshape(shape) for a in found.best(row_major(turned).reshape(-1, n), k, largest)]
    return tuple(both if last else [row_major(a.swapaxes(dim, -1)) for a in both])
