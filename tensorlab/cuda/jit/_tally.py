"""What the warps of a launch did, counted: accesses, statements, branches and arithmetic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit._lanes import Lanes
from tensorlab.cuda.jit.report import Access, Branch, Counts

__all__ = ["Tally", "Traffic"]


@dataclass
class Traffic:
    """What one place in the source did to memory; requests are counted once a warp."""

    requests: int = 0
    elements: int = 0
    parts: int = 0  # sectors, or wavefronts
    ideal: int = 0  # as many would do if the same elements lay side by side
    busiest: int = 0  # requests of the warp that asked most
    collisions: int = 0  # atomic accesses that waited for one of the same warp and element


class Tally:
    """The counts of one launch; `sites` are the places in its source that touch memory."""

    def __init__(self, sites: Sequence[ir.Site]) -> None:
        self._sites = sites
        self.traffic = [Traffic() for _ in sites]
        #: Of each line, how many warps ran it, and how many lanes in all.
        self.lines: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        #: Of each loop, how many lanes its warps have, pass by pass, and how many still worked.
        self.loops: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self.flops = 0
        self.barriers = 0
        # (line, how many times it was reached, side) → threads there of each block, warps that ran
        self._sides: dict[tuple[int, int, bool], list[Any]] = {}
        self._branch_warps: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self._branch_ran: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])

    def branch(self, stmt: ir.If, visit: int, lanes: Lanes, yes: Lanes) -> None:
        """Warps came to an `if`; `yes` are the lanes that go inside."""
        inside, all_here = yes.counts, lanes.counts
        warps = self._branch_warps[stmt.line]
        warps[0] += lanes.warps
        warps[1] += int(np.count_nonzero((inside > 0) & (inside < all_here)))
        sides = ((True, inside, stmt.body), (False, all_here - inside, stmt.orelse))
        for side, count, body in sides:
            if not body:
                continue
            # Each warp of a slot is of another block.
            entry = self._sides.get((stmt.line, visit, side))
            if entry is None:
                entry = self._sides[stmt.line, visit, side] = [0, 0]
            entry[0] = entry[0] + count
            entry[1] += int(np.count_nonzero(count))

    def loop(self, stmt: ir.Stmt, places: int, used: int) -> None:
        """Of the lanes of warps that are in a loop, how many still work in a pass."""
        entry = self.loops[stmt.line]
        entry[0] += places
        entry[1] += used

    def end_of_batch(self, asked: Iterable[Mapping[int, Any]]) -> None:
        """A batch of blocks is done; `asked` is how often each warp asked, by slot and site."""
        for (line, _, _), (threads, ran) in self._sides.items():
            total = self._branch_ran[line]
            total[0] += ran
            total[1] += int((-(-threads // 32)).sum())
            total[2] += int(threads.sum())
        self._sides.clear()
        for by_site in asked:
            for site, often in by_site.items():
                traffic = self.traffic[site]
                traffic.busiest = max(traffic.busiest, int(np.max(often)))

    # What the report says -----------------------------------------------------------------

    def accesses(self) -> list[Access]:
        """What each place did to memory that more than one thread can reach, line by line."""
        found = [
            Access(
                s.line, s.text, s.array.name, s.array.space, s.kind,
                t.requests, t.elements, t.parts, t.ideal, t.busiest,
            )
            for s, t in zip(self._sites, self.traffic, strict=True)
            if t.requests and s.array.space != "local"
        ]  # fmt: skip
        return sorted(found, key=lambda a: a.line)

    def branches(self) -> list[Branch]:
        """Where warps came apart, and how many ran which side, line by line."""
        return [
            Branch(line, *self._branch_warps[line], *self._branch_ran[line])
            for line in sorted(self._branch_warps)
        ]

    def counts(self, blocks: int, threads: int, padded: int) -> Counts:
        """All together, for so many blocks of so many threads, `padded` to whole warps."""
        accesses = self.accesses()

        def total(space: str, kind: str | None, what: str) -> int:
            return sum(
                getattr(a, what) for a in accesses if a.space == space and kind in (None, a.kind)
            )

        moved = {"read": 0, "write": 0}
        for site, traffic in zip(self._sites, self.traffic, strict=True):
            if site.array.space == "global" and site.kind in moved:
                moved[site.kind] += traffic.elements * site.array.dtype.itemsize
        return Counts(
            blocks=blocks,
            threads=blocks * threads,
            warps=blocks * padded // 32,
            global_loads=total("global", "read", "elements"),
            global_stores=total("global", "write", "elements"),
            global_atomics=total("global", "atomic", "elements"),
            global_requests=total("global", None, "requests"),
            sectors=total("global", None, "parts"),
            ideal_sectors=total("global", None, "ideal"),
            bytes_loaded=moved["read"],
            bytes_stored=moved["write"],
            shared_loads=total("shared", "read", "elements"),
            shared_stores=total("shared", "write", "elements"),
            shared_atomics=total("shared", "atomic", "elements"),
            wavefronts=total("shared", None, "parts"),
            ideal_wavefronts=total("shared", None, "ideal"),
            atomic_collisions=sum(t.collisions for t in self.traffic),
            branches=sum(w[0] for w in self._branch_warps.values()),
            divergent_branches=sum(w[1] for w in self._branch_warps.values()),
            barriers=self.barriers,
            instructions=sum(line[0] for line in self.lines.values()),
            lanes=sum(line[1] for line in self.lines.values()),
            flops=self.flops,
        )
