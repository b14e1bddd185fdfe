"""Copies in row-major order of what lies in memory in another one: transposed, or one number for a whole row.

NumPy copies along the last dimension of the result, number by number. A transposed matrix is read here in
squares whose rows and columns are whole lines of the cache, and turned in registers.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import LANES, at, transpose_block
from tensorlab.kernels.threads import split, thread_count

#: Rows and columns of a square of numbers of 8 bytes.
SQUARE = 8
#: What moving a number costs, in operations: of a transposed matrix, and of a row.
_TURNING, _FILLING = 8, 2

_turn = transpose_block(LANES)


@compiled("void(float32[:, :, :], float32[:, :, ::1], int64, int64)", limits=2)
def _turned(x, out, first, last):
    """Bands first…last of LANES rows of out = x, of which neighbours in the middle dimension lie together."""
    rows, columns = out.shape[1], out.shape[2]
    bands = (rows + LANES - 1) // LANES
    step = x.strides[2] // 4
    whole = columns // LANES * LANES
    for band in range(first, last):
        image, top = band // bands, band % bands * LANES
        done = 0
        if top + LANES <= rows:
            done = whole
            source = image * (x.strides[0] // 4) + top
            target = (image * rows + top) * columns
            for j in range(0, whole, LANES):
                _turn(at(x, source + j * step), step, at(out, target + j), columns)
        for i in range(top, min(top + LANES, rows)):
            for j in range(done, columns):
                out[image, i, j] = x[image, i, j]


@compiled("void(uint64[:, :, :], uint64[:, :, ::1], int64, int64)", limits=2)
def _turned_8(x, out, first, last):
    """The same of numbers of 8 bytes, in bands of SQUARE rows."""
    rows, columns = out.shape[1], out.shape[2]
    bands = (rows + SQUARE - 1) // SQUARE
    whole = columns // SQUARE * SQUARE
    for band in range(first, last):
        image, top = band // bands, band % bands * SQUARE
        done = 0
        if top + SQUARE <= rows:
            done = whole
            for left in range(0, whole, SQUARE):
                for i in range(SQUARE):  # written out by the compiler
                    for j in range(SQUARE):
                        out[image, top + i, left + j] = x[image, top + i, left + j]
        for i in range(top, min(top + SQUARE, rows)):
            for j in range(done, columns):
                out[image, i, j] = x[image, i, j]


@compiled("void(float32[::1], float32[:, ::1], int64, int64)", limits=2)
def _filled(values, out, first, last):
    for r in range(first, last):
        row, value = out[r], values[r]
        for j in range(len(row)):
            row[j] = value


@compiled("void(uint64[::1], uint64[:, ::1], int64, int64)", limits=2)
def _filled_8(values, out, first, last):
    for r in range(first, last):
        row, value = out[r], values[r]
        for j in range(len(row)):
            row[j] = value


def turned(x: np.ndarray) -> np.ndarray:
    """A copy of (images, rows, columns) with neighbours in the middle dimension beside each other in memory."""
    kernel, kind, high = _turned, np.float32, LANES
    if x.itemsize == 8:
        kernel, kind, high = _turned_8, np.uint64, SQUARE
    out = np.empty(x.shape, x.dtype)
    bands = x.shape[0] * -(-x.shape[1] // high)
    parts = split(bands, thread_count(_TURNING * x.size))
    run_parts(kernel, parts, x.view(kind), out.view(kind))
    return out


def filled(values: np.ndarray, n: int) -> np.ndarray:
    """Rows of n times each of the values: (rows, n)."""
    kernel, kind = (_filled, np.float32) if values.itemsize == 4 else (_filled_8, np.uint64)
    out = np.empty((len(values), n), values.dtype)
    parts = split(len(values), thread_count(_FILLING * out.size))
    run_parts(kernel, parts, values.view(kind), out.view(kind))
    return out
