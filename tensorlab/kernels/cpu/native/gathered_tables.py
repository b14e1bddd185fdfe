"""Where pixels' windows begin, how far from there taps lie, and which tiles they make: tables for `gathered`."""

from __future__ import annotations

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from tensorlab.kernels.cpu.native.tables import Ints, by_phases, grid, round_up, steps_of
from tensorlab.kernels.cpu.native.tile import ROWS

PIXELS = 384  # about so many make the rows of one block


class Tables(NamedTuple):
    """Where everything is: see the arguments of `correlate` of these names."""

    starts: np.ndarray
    to: np.ndarray
    segments: np.ndarray
    edges: np.ndarray
    where: np.ndarray
    taps: np.ndarray
    rows_to: np.ndarray
    images: int
    step: int
    most: int


class Pixels(NamedTuple):
    """Pixels of the result that the same taps reach."""

    starts: np.ndarray  # in the padded image
    numbers: np.ndarray  # which pixels they are
    offsets: np.ndarray  # of the taps, from a pixel's start


def _images(most: int, batch: int, threads: int) -> int:
    """How many images make a block, `most` or a few less: such that no thread has more of them than others."""

    def of_a_thread(images: int) -> int:
        blocks = -(-batch // images)
        return min(batch, -(-blocks // threads) * images)

    images = min(range(most, most // 2, -1), key=of_a_thread)
    return -(-batch // -(-batch // images))  # the last block has as many, or a few less


def _tables(
    phases: list[Pixels], channels: int, within: int, apart: int, pixels: int, padded: Ints, rows_to: np.ndarray,
    batch: int, threads: int,
) -> Tables:  # fmt: skip
    """The tables of a result of so many `pixels`, made of these phases.

    `channels` are in an image, `within` in a group; found pixels are `apart` from each other.
    """
    # An odd number of cache lines from channel to channel: the same pixel of many channels then does not
    # fall on the same few places of the cache.
    step = round_up(math.prod(padded), 16)
    step += 16 * (step // 16 % 2 == 0)
    images = _images(max(1, min(PIXELS // pixels, -(-batch // threads))), batch, threads)
    total = images * pixels
    pieces = max(-(-total // PIXELS), -(-threads * images // batch) if images == 1 else 1)
    edges = np.array([total * i // pieces for i in range(pieces + 1)], np.int64)
    image = np.arange(images)[:, None]
    start = np.concatenate([(image * (channels * step) + p.starts).reshape(-1) for p in phases])
    pixel = np.concatenate([(image * pixels + p.numbers).reshape(-1) for p in phases])
    number = np.repeat(np.arange(len(phases)), [images * len(p.numbers) for p in phases])
    chunk = np.searchsorted(edges, pixel, "right") - 1
    segment = chunk * len(phases) + number
    order = np.lexsort((pixel, segment))
    counts = np.bincount(segment, minlength=pieces * len(phases))
    rounded = -(-counts // ROWS) * ROWS
    firsts = np.cumsum(rounded) - rounded
    place = (
        firsts[segment[order]]
        + np.arange(len(order))
        - np.repeat(np.cumsum(counts) - counts, counts)
    )
    starts = np.zeros(rounded.sum() + ROWS, np.int64)
    # What fills up a tile goes to a row that nobody reads.
    most = int(np.diff(edges).max())
    to = np.full(len(starts), most * apart, np.int64)
    starts[place] = start[order]
    to[place] = (pixel[order] - edges[chunk[order]]) * apart
    channel = np.arange(within)[:, None] * step
    where = [(channel + p.offsets).reshape(-1) for p in phases]
    taps = np.cumsum([0, *map(len, where)])
    # The gradient by the weight takes taps for rows, in whole tiles.
    where.append(np.repeat(np.concatenate(where)[-1:], -taps[-1] % ROWS))
    return Tables(
        starts, to, np.stack([firsts, counts], 1).astype(np.int64), edges, np.concatenate(where), taps, rows_to,
        images, step, most,
    )  # fmt: skip


@functools.lru_cache(maxsize=64)
def forward_tables(
    size: Ints, kernel: Ints, count: Ints, stride: Ints, padding: Ints, dilation: Ints, channels: int,
    within: int, apart: int, batch: int, threads: int,
) -> Tables:  # fmt: skip
    padded = tuple(n + 2 * p for n, p in zip(size, padding, strict=True))
    steps = steps_of(padded)
    starts = grid([np.arange(n) * s * t for n, s, t in zip(count, stride, steps, strict=True)])
    offsets = grid([np.arange(k) * d * t for k, d, t in zip(kernel, dilation, steps, strict=True)])
    rows = [(np.arange(n) + p) * t for n, p, t in zip(size, padding, steps, strict=True)]
    rows_to = grid(rows[:-1]) + padding[-1]
    phase = Pixels(starts, np.arange(len(starts)), offsets)
    return _tables([phase], channels, within, apart, len(starts), padded, rows_to, batch, threads)


@functools.lru_cache(maxsize=64)
def backward_tables(
    size: Ints, kernel: Ints, count: Ints, stride: Ints, padding: Ints, dilation: Ints, channels: int,
    within: int, wide: int, apart: int, batch: int, threads: int,
) -> tuple[Tables, np.ndarray]:  # fmt: skip
    """The tables, and where the taps of each phase go among `wide` columns, as `pack` takes it."""
    each = by_phases(size, kernel, stride, padding, dilation)
    down = [(k - 1) * d // s for k, d, s in zip(kernel, dilation, stride, strict=True)]
    padded = tuple(
        before + max((n - 1 + p) // s + 1, m)
        for before, n, p, s, m in zip(down, size, padding, stride, count, strict=True)
    )
    steps, out_steps, tap_steps = steps_of(padded), steps_of(size), steps_of(kernel)
    phases, taps_of = [], []
    for ones in itertools.product(*each):
        phases.append(
            Pixels(
                grid([p.starts * t for p, t in zip(ones, steps, strict=True)]),
                grid([p.pixels * t for p, t in zip(ones, out_steps, strict=True)]),
                grid([p.offsets * t for p, t in zip(ones, steps, strict=True)]),
            )
        )
        taps_of.append(grid([p.taps * t for p, t in zip(ones, tap_steps, strict=True)]))
    rows = [(np.arange(n) + b) * t for n, b, t in zip(count, down, steps, strict=True)]
    rows_to = grid(rows[:-1]) + down[-1]
    pixels = math.prod(size)
    tables = _tables(phases, channels, within, apart, pixels, padded, rows_to, batch, threads)
    taps = np.zeros((math.prod(kernel), 4), np.int64)
    for served, start in zip(taps_of, tables.taps, strict=False):
        for i, tap in enumerate(served):
            taps[tap] = start * wide, within * len(served), i, len(served)
    return tables, taps


@functools.lru_cache(maxsize=64)
def straight(depth: int) -> np.ndarray:
    """Where so many taps in their own order go, as `pack` takes it."""
    taps = np.zeros((depth, 4), np.int64)
    taps[:, 1], taps[:, 2] = depth, np.arange(depth)
    return taps


@functools.lru_cache(maxsize=64)
def sums_of(depth: int, wide: int) -> np.ndarray:
    """Where the sums of so many taps are; what fills up a tile goes behind them."""
    return np.minimum(np.arange(round_up(depth, ROWS)), depth) * wide
