"""Weighted sums of a few elements along one dimension, as a table says: see `tensorlab.ops.resample`."""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import math

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import at, scale_row
from tensorlab.kernels.threads import split, thread_count

_ZERO = np.float32(0)
#: Results computed side by side, at least, where rows are shorter.
LONG = 512


@compiled(
    "void(float32[:, :, ::1], int32[:, ::1], float32[:, ::1], float32[:, :, ::1], int64, int64)",
    limits=2,
)
def rows(x, sources, weights, out, first, last):
    """out[n, o] = Σₜ weights[t, o] · x[n, sources[t, o]] for the rows first…last; −1 is no source."""
    results, length = out.shape[1:]
    for row in range(first, last):
        n, o = row // results, row % results
        target = at(out, row * length)
        began = False
        for t in range(len(sources)):
            source = sources[t, o]
            if source >= 0:
                here = at(x, (n * x.shape[1] + source) * length)
                scale_row(here, target, length, weights[t, o], began)
                began = True
        if not began:
            for j in range(length):
                out[n, o, j] = 0


@compiled(
    "void(float32[::1], int32[:, ::1], float32[:, ::1], float32[::1], int64, int64, int64, int64)",
    limits=2,
)
def columns(x, sources, weights, out, size, results, first, last):
    """Of rows of `size`, first…last, the sums that make `results` of each; −1 is no source.

    The tables are those of several rows one after another, so that short rows are computed together.
    """
    together = len(sources[0]) // results
    for row in range(first, last, together):
        count = min(together, last - row)
        here = x[row * size : (row + count) * size]
        target = out[row * results : (row + count) * results]
        for t in range(len(sources)):
            places, factors = sources[t], weights[t]
            for o in range(len(target)):
                place = places[o]
                # Not by a weight of 0: nan and infinities would come through.
                part = factors[o] * here[max(place, 0)] if place >= 0 else _ZERO
                target[o] = part if t == 0 else target[o] + part


def resample(x: np.ndarray, dim: int, sources: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sums along `dim`: sources and weights are (results, terms)."""
    size, results = x.shape[dim], len(sources)
    after = x.shape[dim + 1 :]
    out = np.empty((*x.shape[:dim], results, *after), np.float32)
    threads = thread_count(2 * out.size * sources.shape[1])
    if math.prod(after) > 1:
        places = np.ascontiguousarray(sources.T, np.int32)
        factors = np.ascontiguousarray(weights.T, np.float32)
        stacks = np.ascontiguousarray(x).reshape(-1, size, math.prod(after))
        found = out.reshape(len(stacks), results, -1)
        parts = split(len(stacks) * results, threads)
        run_parts(rows, parts, stacks, places, factors, found)
        return out
    together = -(-LONG // results)
    begins = np.arange(together)[:, None] * size
    places = np.stack([np.where(s < 0, -1, s + begins).reshape(-1) for s in sources.T])
    places = places.astype(np.int32)
    factors = np.tile(weights.T.astype(np.float32), together)
    flat, found = np.ascontiguousarray(x).reshape(-1), out.reshape(-1)
    parts = split(len(flat) // size, threads)
    run_parts(columns, parts, flat, places, factors, found, size, results)
    return out
