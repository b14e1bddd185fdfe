"""Products of float32 matrices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.blas import in_one_thread
from tensorlab.kernels.cpu import reduce
from tensorlab.kernels.cpu.loading import all_float32, native

# Measured against NumPy's BLAS on one core, in products of numbers. Below FEWEST the calls cost more than
# the work; of matrices that are narrower than half a vector most of a tile is wasted.
FEWEST = 60_000
FEWEST_ROWS, FEWEST_COLUMNS, SHALLOWEST = 8, 9, 8
# Of one matrix in a batch: where tiles fill it, and where they do not.
FEWEST_EACH, FEWEST_RAGGED = 20_000, 80_000
# Faster than both by `native.narrow`: results of fewer rows or columns than that, sums of at least so many products.
FEWEST_NARROW, NARROW_ROWS, NARROW_COLUMNS, LONG = 30_000, 16, 30, 128
# From here on OpenBLAS takes several threads for a product of matrices, and for one by a vector.
MANY, MANY_OF_VECTOR = 500_000, 9_000


def _suits(m: int, k: int, n: int) -> bool:
    return m >= FEWEST_ROWS and n >= FEWEST_COLUMNS and k >= SHALLOWEST


def product(a: Any, b: Any, bias: Any = None, activation: str = "identity") -> Any:
    """activation(a · b (+ bias of each column)) for large matrices; else NotImplemented."""
    m, k = a.shape
    n = b.shape[1]
    if b.shape[0] != k:
        return NotImplemented
    if (m < NARROW_ROWS or n < NARROW_COLUMNS) and _lie_along(a, b) and m * n * k >= FEWEST_NARROW:
        kernel = native("narrow")
    elif m * n * k < FEWEST or not _suits(m, k, n):
        found = _in_one_thread(a, b) if activation == "identity" else NotImplemented
        return found if bias is None or found is NotImplemented else np.add(found, bias, out=found)
    else:
        kernel = native("gemm")
    return NotImplemented if kernel is None else kernel.matmul(a, b, bias, activation)


def _lie_along(a: Any, b: Any) -> bool:
    """Whether each row of a, and each column of b, has its numbers side by side, and many of them."""
    return a.strides[1] == b.strides[0] == 4 and len(b) >= LONG


def _in_one_thread(a: Any, b: Any) -> Any:
    """NumPy's product, if its matrices are so large that BLAS would take several threads; else NotImplemented."""
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    if m * n * k < (MANY_OF_VECTOR if m == 1 or n == 1 else MANY):
        return NotImplemented
    return in_one_thread(np.matmul, a, b)


def products(a: Any, b: Any) -> Any:
    """The products of two equally long batches of matrices, with one or two leading dimensions."""
    batch, (m, k), n = a.shape[:-2], a.shape[-2:], b.shape[-1]
    if len(batch) not in (1, 2) or b.shape[:-1] != (*batch, k):
        return NotImplemented
    each, count = m * n * k, math.prod(batch)
    least = FEWEST_RAGGED if m % 8 or n % 16 else FEWEST_EACH
    if each < least or each * count < FEWEST or not _suits(m, k, n):
        return _in_one_thread(a, b)
    gemm = native("gemm")
    if gemm is None:
        return NotImplemented
    if len(batch) == 1:
        return gemm.matmul_batch(a[None], b[None])[0]
    return gemm.matmul_batch(a, b)


def _by_matrix(a: Any, b: Any, bias: Any = None, activation: str = "identity") -> Any:
    """The product of the rows of `a`, over whichever dimensions they are counted, with a matrix; see `product`."""
    if a.ndim == 2:
        return product(a, b, bias, activation)
    if a.shape[-1] != len(b) or not a.size:
        return NotImplemented
    found = product(a.reshape(-1, len(b)), b, bias, activation)
    return found if found is NotImplemented else found.reshape((*a.shape[:-1], b.shape[1]))


def _by_vector(a: Any, b: Any) -> Any:
    """The product of a vector with a matrix or with a vector, in either order."""
    if not (1 <= a.ndim <= 2 and 1 <= b.ndim <= 2 and a.size and a.shape[-1] == len(b)):
        return NotImplemented
    found = _by_matrix(a, b.reshape(len(b), -1))
    return found if found is NotImplemented else found.reshape((*a.shape[:-1], *b.shape[1:]))


