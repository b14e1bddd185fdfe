"""Normalisation and its gradient: each group of numbers is read again while it is in the cache.

Three forms. `rows`: every row of a matrix is a group, and weight and bias have a number for each column
(layer norm, and without the mean RMS norm). `pieces`: the input is (N, C, S), and a group is made of the
rows, of S numbers and one channel each, of which weight and bias have a number (batch and group norm).
`columns`: the input is (N, C), and every column is a group (batch norm where S is 1).
The formulas stand in `tensorlab.ops.normalization`. Sums are in float32 along a row, in the order of
vectors, and in float64 from row to row; those of the gradient down a column are in float32 over ROWS rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.maths import centred_dot, centred_square, total
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import numbered, pass_threads, split

_ZERO, _ONE = np.float32(0), np.float32(1)
#: So many rows of a column are added in float32.
ROWS = 32


@compiled(
    "void(float32[:, ::1], float32[::1], float32[::1], float32, boolean, float32[:, ::1], int64, int64)",
    limits=2,
)
def _rows(x, weight, bias, eps, centre, out, first, last):
    n = x.shape[1]
    for r in range(first, last):
        row, result = x[r], out[r]
        mean = total(row) / np.float32(n) if centre else _ZERO
        scale = _ONE / np.sqrt(centred_square(row, mean) / np.float32(n) + eps)
        for j in range(len(result)):
            result[j] = (row[j] - mean) * scale * weight[j] + bias[j]


@compiled(
    "void(float32[:, ::1], float32[:, ::1], float32[::1], float32, boolean, float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1], int64, int64, int64)",
    limits=3,
)
def _rows_back(g, x, weight, eps, centre, out, by_weights, by_biases, number, first, last):
    n = x.shape[1]
    count = np.float32(n)
    # Added up in arrays of its own: the other thread's sums share a line of the cache with these.
    by_weight, by_bias = np.zeros(n, np.float32), np.zeros(n, np.float32)
    h = np.empty(n, np.float32)
    for r in range(first, last):
        slope, row, result = g[r], x[r], out[r]
        mean = total(row) / count if centre else _ZERO
        scale = _ONE / np.sqrt(centred_square(row, mean) / count + eps)
        for j in range(len(h)):
            h[j] = slope[j] * weight[j]
        along = centred_dot(h, row, mean) * scale / count
        rest = total(h) / count if centre else _ZERO
        for j in range(len(result)):
            unit, s = (row[j] - mean) * scale, slope[j]
            result[j] = (h[j] - unit * along - rest) * scale
            by_weight[j] += s * unit
            by_bias[j] += s
    by_weights[number, :] = by_weight
    by_biases[number, :] = by_bias


@compiled(
    "void(float32[:, ::1], int64, int64, int64, float32[::1], float32[::1], int64, int64)", limits=2
)
def _moments(x, apart, stride, count, mean, variance, first, last):
    """Mean and variance of groups: `count` rows, `stride` apart, that of the next group `apart`."""
    n = count * x.shape[1]
    for group in range(first, last):
        found = 0.0
        for k in range(count):
            found += total(x[group * apart + k * stride])
        middle = np.float32(found / n)
        found = 0.0
        for k in range(count):
            found += centred_square(x[group * apart + k * stride], middle)
        mean[group], variance[group] = middle, np.float32(found / n)


@compiled(
    "void(float32[:, ::1], int64, int64, int64, float32[::1], float32[::1], float32[::1], float32[::1], float32,"
    " boolean, float32[:, ::1], int64, int64)",
    limits=2,
)
def _pieces(x, apart, stride, count, mean, variance, weight, bias, eps, known, out, first, last):
    channels = len(weight)
    for group in range(first, last):
        if not known:
            _moments(x, apart, stride, count, mean, variance, group, group + 1)
        middle = mean[group]
        scale = _ONE / np.sqrt(variance[group] + eps)
        for k in range(count):
            at = group * apart + k * stride
            row, result, c = x[at], out[at], at % channels
            factor, plus = scale * weight[c], bias[c]
            for j in range(len(result)):
                result[j] = (row[j] - middle) * factor + plus


@compiled(
    "void(float32[:, ::1], float32[:, ::1], int64, int64, int64, float32[::1], float32[::1], float32[::1],"
    " float32, boolean, float32[:, ::1], float32[::1], float32[::1], int64, int64)",
    limits=2,
)
def _pieces_back(
    g, x, apart, stride, count, mean, variance, weight, eps, known, out, dots, sums, first, last
):
    """The gradient by x; for each row, in `dots`, Σ g · x̂, and in `sums` Σ g."""
    channels = len(weight)
    n = np.float32(count * x.shape[1])
    for group in range(first, last):
        if not known:
            _moments(x, apart, stride, count, mean, variance, group, group + 1)
        middle = mean[group]
        scale = _ONE / np.sqrt(variance[group] + eps)
        along, rest = 0.0, 0.0
        for k in range(count):
            at = group * apart + k * stride
            dots[at] = centred_dot(g[at], x[at], middle) * scale
            sums[at] = total(g[at])
            along += dots[at] * weight[at % channels]
            rest += sums[at] * weight[at % channels]
        by_unit = np.float32(along) / n * scale
        less = np.float32(rest) / n
        for k in range(count):
            at = group * apart + k * stride
            slope, row, result, factor = g[at], x[at], out[at], weight[at % channels]
            for j in range(len(result)):
                result[j] = (slope[j] * factor - (row[j] - middle) * by_unit - less) * scale


@compiled("void(float32[:, ::1], float32[::1], float32[::1], int64, int64)", limits=2)
def _column_moments(x, mean, variance, first, last):
    """Mean and variance of the columns first…last."""
    n = float(len(x))
    found, middle = np.zeros(last - first), mean[first:last]
    for r in range(len(x)):
        row = x[r, first:last]
        for j in range(len(found)):
            found[j] += row[j]
    for j in range(len(found)):
        middle[j] = np.float32(found[j] / n)
        found[j] = 0
    for r in range(len(x)):
        row = x[r, first:last]
        for j in range(len(found)):
            away = row[j] - middle[j]
            found[j] += away * away
    spread = variance[first:last]
    for j in range(len(found)):
        spread[j] = np.float32(found[j] / n)


@compiled(
    "void(float32[:, ::1], float32[::1], float32[::1], float32[::1], float32[::1], float32, float32[:, ::1],"
    " int64, int64)",
    limits=2,
)
def _columns(x, mean, variance, weight, bias, eps, out, first, last):
    middle, plus = mean[first:last], bias[first:last]
    factor = np.empty(last - first, np.float32)
    for j in range(len(factor)):
        factor[j] = weight[first + j] / np.sqrt(variance[first + j] + eps)
    for r in range(len(x)):
        row, result = x[r, first:last], out[r, first:last]
        for j in range(len(factor)):
            result[j] = (row[j] - middle[j]) * factor[j] + plus[j]


@compiled(
    "void(float32[:, ::1], float32[:, ::1], float32[::1], float32[::1], float32[::1], float32, float32[:, ::1],"
    " float32[::1], float32[::1], int64, int64)",
    limits=2,
)
def _columns_back(g, x, mean, variance, weight, eps, out, dots, sums, first, last):
    """The gradient by x; for each column, in `dots`, Σ g · x̂, and in `sums` Σ g."""
    n = np.float32(len(x))
    count = last - first
    along, rest, middle = np.zeros(count), np.zeros(count), mean[first:last]
    some_along, some_rest = np.empty(count, np.float32), np.empty(count, np.float32)
    for start in range(0, len(x), ROWS):
        some_along[:] = 0
        some_rest[:] = 0
        for r in range(start, min(start + ROWS, len(x))):
            slope, row = g[r, first:last], x[r, first:last]
            for j in range(count):
                some_along[j] += slope[j] * (row[j] - middle[j])
                some_rest[j] += slope[j]
        for j in range(count):
            along[j] += some_along[j]
            rest[j] += some_rest[j]
    factor, by_unit = np.empty(count, np.float32), np.empty(count, np.float32)
    less = np.empty(count, np.float32)
    for j in range(count):
        scale = _ONE / np.sqrt(variance[first + j] + eps)
        dot, total_slope = np.float32(along[j]) * scale, np.float32(rest[j])
        dots[first + j], sums[first + j] = dot, total_slope
        factor[j] = weight[first + j] * scale
        by_unit[j], less[j] = dot * scale / n, total_slope / n
    for r in range(len(x)):
        slope, row, result = g[r, first:last], x[r, first:last], out[r, first:last]
        for j in range(len(factor)):
            result[j] = (slope[j] - (row[j] - middle[j]) * by_unit[j] - less[j]) * factor[j]


class Groups(NamedTuple):
    """Which rows of (rows, S) make a group: so many `members`, `stride` apart; the next group is `apart`."""

    groups: int
    apart: int
    stride: int
    members: int


def by_channel(batch: int, channels: int) -> Groups:
    """A group for each channel."""
    return Groups(channels, 1, channels, batch)


def by_group(batch: int, channels: int, groups: int) -> Groups:
    """A group for each sample and each of `groups` sets of neighbouring channels."""
    return Groups(batch * groups, channels // groups, 1, channels // groups)


def _or_all(parameter: Any, size: int, value: float) -> np.ndarray:
    """A weight or bias as contiguous numbers; where there is none, the value that changes nothing."""
    if parameter is None:
        return np.full(size, value, np.float32)
    return parameter.ravel()


def rows(x: np.ndarray, n: int, weight: Any, bias: Any, eps: float, centre: bool) -> np.ndarray:
    """Every n neighbouring numbers normalised together, their mean taken off if `centre`."""
    matrix = np.ascontiguousarray(x).reshape(-1, n)
    out = np.empty(matrix.shape, np.float32)
    w, b = _or_all(weight, n, 1), _or_all(bias, n, -0.0)  # adding -0.0 changes no number
    parts = split(len(matrix), pass_threads(8 * x.size))
    run_parts(_rows, parts, matrix, w, b, eps, centre, out)
    return out.reshape(x.shape)


def rows_backward(
    g: np.ndarray, x: np.ndarray, n: int, weight: Any, eps: float, centre: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients by x, weight and bias."""
    slope, matrix = np.ascontiguousarray(g).reshape(-1, n), np.ascontiguousarray(x).reshape(-1, n)
    out = np.empty(matrix.shape, np.float32)
    w = _or_all(weight, n, 1)
    parts = numbered(len(matrix), pass_threads(16 * x.size))
    by_weight, by_bias = np.empty((2, len(parts), n), np.float32)
    run_parts(_rows_back, parts, slope, matrix, w, eps, centre, out, by_weight, by_bias)
    if len(parts) == 1:
        return out.reshape(x.shape), by_weight[0], by_bias[0]
    return out.reshape(x.shape), by_weight.sum(axis=0), by_bias.sum(axis=0)


