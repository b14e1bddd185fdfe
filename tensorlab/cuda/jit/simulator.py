"""A GPU that any laptop has: runs a kernel's threads on NumPy and looks at everything they do.

Warps of a block run to the next barrier one after another, in an order drawn at random (the same
for the same seed), so that a kernel that leans on luck is seen to fail. Whether it does is not
left to that luck: races are found by `_races`, from what was accessed between which barriers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit._advice import speed_findings
from tensorlab.cuda.jit._lanes import Lanes
from tensorlab.cuda.jit._memory import GlobalMemory, Memory, SharedMemory
from tensorlab.cuda.jit._problems import Problems
from tensorlab.cuda.jit._races import ATOMIC, READ, WRITE, AccessLog, Race
from tensorlab.cuda.jit._slot import Slot
from tensorlab.cuda.jit._source import Source
from tensorlab.cuda.jit._tally import Tally
from tensorlab.cuda.jit.report import Finding, KernelReport, Triple

if TYPE_CHECKING:
    from tensorlab.cuda.jit.trace import Tracer

__all__ = ["Launch", "simulate"]

_KIND = {"read": READ, "atomic": ATOMIC, "write": WRITE}
_LANES = 1 << 14  # so many lanes of a slot at most: what NumPy handles at once stays in the cache
_SEVERITY = {"error": 0, "advice": 1, "note": 2}


class _Stopped(Exception):
    """The launch can't go on; the reason stands among the findings."""


class _Tangled(Exception):
    """Blocks that are simulated together wait for each other, which on a GPU they don't."""


def simulate(
    source: Source,
    program: ir.Program,
    args: Sequence[Any],
    grid: Triple,
    block: Triple,
    *,
    seed: int = 0,
    limit: int = 100_000,
    tracer: Tracer | None = None,
) -> KernelReport:
    """Run a kernel on NumPy arrays and numbers; arrays are written in place.

    Args:
        seed: which order of warps is drawn.
        limit: passes through one `while` loop, after which it is taken for endless.
        tracer: writes down the steps of some warps.
    """
    together = 0
    with np.errstate(all="ignore"):
        while True:
            launch = Launch(source, program, args, grid, block, seed, limit, tracer)
            before = {
                array: memory.flat.copy()
                for array, memory in launch.memories.items()
                if array.name in program.written
            }
            try:
                return launch.run(together)
            except _Tangled:
                # Only where branches differ from block to block in odd ways: one at a time, then.
                together = 1
                for array, values in before.items():
                    launch.memories[array].flat[...] = values


