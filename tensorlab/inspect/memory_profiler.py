"""Memory over time: what each operation takes, when it is given back, and what is there at the peak."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary, ref

import numpy as np

from tensorlab import _apply
from tensorlab.inspect import _words
from tensorlab.inspect._memory import flat, owner
from tensorlab.inspect.memory_records import (
    MemoryEvent,
    MemoryRow,
    MemoryTensor,
    live_arrays,
    named,
    parameters_of,
    state_of,
)
from tensorlab.inspect.recording import ModuleStack, Source, source_at, users_frame
from tensorlab.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

if TYPE_CHECKING:
    from tensorlab._graph import Node
    from tensorlab._op import Op
    from tensorlab.nn import Module
    from tensorlab.optim import Optimizer

__all__ = ["memory"]

Line = tuple[str, int, str]
When = Literal["peak", "end"]


class _Piece:
    """One piece of memory, from when it was taken until it is given back."""

    __slots__ = ("born", "bytes", "died", "dtype", "kind", "line", "module", "name", "op", "shape")

    def __init__(
        self,
        array: Any,
        kind: str,
        name: str,
        op: str,
        module: str,
        line: Line | Source | None,
        born: int,
    ) -> None:
        self.bytes, self.shape, self.dtype = array.nbytes, tuple(array.shape), str(array.dtype)
        self.kind, self.name, self.op, self.module, self.line = kind, name, op, module, line
        self.born = born  # number of the event; −1: it was there before
        self.died = sys.maxsize

    def record(self) -> MemoryTensor:
        line = self.line
        source = source_at(*line) if isinstance(line, tuple) else line
        return MemoryTensor(
            self.bytes, self.shape, self.dtype, self.kind, self.name, self.op, self.module, source
        )


class _Watched(ref):
    """A weak reference that knows which piece it stands for."""

    __slots__ = ("key", "piece")
    key: int
    piece: _Piece


class memory:
    """Follow the memory of tensors inside a `with` block: a timeline, its peak, and who holds what.

    It sees what operations and gradient rules return, `.grad`s, and the state of optimizers, from the
    moment each is made until its memory is given back. What was there before the block counts as a
    base. What an operation takes and gives back while it runs is not seen, nor is memory outside of
    tensors. On a GPU these are the bytes of arrays, not what the pool of the driver keeps.

    Args:
        model: a module, or names for several (`{"model": model}`): it names parameters and modules.
        lines: whether to note the line of your code that made each tensor.
        most_events: keep at most so many events; the totals, and the peak's size, are always right.

    Attributes:
        events: `MemoryEvent`s in the order in which they happened.
        base: bytes in use when the block began. live: bytes in use now, or at its end.
        peak: the most bytes that were in use. peak_event: index of the event that reached it; −1 if
            the base was never exceeded.
        dropped: how many events were not kept.
        seconds: duration of the block.

    As a dict, `to_dict()`, which JSON can hold: `schema` ("tensorlab.memory/1"), `base`, `peak`,
    `peak_event`, `live`, `seconds`, `dropped`, `events` (lists `[seconds, bytes, live, kind, name,
    module]`), and `at_peak` and `at_end` (dicts of `MemoryTensor`, the largest first).

    Raises:
        RuntimeError: the object is entered a second time. TypeError: `model` is no module.

    Example:
        >>> import tensorlab as tl
        >>> x = tl.ones(1000)
        >>> with memory() as m:
        ...     y = (x + 1) * 2
        >>> [(event.bytes, event.name) for event in m.events]
        [(4000, 'add'), (4000, 'mul'), (-4000, 'add')]
        >>> m.peak - m.base, m.live - m.base
        (8000, 4000)
        >>> any(row.op == "mul" and row.bytes == 4000 for row in m.tensors("end"))
        True
    """

    def __init__(
        self,
        model: Module | Mapping[str, Module] | None = None,
        *,
        lines: bool = True,
        most_events: int = 100_000,
    ) -> None:
        self._models = named(model)
        self._lines = lines
        self._most = most_events
        self.events: list[MemoryEvent] = []
        self.base = self.live = self.peak = 0
        self.peak_event = -1
        self.dropped = 0
        self.seconds = 0.0
        self._pieces: list[_Piece] = []
        self._alive: dict[int, _Watched] = {}
        self._nodes: WeakKeyDictionary[Node, tuple[str, Line | None]] = WeakKeyDictionary()
        self._leaves: dict[Node, None] = {}  # gradients were sent there
        self._names = {
            id(tensor): name
            for name, tensor, kind in parameters_of(self._models)
            if kind == "parameter"
        }
        self._modules = ModuleStack()
        self._prefixes = {id(module): name for name, module in self._models.items()}
        # A memory may be given back in the middle of anything, also of what holds the lock.
        self._lock = threading.RLock()
        self._stack: ExitStack | None = None
        self._zero = 0.0
        self._open = False

    def __enter__(self) -> memory:
        if self._stack is not None:
            raise RuntimeError("this memory profile was used already: make a new one with memory()")
        for found in live_arrays(self._models):
            piece = _Piece(
                found.array, found.kind, found.name, found.op, found.module, found.source, -1
            )
            self._track(piece, found.array)
        self.base = self.peak = self.live
        with ExitStack() as stack:
            self._modules.hooked(stack)
            stack.callback(register_optimizer_step_pre_hook(self._before_step).remove)
            stack.callback(register_optimizer_step_post_hook(self._after_step).remove)
            stack.enter_context(_apply.observe(self))
            self._stack = stack.pop_all()
        self._zero = time.perf_counter()
        self._open = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._look_at_leaves()
        self._open = False
        self.seconds = time.perf_counter() - self._zero
        if self._stack is not None:
            self._stack.close()
        self._leaves.clear()
        self._alive.clear()  # nothing is followed any more

    # What the observed code calls.

    def before(self, op: Op, arrays: Any) -> None:
        """An operation starts (see `tensorlab._apply.observe`)."""
        self._look_at_leaves()

    def after(self, op: Op, arrays: Any, outputs: tuple[Any, ...], node: Node | None) -> None:
        """An operation has ended."""
        module = self._module()
        line: Line | None = None
        if self._lines:
            frame = users_frame(sys._getframe(1))
            if frame is not None:
                line = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        if node is not None:
            self._nodes[node] = (module, line)
        for array in outputs:
            self._add(array, "activation", "", op.name, module, line)

    def before_backward(self, node: Node) -> None:
        """A gradient rule starts."""
        self._look_at_leaves()

    def after_backward(self, node: Node, grads: Iterable[Any]) -> None:
        """A gradient rule has ended."""
        if node.op is None:
            return
        module, line = self._nodes.get(node, ("", None))
        for array in flat(getattr(g, "_data", g) for g in grads if g is not None):
            self._add(array, "backward", "", f"{node.op.name} backward", module, line)
        for edge in node.parents:
            if edge is not None and edge[0].op is None:
                self._leaves[edge[0]] = None

    def _look_at_leaves(self) -> None:
        """Have leaves that gradients were sent to taken them over, or made their `.grad` by now?

        A hook on the leaf would be told, but then the engine has to copy what it may hand over.
        """
        for node in tuple(self._leaves):
            leaf = node.leaf()
            if leaf is None:
                self._leaves.pop(node, None)
            elif leaf._grad is not None:
                self._leaves.pop(node, None)
                name = self._names.get(id(leaf), "")
                self._add(leaf._grad._data, "gradient", name, "", name.rpartition(".")[0], None)

    def _before_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        self._look_at_leaves()

    def _after_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        for tensor in state_of(optimizer):
            self._add(tensor._data, "optimizer", "", type(optimizer).__name__, "", None)

    def _module(self) -> str:
        running = self._modules.now
        if running is None:
            return ""
        root = running.root()
        prefix = self._prefixes.get(id(root))
        if prefix is None:
            prefix = self._prefixes[id(root)] = self._name_of(root)
        return f"{prefix}.{running.path}" if prefix and running.path else prefix or running.path

    def _name_of(self, root: Any) -> str:
        for prefix, model in self._models.items():
            for name, module in model.named_modules():
                if module is root:
                    return f"{prefix}.{name}" if prefix and name else prefix or name
        return type(root).__name__

    # Bookkeeping.

    def _add(self, array: Any, kind: str, name: str, op: str, module: str, line: Line | None) -> None:  # fmt: skip
        """Note an array that an operation returned, if its memory is not known yet."""
        array = owner(array)
        with self._lock:
            known = self._alive.get(id(array))
            if known is not None and known() is array:
                piece = known.piece
                if kind == "gradient" and piece.kind == "backward":
                    # The engine handed over the array that a rule had made.
                    piece.kind, piece.name, piece.module = kind, name, module or piece.module
                return
            if array.nbytes == 0:
                return
            event = len(self.events) + self.dropped
            self._track(_Piece(array, kind, name, op, module, line, event), array)
            self._note(array.nbytes, kind, op or name, module)
            if self.live > self.peak:
                self.peak, self.peak_event = self.live, event

    def _track(self, piece: _Piece, array: Any) -> None:
        if len(self._pieces) < self._most:
            self._pieces.append(piece)
        watched = _Watched(array, self._freed)
        watched.key, watched.piece = id(array), piece
        self._alive[id(array)] = watched
        self.live += array.nbytes

    def _freed(self, watched: _Watched) -> None:
        with self._lock:
            if self._alive.get(watched.key) is watched:
                del self._alive[watched.key]
            if not self._open:
                return
            piece = watched.piece
            piece.died = len(self.events) + self.dropped
            self.live -= piece.bytes
            self._note(-piece.bytes, piece.kind, piece.op or piece.name, piece.module)

    def _note(self, size: int, kind: str, name: str, module: str) -> None:
        if len(self.events) >= self._most:
            self.dropped += 1
            return
        seconds = time.perf_counter() - self._zero
        self.events.append(MemoryEvent(seconds, size, self.live, kind, name, module))

    # Results.

    def __repr__(self) -> str:
        events = _words.count(len(self.events) + self.dropped, "event")
        base, peak, live = map(_words.size, (self.base, self.peak, self.live))
        return f"<memory over {events}: {base} at first, {peak} at most, {live} now>"

    def tensors(self, at: When = "peak") -> list[MemoryTensor]:
        """What was in memory at the peak, or at the end of the block; the largest first.

        Raises `ValueError` for another word.
        """
        if at not in ("peak", "end"):
            raise ValueError(f"at must be 'peak' or 'end', got {at!r}")
        event = self.peak_event if at == "peak" else len(self.events) + self.dropped
        rows = [p.record() for p in list(self._pieces) if p.born <= event < p.died]
        return sorted(rows, key=lambda row: (-row.bytes, row.kind, row.op, row.name, row.shape))

    def rows(
        self, by: Literal["module", "source", "op", "kind"] = "kind", at: When = "peak"
    ) -> list[MemoryRow]:
        """The same, added up: by module, line of code, operation or kind; the largest first."""
        if by not in ("module", "source", "op", "kind"):
            raise ValueError(f"by must be 'module', 'source', 'op' or 'kind', got {by!r}")
        sizes: dict[str, list[int]] = {}
        for tensor in self.tensors(at):
            key = getattr(tensor, by)
            sizes.setdefault("" if key is None else str(key), []).append(tensor.bytes)
        rows = [MemoryRow(name, sum(each), len(each)) for name, each in sizes.items()]
        return sorted(rows, key=lambda row: (-row.bytes, row.name))

    def timeline(self) -> tuple[np.ndarray, np.ndarray]:
        """Seconds (float64) and bytes in use (int64) after each event; the first is the base at 0."""
        seconds = np.array([0.0, *(event.seconds for event in self.events)])
        return seconds, np.array([self.base, *(event.live for event in self.events)], np.int64)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": "tensorlab.memory/1",
            "base": self.base,
            "peak": self.peak,
            "peak_event": self.peak_event,
            "live": self.live,
            "seconds": self.seconds,
            "dropped": self.dropped,
            "events": [event.to_list() for event in self.events],
            "at_peak": [tensor.to_dict() for tensor in self.tensors("peak")],
            "at_end": [tensor.to_dict() for tensor in self.tensors("end")],
        }
