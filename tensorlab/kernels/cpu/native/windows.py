"""Max pooling of any windows: all windows of a plane at once, place by place of a window.

A plane is laid out with −∞ around it (see `layout`), so that every place of a window is a row of neighbours
as long as the plane, whatever the stride; the largest so far, and which place it was at, are kept beside it.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.layout import LAYOUT, Tables, forward_tables, lay_out
from tensorlab.kernels.cpu.native.tables import Ints, grid, images_of, steps_of
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import pass_threads, split

LOWEST = np.float32(-np.inf)


@compiled(
    f"void(float32[:, :, :, ::1], float32[:, :, ::1], {LAYOUT}, int64[::1], int64[:, ::1], int64, int64, int64)",
    limits=2,
)
def largest(x, out, to, left, stride, apart, line, step, starts, rows, pixels, first, last):
    """The largest of every window of planes first…last; nan is the largest."""
    columns = out.shape[2]
    room, best = np.full(step, LOWEST), np.empty(pixels, np.float32)
    for plane in range(first, last):
        lay_out(x, plane, 0, 1, to, left, stride, apart, line, step, room)
        most = best[:pixels]
        for p in range(len(most)):
            most[p] = room[p]
        for start in starts[1:]:
            here = room[start : start + pixels]
            for p in range(len(most)):
                value, so_far = here[p], most[p]
                stays = (so_far >= value) | (so_far != so_far)
                most[p] = so_far if stays else value
        for r in range(len(rows)):
            found, target = best[rows[r, 1] : rows[r, 1] + columns], out[plane, r]
            for c in range(len(found)):
                target[c] = found[c]


@compiled("void(float32[::1], int64[::1], int64, float32[::1], float32[::1])")
def find(room, starts, pixels, best, which):
    """The place in its window of every largest: of equals the first, of nans the last; −1 if all are −∞.

    Kept as a float: then all that the inner loop chooses between is of one size, and a whole vector of
    windows is decided at once.
    """
    most, number = best[:pixels], which[:pixels]
    for p in range(len(most)):
        most[p], number[p] = LOWEST, -1
    for k in range(len(starts)):
        here, place = room[starts[k] : starts[k] + pixels], np.float32(k)
        for p in range(len(most)):
            value, so_far, at_last = here[p], most[p], number[p]
            wins = (value > so_far) | (value != value)
            most[p] = value if wins else so_far
            number[p] = place if wins else at_last


_WHERE = "int64[::1], int64[::1], int64[::1], int64[::1], int64[::1]"


@compiled(
    f"void(float32[:, :, :, ::1], int64[:, :, ::1], {LAYOUT}, int64[::1], int64[:, ::1], int64, {_WHERE}, int64,"
    " int64)",
    limits=2,
)
def positions(
    x, out, to, left, stride, apart, line, step, starts, rows, pixels, offsets, begins, across, lowest, lowest_across,
    first, last,
):  # fmt: skip
    """Where in its plane the largest of every window of planes first…last is.

    begins: where the windows of each row of the result begin, `across` its columns, and `offsets` where the
    places of a window are from there. If nothing is larger than the padding, PyTorch names the first place
    that is none: `lowest` of its row and column.
    """
    room = np.full(step, LOWEST)
    best, which = np.empty(pixels, np.float32), np.empty(pixels, np.float32)
    for plane in range(first, last):
        lay_out(x, plane, 0, 1, to, left, stride, apart, line, step, room)
        find(room, starts, pixels, best, which)
        for r in range(len(rows)):
            for c in range(out.shape[2]):
                number = int(which[rows[r, 1] + c])
                if number >= 0:
                    out[plane, r, c] = begins[r] + across[c] + offsets[number]
                else:
                    out[plane, r, c] = lowest[r] + lowest_across[c]


@compiled(
    f"void(float32[:, :, :, ::1], float32[:, :, ::1], float32[:, ::1], {LAYOUT}, int64[::1], int64[:, ::1], int64,"
    f" {_WHERE}, int64, int64)",
    limits=2,
)
def back(
    x, g, out, to, left, stride, apart, line, step, starts, rows, pixels, offsets, begins, across, lowest,
    lowest_across, first, last,
):  # fmt: skip
    """The gradient g of every window's largest added to where that is, in planes first…last of `out`."""
    room = np.full(step, LOWEST)
    best, which = np.empty(pixels, np.float32), np.empty(pixels, np.float32)
    for plane in range(first, last):
        lay_out(x, plane, 0, 1, to, left, stride, apart, line, step, room)
        find(room, starts, pixels, best, which)
        target = out[plane]
        for p in range(len(target)):
            target[p] = 0
        for r in range(len(rows)):
            numbers, slopes = which[rows[r, 1] :], g[plane, r]
            for c in range(len(slopes)):
                number = int(numbers[c])
                if number >= 0:
                    target[begins[r] + across[c] + offsets[number]] += slopes[c]
                else:
                    target[lowest[r] + lowest_across[c]] += slopes[c]


