"""Products of float32 matrices."""

from __future__ import annotations

from typing import Any

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many products of numbers, or for a matrix this narrow, NumPy's BLAS is as fast.
FEWEST, NARROWEST = 100_000, 16


def product(a: Any, b: Any) -> Any:
    """a · b for matrices that the kernel is faster for; else NotImplemented."""
    m, k = a.shape
    n = b.shape[1]
    if b.shape[0] != k or m * n * k < FEWEST or min(m, n, k) < NARROWEST:
        return NotImplemented
    gemm = native("gemm")
    return NotImplemented if gemm is None else gemm.matmul(a, b)


@register_kernel("matmul", "cpu")
def _matmul(input: Any, other: Any) -> Any:
    if not all_float32(input, other) or other.ndim != 2 or input.ndim < 2:
        return NotImplemented
    if input.ndim == 2:
        return product(input, other)
    if input.shape[-1] != other.shape[0]:
        return NotImplemented
    found = product(input.reshape(-1, input.shape[-1]), other)
    return found if found is NotImplemented else found.reshape(*input.shape[:-1], -1)


@register_kernel("linear", "cpu")
def _linear(input: Any, weight: Any, bias: Any = None) -> Any:
    if not all_float32(input, weight, bias) or weight.ndim != 2 or input.ndim < 2:
        return NotImplemented
    if input.shape[-1] != weight.shape[1] or (bias is not None and bias.shape != weight.shape[:1]):
        return NotImplemented
    found = product(input.reshape(-1, input.shape[-1]), weight.T)
    if found is NotImplemented:
        return found
    if bias is not None:
        found += bias
    return found.reshape(*input.shape[:-1], weight.shape[0])
