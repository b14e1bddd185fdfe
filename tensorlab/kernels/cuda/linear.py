"""Linear layers with what follows the product, and sums over rows: see `linear.cu`. The products are cuBLAS's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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
    xp,
)

#: Threads of a block: along a row, and rows.
WIDE, HIGH = 32, 8
#: Rows that a block should have at least: fewer are not worth its sums.
FEWEST_ROWS = 64
_ACTIVATIONS = {"relu": "ReLU", "none": "GELU", "tanh": "GELUTanh"}

INSTANCES = [
    *variants(*[f"bias_activation<{{T}}, {{N}}, {f}>" for f in ("Identity", *_ACTIVATIONS.values())]),
    *variants(*[f"bias_activation_backward<{{T}}, {{N}}, {f}>" for f in _ACTIVATIONS.values()]),
    *variants("bias_activation_backward<{T}, {N}, Identity>", "add_rows<{T}>"),
]  # fmt: skip


def _suits(x: Any, weight: Any, bias: Any, *others: Any) -> bool:
    """Arrays of one dtype, and of shapes that fit each other."""
    if not suits(x, weight, bias, *others) or weight.ndim != 2 or x.ndim < 2 or not x.size:
        return False
    fits = x.shape[-1] == weight.shape[1] and weight.shape[0] > 0
    return fits and (bias is None or bias.shape == weight.shape[:1])


def _grid(rows: int, n: int, wide: int) -> tuple[int, int]:
    """Blocks over the columns, and over the rows as many as keep all processors at work."""
    found = runtime()
    across = blocks(n, WIDE * wide)
    wanted = blocks(8 * (1 if found is None else found.processors), across)
    return across, max(1, min(wanted, blocks(rows, FEWEST_ROWS), 65535))


def _rows(array: Any) -> Any:
    """As a matrix, whose rows are those of the last dimension. cuBLAS takes one that lies in columns, too."""
    return array if array.ndim == 2 else contiguous(array).reshape(-1, array.shape[-1])


def _matmul(a: Any, b: Any) -> Any:
    """a · b, in one row and in their own dtype: NumPy, in tests, gives float32 for bfloat16."""
    return contiguous(xp().matmul(a, b)).astype(a.dtype, copy=False)


def _product(x: Any, weight: Any) -> Any:
    """x · weightᵀ as rows: one product, however many dimensions x has."""
    return _matmul(_rows(x), weight.T)


def _finish(function: str, product: Any, bias: Any, out: Any) -> None:
    """out = function(product + bias), for rows."""
    rows, n = product.shape
    bias = contiguous(bias)
    wide = width(n, product, bias, out)
    name = f"bias_activation<{type_of(out)}, {wide}, {function}>"
    launch("linear", name, _grid(rows, n, wide), (WIDE, HIGH), product, bias, out, rows, i32(n))


def _backward(
    function: str, g: Any, kept: Any, bias: Any, more: Any, by_product: Any, summed: bool
) -> Any:
    """What the product owes goes to `by_product`, if it is given; the sum of its rows if it is wanted."""
    rows, n = g.shape
    bias, spread = contiguous(bias), more is not None and more.size == 1 < g.size
    wide = width(n, g, kept, bias, None if spread else more, by_product)
    grid = _grid(rows, n, wide)
    kind = np.dtype(np.float64 if g.dtype.itemsize == 8 else np.float32)
    sums = xp().empty((grid[1], n), kind) if summed else None
    launch(
        "linear", f"bias_activation_backward<{type_of(g)}, {wide}, {function}>", grid, (WIDE, HIGH),
        g, kept, bias, more, by_product, sums, rows, i32(n), spread,
    )  # fmt: skip
    if sums is None:
        return None
    out = like(g, (n,))
    launch(
        "linear", f"add_rows<{type_of(g)}>", (blocks(n, 32),), (32, 8), sums, out, i32(grid[1]), i32(n)
    )  # fmt: skip
    return out


def _shaped(out: Any, x: Any) -> Any:
    return out.reshape(*x.shape[:-1], out.shape[-1])


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    if not _suits(input, weight, bias):
        return NotImplemented
    out = _product(input, weight)
    if bias is not None:
        _finish("Identity", out, bias, out)
    return _shaped(out, input)


def linear_by_input(g: Any, weight: Any, input_shape: Any) -> Any:
    if not suits(g, weight) or weight.ndim != 2 or not g.size or not weight.size:
        return NotImplemented
    return _matmul(_rows(g), weight).reshape(input_shape)


def linear_by_weight(g: Any, input: Any, weight_shape: Any) -> Any:
    if not suits(g, input) or len(weight_shape) != 2 or not g.size or not input.size:
        return NotImplemented
    return _matmul(_rows(g).T, _rows(input))


def linear_by_bias(g: Any, bias_shape: Any) -> Any:
    """For the engine to sum over rows, by `sum_to`."""
    return g


def matmul(input: Any, other: Any) -> Any:
    """By a matrix: one product, however many dimensions the other operand has."""
    if not suits(input, other) or other.ndim != 2 or input.ndim < 2:
        return NotImplemented
    if not input.size or not other.size or input.shape[-1] != other.shape[0]:
        return NotImplemented
    return _shaped(_matmul(_rows(input), other), input)


def linear_relu(input: Any, weight: Any, bias: Any = None) -> Any:
    if not _suits(input, weight, bias):
        return NotImplemented
    out = _product(input, weight)
    _finish("ReLU", out, bias, out)
    return _shaped(out, input)


def linear_gelu(
    input: Any, weight: Any, bias: Any = None, approximate: Any = "none", keep: bool = True
) -> Any:
    if approximate not in ("none", "tanh") or not _suits(input, weight, bias):
        return NotImplemented
    product = _product(input, weight)
    out = like(product) if keep else product
    _finish(_ACTIVATIONS[approximate], product, bias, out)
    return (_shaped(out, input), _shaped(product, input)) if keep else _shaped(out, input)


def _gradients(
    function: str, g: Any, more: Any, x: Any, weight: Any, bias: Any, kept: Any, needs: Any
) -> tuple[Any, ...]:
    """The gradients of input, weight and bias, of which some are needed."""
    n = weight.shape[0]
    wanted = (*needs, False, False)[:3]
    g, kept = (contiguous(a).reshape(-1, n) for a in (g, kept))
    more = None if more is None else contiguous(_one(more))
    owed = like(g)
    summed = _backward(
        function, g, kept, bias, more, owed if wanted[0] or wanted[1] else None, bool(wanted[2])
    )
    found = (
        _matmul(owed, weight).reshape(x.shape) if wanted[0] else None,
        _matmul(owed.T, _rows(x)) if wanted[1] else None,
        summed,
    )
    return found[: len(needs)]


def _one(array: Any) -> Any:
    """One number where an array shows it everywhere, as a gradient of nothing does; else the array."""
    spread = all(
        step == 0 or size == 1 for size, step in zip(array.shape, array.strides, strict=True)
    )
    return array[(slice(0, 1),) * array.ndim] if spread else array


def linear_relu_backward(
    g: Any, input: Any, weight: Any, bias_shape: Any, out: Any, needs: Any
) -> Any:
    if not _suits(input, weight, None, g, out) or tuple(bias_shape) not in ((), weight.shape[:1]):
        return NotImplemented
    return _gradients("ReLU", g, None, input, weight, None, out, needs)


def linear_gelu_backward(
    g: Any, input: Any, weight: Any, bias: Any, bias_shape: Any, out: Any, approximate: Any, keep: bool,
    needs: Any,
) -> Any:  # fmt: skip
    if not keep or approximate not in ("none", "tanh") or not _suits(input, weight, bias, *g, *out):
        return NotImplemented
    function = _ACTIVATIONS[approximate]
    return _gradients(function, g[0], g[1], input, weight, bias, out[1], needs)


def sum_to(input: Any, shape: Any) -> Any:
    """Sums over rows, which is what a bias, or anything that was added to each row, has as its gradient."""
    shape = tuple(shape)
    inner = shape[next((i for i, size in enumerate(shape) if size != 1), len(shape)) :]
    lead = input.ndim - len(inner)
    if not suits(input) or not inner or not input.size or input.shape[lead:] != inner:
        return NotImplemented
    rows, n = math.prod(input.shape[:lead]), math.prod(inner)
    if lead == 0 or len(shape) > input.ndim or n >= 2**31:
        return NotImplemented
    found = _backward("Identity", contiguous(input).reshape(rows, n), None, None, None, None, True)
    return found.reshape(shape)
