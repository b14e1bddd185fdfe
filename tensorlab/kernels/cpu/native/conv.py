"""Convolution as matrix products that find their operands where they are.

An output channel at pixel p is a sum over taps k, one for each input channel and place in the window:

    y[o, p] = Σₖ w[o, k] · x[startₖ + p]

Written over a padded image, whose rows are all as long as `line`, each tap reads the image from another
starting point on, and p runs through whole rows: the columns of the matrix product are neighbours in
memory, and nothing is gathered beforehand (no "im2col" buffer). The few pixels at the end of a row
that belong to no window are computed and dropped. A stride of s splits the image into s · s phases,
each of which is read with stride 1.

The gradient by the input is the same sum with the taps turned around, for each phase of the input; the
gradient by the weight is

    w[o, k] = Σₚ y[o, p] · x[startₖ + p]

which is again a product of matrices: its rows start where the taps do.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.gemm import pack_rows
from tensorlab.kernels.cpu.native.tile import (
    LANES,
    ROWS,
    VECTORS,
    at,
    copy_row,
    tile,
    transpose_block,
)
from tensorlab.kernels.threads import run_parts, split, thread_count

WIDTH = LANES * VECTORS

_forward_1 = tile(1, "packed", "shifted")
_forward_2 = tile(2, "packed", "shifted")
_forward_3 = tile(3, "packed", "shifted")
_weight_1 = tile(1, "rows", "strided")
_weight_2 = tile(2, "rows", "strided")
_weight_3 = tile(3, "rows", "strided")
_transpose = transpose_block(LANES)


@compiled("void(float32[:, :, ::1], int64, int64, int64, int64, int64, int64, int64, float32[::1])")
def lay_out(image, top, left, stride_h, stride_w, height, line, step, out):
    """`image` (channels, rows, columns), moved by (top, left), in phases of `height` rows.

    Element (r, c) of a channel stands in phase (r + top) mod stride_h, (c + left) mod stride_w, at
    the quotients; a channel's phases are `step` apart. What is outside is not written: zero before.
    """
    channels, rows, columns = image.shape
    zero = np.float32(-0.0)  # adding it leaves every number as it is, -0.0 too
    if stride_h == 1 and stride_w == 1:  # the same, without a division for every row
        skip = max(0, -left)
        count = min(columns, line - left) - skip
        for channel in range(channels):
            for r in range(max(0, -top), min(rows, height - top)):
                source = (channel * rows + r) * columns + skip
                target = channel * step + (r + top) * line + left + skip
                copy_row(at(image, source), at(out, target), count, zero)
        return
    for channel in range(channels):
        for r in range(rows):
            row = r + top
            if row < 0 or row // stride_h >= height:
                continue
            for phase in range(stride_w):
                # Columns c with (c + left) mod stride_w == phase.
                first = (phase - left) % stride_w
                base = (channel * stride_h + row % stride_h) * stride_w + phase
                place = base * step + row // stride_h * line + (first + left) // stride_w
                skip = max(0, -((first + left) // stride_w))
                count = min(
                    (columns - first + stride_w - 1) // stride_w, line - (first + left) // stride_w
                )
                if stride_w == 1:
                    source = (channel * rows + r) * columns + skip
                    copy_row(at(image, source), at(out, place + skip), count - skip, zero)
                else:
                    for c in range(skip, count):
                        out[place + c] = image[channel, r, first + c * stride_w]


@compiled("void(float32[::1], int64, float32[::1], int64[::1], int64, float32[:, ::1])")
def correlate(panels, rows, image, starts, pixels, out):
    """out[o, p] = Σₖ panels[o, k] · image[starts[k] + p], for p up to a whole number of vectors."""
    count = len(starts)
    step = out.shape[1]
    corner = np.empty(ROWS * WIDTH, np.float32)
    for first in range(0, pixels, WIDTH):
        columns = min(WIDTH, pixels - first)
        for top in range(0, rows, ROWS):
            height = min(ROWS, rows - top)
            target, apart = at(out, top * step + first), step
            if height < ROWS:
                target, apart = at(corner, 0), WIDTH
            a, b = at(panels, top * count), at(image, first)
            if columns > 2 * LANES:
                _forward_3(a, 0, b, at(starts, 0), count, target, apart, False)
            elif columns > LANES:
                _forward_2(a, 0, b, at(starts, 0), count, target, apart, False)
            else:
                _forward_1(a, 0, b, at(starts, 0), count, target, apart, False)
            if height < ROWS:
                for i in range(height):
                    for j in range(columns):
                        out[top + i, first + j] = corner[i * WIDTH + j]


@compiled(
    "void(float32[:, ::1], int64, float32[:, :, ::1], int64, int64, int64, int64, float32[::1])"
)
def take_rows(found, line, out, top, left, stride_h, stride_w, bias):
    """out[o, top + i · stride_h, left + j · stride_w] = found[o, i · line + j] + bias[o]."""
    channels, rows, columns = out.shape
    for o in range(channels):
        plus = bias[o]
        for i in range(max(0, -(top // stride_h)), (rows - top + stride_h - 1) // stride_h):
            first = max(0, -(left // stride_w))
            count = (columns - left + stride_w - 1) // stride_w
            row = top + i * stride_h
            if stride_w == 1:
                source = o * found.shape[1] + i * line + first
                target = (o * rows + row) * columns + left + first
                copy_row(at(found, source), at(out, target), count - first, plus)
            else:
                for j in range(first, count):
                    out[o, row, left + j * stride_w] = found[o, i * line + j] + plus


@compiled("void(float32[:, :, ::1], int64, float32[:, ::1], float32[:, ::1])")
def columns_of(image, line, room, out):
    """out[p, o] = image[o] at pixel p of rows as long as `line`, zero at the ends of the rows."""
    channels, rows, columns = image.shape
    zero = np.float32(-0.0)  # adding it leaves every number as it is, -0.0 too
    for o in range(channels):
        for i in range(rows):
            target = o * room.shape[1] + i * line
            copy_row(at(image, (o * rows + i) * columns), at(room, target), columns, zero)
    for o in range(0, room.shape[0], LANES):
        for p in range(0, room.shape[1], LANES):
            _transpose(
                at(room, o * room.shape[1] + p),
                room.shape[1],
                at(out, p * out.shape[1] + o),
                out.shape[1],
            )


@compiled("void(float32[::1], int64[::1], float32[:, ::1], int64, float32[:, ::1], float32[::1])")
def add_products(image, starts, gradient, pixels, out, corner):
    """out[k, o] += Σₚ image[starts[k] + p] · gradient[p, o]; starts fills up whole tiles."""
    step = gradient.shape[1]
    taps = out.shape[0]
    for left in range(0, step, WIDTH):
        columns = min(WIDTH, step - left)
        for top in range(0, taps, ROWS):
            height = min(ROWS, taps - top)
            target, apart, add = at(out, top * step + left), step, True
            if height < ROWS:
                target, apart, add = at(corner, 0), WIDTH, False
            b, a_starts = at(gradient, left), at(starts, top)
            if columns > 2 * LANES:
                _weight_3(at(image, 0), a_starts, b, step, pixels, target, apart, add)
            elif columns > LANES:
                _weight_2(at(image, 0), a_starts, b, step, pixels, target, apart, add)
            else:
                _weight_1(at(image, 0), a_starts, b, step, pixels, target, apart, add)
            if height < ROWS:
                for i in range(height):
                    for j in range(columns):
                        out[top + i, left + j] += corner[i * WIDTH + j]


def _round_up(n: int, unit: int) -> int:
    return -(-n // unit) * unit


class _Layout:
    """How an image is laid out for the taps to read: phases of `height` rows, each `line` long."""

    def __init__(self, channels: int, stride: tuple[int, int], height: int, line: int) -> None:
        self.stride, self.height, self.line = stride, height, line
        self.step = height * line
        self.size = channels * stride[0] * stride[1] * self.step

    def start(self, channel: int, row: int, column: int) -> int:
        """Where an output pixel's (0, 0) finds the element (row, column) of the moved image."""
        sh, sw = self.stride
        phase = (channel * sh + row % sh) * sw + column % sw
        return phase * self.step + row // sh * self.line + column // sw

    def starts(self, channels: int, places: list[tuple[int, int]]) -> np.ndarray:
        """`start` of these places (row, column) in every channel, channel by channel."""
        first = np.array([self.start(0, row, column) for row, column in places], np.int64)
        apart = self.stride[0] * self.stride[1] * self.step
        return (np.arange(channels)[:, None] * apart + first).reshape(-1)

    def room(self) -> np.ndarray:
        """Zeros for an image, and beyond for what whole vectors read past its end."""
        return np.zeros(self.size + WIDTH + 2 * self.line, np.float32)


