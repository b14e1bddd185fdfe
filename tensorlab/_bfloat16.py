"""bfloat16: the upper half of a float32, with its range and 8 bits of precision.

NumPy has no such type; the package `ml_dtypes` adds it. It is imported when bfloat16 is first
used, by name or in an array, and never before.

Arithmetic is PyTorch's: operands become float32, the operation runs there, and its result is
rounded once. So sums accumulate in float32, and no operation has to know of this type: `compute` in
`_apply` asks `lowered` what to do with the arrays, and the engine computes gradients the same way.

Arrays of bfloat16 in tensors have a class of their own. The short lanes of `_apply` take plain
`ndarray`s, so these pass them by without a test being needed there; and operators on such arrays
round as the operations do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab._backend import is_array

try:
    import ml_dtypes  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise ImportError(
        "bfloat16 needs the package ml_dtypes, which tensorlab-course normally brings along: "
        "install it with 'pip install ml_dtypes'"
    ) from error

NUMPY = np.dtype(ml_dtypes.bfloat16)
_FLOAT32 = np.dtype(np.float32)
_LARGEST = float(ml_dtypes.finfo(NUMPY).max)


class BFloat16Array(np.ndarray):
    """An array of bfloat16 that computes in float32."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        # A float32 array beside it decides the dtype, a number or a 0-dim array does not.
        wider = any(
            isinstance(x, np.ndarray) and x.ndim and x.dtype.kind in "fc" and x.dtype != NUMPY
            for x in inputs
        )
        wider = wider or kwargs.get("dtype", NUMPY) != NUMPY
        if "dtype" in kwargs and not wider:
            kwargs["dtype"] = _FLOAT32
        targets = out or ()
        # NumPy would make float64 of float32 and whole numbers.
        found = getattr(ufunc, method)(
            *[lower(x.astype(_FLOAT32) if _is_whole(x) else x) for x in inputs], **kwargs
        )
        results = found if isinstance(found, tuple) else (found,)
        results = tuple(r if wider else _narrow(r) for r in results)
        for target, result in zip(targets, results, strict=False):
            target[...] = result
        results = targets or results
        return results if isinstance(found, tuple) else results[0]

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """As NumPy's; another dtype comes as a plain array."""
        found = super().astype(dtype, *args, **kwargs)
        return found if found.dtype == NUMPY else found.view(np.ndarray)

    def __reduce__(self) -> Any:
        return tagged, (self.view(np.ndarray),)


def tagged(array: Any) -> Any:
    """`array` in the class that tensors hold bfloat16 in; other arrays as they are."""
    if type(array) is np.ndarray and array.dtype == NUMPY:
        return array.view(BFloat16Array)
    return array


def _is_whole(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.integer)) and value.dtype.kind in "iu"


def lower(value: Any) -> Any:
    """bfloat16 as float32, in tuples too; anything else as it is."""
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value).astype(_FLOAT32) if value.dtype == NUMPY else value
    if is_array(value):  # of another device, which needs no class of its own
        return value.astype(_FLOAT32) if value.dtype == NUMPY else value
    return tuple(map(lower, value)) if type(value) is tuple else value


def _narrow(value: Any) -> Any:
    """float32 rounded to bfloat16; anything else as it is, in the class that tensors hold."""
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype == _FLOAT32:
            return np.asarray(value).astype(NUMPY).view(BFloat16Array)
        return tagged(value)
    if is_array(value):
        return value.astype(NUMPY) if value.dtype == _FLOAT32 else value
    if isinstance(value, tuple):
        narrowed = map(_narrow, value)
        return type(value)(*narrowed) if hasattr(value, "_fields") else tuple(narrowed)
    return value


def _tagged_all(value: Any) -> Any:
    return tuple(map(tagged, value)) if type(value) is tuple else tagged(value)


def lowered(
    op: Any, arrays: list[Any], params: tuple[Any, ...]
) -> tuple[list[Any], tuple[Any, ...], Callable[[Any], Any]]:
    """What to run an operation on, and what to make of its result."""
    if op.view or op.name == "transfer":
        return arrays, params, _tagged_all
    kinds = {a.dtype for a in arrays if hasattr(a, "dtype") and a.dtype.kind in "fcV"}
    at = op.params.index("dtype") if "dtype" in op.params else -1
    wanted = None if at < 0 or params[at] is None else _dtypes.as_dtype(params[at])
    # Operands of two types, where the operation does not promote: it has something to say to that.
    ours = NUMPY in kinds and (len(kinds) == 1 or op.promoted is not None)
    if ours and op.name == "nextafter":  # the neighbour among bfloat16 numbers, not among float32's
        return [np.asarray(a) for a in arrays], params, _tagged_all
    if ours and op.name == "nan_to_num":
        limits = {"posinf": _LARGEST, "neginf": -_LARGEST}
        given = zip(op.params, params, strict=True)
        params = tuple(limits.get(n) if v is None else v for n, v in given)
    if wanted is bfloat16:
        wider = _dtypes.float32 if isinstance(params[at], _dtypes.dtype) else _FLOAT32
        params = (*params[:at], wider, *params[at + 1 :])
    elif not ours or wanted is not None:
        return [lower(a) for a in arrays] if ours else arrays, params, _tagged_all
    return [lower(a) for a in arrays] if ours else arrays, params, _narrow


bfloat16 = _dtypes.dtype("bfloat16")
