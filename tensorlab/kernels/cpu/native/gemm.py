"""Matrix products: blocks that fit the caches, made of tiles that fit the registers (see `tile`).

B is cut into panels as wide as a tile, A into panels as high as one. Rearranging into panels ("packing")
makes each step of a tile read neighbours; it also takes transposed operands, as the backward pass has them,
without a copy beforehand. What is packed, and when, depends on how often it is read:

- Many rows. All of a block of B is packed, then A, block by block. A block of A's panels stays in the
  second-level cache while all panels of B pass by, and each panel of B is read for many rows.
  (Goto and van de Geijn, as in `tile`; F. Van Zee, R. van de Geijn, "BLIS: a framework for rapidly
  instantiating BLAS functionality", ACM TOMS 41, 2015.)
- Few rows, as the examples of a batch: a number of B is used for few tiles, so packing weighs as much as a
  tenth of the product. A is read where it lies. A panel of B is packed when its turn comes, in a place that
  stays in the first-level cache, and used at once; so it is shallower.

Threads cut C so that as little as possible is packed twice: across where A is not packed.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.epilogue import ACTIVATIONS, IDENTITY, NO_BIAS, finish
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import (
    LANES,
    ROWS,
    VECTORS,
    advance,
    at,
    copy,
    copy_row,
    scale_row,
    tile,
    transpose_block,
)
from tensorlab.kernels.threads import blocks, split, thread_count

__all__ = ["matmul", "matmul_batch"]

WIDTH = LANES * VECTORS
DEPTH = 512  # of a block, in k: a panel of B is DEPTH · WIDTH numbers
HEIGHT = 192  # of a block of A
BREADTH = 2304 // WIDTH * WIDTH  # of a block of B
FEW = 192  # rows, at most
SHALLOW = 128  # the depth of a block then
PANELS = 4  # are packed side by side
LINE = 16  # numbers of a line of the cache
ONE = np.float32(1.0)
NOTHING = np.float32(-0.0)  # adding it leaves every number as it is, -0.0 too

_tile_1 = tile(1, "strided", "strided")
_tile_2 = tile(2, "strided", "strided")
_tile_3 = tile(3, "strided", "strided")
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
        if column_step == 1 and j < filled:
            for k in range(count):
                source = (start + k) * row_step + left + j
                copy_row(at(b, source), at(out, base + k * WIDTH + j), columns - j, NOTHING)
        elif j < filled:
            for jj in range(j, columns):
                for k in range(count):
                    out[base + k * WIDTH + jj] = b[start + k, left + jj]
        for jj in range(columns, filled):
            for k in range(count):
                out[base + k * WIDTH + jj] = 0


@compiled(
    "void(CPointer(float32), int64, int64, int64, boolean, CPointer(float32), int64, float32[:, ::1], int64,"
    " int64, int64, int64, boolean, float32[::1])"
)
def multiply_panel(
    a, row_step, column_step, panel_step, again, b, count, c, top, bottom, left, right, add, corner
):
    """The block of c that rows of A and one panel of B give; `corner` is room for one tile.

    Neighbours in a column of A are `row_step` apart, in a row `column_step`, and every ROWS rows begin
    `panel_step` after those before. Below a last tile that is not whole there are zeros; or other numbers, and
    rows above it are read `again`.
    """
    columns, c_step = right - left, c.shape[1]
    for row in range(top, bottom, ROWS):
        rows = min(ROWS, bottom - row)
        whole = rows == ROWS and columns % LANES == 0
        skipped = ROWS - rows if again else 0
        here = advance(a, (row - top) // ROWS * panel_step - skipped * row_step)
        target, step, over = at(c, row * c_step + left), c_step, add
        if not whole:
            target, step, over = at(corner, 0), WIDTH, False
        if columns > 2 * LANES:
            _tile_3(here, (row_step, column_step), b, WIDTH, count, target, step, over)
        elif columns > LANES:
            _tile_2(here, (row_step, column_step), b, WIDTH, count, target, step, over)
        else:
            _tile_1(here, (row_step, column_step), b, WIDTH, count, target, step, over)
        if not whole:
            for i in range(rows):
                source, place = (skipped + i) * WIDTH, (row + i) * c_step + left
                scale_row(at(corner, source), at(c, place), columns, ONE, add)


@compiled(
    "void(float32[::1], float32[::1], int64, float32[:, ::1], int64, int64, int64, int64, boolean, float32[::1])"
)
def multiply_panels(a, b, count, c, top, bottom, left, right, add, corner):
    """The block of c that packed panels of A and B give; `corner` is room for one tile."""
    for column in range(left, right, WIDTH):
        edge, panel = min(column + WIDTH, right), at(b, (column - left) * count)
        multiply_panel(
            at(a, 0), 1, ROWS, ROWS * count, False, panel, count,
            c, top, bottom, column, edge, add, corner,
        )  # fmt: skip


@compiled("UniTuple(int64, 3)(int64, int64, int64)")
def room_sizes(rows, depth, columns):
    """The numbers in the corner, in a block of B and in one of A, packed."""
    if rows <= FEW:
        high, deep, wide = rows, min(SHALLOW, depth), 0
    else:
        high, deep, wide = HEIGHT, min(DEPTH, depth), min(BREADTH, columns)
    return ROWS * WIDTH, (wide + WIDTH) * deep, (high + ROWS) * deep


@compiled("int64(int64, int64, int64)")
def room_size(rows, depth, columns):
    """All of them, beginning with a line of the cache."""
    corner, of_b, of_a = room_sizes(rows, depth, columns)
    return LINE + corner + of_b + of_a


@compiled("UniTuple(float32[::1], 3)(float32[::1], int64, int64, int64)")
def parts_of(room, rows, depth, columns):
    """The corner and the places of B and A; a vector that is packed there lies in one line of the cache."""
    corner, of_b, of_a = room_sizes(rows, depth, columns)
    first = -(room.ctypes.data // 4) % LINE
    b = first + corner
    return room[first:b], room[b : b + of_b], room[b + of_b : b + of_b + of_a]


@compiled("int64(int64, int64)")
def even(size, most):
    """How much is in a piece if a size is cut into as few as `most` allows, even ones of whole vectors."""
    pieces = (size + most - 1) // most
    vectors = (size + LANES - 1) // LANES
    return (vectors + pieces - 1) // pieces * LANES


@compiled(
    "void(float32[:, :], float32[:, :], float32[:, ::1], float32[::1], int64, int64, int64, int64, int64,"
    " float32[::1])"
)
def multiply_block(a, b, c, bias, activation, top, bottom, left, right, room):
    """c[top:bottom, left:right] = activation(a · b + bias)[top:bottom, left:right], in one thread.

    `bias` has a number for each column, or none; in the `room` blocks of A and B are packed.
    """
    depth = a.shape[1]
    corner, b_room, a_room = parts_of(room, bottom - top, depth, right - left)
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
                if start + count == depth:  # while this block is still in the cache
                    finish(c, bias, activation, row, below, column, far)


@compiled(
    "void(float32[:, :], float32[:, :], float32[:, ::1], float32[::1], int64, int64, int64, int64, int64,"
    " float32[::1])"
)
def multiply_few(a, b, c, bias, activation, top, bottom, left, right, room):
    """The same where at most FEW rows are asked for: A is read as it is, if it can be, B panel by panel."""
    depth = a.shape[1]
    corner, b_room, a_room = parts_of(room, bottom - top, depth, right - left)
    row_step, column_step = a.strides[0] // 4, a.strides[1] // 4
    panel_step = ROWS * row_step
    as_it_is = bottom - top >= ROWS and (row_step == 1 or column_step == 1)
    deep, wide = even(depth, SHALLOW), even(right - left, WIDTH)
    for start in range(0, depth, deep):
        count = min(deep, depth - start)
        if as_it_is:
            rows_of_a = at(a, top * row_step + start * column_step)
        else:
            pack_rows(a, top, bottom, start, count, a_room)
            rows_of_a, row_step, column_step, panel_step = at(a_room, 0), 1, ROWS, ROWS * count
        for column in range(left, right, wide):
            edge = min(column + wide, right)
            pack_columns(b, start, count, column, edge, b_room)
            multiply_panel(
                rows_of_a, row_step, column_step, panel_step, as_it_is, at(b_room, 0), count,
                c, top, bottom, column, edge, start > 0, corner,
            )  # fmt: skip
    finish(c, bias, activation, top, bottom, left, right)


@compiled(
    "void(float32[:, :], float32[:, :], float32[:, ::1], float32[::1], int64, int64, int64, int64, int64)",
    limits=4,
)
def multiply(a, b, c, bias, activation, top, bottom, left, right):
    """c[top:bottom, left:right] = activation(a · b + bias)[top:bottom, left:right], in a room of its own."""
    room = np.empty(room_size(bottom - top, a.shape[1], right - left), np.float32)
    if bottom - top > FEW:
        multiply_block(a, b, c, bias, activation, top, bottom, left, right, room)
    else:
        multiply_few(a, b, c, bias, activation, top, bottom, left, right, room)


@compiled(
    "void(float32[:, :, :, :], float32[:, :, :, :], float32[:, :, ::1], int64, int64)", limits=2
)
def multiply_many(a, b, c, first, last):
    """c[i] = a[i] · b[i] for i from first to last, counted over both leading dimensions of a and b."""
    inner, rows, columns = a.shape[1], c.shape[1], c.shape[2]
    room = np.empty(room_size(rows, a.shape[3], columns), np.float32)
    no_bias = np.empty(0, np.float32)
    for i in range(first, last):
        x, y = a[i // inner, i % inner], b[i // inner, i % inner]
        if rows > FEW:
            multiply_block(x, y, c[i], no_bias, IDENTITY, 0, rows, 0, columns, room)
        else:
            multiply_few(x, y, c[i], no_bias, IDENTITY, 0, rows, 0, columns, room)


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


def matmul(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None, activation: str = "identity"
) -> np.ndarray:
    """activation(a · b + bias) of float32 matrices in any layout; shapes (m, k) · (k, n) + (n) → (m, n)."""
    m, k = a.shape
    n = b.shape[1]
    out = np.empty((m, n), np.float32)
    plus = NO_BIAS if bias is None else np.ascontiguousarray(bias)
    then = ACTIVATIONS[activation]
    if k == 0 or out.size == 0:
        out[...] = 0
        finish(out, plus, then, 0, m, 0, n)
        return out
    threads = thread_count(2 * m * n * k)
    if m <= FEW:  # across, as far as two vectors are left to each
        across = max(1, min(threads, n // (2 * LANES)))
        down = threads // across
    else:
        down, across = (threads, 1) if m >= n else (1, threads)
    run_parts(multiply, blocks(m, n, down, across, ROWS, LANES), a, b, out, plus, then)
    return out
