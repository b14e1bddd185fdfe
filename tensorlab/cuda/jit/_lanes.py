"""Which threads run an instruction: a set of lanes, and what is asked of it again and again.

A `Slot` holds one warp of each block that is being simulated: warp 3 of block 0, warp 3 of block 1,
and so on. Its lanes are numbered through, 32 a warp; a `Lanes` names those that are active.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["Lanes"]


class Lanes:
    """Active lanes of a slot of `width` lanes, in rising order.

    `index` is None if all are active: then nothing has to be picked.
    """

    def __init__(self, width: int, index: np.ndarray[Any, Any] | None = None) -> None:
        self.width = width
        self.index = None if index is not None and len(index) == width else index
        self.n = width if self.index is None else len(self.index)
        self.kept: dict[Any, Any] = {}  # of whoever works something out for these lanes

    def pick(self, values: Any) -> Any:
        """From an array with an element for each lane of the slot, those of the active ones."""
        return values if self.index is None else values[self.index]

    def where(self, chosen: np.ndarray[Any, Any]) -> Lanes:
        """Those of the active lanes for which `chosen` (one bool each) is true."""
        return Lanes(self.width, self.lane[chosen])

    def put(self, target: np.ndarray[Any, Any], values: Any) -> None:
        """Write a value for each active lane into an array of the slot."""
        if self.index is None:
            target[...] = values
        else:
            target[self.index] = values

    @staticmethod
    def merge(parts: list[Lanes], whole: Lanes) -> Lanes:
        """All lanes of the parts, which have none in common; `whole` holds all that can be."""
        parts = [each for each in parts if each.n]
        if len(parts) == 1:
            return parts[0]
        if sum(each.n for each in parts) == whole.n:
            return whole
        if not parts:
            return Lanes(whole.width, np.empty(0, np.int64))
        return Lanes(whole.width, np.sort(np.concatenate([each.lane for each in parts])))

    @cached_property
    def lane(self) -> np.ndarray[Any, Any]:
        """The numbers of the active lanes."""
        return np.arange(self.width) if self.index is None else self.index

    @cached_property
    def warp(self) -> np.ndarray[Any, Any]:
        """For each active lane, which warp of the slot it is in."""
        return self.lane >> 5

    @cached_property
    def warp_high(self) -> np.ndarray[Any, Any]:
        """The warp in the high bits of a number: in front of an address it keeps warps apart."""
        return self.warp << 44

    @cached_property
    def counts(self) -> np.ndarray[Any, Any]:
        """For each warp of the slot, how many of its lanes are active."""
        return np.bincount(self.warp, minlength=self.width >> 5)

    @cached_property
    def warps(self) -> int:
        """How many warps have an active lane."""
        return int(np.count_nonzero(self.counts))

    @cached_property
    def bits(self) -> np.ndarray[Any, Any]:
        """For each warp of the slot, its active lanes as the bits of a number."""
        return self.gather_bits(np.ones(self.n, bool))

    def gather_bits(self, yes: Any) -> np.ndarray[Any, Any]:
        """For each warp, a bit for each active lane whose `yes` is true."""
        weights = np.where(yes, np.exp2(self.lane & 31), 0.0)
        return np.bincount(self.warp, weights, self.width >> 5).astype(np.uint32)