def _panels(matrix: np.ndarray) -> np.ndarray:
    """The rows of a matrix as the tiles read them."""
    rows, count = matrix.shape
    out = np.empty(_round_up(rows, ROWS) * count, np.float32)
    pack_rows(matrix, 0, rows, 0, count, out)
    return out


def _as_planes(x: np.ndarray) -> np.ndarray:
    """(N, C, L) as (N, C, 1, L); other shapes as they are, contiguous."""
    return np.ascontiguousarray(x[:, :, None] if x.ndim == 3 else x)


def _two(values: Any, filler: int) -> tuple[int, int]:
    return (filler, values[0]) if len(values) == 1 else (values[0], values[1])


def forward(
    x: np.ndarray, w: np.ndarray, bias: Any, count: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> np.ndarray:  # fmt: skip
    """The convolution of x (N, C, *size) with w (O, C / groups, *kernel): (N, O, *count)."""
    shape = (x.shape[0], w.shape[0], *count)
    x, w = _as_planes(x), _as_planes(w)
    (sh, sw), (ph, pw) = _two(stride, 1), _two(padding, 0)
    (dh, dw), (rows, columns) = _two(dilation, 1), _two(count, 1)
    per_group, taps_in = w.shape[0] // groups, w.shape[1]
    kh, kw = w.shape[2:]
    reach_h, reach_w = (kh - 1) * dh // sh, (kw - 1) * dw // sw
    layout = _Layout(taps_in, (sh, sw), rows + reach_h, columns + reach_w)
    places = [(i * dh, j * dw) for i in range(kh) for j in range(kw)]
    starts = layout.starts(taps_in, places)
    pixels = rows * layout.line
    panels = [
        _panels(w[g * per_group : (g + 1) * per_group].reshape(per_group, -1))
        for g in range(groups)
    ]
    plus = np.zeros(w.shape[0], np.float32) if bias is None else np.ascontiguousarray(bias)
    out = np.empty((x.shape[0], w.shape[0], rows, columns), np.float32)

    def part(first: int, last: int) -> None:
        room = layout.room()
        found = np.empty((per_group, _round_up(pixels, LANES)), np.float32)
        for n in range(first, last):
            for g in range(groups):
                image = x[n, g * taps_in : (g + 1) * taps_in]
                lay_out(image, ph, pw, sh, sw, layout.height, layout.line, layout.step, room)
                correlate(panels[g], per_group, room, starts, pixels, found)
                channels = slice(g * per_group, (g + 1) * per_group)
                take_rows(found, layout.line, out[n, channels], 0, 0, 1, 1, plus[channels])

    threads = thread_count(2 * out.size * len(starts))
    run_parts(part, split(x.shape[0], threads, 1))
    return out.reshape(shape)


def by_input(
    y: np.ndarray, w: np.ndarray, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> np.ndarray:
    """The gradient by the input: of y (N, O, *count) and w, an array (N, C, *size)."""
    shape = (y.shape[0], w.shape[1] * groups, *size)
    y, w = _as_planes(y), _as_planes(w)
    (sh, sw), (ph, pw) = _two(stride, 1), _two(padding, 0)
    (dh, dw), (height, width) = _two(dilation, 1), _two(size, 1)
    per_group, channels = w.shape[0] // groups, w.shape[1]
    kh, kw = w.shape[2:]
    # Of an input row, ih + ph = s · q + r. The taps i with i·d ≡ r (mod s) reach it, from output
    # row q − (i·d − r) / s: so y is moved down by the greatest such step, and q runs that far.
    down, right = (kh - 1) * dh // sh, (kw - 1) * dw // sw
    quotients = ((height - 1 + ph) // sh + 1, (width - 1 + pw) // sw + 1)
    layout = _Layout(per_group, (1, 1), quotients[0] + down, quotients[1] + right)
    pixels = quotients[0] * layout.line
    phases = []
    for rh in range(sh):
        for rw in range(sw):
            taps = [
                (i, j)
                for i in range(kh)
                for j in range(kw)
                if (i * dh - rh) % sh == 0 and (j * dw - rw) % sw == 0
            ]
            places = [(down - (i * dh - rh) // sh, right - (j * dw - rw) // sw) for i, j in taps]
            starts = layout.starts(per_group, places)
            by_group = []
            for g in range(groups):
                # (O, C, taps) to (C, O, taps): now each row is one input channel's.
                here = w[g * per_group : (g + 1) * per_group].reshape(per_group, channels, -1)
                turned = here.swapaxes(0, 1)[:, :, [i * kw + j for i, j in taps]]
                by_group.append(_panels(turned.reshape(channels, -1)))
            phases.append((rh - ph, rw - pw, starts, by_group))
    out = np.empty((y.shape[0], channels * groups, height, width), np.float32)
    nothing = np.zeros(channels, np.float32)

    def part(first: int, last: int) -> None:
        room = layout.room()
        found = np.empty((channels, _round_up(pixels, LANES)), np.float32)
        for n in range(first, last):
            for g in range(groups):
                image = y[n, g * per_group : (g + 1) * per_group]
                lay_out(image, down, right, 1, 1, layout.height, layout.line, layout.step, room)
                target = out[n, g * channels : (g + 1) * channels]
                for top, left, starts, by_group in phases:
                    correlate(by_group[g], channels, room, starts, pixels, found)
                    take_rows(found, layout.line, target, top, left, sh, sw, nothing)

    threads = thread_count(2 * y.size * channels * kh * kw)
    run_parts(part, split(y.shape[0], threads, 1))
    return out.reshape(shape)


def by_weight(
    x: np.ndarray, y: np.ndarray, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> np.ndarray:
    """The gradient by the weight: of x (N, C, *size) and y (N, O, *count), (O, C / groups, *kernel)."""
    shape = (y.shape[1], x.shape[1] // groups, *kernel)
    x, y = _as_planes(x), _as_planes(y)
    (sh, sw), (ph, pw) = _two(stride, 1), _two(padding, 0)
    (dh, dw), (kh, kw) = _two(dilation, 1), _two(kernel, 1)
    per_group, channels = y.shape[1] // groups, x.shape[1] // groups
    rows, columns = y.shape[2:]
    layout = _Layout(channels, (sh, sw), rows + (kh - 1) * dh // sh, columns + (kw - 1) * dw // sw)
    taps = [(c, i, j) for c in range(channels) for i in range(kh) for j in range(kw)]
    starts = [layout.start(c, i * dh, j * dw) for c, i, j in taps]
    starts += starts[-1:] * (_round_up(len(taps), ROWS) - len(taps))
    where = np.array(starts, np.int64)
    pixels = rows * layout.line
    wide = _round_up(per_group, LANES)
    parts = split(x.shape[0], thread_count(2 * y.size * len(taps)), 1)
    sums = np.zeros((len(parts), groups, len(taps), wide), np.float32)

    def part(first: int, last: int) -> None:
        total = sums[[p[0] for p in parts].index(first)]
        room = layout.room()
        lines = np.zeros((wide, _round_up(pixels, LANES)), np.float32)
        gradient = np.empty((lines.shape[1], wide), np.float32)
        corner = np.empty(ROWS * WIDTH, np.float32)
        for n in range(first, last):
            for g in range(groups):
                image = x[n, g * channels : (g + 1) * channels]
                lay_out(image, ph, pw, sh, sw, layout.height, layout.line, layout.step, room)
                columns_of(y[n, g * per_group : (g + 1) * per_group], layout.line, lines, gradient)
                add_products(room, where, gradient, pixels, total[g], corner)

    run_parts(part, parts)
    found = sums.sum(axis=0)[:, :, :per_group].swapaxes(1, 2)
    return np.ascontiguousarray(found).reshape(shape)