@register_kernel("matmul", "cpu")
def _matmul(input: Any, other: Any) -> Any:
    if not all_float32(input, other):
        return NotImplemented
    if other.ndim < 2 or input.ndim < 2:
        return _by_vector(input, other)
    return products(input, other) if other.ndim > 2 else _by_matrix(input, other)


def _of_dimensions(first: int, second: int) -> Callable[[Any, Any], Any]:
    """`mm`, `bmm`, `mv` and `dot` are `matmul` for operands of fixed dimensions."""

    def multiply(a: Any, b: Any) -> Any:
        return _matmul(a, b) if a.ndim == first and b.ndim == second else NotImplemented

    return multiply


_mm = register_kernel("mm", "cpu")(_of_dimensions(2, 2))
register_kernel("bmm", "cpu")(_of_dimensions(3, 3))
register_kernel("mv", "cpu", MANY_OF_VECTOR)(_of_dimensions(2, 1))
register_kernel("dot", "cpu", MANY_OF_VECTOR)(_of_dimensions(1, 1))


def _added(input: Any, a: Any, b: Any, beta: Any, alpha: Any, multiply: Any) -> Any:
    """beta · input + alpha · (a · b), where `input` is spread over the product."""
    if not all_float32(input, a, b):
        return NotImplemented
    if not all(type(number) in (int, float) for number in (beta, alpha)):
        return NotImplemented
    shape = (*a.shape[:-1], b.shape[-1])
    pairs = zip(reversed(input.shape), reversed(shape), strict=False)
    if input.ndim > len(shape) or any(size not in (1, wanted) for size, wanted in pairs):
        return NotImplemented
    found = multiply(a, b)
    if found is NotImplemented:
        return found
    if alpha != 1:
        found *= alpha
    if beta != 0:
        found += input if beta == 1 else beta * input
    return found


@register_kernel("addmm", "cpu")
def _addmm(input: Any, mat1: Any, mat2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    if mat1.ndim != 2 or mat2.ndim != 2:
        return NotImplemented
    return _added(input, mat1, mat2, beta, alpha, product)


@register_kernel("baddbmm", "cpu")
def _baddbmm(input: Any, batch1: Any, batch2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    if batch1.ndim != 3 or batch2.ndim != 3:
        return NotImplemented
    return _added(input, batch1, batch2, beta, alpha, products)


@register_kernel("linear", "cpu")
def _linear(input: Any, weight: Any, bias: Any = None, activation: str = "identity") -> Any:
    if not all_float32(input, weight, bias) or weight.ndim != 2 or input.ndim < 2:
        return NotImplemented
    if input.shape[-1] != weight.shape[1] or (bias is not None and bias.shape != weight.shape[:1]):
        return NotImplemented
    return _by_matrix(input, weight.T, bias, activation)


@register_kernel("linear_relu", "cpu")
def _linear_relu(input: Any, weight: Any, bias: Any = None) -> Any:
    return _linear(input, weight, bias, "relu")


@register_kernel("linear_gelu", "cpu")
def _linear_gelu(
    input: Any, weight: Any, bias: Any = None, approximate: str = "none", keep: bool = True
) -> Any:
    activation = {"none": "gelu", "tanh": "tanh_gelu"}.get(approximate)
    if keep or activation is None:
        return NotImplemented
    return _linear(input, weight, bias, activation)


@register_backward_kernel("linear", "cpu", "weight")
def _linear_by_weight(g: Any, input: Any, weight_shape: Any) -> Any:
    if not all_float32(g, input) or g.ndim != 2 or input.ndim != 2:
        return NotImplemented
    return product(g.T, input)


@register_backward_kernel("linear", "cpu", "input")
def _linear_by_input(g: Any, weight: Any, input_shape: Any) -> Any:
    if not all_float32(g, weight) or g.ndim != 2 or weight.ndim != 2:
        return NotImplemented
    return product(g, weight)


@register_backward_kernel("linear", "cpu", "bias")
def _linear_by_bias(g: Any, bias_shape: Any) -> Any:
    """The sum over all rows, without asking which dimensions were stretched."""
    if not all_float32(g) or not g.flags.c_contiguous or bias_shape != g.shape[-1:]:
        return NotImplemented
    few = g.size < reduce.FEWEST or bias_shape[0] < reduce.NARROWEST
    found = None if few else native("reduce")
    if found is None:
        return np.add.reduce(g, tuple(range(g.ndim - 1)))
    return found.column_sums(g.reshape(1, -1, bias_shape[0]), 1.0)[0]
