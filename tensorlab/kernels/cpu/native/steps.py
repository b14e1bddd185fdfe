"""What recurrent layers do at each step beside their formulas: rows, products, and what the weights' gradients read.

The products take rows as they are: [input | state] on the way forward, those with the gradients of the gates
on the way back. Their matrices are packed once for all steps (see `gemm`).

On the way back the same rows are laid out in panels as well, as the gradients of the weights read them: these
are one product over all samples, which has nothing left to rearrange then. A sample is a sequence at a step.

Arrays of the caller have shape (steps, sequences, numbers). Either of the first two may be the outer one in
memory, as `batch_first` has it; the numbers are neighbours.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.compile import apart, compiled
from tensorlab.kernels.cpu.native.gemm import DEPTH, HEIGHT, NOTHING, pack_columns
from tensorlab.kernels.cpu.native.maths import inlined
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import (
    LANES,
    ROWS,
    VECTORS,
    at,
    copy,
    copy_row,
    scale_row,
    tile,
)
from tensorlab.kernels.threads import split, thread_count

__all__ = [
    "add_rows", "lay_inputs", "lay_slopes", "laid", "multiply_rows", "pack_below", "pack_beside", "read_rows",
    "round_up", "total_rows", "weight_gradients", "write_rows",
]  # fmt: skip

WIDTH = LANES * VECTORS
_ONE = np.float32(1)
_PAIR = 2  # panels of slopes come from one line of the cache

_rows_1, _rows_2, _rows_3 = (tile(n, "strided", "strided") for n in (1, 2, 3))
_panel_1, _panel_2, _panel_3 = (tile(n, "packed", "strided") for n in (1, 2, 3))
_copy = copy(ROWS)


# Rows -------------------------------------------------------------------------------------


@inlined
def round_up(count, unit):
    """The next multiple of the unit."""
    return (count + unit - 1) // unit * unit


@inlined
def _place(array, t, b):
    """Where sequence b at step t begins."""
    return t * (array.strides[0] // 4) + b * (array.strides[1] // 4)


@compiled("void(float32[:, :, :], int64, int64, int64, float32[:, ::1], int64)")
def read_rows(array, t, first, last, out, column):
    """Sequences first…last at step t into the rows of `out`, from the column on."""
    for n in range(last - first):
        source = at(array, _place(array, t, first + n))
        copy_row(source, at(out, n * out.shape[1] + column), array.shape[2], NOTHING)


@compiled("void(float32[:, :, :], int64, int64, int64, float32[:, ::1], int64)")
def write_rows(array, t, first, last, rows, column):
    """The rows, from the column on, into sequences first…last at step t."""
    for n in range(last - first):
        target = at(array, _place(array, t, first + n))
        copy_row(at(rows, n * rows.shape[1] + column), target, array.shape[2], NOTHING)


@compiled("void(float32[:, :, :], int64, int64, int64, float32[:, ::1])")
def add_rows(array, t, first, last, out):
    """Sequences first…last at step t, added to the rows of `out`."""
    for n in range(last - first):
        source = at(array, _place(array, t, first + n))
        scale_row(source, at(out, n * out.shape[1]), array.shape[2], _ONE, True)


@compiled("void(float32[:, ::1], float32[::1])")
def total_rows(rows, total):
    """The sum of all rows, which are whole tiles, added to `total`."""
    apart()
    for n in range(0, len(rows), 4):  # that often the total is read and written
        a, b, c, d = rows[n], rows[n + 1], rows[n + 2], rows[n + 3]
        for j in range(len(total)):
            total[j] += (a[j] + b[j]) + (c[j] + d[j])


# Products ---------------------------------------------------------------------------------


@compiled("void(float32[:, :], float32[:, :], float32[::1], int64, int64)", limits=2)
def pack_below(upper, lower, out, first, last):
    """Panels first…last of two matrices, one below the other: out[panel][k · WIDTH + column in the panel]."""
    high, columns = len(upper), lower.shape[1]
    depth = high + len(lower)
    for panel in range(first, last):
        left, place = panel * WIDTH, panel * WIDTH * depth
        right = min(left + WIDTH, columns)
        pack_columns(upper, 0, high, left, right, out[place:])
        pack_columns(lower, 0, len(lower), left, right, out[place + WIDTH * high :])


@compiled("void(float32[:, :], float32[:, :], float32[::1], int64, int64)", limits=2)
def pack_beside(one, other, out, first, last):
    """The same of two matrices side by side, the second from the next whole vector on."""
    depth, begin = len(one), round_up(one.shape[1], LANES)
    for panel in range(first, last):
        left, place = panel * WIDTH, panel * WIDTH * depth
        right = left + WIDTH
        if left < begin:
            pack_columns(one, 0, depth, left, min(right, one.shape[1]), out[place:])
        if begin < right and other.shape[1]:
            here = max(left, begin)
            end = min(right - begin, other.shape[1])
            pack_columns(other, 0, depth, here - begin, end, out[place + here - left :])


@compiled("void(float32[:, ::1], int64, int64, float32[::1], float32[:, ::1], boolean)")
def multiply_rows(a, column, depth, panels, c, add):
    """c = a[:, column:column + depth] · the matrix in the panels; added to c if `add`.

    Both have whole tiles of rows, and c whole vectors of columns.
    """
    step, c_step = a.shape[1], c.shape[1]
    for left in range(0, c_step, WIDTH):
        for top in range(0, len(a), ROWS):
            here, panel = at(a, top * step + column), at(panels, left * depth)
            target = at(c, top * c_step + left)
            if left + 2 * LANES < c_step:
                _rows_3(here, (step, 1), panel, WIDTH, depth, target, c_step, add)
            elif left + LANES < c_step:
                _rows_2(here, (step, 1), panel, WIDTH, depth, target, c_step, add)
            else:
                _rows_1(here, (step, 1), panel, WIDTH, depth, target, c_step, add)


# Gradients of the weights -------------------------------------------------------------------


def laid(rows: int, columns: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Room for the panels of so many slopes and inputs of each sample."""
    return (
        np.empty(-(-rows // ROWS) * ROWS * samples, np.float32),
        np.empty(-(-columns // WIDTH) * WIDTH * samples, np.float32),
    )


@compiled("void(float32[:, ::1], int64, float32[::1], int64, int64)")
def lay_slopes(rows, count, out, sample, samples):
    """The first rows, as samples from `sample` on: out[panel][sample · ROWS + column in the panel]."""
    step, panels = rows.shape[1], rows.shape[1] // ROWS
    for group in range(0, panels, _PAIR):
        for n in range(count):
            for panel in range(group, min(group + _PAIR, panels)):
                target = at(out, (panel * samples + sample + n) * ROWS)
                _copy(at(rows, n * step + panel * ROWS), target)


@compiled("void(float32[:, :, :], int64, int64, int64, int64, float32[::1], int64, int64)")
def lay_inputs(array, t, first, last, begin, out, sample, samples):
    """Sequences first…last at step t, for the columns from `begin` on: out[panel][sample · WIDTH + column]."""
    columns = array.shape[2]
    for n in range(last - first):
        source, done = _place(array, t, first + n), 0
        while done < columns:
            panel, within = (begin + done) // WIDTH, (begin + done) % WIDTH
            count = min(WIDTH - within, columns - done)
            target = at(out, (panel * samples + sample + n) * WIDTH + within)
            copy_row(at(array, source + done), target, count, NOTHING)
            done += count


@compiled(
    "void(float32[::1], float32[::1], int64, float32[:, ::1], float32[:, ::1], int64, int64)",
    limits=2,
)
def _weights(slopes, inputs, samples, by_h, by_x, top, bottom):
    """Rows top…bottom of Σ slope · input over all samples, whose inputs are [state | input of the layer].

    A tile that has columns of both, or is not whole, goes through a corner.
    """
    size, features = by_h.shape[1], by_x.shape[1]
    begin = round_up(size, LANES)
    columns = round_up(begin + features, LANES)
    corner = np.empty(ROWS * WIDTH, np.float32)
    for start in range(0, samples, DEPTH):
        count, add = min(DEPTH, samples - start), start > 0
        for block in range(top, bottom, HEIGHT):
            for left in range(0, columns, WIDTH):
                right = min(left + WIDTH, columns)
                panel = at(inputs, left * samples + start * WIDTH)
                for row in range(block, min(block + HEIGHT, bottom), ROWS):
                    here = at(slopes, row * samples + start * ROWS)
                    whole = row + ROWS <= len(by_h)
                    target, step, over = at(corner, 0), WIDTH, False
                    if whole and right <= size:
                        target, step, over = at(by_h, row * size + left), size, add
                    elif whole and begin <= left and right - begin <= features:
                        place = row * features + left - begin
                        target, step, over = at(by_x, place), features, add
                    else:
                        whole = False
                    if right - left > 2 * LANES:
                        _panel_3(here, 0, panel, WIDTH, count, target, step, over)
                    elif right - left > LANES:
                        _panel_2(here, 0, panel, WIDTH, count, target, step, over)
                    else:
                        _panel_1(here, 0, panel, WIDTH, count, target, step, over)
                    if not whole:
                        for i in range(row, min(row + ROWS, len(by_h))):
                            line = (i - row) * WIDTH
                            if left < size:
                                target = at(by_h, i * size + left)
                                some = min(WIDTH, size - left)
                                scale_row(at(corner, line), target, some, _ONE, add)
                            first = max(left, begin)
                            some = min(right, begin + features) - first
                            if some > 0:
                                target = at(by_x, i * features + first - begin)
                                source = at(corner, line + first - left)
                                scale_row(source, target, some, _ONE, add)


def weight_gradients(
    slopes: np.ndarray, inputs: np.ndarray, rows: int, size: int, features: int
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of the weights of the input and of the state, of what has been laid out for them."""
    by_x, by_h = np.empty((rows, features), np.float32), np.empty((rows, size), np.float32)
    samples = slopes.size // (-(-rows // ROWS) * ROWS)
    parts = split(rows, thread_count(2 * rows * samples * (size + features)), ROWS)
    run_parts(_weights, parts, slopes, inputs, samples, by_h, by_x)
    return by_x, by_h
