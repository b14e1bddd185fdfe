"""The largest of each part of an image, of whatever size parts and image are."""

from __future__ import annotations

import functools

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import pass_threads, split

Ints = tuple[int, ...]


@compiled(
    "void(float32[:, :, :, ::1], float32[:, :, :, ::1], int64[:, :, :, ::1], int64[:, ::1], int64[:, ::1],"
    " int64[:, ::1], int64, int64)",
    limits=2,
)
def largest(x, out, places, depths, heights, widths, first, last):
    """The largest of every part of volumes first…last and where it is; the first of equals, or the first nan.

    depths, heights, widths: where the parts begin and end.
    """
    height, width = x.shape[2:]
    for volume in range(first, last):
        for i in range(len(depths)):
            for j in range(len(heights)):
                for k in range(len(widths)):
                    top, near, left = depths[i, 0], heights[j, 0], widths[k, 0]
                    best = x[volume, top, near, left]
                    place = (top * height + near) * width + left
                    for d in range(top, depths[i, 1]):
                        for r in range(near, heights[j, 1]):
                            row = x[volume, d, r, left : widths[k, 1]]
                            for c in range(len(row)):
                                value = row[c]
                                if value > best or (value != value and best == best):
                                    best = value
                                    place = (d * height + r) * width + left + c
                    out[volume, i, j, k], places[volume, i, j, k] = best, place


@functools.lru_cache(maxsize=256)
def _cuts(size: int, count: int) -> np.ndarray:
    from tensorlab.ops.pool import parts

    return np.array(parts(size, count), np.int64)


def largest_parts(x: np.ndarray, size: Ints) -> tuple[np.ndarray, np.ndarray]:
    """The largest of each of `size` parts of x (…, *whole), and its flat position: both (…, *size)."""
    dims, none = len(size), (1,) * (3 - len(size))
    lead, whole = x.shape[: x.ndim - dims], x.shape[x.ndim - dims :]
    volumes = np.ascontiguousarray(x).reshape(-1, *none, *whole)
    out = np.empty((len(volumes), *none, *size), np.float32)
    places = np.empty(out.shape, np.int64)
    cuts = [_cuts(n, m) for n, m in zip((*none, *whole), (*none, *size), strict=True)]
    parts = split(len(volumes), pass_threads(2 * x.size))
    run_parts(largest, parts, volumes, out, places, *cuts)
    return out.reshape(*lead, *size), places.reshape(*lead, *size)
