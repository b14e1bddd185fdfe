"""Activations made of exponentials and logarithms, and their gradients, one pass over the numbers each."""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import math

import numpy as np

from tensorlab.kernels.cpu.native.compile import apart, compiled
from tensorlab.kernels.cpu.native.each import each, elementwise
from tensorlab.kernels.cpu.native.maths import erf, exp, expm1_below, log1p, sigmoid, sigmoids, tanh
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import blocks, pass_threads

_ZERO, _ONE = np.float32(0), np.float32(1)
_TWO_PER_ROOT_PI = np.float32(1.1283791670955126)

_ONE_IN = "void(float32[::1], float32[::1])"
_TWO_IN = "void(float32[::1], float32[::1], float32[::1])"


@elementwise(_ONE_IN)
def _sigmoid(x, out):
    for i in range(len(out)):
        out[i] = sigmoid(x[i])


@elementwise(_TWO_IN)
def _sigmoid_back(g, y, out):
    for i in range(len(out)):
        out[i] = g[i] * (_ONE - y[i]) * y[i]


@elementwise(_ONE_IN)
def _silu(x, out):
    for i in range(len(out)):
        out[i] = x[i] * sigmoid(x[i])


@elementwise(_TWO_IN)
def _silu_back(g, x, out):
    for i in range(len(out)):
        s = sigmoid(x[i])
        out[i] = g[i] * (s * (_ONE + x[i] * (_ONE - s)))


@elementwise("void(float32[::1], float32[::1], float32, float32)")
def _softplus(x, out, beta, threshold):
    for i in range(len(out)):
        v = x[i] * beta
        bent = ((v if v > _ZERO else _ZERO) + log1p(exp(-abs(v)))) / beta
        out[i] = x[i] if v > threshold else bent


@elementwise("void(float32[::1], float32[::1], float32[::1], float32, float32)")
def _softplus_back(g, x, out, beta, threshold):
    for i in range(len(out)):
        v = x[i] * beta
        out[i] = g[i] if v > threshold else g[i] * sigmoid(v)


@elementwise(_ONE_IN)
def _log_sigmoid(x, out):
    for i in range(len(out)):
        v = x[i]
        out[i] = -((_ZERO if v > _ZERO else -v) + log1p(exp(-abs(v))))


@elementwise(_TWO_IN)
def _log_sigmoid_back(g, x, out):
    for i in range(len(out)):
        out[i] = g[i] * sigmoid(-x[i])


@elementwise(_ONE_IN)
def _mish(x, out):
    for i in range(len(out)):
        v = x[i]
        out[i] = v * tanh((v if v > _ZERO else _ZERO) + log1p(exp(-abs(v))))


@elementwise(_TWO_IN)
def _mish_back(g, x, out):
    for i in range(len(out)):
        v = x[i]
        t = tanh((v if v > _ZERO else _ZERO) + log1p(exp(-abs(v))))
        out[i] = g[i] * (t + v * sigmoid(v) * (_ONE - t * t))


@elementwise("void(float32[::1], float32[::1], float32, float32, float32)")
def _elu(x, out, alpha, scale, input_scale):
    factor = alpha * scale
    for i in range(len(out)):
        below = expm1_below(x[i] * input_scale) * factor
        out[i] = x[i] * scale if x[i] > _ZERO else below


@elementwise("void(float32[::1], float32[::1], float32[::1], float32, float32, float32)")
def _elu_back(g, x, out, alpha, scale, input_scale):
    factor = alpha * scale * input_scale
    for i in range(len(out)):
        below = exp(x[i] * input_scale) * factor
        out[i] = g[i] * (scale if x[i] > _ZERO else below)


@elementwise(_ONE_IN)
def _erf(x, out):
    for i in range(len(out)):
        out[i] = erf(x[i])


@elementwise(_TWO_IN)
def _erf_back(g, x, out):
    for i in range(len(out)):
        out[i] = g[i] * (exp(-x[i] * x[i]) * _TWO_PER_ROOT_PI)


#: The kernel and its operations for each element, by the name of the operation.
_FORWARD = {
    "sigmoid": (_sigmoid, 20), "silu": (_silu, 20), "softplus": (_softplus, 40), "mish": (_mish, 70),
    "log_sigmoid": (_log_sigmoid, 40), "elu": (_elu, 20), "erf": (_erf, 30),
}  # fmt: skip
_BACKWARD = {
    "sigmoid": (_sigmoid_back, 4), "silu": (_silu_back, 20), "softplus": (_softplus_back, 20),
    "mish": (_mish_back, 90), "log_sigmoid": (_log_sigmoid_back, 20), "elu": (_elu_back, 20),
    "erf": (_erf_back, 20),
}  # fmt: skip


def forward(name: str, x: np.ndarray, *numbers: float) -> np.ndarray:
    kernel, work = _FORWARD[name]
    return each(kernel, work, x, numbers=numbers)


def backward(name: str, g: np.ndarray, kept: np.ndarray, *numbers: float) -> np.ndarray:
    kernel, work = _BACKWARD[name]
    return each(kernel, work, g, kept, numbers=numbers)


# Gates ------------------------------------------------------------------------------------

# What `glu` halves lies in rows, (rows, 2, columns): the first half of each and its gate. A part is a
# block of the rows and columns.


@compiled("void(float32[:, :, ::1], float32[:, ::1], int64, int64, int64, int64)", limits=4)
def _glu(x, out, top, bottom, left, right):
    apart()
    for i in range(top, bottom):
        first, second, product = x[i, 0, left:right], x[i, 1, left:right], out[i, left:right]
        for j in range(len(product)):
            product[j] = first[j] * sigmoid(second[j])


@compiled(
    "void(float32[:, ::1], float32[:, :, ::1], float32[:, :, ::1], int64, int64, int64, int64)",
    limits=4,
)
def _glu_back(g, x, out, top, bottom, left, right):
    apart()
    for i in range(top, bottom):
        first, second, slope = x[i, 0, left:right], x[i, 1, left:right], g[i, left:right]
        by_first, by_second = out[i, 0, left:right], out[i, 1, left:right]
        for j in range(len(slope)):
            gate, rest = sigmoids(second[j])
            by_first[j] = slope[j] * gate
            by_second[j] = slope[j] * first[j] * gate * rest


def _blocks(rows: int, columns: int, work: int) -> np.ndarray:
    """Whole rows to each thread, if there are enough of them."""
    threads = pass_threads(work * rows * columns)
    return blocks(rows, columns, *((threads, 1) if rows >= 4 * threads else (1, threads)), 1, 16)


def glu(x: np.ndarray, axis: int) -> np.ndarray:
    half = x.shape[axis] // 2
    out = np.empty((*x.shape[:axis], half, *x.shape[axis + 1 :]), np.float32)
    rows, columns = _rows(x, axis)
    halves = np.ascontiguousarray(x).reshape(rows, 2, columns)
    run_parts(_glu, _blocks(rows, columns, 20), halves, out.reshape(rows, columns))
    return out


def glu_backward(g: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    out = np.empty(x.shape, np.float32)
    rows, columns = _rows(x, axis)
    slopes = np.ascontiguousarray(g).reshape(rows, columns)
    halves, made = (a.reshape(rows, 2, columns) for a in (np.ascontiguousarray(x), out))
    run_parts(_glu_back, _blocks(rows, columns, 30), slopes, halves, made)
    return out


def _rows(x: np.ndarray, axis: int) -> tuple[int, int]:
    """How many rows two halves along `axis` have, and how many columns each half."""
    return math.prod(x.shape[:axis]), math.prod(x.shape[axis:]) // 2
