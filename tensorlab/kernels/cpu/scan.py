"""Running sums in float32."""

from __future__ import annotations

from typing import Any

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many numbers the generic path is as fast.
FEWEST = 256


def _running_sums(x: Any, dim: Any, backward: bool) -> Any:
    if (
        not all_float32(x)
        or x.size < FEWEST
        or not x.size
        or type(dim) is not int
        or not -x.ndim <= dim < x.ndim
    ):
        return NotImplemented
    found = native("scan")
    return NotImplemented if found is None else found.running_sums(x, dim % x.ndim, backward)


@register_kernel("cumsum", "cpu")
def _cumsum(input: Any, dim: Any, dtype: Any) -> Any:
    return NotImplemented if dtype is not None else _running_sums(input, dim, backward=False)


@register_backward_kernel("cumsum", "cpu", "input")
def _cumsum_backward(g: Any, dim: Any) -> Any:
    return _running_sums(g, dim, backward=True)