@functools.lru_cache(maxsize=128)
def _places(
    size: Ints, kernel: Ints, count: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> tuple[np.ndarray, ...]:
    """Where windows and their places are in a plane: see `positions`."""
    steps = steps_of(size)
    begins, lowest = [], []
    for n, s, p, d, t in zip(count, stride, padding, dilation, steps, strict=True):
        begin = np.arange(n) * s - p
        begins.append(begin * t)
        lowest.append((begin + (np.maximum(-begin, 0) + d - 1) // d * d) * t)
    offsets = grid([np.arange(k) * d * t for k, d, t in zip(kernel, dilation, steps, strict=True)])
    return offsets, grid(begins[:-1]), begins[-1], grid(lowest[:-1]), lowest[-1]


def _run(
    kernel: Any, x: np.ndarray, dims: int, others: tuple[np.ndarray, ...], tables: Tables, work: int,
    places: tuple[np.ndarray, ...] = (),
) -> None:  # fmt: skip
    """`kernel(planes, *others, *tables, *places)` on parts of the planes of x."""
    planes = images_of(x.reshape(-1, 1, *x.shape[x.ndim - dims :]))
    numbers = (*tables.layout, tables.starts, tables.rows, tables.pixels)
    parts = split(len(planes), pass_threads(work * len(planes)))
    run_parts(kernel, parts, planes, *others, *numbers, *places)


def _prepared(x: np.ndarray, count: Ints, how: tuple[Ints, ...]) -> tuple[Tables, int]:
    kernel, stride, padding, dilation = how
    size = x.shape[x.ndim - len(count) :]
    tables = forward_tables(size, kernel, tuple(count), stride, padding, dilation, 1)
    return tables, 2 * tables.pixels * len(tables.starts)


def max_pool(x: np.ndarray, count: Ints, *how: Any) -> np.ndarray:
    """The largest of every window of x (…, *size): (…, *count)."""
    dims = len(count)
    tables, work = _prepared(x, count, how)
    out = np.empty((*x.shape[: x.ndim - dims], *count), np.float32)
    planes = out.reshape(-1, math.prod(count[:-1]), count[-1])
    _run(largest, x, dims, (planes,), tables, work)
    return out


def max_pool_positions(x: np.ndarray, count: Ints, *how: Any) -> np.ndarray:
    """Where the largest of every window is, counted within each image."""
    dims = len(count)
    tables, work = _prepared(x, count, how)
    places = _places(x.shape[x.ndim - dims :], how[0], tuple(count), *how[1:])
    out = np.empty((*x.shape[: x.ndim - dims], *count), np.int64)
    planes = out.reshape(-1, math.prod(count[:-1]), count[-1])
    _run(positions, x, dims, (planes,), tables, work, places)
    return out


def max_pool_backward(g: np.ndarray, x: np.ndarray, *how: Any) -> np.ndarray:
    """The gradient by x (…, *size), given that of the result (…, *count)."""
    dims = len(how[0])
    count = g.shape[g.ndim - dims :]
    tables, work = _prepared(x, count, how)
    places = _places(x.shape[x.ndim - dims :], how[0], tuple(count), *how[1:])
    out = np.empty(x.shape, np.float32)
    slopes = np.ascontiguousarray(g).reshape(-1, math.prod(count[:-1]), count[-1])
    planes = out.reshape(len(slopes), -1)
    _run(back, x, dims, (slopes, planes), tables, 2 * work, places)
    return out
