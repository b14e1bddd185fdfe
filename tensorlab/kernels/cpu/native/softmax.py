"""Softmax, its logarithm, and the loss of class numbers: a row at a time, while it is in the cache.

A matrix is given as its numbers, row behind row, and the length of a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.maths import dot, exp, largest, log, total, total_exp
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import pass_threads, split

_ZERO, _ONE = np.float32(0), np.float32(1)
#: Rows shorter than this are joined to long ones for the exponential; this many numbers at a time.
SHORT, TOGETHER = 256, 2048


@compiled("void(float32[::1], float32[::1], int64, boolean)", cut=0)
def _long_rows(x, out, n, logarithm):
    for start in range(0, len(x), n):
        row, result = x[start : start + n], out[start : start + n]
        shift = largest(row)
        if logarithm:
            rest = log(total_exp(row, shift))
            for j in range(len(result)):
                result[j] = row[j] - shift - rest
        else:
            for j in range(len(result)):
                result[j] = exp(row[j] - shift)
            scale = _ONE / total(result)
            for j in range(len(result)):
                result[j] *= scale


@compiled("void(float32[::1], float32[::1], int64, boolean)", cut=0)
def _short_rows(x, out, n, logarithm):
    rows = max(1, TOGETHER // n)
    powers, sums = np.empty(rows * n, np.float32), np.empty(rows, np.float32)
    for start in range(0, len(x), rows * n):
        given, result = x[start : start + rows * n], out[start : start + rows * n]
        for at in range(0, len(result), n):
            row, shifted = given[at : at + n], result[at : at + n]
            shift = largest(row)
            for j in range(len(shifted)):
                shifted[j] = row[j] - shift
        for j in range(len(result)):
            powers[j] = exp(result[j])
        count = len(result) // n
        for r in range(count):
            sums[r] = total(powers[r * n : r * n + n])
        if logarithm:
            for r in range(count):
                sums[r] = log(sums[r])
            for r in range(count):
                row, rest = result[r * n : r * n + n], sums[r]
                for j in range(len(row)):
                    row[j] -= rest
        else:
            for r in range(count):
                sums[r] = _ONE / sums[r]
            for r in range(count):
                row, power, scale = result[r * n : r * n + n], powers[r * n : r * n + n], sums[r]
                for j in range(len(row)):
                    row[j] = power[j] * scale


@compiled("void(float32[::1], float32[::1], float32[::1], int64, boolean)", cut=0)
def _rows_back(g, y, out, n, logarithm):
    for start in range(0, len(y), n):
        slope, row, result = g[start : start + n], y[start : start + n], out[start : start + n]
        if logarithm:
            along = total(slope)
            for j in range(len(row)):
                result[j] = slope[j] - exp(row[j]) * along
        else:
            along = dot(slope, row)
            for j in range(len(row)):
                result[j] = (slope[j] - along) * row[j]


@compiled("void(float32[::1], float32[::1], float32[::1], int64)", cut=0)
def _short_log_back(g, y, out, n):
    step = max(1, TOGETHER // n) * n
    for start in range(0, len(y), step):
        result, given = out[start : start + step], y[start : start + step]
        for j in range(len(result)):
            result[j] = exp(given[j])
        for at in range(start, start + len(result), n):
            slope, row = g[at : at + n], out[at : at + n]
            along = total(slope)
            for j in range(len(row)):
                row[j] = slope[j] - row[j] * along


@compiled("int64(float32[:, ::1], int64[::1], float32[::1], int64, float32[::1], float64[::1])")
def _pick(log_p, target, weight, ignored, out, totals):
    """Each row's loss; their sum and that of the weights in `totals`. Returns a row it cannot do, or -1."""
    classes = log_p.shape[1]
    loss_sum, weight_sum = 0.0, 0.0
    for i in range(len(target)):
        k = target[i]
        if k == ignored:
            out[i] = _ZERO
        elif k < 0 or k >= classes:
            return i
        else:
            scale = weight[k] if len(weight) else _ONE
            out[i] = -log_p[i, k] * scale
            loss_sum += out[i]
            weight_sum += scale
    totals[0], totals[1] = loss_sum, weight_sum
    return -1


@compiled("int64(float32[::1], int64[::1], float32[::1], int64, boolean, float32[:, ::1])")
def _place(g, target, weight, ignored, mean, out):
    """Each row's gradient at its class, and zeros elsewhere; `g` has one number, or one for each row."""
    classes = out.shape[1]
    weights = 0.0
    flat = out.reshape(-1)
    for j in range(len(flat)):
        flat[j] = _ZERO
    for i in range(len(target)):
        k = target[i]
        if k != ignored:
            if k < 0 or k >= classes:
                return i
            scale = weight[k] if len(weight) else _ONE
            weights += scale
            out[i, k] = -g[i if len(g) > 1 else 0] * scale
    if mean and weights != 0:
        for i in range(len(target)):
            if target[i] != ignored:
                out[i, target[i]] /= weights
    return -1


def _over(kernel: Any, axis: int, arrays: tuple[np.ndarray, ...], *settings: bool) -> np.ndarray:
    """Run a kernel on the numbers of whole rows, along the dimension `axis`."""
    n, last = arrays[0].shape[axis], axis == arrays[0].ndim - 1
    if not last:
        arrays = tuple(np.moveaxis(a, axis, -1) for a in arrays)
    out = np.empty(arrays[0].shape, np.float32)
    flat = [np.ascontiguousarray(a).reshape(-1) for a in (*arrays, out)]
    run_parts(kernel, split(out.size, pass_threads(30 * out.size), n), *flat, n, *settings)
    return out if last else np.ascontiguousarray(np.moveaxis(out, -1, axis))


def softmax(x: np.ndarray, axis: int, logarithm: bool) -> np.ndarray:
    kernel = _short_rows if x.shape[axis] < SHORT else _long_rows
    return _over(kernel, axis, (x,), logarithm)


def softmax_backward(g: np.ndarray, y: np.ndarray, axis: int, logarithm: bool) -> np.ndarray:
    if logarithm and y.shape[axis] < SHORT:
        return _over(_short_log_back, axis, (g, y))
    return _over(_rows_back, axis, (g, y), logarithm)


_NOTHING = np.empty(0, np.float32)


def classes_and_weights(target: np.ndarray, weight: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both flat and contiguous; no weights where there are none."""
    return (
        np.ascontiguousarray(target).reshape(-1),
        _NOTHING if weight is None else np.ascontiguousarray(weight),
    )


def nll_loss(log_p: np.ndarray, target: np.ndarray, weight: Any, ignored: int, how: str) -> Any:
    """The loss of rows of log-probabilities; NotImplemented if a class number is out of range."""
    classes, weights = classes_and_weights(target, weight)
    out, totals = np.empty(len(classes), np.float32), np.empty(2)
    if _pick(np.ascontiguousarray(log_p), classes, weights, ignored, out, totals) >= 0:
        return NotImplemented
    if how == "none":
        return out
    if how == "sum":
        return np.asarray(totals[0], np.float32)
    return np.asarray(totals[0] / totals[1] if totals[1] else np.nan, np.float32)


def nll_loss_backward(
    g: np.ndarray, target: np.ndarray, weight: Any, shape: Any, ignored: int, how: str
) -> Any:
    """The gradient of `nll_loss` by its rows; NotImplemented likewise."""
    classes, weights = classes_and_weights(target, weight)
    slope = np.ascontiguousarray(g).reshape(-1)
    out = np.empty(shape, np.float32)
    failed = _place(slope, classes, weights, ignored, how == "mean", out)
    return out if failed < 0 else NotImplemented
