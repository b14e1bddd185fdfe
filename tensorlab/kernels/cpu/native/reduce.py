"""Sums of the rows and of the columns of matrices, and norms of rows.

Whole vectors are added side by side, and in float64 from block to block.
"""

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.maths import dot, total
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import blocks, numbered, pass_threads, split

#: So many numbers of a row, and so many rows, are added in float32.
BLOCK, ROWS = 2_048, 64


@compiled("void(float32[::1], int64, float64, float32[::1], int64, int64)", limits=2)
def _row_sums(x, n, share, out, first, last):
    """Sums of the rows first…last, of n numbers each."""
    for r in range(first, last):
        row = x[r * n : r * n + n]
        found = 0.0
        for start in range(0, n, BLOCK):
            found += total(row[start : start + BLOCK])
        out[r] = np.float32(found * share)


@compiled("void(float32[::1], int64, float32[::1], int64, int64)", limits=2)
def _row_norms(x, n, out, first, last):
    """The roots of the sums of squares of the rows first…last, of n numbers each."""
    for r in range(first, last):
        found = 0.0
        for start in range(r * n, r * n + n, BLOCK):
            part = x[start : min(start + BLOCK, r * n + n)]
            found += dot(part, part)
        out[r] = np.float32(np.sqrt(found))


@compiled("void(float32[::1], float32[::1], int64, float32[::1], int64, int64)", limits=2)
def _scaled_rows(x, factors, n, out, first, last):
    """The rows first…last, of n numbers each, times a factor each."""
    for r in range(first, last):
        source, target, factor = x[r * n : r * n + n], out[r * n : r * n + n], factors[r]
        for j in range(len(target)):
            target[j] = source[j] * factor


@compiled("void(float32[::1], float64[::1], int64, int64, int64)", limits=3)
def add_sum(x, sums, number, first, last):
    """Add the sum of x from first to last to sums[number]."""
    found = 0.0
    for start in range(first, last, BLOCK):
        found += total(x[start : min(start + BLOCK, last)])
    sums[number] += found


@compiled(
    "void(float32[:, :, ::1], float64, float32[:, ::1], int64, int64, int64, int64)", limits=4
)
def _column_sums(x, share, out, first, last, left, right):
    """Sums over the middle of (outer, rows, columns), of outer first…last and columns left…right."""
    rows = x.shape[1]
    block, total = np.empty(right - left, np.float32), np.empty(right - left, np.float64)
    for o in range(first, last):
        total[:] = 0
        for start in range(0, rows, ROWS):
            block[:] = 0
            end = min(start + ROWS, rows)
            fours = start + (end - start) // 4 * 4
            for r in range(start, fours, 4):
                a, b = x[o, r, left:right], x[o, r + 1, left:right]
                c, d = x[o, r + 2, left:right], x[o, r + 3, left:right]
                for j in range(len(block)):
                    block[j] += (a[j] + b[j]) + (c[j] + d[j])
            for r in range(fours, end):
                line = x[o, r, left:right]
                for j in range(len(block)):
                    block[j] += line[j]
            for j in range(len(block)):
                total[j] += block[j]
        found = out[o, left:right]
        for j in range(len(found)):
            found[j] = np.float32(total[j] * share)


def column_sums(x: np.ndarray, share: float) -> np.ndarray:
    """The sums over the middle of contiguous x (outer, rows, columns), times `share`."""
    outer, _, columns = x.shape
    out = np.empty((outer, columns), np.float32)
    threads = pass_threads(2 * x.size)
    down, across = (threads, 1) if outer >= threads else (1, threads)
    # Whole cache lines to each thread.
    parts = blocks(outer, columns, down, across, 1, 16)
    run_parts(_column_sums, parts, x, share, out)
    return out


def row_sums(x: np.ndarray, n: int, share: float) -> np.ndarray:
    """The sums of every n neighbours of contiguous x, times `share`."""
    flat = x.reshape(-1)
    out = np.empty(x.size // n, np.float32)
    threads = pass_threads(2 * x.size)
    if len(out) >= threads:
        run_parts(_row_sums, split(len(out), threads), flat, n, share, out)
    else:
        for r in range(len(out)):
            out[r] = _long_sum(flat[r * n : r * n + n], threads) * share
    return out


def _long_sum(row: np.ndarray, threads: int) -> float:
    """The sum of one row, cut into parts."""
    parts = numbered(len(row), threads, BLOCK)
    sums = np.zeros(len(parts))
    run_parts(add_sum, parts, row, sums)
    return float(sums.sum())


def row_norms(x: np.ndarray, n: int) -> np.ndarray:
    """The Euclidean norms of every n neighbours of contiguous x."""
    out = np.empty(x.size // n, np.float32)
    parts = split(len(out), pass_threads(2 * x.size))
    run_parts(_row_norms, parts, x.reshape(-1), n, out)
    return out


def scaled_rows(x: np.ndarray, factors: np.ndarray, n: int) -> np.ndarray:
    """Contiguous x, every n neighbours times a factor."""
    out = np.empty(x.shape, np.float32)
    parts = split(len(factors), pass_threads(3 * x.size))
    run_parts(_scaled_rows, parts, x.reshape(-1), factors, n, out.reshape(-1))
    return out
