"""Activations made of exponentials and logarithms, and their gradients, one pass over the numbers each."""

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.each import each, elementwise
from tensorlab.kernels.cpu.native.maths import erf, exp, expm1_below, log1p, sigmoid, tanh

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
