"""Values that pass between a check and a learner's code: read them, copy them, keep them."""

from __future__ import annotations

import copy
import types
from typing import Any

import numpy as np

try:  # the public place since NumPy 2.0
    from numpy.lib.array_utils import byte_bounds
except ImportError:  # pragma: no cover
    byte_bounds = np.byte_bounds  # type: ignore[attr-defined]

__all__ = ["as_array", "element_count", "freeze", "is_array_like", "private_copy", "unchanged"]


def is_array_like(value: Any) -> bool:
    """True for NumPy arrays and for tensors: anything that says how it becomes an array.

    >>> is_array_like(np.zeros(2)), is_array_like([0.0, 0.0]), is_array_like(np.float32(1))
    (True, False, False)
    """
    if isinstance(value, np.ndarray):
        return True
    if isinstance(value, (type, np.generic)):
        return False
    return any(hasattr(value, name) for name in ("__array__", "detach"))


def as_array(value: Any) -> np.ndarray:
    """The values of an array, a tensor (detached, on the CPU), a number or a nested list.

    >>> as_array([1, 2]).shape
    (2,)
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    for step in ("detach", "cpu", "numpy"):
        method = getattr(value, step, None)
        if callable(method) and not isinstance(value, np.ndarray):
            value = method()
    return np.asarray(value)


def element_count(value: Any) -> int:
    """How many elements the arrays inside a value have together; the size of a case.

    A list, string or dict without arrays counts its entries, so that exercises on plain
    Python values have small and large cases too.

    >>> element_count((np.zeros((2, 3)), [np.zeros(4), 5], "name"))
    10
    >>> element_count(([1, 2, 3],))
    3
    """
    arrays = _array_elements(value)
    return arrays if arrays is not None else _entries(value)


def _array_elements(value: Any) -> int | None:
    if is_array_like(value):
        shape = getattr(value, "shape", None)
        return int(np.prod([int(n) for n in shape], dtype=np.int64)) if shape is not None else 1
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        counts = [count for count in map(_array_elements, value) if count is not None]
        return sum(counts) if counts else None
    return None


def _entries(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return sum(map(_entries, value))
    return 0 if value is None else 1


def private_copy(value: Any, memo: dict[int, Any] | None = None) -> Any:
    """A deep copy that keeps the memory layout of arrays: strides, order, read-only flags.

    ``copy.deepcopy`` would make every array contiguous, and code that only works on
    contiguous arrays would pass. Arguments that are one object stay one object.

    >>> x = np.arange(10)[::-2]
    >>> y = private_copy(x)
    >>> y.strides == x.strides, np.shares_memory(x, y), y.tolist()
    (True, False, [9, 7, 5, 3, 1])
    """
    memo = {} if memo is None else memo
    if id(value) in memo:
        return memo[id(value)]
    made: Any
    if type(value) is np.ndarray and value.dtype != object:
        made = _copy_array(value)
    elif type(value) is list:
        made = [private_copy(item, memo) for item in value]
    elif type(value) is tuple:
        made = tuple(private_copy(item, memo) for item in value)
    elif type(value) is dict:
        made = {key: private_copy(item, memo) for key, item in value.items()}
    elif isinstance(value, (types.ModuleType, types.FunctionType, type)):
        made = value
    else:
        made = copy.deepcopy(value)
    memo[id(value)] = made
    return made


def _copy_array(x: np.ndarray) -> np.ndarray:
    low, high = byte_bounds(x)
    address = x.__array_interface__["data"][0]
    buffer = np.empty(max(high - low, 1), dtype=np.uint8)
    # Views of one byte each, so the gaps between the elements need not be readable memory.
    made = np.ndarray(
        x.shape,
        x.dtype,
        buffer=buffer.data,
        offset=address - low if x.size else 0,
        strides=x.strides if x.size else None,
    )
    for axis, stride in enumerate(x.strides):
        if stride == 0 and x.shape[axis] > 1 and x.size:
            # Stretched axes hold each element once; writing through them once is enough.
            picked = tuple(slice(0, 1) if s == 0 else slice(None) for s in x.strides)
            made[picked] = x[picked]
            break
    else:
        made[...] = x
    made.flags.writeable = x.flags.writeable
    return made


def freeze(value: Any) -> Any:
    """A copy of a result that later calls can't change: arrays and tensors as fresh arrays."""
    if is_array_like(value):
        return np.array(as_array(value))
    if isinstance(value, (list, tuple)):
        items = [freeze(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {key: freeze(item) for key, item in value.items()}
    return value


def unchanged(before: Any, after: Any) -> bool:
    """Is a (private copy of a) value still what it was? Compares bits, so NaN equals NaN."""
    if is_array_like(before):
        if not is_array_like(after):
            return False
        a, b = as_array(before), as_array(after)
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if a.dtype == object:
            return bool(all(unchanged(x, y) for x, y in zip(a.flat, b.flat, strict=True)))
        return a.tobytes() == b.tobytes()
    if type(before) is not type(after):
        return False
    if isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if isinstance(before, dict):
        return list(before) == list(after) and all(
            unchanged(before[key], after[key]) for key in before
        )
    if isinstance(before, (int, float, complex, str, bytes, bool, set, frozenset)):
        return before == after or (before != before and after != after)  # NaN
    return True
