"""Reading what a dict of modules or parameters is made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["pairs_of"]


def pairs_of(values: Any, owner: str) -> list[tuple[str, Any]]:
    """The pairs of a mapping or of an iterable of pairs."""
    if not isinstance(values, Iterable):
        raise TypeError(
            f"{owner}.update should be called with an iterable of key/value pairs, but got "
            f"{type(values).__name__}"
        )
    if hasattr(values, "items"):
        return list(values.items())  # type: ignore[attr-defined]
    pairs = []
    for i, pair in enumerate(values):
        if not isinstance(pair, Iterable):
            raise TypeError(
                f"{owner} update sequence element #{i} should be Iterable; is {type(pair).__name__}"
            )
        pair = tuple(pair)
        if len(pair) != 2:
            raise ValueError(
                f"{owner} update sequence element #{i} has length {len(pair)}; 2 is required"
            )
        pairs.append(pair)
    return pairs
