"""Count the multiplications that code does with arrays, whatever way it writes them.

Times differ from machine to machine and from run to run; a count of operations does not. So where
a lesson speaks of cost, it counts.

>>> import numpy as np
>>> counter = Multiplications()
>>> x, y = counter.watch(np.ones((2, 3))), np.ones((3, 4))
>>> z = x @ y
>>> counter.total
24
>>> _ = 2 * z  # what is computed from a watched array is watched
>>> counter.total
32
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["Multiplications"]


class Multiplications:
    """A counter of scalar multiplications; divisions count as multiplications.

    Attributes:
        total: the multiplications counted since the counter was made or `reset`.

    Counted are ``*``, ``/``, ``@``, ``**`` with a whole exponent (as repeated products),
    ``np.square``, ``np.dot``, ``np.einsum`` (as a plain loop over all its indices) and products
    over axes. Additions and functions such as tanh are not multiplications and count nothing.
    """

    def __init__(self) -> None:
        self.total = 0

    def watch(self, array: Any) -> np.ndarray:
        """The same values as an array whose multiplications are counted; shares the memory."""
        watched = np.asarray(array).view(_Watched)
        watched._counter = self
        return watched

    def reset(self) -> int:
        """Start again from 0; returns what was counted until now."""
        total, self.total = self.total, 0
        return total


class _Watched(np.ndarray):
    """An array that reports to its counter. NumPy asks it about every operation it is part of."""

    _counter: Multiplications | None = None

    def __array_finalize__(self, source: Any) -> None:
        self._counter = getattr(source, "_counter", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            kwargs["out"] = tuple(_plain(array) for array in kwargs["out"])
        plain = [_plain(array) for array in inputs]
        result = getattr(ufunc, method)(*plain, **kwargs)
        self._count(_cost_of_ufunc(ufunc, method, plain, result))
        return self._watched(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = _deep_plain(args), _deep_plain(kwargs)
        result = func(*args, **kwargs)
        if func is np.dot:
            self._count(np.size(result) * np.shape(args[0])[-1] if np.ndim(args[0]) else 1)
        elif func is np.einsum:
            self._count(_cost_of_einsum(args))
        return self._watched(result)

    def dot(self, other: Any, out: Any = None) -> Any:
        return np.dot(self, other) if out is None else np.dot(self, other, out)

    def _count(self, multiplications: int) -> None:
        if self._counter is not None:
            self._counter.total += int(multiplications)

    def _watched(self, result: Any) -> Any:
        if self._counter is None or not isinstance(result, (np.ndarray, np.floating)):
            return result
        return self._counter.watch(result)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, _Watched) else value


def _deep_plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_deep_plain, value))
    if isinstance(value, dict):
        return {key: _deep_plain(item) for key, item in value.items()}
    return _plain(value)


def _cost_of_ufunc(ufunc: np.ufunc, method: str, inputs: list[Any], result: Any) -> int:
    if ufunc is np.matmul:
        return np.size(result) * np.shape(inputs[0])[-1]
    if ufunc is np.multiply and method == "reduce":
        return max(0, np.size(inputs[0]) - np.size(result))
    if ufunc in (np.multiply, np.divide, np.square):
        return np.size(result)
    if ufunc is np.power and np.size(inputs[1]) == 1:
        return np.size(result) * max(0, math.ceil(abs(float(inputs[1]))) - 1)
    return 0


def _cost_of_einsum(args: tuple[Any, ...]) -> int:
    """One pass over all combinations of indices, and a product of all operands at each."""
    if not args or not isinstance(args[0], str):
        operands = [np.asarray(a) for a in args[::2] if not isinstance(a, (list, tuple))]
        labels = [list(a) for a in args[1::2]][: len(operands)]
    else:
        operands = [np.asarray(a) for a in args[1:]]
        labels = []
        for term, array in zip(args[0].split("->")[0].split(","), operands, strict=True):
            named = term.replace(" ", "")
            if "..." in named:  # the dimensions that are not named, aligned at the right
                before, after = named.split("...")
                hidden = array.ndim - len(before) - len(after)
                labels.append([*before, *(f".{-i}" for i in range(hidden, 0, -1)), *after])
            else:
                labels.append(list(named))
    sizes: dict[Any, int] = {}
    for names, array in zip(labels, operands, strict=True):
        for name, size in zip(names, array.shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
    return math.prod(sizes.values()) * (len(operands) - 1)
