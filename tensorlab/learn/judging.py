"""Is an answer right, and if not, how is it said in one clear sentence.

Strict on type, shape and dtype, tolerant only on rounding. The functions of NumPy that decide
are held from import on, and a result is never asked whether it is equal: what a learner's code
patches or overrides does not change the verdict.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensorlab.learn.declare import Failure, Raises
from tensorlab.learn.values import as_array, is_array_like

__all__ = ["compare", "tolerance"]

_abs, _array, _isnan, _isfinite, _argwhere = np.abs, np.asarray, np.isnan, np.isfinite, np.argwhere
_errstate, _can_compare = np.errstate, "fc"

#: Relative and absolute tolerance by the size of a real number in bytes.
_TOLERANCES = {2: (1e-2, 1e-3), 4: (1e-4, 1e-5), 8: (1e-7, 1e-8), 16: (1e-7, 1e-8)}
_KINDS = {
    "b": "bool",
    "i": "int",
    "u": "unsigned int",
    "f": "float",
    "c": "complex",
    "O": "object",
    "U": "str",
    "S": "bytes",
}


def tolerance(dtype: np.dtype) -> tuple[float, float]:
    """``(rtol, atol)`` that `compare` uses for a dtype; exact for everything but floats.

    >>> tolerance(np.dtype("float32")), tolerance(np.dtype("int64"))
    ((0.0001, 1e-05), (0.0, 0.0))
    """
    if dtype.kind not in "fc":
        return 0.0, 0.0
    return _TOLERANCES[min(dtype.itemsize // (2 if dtype.kind == "c" else 1), 16)]


def compare(
    got: Any,
    want: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    dtype: str = "same",
    where: str = "",
) -> Failure | None:
    """Compare an answer with the expected one; None if it is right.

    Arrays and tensors are compared by shape, dtype and values; numbers by kind and value
    (``5.0`` is no int, ``True`` is no number); tuples, lists and dicts entry by entry, and a
    list is no tuple. NaN equals NaN. Anything else must be of the same type and equal.

    Args:
        got: the answer.
        want: what was expected; decides how to compare.
        rtol, atol: a float is right if ``|got - want| <= atol + rtol·|want|``. By default
            1e-4 and 1e-5 for float32, 1e-7 and 1e-8 for float64, 1e-2 and 1e-3 for float16.
        dtype: "same" tells float32 from float64 (ints only by kind), "kind" only float from
            int, bool and complex, "any" compares values alone.
        where: what the value is called in messages: ``"item 2 of the result"``.

    >>> compare(np.array([1.0, 2.0]), np.array([1.0, 3.0])).message
    '1 of 2 values is wrong; at index (1,): expected 3.0, got 2.0.'
    >>> compare([1.0, 3.0], np.array([1.0, 3.0])).message
    'Expected a float64 array of shape (2,), got a list: make it one with np.array(...).'
    >>> compare((3, 2), (3, 2)) is None
    True
    """
    if dtype not in ("same", "kind", "any"):
        raise ValueError(f'dtype must be "same", "kind" or "any", got {dtype!r}')
    rules = {"rtol": rtol, "atol": atol, "dtype": dtype}
    told = f"{where}: " if where else ""
    if isinstance(want, Raises):
        return Failure(f"{told}This should raise {want.names}, but it returned {_what(got)}.")
    if want is None:
        if got is None:
            return None
        return Failure(f"{told}Expected None, got {_what(got)}.")
    slip = _slip(got, want)
    if slip:
        return Failure(told + slip)
    if is_array_like(want):
        return _compare_arrays(got, as_array(want), where, rtol, atol, dtype)
    if isinstance(want, (bool, int, float, complex, np.generic)) and not isinstance(
        want, (np.str_, np.bytes_)
    ):
        return _compare_numbers(got, want, where, rtol, atol, dtype)
    if isinstance(want, (tuple, list)):
        return _compare_sequences(got, want, where, rules)
    if isinstance(want, Mapping):
        return _compare_mappings(got, want, where, rules)
    if type(got) is not type(want):
        return Failure(f"{told}Expected {_what(want)}, got {_what(got)}.")
    equal: Any = type(want).__eq__  # of the expected value's own class: nothing to override
    if not equal(want, got):
        return Failure(f"{told}Expected {_short(want)}, got {_short(got)}.")
    return None


def _slip(got: Any, want: Any) -> str | None:
    """The slips that people make with any kind of result."""
    if got is None:
        return f"Expected {_what(want)}, got None. Did you forget `return`?"
    if got is NotImplemented:
        return f"Expected {_what(want)}, got NotImplemented: that case is still to be written."
    if inspect.isgenerator(got):
        remedy = "return it whole" if is_array_like(want) else f"use {type(want).__name__}(...)"
        return (
            f"Expected {_what(want)}, got a generator, which makes its values only when asked: "
            f"{remedy}; if there is `yield` in your function, use `return`."
        )
    if inspect.iscoroutine(got):
        got.close()
        return f"Expected {_what(want)}, got a coroutine: write `def`, not `async def`."
    if isinstance(got, (map, filter, zip)):
        name = type(got).__name__
        return f"Expected {_what(want)}, got a {name} object: turn it into what is asked for."
    if callable(got) and not callable(want) and not is_array_like(got):
        if isinstance(got, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
            name = getattr(got, "__name__", "it")
            return (
                f"Expected {_what(want)}, got a function ({name}), not its result: "
                "are the parentheses of a call missing?"
            )
        if isinstance(got, type):
            return f"Expected {_what(want)}, got the class {got.__name__} itself."
    return None


def _compare_arrays(
    got: Any, want: np.ndarray, where: str, rtol: float | None, atol: float | None, dtype: str
) -> Failure | None:
    told = f"{where}: " if where else ""
    expected = f"Expected {_what(want)}"
    if isinstance(got, (bool, int, float, complex, np.generic)):
        if want.ndim:
            return Failure(f"{told}{expected}, got a single number, {_short(got)}.")
    elif isinstance(got, (list, tuple, set, dict, range, str)):
        return Failure(
            f"{told}{expected}, got a {type(got).__name__}: make it one with np.array(...)."
        )
    elif isinstance(got, np.ndarray):
        if type(got) is not np.ndarray and not isinstance(got, np.memmap):
            return Failure(f"{told}{expected}, got a {type(got).__name__}: use a plain array.")
    elif not is_array_like(got):
        return Failure(f"{told}{expected}, got {_what(got)}.")
    values = as_array(got)
    if values.shape != want.shape:
        return Failure(
            f"{told}Wrong shape: expected {want.shape}, got {values.shape}.",
            hint=_shape_hint(values.shape, want.shape),
        )
    wrong = _dtype_problem(values.dtype, want.dtype, dtype)
    if wrong:
        return Failure(told + wrong)
    return _compare_values(values, want, told, rtol, atol)


def _shape_hint(got: tuple[int, ...], want: tuple[int, ...]) -> str | None:
    if len(got) > 1 and got == want[::-1]:
        return "The axes are in reverse order."
    if sorted(got) == sorted(want):
        return "The right axes in the wrong order."
    if [n for n in got if n != 1] == [n for n in want if n != 1]:
        return "Only axes of length 1 are missing or too many."
    return None


def _dtype_problem(got: np.dtype, want: np.dtype, strict: str) -> str | None:
    if strict == "any" and got.kind in "biufc" and want.kind in "biufc":
        return None
    if got.kind != want.kind:
        return (
            f"Wrong dtype: expected {want} ({_KINDS.get(want.kind, want.kind)}), "
            f"got {got} ({_KINDS.get(got.kind, got.kind)})."
        )
    if strict == "same" and got.kind in "fc" and got != want:
        return f"Wrong dtype: expected {want}, got {got}. The result keeps the dtype of the input."
    return None


def _compare_values(
    got: np.ndarray, want: np.ndarray, told: str, rtol: float | None, atol: float | None
) -> Failure | None:
    if want.dtype == object:
        for index in np.ndindex(want.shape):
            found = compare(got[index], want[index], where=f"{told}at index {index}")
            if found:
                found.index = index
                return found
        return None
    right = _equal(got, want, rtol, atol)
    if right.all():
        return None
    places = _argwhere(~right)
    index = tuple(int(i) for i in places[0])
    a, b = want[index], got[index]
    if not want.ndim:
        return Failure(f"{told}Expected {a}, got {b}.", hint=_value_hint(got, want))
    count = len(places)
    verb = "is" if count == 1 else "are"
    first = "at" if count == 1 else "the first at"
    return Failure(
        f"{told}{count} of {want.size} values {verb} wrong; "
        f"{first} index {index}: expected {a}, got {b}.",
        index=index,
        hint=_value_hint(got, want),
    )


def _equal(got: np.ndarray, want: np.ndarray, rtol: float | None, atol: float | None) -> np.ndarray:
    """Element by element: equal within the tolerance of the less precise of the two."""
    if want.dtype.kind not in "fc" and got.dtype.kind not in "fc":
        return _array(got == want)
    floats = [x.dtype for x in (got, want) if x.dtype.kind in "fc"]
    default_r, default_a = max(tolerance(kind) for kind in floats)
    rtol = default_r if rtol is None else rtol
    atol = default_a if atol is None else atol
    wide = np.complex128 if "c" in (got.dtype.kind, want.dtype.kind) else np.float64
    g, w = got.astype(wide), want.astype(wide)
    with _errstate(all="ignore"):
        close = _abs(g - w) <= atol + rtol * _abs(w)
        close &= _isfinite(g) & _isfinite(w)
    return _array(close | (g == w) | (_isnan(g) & _isnan(w)))


def _value_hint(got: np.ndarray, want: np.ndarray) -> str | None:
    """What the wrong values have in common."""
    if got.dtype.kind not in "iufc" or want.dtype.kind not in "iufc" or not got.size:
        return None
    if got.dtype.kind in "fc" and _isnan(got).any() and not _isnan(want).any():
        return "NaN comes from 0/0, inf − inf, log of a negative number, or memory never written."
    if got.size > 1 and not got.any() and want.any():
        return "Every value is 0."
    with _errstate(all="ignore"):
        used = want != 0
        if used.sum() < 2 or (got[~used] != 0).any():
            return None
        ratios = got[used] / want[used]
        if not _isfinite(ratios).all() or ratios.dtype.kind == "c":
            return None
        ratio = float(ratios.flat[0])
        if ratio == 0 or (_abs(ratios - ratio) > 1e-4 * abs(ratio)).any() or abs(ratio - 1) < 1e-3:
            return None
    if abs(ratio + 1) < 1e-4:
        return "Every value has the wrong sign."
    return f"Every value is {ratio:.4g} times the right one."


def _compare_numbers(
    got: Any, want: Any, where: str, rtol: float | None, atol: float | None, dtype: str
) -> Failure | None:
    told = f"{where}: " if where else ""
    kind = _array(want).dtype.kind
    word = {"b": "True or False", "i": "an int", "u": "an int", "f": "a float"}.get(kind, "complex")
    if is_array_like(got):
        values = as_array(got)
        if values.ndim:
            return Failure(
                f"{told}Expected a single number ({word}), got an array of shape {values.shape}."
            )
    elif type(got) in (bool, int, float, complex) or isinstance(got, np.generic):
        values = _array(got)
    else:
        return Failure(f"{told}Expected a single number ({word}), got {_what(got)}.")
    expected = _array(want)
    alike = {"u": "i"}.get(values.dtype.kind, values.dtype.kind) == {"u": "i"}.get(kind, kind)
    if not alike and not (dtype == "any" and values.dtype.kind in "biufc"):
        return Failure(f"{told}Expected {word}, {_short(want)}, got {_what(got)}.")
    if values.dtype == object:  # ints beyond 64 bits
        return None if int(got) == int(want) else Failure(f"{told}Expected {want}, got {got}.")
    if not isinstance(want, np.generic) and values.dtype.kind == "f":
        expected = expected.astype(np.float64)
    return _compare_values(values, expected, told, rtol, atol)


def _compare_sequences(
    got: Any, want: tuple | list, where: str, rules: dict[str, Any]
) -> Failure | None:
    told = f"{where}: " if where else ""
    kind: Any = tuple if isinstance(want, tuple) else list  # Any: the plain class's own methods
    if not isinstance(got, kind):
        remedy = ""
        if is_array_like(got) or isinstance(got, (list, tuple, range, set)):
            remedy = f": use {kind.__name__}(...)"
        return Failure(f"{told}Expected {_what(want)}, got {_what(got)}{remedy}.")
    if kind.__len__(got) != len(want):
        return Failure(f"{told}Expected {_what(want)}, got {_what(got)}: {_short(got)}.")
    of = where or "the result"
    simple = all(isinstance(item, (bool, int, float, str, type(None))) for item in want)
    for i, (a, b) in enumerate(zip(kind.__iter__(got), want, strict=True)):
        found = compare(a, b, where=f"item {i} of {of}", **rules)
        if found and simple and len(want) <= 12:
            return Failure(f"{told}Expected {_short(want)}, got {_short(got)}.", index=(i,))
        if found:
            return found
    return None


def _compare_mappings(got: Any, want: Mapping, where: str, rules: dict[str, Any]) -> Failure | None:
    told = f"{where}: " if where else ""
    if not isinstance(got, dict):
        return Failure(f"{told}Expected a dict, got {_what(got)}.")
    missing = [key for key in want if not dict.__contains__(got, key)]
    extra = [key for key in dict.__iter__(got) if key not in want]
    if missing or extra:
        parts = [f"missing {missing}"] if missing else []
        parts += [f"not asked for: {extra}"] if extra else []
        return Failure(f"{told}The keys of the dict are wrong: {'; '.join(parts)}.")
    for key in want:
        of = f" of {where}" if where else ""
        found = compare(dict.__getitem__(got, key), want[key], where=f"entry {key!r}{of}", **rules)
        if found:
            return found
    return None


def _what(value: Any) -> str:
    """What kind of thing a value is, with an article: "a float32 array of shape (2, 3)"."""
    if isinstance(value, Raises):
        return "an exception"
    if is_array_like(value):
        try:
            array = as_array(value)
        except Exception:
            return f"a {type(value).__name__}"
        kind = "array" if isinstance(value, np.ndarray) else type(value).__name__
        article = "an" if str(array.dtype)[0] in "aeiou" else "a"
        return f"{article} {array.dtype} {kind} of shape {array.shape}"
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float, complex, str, np.generic)):
        article = "an" if type(value).__name__[0] in "aeiou" else "a"
        return f"{article} {type(value).__name__}, {_short(value)}"
    if isinstance(value, (tuple, list, set, frozenset)):
        count = len(value)
        return f"a {type(value).__name__} of {count} item{'' if count == 1 else 's'}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    article = "an" if type(value).__name__[:1].lower() in "aeiou" else "a"
    return f"{article} {type(value).__name__}"


def _short(value: Any, width: int = 100) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(value)
    return text if len(text) <= width else text[: width - 1] + "…"
