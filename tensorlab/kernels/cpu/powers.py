"""Roots, one over them, the long side of a triangle, and the gradients of these and of x ** 2, in float32.

NumPy's `sqrt` and `hypot` do not fill the vectors of newer processors, and a gradient takes it several passes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import alike_float32, native

#: Below this many numbers NumPy is as fast: in roots, in `hypot`, and in the two or three passes of a gradient.
FEWEST, FEWEST_HYPOT, FEWEST_BACKWARD = 8_192, 512, 16_384


def _forward(name: str, fewest: int, *inputs: Any) -> Any:
    if inputs[0].size < fewest or not alike_float32(*inputs):
        return NotImplemented
    found = native("powers")
    return NotImplemented if found is None else found.forward(name, *inputs)


def _backward(name: str, g: Any, *kept: Any) -> Any:
    if g.size < FEWEST_BACKWARD or not alike_float32(g, *kept):
        return NotImplemented
    found = native("powers")
    return NotImplemented if found is None else found.backward(name, g, *kept)


def _register(name: str, forward: bool) -> None:
    """The kernels of a function whose gradient is computed from its result."""
    if forward:
        register_kernel(name, "cpu", FEWEST)(lambda input: _forward(name, FEWEST, input))
    register = register_backward_kernel(name, "cpu", "input", fewest=FEWEST_BACKWARD)
    register(lambda g, out: _backward(name, g, out))


_register("sqrt", forward=True)
_register("rsqrt", forward=True)
_register("reciprocal", forward=False)  # NumPy's is as fast


@register_backward_kernel("pow", "cpu", "input", fewest=FEWEST_BACKWARD)
def _pow_backward(g: Any, input: Any, exponent: Any) -> Any:
    if type(exponent) not in (int, float) or exponent != 2:
        return NotImplemented
    return _backward("pow_2", g, input)


@register_kernel("hypot", "cpu", FEWEST_HYPOT)
def _hypot(input: Any, other: Any) -> Any:
    if type(input) is not np.ndarray or type(other) is not np.ndarray:
        return NotImplemented  # one is a number
    return _forward("hypot", FEWEST_HYPOT, input, other)


@register_backward_kernel("hypot", "cpu", "input", fewest=FEWEST_BACKWARD)
@register_backward_kernel("hypot", "cpu", "other", fewest=FEWEST_BACKWARD)
def _hypot_backward(g: Any, kept: Any, out: Any) -> Any:
    return NotImplemented if type(kept) is not np.ndarray else _backward("hypot", g, kept, out)
