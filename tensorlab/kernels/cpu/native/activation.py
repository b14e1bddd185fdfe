"""Activations and their gradients, one pass over the numbers each."""

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.each import each, elementwise
from tensorlab.kernels.cpu.native.maths import normal, tanh

_f = np.float32
_SQRT_2_OVER_PI, _CUBIC = _f(0.79788456080286536), _f(0.044715)
_HALF, _ONE, _THREE = _f(0.5), _f(1), _f(3)
_ZERO = _f(0)

_ONE_IN = "void(float32[::1], float32[::1])"
_TWO_IN = "void(float32[::1], float32[::1], float32[::1])"


@elementwise(_ONE_IN)
def _gelu(x, out):
    for i in range(len(out)):
        below, _ = normal(x[i])
        out[i] = x[i] * below


@elementwise(_TWO_IN)
def _gelu_backward(g, x, out):
    for i in range(len(out)):
        below, density = normal(x[i])
        out[i] = g[i] * (below + x[i] * density)


@elementwise(_ONE_IN)
def _tanh_gelu(x, out):
    for i in range(len(out)):
        v = x[i]
        t = tanh((v + v * v * v * _CUBIC) * _SQRT_2_OVER_PI)
        out[i] = v * (t + _ONE) * _HALF


@elementwise(_TWO_IN)
def _tanh_gelu_backward(g, x, out):
    for i in range(len(out)):
        v = x[i]
        t = tanh((v + v * v * v * _CUBIC) * _SQRT_2_OVER_PI)
        slope = (v * v * (_THREE * _CUBIC) + _ONE) * _SQRT_2_OVER_PI
        out[i] = g[i] * ((t + _ONE) * _HALF + v * (_ONE - t * t) * slope * _HALF)


@elementwise(_ONE_IN)
def _relu(x, out):
    for i in range(len(out)):
        out[i] = _ZERO if x[i] < _ZERO else x[i]  # nan and -0.0 stay


@elementwise(_TWO_IN)
def _relu_backward(g, y, out):
    for i in range(len(out)):
        out[i] = g[i] if y[i] > _ZERO else g[i] * _ZERO


def gelu(x: np.ndarray, approximate: str) -> np.ndarray:
    return each(_gelu if approximate == "none" else _tanh_gelu, 40, x)


def gelu_backward(g: np.ndarray, x: np.ndarray, approximate: str) -> np.ndarray:
    return each(_gelu_backward if approximate == "none" else _tanh_gelu_backward, 60, g, x)


def relu(x: np.ndarray) -> np.ndarray:
    return each(_relu, 4, x)


def relu_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    return each(_relu_backward, 4, g, y)
