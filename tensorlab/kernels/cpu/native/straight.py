"""Functions made of straight pieces, their gradients, and choosing by a mask: one pass each.

NumPy's `where` takes a branch for each element, which on random masks is mispredicted half of the time.
Here both sides are computed and a vector is chosen at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.each import each, elementwise
from tensorlab.kernels.cpu.native.maths import sign

_ZERO, _ONE, _INF = np.float32(0), np.float32(1), np.float32(np.inf)
_THREE, _SIX, _HALF, _SIXTH = np.float32(3), np.float32(6), np.float32(0.5), np.float32(1 / 6)

_ONE_IN = "void(float32[::1], float32[::1])"
_TWO_IN = "void(float32[::1], float32[::1], float32[::1])"


@elementwise("void(float32[::1], float32[::1], float32)")
def _leaky_relu(x, out, slope):
    for i in range(len(out)):
        out[i] = x[i] if x[i] > _ZERO else x[i] * slope


@elementwise("void(float32[::1], float32[::1], float32[::1], float32)")
def _leaky_relu_back(g, x, out, slope):
    for i in range(len(out)):
        out[i] = g[i] if x[i] > _ZERO else g[i] * slope


@elementwise("void(float32[::1], float32[::1], float32, float32)")
def _clamp(x, out, low, high):
    for i in range(len(out)):
        v = low if x[i] < low else x[i]
        out[i] = high if v > high else v


@elementwise("void(float32[::1], float32[::1], float32[::1], float32, float32)")
def _clamp_back(g, x, out, low, high):
    for i in range(len(out)):
        out[i] = g[i] if (x[i] >= low) & (x[i] <= high) else _ZERO


@elementwise("void(float32[::1], float32[::1], float32[::1], float32, float32)")
def _hardtanh_back(g, x, out, low, high):
    for i in range(len(out)):
        out[i] = _ZERO if (x[i] <= low) | (x[i] >= high) else g[i]


@elementwise(_ONE_IN)
def _hardsigmoid(x, out):
    for i in range(len(out)):
        v = x[i] + _THREE
        v = _ZERO if v < _ZERO else v
        out[i] = (_SIX if v > _SIX else v) / _SIX


@elementwise(_TWO_IN)
def _hardsigmoid_back(g, x, out):
    for i in range(len(out)):
        out[i] = g[i] * _SIXTH if (x[i] > -_THREE) & (x[i] < _THREE) else _ZERO


@elementwise(_ONE_IN)
def _hardswish(x, out):
    for i in range(len(out)):
        v = x[i] + _THREE
        v = _ZERO if v < _ZERO else v
        out[i] = x[i] * (_SIX if v > _SIX else v) / _SIX


@elementwise(_TWO_IN)
def _hardswish_back(g, x, out):
    for i in range(len(out)):
        inner = g[i] * (x[i] / _THREE + _HALF)
        inner = inner if x[i] < _THREE else g[i]
        out[i] = _ZERO if x[i] <= -_THREE else inner


@elementwise(_ONE_IN)
def _sign(x, out):
    for i in range(len(out)):
        out[i] = sign(x[i])


@elementwise(_TWO_IN)
def _abs_back(g, x, out):
    for i in range(len(out)):
        out[i] = g[i] * sign(x[i])


@elementwise("void(float32[::1], float32[::1], float32, float32, float32)")
def _nan_to_num(x, out, nan, above, below):
    for i in range(len(out)):
        v = above if x[i] == _INF else x[i]
        v = below if x[i] == -_INF else v
        out[i] = nan if x[i] != x[i] else v


@elementwise(_TWO_IN)
def _nan_to_num_back(g, x, out):
    for i in range(len(out)):
        out[i] = g[i] if abs(x[i]) < _INF else _ZERO


@elementwise("void(boolean[::1], float32[::1], float32[::1], float32[::1])")
def _choose(mask, a, b, out):
    for i in range(len(out)):
        out[i] = a[i] if mask[i] else b[i]


@elementwise("void(boolean[::1], float32[::1], float32[::1], float32)")
def _choose_or(mask, a, out, other):
    for i in range(len(out)):
        out[i] = a[i] if mask[i] else other


@elementwise("void(boolean[::1], float32[::1], float32[::1], float32)")
def _choose_unless(mask, b, out, number):
    for i in range(len(out)):
        out[i] = number if mask[i] else b[i]


#: By the name of the operation.
_FORWARD = {
    "leaky_relu": _leaky_relu, "hardtanh": _clamp, "clamp": _clamp, "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish, "sign": _sign, "nan_to_num": _nan_to_num,
}  # fmt: skip
_BACKWARD = {
    "leaky_relu": _leaky_relu_back, "hardtanh": _hardtanh_back, "clamp": _clamp_back,
    "hardsigmoid": _hardsigmoid_back, "hardswish": _hardswish_back, "abs": _abs_back,
    "nan_to_num": _nan_to_num_back,
}  # fmt: skip
_WORK = 4


def forward(name: str, x: np.ndarray, *numbers: float) -> np.ndarray:
    return each(_FORWARD[name], _WORK, x, numbers=numbers)


def backward(name: str, g: np.ndarray, kept: np.ndarray, *numbers: float) -> np.ndarray:
    return each(_BACKWARD[name], _WORK, g, kept, numbers=numbers)


def where(mask: np.ndarray, a: Any, b: Any) -> np.ndarray:
    """`a` where `mask`, else `b`, of which one may be a number."""
    if type(a) is float:
        return each(_choose_unless, _WORK, mask, b, numbers=(a,))
    if type(b) is float:
        return each(_choose_or, _WORK, mask, a, numbers=(b,))
    return each(_choose, _WORK, mask, a, b)
