"""Convolution as products of matrices whose elements stay where they are.

An output channel o at pixel p is a sum over taps k, one for each input channel and place in the window:

    y[o, p] = Σₖ w[o, k] · x[startₚ + offsetₖ]

over an image with its padding around it. Where a pixel's window begins and how far from there a tap lies
are tables, made once for each geometry; so a tile of the product (see `tile`) may have any pixels as its
rows, whatever the stride, the dilation, the size of the image and the number of dimensions, and nothing is
gathered beforehand (no "im2col" buffer). The channels of the output are its columns.

The gradient by the input is the same sum with the taps turned around. With a stride it falls into phases:
of input pixels with the same remainder by the stride, which the same taps reach. The gradient by the weight

    w[o, k] = Σₚ x[startₚ + offsetₖ] · y[o, p]

is the same product once more, with taps for pixels and pixels for taps.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.gathered_tables import (
    PIXELS,
    Tables,
    backward_tables,
    forward_tables,
    straight,
    sums_of,
)
from tensorlab.kernels.cpu.native.tables import Ints, images_of, round_up
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import (
    LANES,
    ROWS,
    VECTORS,
    at,
    copy_row,
    tile,
    transpose_block,
)
from tensorlab.kernels.threads import blocks, numbered, split, thread_count

WIDTH = LANES * VECTORS
DEPTH = 256  # of a block, in k: what is read of both operands before a tile is put away
BREADTH = 4 * WIDTH  # columns whose sums are kept in the cache meanwhile
NOTHING = np.float32(-0.0)  # adding it leaves every number as it is, -0.0 too

MOVE = 32  # operations of the products that take about as long as moving one number into its place

_tile_1 = tile(1, "gathered", "strided", "rows")
_tile_2 = tile(2, "gathered", "strided", "rows")
_tile_3 = tile(3, "gathered", "strided", "rows")
_transpose = transpose_block(LANES)


# Parts of a convolution -------------------------------------------------------------------


@compiled(
    "void(float32[:, :, :, ::1], int64, int64, int64, int64, int64[::1], int64, float32[::1])"
)
def lay_out(x, image, images, first, last, to, step, room):
    """Channels first…last of some images, row by row, to where their rows are in the padded ones."""
    channels, rows, columns = x.shape[1:]
    for n in range(images):
        for c in range(first, last):
            source = ((image + n) * channels + c) * rows * columns
            target = (n * channels + c) * step
            for r in range(rows):
                copy_row(at(x, source + r * columns), at(room, target + to[r]), columns, NOTHING)


@compiled(
    "void(float32[::1], int64, int64, int64, int64, float32[::1], int64, int64, float32[::1])"
)
def turn(source, start, step, rows, columns, target, there, apart, corner):
    """target[there + j · apart + i] = source[start + i · step + j] for i < rows and j < columns."""
    for j in range(0, columns, LANES):
        width = min(LANES, columns - j)
        for i in range(0, rows, LANES):
            height = min(LANES, rows - i)
            here, new = start + i * step + j, there + j * apart + i
            if height == LANES and width == LANES:
                _transpose(at(source, here), step, at(target, new), apart)
                continue
            for r in range(height):
                copy_row(at(source, here + r * step), at(corner, r * LANES), width, NOTHING)
            _transpose(at(corner, 0), LANES, at(corner, LANES * LANES), LANES)
            for r in range(width):
                place = LANES * LANES + r * LANES
                copy_row(at(corner, place), at(target, new + r * apart), height, NOTHING)


@compiled("int64(int64, int64)")
def panel_width(left, wide):
    """How wide the panel is that begins there: BREADTH in equal ones, at its end none of a single vector."""
    vectors = min(wide - left, BREADTH - left % BREADTH) // LANES
    return LANES * (vectors if vectors < 3 else 2 if vectors == 4 else 3)


@compiled(
    "void(float32[::1], int64, int64, int64, int64[:, ::1], float32[:, ::1], int64, int64, int64, int64)",
    limits=4,
)
def pack(source, pieces, rows, columns, taps, panels, top, bottom, begin, end):
    """Weights as panels: each (rows, columns) piece of them with its rows side by side, column by column.

    A part does the pieces top…bottom, and of those the columns begin…end.

    Each group has so many pieces. taps[j] is the place of column j: where the panels of its phase begin, how
    many taps those have, which of them this is, and how much further it is from piece to piece.
    """
    wide = (rows + LANES - 1) // LANES * LANES
    corner = np.empty(2 * LANES * LANES, np.float32)
    for piece in range(top, bottom):
        group, number = piece // pieces, piece % pieces
        left = 0
        while left < wide:
            width = panel_width(left, wide)
            for i in range(left, left + width, LANES):
                height = min(LANES, rows - i)
                for j in range(begin, end, LANES):
                    count = min(LANES, end - j)
                    for r in range(height):
                        here = (piece * rows + i + r) * columns + j
                        copy_row(at(source, here), at(corner, r * LANES), count, NOTHING)
                    _transpose(at(corner, 0), LANES, at(corner, LANES * LANES), LANES)
                    for t in range(count):
                        base, depth, first, each = taps[j + t]
                        new = base + left * depth + (first + number * each) * width + i - left
                        place = LANES * LANES + t * LANES
                        there = at(panels, group * panels.shape[1] + new)
                        copy_row(at(corner, place), there, height, NOTHING)
            left += width


@compiled(
    "void(float32[::1], int64, int64[::1], int64[::1], int64, int64, int64[::1], int64, int64, float32[::1], int64,"
    " int64, int64, int64, float32[::1])"
)
def multiply(a, start, starts, to, first, last, where, skip, depth, b, base, begin, end, wide, c):
    """c[to[i] + j] += Σₖ a[start + starts[i] + where[skip + k]] · b[k, begin + j] for i from first to last.

    i goes by whole tiles, and j to end - begin, which is at most BREADTH; b is in panels, and `wide`.
    """
    for k in range(0, depth, DEPTH):
        count = min(DEPTH, depth - k)
        left = begin
        while left < end:
            width = panel_width(left, wide)
            panel = base + left * depth + k * width
            there = at(c, left - begin)
            for i in range(first, last, ROWS):
                places, rows = (at(starts, i), at(where, skip + k)), at(to, i)
                if width == 3 * LANES:
                    _tile_3(at(a, start), places, at(b, panel), width, count, there, rows, True)
                elif width == 2 * LANES:
                    _tile_2(at(a, start), places, at(b, panel), width, count, there, rows, True)
                else:
                    _tile_1(at(a, start), places, at(b, panel), width, count, there, rows, True)
            left += width


_TABLES = "int64[::1], int64[::1], int64[:, ::1], int64[::1], int64[::1], int64[::1], int64[::1], int64, int64, int64"


@compiled(
    f"void(float32[:, :, :, ::1], float32[:, :, ::1], float32[:, ::1], float32[:, ::1], {_TABLES}, int64, int64)",
    limits=2,
)
def correlate(
    x, out, plus, panels, starts, to, segments, edges, where, taps, rows_to, images, step, most, first, last
):  # fmt: skip
    """The blocks first…last of `out`: of images, and in them of pixels."""
    groups, wide = plus.shape
    within, per_group = x.shape[1] // groups, out.shape[1] // groups
    pixels = out.shape[2]
    phases, chunks = len(taps) - 1, len(edges) - 1
    apart = min(wide, BREADTH)
    room = np.zeros(images * x.shape[1] * step, np.float32)
    found = np.empty((most + 1) * apart, np.float32)
    corner = np.empty(2 * LANES * LANES, np.float32)
    laid = -1
    flat = out.reshape(-1)
    for block in range(first, last):
        image, chunk = block // chunks * images, block % chunks
        here = min(images, len(x) - image)
        if image != laid:
            lay_out(x, image, here, 0, x.shape[1], rows_to, step, room)
            laid = image
        begin = edges[chunk]
        end = min(edges[chunk + 1], here * pixels)
        for part in range(groups * ((wide + BREADTH - 1) // BREADTH)):
            g, left = part % groups, part // groups * BREADTH
            right = min(left + BREADTH, wide)
            for p in range(end - begin):
                copy_row(at(plus, g * wide + left), at(found, p * apart), right - left, NOTHING)
            base = 0
            for phase in range(phases):
                depth = taps[phase + 1] - taps[phase]
                top, count = segments[chunk * phases + phase]
                # The last images may be fewer; each has as many pixels in a phase as the others.
                count = count * here // images if images > 1 else count
                multiply(
                    room, g * within * step, starts, to, top, top + count, where, taps[phase], depth,
                    panels[g], base, left, right, wide, found,
                )  # fmt: skip
                base += depth * wide
            for n in range(begin // pixels, (end - 1) // pixels + 1):
                one, other = max(begin, n * pixels), min(end, (n + 1) * pixels)
                channel = (image + n) * out.shape[1] + g * per_group + left
                turn(
                    found, (one - begin) * apart, apart, other - one, min(right, per_group) - left, flat,
                    channel * pixels + one - n * pixels, pixels, corner,
                )  # fmt: skip


@compiled(
    f"void(float32[:, :, :, ::1], float32[:, :, ::1], float32[:, :, ::1], int64, int64, int64[::1], {_TABLES},"
    " int64, int64, int64, int64, int64, int64, int64)",
    limits=7,
)
def add_products(
    x, y, all_sums, wide, per_channel, sums_to, starts, to, segments, edges, where, taps, rows_to, images, step,
    most, number, first, last, first_group, last_group, top, bottom,
):  # fmt: skip
    """sums[g, k · wide + o] += Σₚ x[startₚ + where[k]] · y[o, p] over blocks, for some groups and taps."""
    sums = all_sums[number]
    groups = len(sums)
    for g in range(first_group, last_group):
        sums[g, sums_to[top] : sums_to[bottom - 1] + wide] = 0
    within, per_group = x.shape[1] // groups, y.shape[1] // groups
    pixels = y.shape[2]
    chunks = len(edges) - 1
    low, high = top // per_channel, min(within, (bottom + per_channel - 1) // per_channel)
    room = np.zeros(images * x.shape[1] * step, np.float32)
    panels = np.zeros(most * wide, np.float32)
    corner = np.empty(2 * LANES * LANES, np.float32)
    laid = -1
    flat = y.reshape(-1)
    for block in range(first, last):
        image, chunk = block // chunks * images, block % chunks
        here = min(images, len(x) - image)
        if image != laid:
            for g in range(first_group, last_group):
                lay_out(x, image, here, g * within + low, g * within + high, rows_to, step, room)
            laid = image
        begin = edges[chunk]
        end = min(edges[chunk + 1], here * pixels)
        depth = end - begin
        for g in range(first_group, last_group):
            left = 0
            while left < wide:
                width = panel_width(left, wide)
                for o in range(left, min(left + width, per_group), LANES):
                    count = min(LANES, per_group - o)
                    for n in range(begin // pixels, (end - 1) // pixels + 1):
                        one, other = max(begin, n * pixels), min(end, (n + 1) * pixels)
                        channel = (image + n) * y.shape[1] + g * per_group + o
                        target = left * depth + (one - begin) * width + o - left
                        turn(
                            flat, channel * pixels + one - n * pixels, pixels, count, other - one, panels,
                            target, width, corner,
                        )  # fmt: skip
                left += width
            for left in range(0, wide, BREADTH):
                multiply(
                    room, g * within * step, where, sums_to, top, bottom, starts, segments[chunk, 0], depth,
                    panels, 0, left, min(left + BREADTH, wide), wide, sums[g, left:],
                )  # fmt: skip


@compiled("void(float32[:, :, ::1], int64, float32[:, ::1], int64, int64)", limits=2)
def collect(all_sums, wide, out, first, last):
    """The taps first…last of `out`, (channels of the result, taps): the sums of all parts, turned around."""
    groups, depth = all_sums.shape[1], out.shape[1]
    per_group = len(out) // groups
    corner = np.empty(2 * LANES * LANES, np.float32)
    flat = out.reshape(-1)
    for g in range(groups):
        total = all_sums[0, g]
        for number in range(1, len(all_sums)):
            more = all_sums[number, g]
            for i in range(first * wide, last * wide):
                total[i] += more[i]
        turn(
            total, first * wide, wide, last - first, per_group, flat, g * per_group * depth + first, depth, corner
        )  # fmt: skip


# The three products -----------------------------------------------------------------------


def _packed(
    w: np.ndarray, groups: int, pieces: int, rows: int, columns: int, taps: np.ndarray
) -> np.ndarray:
    """Weights as panels; zero where nothing is packed. See `pack`."""
    wide = round_up(rows, LANES)
    make = np.empty if rows == wide else np.zeros
    panels = make((groups, wide * pieces * columns), np.float32)
    threads, total = thread_count(MOVE * w.size), groups * pieces
    cut = (threads, 1) if total >= threads else (1, threads)
    parts = blocks(total, columns, *cut, 1, LANES)
    run_parts(pack, parts, np.ascontiguousarray(w).reshape(-1), pieces, rows, columns, taps, panels)
    return panels


def _correlate(
    x: np.ndarray, out: np.ndarray, plus: np.ndarray, panels: np.ndarray, tables: Tables, work: int
) -> None:
    count = -(-len(x) // tables.images) * (len(tables.edges) - 1)
    run_parts(correlate, split(count, thread_count(work)), x, out, plus, panels, *tables)


def forward(
    x: np.ndarray, w: np.ndarray, bias: Any, count: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray:  # fmt: skip
    """The convolution of x (N, C, *size) with w (O, C / groups, *kernel): (N, O, *count)."""
    channels, outputs, within = x.shape[1], w.shape[0], w.shape[1]
    per_group = outputs // groups
    wide = round_up(per_group, LANES)
    work = 2 * x.shape[0] * math.prod(count) * w.size
    tables = forward_tables(
        x.shape[2:], w.shape[2:], tuple(count), tuple(stride), tuple(padding), tuple(dilation), channels,
        within, min(wide, BREADTH), x.shape[0], thread_count(work),
    )  # fmt: skip
    depth = w.size // outputs
    panels = _packed(w, groups, 1, per_group, depth, straight(depth))
    plus = np.zeros((groups, wide), np.float32)
    if bias is not None:
        plus[:, :per_group] = bias.reshape(groups, -1)
    out = np.empty((x.shape[0], outputs, math.prod(count)), np.float32)
    _correlate(images_of(x), out, plus, panels, tables, work)
    return out.reshape(x.shape[0], outputs, *count)


def by_input(
    y: np.ndarray, w: np.ndarray, bias: Any, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray:  # fmt: skip
    """The gradient by the input: of y (N, O, *count) and w, an array (N, C, *size); and a bias for each C."""
    per_group, within = w.shape[0] // groups, w.shape[1]
    wide = round_up(within, LANES)
    work = 2 * y.size * w.size // w.shape[0]
    tables, taps = backward_tables(
        tuple(size), w.shape[2:], y.shape[2:], tuple(stride), tuple(padding), tuple(dilation), y.shape[1],
        per_group, wide, min(wide, BREADTH), y.shape[0], thread_count(work),
    )  # fmt: skip
    panels = _packed(w, groups, per_group, within, len(taps), taps)
    plus = np.zeros((groups, wide), np.float32)
    if bias is not None:
        plus[:, :within] = bias.reshape(groups, -1)
    out = np.empty((y.shape[0], within * groups, math.prod(size)), np.float32)
    _correlate(images_of(y), out, plus, panels, tables, work)
    return out.reshape(y.shape[0], within * groups, *size)


def by_weight(
    x: np.ndarray,
    y: np.ndarray,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> np.ndarray:
    """The gradient by the weight: of x (N, C, *size) and y (N, O, *count), (O, C / groups, *kernel)."""
    per_group, within = y.shape[1] // groups, x.shape[1] // groups
    wide = round_up(per_group, LANES)
    area = math.prod(kernel)
    depth = within * area
    threads = thread_count(2 * y.size * depth)
    tables = forward_tables(
        x.shape[2:], tuple(kernel), y.shape[2:], tuple(stride), tuple(padding), tuple(dilation), x.shape[1],
        within, min(wide, BREADTH), x.shape[0], threads,
    )  # fmt: skip
    count = -(-len(x) // tables.images) * (len(tables.edges) - 1)
    sums_to = sums_of(depth, wide)
    rows = len(sums_to)
    if groups >= threads > 1:
        found = [(0, 0, count, *part, 0, rows) for part in split(groups, threads)]
    elif depth * threads > count * PIXELS:
        found = [(0, 0, count, 0, groups, *part) for part in split(rows, threads, ROWS)]
    else:
        found = [(*part, 0, groups, 0, rows) for part in numbered(count, threads)]
    parts = np.array(found)
    sums = np.empty((1 + parts[-1, 0], groups, (depth + 1) * wide), np.float32)
    images, planes = images_of(x), np.ascontiguousarray(y).reshape(*y.shape[:2], -1)
    run_parts(add_products, parts, images, planes, sums, wide, area, sums_to, *tables)
    out = np.empty((y.shape[1], depth), np.float32)
    run_parts(collect, split(depth, thread_count(MOVE * sums.size), LANES), sums, wide, out)
    return out.reshape(y.shape[1], within, *kernel)
