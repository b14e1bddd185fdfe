"""Activations and their gradients, one pass over the numbers each.

Where the gradient g is needed no more, its place takes the result: a third less memory is moved, and none is
allocated. That is code of its own, because a loop that writes to one of the arrays that it reads must be
known to do so place by place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.each import each, elementwise
from tensorlab.kernels.cpu.native.maths import inlined, normal, tanh

_f = np.float32
_SQRT_2_OVER_PI, _CUBIC = _f(0.79788456080286536), _f(0.044715)
_HALF, _ONE, _THREE = _f(0.5), _f(1), _f(3)
_ZERO = _f(0)

_ONE_IN = "void(float32[::1], float32[::1])"
_TWO_IN = "void(float32[::1], float32[::1], float32[::1])"


@inlined
def relu_of(v):
    return _ZERO if v < _ZERO else v  # nan and -0.0 stay


@inlined
def gelu_of(v):
    below, _ = normal(v)
    return v * below


@inlined
def tanh_gelu_of(v):
    t = tanh((v + v * v * v * _CUBIC) * _SQRT_2_OVER_PI)
    return v * (t + _ONE) * _HALF


@elementwise(_ONE_IN)
def _gelu(x, out):
    for i in range(len(out)):
        out[i] = gelu_of(x[i])


@inlined
def _gelu_slope(v):
    below, density = normal(v)
    return below + v * density


@elementwise(_TWO_IN)
def _gelu_backward(g, x, out):
    for i in range(len(out)):
        out[i] = g[i] * _gelu_slope(x[i])


@elementwise(_ONE_IN)
def _gelu_over(x, g):
    for i in range(len(g)):
        g[i] = g[i] * _gelu_slope(x[i])


@elementwise(_ONE_IN)
def _tanh_gelu(x, out):
    for i in range(len(out)):
        out[i] = tanh_gelu_of(x[i])


@inlined
def _tanh_gelu_slope(v):
    t = tanh((v + v * v * v * _CUBIC) * _SQRT_2_OVER_PI)
    inner = (v * v * (_THREE * _CUBIC) + _ONE) * _SQRT_2_OVER_PI
    return (t + _ONE) * _HALF + v * (_ONE - t * t) * inner * _HALF


@elementwise(_TWO_IN)
def _tanh_gelu_backward(g, x, out):
    for i in range(len(out)):
        out[i] = g[i] * _tanh_gelu_slope(x[i])


@elementwise(_ONE_IN)
def _tanh_gelu_over(x, g):
    for i in range(len(g)):
        g[i] = g[i] * _tanh_gelu_slope(x[i])


@elementwise(_ONE_IN)
def _relu(x, out):
    for i in range(len(out)):
        out[i] = relu_of(x[i])


@elementwise(_TWO_IN)
def _relu_backward(g, y, out):
    for i in range(len(out)):
        out[i] = _ZERO if y[i] <= _ZERO else g[i]


@elementwise(_ONE_IN)
def _relu_over(y, g):
    for i in range(len(g)):
        g[i] = _ZERO if y[i] <= _ZERO else g[i]


#: By what `approximate` says.
_GELUS = {
    "none": (_gelu, _gelu_backward, _gelu_over),
    "tanh": (_tanh_gelu, _tanh_gelu_backward, _tanh_gelu_over),
}


def gelu(x: np.ndarray, approximate: str) -> np.ndarray:
    return each(_GELUS[approximate][0], 40, x)


def gelu_backward(g: np.ndarray, x: np.ndarray, approximate: str, over: bool = False) -> np.ndarray:
    """The gradient by x; over: it may be written over g."""
    _, apart, over_g = _GELUS[approximate]
    return _backward(apart, over_g, 60, g, x, over)


def relu(x: np.ndarray) -> np.ndarray:
    return each(_relu, 4, x)


def relu_backward(g: np.ndarray, y: np.ndarray, over: bool = False) -> np.ndarray:
    """The gradient by the input, of which y = relu; over: it may be written over g."""
    return _backward(_relu_backward, _relu_over, 4, g, y, over)


def _backward(
    apart: Any, over_g: Any, work: int, g: np.ndarray, kept: np.ndarray, over: bool
) -> np.ndarray:
    if over and g.flags.c_contiguous:
        return each(over_g, work, kept, out=g)
    return each(apart, work, g, kept)
