"""Where the time goes: every operation timed, forward and backward, by operation and by module.

Nothing is patched. `tensorlab._apply.observe` tells when an operation or a gradient rule starts and
ends, and global module hooks tell which module is running. A node remembers the module that made
it, so the backward of an operation is booked on the same module.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from tensorlab import _apply
from tensorlab._backend import NUMPY, Backend, backend_of
from tensorlab._files import write_text
from tensorlab.inspect._memory import Ledger, flat
from tensorlab.inspect._words import count
from tensorlab.nn.modules.module import (
    Module,
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

if TYPE_CHECKING:
    from tensorlab._graph import Node
    from tensorlab._op import Op

__all__ = ["OUTSIDE", "ProfileEvent", "ProfileRow", "profile"]

#: The name of the row for operations that ran in no module.
OUTSIDE = "(outside modules)"

Phase = Literal["forward", "backward", "module"]


@dataclass(frozen=True, slots=True)
class ProfileEvent:
    """One operation, one gradient rule, or one module's forward (`phase` tells which).

    Attributes:
        name: of the operation, or of the module.
        module: dotted name of the module it belongs to; `OUTSIDE` if none.
        start, seconds: begin (from the start of the profile) and duration, in seconds.
        bytes: memory of its results that were newly made; 0 for views and in-place results.
        thread: number of the thread it ran in, from 0 in the order of their first use.
        shapes: of the inputs; of the outputs for a gradient rule.
    """

    name: str
    phase: Phase
    module: str
    start: float
    seconds: float
    bytes: int
    thread: int
    shapes: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """The same keys; shapes as lists."""
        return {**asdict(self), "shapes": [list(shape) for shape in self.shapes]}


@dataclass(slots=True)
class ProfileRow:
    """All calls of one operation, or all operations of one module (its submodules have own rows).

    Times are in seconds, without the time of operations that ran inside (as in a gradient rule
    under `create_graph=True`), so that rows add up. Bytes are of newly made results.

    As a dict, `to_dict()`: the fields, and the sums `calls`, `seconds` and `bytes`.
    """

    name: str
    forward_calls: int = 0
    forward_seconds: float = 0.0
    backward_calls: int = 0
    backward_seconds: float = 0.0
    forward_bytes: int = 0
    backward_bytes: int = 0

    @property
    def calls(self) -> int:
        return self.forward_calls + self.backward_calls

    @property
    def seconds(self) -> float:
        return self.forward_seconds + self.backward_seconds

    @property
    def bytes(self) -> int:
        return self.forward_bytes + self.backward_bytes

    def add(self, other: ProfileRow) -> None:
        """Count what another row counts here too."""
        for field in fields(self):
            if field.name != "name":
                setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "calls": self.calls,
            "seconds": self.seconds,
            "bytes": self.bytes,
        }


class profile:
    """Time the operations that run inside a `with` block, in all threads.

    Args:
        names: names for models, such as `{"model": model}`; else a model is called by its class.
        most_events: keep at most so many single events for the trace; rows always count all.

    Attributes:
        events: the single events in the order in which they ended.
        dropped: how many events were not kept.
        seconds: duration of the block.

    Raises:
        RuntimeError: the object is entered a second time.

    Example:
        >>> import tensorlab as tl
        >>> w = tl.ones(3, requires_grad=True)
        >>> with profile() as p:
        ...     (w * 2).sum().backward()
        >>> sorted((row.name, row.forward_calls, row.backward_calls) for row in p.by_op())
        [('mul', 1, 1), ('sum', 1, 1)]
    """

    def __init__(
        self, names: Mapping[str, Module] | None = None, most_events: int = 100_000
    ) -> None:
        self.events: list[ProfileEvent] = []
        self.dropped = 0
        self.seconds = 0.0
        self._most_events = most_events
        self._names = {id(module): name for name, module in (names or {}).items()}
        self._ops: dict[str, ProfileRow] = {}
        self._modules: dict[str, ProfileRow] = {}
        self._nodes: WeakKeyDictionary[Node, _Made] = WeakKeyDictionary()
        self._children: dict[tuple[Module, Module], str] = {}
        self._ledger = Ledger()
        self._lock = threading.Lock()
        self._local = _Thread(itertools.count())
        self._device: Backend | None = None  # the GPU's, once an array of it was seen
        self._stack: ExitStack | None = None
        self._zero = 0

    def __enter__(self) -> profile:
        if self._stack is not None:
            raise RuntimeError("this profile was used already: make a new one with profile()")
        with ExitStack() as stack:
            stack.callback(register_module_forward_pre_hook(self._module_starts).remove)
            stack.callback(register_module_forward_hook(self._module_ends, always_call=True).remove)
            stack.enter_context(_apply.observe(self))
            self._stack = stack.pop_all()
        self._zero = time.perf_counter_ns()
        return self

    def __exit__(self, *exception: object) -> None:
        self._settle()
        self.seconds = (time.perf_counter_ns() - self._zero) / 1e9
        if self._stack is not None:
            self._stack.close()

    # What the observed code calls.

    def before(self, op: Op, arrays: Any) -> None:
        """An operation starts (see `tensorlab._apply.observe`)."""
        self._open(op)

    def after(self, op: Op, arrays: Any, outputs: tuple[Any, ...], node: Node | None) -> None:
        """An operation has ended."""
        if self._device is None:
            self._device = next(map(_cuda, outputs), None)
        span = self._close(op)
        module = self._local.modules[-1].name if self._local.modules else OUTSIDE
        if node is not None:
            self._nodes[node] = _Made(module, None if span is None else span.seconds)
        if span is not None:
            self._ledger.add(arrays)
            shapes = tuple(tuple(array.shape) for array in flat(arrays))
            self._book("forward", op.name, module, span, self._ledger.add(outputs), shapes)

    def before_backward(self, node: Node) -> None:
        """A gradient rule starts."""
        self._open(node)

    def after_backward(self, node: Node, grads: Iterable[Any]) -> None:
        """A gradient rule has ended."""
        span = self._close(node)
        if span is not None and node.op is not None:
            made = self._nodes.setdefault(node, _Made(OUTSIDE))
            made.backward = (made.backward or 0.0) + span.seconds
            module = made.module
            # A rule that returns what it kept, or passes on the gradient it got, makes nothing new.
            self._ledger.add(node.saved_arrays())
            size = self._ledger.add(getattr(g, "_data", g) for g in grads)
            self._book("backward", node.op.name, module, span, size, tuple(node.shapes))

    def _module_starts(self, module: Module, _args: Any) -> None:
        running = self._local.modules
        parent = running[-1] if running else None
        running.append(_Running(module, self._name(module, parent), time.perf_counter_ns()))

    def _module_ends(self, module: Module, _args: Any, _output: Any) -> None:
        running = self._local.modules
        while running:
            ended = running.pop()
            if ended.module is module:
                now = time.perf_counter_ns()
                self._keep("module", ended.name, ended.name, ended.start, now - ended.start, 0, ())
                break

    # Results.

    def __repr__(self) -> str:
        calls = sum(row.calls for row in self._ops.values())
        kinds = count(len(self._ops), "kind")
        return (
            f"<profile of {count(calls, 'call')} of {kinds} of operations: by_op() has the slowest>"
        )

    def by_op(self) -> list[ProfileRow]:
        """One row per operation, the slowest first."""
        return sorted(self._ops.values(), key=lambda row: (-row.seconds, row.name))

    def by_module(self) -> list[ProfileRow]:
        """One row per module that ran operations itself, the slowest first."""
        return sorted(self._modules.values(), key=lambda row: (-row.seconds, row.name))

    def by_module_tree(self) -> list[ProfileRow]:
        """As `by_module`, but each row counts the modules below it too; sorted by name.

        The outermost modules and `OUTSIDE` add up to the whole.
        """
        rows: dict[str, ProfileRow] = {}
        for row in self._modules.values():
            path = row.name
            while path:
                rows.setdefault(path, ProfileRow(path)).add(row)
                path = path.rpartition(".")[0]
        return sorted(rows.values(), key=lambda row: row.name)

    def node_times(self) -> dict[Node, tuple[float | None, float | None]]:
        """Seconds of the forward and of the gradient rule of each node that is still alive.

        None for what did not run inside the block. `inspect.graph(loss, profile=p)` shows them.
        """
        return {node: (made.forward, made.backward) for node, made in self._nodes.items()}

    def to_dict(self) -> dict[str, Any]:
        """Everything as a dict that JSON can hold.

        Keys: `schema` ("tensorlab.profile/1"), `seconds`, `dropped`, `by_op`, `by_module` (dicts of
        `ProfileRow.to_dict`, the slowest first) and `events` (dicts of `ProfileEvent.to_dict`).
        """
        return {
            "schema": "tensorlab.profile/1",
            "seconds": self.seconds,
            "dropped": self.dropped,
            "by_op": [row.to_dict() for row in self.by_op()],
            "by_module": [row.to_dict() for row in self.by_module()],
            "events": [event.to_dict() for event in self.events],
        }

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> Path:
        """Write `chrome_trace()` to a file; raises `OSError` if that cannot be done."""
        return write_text(path, self.chrome_trace())

    def chrome_trace(self) -> str:
        """The events as JSON in Chrome's trace format, for Perfetto or chrome://tracing.

        Format: "Trace Event Format", complete events (`"ph": "X"`), times in microseconds.
        """
        events: list[dict[str, Any]] = [
            {"ph": "M", "pid": 1, "tid": n, "name": "thread_name", "args": {"name": f"thread {n}"}}
            for n in sorted({event.thread for event in self.events})
        ]
        events += [
            {
                "ph": "X",
                "pid": 1,
                "tid": event.thread,
                "name": event.name if event.phase != "backward" else f"{event.name} backward",
                "cat": event.phase,
                "ts": round(event.start * 1e6, 3),
                "dur": round(event.seconds * 1e6, 3),
                "args": {
                    "module": event.module,
                    "bytes": event.bytes,
                    "shapes": [list(shape) for shape in event.shapes],
                },
            }
            for event in self.events
        ]
        document = {"displayTimeUnit": "ms", "traceEvents": events}
        return json.dumps(document, ensure_ascii=False)

    # Bookkeeping.

    def _open(self, key: object) -> None:
        self._settle()
        self._local.spans.append(_Span(key, time.perf_counter_ns()))

    def _close(self, key: object) -> _Span | None:
        """End the innermost open span of `key`; spans above it were left by an exception."""
        self._settle()
        now = time.perf_counter_ns()
        spans = self._local.spans
        while spans:
            span = spans.pop()
            if span.key is key:
                span.total = now - span.start
                if spans:
                    spans[-1].inner += span.total
                return span
        return None  # it began before the profile did

    def _book(
        self,
        phase: Literal["forward", "backward"],
        op: str,
        module: str,
        span: _Span,
        size: int,
        shapes: tuple[tuple[int, ...], ...],
    ) -> None:
        seconds = span.seconds
        with self._lock:
            for rows, name in ((self._ops, op), (self._modules, module)):
                row = rows.setdefault(name, ProfileRow(name))
                if phase == "forward":
                    row.forward_calls += 1
                    row.forward_seconds += seconds
                    row.forward_bytes += size
                else:
                    row.backward_calls += 1
                    row.backward_seconds += seconds
                    row.backward_bytes += size
        self._keep(phase, op, module, span.start, span.total, size, shapes)

    def _keep(
        self,
        phase: Phase,
        name: str,
        module: str,
        start: int,
        duration: int,
        size: int,
        shapes: tuple[tuple[int, ...], ...],
    ) -> None:
        if len(self.events) >= self._most_events:
            self.dropped += 1
            return
        begin, seconds = (start - self._zero) / 1e9, duration / 1e9
        thread = self._local.number
        self.events.append(ProfileEvent(name, phase, module, begin, seconds, size, thread, shapes))

    def _name(self, module: Module, parent: _Running | None) -> str:
        """A module's dotted name: its parent's, and the attribute that it is there."""
        if parent is None:
            return self._names.get(id(module), type(module).__name__)
        key = (parent.module, module)
        if key not in self._children:
            # Below a list of modules the child is not the parent's own attribute, hence all names.
            below = (name for name, each in parent.module.named_modules() if each is module)
            self._children[key] = next(below, "") or type(module).__name__
        return f"{parent.name}.{self._children[key]}"

    def _settle(self) -> None:
        """Wait for the GPU: it works on its own time, and only finished work can be measured."""
        if self._device is not None:
            self._device.xp.cuda.get_current_stream().synchronize()


def _cuda(array: Any) -> Backend | None:
    """The backend of an array on a GPU; None for one in main memory."""
    if type(array) is NUMPY.array_type:
        return None
    backend = backend_of(array)
    return backend if backend.kind == "cuda" else None


@dataclass(slots=True)
class _Span:
    """Something being timed, in nanoseconds; `inner` is the time of spans inside it."""

    key: object
    start: int
    inner: int = 0
    total: int = 0

    @property
    def seconds(self) -> float:
        """Its own time, without that of the spans inside."""
        return (self.total - self.inner) / 1e9


@dataclass(slots=True)
class _Made:
    """What is known of a node: the module that made it, and the seconds of its forward and its rule."""

    module: str
    forward: float | None = None
    backward: float | None = None


@dataclass(slots=True)
class _Running:
    module: Any
    name: str
    start: int


class _Thread(threading.local):
    """What is running in one thread, outermost first."""

    def __init__(self, numbers: Iterator[int]) -> None:
        # Not the identifier of the thread: that may be given to another one when it has ended.
        self.number = next(numbers)
        self.spans: list[_Span] = []
        self.modules: list[_Running] = []
