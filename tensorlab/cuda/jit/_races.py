"""Data races: two threads touch one element, one of them writes, and nothing puts them in order.

Nothing is left to chance here. Whatever the order was in which threads ran, accesses are written
down with their thread, how many barriers its block had passed, and how many `syncwarp` its lane.
Two accesses of different threads are in order

- in one block, if the block passed a barrier between them;
- in one warp, also if both passed a `syncwarp` between them;
- in different blocks of one launch, never.

Atomic accesses don't race with each other. That is the happens-before relation of Lamport, as in
C. Flanagan and S. N. Freund, "FastTrack", PLDI 2009, for threads that meet at barriers alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["AccessLog", "Race"]

_Ints = np.ndarray[Any, Any]
READ, ATOMIC, WRITE = 0, 1, 2
_SHOWN = 4096  # racy elements looked at one by one
_SOON = 1 << 18  # rows, from which on a barrier is used to look at them
_TOO_MANY = 1 << 22  # rows, from which on what is said twice is dropped


@dataclass(frozen=True)
class Race:
    """Two accesses that nothing puts in order; threads count through the whole launch."""

    address: int
    threads: tuple[int, int]
    sites: tuple[int, int]
    same_block: bool
    same_warp: bool
    same_value: bool  # both write, and all write the same
    elements: int = 1  # for how many elements these two places race


class AccessLog:
    """Accesses to one kind of memory. `per_block`: whether each block has its own (shared)."""

    def __init__(self, kinds: list[int], threads_per_block: int, per_block: bool) -> None:
        self._kinds = np.array(kinds, np.int8)
        self._threads = threads_per_block
        self._per_block = per_block
        self._parts: list[tuple[Any, ...]] = []
        self._rows = 0
        self._settled: _Ints | None = None

    def add(
        self, site: int, address: _Ints, thread: _Ints, epoch: Any, turn: Any, value: Any
    ) -> None:
        """Write down that these threads touched these addresses."""
        n = len(address)
        if not n:
            return
        bits = 0
        if value is not None:
            value = np.ascontiguousarray(np.broadcast_to(value, n))
            bits = value.view(f"i{value.dtype.itemsize}")
        self._parts.append((address, thread, epoch, turn, bits, site, n))
        self._rows += n
        if self._rows > _TOO_MANY:
            self._drop_repeated()

    def _columns(self) -> list[_Ints]:
        """The log as columns: address, thread, epoch, turn, value, site; then it is empty."""
        parts, self._parts, self._rows = self._parts, [], 0
        sizes = np.array([part[6] for part in parts])

        def column(which: int) -> _Ints:
            found = [part[which] for part in parts]
            if not any(isinstance(each, np.ndarray) for each in found):
                return np.repeat(np.array(found, np.int64), sizes)
            return np.concatenate(
                [
                    each if isinstance(each, np.ndarray) else np.full(size, each)
                    for each, size in zip(found, sizes, strict=True)
                ]
            )

        return [column(which) for which in range(6)]

    def _drop_repeated(self) -> None:
        columns = self._columns()
        self._keep(columns, columns)

    def _keep(self, columns: list[_Ints], same: list[_Ints]) -> None:
        """Put rows back, of those that are alike in the columns `same` the first one."""
        order = np.lexsort(same[::-1])
        fresh = np.ones(len(order), bool)
        fresh[1:] = np.any([c[order][1:] != c[order][:-1] for c in same], axis=0)
        kept = np.sort(order[fresh])
        self._parts = [(*(c[kept] for c in columns), len(kept))]
        # Each time as many more may come as are left: the work stays in proportion.
        self._rows = len(kept) - min(len(kept), _TOO_MANY // 2)

    def settle(self) -> list[Race]:
        """The races so far, at a barrier that all blocks have passed; of a short log none are told yet.

        What was accessed before it can race with other blocks alone. For that, one access of each
        kind by each block is enough.
        """
        if self._rows < _SOON:
            return []
        if self._per_block:
            return self.races()
        parts, rows = list(self._parts), self._rows
        found = self.races()
        self._parts, self._rows = parts, rows
        columns = self._columns()
        address, thread, _, _, _, site = columns
        self._keep(columns, [address, thread // self._threads, self._kinds[site]])
        return found

    def races(self) -> list[Race]:
        """The races in the log, one for each pair of places in the source; the log is then empty."""
        if not self._parts or not any(np.any(self._kinds[p[5]] != READ) for p in self._parts):
            self._parts, self._rows = [], 0
            return []
        log = _Columns(*self._columns(), kinds=self._kinds, threads=self._threads)
        found: list[_Ints] = []
        rows = np.arange(len(log.address))
        if self._per_block:
            single = rows
            keys: tuple[_Ints, ...] = (log.address, log.block)
        else:
            racy, single = _split(rows, (log.address,), log.kind, log.thread, log.block)
            found += racy
            keys = (log.address,)
        # In one block: the same element between the same two barriers.
        racy, single = _split(single, (*keys, log.epoch), log.kind, log.thread, log.warp)
        found += racy
        # In one warp: between the same two syncwarps too.
        keys = (*keys, log.epoch, log.warp, log.turn)
        racy, _ = _split(single, keys, log.kind, log.thread, log.thread)
        found += racy
        return list(_name(found, log))


class _Columns:
    """A log as one array for each thing that is written down, and what follows from them."""

    def __init__(
        self,
        address: _Ints,
        thread: _Ints,
        epoch: _Ints,
        turn: _Ints,
        value: _Ints,
        site: _Ints,
        *,
        kinds: _Ints,
        threads: int,
    ) -> None:
        self.address, self.thread, self.site = address, thread, site
        self.epoch, self.turn, self.value = epoch, turn, value
        self.kind, self.block, self.warp = kinds[site], thread // threads, thread >> 5

    def clashes(self, one: int, rows: _Ints) -> _Ints:
        """Those of the rows, all of one element, that race with row `one`."""
        alone = (self.kind[one] == self.kind[rows]) & (self.kind[rows] != WRITE)
        ordered = self.epoch[rows] != self.epoch[one]
        ordered |= (self.warp[rows] == self.warp[one]) & (self.turn[rows] != self.turn[one])
        ordered &= self.block[rows] == self.block[one]
        return rows[(self.thread[rows] != self.thread[one]) & ~alone & ~ordered]


def _split(
    rows: _Ints, keys: tuple[_Ints, ...], kind: _Ints, thread: _Ints, group: _Ints
) -> tuple[list[_Ints], _Ints]:
    """Sort accesses by what they touch, and each element's threads by `group`.

    Where an element is written and threads of several groups touched it, they race. Gives the rows
    of each such element, and the rows of elements where threads of a single group may still race.
    """
    if not len(rows):
        return [], rows
    columns = [key[rows] for key in keys]
    order = np.lexsort(columns[::-1]) if len(columns) > 1 else np.argsort(columns[0], kind="stable")
    columns = [c[order] for c in columns]
    new = np.ones(len(order), bool)
    new[1:] = np.any([c[1:] != c[:-1] for c in columns], axis=0)
    starts = np.flatnonzero(new)
    if len(starts) == len(order):
        return [], rows[:0]
    rows = rows[order]
    kinds, threads, groups = kind[rows], thread[rows], group[rows]
    writes = np.bitwise_or.reduceat(np.left_shift(1, kinds), starts)
    # 1: read, 2: atomic, 4: written. Reads alone are safe, and so are atomic accesses alone.
    unsafe = (writes >= 4) | (writes == 3)
    unsafe &= np.minimum.reduceat(threads, starts) != np.maximum.reduceat(threads, starts)
    apart = np.minimum.reduceat(groups, starts) != np.maximum.reduceat(groups, starts)
    ends = np.append(starts[1:], len(rows))
    racy = [rows[starts[i] : ends[i]] for i in np.flatnonzero(unsafe & apart)[:_SHOWN]]
    left = np.repeat(unsafe & ~apart, ends - starts)
    return racy, rows[left]


def _name(found: list[_Ints], log: _Columns) -> Iterator[Race]:
    """For each pair of places one example, and for how many elements there is one."""
    pairs: dict[tuple[Any, ...], list[Any]] = {}
    for rows in found:
        one, two = sorted(_example(rows, log))
        writes_alone = bool(np.all(log.kind[rows] == WRITE))
        key = (
            int(log.site[one]),
            int(log.site[two]),
            bool(log.block[one] == log.block[two]),
            bool(log.warp[one] == log.warp[two]),
            writes_alone and bool(np.all(log.value[rows] == log.value[one])),
        )
        if key in pairs:
            pairs[key][1] += 1
        else:
            threads = int(log.thread[one]), int(log.thread[two])
            pairs[key] = [(int(log.address[one]), threads), 1]
    for (one, two, same_block, same_warp, same_value), ((where, threads), count) in pairs.items():
        yield Race(where, threads, (one, two), same_block, same_warp, same_value, count)


def _example(rows: _Ints, log: _Columns) -> tuple[int, int]:
    """Two of an element's accesses that race; rows are in the order in which they ran.

    What explains most: a write, and what a thread far away did in another line.
    """
    by_strength = rows[np.argsort(-log.kind[rows], kind="stable")]
    first, others = next(
        (int(row), clashing) for row in by_strength if len(clashing := log.clashes(int(row), rows))
    )
    for differs in (log.block, log.warp, log.site):
        far = others[differs[others] != differs[first]]
        if len(far):
            others = far
    return first, int(others[0])
