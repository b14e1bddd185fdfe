"""Combining values at places of an array, where one place may come several times.

NumPy has `ufunc.at` for this. CuPy has it for few ufuncs and few dtypes, so that on a device sums go
to the atomic additions that there are, and everything else to a scan over sorted places.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: What CuPy adds to atomically (`cupy.add.at`); a sum of another dtype is made in one of these.
_ATOMIC = ("int32", "float16", "float32", "float64", "uint32", "uint64")


def combine_at(xp: Any, ufunc: str, out: Any, key: Any, values: Any) -> None:
    """`out[key] = ufunc(out[key], values)`, in place, for every time that `key` names an element.

    xp: the array module of `out`.
    ufunc: "add", "multiply", "maximum" or "minimum".
    key: what indexes `out`: arrays, a tuple of them, slices.
    values: an array that broadcasts to the shape of `out[key]`, or a number.
    """
    if xp is np:
        getattr(np, ufunc).at(out, key, values)
    elif ufunc == "add":
        _add_at(xp, out, key, values)
    else:
        _scan_at(xp, getattr(xp, ufunc), out, key, values)


def _add_at(xp: Any, out: Any, key: Any, values: Any) -> None:
    if hasattr(values, "dtype") and values.dtype != out.dtype:
        values = values.astype(out.dtype)
    if out.dtype.kind == "c":
        xp.add.at(out.real, key, values.real)
        xp.add.at(out.imag, key, values.imag)
    elif out.dtype.name in _ATOMIC:
        xp.add.at(out, key, values)
    elif out.dtype == np.int64:
        # Two's complement: sums of signed and unsigned numbers have the same bits.
        added = xp.asarray(values, dtype=np.int64).view(np.uint64)
        xp.add.at(out.view(np.uint64), key, added)
    else:
        wide = out.astype(np.float32 if out.dtype.name == "bfloat16" else np.int32)
        xp.add.at(wide, key, xp.asarray(values).astype(wide.dtype))
        out[...] = wide.astype(out.dtype)


def _scan_at(xp: Any, combine: Any, out: Any, key: Any, values: Any) -> None:
    """Sort the values by place, combine the runs in log₂(n) steps, and store the end of each run.

    The scan is that of Hillis and Steele, "Data parallel algorithms", CACM 29(12), 1986, with
    segments: after the step of width w, each value holds the last 2w values of its run.
    """
    places = xp.arange(out.size).reshape(out.shape)[key]
    values = xp.broadcast_to(xp.asarray(values, dtype=out.dtype), places.shape).reshape(-1)
    places = places.reshape(-1)
    n = places.size
    if n == 0:
        return
    order = xp.argsort(places)
    places, values = places[order], values[order]
    width = 1
    while width < n:
        joined = values.copy()
        joined[width:] = xp.where(
            places[width:] == places[:-width],
            combine(values[width:], values[:-width]),
            values[width:],
        )
        values = joined
        width *= 2
    last = xp.ones(n, bool)
    last[:-1] = places[1:] != places[:-1]
    # Of equal places all but the last write to a spare element behind the array.
    flat = xp.concatenate([out.reshape(-1), out.reshape(-1)[:1]])
    targets = xp.where(last, places, out.size)
    flat[targets] = combine(flat[targets], values)
    out[...] = flat[:-1].reshape(out.shape)
