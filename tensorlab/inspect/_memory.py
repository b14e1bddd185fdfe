"""Counting memory once: arrays that share it, and results that did not need any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

__all__ = ["Ledger", "flat", "owner"]


def owner(array: Any) -> Any:
    """The array that owns the memory: a matrix and its transpose have the same owner."""
    while isinstance(array.base, type(array)):
        array = array.base
    return array


def flat(values: Iterable[Any]) -> Iterator[Any]:
    """The arrays among the values, those in lists and tuples included."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from flat(value)
        elif hasattr(value, "nbytes") and not isinstance(value, np.generic):
            yield value


class Ledger:
    """Knows which arrays have been seen, as long as they live, and so which ones are new.

    >>> import numpy as np
    >>> ledger = Ledger()
    >>> x = np.zeros(4)
    >>> ledger.add([x]), ledger.add([x, x[:2]]), ledger.add([x * 2])
    (32, 0, 32)
    """

    def __init__(self) -> None:
        # By id, and weakly: an id is given to another array when the first is gone.
        self._seen: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def add(self, arrays: Iterable[Any]) -> int:
        """Note the arrays, and return the bytes of those that were not known yet."""
        fresh = 0
        for array in flat(arrays):
            kept = owner(array)
            if self._seen.get(id(kept)) is not kept:
                self._seen[id(kept)] = kept
                fresh += kept.nbytes
        return fresh
