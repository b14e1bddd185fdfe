"""Activations and their gradients, one pass over the numbers each."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.maths import normal_cdf, normal_pdf, tanh
from tensorlab.kernels.threads import run_parts, split, thread_count

_f = np.float32
_SQRT_2_OVER_PI, _CUBIC = _f(0.79788456080286536), _f(0.044715)
_HALF, _ONE, _THREE = _f(0.5), _f(1), _f(3)
_ZERO = _f(0)

_ONE_IN = "void(float32[::1], float32[::1])"
_TWO_IN = "void(float32[::1], float32[::1], float32[::1])"


@compiled(_ONE_IN)
def _gelu(x, out):
    for i in range(len(out)):
        out[i] = x[i] * normal_cdf(x[i])


@compiled(_TWO_IN)
def _gelu_backward(g, x, out):
    for i in range(len(out)):
        out[i] = g[i] * (normal_cdf(x[i]) + x[i] * normal_pdf(x[i]))


@compiled(_ONE_IN)
def _tanh_gelu(x, out):
    for i in range(len(out)):
        v = x[i]
        t = tanh((v + v * v * v * _CUBIC) * _SQRT_2_OVER_PI)
        out[i] = v * (t + _ONE) * _HALF


@compiled(_TWO_IN)
def _tanh_gelu_backward(g, x, out):
    for i in range(len(out)):
        v = x[i]
        t = tanh((v + v * v * v * _CUBIC) * _SQRT_2_OVER_PI)
        slope = (v * v * (_THREE * _CUBIC) + _ONE) * _SQRT_2_OVER_PI
        out[i] = g[i] * ((t + _ONE) * _HALF + v * (_ONE - t * t) * slope * _HALF)


@compiled(_ONE_IN)
def _relu(x, out):
    for i in range(len(out)):
        out[i] = _ZERO if x[i] < _ZERO else x[i]  # nan and -0.0 stay


@compiled(_TWO_IN)
def _relu_backward(g, y, out):
    for i in range(len(out)):
        out[i] = g[i] if y[i] > _ZERO else g[i] * _ZERO


def _map(kernel: Any, work: int, *arrays: np.ndarray) -> np.ndarray:
    """`kernel` over all elements of arrays of one shape; `work` is its operations for each."""
    out = np.empty(arrays[0].shape, np.float32)
    flat = [np.ascontiguousarray(a).reshape(-1) for a in arrays]
    result = out.reshape(-1)

    def part(first: int, last: int) -> None:
        kernel(*(a[first:last] for a in flat), result[first:last])

    # Whole cache lines to each thread.
    run_parts(part, split(out.size, thread_count(work * out.size), 16))
    return out


def gelu(x: np.ndarray, approximate: str) -> np.ndarray:
    return _map(_gelu if approximate == "none" else _tanh_gelu, 40, x)


def gelu_backward(g: np.ndarray, x: np.ndarray, approximate: str) -> np.ndarray:
    return _map(_gelu_backward if approximate == "none" else _tanh_gelu_backward, 60, g, x)


def relu(x: np.ndarray) -> np.ndarray:
    return _map(_relu, 4, x)


def relu_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _map(_relu_backward, 4, g, y)
