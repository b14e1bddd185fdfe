"""Arithmetic of an array with a smaller one that is stretched over it: a bias for each row, a factor for each channel.

The larger one is seen as (outer, middle, inner), the smaller one is the middle. Where there is no inner part, its
numbers meet neighbours; where there is one, each meets as many neighbours as that has.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import apart, compiled
from tensorlab.kernels.cpu.native.maths import inlined
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import pass_threads, split

#: Operations for each number: two that are read, one written, one computed.
WORK = 4


@inlined
def _add(x, y):
    return x + y


@inlined
def _sub(x, y):
    return x - y


@inlined
def _sub_from(x, y):
    return y - x


@inlined
def _mul(x, y):
    return x * y


@inlined
def _div(x, y):
    return x / y


@inlined
def _div_into(x, y):
    return y / x


def _along(operation: Callable[..., Any]) -> Any:
    """The kernel where rows of `a` are as long as `b`."""

    @compiled("void(float32[:, ::1], float32[::1], float32[:, ::1], int64, int64)", limits=2)
    def along(a, b, out, first, last):
        apart()
        for r in range(first, last):
            x, y = a[r], out[r]
            for j in range(len(y)):
                y[j] = operation(x[j], b[j])

    return along


def _across(operation: Callable[..., Any]) -> Any:
    """The kernel where each row of `a` meets one number of `b`, which is gone through again and again."""

    @compiled("void(float32[:, ::1], float32[::1], float32[:, ::1], int64, int64)", limits=2)
    def across(a, b, out, first, last):
        apart()
        place = first % len(b)
        for r in range(first, last):
            x, y, number = a[r], out[r], b[place]
            for j in range(len(y)):
                y[j] = operation(x[j], number)
            place = 0 if place == len(b) - 1 else place + 1

    return across


#: By the name of the operation; in those with "from" and "into" the stretched operand is the first one.
_KERNELS = {
    name: (_along(operation), _across(operation))
    for name, operation in {
        "add": _add, "sub": _sub, "sub_from": _sub_from, "mul": _mul, "div": _div, "div_into": _div_into,
    }.items()
}  # fmt: skip


def stretched(name: str, a: np.ndarray, b: np.ndarray, middle: int, inner: int) -> np.ndarray:
    """The operation of contiguous `a` with the `middle` numbers of b, each of which is for `inner` neighbours."""
    along, across = _KERNELS[name]
    kernel, length = (along, middle) if inner == 1 else (across, inner)
    out = np.empty(a.shape, np.float32)
    rows, made = a.reshape(-1, length), out.reshape(-1, length)
    parts = split(len(rows), pass_threads(WORK * a.size))
    run_parts(kernel, parts, rows, b.reshape(middle), made)
    return out
