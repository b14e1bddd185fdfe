"""Problems while a kernel runs: collected once for each place, and put into words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit._lanes import Lanes
from tensorlab.cuda.jit._memory import garbage
from tensorlab.cuda.jit._races import Race
from tensorlab.cuda.jit._source import Source
from tensorlab.cuda.jit.report import Finding, Place, Triple

__all__ = ["Problems"]


@dataclass
class _Entry:
    finding: Finding
    count: int
    thread: int


class Problems:
    """What went wrong in one launch; `barriers` are the lines with `syncthreads()`."""

    def __init__(
        self, source: Source, barriers: Sequence[int], grid: Triple, block: Triple
    ) -> None:
        self._source, self._barriers = source, barriers
        self._grid, self._block = grid, block
        self._threads = math.prod(block)
        self._entries: dict[Any, _Entry] = {}

    def add(self, key: Any, count: int, make: Any, thread: int = 0) -> None:
        """Count a problem; of its kind at its place that of the lowest thread is put into words."""
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = _Entry(make(), count, thread)
            return
        entry.count += count
        if thread < entry.thread:
            entry.finding, entry.thread = make(), thread

    def findings(self) -> list[Finding]:
        return [Finding(**{**_fields(e.finding), "count": e.count}) for e in self._entries.values()]

    def finding(
        self, kind: str, severity: str, line: int, message: str, advice: str, **more: Any
    ) -> Finding:
        """A finding of that line; `more` are fields of `Finding`."""
        more.setdefault("lines", (line,))
        return Finding(kind, severity, line, self._source.text(line), message, advice, **more)

    def place(self, thread: int) -> Place:
        """The thread with this number in the launch (a warp's lanes are numbered even if unused)."""
        block, inside = divmod(int(thread), -(-self._threads // 32) * 32)
        return Place(_split(inside, self._block), _split(block, self._grid))

    def block_name(self, number: int) -> Triple | int:
        """How the block with this number is called: 5, or (5, 1, 0)."""
        place = _split(number, self._grid)
        return place[0] if place[1:] == (0, 0) else place

    # Memory -----------------------------------------------------------------------------

    def out_of_bounds(
        self,
        threads: Any,
        site: ir.Site,
        shape: tuple[int, ...],
        index: Any,
        lanes: Lanes,
        outside: Any,
    ) -> None:
        def make() -> Finding:
            at = int(np.flatnonzero(outside)[0])
            found = tuple(int(np.broadcast_to(each, lanes.n)[at]) for each in index)
            place = self.place(lanes.pick(threads)[at])
            axis = next(
                a for a, (i, n) in enumerate(zip(found, shape, strict=True)) if not 0 <= i < n
            )
            name, size = site.array.name, shape[axis]
            verb = {"read": "reads", "write": "writes", "atomic": "changes"}[site.kind]
            where = f"{name}[{', '.join(map(str, found))}]"
            along = f" along dimension {axis}" if len(shape) > 1 else ""
            last = f"its last index is {size - 1}" if size else "it is empty"
            if found[axis] < 0:
                advice = (
                    "a GPU does not count from the end: make sure that the index is 0 or more, or "
                    "leave the element out with if"
                )
            elif site.array.space == "global" and len(shape) == 1:
                advice = (
                    f"there are more threads than elements: guard the line with if … < len({name}):"
                )
            elif site.array.space == "global":
                advice = f"guard the line: if … < {name}.shape[{axis}]:"
            else:
                advice = f"make {name} larger, or guard the line with if"
            return self.finding(
                "out-of-bounds",
                "error",
                site.line,
                f"{place} {verb} {where}, but {name} has {size:,} elements{along}: {last}",
                advice,
                threads=(place,),
                array=name,
                index=found,
            )

        self.add(
            ("out-of-bounds", site.index),
            int(np.count_nonzero(outside)),
            make,
            int(lanes.pick(threads)[outside][0]),
        )

    def uninitialised(
        self, threads: Any, site: ir.Site, lanes: Lanes, unknown: Any, element: Any
    ) -> None:
        def make() -> Finding:
            at = int(np.flatnonzero(unknown)[0])
            place, array = self.place(lanes.pick(threads)[at]), site.array
            index = tuple(int(i) for i in np.unravel_index(int(element[at]), array.shape))
            name = f"{array.name}[{', '.join(map(str, index))}]"
            return self.finding(
                "uninitialised",
                "error",
                site.line,
                f"{place} reads {name} of {array.space} memory, which nobody has written",
                f"write all of {array.name} first; it holds anything at the start "
                f"(here {garbage(1, array.dtype)[0]})",
                threads=(place,),
                array=array.name,
                index=index,
            )

        self.add(
            ("uninitialised", site.index),
            int(np.count_nonzero(unknown)),
            make,
            int(lanes.pick(threads)[unknown][0]),
        )

    def unset(self, threads: Any, node: ir.Local, lanes: Lanes, missing: Any) -> None:
        def make() -> Finding:
            place = self.place(lanes.pick(threads)[int(np.flatnonzero(missing)[0])])
            return self.finding(
                "uninitialised",
                "error",
                node.line,
                f"{place} reads {node.name}, to which it has given no value",
                f"give {node.name} a value before the if or the loop that may be left out",
                threads=(place,),
            )

        self.add(
            ("unset", node.name, node.line),
            int(np.count_nonzero(missing)),
            make,
            int(lanes.pick(threads)[missing][0]),
        )

    def no_result(self, threads: Any, node: ir.Call, lanes: Lanes) -> None:
        def make() -> Finding:
            place = self.place(lanes.pick(threads)[0])
            return self.finding(
                "uninitialised",
                "error",
                node.line,
                f"for {place} {node.program.name} ends without return",
                f"let every way through {node.program.name} return a value",
                threads=(place,),
            )

        self.add(("no result", node.program.name, node.line), lanes.n, make)

    # Warps ------------------------------------------------------------------------------

    def silent_lane(
        self, threads: Any, node: ir.Shuffle, lanes: Lanes, silent: Any, source: Any
    ) -> None:
        def make() -> Finding:
            at = int(np.flatnonzero(silent)[0])
            place = self.place(lanes.pick(threads)[at])
            return self.finding(
                "warp",
                "error",
                node.line,
                f"{place} asks lane {int(source[at]) % 32} of its warp for a value, and that lane is not there",
                "let all lanes of the warp come to the shuffle: take it out of the if, and give lanes "
                "that have nothing a neutral value, such as 0",
                threads=(place,),
            )

        self.add(("silent", node.line), int(np.count_nonzero(silent)), make)

    def missing_lanes(
        self, threads: Any, what: str, line: int, mask: int, lanes: Lanes, missing: Any
    ) -> None:
        def make() -> Finding:
            warp = int(np.flatnonzero(missing)[0])
            bits = int(missing[warp])
            gone = [lane for lane in range(32) if bits >> lane & 1]
            here = self.place(lanes.pick(threads)[int(np.flatnonzero(lanes.warp == warp)[0])])
            return self.finding(
                "warp",
                "error",
                line,
                f"{what} with mask {mask:#010x} waits for lanes {_ranges(gone)} of the warp of {here}, "
                "and they do not come",
                "let all lanes of the warp come here: take it out of the if, or name only those "
                "lanes in the mask that come",
                threads=(here,),
            )

        self.add(("missing", what, line), int(np.count_nonzero(missing)), make)

    # Barriers and loops -----------------------------------------------------------------

    def left_early(self, line: int, block: int, gone: int, left: Sequence[int]) -> None:
        """Of a block so many threads have ended, at the returns of `left`, that a barrier needs."""
        where = " and ".join(map(str, left))
        how = f"have left at the return of line {where}" if left else "do not come to it"
        self.add(
            ("barrier", line),
            1,
            lambda: self.finding(
                "barrier",
                "error",
                line,
                f"{gone} of the {self._threads} threads of block {self.block_name(block)} {how}: CUDA "
                "wants all threads of a block at each syncthreads()",
                f"instead of the return in line {where}, guard what follows with if, and keep "
                "syncthreads() outside of it"
                if left
                else "take syncthreads() out of the if, so that all threads come to it",
                lines=(line, *left),
            ),
        )

    def deadlock(
        self,
        block: int,
        waiting: Mapping[int, list[int]],
        held: Mapping[int, list[int]],
        ended: list[int],
    ) -> None:
        """Threads wait at the barriers of some lines; others of their warps are not there, or ended."""
        groups = [(who, f"wait at syncthreads() in line {line}") for line, who in waiting.items()]
        groups += [
            (who, f"did not come to line {line} with the rest of their warp")
            for line, who in held.items()
        ]
        if ended:
            groups.append((ended, "have ended"))
        words = [
            f"threads {_ranges(sorted(who))} {what}"
            for who, what in sorted(groups, key=lambda group: min(group[0]))
        ]
        finding = self.finding(
            "deadlock",
            "error",
            min(waiting),
            f"block {self.block_name(block)} waits for ever: {'; '.join(words)}",
            "all threads of a block must come to the same syncthreads(): take it out of the if or "
            "the loop that not all of them go through",
            lines=tuple(sorted(waiting)),
        )
        self.add(("deadlock",), 1, lambda: finding)

    def endless(self, threads: Any, stmt: ir.While | ir.For, lanes: Lanes, limit: int) -> None:
        """A `for` with a step of 0, or a `while` that was gone through `limit` times."""
        place = self.place(lanes.pick(threads)[0])
        finding = self.finding(
            "endless-loop",
            "error",
            stmt.line,
            f"{place} goes with a step of 0"
            if isinstance(stmt, ir.For)
            else f"{place} has been through this loop {limit:,} times, and {lanes.n:,} threads "
            "are in it",
            "check that what the condition reads changes in the loop; a thread that waits for another "
            "of its own warp, or for another block, may wait for ever. A longer loop can be allowed "
            "with jit.watch(limit=…)",
            threads=(place,),
        )
        self.add(("endless",), 1, lambda: finding)

    # Races ------------------------------------------------------------------------------

    def race(self, race: Race, sites: list[ir.Site], element: Any) -> None:
        one, two = (sites[i] for i in race.sites)
        array = one.array
        index = element(race, array)
        name = f"{array.name}[{', '.join(map(str, index))}]"
        places = tuple(self.place(thread) for thread in race.threads)
        ends = tuple(sorted(((one.line, one.kind), (two.line, two.kind))))
        key = ("race", ends, array.name, race.same_block, race.same_value)
        if race.same_value:
            message = f"{places[0]} and {places[1]} write the same number to {name} of {array.space} memory"
            advice = (
                "it does no harm while they agree; let one thread write it: if threadIdx.x == 0:"
            )
            severity = "note"
        else:
            verbs = {"read": "reads", "write": "writes", "atomic": "changes"}
            first = f"{places[0]} {verbs[one.kind]} {name} of {array.space} memory"
            if one.line == two.line and one.kind == two.kind:
                message = f"{first}, and {places[1]} {verbs[two.kind]} it too"
            else:
                where = "in the same line" if one.line == two.line else f"in line {two.line}"
                message = f"{first}, and {places[1]} {verbs[two.kind]} it {where}"
            message += self._why(race)
            advice = self._remedy(race, one, two)
            severity = "error"
        self.add(
            key,
            race.elements,
            lambda: self.finding(
                "race",
                severity,
                one.line,
                message,
                advice,
                threads=places,
                lines=tuple(dict.fromkeys((one.line, two.line))),
                array=array.name,
                index=index,
            ),
        )

    @staticmethod
    def _why(race: Race) -> str:
        if not race.same_block:
            return ": blocks run in any order, and nothing makes one wait for another"
        if race.same_warp:
            return ": both are of one warp, but its lanes need not run in step"
        return ": no barrier is between, so either may come first"

    def _remedy(self, race: Race, one: ir.Site, two: ir.Site) -> str:
        both_write = one.kind == two.kind == "write"
        if one.line == two.line and {one.kind, two.kind} <= {"read", "write"} and not both_write:
            loop = self._source.loop_of(one.line)
            if race.same_block and loop:
                return (
                    f"put syncthreads() at the end of the loop of line {loop}, so that all threads have "
                    "written before the next pass reads"
                )
            if race.same_block and one.array.space == "shared":
                return (
                    f"read into a variable, then syncthreads(), then write {one.array.name}; "
                    "or, to add up, use atomic.add"
                )
            return (
                f"to change an element that others change too, use atomic.add({one.array.name}, …)"
            )
        if both_write:
            return f"give each thread an element of its own, or add up with atomic.add({one.array.name}, …)"
        if "atomic" in (one.kind, two.kind) and race.same_block:
            return "put syncthreads() between the atomic accesses and the others"
        if not race.same_block:
            return (
                "let one launch write and the next one read, or give each block elements of its own, "
                f"or use atomic.add({one.array.name}, …)"
            )
        barrier = "syncwarp() or syncthreads()" if race.same_warp else "syncthreads()"
        first, last = sorted((one.line, two.line))
        loop = self._source.loop_of(first, last)
        if loop and any(first < line < last for line in self._barriers):
            return f"put {barrier} after line {last}, before the loop of line {loop} comes to line {first} again"
        return f"put {barrier} between line {first} and line {last}"


def _fields(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in Finding.__slots__}


def _split(number: int, sizes: Triple) -> Triple:
    return number % sizes[0], number // sizes[0] % sizes[1], number // sizes[0] // sizes[1]


def _ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 5] as "0–2, 5".

    >>> _ranges([0, 1, 2, 5])
    '0–2, 5'
    """
    parts: list[str] = []
    start = previous = None
    for each in [*numbers, None]:
        if previous is not None and each == previous + 1:
            previous = each
            continue
        if start is not None:
            parts.append(str(start) if start == previous else f"{start}–{previous}")
        start = previous = each
    return ", ".join(parts)
