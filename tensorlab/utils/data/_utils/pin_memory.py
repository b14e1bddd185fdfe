"""Batches in page-locked memory: the tensors of a batch, however deep in it they are."""

from __future__ import annotations

import collections.abc
from typing import Any

from tensorlab._tensor import Tensor

__all__ = ["pin_memory"]


def pin_memory(data: Any, device: Any = None) -> Any:
    """`data` with its tensors copied to page-locked memory: in mappings, sequences and named tuples too.

    Objects with a method `pin_memory()` give what that returns, so that a batch of a class of your own
    can be pinned. Everything else stays as it is.
    """
    if isinstance(data, Tensor) or hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, collections.abc.Mapping):
        pinned = {key: pin_memory(value) for key, value in data.items()}
        return pinned if type(data) is dict else _remade(data, pinned)
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(pin_memory, data))
    if isinstance(data, tuple):
        return tuple(map(pin_memory, data))
    if isinstance(data, collections.abc.Sequence):
        return _remade(data, [pin_memory(value) for value in data])
    return data


def _remade(data: Any, pinned: Any) -> Any:
    """`pinned` as the type of `data`, or as it is if that type is not made of such."""
    try:
        return type(data)(pinned)
    except TypeError:
        return pinned
