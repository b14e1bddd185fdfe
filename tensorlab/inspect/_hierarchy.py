"""Which module each node belongs to, the tree of these modules, and which of them repeat."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from tensorlab.inspect.recording import Running, place_of
from tensorlab.nn import Module

if TYPE_CHECKING:
    from tensorlab._graph import Node

__all__ = ["Owners", "ancestors", "repeats"]

_DOTTED = re.compile(r"^\w+(\.\w+)+$")
#: A pattern of sibling modules longer than this is not looked for.
_LONGEST_PATTERN = 16


class Owners:
    """The names of parameters, and the module of each node, from all that is known.

    `params` is what `graph` was given. A node that was recorded has its module written on it. Else
    the module is that of the parameters it reads; and since a module's operations are made one
    after the other, what was made between two operations of one module belongs to that module.
    """

    def __init__(self, nodes: Sequence[Node], params: Any) -> None:
        self.names: dict[int, str] = {}
        self.types: dict[str, str] = {}
        self._prefixes: dict[int, str | None] = {}
        self._modules: dict[int, str] = {}
        if isinstance(params, Module):
            for name, module in params.named_modules():
                self._modules.setdefault(id(module), name)
                self.types[name] = type(module).__name__
            pairs: Any = params.named_parameters()
        elif isinstance(params, Mapping):
            pairs = params.items()
        elif params is None:
            pairs = ()
        else:
            pairs = params.named_parameters()
        for name, tensor in pairs:  # the first name of a shared parameter stands
            self.names.setdefault(id(tensor), name)
        running = [
            None if (place := place_of(node)) is None else place.running or "" for node in nodes
        ]
        for each in running:
            if isinstance(each, Running):
                self._prefix(each)
        self.recorded = sum(each is not None for each in running)
        #: For each node the names of the parameters that it reads, through views of them too.
        self.parameters = self._read_parameters(nodes)
        self.modules = self._modules_of(nodes, running)

    def label(self, node: Node) -> str:
        """The name of a leaf's tensor; "" if it is not known."""
        return self.names.get(id(node.leaf()), "") if node.op is None else ""

    def _prefix(self, running: Running) -> str | None:
        """The path of a call's outermost module, which is what the paths below it are relative to."""
        root = running.root()
        key = id(running.root)
        if key in self._prefixes:
            return self._prefixes[key]
        if root is None:
            found: str | None = running.types[0]
        elif id(root) in self._modules:
            found = self._modules[id(root)]
        else:
            found = self._prefix_by_parameters(root)
            if found is None:
                found = type(root).__name__
            for name, parameter in root.named_parameters():
                self.names.setdefault(id(parameter), f"{found}.{name}" if found else name)
        self._prefixes[key] = found
        return found

    def _prefix_by_parameters(self, root: Module) -> str | None:
        """How the user's names call a module, read off the names of its parameters."""
        for name, parameter in root.named_parameters():
            known = self.names.get(id(parameter), "")
            if known == name:
                return ""
            if known.endswith(f".{name}"):
                return known[: -len(name) - 1]
        return None

    def _path(self, running: Running) -> str:
        prefix = self._prefix(running)
        path = f"{prefix}.{running.path}" if prefix and running.path else prefix or running.path
        depth = len(running.types)
        for steps, kind in zip(range(depth), reversed(running.types), strict=True):
            above = path
            for _ in range(steps):
                above = above.rpartition(".")[0]
            if kind:
                self.types.setdefault(above, kind)
        return path

    def _read_parameters(self, nodes: Sequence[Node]) -> list[tuple[str, ...]]:
        found: dict[Node, tuple[str, ...]] = {}
        for node in nodes:
            if node.op is None:
                name = self.label(node)
                found[node] = (name,) if name else ()
                continue
            names: dict[str, None] = {}
            for edge in node.parents:
                if edge is not None and (edge[0].op is None or edge[0].op.view):
                    names.update(dict.fromkeys(found.get(edge[0], ())))
            found[node] = tuple(names)
        return [() if node.op is None else found[node] for node in nodes]

    def _modules_of(
        self, nodes: Sequence[Node], running: Sequence[Running | str | None]
    ) -> list[str]:
        paths: list[str | None] = []
        seen: dict[int, str] = {}
        for node, now, names in zip(nodes, running, self.parameters, strict=True):
            if node.op is None:
                paths.append(_above(self.label(node)))
            elif isinstance(now, Running):
                key = id(now)
                if key not in seen:
                    seen[key] = self._path(now)
                paths.append(seen[key])
            elif now is not None:
                paths.append("")
            else:
                owners = {_above(name) for name in names} - {""}
                paths.append(_common(sorted(owners)) if owners else None)
        return self._fill_between(nodes, paths)

    def _fill_between(self, nodes: Sequence[Node], paths: list[str | None]) -> list[str]:
        operations = [i for i, node in enumerate(nodes) if node.op is not None]
        following: dict[int, str | None] = {}
        after: str | None = None
        for i in reversed(operations):
            following[i] = after
            if paths[i] is not None:
                after = paths[i]
        before: str | None = None
        for i in operations:
            if paths[i] is not None:
                before = paths[i]
            elif before is not None and (coming := following[i]) is not None:
                paths[i] = _common([before, coming])
        return [path or "" for path in paths]


