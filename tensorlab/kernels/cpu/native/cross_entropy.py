"""Cross-entropy of class numbers, some rows at a time while they are in the cache; nothing is kept of them.

The gradient makes the exponentials anew: that is as much work as undoing logarithms that were kept.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.maths import exp, largest, log, total
from tensorlab.kernels.cpu.native.softmax import TOGETHER, classes_and_weights
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import numbered, split, thread_count

_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled("void(float32[:, ::1], int64, int64, float32[::1], float32[::1], float32[::1])")
def _exponentials(x, first, last, shifts, powers, sums):
    """Of rows first…last: the largest number, all exponentials relative to it, and their sum."""
    n = x.shape[1]
    for r in range(last - first):
        row, power = x[first + r], powers[r * n : r * n + n]
        shift = largest(row)
        shifts[r] = shift
        for j in range(len(power)):
            power[j] = row[j] - shift
    flat = powers[: (last - first) * n]
    for j in range(len(flat)):  # of short rows, too, whole vectors
        flat[j] = exp(flat[j])
    for r in range(last - first):
        sums[r] = total(powers[r * n : r * n + n])


@compiled(
    "void(float32[:, ::1], int64[::1], float32[::1], int64, float32[::1], float64[:, ::1], int64, int64, int64)",
    limits=3,
)
def _losses(x, target, weight, ignored, out, totals, number, first, last):
    """The losses of rows first…last.

    In totals[number]: their sum, that of the weights, and whether there was a class that there is not.
    """
    n = x.shape[1]
    rows = max(1, TOGETHER // n)
    powers, shifts = np.empty(rows * n, np.float32), np.empty(rows, np.float32)
    sums = np.empty(rows, np.float32)
    loss_sum, weight_sum = 0.0, 0.0
    for start in range(first, last, rows):
        end = min(start + rows, last)
        _exponentials(x, start, end, shifts, powers, sums)
        for r in range(end - start):
            sums[r] = log(sums[r])
        for i in range(start, end):
            k = target[i]
            if k == ignored:
                out[i] = _ZERO
            elif k < 0 or k >= n:
                totals[number, 2] = 1
            else:
                scale = weight[k] if len(weight) else _ONE
                out[i] = -(x[i, k] - shifts[i - start] - sums[i - start]) * scale
                loss_sum += out[i]
                weight_sum += scale
    totals[number, 0], totals[number, 1] = loss_sum, weight_sum


@compiled("float64(int64[::1], float32[::1], int64, int64)")
def _weight_of_all(target, weight, ignored, n):
    """The sum of the weights of all rows that count."""
    if not len(weight):
        count = 0
        for k in target:
            count += (k != ignored) & (k >= 0) & (k < n)
        return float(count)
    found = 0.0
    for k in target:
        if k != ignored and k >= 0 and k < n:
            found += weight[k]
    return found


@compiled(
    "void(float32[::1], float32[:, ::1], int64[::1], float32[::1], int64, boolean, float32[:, ::1], boolean[::1],"
    " int64, int64)",
    limits=2,
)
def _slopes(g, x, target, weight, ignored, mean, out, bad, first, last):
    """The gradient by rows first…last; `g` has one number, or one for each row.

    bad: becomes true where there is no such class.
    """
    n = x.shape[1]
    weights = _weight_of_all(target, weight, ignored, n) if mean else 0.0
    share = np.float32(weights) if weights != 0 else _ONE
    rows = max(1, TOGETHER // n)
    shifts, sums = np.empty(rows, np.float32), np.empty(rows, np.float32)
    scales = np.empty(rows, np.float32)
    flat = out.reshape(-1)
    for start in range(first, last, rows):
        count = min(rows, last - start)
        _exponentials(x, start, start + count, shifts, flat[start * n : (start + count) * n], sums)
        # One thing at a time, for all rows: between vectors, single numbers would hold them up.
        for r in range(count):
            i = start + r
            k, scale = target[i], _ZERO
            if k != ignored:
                if k < 0 or k >= n:
                    bad[0] = True
                else:
                    scale = (weight[k] if len(weight) else _ONE) * g[i if len(g) > 1 else 0] / share
            scales[r], sums[r] = scale, scale / sums[r]
        for r in range(count):
            row, factor = out[start + r], sums[r]
            for j in range(len(row)):
                row[j] *= factor
        for r in range(count):
            if scales[r] != _ZERO:
                out[start + r, target[start + r]] -= scales[r]


def cross_entropy(x: np.ndarray, target: np.ndarray, weight: Any, ignored: int, how: str) -> Any:
    """The loss of rows of scores; NotImplemented if a class number is out of range."""
    scores, (classes, weights) = np.ascontiguousarray(x), classes_and_weights(target, weight)
    parts = numbered(len(x), thread_count(60 * x.size))
    out, totals = np.empty(len(x), np.float32), np.zeros((len(parts), 3))
    run_parts(_losses, parts, scores, classes, weights, ignored, out, totals)
    loss, count, bad = (totals[0] if len(parts) == 1 else totals.sum(0)).tolist()
    if bad:
        return NotImplemented
    if how == "none":
        return out
    if how == "mean":
        loss = loss / count if count else math.nan
    return np.array(loss, np.float32)


def cross_entropy_backward(
    g: np.ndarray, x: np.ndarray, target: np.ndarray, weight: Any, ignored: int, how: str
) -> Any:
    """The gradient by the scores; NotImplemented likewise."""
    scores, (classes, weights) = np.ascontiguousarray(x), classes_and_weights(target, weight)
    slope = np.ascontiguousarray(g).reshape(-1)
    out = np.empty(x.shape, np.float32)
    bad = np.zeros(1, np.bool_)
    parts = split(len(x), thread_count(60 * x.size))
    run_parts(_slopes, parts, slope, scores, classes, weights, ignored, how == "mean", out, bad)
    return NotImplemented if bad[0] else out
