"""Carrying out a kernel for one warp of each block at a time.

All lanes of a slot go through the program together, as those of a warp do: at an `if` the lanes
split, a loop goes on until none is left in it. What a lane has in its variables is an element of
a NumPy array; a number that all lanes share stays one number (`_values`). The work is a Python generator, so
a slot can stop at a barrier and go on when all threads of the blocks have come.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit._lanes import Lanes
from tensorlab.cuda.jit._memory import LocalMemory, Memory, SharedMemory, garbage
from tensorlab.cuda.jit._values import evaluate

if TYPE_CHECKING:
    from tensorlab.cuda.jit._races import AccessLog
    from tensorlab.cuda.jit.simulator import Launch

__all__ = ["Slot", "Waiting"]

_TURN = 256  # passes through a while loop, after which the other warps may go on


@dataclass
class Waiting:
    """Where a slot has stopped: at a barrier with these lanes, or (no line) to let others run."""

    line: int
    lanes: Lanes


@dataclass
class _Frame:
    """The variables of a function: of the kernel, or of a device function while it is called."""

    program: ir.Program
    memories: dict[ir.Array, Memory]
    scalars: dict[str, Any]
    base: Lanes
    values: dict[str, Any] = field(default_factory=dict)
    unset: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    loops: list[tuple[list[Lanes], list[Lanes]]] = field(default_factory=list)  # (left, next pass)
    result: Any = None


_Run = Generator[Waiting, None, Lanes]


class Slot:
    """One warp of each block of a batch. `blocks` are the blocks' numbers, `warps` which warp of each."""

    def __init__(
        self,
        launch: Launch,
        blocks: np.ndarray[Any, Any],
        warps: np.ndarray[Any, Any],
        shared: dict[ir.Array, SharedMemory],
    ) -> None:
        self.launch = launch
        self.tally, self.problems = launch.tally, launch.problems
        self.width = len(blocks) * 32
        lane = np.tile(np.arange(32), len(blocks))
        thread = np.repeat(warps, 32) * 32 + lane
        block = np.repeat(blocks, 32)
        self.block_at = np.repeat(np.arange(len(blocks)), 32)
        self.thread = block * launch.padded + thread  # counted through the launch
        valid = thread < launch.threads
        all_lanes = Lanes(self.width)
        self.base = all_lanes if valid.all() else all_lanes.where(valid)
        self.alive = valid
        self.epoch: Any = 0  # barriers passed; an array where blocks of the batch differ
        self.turn: Any = 0  # syncwarps passed, likewise for lanes
        self.waiting: Waiting | None = None
        self.done = False
        self.exits: dict[int, int] = {}  # line of return → lanes that left there
        self.special = self._coordinates(thread, block)
        self.special["laneid", 0] = lane.astype(np.int32)
        memories: dict[ir.Array, Memory] = dict(launch.memories)
        memories.update(shared)
        for array in launch.program.arrays.values():
            if array.space == "local":
                memories[array] = LocalMemory(array, self.width)
        self.frame = _Frame(launch.program, memories, launch.scalars, self.base)
        # For each place that touches memory, how often each warp asked; one number if all as often.
        self.asked: dict[int, Any] = {}
        self._visits: dict[int, int] = {}
        self.work = self._main()

    def _coordinates(self, thread: Any, block: Any) -> dict[tuple[str, int], Any]:
        found: dict[tuple[str, int], Any] = {}
        launch = self.launch
        for name, number, sizes in (
            ("threadIdx", thread, launch.block),
            ("blockIdx", block, launch.grid),
        ):
            for axis in range(3):
                found[name, axis] = (number % sizes[axis]).astype(np.int32)
                number = number // sizes[axis]
        for axis in range(3):
            found["blockDim", axis] = np.int32(launch.block[axis])
            found["gridDim", axis] = np.int32(launch.grid[axis])
            found["gridsize", axis] = np.int32(launch.block[axis] * launch.grid[axis])
            found["grid", axis] = (
                found["blockIdx", axis] * found["blockDim", axis] + found["threadIdx", axis]
            )
        return found

    def _main(self) -> Generator[Waiting, None, None]:
        yield from self.block(self.launch.program.body, self.base)

    # Statements -------------------------------------------------------------------------

    def block(self, body: list[ir.Stmt], lanes: Lanes) -> _Run:
        """Carry out statements; gives the lanes that come out at the end."""
        counts = self.tally.lines
        for stmt in body:
            if not lanes.n:
                break
            line = counts[stmt.line]
            line[0] += lanes.warps
            line[1] += lanes.n
            if self.launch.trace is not None:
                self.launch.trace.statement(self, stmt, lanes)
            simple = _SIMPLE.get(type(stmt))
            if simple is not None:
                simple(self, stmt, lanes)
            else:
                lanes = yield from _COMPOUND[type(stmt)](self, stmt, lanes)
        return lanes

    def _assign(self, stmt: ir.Assign, lanes: Lanes) -> None:
        value = evaluate(self, stmt.value, lanes)
        frame, name = self.frame, stmt.name
        if isinstance(stmt.value, (ir.Local, ir.Special, ir.Scalar)) and isinstance(
            value, np.ndarray
        ):
            value = value.copy()  # no two variables share an array
        self._set(frame, name, frame.program.locals[name], value, lanes)

    def _set(self, frame: _Frame, name: str, dtype: Any, value: Any, lanes: Lanes) -> None:
        if lanes.n == frame.base.n and (lanes.index is None or not isinstance(value, np.ndarray)):
            frame.values[name] = value
            frame.unset.pop(name, None)
            return
        held = frame.values.get(name)
        if held is None:
            if name in frame.scalars:  # an argument that is assigned
                held = np.full(self.width, frame.scalars[name], dtype)
            else:
                held = garbage(self.width, dtype)
                frame.unset[name] = np.ones(self.width, bool)
            frame.values[name] = held
        elif not isinstance(held, np.ndarray):
            held = frame.values[name] = np.full(self.width, held, dtype)
        lanes.put(held, value)
        unset = frame.unset.get(name)
        if unset is not None:
            lanes.put(unset, False)
            if not frame.base.pick(unset).any():
                del frame.unset[name]

    def _store(self, stmt: ir.Store, lanes: Lanes) -> None:
        value = evaluate(self, stmt.value, lanes)
        index = tuple([evaluate(self, each, lanes) for each in stmt.index])
        self.frame.memories[stmt.array].store(self, stmt.site, index, value, lanes)

    def _evaluate(self, stmt: ir.Evaluate, lanes: Lanes) -> None:
        evaluate(self, stmt.value, lanes)

    def _syncwarp(self, stmt: ir.SyncWarp, lanes: Lanes) -> None:
        assert isinstance(stmt.mask, ir.Const)
        self.check_mask("syncwarp", stmt.line, stmt.mask.value, lanes)
        if lanes.n == self.base.n:
            self.turn = self.turn + 1
            return
        # A new array: the log keeps the old one.
        turn = np.array(np.broadcast_to(self.turn, self.width))
        turn[lanes.lane] += 1
        self.turn = turn

    def _if(self, stmt: ir.If, lanes: Lanes) -> _Run:
        test = evaluate(self, stmt.test, lanes)
        if not isinstance(test, np.ndarray):
            return (yield from self.block(stmt.body if test else stmt.orelse, lanes))
        test = test.astype(bool)
        yes = lanes.where(test)
        self._count_branch(stmt, lanes, yes)
        if yes.n == lanes.n:
            return (yield from self.block(stmt.body, lanes))
        if not yes.n:
            return (yield from self.block(stmt.orelse, lanes))
        out = [(yield from self.block(stmt.body, yes))]
        out.append((yield from self.block(stmt.orelse, lanes.where(~test))))
        return Lanes.merge(out, lanes)

    def _count_branch(self, stmt: ir.If, lanes: Lanes, yes: Lanes) -> None:
        visit = self._visits[stmt.line] = self._visits.get(stmt.line, 0) + 1
        self.tally.branch(stmt, visit, lanes, yes)

    def _while(self, stmt: ir.While, lanes: Lanes) -> _Run:
        loop: tuple[list[Lanes], list[Lanes]] = ([], [])
        self.frame.loops.append(loop)
        inside, passes = lanes, 0
        while inside.n:
            test = evaluate(self, stmt.test, inside)
            if isinstance(test, np.ndarray):
                test = test.astype(bool)
                going = inside.where(test)
                if going.n < inside.n:
                    loop[0].append(inside.where(~test))
                    self._count_loop(stmt, lanes, going)
                    inside = going
            elif not test:
                loop[0].append(inside)
                break
            if not inside.n:
                break
            passes += 1
            if passes > self.launch.limit:
                self.launch.endless(self, stmt, inside)
            inside = yield from self._pass(stmt.body, inside, loop)
            if passes % _TURN == 0:
                yield Waiting(0, inside)
        self.frame.loops.pop()
        return Lanes.merge(loop[0], lanes)

    def _for(self, stmt: ir.For, lanes: Lanes) -> _Run:
        start, stop, step = (
            evaluate(self, each, lanes) for each in (stmt.start, stmt.stop, stmt.step)
        )
        loop: tuple[list[Lanes], list[Lanes]] = ([], [])
        frame = self.frame
        frame.loops.append(loop)
        dtype = frame.program.locals[stmt.name]
        if not any(isinstance(each, np.ndarray) for each in (start, stop, step)):
            inside = lanes
            if step == 0 and start < stop:
                self.launch.endless(self, stmt, inside)
            for each in range(int(start), int(stop), int(step) or 1):
                if not inside.n:
                    break
                if stmt.private:
                    frame.values[stmt.name] = dtype.type(each)
                else:
                    self._set(frame, stmt.name, dtype, dtype.type(each), inside)
                inside = yield from self._pass(stmt.body, inside, loop)
            loop[0].append(inside)
        else:
            yield from self._for_each_its_own(stmt, lanes, loop, (start, stop, step))
        frame.loops.pop()
        return Lanes.merge(loop[0], lanes)

    def _for_each_its_own(
        self,
        stmt: ir.For,
        lanes: Lanes,
        loop: tuple[list[Lanes], list[Lanes]],
        bounds: tuple[Any, Any, Any],
    ) -> Generator[Waiting, None, None]:
        """Threads that count from, to or by different numbers."""
        dtype = self.frame.program.locals[stmt.name]
        count, stop, step = (np.zeros(self.width, np.int64) for _ in range(3))
        for held, value in zip((count, stop, step), bounds, strict=True):
            lanes.put(held, value)
        inside = lanes
        while inside.n:
            now, end, by = inside.pick(count), inside.pick(stop), inside.pick(step)
            going = np.where(by >= 0, now < end, now > end)
            stuck = going & (by == 0)
            if stuck.any():
                self.launch.endless(self, stmt, inside.where(stuck))
            if not going.all():
                loop[0].append(inside.where(~going))
                inside = inside.where(going)
                now = now[going]
            self._count_loop(stmt, lanes, inside)
            if not inside.n:
                return
            self._set(self.frame, stmt.name, dtype, now.astype(dtype), inside)
            inside = yield from self._pass(stmt.body, inside, loop)
            inside.put(count, inside.pick(count) + inside.pick(step))

    def _count_loop(self, stmt: ir.Stmt, entered: Lanes, going: Lanes) -> None:
        """How many lanes still work in a pass, of those that came in with the same warps."""
        places = int(entered.counts[going.counts > 0].sum())
        self.tally.loop(stmt, places, going.n)

    def _pass(
        self, body: list[ir.Stmt], lanes: Lanes, loop: tuple[list[Lanes], list[Lanes]]
    ) -> _Run:
        """Once through a loop's body; those that said `continue` join the others at its end."""
        out = yield from self.block(body, lanes)
        if loop[1]:
            out = Lanes.merge([out, *loop[1]], lanes)
            loop[1].clear()
        return out

    def _break(self, stmt: ir.Break, lanes: Lanes) -> _Run:
        self.frame.loops[-1][0].append(lanes)
        return Lanes(self.width, np.empty(0, np.int64))
        yield  # a generator, as all statements that change which lanes are active

    def _continue(self, stmt: ir.Continue, lanes: Lanes) -> _Run:
        self.frame.loops[-1][1].append(lanes)
        return Lanes(self.width, np.empty(0, np.int64))
        yield

    def _return(self, stmt: ir.Return, lanes: Lanes) -> _Run:
        frame = self.frame
        if frame.program is not self.launch.program:
            if stmt.value is not None:
                value = evaluate(self, stmt.value, lanes)
                lanes.put(frame.result, value)
        else:
            lanes.put(self.alive, False)
            self.exits[stmt.line] = self.exits.get(stmt.line, 0) + lanes.n
        return Lanes(self.width, np.empty(0, np.int64))
        yield

    def _barrier(self, stmt: ir.Barrier, lanes: Lanes) -> _Run:
        yield Waiting(stmt.line, lanes)
        return lanes

    def call(self, node: ir.Call, lanes: Lanes) -> Any:
        """Run a device function, in a frame of its own; gives what it returns."""
        program, outer = node.program, self.frame
        memories, scalars = dict(outer.memories), {}
        values: dict[str, Any] = {}
        for (name, _), given in zip(program.params, node.args, strict=True):
            if isinstance(given, ir.Array):
                memories[program.arrays[name]] = outer.memories[given]
                continue
            value = evaluate(self, given, lanes)
            if isinstance(value, np.ndarray):
                held = np.empty(self.width, value.dtype)
                lanes.put(held, value)
                value = held
            scalars[name] = value
        frame = _Frame(program, memories, scalars, lanes, values)
        if program.returns is not None:
            frame.result = garbage(self.width, program.returns)
        self.frame = frame
        left: Lanes | None = None
        work = self.block(program.body, lanes)
        while left is None:
            try:
                next(work)  # it may offer to let others run; inside of an expression nobody can
            except StopIteration as end:
                left = end.value
        self.frame = outer
        if program.returns is None:
            return None
        if left.n:
            self.problems.no_result(self.thread, node, left)
        return lanes.pick(frame.result).copy()

    def check_mask(self, what: str, line: int, mask: int, lanes: Lanes) -> None:
        """All lanes that a mask names must be here, unless they have ended."""
        alive = self.base.pick(self.alive)
        living = self.base.gather_bits(alive)
        here = lanes.bits
        missing = (living & np.uint32(mask) & ~here) * (here > 0)
        if missing.any():
            self.problems.missing_lanes(self.thread, what, line, mask, lanes, missing)

    # What memories report ---------------------------------------------------------------

    def log(self, log: AccessLog, site: ir.Site, address: Any, lanes: Lanes, written: Any) -> None:
        thread = lanes.kept.get("thread")
        if thread is None:
            thread = lanes.kept["thread"] = lanes.pick(self.thread)
        epoch = lanes.pick(self.epoch) if isinstance(self.epoch, np.ndarray) else self.epoch
        turn = lanes.pick(self.turn) if isinstance(self.turn, np.ndarray) else self.turn
        log.add(site.index, address, thread, epoch, turn, written)

    def count(self, site: ir.Site, lanes: Lanes, parts: int, ideal: int, address: Any) -> None:
        traffic = self.tally.traffic[site.index]
        traffic.requests += lanes.warps
        asked = 1 if lanes.warps == self.width >> 5 else lanes.counts > 0
        self.asked[site.index] = self.asked.get(site.index, 0) + asked
        traffic.elements += lanes.n
        traffic.parts += parts
        traffic.ideal += ideal
        if site.kind == "atomic":
            key = np.sort(lanes.warp_high + address)
            traffic.collisions += int(np.count_nonzero(key[1:] == key[:-1]))
        if self.launch.trace is not None:
            self.launch.trace.access(self, site, lanes, address)

    def out_of_bounds(
        self, site: ir.Site, shape: tuple[int, ...], index: Any, lanes: Lanes, outside: Any
    ) -> None:
        self.problems.out_of_bounds(self.thread, site, shape, index, lanes, outside)

    def uninitialised(self, site: ir.Site, lanes: Lanes, unknown: Any, element: Any) -> None:
        self.problems.uninitialised(self.thread, site, lanes, unknown, element)


_SIMPLE: dict[type, Callable[[Slot, Any, Lanes], None]] = {
    ir.Assign: Slot._assign,
    ir.Store: Slot._store,
    ir.Evaluate: Slot._evaluate,
    ir.SyncWarp: Slot._syncwarp,
}
_COMPOUND: dict[type, Callable[[Slot, Any, Lanes], _Run]] = {
    ir.If: Slot._if,
    ir.While: Slot._while,
    ir.For: Slot._for,
    ir.Break: Slot._break,
    ir.Continue: Slot._continue,
    ir.Return: Slot._return,
    ir.Barrier: Slot._barrier,
}
