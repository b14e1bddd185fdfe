"""Sums, differences, products and quotients in float32, and what makes two of them in one pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._apply import MANY
from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.elementwise import as_number
from tensorlab.kernels.cpu.loading import alike_float32, all_float32, native
from tensorlab.kernels.threads import get_num_threads

#: NumPy, with its one thread, is as fast for fewer numbers.
FEWEST = MANY
#: It is as fast, too, where an operand is stretched over fewer numbers, or over pieces as short as that.
FEWEST_STRETCHED, SHORTEST = 32_768, 16
#: Below this many numbers two passes by NumPy are as fast as one of both.
FEWEST_OF_PAIRS = 4_096
_FLOAT32 = np.dtype(np.float32)


def _apply(name: str, a: Any, b: Any, over: bool = False) -> Any:
    """The operation `name` of two arrays of one shape, or of an array and a number on either side.

    over: the result may be written over `a`, an array.
    """
    array, other = (a, b) if type(a) is np.ndarray and a.ndim else (b, a)
    if type(other) is np.ndarray and other.ndim:
        return _of_arrays(name, a, b, over)
    number = as_number(other) if type(array) is np.ndarray and _suits(array) else None
    found = native("arithmetic") if number is not None else None
    if found is None:
        return NotImplemented
    return (found.of_number if array is a else found.of_number_first)(name, array, number)


def _of_arrays(name: str, a: Any, b: Any, over: bool) -> Any:
    shape = a.shape
    if b.shape != shape:
        return _stretched(name, a, b)
    if 0 in a.strides or 0 in b.strides:
        a, b = _once(a), _once(b)
        return _stretched(name, a, b) if shape in (a.shape, b.shape) else NotImplemented
    found = native("arithmetic") if _suits(a) and _suits(b) else None
    if found is None:
        return NotImplemented
    return found.add_to(a, b) if over else found.of_arrays(name, a, b)


def _suits(a: Any) -> bool:
    """Whether an array is worth several threads, and as kernels take it."""
    if a.size < FEWEST or get_num_threads() == 1:
        return False
    return a.dtype == _FLOAT32 and a.flags.carray


def _stretched(name: str, a: Any, b: Any) -> Any:
    """The operation of arrays of which one is stretched over the other, whose shape is that of the result."""
    larger, smaller = (a, b) if (a.size, a.ndim) >= (b.size, b.ndim) else (b, a)
    if larger.size < FEWEST_STRETCHED or not all_float32(a, b) or not larger.flags.c_contiguous:
        return NotImplemented
    middle, inner = _laid_out(larger.shape, smaller.shape)
    found = native("stretched") if (middle if inner == 1 else inner) >= SHORTEST else None
    if found is None:
        return NotImplemented
    if smaller is a:
        name = {"sub": "sub_from", "div": "div_into"}.get(name, name)
    return found.stretched(name, larger, np.ascontiguousarray(smaller), middle, inner)


def _once(a: Any) -> Any:
    """An array with each number once that it shows again and again, as what `expand` makes does."""
    again = [step == 0 and n > 1 for step, n in zip(a.strides, a.shape, strict=True)]
    return a[tuple(slice(0, 1 if seen else None) for seen in again)] if any(again) else a


def _laid_out(shape: tuple[int, ...], smaller: tuple[int, ...]) -> tuple[int, int]:
    """How many numbers the smaller one has, and over how many neighbours each is stretched; else 0, 0.

    >>> _laid_out((64, 10), (10,)), _laid_out((8, 3, 5, 5), (3, 1, 1)), _laid_out((8, 3, 5), (8, 1, 5))
    ((10, 1), (3, 25), (0, 0))
    """
    full = (1,) * (len(shape) - len(smaller)) + smaller
    sized = [d for d, n in enumerate(full) if n != 1]
    if not sized or len(full) != len(shape):
        return 0, 0
    first, end = sized[0], sized[-1] + 1
    if full[first:end] != shape[first:end]:
        return 0, 0
    return math.prod(shape[first:end]), math.prod(shape[end:])


@register_kernel("add", "cpu")
def _add(input: Any, other: Any, alpha: Any = 1, over: bool = False) -> Any:
    return _apply("add", input, other, over) if alpha == 1 else NotImplemented


@register_kernel("sub", "cpu")
def _sub(input: Any, other: Any, alpha: Any) -> Any:
    return _apply("sub", input, other) if alpha == 1 else NotImplemented


@register_kernel("rsub", "cpu")
def _rsub(input: Any, other: Any, alpha: Any) -> Any:
    return _apply("sub", other, input) if alpha == 1 else NotImplemented


@register_backward_kernel("mul", "cpu", "input", fewest=MANY)
@register_backward_kernel("mul", "cpu", "other", fewest=MANY)
@register_kernel("mul", "cpu")
def _mul(input: Any, other: Any) -> Any:
    return _apply("mul", input, other)


@register_backward_kernel("div", "cpu", "input", fewest=MANY)
@register_kernel("div", "cpu")
def _div(input: Any, other: Any) -> Any:
    return _apply("div", input, other)


# Two in one pass --------------------------------------------------------------------------


def _pair(name: str, number: Any, *arrays: Any) -> Any:
    """The kernel `name` of arrays of one shape and a number, if they suit it."""
    number = as_number(number)
    if any(type(a) is not np.ndarray for a in arrays) or number is None:
        return NotImplemented
    if arrays[0].size < FEWEST_OF_PAIRS or not alike_float32(*arrays):
        return NotImplemented
    found = native("arithmetic")
    return NotImplemented if found is None else found.pair(name, number, *arrays)


@register_kernel("addcmul", "cpu")
def _addcmul(input: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
    return _pair("addcmul", value, input, tensor1, tensor2)


@register_backward_kernel("addcmul", "cpu", "tensor1")
@register_backward_kernel("addcmul", "cpu", "tensor2")
def _addcmul_backward(g: Any, other: Any, value: Any) -> Any:
    return _pair("product", value, g, other)


@register_kernel("addcdiv", "cpu")
def _addcdiv(input: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
    return _pair("addcdiv", value, input, tensor1, tensor2)


@register_backward_kernel("addcdiv", "cpu", "tensor1")
def _addcdiv_by_tensor1(g: Any, tensor2: Any, value: Any) -> Any:
    return _pair("quotient", value, g, tensor2)


@register_backward_kernel("addcdiv", "cpu", "tensor2")
def _addcdiv_by_tensor2(g: Any, tensor1: Any, tensor2: Any, value: Any) -> Any:
    return _pair("quotient_slope", value, g, tensor1, tensor2)


@register_kernel("lerp", "cpu")
def _lerp(input: Any, end: Any, weight: Any) -> Any:
    return _pair("lerp", weight, input, end)
