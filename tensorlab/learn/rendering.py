"""Show values to a learner: small arrays whole, big ones summarised, all within bounds."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab.learn.values import as_array, is_array_like

__all__ = ["indent", "render", "render_arguments"]

_SHOWN = 64  # elements; more are summarised
_array2string, _isfinite, _isnan, _errstate = np.array2string, np.isfinite, np.isnan, np.errstate

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 160
_repr.maxlist = _repr.maxtuple = _repr.maxdict = _repr.maxset = 12
_repr.maxlevel = 4


def render(value: Any, index: tuple[int, ...] | None = None) -> str:
    """A value as text: never more than a few lines, the same whatever print options are set.

    Args:
        index: where to look in a big array: the part around it is shown.

    >>> print(render(np.array([[1.0, 2.5], [3.0, 4.0]], dtype=np.float32)))
    array([[1. , 2.5],
           [3. , 4. ]], dtype=float32)
    >>> print(render(np.arange(400.0).reshape(20, 20), index=(3, 2)))
    float64 array of shape (20, 20), from 0 to 399
    around (3, 2):
    [[40. 41. 42. 43. 44.]
     [60. 61. 62. 63. 64.]
     [80. 81. 82. 83. 84.]]
    """
    if is_array_like(value):
        return _render_array(value, index)
    if isinstance(value, np.generic):
        return f"{value.item()!r} ({value.dtype})"
    if isinstance(value, (tuple, list)) and any(map(is_array_like, value)):
        return _render_entries(
            type(value).__name__, [(f"{i}", item) for i, item in enumerate(value)], index
        )
    if isinstance(value, dict) and any(map(is_array_like, value.values())):
        return _render_entries("dict", [(repr(k), v) for k, v in value.items()], index)
    try:
        return _repr.repr(value)
    except Exception:  # a learner's own __repr__ may well be broken
        return f"<{type(value).__name__} object>"


def render_arguments(names: Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The arguments of a call, one per line, each under its name.

    >>> print(render_arguments(["x", "axis"], (np.zeros(2), 1), {}))
    x = array([0., 0.])
    axis = 1
    """
    lines = []
    for position, value in enumerate(args):
        name = names[position] if position < len(names) else f"argument {position + 1}"
        lines.append(_labelled(f"{name} = ", value))
    lines += [_labelled(f"{name} = ", value) for name, value in kwargs.items()]
    return "\n".join(lines)


def indent(text: str, by: str = "  ") -> str:
    """Every line of a text moved to the right."""
    return "\n".join(by + line if line else line for line in text.splitlines())


def _labelled(label: str, value: Any, index: tuple[int, ...] | None = None) -> str:
    text = render(value, index)
    if isinstance(value, np.ndarray) and value.size > 1 and not value.flags.c_contiguous:
        text += f"  (not contiguous: strides {value.strides})"
    return label + text.replace("\n", "\n" + " " * len(label))


def _render_entries(
    kind: str, entries: list[tuple[str, Any]], index: tuple[int, ...] | None
) -> str:
    shown = [_labelled(f"  {name}: ", value, index) for name, value in entries[:8]]
    more = [f"  … and {len(entries) - 8} more"] if len(entries) > 8 else []
    return "\n".join([f"{kind} of {len(entries)}:", *shown, *more])


def _render_array(value: Any, index: tuple[int, ...] | None) -> str:
    array = as_array(value)
    kind = "array" if isinstance(value, np.ndarray) else type(value).__name__
    if array.size == 0:
        return f"{kind}([], shape={array.shape}, dtype={array.dtype})"
    if array.size <= _SHOWN:
        prefix = f"{kind}("
        body = _text(array, prefix)
        plain = array.dtype in (np.float64, np.int64, np.bool_)
        return f"{prefix}{body}{'' if plain else f', dtype={array.dtype}'})"
    summary = f"{array.dtype} {kind} of shape {array.shape}{_range(array)}"
    if index is not None and len(index) == array.ndim:
        window = tuple(
            slice(max(0, i - (1 if axis < array.ndim - 1 else 2)), i + 2 + (axis == array.ndim - 1))
            if axis >= array.ndim - 2
            else i
            for axis, i in enumerate(index)
        )
        return f"{summary}\naround {index}:\n{_text(array[window], '')}"
    return f"{summary}\n{_text(array, '', threshold=0)}"


def _range(array: np.ndarray) -> str:
    if array.dtype.kind not in "iuf":
        return ""
    finite = array[_isfinite(array)] if array.dtype.kind == "f" else array
    parts = [f", from {finite.min():g} to {finite.max():g}"] if finite.size else []
    if array.dtype.kind == "f":
        nan = int(_isnan(array).sum())
        inf = array.size - finite.size - nan
        parts += [f", {nan} NaN"] if nan else []
        parts += [f", {inf} inf"] if inf else []
    return "".join(parts)


def _text(array: np.ndarray, prefix: str, threshold: int = 10**6) -> str:
    with _errstate(all="ignore"):
        return _array2string(
            array,
            separator=", " if prefix else " ",
            prefix=prefix,
            precision=6,
            suppress_small=False,
            threshold=threshold,
            edgeitems=3,
            max_line_width=88,
            floatmode="maxprec",
            sign="-",
        )
