"""Images with room around them, as kernels that go by planes of pixels read them.

All rows of a padded image are as long as a `line`, so that each place of a window reads the image from another
starting point on: for all windows at once, one after another. With a stride the image is split into phases,
each of which is read with stride 1. Used by convolutions (`planes`) and by pooling (`windows`).
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.tables import Ints, grid, steps_of
from tensorlab.kernels.cpu.native.tile import at, copy_row, split_row

NOTHING = np.float32(-0.0)  # adding it leaves every number as it is, -0.0 too

LAYOUT = "int64[::1], int64, int64, int64, int64, int64"


@compiled(f"void(float32[:, :, :, ::1], int64, int64, int64, {LAYOUT}, float32[::1])")
def lay_out(x, image, first, last, to, left, stride, apart, line, step, room):
    """Channels first…last of an image, each row to its place in `to` (none if negative).

    Column c stands in phase (c + left) mod stride, at the quotient; phases of columns are `apart`.
    """
    rows, columns = x.shape[2:]
    flat = x.reshape(-1)
    for c in range(first, last):
        for r in range(rows):
            if to[r] < 0:
                continue
            source = ((image * x.shape[1] + c) * rows + r) * columns
            target = (c - first) * step + to[r]
            if stride == 1:  # the same, without divisions for every row
                count = min(columns, line - left)
                copy_row(at(x, source), at(room, target + left), count, NOTHING)
            elif stride == 2:
                # Pairs of neighbours from an even place on; before and behind them may be one more.
                odd, there = left % 2, target + (left + 1) // 2
                count = max(0, min((columns - odd) // 2, line - (left + 1) // 2))
                split_row(at(x, source + odd), count, at(room, there), at(room, there + apart))
                if odd and left // 2 < line:
                    room[target + apart + left // 2] = flat[source]
                if odd + 2 * count < columns and (left + 1) // 2 + count < line:
                    room[there + count] = flat[source + odd + 2 * count]
            else:
                for phase in range(stride):
                    begin = (phase - left) % stride
                    there = target + phase * apart + (begin + left) // stride
                    count = min(
                        (columns - begin + stride - 1) // stride, line - (begin + left) // stride
                    )
                    for j in range(count):
                        room[there + j] = flat[source + begin + j * stride]


class Layout(NamedTuple):
    """How images are laid out: see the arguments of `lay_out` of these names."""

    to: np.ndarray
    left: int
    stride: int
    apart: int
    line: int
    step: int


class Tables(NamedTuple):
    layout: Layout
    starts: np.ndarray
    taps: np.ndarray
    phases: np.ndarray
    rows: np.ndarray
    pixels: int


def rows_to(size: Ints, before: Ints, stride: Ints, lengths: Ints) -> np.ndarray:
    """Where each row of an image of this size goes, which has so much before it; −1 for what is not read."""
    steps, area = steps_of(lengths), math.prod(lengths)
    total, seen = [], []
    for d in range(len(size) - 1):
        along = np.arange(size[d]) + before[d]
        phase = along % stride[d] * math.prod(stride[d + 1 :]) * area
        total.append(phase + along // stride[d] * steps[d])
        seen.append((along // stride[d] < lengths[d]).astype(np.int64))
    everywhere = functools.reduce(np.multiply.outer, seen, np.ones((), np.int64)).reshape(-1)
    return np.where(everywhere > 0, grid(total), -1)


@functools.lru_cache(maxsize=128)
def forward_tables(
    size: Ints, kernel: Ints, count: Ints, stride: Ints, padding: Ints, dilation: Ints, within: int
) -> Tables:  # fmt: skip
    reach = [(k - 1) * d // s for k, d, s in zip(kernel, dilation, stride, strict=True)]
    lengths = tuple(n + r for n, r in zip(count, reach, strict=True))
    steps, area = steps_of(lengths), math.prod(lengths)
    step = math.prod(stride) * area
    layout = Layout(
        rows_to(size, padding, stride, lengths), padding[-1], stride[-1], area, lengths[-1], step
    )
    phase_steps = [n * area for n in steps_of(stride)]
    offsets = grid(
        [
            np.arange(k) * d % s * phase + np.arange(k) * d // s * t
            for k, d, s, phase, t in zip(kernel, dilation, stride, phase_steps, steps, strict=True)
        ]
    )
    starts = (np.arange(within)[:, None] * step + offsets).reshape(-1)
    found = grid([np.arange(n) * t for n, t in zip(count[:-1], steps[:-1], strict=True)])
    rows = np.stack([np.arange(len(found)), found], 1)
    phases = np.array([[0, len(found), 0, count[-1], 0]])
    return Tables(
        layout, starts, np.array([0, len(starts)]), phases, rows, int(found[-1]) + count[-1]
    )
