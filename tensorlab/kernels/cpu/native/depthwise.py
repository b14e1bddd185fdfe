"""Depthwise convolution of pictures with stride 1: straight from the image, of which nothing is laid out.

See `sliding` for how a window goes over a plane. With a dilation, windows whose rows lie apart go over every
second row, say, and then over those between. The gradient by the input is a convolution with the taps turned
around. That by the weight keeps a vector of sums for each tap of a channel, which are added up in the end.

Rows beyond the edges are left out instead of counting as zeros: so what an infinite weight makes of the pixels at
the edges is infinite, where it were NaN with zeros.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.sliding import slide, slide_products, sum_of
from tensorlab.kernels.cpu.native.tables import Ints
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import LANES, at
from tensorlab.kernels.threads import numbered, split, thread_count

#: How many vectors the registers hold.
_REGISTERS = 32 if LANES == 16 else 16
#: Windows of these sizes have kernels. Vectors of 4 have no masks: loading with one would go number by number.
SIZES = (3, 5, 7) if LANES > 4 else ()
#: The types of padding and dilation, along each dimension, and of what `_turns` finds.
_WHERE = "int64, int64, int64, int64, int64[:, ::1]"


def suits(kernel: Ints, stride: Ints, within: int, per_group: int) -> bool:
    """Whether a convolution is one of these: its window, stride, and channels in a group on either side."""
    return (
        within == per_group == 1
        and len(kernel) == 2
        and kernel[0] == kernel[1]
        and kernel[0] in SIZES
        and max(stride) == 1
    )


@functools.cache
def _correlate(size: int) -> Any:
    """The kernel for windows of size × size: `correlate(x, out, w, plus, top, left, down, across, …)`."""
    go = slide(size)

    def correlate(x, out, w, plus, top, left, down, across, turns, first, last):  # type: ignore[no-untyped-def]
        """The planes first…last of `out`, one for each channel of each image.

        top, left: the padding. down, across: the dilation.
        """
        channels = len(w)
        height, width = x.shape[1:]
        rows, columns = out.shape[1:]
        c = first % channels
        for plane in range(first, last):
            for r in range(len(turns)):
                count, begin, end = turns[r]
                for j in range(0, columns, LANES):
                    go(
                        at(x, (plane * height + r - top) * width + j - left), down * width, begin, end, across,
                        j - left, width, at(w, c * size * size), plus[c],
                        at(out, (plane * rows + r) * columns + j), down * columns, count, columns - j,
                    )  # fmt: skip
            c = 0 if c == channels - 1 else c + 1

    correlate.__qualname__ = f"correlate_{size}"
    arrays = "float32[:, :, ::1], float32[:, :, ::1], float32[:, ::1], float32[::1]"
    return compiled(f"void({arrays}, {_WHERE}, int64, int64)", limits=2)(correlate)


@functools.cache
def _add_products(size: int) -> tuple[Any, int]:
    """The kernel of the gradient by the weight, and how many columns of the window it does at once."""
    wide = min(size, (_REGISTERS - 2) // size - 1)
    go = slide_products(size, wide)

    def add_products(x, y, found, top, left, down, across, turns, number, first, last, low, high):  # type: ignore[no-untyped-def]
        """found[number, c, columns of the window, tap], over images first…last, for channels low…high."""
        pieces, taps = found.shape[2:]
        sums = np.zeros((high - low, pieces, taps, LANES), np.float32)
        channels, height, width = x.shape[1:]
        rows, columns = y.shape[2:]
        for image in range(first, last):
            for c in range(low, high):
                plane = image * channels + c
                for r in range(len(turns)):
                    count, begin, end = turns[r]
                    for j in range(0, columns, LANES):
                        for piece in range(pieces):
                            start = j - left + piece * wide * across
                            go(
                                at(x, (plane * height + r - top) * width + start), down * width, begin, end,
                                across, start, width, at(y, (plane * rows + r) * columns + j), down * columns,
                                count, columns - j, at(sums, ((c - low) * pieces + piece) * taps * LANES),
                            )  # fmt: skip
        for c in range(low, high):
            for piece in range(pieces):
                for k in range(taps):
                    found[number, c, piece, k] = sum_of(
                        at(sums, (((c - low) * pieces + piece) * taps + k) * LANES)
                    )

    add_products.__qualname__ = f"add_products_{size}"
    arrays = "float32[:, :, :, ::1], float32[:, :, :, ::1], float32[:, :, :, ::1]"
    limits = ", ".join(["int64"] * 5)
    return compiled(f"void({arrays}, {_WHERE}, {limits})", limits=5)(add_products), wide


@functools.lru_cache(maxsize=128)
def _turns(height: int, rows: int, top: int, down: int) -> np.ndarray:
    """For each remainder of rows by the dilation: how many of the result, and the window's first and last."""
    found = []
    for r in range(min(down, rows)):
        found.append((-((r - rows) // down), -((r - top) // down), -((r - top - height) // down)))
    return np.array(found, np.int64)


def warm() -> None:
    for size in SIZES:
        _correlate(size)
        _add_products(size)


def _planes(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(-1, *x.shape[2:])


def _run(
    x: np.ndarray, w: np.ndarray, bias: Any, size: Ints, padding: Ints, dilation: Ints
) -> np.ndarray:
    channels, window = w.shape[0], w.shape[-1]
    out = np.empty((*x.shape[:2], *size), np.float32)
    plus = np.zeros(channels, np.float32) if bias is None else np.ascontiguousarray(bias)
    weights = np.ascontiguousarray(w).reshape(channels, -1)
    planes, found = _planes(x), _planes(out)
    turns = _turns(x.shape[2], size[0], padding[0], dilation[0])
    parts = split(len(planes), thread_count(2 * out.size * window * window))
    run_parts(_correlate(window), parts, planes, found, weights, plus, *padding, *dilation, turns)
    return out


def forward(
    x: np.ndarray, w: np.ndarray, bias: Any, count: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray:  # fmt: skip
    """The convolution of x (N, C, *size) with w (C, 1, *kernel): (N, C, *count)."""
    return _run(x, w, bias, count, padding, dilation)


def by_input(
    y: np.ndarray, w: np.ndarray, bias: Any, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray:  # fmt: skip
    """The gradient by the input: of y (N, C, *count) and w, an array (N, C, *size); and a bias for each C."""
    around = tuple((k - 1) * d - p for k, d, p in zip(w.shape[2:], dilation, padding, strict=True))
    return _run(y, w[:, :, ::-1, ::-1], bias, size, around, dilation)


def by_weight(
    x: np.ndarray,
    y: np.ndarray,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> np.ndarray:
    """The gradient by the weight: of x (N, C, *size) and y (N, C, *count), (C, 1, *kernel)."""
    channels, window = x.shape[1], kernel[0]
    add, wide = _add_products(window)
    pieces = -(-window // wide)
    turns = _turns(x.shape[2], y.shape[2], padding[0], dilation[0])
    threads = thread_count(2 * y.size * window * window)
    if channels >= threads:
        parts = np.array([(0, 0, len(x), *part) for part in split(channels, threads)])
    else:
        parts = np.array([(*part, 0, channels) for part in numbered(len(x), threads)])
    found = np.empty((1 + parts[-1, 0], channels, pieces, window * wide), np.float32)
    run_parts(
        add,
        parts,
        np.ascontiguousarray(x),
        np.ascontiguousarray(y),
        found,
        *padding,
        *dilation,
        turns,
    )
    total = found.sum(0).reshape(channels, pieces, window, wide).swapaxes(1, 2)
    total = total.reshape(channels, 1, window, pieces * wide)
    return np.ascontiguousarray(total[..., :window])
