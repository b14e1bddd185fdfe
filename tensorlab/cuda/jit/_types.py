"""Which dtype an operation of a kernel has: C's order of types, with NumPy's names.

Numbers written in a kernel are *weak*, as in NumPy: `2.0 * x` has the dtype of `x` if that is a
float, else float32. Alone they are int32 and float32, CUDA's `int` and `float`. The words for
threads and sizes are int32, as in Numba, so that `threadIdx.x - 1` can be negative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "BOOL",
    "ELEMENTS",
    "FLOAT32",
    "FLOAT64",
    "INT32",
    "INT64",
    "UINT32",
    "held_as",
    "kind",
    "of_number",
    "promote",
]

BOOL = np.dtype(np.bool_)
INT32 = np.dtype(np.int32)
INT64 = np.dtype(np.int64)
UINT32 = np.dtype(np.uint32)
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)

_ORDER = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float32 float64"
_RANK = {np.dtype(name): rank for rank, name in enumerate(_ORDER.split())}
#: What elements of arrays may be. float16 is computed in float32, as the GPU's own code does.
ELEMENTS = frozenset({*_RANK, np.dtype(np.float16)})


def kind(dtype: np.dtype[Any]) -> int:
    """0 for bool, 1 for whole numbers, 2 for floats: what can't be assigned to something lower."""
    return 0 if dtype == BOOL else 1 if dtype.kind in "iu" else 2


def held_as(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which an element of `dtype` is computed with."""
    return FLOAT32 if dtype == np.float16 else dtype


def promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a sum of both: the later in C's order.

    >>> import numpy as np
    >>> promote(np.dtype("int64"), np.dtype("float32"))
    dtype('float32')
    """
    return a if _RANK[a] >= _RANK[b] else b


def of_number(value: Any) -> np.dtype[Any]:
    """The dtype of a number from Python: int32 (int64 where it does not fit) and float32."""
    if isinstance(value, np.generic):
        return held_as(value.dtype)
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT32 if -(2**31) <= value < 2**31 else UINT32 if 0 <= value < 2**32 else INT64
    return FLOAT32