def _as_pieces(x: np.ndarray) -> np.ndarray:
    """(N, C, …) as (N · C, S)."""
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], -1)


def _parts(how: Groups, work: int) -> np.ndarray:
    return split(how.groups, pass_threads(work))


def _statistics(how: Groups, known: Any) -> Any:
    """Mean and variance of the groups, or room for them."""
    if known is None:
        return np.empty((2, how.groups), np.float32)
    return [m.ravel() for m in known]


def moments(x: np.ndarray, how: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each group, each (groups, 1)."""
    matrix = _as_pieces(x)
    mean, variance = np.empty((2, how.groups), np.float32)
    run_parts(_moments, _parts(how, 4 * x.size), matrix, *how[1:], mean, variance)
    return mean[:, None], variance[:, None]


def pieces(
    x: np.ndarray, how: Groups, weight: Any, bias: Any, eps: float, known: Any
) -> np.ndarray:
    """(N, C, …) normalised in groups; `known` are their mean and variance, or None."""
    matrix = _as_pieces(x)
    out = np.empty(matrix.shape, np.float32)
    mean, variance = _statistics(how, known)
    w, b = _or_all(weight, x.shape[1], 1), _or_all(bias, x.shape[1], -0.0)
    done = known is not None
    given = (matrix, *how[1:], mean, variance, w, b, eps, done, out)
    run_parts(_pieces, _parts(how, 4 * x.size), *given)
    return out.reshape(x.shape)


def pieces_backward(
    g: np.ndarray, x: np.ndarray, how: Groups, weight: Any, eps: float, known: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients by x, weight and bias."""
    slope, matrix = _as_pieces(g), _as_pieces(x)
    out = np.empty(matrix.shape, np.float32)
    mean, variance = _statistics(how, known)
    w = _or_all(weight, x.shape[1], 1)
    done = known is not None
    dots, sums = np.empty((2, len(matrix)), np.float32)
    given = (slope, matrix, *how[1:], mean, variance, w, eps, done, out, dots, sums)
    run_parts(_pieces_back, _parts(how, 10 * x.size), *given)
    by_weight, by_bias = (s.reshape(x.shape[:2]).sum(axis=0) for s in (dots, sums))
    return out.reshape(x.shape), by_weight, by_bias


def _column_parts(x: np.ndarray, work: int) -> np.ndarray:
    return split(x.shape[1], pass_threads(work * x.size), 16)


def column_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each column of (N, C), each (C, 1)."""
    matrix = np.ascontiguousarray(x)
    mean, variance = np.empty((2, x.shape[1]), np.float32)
    run_parts(_column_moments, _column_parts(x, 4), matrix, mean, variance)
    return mean[:, None], variance[:, None]


def columns(x: np.ndarray, weight: Any, bias: Any, eps: float, known: Any) -> np.ndarray:
    """The columns of (N, C) normalised; `known` are their mean and variance, or None."""
    matrix = np.ascontiguousarray(x)
    out = np.empty(x.shape, np.float32)
    mean, variance = [m.ravel() for m in known or column_moments(x)]
    w, b = _or_all(weight, x.shape[1], 1), _or_all(bias, x.shape[1], -0.0)
    run_parts(_columns, _column_parts(x, 4), matrix, mean, variance, w, b, eps, out)
    return out


def columns_backward(
    g: np.ndarray, x: np.ndarray, weight: Any, eps: float, known: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients by x, weight and bias."""
    slope, matrix = np.ascontiguousarray(g), np.ascontiguousarray(x)
    out = np.empty(x.shape, np.float32)
    mean, variance = [m.ravel() for m in known or column_moments(x)]
    w = _or_all(weight, x.shape[1], 1)
    # Each in memory of its own: they become gradients that nobody else can see.
    dots, sums = np.empty(x.shape[1], np.float32), np.empty(x.shape[1], np.float32)
    given = (slope, matrix, mean, variance, w, eps, out, dots, sums)
    run_parts(_columns_back, _column_parts(x, 10), *given)
    return out, dots, sums
