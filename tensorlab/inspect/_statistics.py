"""Numbers about one array, cheap enough to be taken in the middle of a training loop."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, isfinite, nan, sqrt
from typing import Any

import numpy as np

from tensorlab._backend import backend_of, on_device_of, runs_there, to_numpy

__all__ = ["EDGES", "count_nonfinite", "dot", "moments", "norm", "sample", "summaries", "zeros"]

#: Histograms and moments look at no more elements than this, evenly spread over the array.
MOST_ELEMENTS = 4096

# Bins of magnitude: powers of 4 from 2^-40 (about 1e-12) to 2^10, for each sign, with one bin for
# what is larger and one in the middle for zero and what is smaller.
_LOW, _HIGH, _STEP = -40, 10, 2
_PER_SIGN = (_HIGH - _LOW) // _STEP + 1
_BINS = 2 * _PER_SIGN + 1
_MAGNITUDES = tuple(2.0**e for e in range(_LOW, _HIGH + 1, _STEP))
#: Edges of the histogram's bins, ascending; bin i lies between EDGES[i] and EDGES[i + 1].
EDGES: tuple[float, ...] = (
    float("-inf"), *(-m for m in reversed(_MAGNITUDES)), *_MAGNITUDES, float("inf")
)  # fmt: skip


def _bin_of_codes() -> np.ndarray:
    """The bin of each sign and exponent of a float32 (its upper nine bits); `_BINS` for nan and inf."""
    table = np.empty(512, np.int64)
    for code in range(512):
        exponent = (code & 0xFF) - 127
        if code & 0xFF == 0xFF:
            table[code] = _BINS
            continue
        place = 0 if exponent < _LOW else min((exponent - _LOW) // _STEP + 1, _PER_SIGN)
        table[code] = _PER_SIGN + (-place if code >> 8 else place)
    return table


_TABLE = _bin_of_codes()


def norm(array: Any) -> float:
    """The 2-norm: the square root of the sum of squares."""
    total = dot(array, array)
    return sqrt(total) if total >= 0 else nan


@runs_there
def dot(first: Any, second: Any) -> float:
    """The sum of the products; low precision is raised to float32 first."""
    a = _wide(first).reshape(-1)
    b = a if second is first else _wide(second).reshape(-1)
    if a.dtype.kind == "c":
        return float(backend_of(a).xp.vdot(a, b).real)
    total = float(a @ b)
    if isfinite(total) or a.dtype.itemsize > 4:
        return total
    # The squares may have overflowed where the numbers had not.
    return float(a.astype(np.float64) @ b.astype(np.float64))


@runs_there
def count_nonfinite(array: Any) -> int:
    """How many elements are nan or infinite."""
    wide = _wide(array)
    return int(wide.size - int(backend_of(wide).xp.isfinite(wide).sum()))


@runs_there
def zeros(array: Any) -> float:
    """Which share of the elements is exactly 0; 0 of an empty array."""
    # Counting true values is many times faster than counting numbers or adding up truth values.
    used = int(backend_of(array).xp.count_nonzero(array != 0))
    return 1 - used / array.size if array.size else 0.0


@runs_there
def sample(array: Any) -> Any:
    """At most `MOST_ELEMENTS` of the elements, evenly spread, in one dimension; real, float32 or wider."""
    flat = array.reshape(-1)
    if flat.size > MOST_ELEMENTS:
        step = -(-flat.size // MOST_ELEMENTS)
        while gcd(step, array.shape[-1]) > 1:  # else it would see only some of the columns
            step += 1
        flat = flat[::step]
    flat = _wide(flat)
    return backend_of(flat).xp.abs(flat) if flat.dtype.kind == "c" else flat


@runs_there
def moments(values: Any) -> tuple[float, float]:
    """Mean and standard deviation (dividing by n) of a sample."""
    if values.size == 0:
        return nan, nan
    mean = float(values.sum()) / values.size
    rest = values - values.dtype.type(mean)
    return mean, sqrt(dot(rest, rest) / values.size) if isfinite(mean) else nan


def summaries(samples: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, standard deviations and histograms (int32, a row of bins each) of several samples.

    All at once: each would cost a dozen calls, and each transfer from a GPU a wait.
    """
    sizes = np.array([each.size for each in samples], np.int64)
    histograms = np.zeros((len(samples), _BINS), np.int32)
    means = np.full(len(samples), nan)
    stds = means.copy()
    some = np.flatnonzero(sizes)
    if some.size == 0:
        return means, stds, histograms
    filled, sizes = [samples[int(i)] for i in some], sizes[some]
    with on_device_of(filled[0]):
        values = to_numpy(backend_of(filled[0]).xp.concatenate(filled))
    starts = np.cumsum(sizes) - sizes
    wide = values.astype(np.float64)
    means[some] = np.add.reduceat(wide, starts) / sizes
    squares = np.add.reduceat(wide * wide, starts) / sizes
    stds[some] = np.sqrt(np.maximum(squares - np.square(means[some]), 0))
    codes = np.ascontiguousarray(values.astype(np.float32, copy=False)).view(np.uint32) >> 23
    end = some.size * (_BINS + 1)
    places = _TABLE.take(codes) + np.repeat(np.arange(0, end, _BINS + 1), sizes)
    counts = np.bincount(places, minlength=end).reshape(-1, _BINS + 1)
    histograms[some] = counts[:, :_BINS]
    return means, stds, histograms


def _wide(array: Any) -> Any:
    """As it is if its precision is at least single, else as float32."""
    if array.dtype.kind in "fc" and array.dtype.itemsize >= 4:
        return array
    return array.astype(np.float32)
