"""The steps of a block, one statement of one warp at a time, for the replay.

A step says which line ran, for which lanes of which warp, and which elements they touched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit._lanes import Lanes
from tensorlab.cuda.jit._memory import BANKS, SECTOR

if TYPE_CHECKING:
    from tensorlab.cuda.jit._slot import Slot
    from tensorlab.cuda.jit.report import Triple
    from tensorlab.cuda.jit.simulator import Launch

__all__ = ["Step", "Touch", "Trace", "TracedArray", "Tracer"]


@dataclass(frozen=True, slots=True)
class TracedArray:
    """An array that a trace speaks of."""

    name: str
    space: str
    shape: tuple[int, ...]
    dtype: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "space": self.space,
            "shape": list(self.shape),
            "dtype": self.dtype,
        }


@dataclass(frozen=True, slots=True)
class Touch:
    """An access in a step: lane i of `lanes` touches element `elements[i]` (counted row by row).

    `parts` and `ideal` are sectors for global memory and wavefronts for shared memory.
    """

    array: int
    kind: str
    lanes: tuple[int, ...]
    elements: tuple[int, ...]
    parts: int
    ideal: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "array": self.array,
            "kind": self.kind,
            "lanes": list(self.lanes),
            "elements": list(self.elements),
            "parts": self.parts,
            "ideal": self.ideal,
        }


@dataclass(slots=True)
class Step:
    """One statement of one warp; `warp` is -1 for a barrier that opens for the whole block.

    `active` has a bit for each active lane, `what` is a word such as "if" or "barrier".
    """

    line: int
    warp: int
    active: int
    what: str
    touches: list[Touch] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "warp": self.warp,
            "active": self.active,
            "what": self.what,
            "touches": [each.to_dict() for each in self.touches],
        }


@dataclass(frozen=True, eq=False)
class Trace:
    """What the warps of one block did, in the order in which the simulator ran them.

    As a dict, `to_dict()`: schema "tensorlab.kernel-trace/1".
    """

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    index: tuple[int, int, int]
    source: tuple[str, ...]
    first_line: int
    arrays: tuple[TracedArray, ...]
    steps: tuple[Step, ...]
    complete: bool

    @property
    def warps(self) -> int:
        return -(-math.prod(self.block) // 32)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": "tensorlab.kernel-trace/1",
            "kernel": self.kernel,
            "grid": list(self.grid),
            "block": list(self.block),
            "index": list(self.index),
            "source": list(self.source),
            "first_line": self.first_line,
            "arrays": [each.to_dict() for each in self.arrays],
            "steps": [each.to_dict() for each in self.steps],
            "complete": self.complete,
        }

    def __repr__(self) -> str:
        more = "" if self.complete else ", and there were more"
        return f"<trace of block {self.index} of {self.kernel}: {len(self.steps)} steps{more}>"


_WORDS = {
    ir.Assign: "compute",
    ir.Store: "store",
    ir.Evaluate: "call",
    ir.If: "if",
    ir.While: "while",
    ir.For: "for",
    ir.Return: "return",
    ir.Break: "break",
    ir.Continue: "continue",
    ir.Barrier: "barrier",
    ir.SyncWarp: "syncwarp",
}


class Tracer:
    """Writes down the steps of one block while a launch runs."""

    def __init__(self, block: int | Sequence[int], most: int) -> None:
        self._wanted = block
        self._most = most
        self._steps: list[Step] = []
        self._arrays: dict[Any, int] = {}
        self._shown: list[TracedArray] = []
        self._complete = True
        self._current: dict[int, Step] = {}

    def begin(self, launch: Launch) -> None:
        """A launch starts (or starts again)."""
        grid = launch.grid
        if isinstance(self._wanted, (int, np.integer)):
            number = int(self._wanted)
        else:
            x, y, z = (*self._wanted, 0, 0)[:3]
            number = x + grid[0] * (y + grid[1] * z)
        if not 0 <= number < math.prod(grid):
            raise IndexError(f"trace={self._wanted!r}: the launch has {math.prod(grid)} blocks")
        self._launch, self._block = launch, number
        self._steps, self._arrays, self._shown, self._complete = [], {}, [], True
        self._current = {}
        for array, memory in launch.memories.items():
            self._array(memory, array, memory.shape)

    def _array(self, key: Any, array: ir.Array, shape: tuple[int, ...]) -> int:
        if key not in self._arrays:
            self._arrays[key] = len(self._shown)
            self._shown.append(TracedArray(array.name, array.space, tuple(shape), array.dtype.name))
        return self._arrays[key]

    def _mine(self, slot: Slot, lanes: Lanes) -> np.ndarray[Any, Any] | None:
        """Which of the active lanes are of the traced block; None if none are."""
        thread = lanes.pick(slot.thread)
        mine = thread // self._launch.padded == self._block
        return mine if mine.any() else None

    def statement(self, slot: Slot, stmt: ir.Stmt, lanes: Lanes) -> None:
        mine = self._mine(slot, lanes)
        if mine is None:
            self._current.pop(id(slot), None)
            return
        if len(self._steps) >= self._most:
            self._complete = False
            self._current.pop(id(slot), None)
            return
        threads = lanes.pick(slot.thread)[mine] % self._launch.padded
        active = sum(1 << int(lane) for lane in threads & 31)
        step = Step(stmt.line, int(threads[0]) >> 5, active, _WORDS[type(stmt)])
        self._steps.append(step)
        self._current[id(slot)] = step

    def access(self, slot: Slot, site: ir.Site, lanes: Lanes, address: Any) -> None:
        step = self._current.get(id(slot))
        mine = self._mine(slot, lanes)
        if step is None or mine is None:
            return
        memory = self._launch.memory_of[site.index]
        base = getattr(memory, "base", None)
        if base is None:
            base = getattr(memory, "offset", 0)
        where = np.broadcast_to(address, lanes.n)[mine]
        size = memory.dtype.itemsize
        elements = (where - base) // size
        index = self._rows(memory, elements)
        lane = lanes.lane[mine] & 31
        if site.array.space == "shared":
            # One warp: what its 32 banks (or 16 pairs of them) have to bring one after another.
            unit, banks, group = (8, BANKS // 2, lane >> 4) if size == 8 else (4, BANKS, lane * 0)
            words = {(int(g), int(a) // unit) for g, a in zip(group, where, strict=True)}
            per_bank: dict[tuple[int, int], int] = {}
            for g, word in words:
                per_bank[g, word % banks] = per_bank.get((g, word % banks), 0) + 1
            groups = {g for g, _ in words}
            parts = sum(max(n for (h, _), n in per_bank.items() if h == g) for g in groups)
            ideal = len(groups)
            key: Any = site.array.name if memory.array is site.array else memory.array.name
        else:
            parts = len(np.unique(where // SECTOR))
            ideal = -(-len(np.unique(where)) * size // SECTOR)
            key = memory
        number = self._array(key, memory.array, memory.shape)
        step.touches.append(
            Touch(number, site.kind, tuple(map(int, lane)), tuple(map(int, index)), parts, ideal)
        )

    @staticmethod
    def _rows(memory: Any, elements: Any) -> Any:
        """Elements counted row by row, whatever the order in memory is."""
        rest = elements - getattr(memory, "first", 0)
        found = np.zeros(len(elements), np.int64)
        for axis in sorted(range(len(memory.shape)), key=lambda a: -abs(memory.steps[a])):
            step, size = memory.steps[axis], memory.shape[axis]
            if not step or size < 2:
                continue
            at = np.abs(rest) // abs(step) if step < 0 else rest // step
            rest = rest - at * step
            found += at * math.prod(memory.shape[axis + 1 :])
        return found

    def barrier(self, line: int) -> None:
        """All threads of the block have come to a barrier, and go on."""
        if self._steps and len(self._steps) < self._most:
            self._steps.append(Step(line, -1, 0, "barrier opens"))

    def end(self) -> Trace:
        launch = self._launch
        index: Triple = launch.problems.place(self._block * launch.padded).block
        return Trace(
            kernel=launch.source.name,
            grid=launch.grid,
            block=launch.block,
            index=index,
            source=tuple(launch.source.lines),
            first_line=launch.source.first,
            arrays=tuple(self._shown),
            steps=tuple(self._steps),
            complete=self._complete,
        )
