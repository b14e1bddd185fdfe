"""Running sums along a dimension, from either end, added up in float64."""

from __future__ import annotations

import math

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import pass_threads, split


@compiled("void(float32[:, :, ::1], float32[:, :, ::1], boolean, int64, int64)", limits=2)
def _sums(x, out, backward, first, last):
    """The running sums of (outer, n, inner) along n, of outer first…last."""
    n, inner = x.shape[1], x.shape[2]
    totals = np.empty(inner, np.float64)
    for o in range(first, last):
        totals[:] = 0
        for step in range(n):
            j = n - 1 - step if backward else step
            row, found = x[o, j], out[o, j]
            for i in range(inner):
                totals[i] += row[i]
                found[i] = np.float32(totals[i])


@compiled("void(float32[:, ::1], float32[:, ::1], boolean, int64, int64)", limits=2)
def _row_sums(x, out, backward, first, last):
    """Those of rows, four at a time: an addition has to wait for the one before it in its row."""
    n = x.shape[1]
    for top in range(first, last, 4):
        # Of fewer than four rows that are left, the last is computed again.
        r1, r2, r3 = min(top + 1, last - 1), min(top + 2, last - 1), min(top + 3, last - 1)
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for step in range(n):
            j = n - 1 - step if backward else step
            a, b, c, d = a + x[top, j], b + x[r1, j], c + x[r2, j], d + x[r3, j]
            out[top, j], out[r1, j] = np.float32(a), np.float32(b)
            out[r2, j], out[r3, j] = np.float32(c), np.float32(d)


def running_sums(x: np.ndarray, dim: int, backward: bool) -> np.ndarray:
    """The sums up to each position along `dim`, or from it to the end if `backward`."""
    outer, n = math.prod(x.shape[:dim]), x.shape[dim]
    given = np.ascontiguousarray(x).reshape(outer, n, -1)
    out = np.empty_like(given)
    parts = split(outer, pass_threads(2 * x.size), 4)
    if given.shape[2] == 1:
        run_parts(_row_sums, parts, given[:, :, 0], out[:, :, 0], backward)
    else:
        run_parts(_sums, parts, given, out, backward)
    return out.reshape(x.shape)
