"""Where nodes come from: the module that was running and the line of your code, noted on request."""

from __future__ import annotations

import linecache
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

import tensorlab
from tensorlab._graph import on_record
from tensorlab.nn.modules.module import (
    Module,
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

if TYPE_CHECKING:
    from types import FrameType

    from tensorlab._graph import Node

__all__ = ["Source", "recording"]

_PACKAGE = str(Path(tensorlab.__file__).parent)
_COURSE = str(Path(_PACKAGE, "course"))  # lessons are a user's code, though a wheel has them inside
#: The key of `node.metadata` that holds a `Place`.
KEY = "place"


@dataclass(frozen=True, slots=True)
class Source:
    """A line of code.

    Attributes:
        file: its path, or the name that Python has for it (a notebook's cell has a made-up one).
        line: its number, from 1.
        function: the function that it is in; `<module>` at top level.
        code: the text of the line without indentation; "" where it cannot be read any more.

    As a dict, `to_dict()`: the same four keys.
    """

    file: str
    line: int
    function: str
    code: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "line": self.line,
            "function": self.function,
            "code": self.code,
        }

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Running(NamedTuple):
    """A module whose forward is running: the outermost one of its call, the path from there, types on it."""

    root: Any  # a weak reference to the module
    path: str
    types: tuple[str, ...]  # class names from the root down to this module


class Place(NamedTuple):
    """What a node notes when it is made: the running module, if any, and the line of code."""

    running: Running | None
    file: str
    line: int
    function: str


def users_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame, from `frame` outwards, that is not the library's own."""
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_PACKAGE, "<tensorlab")) or name.startswith(_COURSE):
            return frame
        frame = frame.f_back
    return None


def source_at(file: str, line: int, function: str) -> Source:
    """A line with its text."""
    return Source(file, line, function, linecache.getline(file, line).strip())


def place_of(node: Node) -> Place | None:
    """What `recording` noted on this node; None if it did not."""
    return None if node.metadata is None else node.metadata.get(KEY)


def source_of(node: Node) -> Source | None:
    """The line that made a node, if `recording` or `detect_anomaly` noted it."""
    place = place_of(node)
    if place is not None:
        return source_at(place.file, place.line, place.function) if place.file else None
    stack = (node.metadata or {}).get("stack")
    if stack:
        last = stack[-1]
        return Source(last.filename, last.lineno or 0, last.name, (last.line or "").strip())
    return None


class ModuleStack(threading.local):
    """Which modules run in this thread, outermost first, kept by global module hooks."""

    def __init__(self) -> None:
        self.running: list[tuple[Module, Running]] = []
        self.calls = 0  # of outermost modules
        self._children: dict[tuple[int, int], tuple[Any, Any, str]] = {}

    @property
    def now(self) -> Running | None:
        return self.running[-1][1] if self.running else None

    def starts(self, module: Module, _args: Any) -> None:
        """A forward pre-hook."""
        kind = type(module).__name__
        if not self.running:
            self.calls += 1
            self.running.append((module, Running(ref(module), "", (kind,))))
            return
        parent, above = self.running[-1]
        name = self._child_name(parent, module)
        path = f"{above.path}.{name}" if above.path else name
        # Below a list of modules, the path has a step more than there are running modules.
        types = (*above.types, *("",) * name.count("."), kind)
        self.running.append((module, Running(above.root, path, types)))

    def ends(self, module: Module, _args: Any, _output: Any) -> None:
        """A forward hook; modules above it in the stack were left by an exception."""
        while self.running:
            if self.running.pop()[0] is module:
                break

    def _child_name(self, parent: Module, module: Module) -> str:
        key = (id(parent), id(module))
        found = self._children.get(key)
        # By id, as modules need not be hashable; the weak references tell whether the ids still hold.
        if found is None or found[0]() is not parent or found[1]() is not module:
            below = (name for name, each in parent.named_modules() if each is module)
            name = next(below, "") or type(module).__name__
            found = self._children[key] = (ref(parent), ref(module), name)
        return found[2]

    def hooked(self, stack: ExitStack) -> None:
        """Keep this stack up to date until `stack` closes."""
        stack.callback(register_module_forward_pre_hook(self.starts).remove)
        stack.callback(register_module_forward_hook(self.ends, always_call=True).remove)


class recording:
    """In this block, every node notes the module that makes it and the line of your code.

    `inspect.graph` then knows modules and source lines of all nodes, those of operations without
    parameters included. It costs about two microseconds an operation, so it is off unless you ask.
    It acts in all threads. Blocks may be nested and used again; `start()` and `stop()` do the same
    without a block.

    Example:
        >>> import tensorlab as tl
        >>> from tensorlab import nn
        >>> from tensorlab.inspect import graph
        >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> with recording():
        ...     loss = model(tl.ones(1, 3)).sum()
        >>> [(node.op, node.module) for node in graph(loss, params=model).operations]
        [('linear', '0'), ('relu', '1'), ('sum', '')]
    """

    def __init__(self) -> None:
        self._modules = ModuleStack()
        self._open: list[ExitStack] = []

    def start(self) -> recording:
        """Begin noting; returns this object."""
        with ExitStack() as stack:
            if not self._open:
                self._modules.hooked(stack)
                on_record.append(self._note)
                stack.callback(on_record.remove, self._note)
            self._open.append(stack.pop_all())
        return self

    def stop(self) -> None:
        """Stop noting; nodes keep what they have. Raises `RuntimeError` if it was not started."""
        if not self._open:
            raise RuntimeError("this recording is not running: call start() first")
        self._open.pop().close()

    __enter__ = start

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _note(self, node: Node) -> None:
        frame = users_frame(sys._getframe(1))
        if frame is None:
            place = Place(self._modules.now, "", 0, "")
        else:
            code = frame.f_code
            place = Place(self._modules.now, code.co_filename, frame.f_lineno, code.co_name)
        if node.metadata is None:
            node.metadata = {KEY: place}
        else:
            node.metadata.setdefault(KEY, place)
