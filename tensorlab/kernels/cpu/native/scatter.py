"""Numbers added at places that may repeat, and read from places: the gradients of indexing.

Arrays are seen as `(outer, n, inner)`: what comes before the dimension, the dimension, what comes after.
Sums are made in the order of the places, on one thread each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import split, thread_count


@compiled("boolean(int64[::1], int64)")
def _inside(places, n):
    """Whether all places are among n; those counted from the end become those from the front."""
    for j in range(len(places)):
        if places[j] < -n or places[j] >= n:
            return False
        if places[j] < 0:
            places[j] += n
    return True


@compiled("void(float32[:, :, ::1], int64[::1], float32[:, :, ::1], int64, int64)", limits=2)
def _read_slices(x, places, out, first, last):
    """out[:, j] = x[:, places[j]] for outer first…last."""
    for o in range(first, last):
        if x.shape[2] == 1:  # each slice is a number
            line, found = x[o, :, 0], out[o, :, 0]
            for j in range(len(places)):
                found[j] = line[places[j]]
        else:
            for j in range(len(places)):
                row, found = x[o, places[j]], out[o, j]
                for i in range(len(row)):
                    found[i] = row[i]


@compiled(
    "void(float32[:, :, ::1], int64[::1], float32[:, :, ::1], float32, int64, int64)", limits=2
)
def _add_slices(out, places, more, factor, first, last):
    """out[:, places[j]] += factor · more[:, j], likewise."""
    for o in range(first, last):
        if out.shape[2] == 1:
            line, added = out[o, :, 0], more[o, :, 0]
            for j in range(len(places)):
                line[places[j]] += factor * added[j]
        else:
            for j in range(len(places)):
                row, added = out[o, places[j]], more[o, j]
                for i in range(len(row)):
                    row[i] += factor * added[i]


_ALONG = (
    "void(float32[:, :, ::1], int64[:, :, ::1], float32[:, :, ::1], boolean[::1], int64, int64)"
)


@compiled(_ALONG, limits=2)
def _add_along(out, places, more, missed, first, last):
    """out[o, places[o, j, i], i] += more[o, j, i] for outer first…last; that a place is missing is noted."""
    n, count, inner = out.shape[1], places.shape[1], places.shape[2]
    for o in range(first, last):
        if inner == 1:
            line, at, added = out[o, :, 0], places[o, :, 0], more[o, :, 0]
            for j in range(count):
                if at[j] < 0 or at[j] >= n:
                    missed[0] = True
                    return
                line[at[j]] += added[j]
        else:
            for j in range(count):
                for i in range(inner):
                    place = places[o, j, i]
                    if place < 0 or place >= n:
                        missed[0] = True
                        return
                    out[o, place, i] += more[o, j, i]


@compiled(_ALONG, limits=2)
def _read_along(x, places, out, missed, first, last):
    """out[o, j, i] = x[o, places[o, j, i], i], likewise."""
    n, count, inner = x.shape[1], places.shape[1], places.shape[2]
    for o in range(first, last):
        if inner == 1:
            line, at, found = x[o, :, 0], places[o, :, 0], out[o, :, 0]
            for j in range(count):
                if at[j] < 0 or at[j] >= n:
                    missed[0] = True
                    return
                found[j] = line[at[j]]
        else:
            for j in range(count):
                for i in range(inner):
                    place = places[o, j, i]
                    if place < 0 or place >= n:
                        missed[0] = True
                        return
                    out[o, j, i] = x[o, place, i]


def _all(kernel: Any, outer: int, work: int, *arrays: Any) -> bool:
    """Whether all parts of a kernel found all places."""
    missed = np.zeros(1, np.bool_)
    run_parts(kernel, split(outer, thread_count(4 * work)), *arrays, missed)
    return not missed[0]


def _own(places: np.ndarray, n: int) -> Any:
    """A copy of the places, all counted from the front; None if one is not there."""
    own = places.copy()
    return own if _inside(own, n) else None


def read_slices(x: np.ndarray, dim: int, places: np.ndarray) -> Any:
    """The slices of x at these places along `dim`; NotImplemented if one is not there."""
    own = _own(places, x.shape[dim])
    if own is None:
        return NotImplemented
    out = np.empty((*x.shape[:dim], len(own), *x.shape[dim + 1 :]), np.float32)
    given, found = _three(x, dim), _three(out, dim)
    run_parts(_read_slices, split(len(given), thread_count(out.size)), given, own, found)
    return out


def add_slices(
    out: np.ndarray, dim: int, places: np.ndarray, more: np.ndarray, factor: float = 1.0
) -> Any:
    """Slices added to contiguous `out`, in place, which it returns; NotImplemented if one is not there."""
    own = _own(places, out.shape[dim])
    if own is None:
        return NotImplemented
    target, given = _three(out, dim), _three(more, dim)
    parts = split(len(target), thread_count(2 * given.size))
    run_parts(_add_slices, parts, target, own, given, factor)
    return out


def _three(x: np.ndarray, dim: int) -> np.ndarray:
    shape = x.shape
    outer, inner = math.prod(shape[:dim]), math.prod(shape[dim + 1 :])
    return np.ascontiguousarray(x).reshape(outer, shape[dim], inner)


def add_along(out: np.ndarray, dim: int, places: np.ndarray, more: np.ndarray) -> Any:
    """Each number added to contiguous `out`, in place, at its own position along `dim`; likewise."""
    arrays = [_three(x, dim) for x in (out, places, more)]
    return out if _all(_add_along, len(arrays[0]), more.size, *arrays) else NotImplemented


def read_along(x: np.ndarray, dim: int, places: np.ndarray) -> Any:
    """The number at each position along `dim`; NotImplemented if one is not there."""
    out = np.empty(places.shape, np.float32)
    arrays = [_three(a, dim) for a in (x, places, out)]
    return out if _all(_read_along, len(arrays[0]), out.size, *arrays) else NotImplemented
