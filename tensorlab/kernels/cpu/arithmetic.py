"""Sums, differences, products and quotients in float32 by several threads; one is what NumPy uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._apply import MANY
from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.elementwise import as_number
from tensorlab.kernels.cpu.loading import native
from tensorlab.kernels.threads import get_num_threads

#: NumPy, with its one thread, is as fast for fewer numbers.
FEWEST = MANY
_FLOAT32 = np.dtype(np.float32)


def _apply(name: str, a: Any, b: Any, over: bool = False) -> Any:
    """The operation `name` of two arrays of one shape, or of an array and a number on either side.

    over: the result may be written over `a`, an array.
    """
    array, other = (a, b) if type(a) is np.ndarray and a.ndim else (b, a)
    if type(array) is not np.ndarray or array.size < FEWEST or get_num_threads() == 1:
        return NotImplemented
    if array.dtype != _FLOAT32 or not array.flags.carray:
        return NotImplemented
    if type(other) is np.ndarray and other.ndim:
        if other.shape != array.shape or other.dtype != _FLOAT32 or not other.flags.carray:
            return NotImplemented
        found = native("arithmetic")
        if found is None:
            return NotImplemented
        return found.add_to(a, b) if over else found.of_arrays(name, a, b)
    number = as_number(other)
    found = native("arithmetic") if number is not None else None
    if found is None:
        return NotImplemented
    return (found.of_number if array is a else found.of_number_first)(name, array, number)


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
