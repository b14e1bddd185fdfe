"""Rows of a table by their numbers, and the gradient: rows added at their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import split, thread_count


@compiled(
    "void(float32[:, ::1], int64[::1], float32[:, ::1], boolean[::1], int64, int64)", limits=2
)
def _pick(table, places, out, missed, first, last):
    """Copy the rows at `places`; that one is not there is noted."""
    for i in range(first, last):
        place = places[i]
        if place < 0 or place >= len(table):
            missed[0] = True
            return
        row, result = table[place], out[i]
        for j in range(len(result)):
            result[j] = row[j]


@compiled(
    "void(float32[:, ::1], int64[::1], int64, float32[:, ::1], boolean[::1], int64, int64)",
    limits=2,
)
def _add(g, places, left_out, out, missed, first, last):
    """Rows first…last of `out`: the sum of the rows of g that belong there, in their order."""
    for r in range(first, last):
        row = out[r]
        for j in range(len(row)):
            row[j] = 0
    for i in range(len(places)):
        place = places[i]
        if place < 0 or place >= len(out):
            missed[0] = True
            return
        if first <= place < last and place != left_out:
            row, more = out[place], g[i]
            for j in range(len(row)):
                row[j] += more[j]


def pick(table: np.ndarray, indices: np.ndarray) -> Any:
    """The rows of the table; NotImplemented if one is not there."""
    places = np.ascontiguousarray(indices).reshape(-1)
    out = np.empty((places.size, table.shape[1]), np.float32)
    missed = np.zeros(1, np.bool_)
    parts = split(places.size, thread_count(out.size))
    run_parts(_pick, parts, np.ascontiguousarray(table), places, out, missed)
    return NotImplemented if missed[0] else out.reshape(*indices.shape, table.shape[1])


def add(g: np.ndarray, indices: np.ndarray, rows: int, left_out: int) -> Any:
    """The rows of g added at their numbers in a table of zeros; NotImplemented likewise."""
    places = np.ascontiguousarray(indices).reshape(-1)
    slope = np.ascontiguousarray(g).reshape(places.size, -1)
    out = np.empty((rows, slope.shape[1]), np.float32)
    missed = np.zeros(1, np.bool_)
    parts = split(rows, thread_count(2 * slope.size + out.size))
    run_parts(_add, parts, slope, places, left_out, out, missed)
    return NotImplemented if missed[0] else out
