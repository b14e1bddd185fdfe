"""Convolution with few channels of the result in a group, as depthwise: vectors of neighbouring pixels.

    y[o, p] = Σₖ w[o, k] · x[startₖ + p]

Written over a padded image, whose rows are all as long as a `line`, each tap reads the image from another
starting point on, and p runs through whole rows: vectors hold neighbours of one channel. The few pixels at
the end of a row that belong to no window are computed and dropped. A stride splits the image into phases,
each of which is read with stride 1. The gradient by the input is the same sum with the taps turned around,
for each phase of the input; that by the weight is a product of two such rows for each tap.

(Where a group has many channels, `gathered` keeps vectors of channels instead, and drops nothing.)
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.layout import (
    LAYOUT,
    Layout,
    Tables,
    forward_tables,
    lay_out,
    rows_to,
)
from tensorlab.kernels.cpu.native.tables import Ints, by_phases, grid, images_of, round_up, steps_of
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import (
    LANES,
    VECTORS,
    at,
    copy_row,
    dots,
    merge_row,
    tile,
)
from tensorlab.kernels.threads import numbered, split, thread_count

HIGH = 4  # channels of the result side by side, if there is more than one
LONG, WIDTH = 4 * LANES, VECTORS * LANES  # pixels of one channel, and of HIGH
TAPS = 9  # of a window side by side: those of the commonest at once, of larger ones as many as registers hold
NOTHING = np.float32(-0.0)  # adding it leaves every number as it is, -0.0 too

_one_channel = tile(4, "packed", "shifted", rows=1)
_channels = tile(VECTORS, "packed", "shifted", rows=HIGH)
_dots = dots(TAPS)


@compiled(
    f"void(float32[:, :, :, ::1], float32[:, :, :, ::1], float32[:, ::1], float32[:, ::1], {LAYOUT}, int64[::1],"
    " int64[::1], int64[:, ::1], int64[:, ::1], int64, int64, int64, int64, int64, int64)",
    limits=2,
)
def correlate(
    x, out, plus, panels, to, left, stride, apart, line, step, starts, taps, phases, rows, pixels, spread, high,
    wide, first, last,
):  # fmt: skip
    """The groups first…last of `out`, counted over the images.

    phases: for each, the rows of the result that it makes (from … to in `rows`), the first column of the
    result and how many, `spread` apart, and the first found. rows: those of the result, and where found.
    high, wide: the channels and the pixels that are computed, in whole tiles.
    """
    groups = len(plus)
    within, per_group = x.shape[1] // groups, out.shape[1] // groups
    room = np.zeros(within * step + LONG + WIDTH, np.float32)
    found = np.empty((2, high, wide), np.float32)
    flat = out.reshape(-1)
    for unit in range(first, last):
        image, g = unit // groups, unit % groups
        lay_out(x, image, g * within, (g + 1) * within, to, left, stride, apart, line, step, room)
        for f in range(len(phases)):
            begin, end, column, count, place = phases[f]
            depth = taps[f + 1] - taps[f]
            # Neighbouring phases make columns of the same rows, which are put together two at a time.
            here = found[f % 2]
            if high == 1:
                for p in range(0, pixels, LONG):
                    _one_channel(
                        at(panels, g * panels.shape[1] + taps[f]), 0, at(room, p), at(starts, taps[f]), depth,
                        at(here, p), 0, False,
                    )  # fmt: skip
            else:
                for p in range(0, pixels, WIDTH):
                    for o in range(0, high, HIGH):
                        _channels(
                            at(panels, g * panels.shape[1] + taps[f] * high + o * depth), 0, at(room, p),
                            at(starts, taps[f]), depth, at(here, o * here.shape[1] + p), here.shape[1], False,
                        )  # fmt: skip
            if spread == 2 and f % 2 == 0:
                continue
            for o in range(per_group):
                channel = (image * groups + g) * per_group + o
                base = o * here.shape[1]
                for r in range(begin, end):
                    target = (channel * out.shape[2] + rows[r, 0]) * out.shape[3]
                    source = base + rows[r, 1] + place
                    if spread == 1:
                        copy_row(at(here, source), at(out, target + column), count, plus[g, o])
                    elif spread == 2:
                        # The phases before this one; that of column 0 comes first.
                        other, pairs = (
                            base + rows[r, 1] + phases[f - 1, 4],
                            min(count, phases[f - 1, 3]),
                        )
                        if column == 0:
                            merge_row(
                                at(here, source),
                                at(found[0], other),
                                at(out, target),
                                pairs,
                                plus[g, o],
                            )
                            if pairs < count:
                                flat[target + 2 * pairs] = (
                                    here[o, source - base + pairs] + plus[g, o]
                                )
                        else:
                            merge_row(
                                at(found[0], other),
                                at(here, source),
                                at(out, target),
                                pairs,
                                plus[g, o],
                            )
                            if pairs < phases[f - 1, 3]:
                                flat[target + 2 * pairs] = (
                                    found[0, o, other - base + pairs] + plus[g, o]
                                )
                    else:
                        for j in range(count):
                            value = here[o, source - base + j]
                            flat[target + column + j * spread] = value + plus[g, o]


@compiled(
    f"void(float32[:, :, :, ::1], float32[:, :, :, ::1], float32[:, :, :, ::1], {LAYOUT}, int64[::1],"
    " int64[:, ::1], int64, int64, int64, int64, int64, int64)",
    limits=5,
)
def add_products(
    x, y, all_sums, to, left, stride, apart, line, step, starts, rows, pixels, number, first, last, first_group,
    last_group,
):  # fmt: skip
    """sums[g, o, k] += Σₚ y[o, p] · x[startₖ + p] over images first…last, for groups of channels."""
    sums = all_sums[number]
    groups, taps = len(sums), sums.shape[2]
    within, per_group = x.shape[1] // groups, y.shape[1] // groups
    room = np.zeros(within * step + LANES, np.float32)
    lines = np.zeros((per_group, (pixels + LANES - 1) // LANES * LANES), np.float32)
    few = np.empty(TAPS, np.float32)
    for image in range(first, last):
        for g in range(first_group, last_group):
            lay_out(
                x, image, g * within, (g + 1) * within, to, left, stride, apart, line, step, room
            )
            for o in range(per_group):
                channel = (image * groups + g) * per_group + o
                for r in range(y.shape[2]):
                    source = (channel * y.shape[2] + rows[r, 0]) * y.shape[3]
                    target = o * lines.shape[1] + rows[r, 1]
                    copy_row(at(y, source), at(lines, target), y.shape[3], NOTHING)
                for k in range(0, taps, TAPS):
                    row = at(lines, o * lines.shape[1])
                    _dots(at(room, 0), at(starts, k), row, lines.shape[1], at(few, 0))
                    for i in range(min(TAPS, taps - k)):
                        sums[g, o, k + i] += few[i]


# Tables -----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=128)
def _backward_tables(
    size: Ints, kernel: Ints, count: Ints, stride: Ints, padding: Ints, dilation: Ints, within: int
) -> tuple[Tables, list[list[int]]]:  # fmt: skip
    """The tables, and the taps of the window in each phase."""
    each = by_phases(size, kernel, stride, padding, dilation)
    down = tuple((k - 1) * d // s for k, d, s in zip(kernel, dilation, stride, strict=True))
    lengths = tuple(
        before + (n - 1 + p) // s + 1
        for before, n, p, s in zip(down, size, padding, stride, strict=True)
    )
    steps, step = steps_of(lengths), math.prod(lengths)
    one = (1,) * len(size)
    layout = Layout(rows_to(count, down, one, lengths), down[-1], 1, step, lengths[-1], step)
    channel = np.arange(within)[:, None] * step
    starts, phases, rows, taps = [], [], [], []
    out_steps, tap_steps = steps_of((*size[:-1], 1)), steps_of(kernel)
    for ones in itertools.product(*each):
        place = [p.starts * t for p, t in zip(ones, steps, strict=True)]
        out = [p.pixels * t for p, t in zip(ones, out_steps, strict=True)]
        offsets = grid([p.offsets * t for p, t in zip(ones, steps, strict=True)])
        starts.append((channel + offsets).reshape(-1))
        taps.append(grid([p.taps * t for p, t in zip(ones, tap_steps, strict=True)]).tolist())
        here, last = np.stack([grid(out[:-1]), grid(place[:-1])], 1), ones[-1]
        begin = sum(map(len, rows))
        rows.append(here)
        columns = len(last.pixels)
        first = (int(last.pixels[0]), columns, int(last.starts[0])) if columns else (1, 0, 0)
        phases.append([begin, begin + len(here), *first])
    tables = Tables(
        layout, np.concatenate(starts), np.cumsum([0, *map(len, starts)]), np.array(phases), np.concatenate(rows),
        step - sum(b * t for b, t in zip(down, steps, strict=True)),
    )  # fmt: skip
    return tables, taps


# The three products -----------------------------------------------------------------------


def _panels(parts: list[np.ndarray]) -> np.ndarray:
    """(groups, channels of the result, taps) for each phase, as the tiles read them."""
    found = []
    for part in parts:
        groups, channels, depth = part.shape
        high = 1 if channels == 1 else round_up(channels, HIGH)
        rows = np.zeros((groups, high, depth), np.float32)
        rows[:, :channels] = part
        each = min(high, HIGH)
        found.append(
            rows.reshape(groups, high // each, each, depth)
            .swapaxes(2, 3)
            .reshape(groups, high * depth)
        )
    return np.ascontiguousarray(np.concatenate(found, 1))


def _correlate(
    x: np.ndarray, out: np.ndarray, bias: Any, panels: np.ndarray, groups: int, tables: Tables, spread: int,
    work: int,
) -> None:  # fmt: skip
    per_group = out.shape[1] // groups
    plus = np.zeros((groups, per_group), np.float32)
    if bias is not None:
        plus[...] = bias.reshape(groups, -1)
    high = 1 if per_group == 1 else round_up(per_group, HIGH)
    wide = round_up(tables.pixels, LONG if high == 1 else WIDTH)
    parts = split(len(x) * groups, thread_count(work))
    given = (x, out, plus, panels, *tables.layout, *tables[1:], spread, high, wide)
    run_parts(correlate, parts, *given)


def forward(
    x: np.ndarray, w: np.ndarray, bias: Any, count: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray:  # fmt: skip
    """The convolution of x (N, C, *size) with w (O, C / groups, *kernel): (N, O, *count)."""
    tables = forward_tables(
        x.shape[2:], w.shape[2:], tuple(count), tuple(stride), tuple(padding), tuple(dilation), w.shape[1]
    )  # fmt: skip
    panels = _panels([w.reshape(groups, w.shape[0] // groups, -1)])
    out = np.empty((x.shape[0], w.shape[0], *count), np.float32)
    work = 2 * out.size * w.size // w.shape[0]
    _correlate(images_of(x), images_of(out), bias, panels, groups, tables, 1, work)
    return out


def by_input(
    y: np.ndarray, w: np.ndarray, bias: Any, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray:  # fmt: skip
    """The gradient by the input: of y (N, O, *count) and w, an array (N, C, *size); and a bias for each C."""
    per_group, within = w.shape[0] // groups, w.shape[1]
    tables, taps = _backward_tables(
        tuple(size), w.shape[2:], y.shape[2:], tuple(stride), tuple(padding), tuple(dilation), per_group
    )  # fmt: skip
    turned = w.reshape(groups, per_group, within, -1).swapaxes(1, 2)
    panels = _panels([turned[..., t].reshape(groups, within, -1) for t in taps])
    out = np.empty((y.shape[0], within * groups, *size), np.float32)
    work = 2 * y.size * w.size // w.shape[0]
    _correlate(images_of(y), images_of(out), bias, panels, groups, tables, stride[-1], work)
    return out


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
    tables = forward_tables(
        x.shape[2:], tuple(kernel), y.shape[2:], tuple(stride), tuple(padding), tuple(dilation), within
    )  # fmt: skip
    taps = len(tables.starts)
    starts = np.concatenate([tables.starts, np.repeat(tables.starts[-1:], -taps % TAPS)])
    threads = thread_count(2 * y.size * taps)
    if groups >= threads:
        parts = np.array([(0, 0, len(x), *part) for part in split(groups, threads)])
    else:
        parts = np.array([(*part, 0, groups) for part in numbered(len(x), threads)])
    sums = np.zeros((1 + parts[-1, 0], groups, per_group, taps), np.float32)
    given = (images_of(x), images_of(y), sums, *tables.layout, starts, tables.rows, tables.pixels)
    run_parts(add_products, parts, *given)
    total = sums[0]
    for more in sums[1:]:
        total += more
    return total.reshape(y.shape[1], within, *kernel)
