"""Max pooling of 2 × 2 windows side by side, and gradients put where the largest were. (Others: `windows`.)"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import at, copy_row
from tensorlab.kernels.threads import pass_threads, split


@compiled(
    "void(float32[:, :, ::1], float32[:, :, ::1], int64[:, :, ::1], boolean, int64, int64)",
    limits=2,
)
def halves(x, out, places, find, first, last):
    """2 × 2 windows side by side in an even width: the largest, and its place if `find`.

    The commonest case, and rows are often shorter than a vector. The upper rows of all windows are
    put behind each other, and so are the lower ones: then a plane is one long row.
    """
    width = x.shape[2]
    rows, columns = out.shape[1:]
    upper = np.zeros(rows * width, np.float32)
    lower = np.zeros(rows * width, np.float32)
    best = np.empty(rows * columns, np.float32)
    which = np.empty(rows * columns, np.float32)
    zero = np.float32(-0.0)  # adding it leaves every number as it is, -0.0 too
    for plane in range(first, last):
        for i in range(rows):
            source = (plane * x.shape[1] + 2 * i) * width
            copy_row(at(x, source), at(upper, i * width), width, zero)
            copy_row(at(x, source + width), at(lower, i * width), width, zero)
        for p in range(rows * columns):
            a, b, c, d = upper[2 * p], upper[2 * p + 1], lower[2 * p], lower[2 * p + 1]
            wins = (b > a) | (b != b)
            most = b if wins else a
            number = np.float32(1) if wins else np.float32(0)
            wins = (c > most) | (c != c)
            most = c if wins else most
            number = np.float32(2) if wins else number
            wins = (d > most) | (d != d)
            best[p] = d if wins else most
            which[p] = np.float32(3) if wins else number
        if find:
            for i in range(rows):
                for c in range(columns):
                    number = int(which[i * columns + c])
                    row, column = 2 * i + (number >> 1), 2 * c + (number & 1)
                    places[plane, i, c] = row * width + column
        else:
            copy_row(at(best, 0), at(out, plane * rows * columns), rows * columns, zero)


@compiled(
    "void(float32[:, ::1], int64[:, ::1], float32[:, ::1], boolean[::1], int64, int64)", limits=2
)
def scatter(g, places, out, outside, first, last):
    """Each plane of `out` is zero but for the gradients added at their places.

    A place that is outside its plane is noted, and nothing written there.
    """
    area = out.shape[1]
    for plane in range(first, last):
        for p in range(area):
            out[plane, p] = 0
        for p in range(g.shape[1]):
            place = places[plane, p]
            if 0 <= place < area:
                out[plane, place] += g[plane, p]
            else:
                outside[0] = True


def _halved(x: np.ndarray, count: Any, kind: Any) -> tuple[np.ndarray, np.ndarray]:
    """Planes of x, and room for the results of this kind."""
    planes = np.ascontiguousarray(x).reshape(-1, *x.shape[-2:])
    return planes, np.empty((len(planes), *count), kind)


def max_pool(x: np.ndarray, count: Any) -> np.ndarray:
    """The largest of all 2 × 2 windows side by side of x (…, rows, columns), of which columns are even."""
    planes, out = _halved(x, count, np.float32)
    none = np.empty((0, 0, 0), np.int64)
    run_parts(halves, split(len(planes), pass_threads(8 * out.size)), planes, out, none, False)
    return out.reshape(*x.shape[:-2], *count)


def max_pool_positions(x: np.ndarray, count: Any) -> np.ndarray:
    """Where the largest of these windows are, counted within each image."""
    planes, out = _halved(x, count, np.int64)
    sizes = np.empty(out.shape, np.float32)
    run_parts(halves, split(len(planes), pass_threads(16 * out.size)), planes, sizes, out, True)
    return out.reshape(*x.shape[:-2], *count)


def pool_scatter(g: np.ndarray, places: np.ndarray, size: Any) -> Any:
    """The gradients g at their places in images of `size`; NotImplemented if one is outside."""
    lead = g.shape[: g.ndim - len(size)]
    out = np.empty((int(np.prod(lead)), int(np.prod(size))), np.float32)
    rows = np.ascontiguousarray(g).reshape(len(out), -1)
    where = np.ascontiguousarray(places).reshape(len(out), -1)
    outside = np.zeros(1, np.bool_)
    run_parts(scatter, split(len(out), pass_threads(out.size)), rows, where, out, outside)
    return NotImplemented if outside[0] else out.reshape(*lead, *size)
