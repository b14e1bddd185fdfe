"""What the operations of a kernel compute, on NumPy arrays of one element per thread."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["ATOMIC", "BINARY", "COMPARE", "MATH"]

BINARY: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.true_divide,
    "//": np.floor_divide,
    "%": np.remainder,
    "**": np.power,
    "<<": np.left_shift,
    ">>": np.right_shift,
    "&": np.bitwise_and,
    "|": np.bitwise_or,
    "^": np.bitwise_xor,
}

COMPARE: dict[str, Callable[..., Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}

ATOMIC: dict[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "max": np.maximum,
    "min": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def _rsqrt(x: Any) -> Any:
    return x.dtype.type(1) / np.sqrt(x)


_each_erf = np.vectorize(math.erf, otypes=[np.float64])


def _erf(x: Any) -> Any:
    return _each_erf(x).astype(x.dtype)


def _popc(x: Any) -> Any:
    """Bits that are 1, counted in pairs, then in fours, and so on (Hacker's Delight, figure 5-2)."""
    x = x - ((x >> 1) & np.uint32(0x55555555))
    x = (x & np.uint32(0x33333333)) + ((x >> 2) & np.uint32(0x33333333))
    x = (x + (x >> 4)) & np.uint32(0x0F0F0F0F)
    return ((x * np.uint32(0x01010101)) >> np.uint32(24)).astype(np.int32)


MATH: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "min": np.minimum,
    "max": np.maximum,
    "rsqrt": _rsqrt,
    "erf": _erf,
    "popc": _popc,
    **{
        name: getattr(np, name)
        for name in (
            "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan", "sinh",
            "cosh", "tanh", "arcsin", "arccos", "arctan", "arctan2", "hypot", "copysign", "fmod", "floor",
            "ceil", "trunc", "isnan", "isinf", "isfinite",
        )
    },
}  # fmt: skip
