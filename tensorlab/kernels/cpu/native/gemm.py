"""Matrix products: blocks that fit the caches, made of tiles that fit the registers (see `tile`).

B is cut into panels as wide as a tile, A into panels as high as one. A block of A's panels stays in the
second-level cache while all panels of B pass by; one panel of B stays in the first. Rearranging into
panels ("packing") makes each step of a tile read neighbours; it also takes transposed operands, as the
backward pass has them, without a copy beforehand. (Goto and van de Geijn, as in `tile`; F. Van Zee, R.
van de Geijn, "BLIS: a framework for rapidly instantiating BLAS functionality", ACM TOMS 41, 2015.)
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import (
    LANES,
    ROWS,
    VECTORS,
    at,
    copy,
    copy_row,
    tile,
    transpose_block,
)
from tensorlab.kernels.threads import blocks, split, thread_count

__all__ = ["matmul", "matmul_batch"]

WIDTH = LANES * VECTORS
DEPTH = 512  # of a block, in k: a panel of B is DEPTH · WIDTH numbers
HEIGHT = 192  # of a block of A
BREADTH = 2304 // WIDTH * WIDTH  # of a block of B
PANELS = 4  # are packed side by side
NOTHING = np.float32(-0.0)  # adding it leaves every number as it is, -0.0 too

_tile_1 = tile(1, "packed", "strided")
_tile_2 = tile(2, "packed", "strided")
_tile_3 = tile(3, "packed", "strided")
_copy_a, _copy_b = copy(ROWS), copy(LANES)
_transpose_b = transpose_block(LANES)
_transpose_a = transpose_block(ROWS)


@compiled("void(float32[:, :], int64, int64, int64, int64, float32[::1])")
def pack_rows(a, first, last, start, count, out):
    """Rows first…last of `a`, columns start…start + count, in panels: out[panel][k · ROWS + i]."""
    row_step, column_step = a.strides[0] // 4, a.strides[1] // 4
    whole = (last - first) // ROWS
    done = 0  # columns of the whole panels
    if column_step == 1:
        done = count // ROWS * ROWS
        for panel in range(whole):
            source = (first + panel * ROWS) * row_step + start
            for k in range(0, done, ROWS):
                target = at(out, panel * ROWS * count + k * ROWS)
                _transpose_a(at(a, source + k), row_step, target, ROWS)
    elif row_step == 1:
        done = count
        # Some panels side by side, for a line of the cache holds numbers of more than one.
        for group in range(0, whole, PANELS):
            after = min(group + PANELS, whole)
            for k in range(count):
                source = first + (start + k) * column_step
                for panel in range(group, after):
                    target = at(out, panel * ROWS * count + k * ROWS)
                    _copy_a(at(a, source + panel * ROWS), target)
    for panel in range((last - first + ROWS - 1) // ROWS):
        top, base = first + panel * ROWS, panel * ROWS * count
        rows = min(ROWS, last - top)
        for k in range(done if panel < whole else 0, count):
            for i in range(rows):
                out[base + k * ROWS + i] = a[top + i, start + k]
            for i in range(rows, ROWS):
                out[base + k * ROWS + i] = 0


@compiled("void(float32[:, :], int64, int64, int64, int64, float32[::1])")
def pack_columns(b, start, count, first, last, out):
    """Columns first…last of `b`, rows start…start + count, in panels: out[panel][k · WIDTH + j]."""
    row_step, column_step = b.strides[0] // 4, b.strides[1] // 4
    for panel in range((last - first + WIDTH - 1) // WIDTH):
        left = first + panel * WIDTH
        columns = min(WIDTH, last - left)
        base = panel * WIDTH * count
        j = 0
        if row_step == 1 and column_step != 1:
            while j + LANES <= columns:
                k = 0
                while k + LANES <= count:
                    source = (left + j) * column_step + start + k
                    _transpose_b(at(b, source), column_step, at(out, base + k * WIDTH + j), WIDTH)
                    k += LANES
                for kk in range(k, count):
                    for jj in range(j, j + LANES):
                        out[base + kk * WIDTH + jj] = b[start + kk, left + jj]
                j += LANES
        elif column_step == 1:
            whole = columns // LANES * LANES
            for k in range(count):
                source = (start + k) * row_step + left
                for jj in range(0, whole, LANES):
                    _copy_b(at(b, source + jj), at(out, base + k * WIDTH + jj))
            j = whole
        # What is left of the last vector; nothing reads the panel beyond that.
        filled = (columns + LANES - 1) // LANES * LANES
        if j < filled:
            for k in range(count):
                if column_step == 1:
                    source = (start + k) * row_step + left + j
                    copy_row(at(b, source), at(out, base + k * WIDTH + j), columns - j, NOTHING)
                else:
                    for jj in range(j, columns):
                        out[base + k * WIDTH + jj] = b[start + k, left + jj]
                for jj in range(columns, filled):
                    out[base + k * WIDTH + jj] = 0


@compiled(
    "void(float32[::1], float32[::1], int64, float32[:, ::1], int64, int64, int64, int64, boolean, float32[::1])"
)
def multiply_panels(a, b, count, c, top, bottom, left, right, add, corner):
    """The block of c that packed panels of A and B give; `corner` is room for one tile."""
    c_step = c.shape[1]
    for jp in range((right - left + WIDTH - 1) // WIDTH):
        column = left + jp * WIDTH
        columns = min(WIDTH, right - column)
        b_at = jp * WIDTH * count
        for ip in range((bottom - top + ROWS - 1) // ROWS):
            row = top + ip * ROWS
            rows = min(ROWS, bottom - row)
            a_at = ip * ROWS * count
            whole = rows == ROWS and columns % LANES == 0
            target, step, over = at(c, row * c_step + column), c_step, add
            if not whole:
                target, step, over = at(corner, 0), WIDTH, False
            if columns > 2 * LANES:
                _tile_3(at(a, a_at), 0, at(b, b_at), WIDTH, count, target, step, over)
            elif columns > LANES:
                _tile_2(at(a, a_at), 0, at(b, b_at), WIDTH, count, target, step, over)
            else:
                _tile_1(at(a, a_at), 0, at(b, b_at), WIDTH, count, target, step, over)
            if not whole:
                for i in range(rows):
                    if add:
                        for j in range(columns):
                            c[row + i, column + j] += corner[i * WIDTH + j]
                    else:
                        place = (row + i) * c_step + column
                        copy_row(at(corner, i * WIDTH), at(c, place), columns, NOTHING)


@compiled(
    "void(float32[:, :], float32[:, :], float32[:, ::1], float32[::1], int64, int64, int64, int64,"
    " float32[::1], float32[::1])"
)
def multiply_block(a, b, c, bias, top, bottom, left, right, a_room, b_room):
    """c[top:bottom, left:right] = (a · b + bias)[top:bottom, left:right], in one thread.

    The rooms are where blocks of A and B are packed. `bias` has a number for each column, or none.
    """
    depth = a.shape[1]
    corner = np.empty(ROWS * WIDTH, np.float32)
    for column in range(left, right, BREADTH):
        far = min(column + BREADTH, right)
        for start in range(0, depth, DEPTH):
            count = min(DEPTH, depth - start)
            pack_columns(b, start, count, column, far, b_room)
            for row in range(top, bottom, HEIGHT):
                below = min(row + HEIGHT, bottom)
                pack_rows(a, row, below, start, count, a_room)
                multiply_panels(
                    a_room, b_room, count, c, row, below, column, far, start > 0, corner
                )
                if start + count == depth and len(bias):
                    for i in range(row, below):  # while this block is still in the cache
                        line, added = c[i, column:far], bias[column:far]
                        for j in range(len(line)):
                            line[j] += added[j]


@compiled(
    "void(float32[:, :], float32[:, :], float32[:, ::1], float32[::1], int64, int64, int64, int64)",
    limits=4,
)
def multiply(a, b, c, bias, top, bottom, left, right):
    """`multiply_block` with rooms of its own."""
    depth = min(DEPTH, a.shape[1])
    a_room = np.empty((min(HEIGHT, bottom - top) + ROWS) * depth, np.float32)
    b_room = np.empty((min(BREADTH, right - left) + WIDTH) * depth, np.float32)
    multiply_block(a, b, c, bias, top, bottom, left, right, a_room, b_room)


@compiled(
    "void(float32[:, :, :, :], float32[:, :, :, :], float32[:, :, ::1], int64, int64)", limits=2
)
def multiply_many(a, b, c, first, last):
    """c[i] = a[i] · b[i] for i from first to last, counted over both leading dimensions of a and b."""
    inner, depth = a.shape[1], min(DEPTH, a.shape[3])
    rows, columns = c.shape[1], c.shape[2]
    a_room = np.empty((min(HEIGHT, rows) + ROWS) * depth, np.float32)
    b_room = np.empty((min(BREADTH, columns) + WIDTH) * depth, np.float32)
    no_bias = np.empty(0, np.float32)
    for i in range(first, last):
        x, y = a[i // inner, i % inner], b[i // inner, i % inner]
        multiply_block(x, y, c[i], no_bias, 0, rows, 0, columns, a_room, b_room)


def matmul_batch(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The products of many float32 matrices in any layout: (p, q, m, k) · (p, q, k, n) → (p, q, m, n)."""
    count = a.shape[0] * a.shape[1]
    m, k, n = a.shape[2], a.shape[3], b.shape[3]
    out = np.empty((count, m, n), np.float32)
    if k == 0:
        out[...] = 0
    elif out.size:
        parts = split(count, thread_count(2 * count * m * n * k))
        run_parts(multiply_many, parts, a, b, out)
    return out.reshape(*a.shape[:2], m, n)


_NO_BIAS = np.empty(0, np.float32)


def matmul(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """a · b + bias of float32 matrices in any layout; shapes (m, k) · (k, n) + (n) → (m, n)."""
    m, k = a.shape
    n = b.shape[1]
    if out is None:
        out = np.empty((m, n), np.float32)
    if k == 0:
        out[...] = 0 if bias is None else bias
        return out
    plus = _NO_BIAS if bias is None else np.ascontiguousarray(bias)
    threads = thread_count(2 * m * n * k)
    down, across = (threads, 1) if m >= n else (1, threads)
    run_parts(multiply, blocks(m, n, down, across, ROWS, WIDTH), a, b, out, plus)
    return out
