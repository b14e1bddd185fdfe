"""The memories of a GPU: what threads read and write there, checked and counted.

Global memory is fetched in sectors of 32 bytes: the lanes of a warp that read neighbouring
elements share them. Shared memory has 32 banks of 4 bytes: lanes that want different words of one
bank wait for each other; each round of the banks is a *wavefront*. (NVIDIA, CUDA C++ Best
Practices Guide, "Coalesced Access to Global Memory" and "Shared Memory and Memory Banks".)
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit import _types as types
from tensorlab.cuda.jit._arithmetic import ATOMIC
from tensorlab.cuda.jit._lanes import Lanes

if TYPE_CHECKING:
    from tensorlab.cuda.jit._slot import Slot

__all__ = ["GlobalMemory", "LocalMemory", "Memory", "SharedMemory", "garbage"]

SECTOR = 32  # bytes
BANKS = 32


def garbage(count: int, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """What memory holds that nobody has written: nan, or a number that nobody expects."""
    if dtype.kind == "f":
        return np.full(count, np.nan, dtype)
    if dtype == types.BOOL:
        return np.ones(count, dtype)
    return np.full(count, np.iinfo(dtype).max // 3 * 2, dtype)


@dataclass(eq=False)
class Memory:
    """One array as it can be reached by a slot's lanes: by the number of an element in `flat`."""

    array: ir.Array
    flat: np.ndarray[Any, Any]
    shape: tuple[int, ...]
    steps: tuple[int, ...]  # elements from one index to the next, for each dimension

    def __post_init__(self) -> None:
        self.dtype = self.array.dtype
        self.held = types.held_as(self.dtype)

    def place(
        self, slot: Slot, site: ir.Site, index: tuple[Any, ...], lanes: Lanes
    ) -> tuple[Any, Lanes, Any]:
        """Where an index leads: numbers of elements, the lanes for which it is inside, and which.

        Lanes that are outside are reported and left out; the third is None if there are none.
        """
        at: Any = None
        inside: Any = None
        for each, size, step in zip(index, self.shape, self.steps, strict=True):
            if isinstance(each, np.ndarray):
                # Seen as unsigned, what is negative is too large.
                good = each.size == 0 or int(each.view(f"u{each.itemsize}").max()) < size
                ok: Any = True if good else (each >= 0) & (each < size)
            else:
                ok = 0 <= int(each) < size
            if ok is not True:
                ok = np.broadcast_to(ok, lanes.n)
                inside = ok if inside is None else inside & ok
            # In 64 bits: a wide array must not end where 32 do.
            wide = each.astype(np.int64) if isinstance(each, np.ndarray) else int(each)
            part = wide if step == 1 else wide * step
            at = part if at is None else at + part
        if not isinstance(at, np.ndarray):
            at = np.full(lanes.n, at or 0, np.int64)
        if inside is None:
            return at, lanes, None
        slot.out_of_bounds(site, self.shape, index, lanes, ~inside)
        return at[inside], lanes.where(inside), inside

    def load(self, slot: Slot, site: ir.Site, index: tuple[Any, ...], lanes: Lanes) -> Any:
        at, inner, inside = self.place(slot, site, index, lanes)
        at = self.own(slot, inner, at)
        self.touch(slot, site, at, inner, None)
        value = self.flat[at]
        if self.held is not self.dtype:
            value = value.astype(self.held)
        if inside is None:
            return value
        out = garbage(lanes.n, self.held)
        out[inside] = value
        return out

    def store(
        self, slot: Slot, site: ir.Site, index: tuple[Any, ...], value: Any, lanes: Lanes
    ) -> None:
        at, inner, inside = self.place(slot, site, index, lanes)
        at = self.own(slot, inner, at)
        if inside is not None and isinstance(value, np.ndarray):
            value = value[inside]
        if self.held is not self.dtype:
            value = value.astype(self.dtype)
        self.touch(slot, site, at, inner, value)
        self.flat[at] = value

    def atomic(
        self,
        slot: Slot,
        node: ir.Atomic,
        index: tuple[Any, ...],
        values: tuple[Any, ...],
        lanes: Lanes,
    ) -> Any:
        at, inner, inside = self.place(slot, node.site, index, lanes)
        at = self.own(slot, inner, at)
        values = tuple(np.broadcast_to(v, lanes.n) for v in values)
        if inside is not None:
            values = tuple(v[inside] for v in values)
        self.touch(slot, node.site, at, inner, None)
        if node.op in ATOMIC and not node.used:
            ATOMIC[node.op].at(self.flat, at, values[0])
            return None
        old = _one_by_one(node.op, self.flat, at, values)
        if inside is None:
            return old
        out = garbage(lanes.n, self.dtype)
        out[inside] = old
        return out

    def own(self, slot: Slot, lanes: Lanes, at: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The elements of `flat` that the numbers mean for these lanes."""
        return at

    def touch(
        self, slot: Slot, site: ir.Site, at: np.ndarray[Any, Any], lanes: Lanes, written: Any
    ) -> None:
        """Count and write down an access to elements `at`."""


def _one_by_one(
    op: str, flat: np.ndarray[Any, Any], at: np.ndarray[Any, Any], values: tuple[Any, ...]
) -> np.ndarray[Any, Any]:
    """Atomic operations whose old values are asked for: each lane sees what those before it did."""
    order = np.argsort(at, kind="stable")
    place = at[order]
    new = np.ones(len(at), bool)
    new[1:] = place[1:] != place[:-1]
    starts = np.flatnonzero(new)
    turn = np.arange(len(at)) - np.repeat(starts, np.diff(np.append(starts, len(at))))
    old = np.empty(len(at), flat.dtype)
    by_turn = np.argsort(turn, kind="stable")
    bounds = np.searchsorted(turn[by_turn], np.arange(int(turn.max(initial=-1)) + 2))
    for first, last in itertools.pairwise(bounds):
        lanes = order[by_turn[first:last]]
        where = at[lanes]
        before = flat[where]
        old[lanes] = before
        if op == "exch":
            flat[where] = values[0][lanes]
        elif op == "cas":
            flat[where] = np.where(before == values[0][lanes], values[1][lanes], before)
        else:
            flat[where] = ATOMIC[op](before, values[0][lanes])
    return old


@dataclass(eq=False)
class GlobalMemory(Memory):
    """An argument."""

    first: int  # the element of `flat` that index 0 means
    base: int  # the address of the first element of `flat` on the imagined GPU
    watched: bool = False  # whether anything is written that could be this

    def own(self, slot: Slot, lanes: Lanes, at: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return at + self.first if self.first else at

    def touch(
        self, slot: Slot, site: ir.Site, at: np.ndarray[Any, Any], lanes: Lanes, written: Any
    ) -> None:
        address = at * self.dtype.itemsize
        address += self.base
        slot.launch.memory_of[site.index] = self
        if self.watched:
            slot.log(slot.launch.global_log, site, address, lanes, written)
        if lanes.n:
            parts, ideal = self._count(address, lanes)
            slot.count(site, lanes, parts, ideal, address)

    def _count(self, address: np.ndarray[Any, Any], lanes: Lanes) -> tuple[int, int]:
        """Sectors that the warps touch, and as many as their elements fill side by side."""
        key = lanes.warp_high + address
        apart = key[1:] - key[:-1]
        smallest = int(apart.min(initial=1))
        if smallest < 0:
            key.sort()
            smallest = int((key[1:] - key[:-1]).min(initial=1))
        sectors = key >> 5
        parts = int(np.count_nonzero(sectors[1:] != sectors[:-1])) + 1
        size = self.dtype.itemsize
        if smallest > 0:
            ideal = lanes.kept.get(("ideal", size))
            if ideal is None:
                ideal = int((-(-lanes.counts * size // SECTOR)).sum())
                lanes.kept["ideal", size] = ideal
        else:
            fresh = np.ones(len(key), bool)
            fresh[1:] = key[1:] != key[:-1]
            different = np.bincount(key[fresh] >> 44)
            ideal = int((-(-different * size // SECTOR)).sum())
        return parts, ideal


class SharedMemory(Memory):
    """An array of the block: `blocks` of them lie one after another in `flat`."""

    def __init__(self, array: ir.Array, blocks: int, offset: int) -> None:
        self.size = math.prod(array.shape)
        self.offset = offset  # bytes from the start of the block's shared memory
        self.written = np.zeros(blocks * self.size, bool)
        self._patterns: dict[Any, tuple[int, int]] = {}
        flat = garbage(blocks * self.size, array.dtype)
        super().__init__(array, flat, array.shape, _steps(array.shape))

    def own(self, slot: Slot, lanes: Lanes, at: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        key = ("own", self.array)
        first = lanes.kept.get(key)
        if first is None:
            first = lanes.kept[key] = lanes.pick(slot.block_at) * self.size
        return at + first

    def touch(
        self, slot: Slot, site: ir.Site, at: np.ndarray[Any, Any], lanes: Lanes, written: Any
    ) -> None:
        if not lanes.n:
            return
        if written is None:
            known = self.written[at]
            if not known.all():
                slot.uninitialised(site, lanes, ~known, at % self.size)
        if site.kind != "read":
            self.written[at] = True
        address = at * self.dtype.itemsize
        address -= lanes.kept["own", self.array] * self.dtype.itemsize
        address += self.offset
        slot.launch.memory_of[site.index] = self
        slot.log(slot.launch.shared_log, site, address, lanes, written)
        # Banks turn with the address: the same pattern a few words on has the same conflicts.
        active = b"" if lanes.index is None else lanes.lane.tobytes()
        pattern = ((address - address[0]).tobytes(), int(address[0]) & 7, active)
        found = self._patterns.get(pattern)
        if found is None:
            found = self._patterns[pattern] = self._count(address, lanes)
        slot.count(site, lanes, *found, address)

    def _count(self, address: np.ndarray[Any, Any], lanes: Lanes) -> tuple[int, int]:
        """Wavefronts that the warps need, and as many as they would need without conflicts.

        Elements of 8 bytes take two words: half a warp is served at a time.
        """
        wide = self.dtype.itemsize == 8
        banks = BANKS // 2 if wide else BANKS
        word = address >> (3 if wide else 2)
        group = lanes.lane >> (4 if wide else 5)
        key = (group << 20) + word
        key.sort()
        fresh = np.ones(len(key), bool)
        fresh[1:] = key[1:] != key[:-1]
        key = key[fresh]
        group = key >> 20
        per_bank = np.bincount(group * banks + (key & (banks - 1)))
        per_bank = np.pad(per_bank, (0, -len(per_bank) % banks)).reshape(-1, banks)
        most = per_bank.max(1)
        return int(most.sum()), int(np.count_nonzero(most))


class LocalMemory(Memory):
    """An array of each thread's own: no other can reach it, and nothing is counted."""

    def __init__(self, array: ir.Array, lanes: int) -> None:
        self.size = math.prod(array.shape)
        self.written = np.zeros(lanes * self.size, bool)
        flat = garbage(lanes * self.size, array.dtype)
        super().__init__(array, flat, array.shape, _steps(array.shape))

    def own(self, slot: Slot, lanes: Lanes, at: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return at + lanes.lane * self.size

    def touch(
        self, slot: Slot, site: ir.Site, at: np.ndarray[Any, Any], lanes: Lanes, written: Any
    ) -> None:
        if written is None:
            known = self.written[at]
            if not known.all():
                slot.uninitialised(site, lanes, ~known, at % self.size)
        else:
            self.written[at] = True


def _steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements from one index to the next, row by row."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
