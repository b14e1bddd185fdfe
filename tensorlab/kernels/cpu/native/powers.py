"""Roots, one over them, the long side of a triangle, and gradients of these and of x ** 2: one pass each.

Products are taken in the order of the generic rules, so that the same ones overflow.
"""

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.each import each, elementwise

_HALF, _ONE, _TWO, _INF = np.float32(0.5), np.float32(1), np.float32(2), np.float32(np.inf)

_ONE_IN = "void(float32[::1], float32[::1])"
_TWO_IN = "void(float32[::1], float32[::1], float32[::1])"


@elementwise(_TWO_IN)
def _pow_2_back(g, x, out):
    for i in range(len(out)):
        out[i] = g[i] * (_TWO * x[i])


@elementwise(_ONE_IN)
def _sqrt(x, out):
    for i in range(len(out)):
        out[i] = np.sqrt(x[i])


@elementwise(_TWO_IN)
def _sqrt_back(g, y, out):
    for i in range(len(out)):
        out[i] = g[i] / (_TWO * y[i])


@elementwise(_ONE_IN)
def _rsqrt(x, out):
    for i in range(len(out)):
        out[i] = _ONE / np.sqrt(x[i])


@elementwise(_TWO_IN)
def _rsqrt_back(g, y, out):
    for i in range(len(out)):
        out[i] = -_HALF * g[i] * (y[i] * y[i] * y[i])


@elementwise(_TWO_IN)
def _reciprocal_back(g, y, out):
    for i in range(len(out)):
        out[i] = -g[i] * (y[i] * y[i])


@elementwise(_TWO_IN)
def _hypot(x, y, out):
    """In float64 no square of a float32 overflows or vanishes. Beside an infinity nan does not count."""
    for i in range(len(out)):
        a, b = np.float64(x[i]), np.float64(y[i])
        long = np.float32(np.sqrt(a * a + b * b))
        out[i] = _INF if (abs(x[i]) == _INF) | (abs(y[i]) == _INF) else long


@elementwise("void(float32[::1], float32[::1], float32[::1], float32[::1])")
def _hypot_back(g, x, y, out):
    for i in range(len(out)):
        out[i] = g[i] * (x[i] / y[i])


#: The kernel and its operations for each element, by the name of the operation.
_FORWARD = {"sqrt": (_sqrt, 12), "rsqrt": (_rsqrt, 20), "hypot": (_hypot, 30)}
_BACKWARD = {
    "pow_2": (_pow_2_back, 4), "sqrt": (_sqrt_back, 12), "rsqrt": (_rsqrt_back, 4),
    "reciprocal": (_reciprocal_back, 4), "hypot": (_hypot_back, 12),
}  # fmt: skip


def forward(name: str, *inputs: np.ndarray) -> np.ndarray:
    kernel, work = _FORWARD[name]
    return each(kernel, work, *inputs)


def backward(name: str, g: np.ndarray, *kept: np.ndarray) -> np.ndarray:
    kernel, work = _BACKWARD[name]
    return each(kernel, work, g, *kept)