class Launch:
    """One launch while it runs. Slots report to it what they see."""

    def __init__(
        self,
        source: Source,
        program: ir.Program,
        args: Sequence[Any],
        grid: Triple,
        block: Triple,
        seed: int,
        limit: int,
        tracer: Tracer | None,
    ) -> None:
        self.source, self.program = source, program
        self.grid, self.block, self.limit = grid, block, limit
        self.threads = math.prod(block)
        self.padded = -(-self.threads // 32) * 32
        self.rng = np.random.default_rng(seed)
        self.scalars: dict[str, Any] = {}
        self.memories: dict[ir.Array, Memory] = {}
        self._take(args)
        self.tally = Tally(program.sites)
        self.memory_of: dict[int, Memory] = {}
        self.problems = Problems(source, _barriers(program.body), grid, block)
        kinds = [_KIND[site.kind] for site in program.sites]
        self.global_log = AccessLog(kinds, self.padded, per_block=False)
        self.shared_log = AccessLog(kinds, self.padded, per_block=True)
        self.trace = tracer
        if tracer is not None:
            tracer.begin(self)

    def _take(self, args: Sequence[Any]) -> None:
        """Bind arguments: windows on the arrays' own memory, at addresses as on a GPU.

        Each allocation starts at a multiple of 256 bytes there, wherever NumPy has it.
        """
        roots: dict[int, int] = {}
        ranges: list[tuple[GlobalMemory, int, int]] = []
        for (name, param), value in zip(self.program.params, args, strict=True):
            if param.ndim is None:
                self.scalars[name] = param.dtype.type(value)
                continue
            flat, first, steps = _window(value)
            root = value
            while isinstance(root.base, np.ndarray):
                root = root.base
            start = root.__array_interface__["data"][0]
            page = roots.setdefault(start, len(roots) + 1) << 36
            address = flat.__array_interface__["data"][0] - start + page
            memory = GlobalMemory(
                self.program.arrays[name], flat, value.shape, steps, first, address
            )
            ranges.append((memory, address, address + flat.nbytes))
            self.memories[memory.array] = memory
        for memory, low, high in ranges:
            memory.watched = any(
                other.array.name in self.program.written and start < high and low < end
                for other, start, end in ranges
            )

    def run(self, together: int) -> KernelReport:
        blocks = math.prod(self.grid)
        batch = together or max(1, _LANES // 32)
        stopped = ""
        order = self.rng.permutation(blocks) if self.trace is None else np.arange(blocks)
        try:
            for start in range(0, blocks, batch):
                self._run_blocks(np.sort(order[start : start + batch]))
                self._note(self.shared_log.races())
        except _Stopped as reason:
            stopped = str(reason)
        self._note(self.shared_log.races())
        self._note(self.global_log.races())
        return self._report(stopped)

    # Blocks and barriers ------------------------------------------------------------------

    def _run_blocks(self, blocks: np.ndarray[Any, Any]) -> None:
        shared: dict[ir.Array, SharedMemory] = {}
        offset = 0
        for array in self.program.shared:
            size = array.dtype.itemsize
            offset = -(-offset // max(size, 16)) * max(size, 16)
            shared[array] = SharedMemory(array, len(blocks), offset)
            offset += math.prod(array.shape) * size
        warps = np.tile(np.arange(self.padded // 32), (len(blocks), 1))
        warps = self.rng.permuted(warps, axis=1)
        slots = [Slot(self, blocks, column, shared) for column in warps.T]
        try:
            self._run_slots(slots, blocks)
        finally:
            self.tally.end_of_batch(slot.asked for slot in slots)

    def _run_slots(self, slots: list[Slot], blocks: np.ndarray[Any, Any]) -> None:
        while True:
            ready = [slot for slot in slots if not slot.done and slot.waiting is None]
            if ready:
                for at in self.rng.permutation(len(ready)):
                    self._advance(ready[at])
                continue
            waiting = [slot for slot in slots if not slot.done]
            if not waiting:
                return
            self._open_barriers(slots, waiting, blocks)

    def _advance(self, slot: Slot) -> None:
        try:
            waiting = next(slot.work)
        except StopIteration:
            slot.done = True
            slot.alive[:] = False
            return
        slot.waiting = waiting if waiting.line else None

    def _open_barriers(
        self, slots: list[Slot], waiting: list[Slot], blocks: np.ndarray[Any, Any]
    ) -> None:
        """Let go on what may go on; all slots are at a barrier or done."""
        lines = {slot.waiting.line for slot in waiting if slot.waiting}
        alive = sum(np.count_nonzero(slot.alive) for slot in slots)
        arrived = sum(slot.waiting.lanes.n for slot in waiting if slot.waiting)
        if len(lines) == 1 and alive == arrived:
            if alive < self.threads * len(blocks):
                self._note_missing(slots, next(iter(lines)), blocks)
            for slot in slots:
                slot.epoch = slot.epoch + 1
                slot.waiting = None
            self.tally.barriers += len(blocks)
            self._note(self.shared_log.settle())
            self._note(self.global_log.settle())
            if self.trace is not None:
                self.trace.barrier(next(iter(lines)))
            return
        self._open_for_some(slots, waiting, blocks)

    def _open_for_some(
        self, slots: list[Slot], waiting: list[Slot], blocks: np.ndarray[Any, Any]
    ) -> None:
        """The slow way, block by block: some are at other barriers than others."""
        count = len(blocks)
        alive = _alive(slots, count)
        at_line: dict[int, Any] = {}
        held = np.zeros(count, bool)  # blocks of which a warp is held up by another block
        for slot in waiting:
            assert slot.waiting is not None
            here = np.bincount(slot.block_at[slot.waiting.lanes.lane], minlength=count)
            line = slot.waiting.line
            at_line[line] = at_line.get(line, 0) + here
            held |= (here == 0) & slot.alive.reshape(count, 32).any(1)
        complete = np.zeros(count, bool)
        for here in at_line.values():
            complete |= (here == alive) & (here > 0)
        going = [
            slot
            for slot in waiting
            if slot.waiting and complete[slot.block_at[slot.waiting.lanes.lane]].all()
        ]
        if not going:
            stuck = (alive > 0) & ~complete & ~held
            if count > 1 and not stuck.any():
                raise _Tangled
            at = int(np.flatnonzero(stuck if stuck.any() else alive > 0)[0])
            self._deadlock(slots, at, int(blocks[at]))
        passed = np.zeros(count, bool)
        for slot in going:
            assert slot.waiting is not None
            passed[slot.block_at[slot.waiting.lanes.lane]] = True
        line = next(slot.waiting.line for slot in going if slot.waiting)
        if (alive[passed] < self.threads).any():
            self._note_missing(slots, line, blocks)
        for slot in slots:
            slot.epoch = slot.epoch + passed[slot.block_at]
        for slot in going:
            slot.waiting = None
        self.tally.barriers += int(passed.sum())
        if self.trace is not None and passed[0]:
            self.trace.barrier(line)

    def _note_missing(self, slots: list[Slot], line: int, blocks: np.ndarray[Any, Any]) -> None:
        """Threads have ended that the others wait for at a barrier."""
        alive = _alive(slots, len(blocks))
        at = int(np.flatnonzero((alive > 0) & (alive < self.threads))[0])
        left = sorted({each for slot in slots for each in slot.exits})
        self.problems.left_early(line, int(blocks[at]), self.threads - int(alive[at]), left)

    def _deadlock(self, slots: list[Slot], at: int, block: int) -> NoReturn:
        """A block of which some threads wait for others that will not come."""
        waiting: dict[int, list[int]] = {}
        held: dict[int, list[int]] = {}
        ended: list[int] = []
        for slot in slots:
            mine = np.flatnonzero(slot.block_at == at)
            here = np.zeros(slot.width, bool)
            if slot.waiting is not None:
                here[slot.waiting.lanes.lane] = True
            for lane in mine:
                number = int(slot.thread[lane]) % self.padded
                if number >= self.threads:
                    continue
                if slot.waiting is not None and (here[lane] or slot.alive[lane]):
                    groups = waiting if here[lane] else held
                    groups.setdefault(slot.waiting.line, []).append(number)
                else:
                    ended.append(number)
        self.problems.deadlock(block, waiting, held, ended)
        raise _Stopped(f"deadlock in line {min(waiting)}")

    def endless(self, slot: Slot, stmt: ir.While | ir.For, lanes: Lanes) -> NoReturn:
        """A loop will not end, or has been gone through too often."""
        self.problems.endless(slot.thread, stmt, lanes, self.limit)
        raise _Stopped(f"endless loop in line {stmt.line}")

    # The report ---------------------------------------------------------------------------

    def _note(self, races: list[Race]) -> None:
        for race in races:
            self.problems.race(race, self.program.sites, self._element)

    def _element(self, race: Race, array: ir.Array) -> tuple[int, ...]:
        """The index of the element at a race's address."""
        memory = self.memory_of[race.sites[0]]
        base = memory.base if isinstance(memory, GlobalMemory) else getattr(memory, "offset", 0)
        at = (race.address - base) // memory.dtype.itemsize
        if isinstance(memory, GlobalMemory):
            at -= memory.first
        found = [0] * len(memory.shape)
        for axis in sorted(range(len(found)), key=lambda a: -abs(memory.steps[a])):
            step = memory.steps[axis]
            if step and memory.shape[axis] > 1:
                found[axis] = int(at / step) if step < 0 else at // step
                at -= found[axis] * step
        return tuple(found)

    def _report(self, stopped: str) -> KernelReport:
        accesses, branches = self.tally.accesses(), self.tally.branches()
        findings = self.problems.findings()
        if not stopped:
            findings += speed_findings(self, accesses, branches, self.tally.loops)
        findings += [
            self.problems.finding("precision", "note", line, what, advice)
            for line, what, advice in dict.fromkeys(self.program.notes)
        ]
        findings.sort(key=lambda f: (_SEVERITY[f.severity], f.line))
        return KernelReport(
            kernel=self.source.name,
            grid=self.grid,
            block=self.block,
            findings=tuple(findings),
            counts=self.tally.counts(math.prod(self.grid), self.threads, self.padded),
            accesses=tuple(accesses),
            branches=tuple(branches),
            source=tuple(self.source.lines),
            first_line=self.source.first,
            stopped=stopped,
            trace=None if self.trace is None else self.trace.end(),
        )

    def finding(self, *args: Any, **more: Any) -> Finding:
        return self.problems.finding(*args, **more)


def _barriers(body: Sequence[ir.Stmt]) -> list[int]:
    """The lines of statements, nested ones too, that are barriers."""
    found: list[int] = []
    for stmt in body:
        if isinstance(stmt, ir.Barrier):
            found.append(stmt.line)
        for inner in (getattr(stmt, "body", ()), getattr(stmt, "orelse", ())):
            found += _barriers(inner)
    return found


def _alive(slots: list[Slot], blocks: int) -> np.ndarray[Any, Any]:
    """For each block of a batch, how many of its threads have not ended."""
    return np.sum([slot.alive.reshape(blocks, 32).sum(1) for slot in slots], axis=0)


def _window(array: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int, tuple[int, ...]]:
    """The memory that an array reaches over as one row, where its first element is, and its steps.

    Nothing is copied: views, transposed and reversed ones too, are written where they are.
    """
    size = array.dtype.itemsize
    steps = tuple(stride // size for stride in array.strides)
    if array.size == 0:
        return np.empty(0, array.dtype), 0, steps
    first = sum(-step * (n - 1) for step, n in zip(steps, array.shape, strict=True) if step < 0)
    last = sum(step * (n - 1) for step, n in zip(steps, array.shape, strict=True) if step > 0)
    forward = (slice(None, None, -1) if step < 0 else slice(None) for step in steps)
    lowest = array[(..., *forward)]  # with the dots, what has no dimensions stays an array
    flat = np.lib.stride_tricks.as_strided(
        lowest, (first + last + 1,), (size,), writeable=array.flags.writeable
    )
    return flat, first, steps
