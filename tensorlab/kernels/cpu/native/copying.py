"""Copies in row-major order of what lies in memory in another one: transposed, repeated, reversed, in steps.

NumPy copies along the last dimension of the result, in one thread. A transposed matrix is read here in squares
whose rows and columns are whole lines of the cache, and turned in registers; of all else rows are copied.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.maths import inlined
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import LANES, at, copy, transpose_block
from tensorlab.kernels.threads import blocks, pass_threads, split, thread_count

#: Rows and columns of a square of numbers of 8 bytes.
SQUARE = 8
#: What moving a number costs, in operations: of a transposed matrix, and of a row.
_TURNING, _FILLING = 8, 2

#: What numbers of so many bytes are copied as.
_UNSIGNED = {4: np.uint32, 8: np.uint64}

_copy, _turn = copy(LANES), transpose_block(LANES)


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


def _of_4_and_8_bytes(signature: str) -> Callable[[Callable[..., Any]], dict[int, Any]]:
    """Make a function a kernel for numbers of either size; `number` stands for their type in the signature."""

    def decorate(function: Callable[..., Any]) -> dict[int, Any]:
        return {
            size: compiled(signature.replace("number", kind.__name__), limits=4)(function)
            for size, kind in _UNSIGNED.items()
        }

    return decorate


@_of_4_and_8_bytes("void(number[::1], number[:, ::1], int64, int64, int64, int64)")
def _filled(values, out, first, last, left, right):
    """Columns left…right of rows first…last, each of one number."""
    for r in range(first, last):
        row, value = out[r, left:right], values[r]
        for j in range(len(row)):
            row[j] = value


@compiled("void(float32[:, :, :, :], float32[:, ::1], int64, int64, int64, int64)", limits=4)
def _rows(x, out, first, last, left, right):
    """Columns left…right of rows first…last of out = x, whose rows lie in one piece each."""
    whole = (right - left) // LANES * LANES
    for r in range(first, last):
        i, j, k = _place(x, r)
        start = (i * x.strides[0] + j * x.strides[1] + k * x.strides[2]) // 4
        target = r * out.shape[1]
        for c in range(left, left + whole, LANES):
            _copy(at(x, start + c), at(out, target + c))
        if 0 < whole < right - left:  # the last vector overlaps the one before
            _copy(at(x, start + right - LANES), at(out, target + right - LANES))
        elif not whole:
            for c in range(left, right):
                out[r, c] = x[i, j, k, c]


@_of_4_and_8_bytes("void(number[:, :, :, :], number[:, ::1], int64, int64, int64, int64)")
def _stepped(x, out, first, last, left, right):
    """The same of rows whose numbers lie at any distance."""
    for r in range(first, last):
        i, j, k = _place(x, r)
        source, row = x[i, j, k, left:right], out[r, left:right]
        for c in range(len(row)):
            row[c] = source[c]


@_of_4_and_8_bytes("void(number[:, :, :, ::1], number[:, ::1], int64, int64, int64, int64)")
def _reversed(x, out, first, last, left, right):
    """The same of rows that are read from their ends; all rows lie one behind the other."""
    n = out.shape[1]
    for r in range(first, last):
        i, j, k = _place(x, r)
        source, row = x[i, j, k, n - right : n - left], out[r, left:right]
        # A position with a sign might count from the end, which Numba asks for each number.
        end = np.uint64(len(row)) - np.uint64(1)
        for c in range(len(row)):
            row[c] = source[end - np.uint64(c)]


@_of_4_and_8_bytes(
    "void(number[:, ::1], int64, int64, boolean, number[:, ::1], int64, int64, int64, int64)"
)
def _triangles(x, height, diagonal, lower, out, first, last, left, right):
    """Columns left…right of rows first…last of matrices of so many rows, with 0 outside of a triangle."""
    for r in range(first, last):
        edge = r % height + diagonal + (1 if lower else 0)  # the first column behind it, or of it
        edge = max(left, min(edge, right))
        start, stop = (left, edge) if lower else (edge, right)
        source, kept = x[r, start:stop], out[r, start:stop]
        for c in range(len(kept)):
            kept[c] = source[c]
        outside = out[r, edge:right] if lower else out[r, left:edge]
        for c in range(len(outside)):
            outside[c] = 0


@inlined
def _place(x, r):
    """Where row r of four dimensions is in the first three."""
    above = r // x.shape[2]
    return above // x.shape[1], above % x.shape[1], r % x.shape[2]


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
    kind = _UNSIGNED[values.itemsize]
    out = np.empty((len(values), n), values.dtype)
    run_parts(_filled[values.itemsize], _shares(out), values.view(kind), out.view(kind))
    return out


def rows(x: np.ndarray) -> np.ndarray:
    """A copy of four dimensions at any distances in memory, of which the last are the rows: (rows, columns)."""
    out = np.empty((x.size // x.shape[-1], x.shape[-1]), x.dtype)
    kernel, kind = _stepped[x.itemsize], _UNSIGNED[x.itemsize]
    if x.strides[-1] == x.itemsize:
        kernel, kind = _rows, np.float32
    elif x[..., ::-1].flags.c_contiguous:
        kernel, x = _reversed[x.itemsize], x[..., ::-1]
    seen = out.view(kind)
    run_parts(kernel, _shares(seen), x.view(kind), seen)
    return out


def triangles(x: np.ndarray, diagonal: int, lower: bool) -> np.ndarray:
    """Contiguous matrices (…, rows, columns) below a diagonal and on it, or above it and on it; else 0."""
    out = np.empty(x.shape, x.dtype)
    kind, height = _UNSIGNED[x.itemsize], x.shape[-2]
    given, made = (a.reshape(-1, x.shape[-1]).view(kind) for a in (x, out))
    run_parts(_triangles[x.itemsize], _shares(made), given, height, diagonal, lower, made)
    return out


def _shares(out: np.ndarray) -> np.ndarray:
    """A matrix in parts for threads: some of its rows, or some columns where there are fewer rows."""
    threads = pass_threads(_FILLING * out.size)
    down, across = (threads, 1) if len(out) >= threads else (1, threads)
    return blocks(*out.shape, down, across, 1, 16)
