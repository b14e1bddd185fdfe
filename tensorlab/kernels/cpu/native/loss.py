"""Losses of each element and their gradients. Their sum needs no array as long as the losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.each import each, elementwise
from tensorlab.kernels.cpu.native.maths import exp, log1p, sigmoid, sign
from tensorlab.kernels.cpu.native.reduce import add_sum
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import numbered, pass_threads, split

_ZERO, _ONE, _TWO, _HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
#: Losses that a thread computes before it adds them, as its cache has them.
CHUNK = 65_536

_VALUES = "void(float32[::1], float32[::1], float32[::1])"
_VALUES_WITH = "void(float32[::1], float32[::1], float32[::1], float32)"
_SLOPES = "void(float32[::1], float32[::1], float32[::1], float32)"
_SLOPES_WITH = "void(float32[::1], float32[::1], float32[::1], float32, float32)"


@elementwise(_VALUES)
def _mse(x, y, out):
    for i in range(len(out)):
        away = x[i] - y[i]
        out[i] = away * away


@elementwise(_SLOPES)
def _mse_slope(x, y, out, g):
    for i in range(len(out)):
        out[i] = g * (_TWO * (x[i] - y[i]))


@elementwise(_VALUES)
def _l1(x, y, out):
    for i in range(len(out)):
        out[i] = abs(x[i] - y[i])


@elementwise(_SLOPES)
def _l1_slope(x, y, out, g):
    for i in range(len(out)):
        out[i] = g * sign(x[i] - y[i])


@elementwise(_VALUES_WITH)
def _smooth_l1(x, y, out, beta):
    factor = _HALF / beta if beta > _ZERO else _ZERO
    for i in range(len(out)):
        size = abs(x[i] - y[i])
        out[i] = size * size * factor if size < beta else size - _HALF * beta


@elementwise(_SLOPES_WITH)
def _smooth_l1_slope(x, y, out, g, beta):
    for i in range(len(out)):
        away = x[i] - y[i]
        out[i] = g * (sign(away) if abs(away) >= beta else away / beta)  # nan stays


@elementwise(_VALUES_WITH)
def _huber(x, y, out, delta):
    for i in range(len(out)):
        size = abs(x[i] - y[i])
        out[i] = size * size * _HALF if size <= delta else (size - _HALF * delta) * delta


@elementwise(_SLOPES_WITH)
def _huber_slope(x, y, out, g, delta):
    for i in range(len(out)):
        away = x[i] - y[i]
        # Outside it is not 0; nan stays, for no number is larger.
        far = np.copysign(delta, away) if abs(away) > delta else away
        out[i] = g * far


@elementwise(_VALUES)
def _with_logits(x, y, out):
    for i in range(len(out)):
        v = x[i]
        out[i] = (_ONE - y[i]) * v + ((_ZERO if v > _ZERO else -v) + log1p(exp(-abs(v))))


@elementwise(_SLOPES)
def _with_logits_slope(x, y, out, g):
    for i in range(len(out)):
        out[i] = g * (sigmoid(x[i]) - y[i])


@elementwise(_VALUES)
def _soft_margin(x, y, out):
    for i in range(len(out)):
        v = x[i] * y[i]
        out[i] = (_ZERO if v > _ZERO else -v) + log1p(exp(-abs(v)))


@elementwise(_SLOPES)
def _soft_margin_slope(x, y, out, g):
    for i in range(len(out)):
        out[i] = g * (-y[i] * sigmoid(-x[i] * y[i]))


#: The kernels of the losses and of their slopes, and their operations for each element.
_KERNELS = {
    "mse_loss": (_mse, _mse_slope, 4), "l1_loss": (_l1, _l1_slope, 4),
    "smooth_l1_loss": (_smooth_l1, _smooth_l1_slope, 6), "huber_loss": (_huber, _huber_slope, 6),
    "binary_cross_entropy_with_logits": (_with_logits, _with_logits_slope, 40),
    "soft_margin_loss": (_soft_margin, _soft_margin_slope, 40),
}  # fmt: skip


def loss(name: str, x: np.ndarray, y: np.ndarray, how: str, *numbers: float) -> np.ndarray:
    """The losses of all elements, or their sum or mean."""
    kernel, _, work = _KERNELS[name]
    if how == "none":
        return each(kernel, work, x, y, numbers=numbers)
    a, b = np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(y).reshape(-1)
    threads = pass_threads(work * x.size)
    room, sums = np.empty(min(CHUNK * threads, x.size), np.float32), np.zeros(threads)
    for start in range(0, x.size, CHUNK * threads):
        here, there = a[start : start + len(room)], b[start : start + len(room)]
        values = room[: len(here)]
        run_parts(kernel, split(len(here), threads, 16), here, there, values, *numbers)
        run_parts(add_sum, numbered(len(here), threads, 16), values, sums)
    whole = sums.sum()
    return np.asarray(whole / x.size if how == "mean" else whole, np.float32)


def loss_backward(
    name: str, g: np.ndarray, x: np.ndarray, y: np.ndarray, how: str, *numbers: float
) -> Any:
    """The gradient of `loss` by x."""
    _, kernel, work = _KERNELS[name]
    if how == "none":
        out = each(kernel, work, x, y, numbers=(1.0, *numbers))
        return np.multiply(g, out, out=out)
    share = np.float32(g) / np.float32(x.size) if how == "mean" else np.float32(g)
    return each(kernel, work, x, y, numbers=(share, *numbers))