def ancestors(path: str) -> list[str]:
    """The modules above a path, outermost first, and itself: `a.b` → `""`, `a`, `a.b`."""
    if not path:
        return [""]
    steps = path.split(".")
    return ["", *(".".join(steps[: i + 1]) for i in range(len(steps)))]


def _above(name: str) -> str:
    """The module that a parameter's dotted name puts it in."""
    return name.rpartition(".")[0] if _DOTTED.match(name) else ""


def _common(paths: Sequence[str]) -> str:
    """The longest path that all of them begin with."""
    first, last = min(paths).split("."), max(paths).split(".")
    steps = []
    for a, b in zip(first, last, strict=False):
        if a != b:
            break
        steps.append(a)
    # The smallest and the largest as text agree on what all agree on, step by step or not at all.
    common = ".".join(steps)
    while common and not all(path == common or path.startswith(f"{common}.") for path in paths):
        common = common.rpartition(".")[0]
    return common


def repeats(
    nodes: Sequence[Any], paths: Sequence[str], types: Mapping[str, str]
) -> list[tuple[str, tuple[tuple[str, ...], ...]]]:
    """Sibling modules that compute the same: `(parent, ((a,), (b,), …))`, or groups of several.

    `nodes` are graph records, `paths` all modules in the order of their first operation. Two modules
    are the same if their types, operations, shapes and parameters are, name for name.
    """
    operations: dict[str, list[Any]] = defaultdict(list)
    leaves: dict[str, list[Any]] = defaultdict(list)
    for node in nodes:
        for above in ancestors(node.module)[1:]:
            below = node.module[len(above) :]
            if node.is_leaf:
                name = node.label[len(above) :] or str(prod(map(prod, node.shapes)))
                leaves[above].append((name, node.shapes))
            else:
                operations[above].append((below, node.op, node.shapes, node.dtypes))
    inside: dict[str, list[Any]] = defaultdict(list)
    children: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for above in ancestors(path)[1:-1]:
            inside[above].append((path[len(above) :], types.get(path, "")))
        if path:
            children[path.rpartition(".")[0]].append(path)
    numbers: dict[Any, int] = {}

    def signature(path: str) -> int:
        key = (
            types.get(path, ""),
            tuple(operations[path]),
            tuple(sorted(leaves[path])),
            tuple(sorted(inside[path])),
        )
        return numbers.setdefault(key, len(numbers))

    found = []
    for parent, siblings in children.items():
        kinds = [signature(path) for path in siblings]
        place = 0
        while place < len(kinds):
            length, count = _pattern(kinds, place)
            if count > 1:
                groups = [
                    tuple(siblings[place + k * length : place + (k + 1) * length])
                    for k in range(count)
                ]
                found.append((parent, tuple(groups)))
            place += length * count
    return found


def _pattern(kinds: Sequence[int], start: int) -> tuple[int, int]:
    """The length of the pattern that covers most from `start` on, and how often it comes."""
    best = (1, 1)
    for length in range(1, min(_LONGEST_PATTERN, (len(kinds) - start) // 2) + 1):
        pattern = kinds[start : start + length]
        count = 1
        while kinds[start + count * length : start + (count + 1) * length] == pattern:
            count += 1
        if count > 1 and length * count > best[0] * best[1]:
            best = (length, count)
    return best
