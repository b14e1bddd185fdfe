"""Where things are in padded images of any number of dimensions: tables for the kernels of convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Ints = tuple[int, ...]


def round_up(n: int, unit: int) -> int:
    """The next multiple of `unit`."""
    return -(-n // unit) * unit


def grid(axes: Sequence[np.ndarray]) -> np.ndarray:
    """The sums of one number from each axis, the last axis running fastest."""
    total: Any = np.zeros((), np.int64)
    for axis in axes:
        total = np.add.outer(total, axis)
    return total.reshape(-1)


def steps_of(size: Ints) -> Ints:
    """How far apart neighbours along each dimension of an array of this size are."""
    return tuple(math.prod(size[d + 1 :]) for d in range(len(size)))


def images_of(x: np.ndarray) -> np.ndarray:
    """(N, C, *size) as contiguous (N, C, rows, columns)."""
    rows = math.prod(x.shape[2:-1])
    return np.ascontiguousarray(x).reshape(*x.shape[:2], rows, x.shape[-1])


class Phase(NamedTuple):
    """Of the input of a convolution the pixels, along one dimension, that the same taps reach.

    A pixel i is reached by tap j from the result's pixel (i + padding − j · dilation) / stride, if that
    is whole. So pixels fall into phases by the remainder r of (i + padding) / stride, and a tap serves the
    phase of its own remainder.
    """

    pixels: np.ndarray
    #: The quotients (i + padding) / stride.
    starts: np.ndarray
    taps: np.ndarray
    #: How far before the quotient each tap's pixel of the result is, counted from the farthest on.
    offsets: np.ndarray


def by_phases(
    size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> list[list[Phase]]:
    """The phases along each dimension."""
    found = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        farthest = (k - 1) * d // s
        along = []
        for r in range(s):
            pixels = np.arange((r - p) % s, n, s)
            taps = np.flatnonzero(np.arange(k) * d % s == r)
            along.append(Phase(pixels, (pixels + p) // s, taps, farthest - taps * d // s))
        found.append(along)
    return found
