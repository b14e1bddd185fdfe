"""Sums, differences, products and quotients of arrays of one shape, or of an array and a number: one pass each.

NumPy does that as fast in one thread; these are for several. Where two operations are one of PyTorch's, as in
`addcmul`, NumPy takes two passes.
"""

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.each import each, elementwise

#: Operations for each number: two that are read, one written, one computed.
WORK = 4

_TWO_ARRAYS = "void(float32[::1], float32[::1], float32[::1])"
_AND_A_NUMBER = "void(float32[::1], float32[::1], float32)"
_TWO_AND_A_NUMBER = "void(float32[::1], float32[::1], float32[::1], float32)"
_THREE_ARRAYS = "void(float32[::1], float32[::1], float32[::1], float32[::1], float32)"


@elementwise(_TWO_ARRAYS)
def _add(a, b, out):
    for i in range(len(out)):
        out[i] = a[i] + b[i]


@elementwise(_TWO_ARRAYS)
def _sub(a, b, out):
    for i in range(len(out)):
        out[i] = a[i] - b[i]


@elementwise(_TWO_ARRAYS)
def _mul(a, b, out):
    for i in range(len(out)):
        out[i] = a[i] * b[i]


@elementwise(_TWO_ARRAYS)
def _div(a, b, out):
    for i in range(len(out)):
        out[i] = a[i] / b[i]


@elementwise("void(float32[::1], float32[::1])")
def _add_to(b, a):
    for i in range(len(a)):
        a[i] = a[i] + b[i]


@elementwise(_AND_A_NUMBER)
def _add_number(a, out, number):
    for i in range(len(out)):
        out[i] = a[i] + number


@elementwise(_AND_A_NUMBER)
def _mul_number(a, out, number):
    for i in range(len(out)):
        out[i] = a[i] * number


@elementwise(_AND_A_NUMBER)
def _div_number(a, out, number):
    for i in range(len(out)):
        out[i] = a[i] / number


@elementwise(_AND_A_NUMBER)
def _number_sub(a, out, number):
    for i in range(len(out)):
        out[i] = number - a[i]


@elementwise(_AND_A_NUMBER)
def _number_div(a, out, number):
    for i in range(len(out)):
        out[i] = number / a[i]


@elementwise(_THREE_ARRAYS)
def _addcmul(x, a, b, out, value):
    for i in range(len(out)):
        out[i] = x[i] + value * a[i] * b[i]


@elementwise(_THREE_ARRAYS)
def _addcdiv(x, a, b, out, value):
    for i in range(len(out)):
        out[i] = x[i] + value * a[i] / b[i]


@elementwise(_TWO_AND_A_NUMBER)
def _lerp(x, end, out, weight):
    for i in range(len(out)):
        out[i] = x[i] + weight * (end[i] - x[i])


@elementwise(_TWO_AND_A_NUMBER)
def _product(g, a, out, value):
    for i in range(len(out)):
        out[i] = g[i] * (value * a[i])


@elementwise(_TWO_AND_A_NUMBER)
def _quotient(g, a, out, value):
    for i in range(len(out)):
        out[i] = g[i] * (value / a[i])


@elementwise(_THREE_ARRAYS)
def _quotient_slope(g, a, b, out, value):
    for i in range(len(out)):
        out[i] = -g[i] * (value * a[i] / (b[i] * b[i]))


_PAIRS = {
    "addcmul": _addcmul, "addcdiv": _addcdiv, "lerp": _lerp, "product": _product, "quotient": _quotient,
    "quotient_slope": _quotient_slope,
}  # fmt: skip
_ARRAYS = {"add": _add, "sub": _sub, "mul": _mul, "div": _div}
_BEFORE_A_NUMBER = {"add": _add_number, "mul": _mul_number, "div": _div_number}
_AFTER_A_NUMBER = {
    "add": _add_number, "sub": _number_sub, "mul": _mul_number, "div": _number_div,
}  # fmt: skip


def of_arrays(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return each(_ARRAYS[name], WORK, a, b)


def add_to(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a, to which b has been added."""
    return each(_add_to, WORK, b, out=a)


def of_number(name: str, a: np.ndarray, number: float) -> np.ndarray:
    if name == "sub":
        name, number = "add", -number
    return each(_BEFORE_A_NUMBER[name], WORK, a, numbers=(number,))


def of_number_first(name: str, b: np.ndarray, number: float) -> np.ndarray:
    return each(_AFTER_A_NUMBER[name], WORK, b, numbers=(number,))


def pair(name: str, number: float, *arrays: np.ndarray) -> np.ndarray:
    """Two operations in one pass: `addcmul`, `addcdiv`, `lerp`, and what their gradients are made of."""
    return each(_PAIRS[name], WORK, *arrays, numbers=(number,))
