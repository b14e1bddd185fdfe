"""Softmax and its logarithm over a dimension that is not the last: neighbouring columns side by side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.maths import exp, log, of_order, order
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import pass_threads, split

_ZERO, _ONE = np.float32(0), np.float32(1)
#: Columns that are worked on together.
ABREAST = 512


@compiled("void(float32[:, :, ::1], float32[:, :, ::1], boolean, int64, int64)", limits=2)
def _columns(x, out, logarithm, first, last):
    """The dimension in the middle of (outer, n, inner), for blocks first…last of columns."""
    n, inner = x.shape[1:]
    blocks = (inner + ABREAST - 1) // ABREAST
    keys, sums = np.empty(ABREAST, np.int32), np.empty(ABREAST, np.float32)
    for block in range(first, last):
        outer, left = block // blocks, block % blocks * ABREAST
        right = min(left + ABREAST, inner)
        for j in range(right - left):
            keys[j] = np.int32(-0x7FFFFFFF)
            sums[j] = _ZERO
        for i in range(n):
            row = x[outer, i, left:right]
            for j in range(len(row)):
                keys[j] = np.int32(max(keys[j], order(row[j])))
        for i in range(n):
            row, result = x[outer, i, left:right], out[outer, i, left:right]
            for j in range(len(row)):
                power = exp(row[j] - of_order(keys[j]))
                sums[j] += power
                if not logarithm:
                    result[j] = power
        for j in range(right - left):
            sums[j] = log(sums[j]) if logarithm else _ONE / sums[j]
        for i in range(n):
            row, result = x[outer, i, left:right], out[outer, i, left:right]
            if logarithm:
                for j in range(len(row)):
                    result[j] = row[j] - of_order(keys[j]) - sums[j]
            else:
                for j in range(len(row)):
                    result[j] *= sums[j]


@compiled(
    "void(float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], boolean, int64, int64)",
    limits=2,
)
def _columns_back(g, y, out, logarithm, first, last):
    n, inner = y.shape[1:]
    blocks = (inner + ABREAST - 1) // ABREAST
    sums = np.empty(ABREAST, np.float32)
    for block in range(first, last):
        outer, left = block // blocks, block % blocks * ABREAST
        right = min(left + ABREAST, inner)
        for j in range(right - left):
            sums[j] = _ZERO
        for i in range(n):
            slope, row = g[outer, i, left:right], y[outer, i, left:right]
            for j in range(len(row)):
                sums[j] += slope[j] if logarithm else slope[j] * row[j]
        for i in range(n):
            slope, row = g[outer, i, left:right], y[outer, i, left:right]
            result = out[outer, i, left:right]
            if logarithm:
                for j in range(len(row)):
                    result[j] = slope[j] - exp(row[j]) * sums[j]
            else:
                for j in range(len(row)):
                    result[j] = (slope[j] - sums[j]) * row[j]


def _over(kernel: Any, axis: int, logarithm: bool, *arrays: np.ndarray) -> np.ndarray:
    shape = arrays[0].shape
    inner = math.prod(shape[axis + 1 :])
    out = np.empty(shape, np.float32)
    blocks = [np.ascontiguousarray(a).reshape(-1, shape[axis], inner) for a in (*arrays, out)]
    parts = split(len(blocks[0]) * -(-inner // ABREAST), pass_threads(30 * out.size))
    run_parts(kernel, parts, *blocks, logarithm)
    return out


def softmax(x: np.ndarray, axis: int, logarithm: bool) -> np.ndarray:
    return _over(_columns, axis, logarithm, x)


def softmax_backward(g: np.ndarray, y: np.ndarray, axis: int, logarithm: bool) -> np.ndarray:
    return _over(_columns_back, axis, logarithm, g, y)
