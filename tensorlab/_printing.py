"""How a tensor is written as text: ``tensor([0.2689, 0.5000, 0.8808])``.

The form is PyTorch's, character for character, so that what a learner reads here
is what they will read there. Three decisions make it:

1. *Which elements are shown.* Above ``threshold`` elements only ``edgeitems`` at both
   ends of every dimension are, with ``...`` between them.
2. *How one number is written.* All shown numbers share one style and one width:
   integers as they are, whole floats as ``1.``, other floats with ``precision``
   decimals, and scientific notation when those would hide small or large values.
3. *What follows the numbers.* Whatever the numbers alone don't tell: the device and
   the dtype if they aren't the default ones, the shape if nothing is left to count,
   and how the tensor takes part in autograd.

This module sees plain arrays and names only; it knows nothing of tensors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tensorlab._backend import backend_of, runs_there, to_numpy

__all__ = ["get_printoptions", "printoptions", "set_printoptions", "tensor_str"]


@dataclasses.dataclass
class PrintOptions:
    """What :func:`set_printoptions` sets; the defaults are PyTorch's."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PRINT_OPTIONS = PrintOptions()

PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed.

    Args:
        precision: digits after the decimal point of floats (default 4).
        threshold: with more elements than this a tensor is summarised (default 1000).
        edgeitems: elements shown at each end of a summarised dimension (default 3).
        linewidth: characters per line (default 80).
        profile: ``"default"``, ``"short"`` or ``"full"``: sets the four above together;
            an option given beside it wins.
        sci_mode: scientific notation always (``True``), never (``False``) or where the
            values ask for it (``None``). As in PyTorch, every call sets it: a call that
            doesn't name it goes back to ``None``.

    Raises:
        ValueError: for an unknown profile.

    >>> from tensorlab._printing import get_printoptions, set_printoptions
    >>> set_printoptions(precision=2)
    >>> get_printoptions()["precision"]
    2
    >>> set_printoptions(profile="default")
    """
    if profile is not None:
        if profile not in PROFILES:
            known = ", ".join(repr(name) for name in PROFILES)
            raise ValueError(f"set_printoptions: unknown profile {profile!r}: use one of {known}")
        for name, value in PROFILES[profile].items():
            setattr(PRINT_OPTIONS, name, value)
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    for name, value in given.items():
        if value is not None:
            setattr(PRINT_OPTIONS, name, value)
    PRINT_OPTIONS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """Return the current options, in a form that :func:`set_printoptions` takes.

    >>> from tensorlab._printing import get_printoptions
    >>> get_printoptions()["edgeitems"]
    3
    """
    return dataclasses.asdict(PRINT_OPTIONS)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Set options for a ``with`` block only; the arguments are :func:`set_printoptions`'.

    >>> from tensorlab._printing import get_printoptions, printoptions
    >>> with printoptions(precision=1):
    ...     get_printoptions()["precision"]
    1
    >>> get_printoptions()["precision"]
    4
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def tensor_str(
    array: Any,
    *,
    dtype_name: str,
    default_dtype: str = "float32",
    device: str | None = None,
    grad_fn: str | None = None,
    requires_grad: bool = False,
    prefix: str = "tensor(",
    library: str = "tensorlab",
) -> str:
    """Return the printed form of a tensor whose elements are ``array``.

    Args:
        array: numpy or cupy array, any rank and size.
        dtype_name: the dtype's name without a module, e.g. ``"float32"``.
        default_dtype: name of the default floating dtype: it is not printed, nor is
            the complex dtype that belongs to it.
        device: printed as ``device='cuda:0'``; ``None`` for the default device.
        grad_fn: name of the node that made the tensor, e.g. ``"AddBackward0"``.
        requires_grad: printed for leaves, which have no ``grad_fn``.
        prefix: what stands before the numbers; a subclass prints its own name.
        library: the module that the printed dtype is named in.

    >>> from tensorlab._printing import tensor_str
    >>> tensor_str(np.array([[1.5, 2], [3, 4]]), dtype_name="float64")
    'tensor([[1.5000, 2.0000],\\n        [3.0000, 4.0000]], dtype=tensorlab.float64)'
    """
    indent = len(prefix)
    default_complex = "complex128" if default_dtype == "float64" else "complex64"
    # An empty tensor holds no number that could tell int64 or bool from floats.
    untold = {default_dtype}
    if array.size:
        untold |= {default_complex, "int64", "bool"}

    suffixes: list[str] = []
    if device is not None:
        suffixes.append(f"device='{device}'")
    if (array.size == 0 and array.ndim != 1) or (array.size and not PRINT_OPTIONS.edgeitems):
        suffixes.append(f"size={tuple(array.shape)}")
    if dtype_name not in untold:
        suffixes.append(f"dtype={library}.{dtype_name}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")

    body = elements_str(array, indent) if array.size else "[]"
    return _append_suffixes(prefix + body, suffixes, indent)


def elements_str(array: Any, indent: int) -> str:
    """Return the bracketed elements alone; lines after the first are indented."""
    shown, cut = array, (False,) * array.ndim
    if array.size > PRINT_OPTIONS.threshold:
        shown, cut = _edges(array)
    shown = _printable(to_numpy(shown))
    if shown.dtype.kind == "c":
        formatter: Formatter | ComplexFormatter = ComplexFormatter(shown)
    else:
        formatter = Formatter(shown)
    return _nested(shown, cut, indent, formatter)


@runs_there
def _edges(array: Any) -> tuple[Any, tuple[bool, ...]]:
    """Keep both ends of every long dimension; say which dimensions were cut."""
    keep = PRINT_OPTIONS.edgeitems
    cut = tuple(length > 2 * keep for length in array.shape)
    xp = backend_of(array).xp
    for axis, length in enumerate(array.shape):
        if cut[axis]:
            # Slices, and on the array's own device: only what is shown is ever copied,
            # however large the tensor.
            before = (slice(None),) * axis
            head, tail = array[(*before, slice(keep))], array[(*before, slice(length - keep, None))]
            array = xp.concatenate([head, tail], axis)
    return array, cut


def _printable(array: np.ndarray) -> np.ndarray:
    """Half-precision numbers (also ml_dtypes', which numpy calls void) become float64."""
    return array if array.dtype.kind in "biuc" else array.astype(np.float64)


class Formatter:
    """The common style and width of all numbers of one tensor."""

    def __init__(self, values: np.ndarray) -> None:
        self.is_float = values.dtype.kind == "f"
        self.whole = True
        self.scientific = False
        self.width = 1
        if not self.is_float:
            self.width = max((len(str(v)) for v in values.ravel().tolist()), default=1)
            return
        # nan, inf and 0 say nothing about the digits that are needed.
        telling = values[np.isfinite(values) & (values != 0)]
        if telling.size == 0:
            return
        self.whole = bool((telling == np.ceil(telling)).all())
        self.scientific = _needs_scientific(telling)
        # A whole float is written "3.": its point takes one place more than "3".
        point = int(self.whole and not self.scientific)
        self.width = max(len(self._digits(v)) + point for v in telling.tolist())

    def _digits(self, value: float) -> str:
        precision = PRINT_OPTIONS.precision
        if self.scientific:
            return f"{value:.{precision}e}"
        if self.whole:
            return f"{value:.0f}"
        return f"{value:.{precision}f}"

    def __call__(self, value: Any) -> str:
        if not self.is_float:
            return str(value).rjust(self.width)
        text = self._digits(value)
        if self.whole and not self.scientific and math.isfinite(value):
            text += "."
        return text.rjust(self.width)


class ComplexFormatter:
    """``re+imj``, each part with a style and width of its own."""

    def __init__(self, values: np.ndarray) -> None:
        self.real = Formatter(np.real(values))
        self.imag = Formatter(np.imag(values))
        self.width = self.real.width + self.imag.width + 1  # the j

    def __call__(self, value: complex) -> str:
        imag = self.imag(value.imag).lstrip() + "j"
        sign = "" if imag[0] in "+-" else "+"
        return self.real(value.real) + sign + imag


def _needs_scientific(values: np.ndarray) -> bool:
    if PRINT_OPTIONS.sci_mode is not None:
        return PRINT_OPTIONS.sci_mode
    magnitude = np.abs(values.astype(np.float64))
    smallest, largest = magnitude.min(), magnitude.max()
    with np.errstate(over="ignore"):
        return bool(largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4)


def _nested(
    array: np.ndarray,
    cut: tuple[bool, ...],
    indent: int,
    formatter: Formatter | ComplexFormatter,
) -> str:
    if array.ndim == 0:
        return formatter(array.item())
    edge = PRINT_OPTIONS.edgeitems
    if array.ndim == 1:
        if cut[0] and not edge:
            return "[...]"
        items = [formatter(value) for value in array.tolist()]
        if cut[0]:
            items.insert(edge, " ...")
        return _wrapped(items, formatter.width + 2, indent)
    rows = [_nested(row, cut[1:], indent + 1, formatter) for row in array]
    if cut[0]:
        rows.insert(edge, "...")
    # One blank line more for every dimension further out.
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def _wrapped(items: list[str], item_width: int, indent: int) -> str:
    per_line = max(1, (PRINT_OPTIONS.linewidth - indent) // item_width)
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _append_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """Add ``, name=value`` for each suffix, on a new line where the old one is full."""
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > PRINT_OPTIONS.linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"
