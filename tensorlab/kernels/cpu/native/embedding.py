"""Rows of a table by their numbers, and the gradient: rows added at their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.threads import run_parts, split, thread_count


@compiled("boolean(float32[:, ::1], int64[::1], float32[:, ::1])")
def _pick(table, places, out):
    """Copy the rows at `places`; whether all of them are there."""
    for i in range(len(places)):
        place = places[i]
        if place < 0 or place >= len(table):
            return False
        row, result = table[place], out[i]
        for j in range(len(result)):
            result[j] = row[j]
    return True


@compiled("boolean(float32[:, ::1], int64[::1], int64, float32[:, ::1], int64, int64)")
def _add(g, places, left_out, out, first, last):
    """Rows first…last of `out`: the sum of the rows of g that belong there, in their order."""
    for r in range(first, last):
        row = out[r]
        for j in range(len(row)):
            row[j] = 0
    for i in range(len(places)):
        place = places[i]
        if place < 0 or place >= len(out):
            return False
        if first <= place < last and place != left_out:
            row, more = out[place], g[i]
            for j in range(len(row)):
                row[j] += more[j]
    return True


def pick(table: np.ndarray, indices: np.ndarray) -> Any:
    """The rows of the table; NotImplemented if one is not there."""
    places = np.ascontiguousarray(indices).reshape(-1)
    out = np.empty((places.size, table.shape[1]), np.float32)
    found = np.ones(1, np.bool_)
    rows = np.ascontiguousarray(table)

    def part(first: int, last: int) -> None:
        if not _pick(rows, places[first:last], out[first:last]):
            found[0] = False

    run_parts(part, split(places.size, thread_count(out.size)))
    return out.reshape(*indices.shape, table.shape[1]) if found[0] else NotImplemented


def add(g: np.ndarray, indices: np.ndarray, rows: int, left_out: int) -> Any:
    """The rows of g added at their numbers in a table of zeros; NotImplemented likewise."""
    places = np.ascontiguousarray(indices).reshape(-1)
    slope = np.ascontiguousarray(g).reshape(places.size, -1)
    out = np.empty((rows, slope.shape[1]), np.float32)
    found = np.ones(1, np.bool_)

    def part(first: int, last: int) -> None:
        if not _add(slope, places, left_out, out, first, last):
            found[0] = False

    run_parts(part, split(rows, thread_count(2 * slope.size + out.size)))
    return out if found[0] else NotImplemented
