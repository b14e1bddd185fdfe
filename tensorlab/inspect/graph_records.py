"""The records of an autograd graph: plain data, and dicts that JSON can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensorlab.inspect.recording import Source

__all__ = ["Graph", "GraphEdge", "GraphModule", "GraphNode", "GraphRepeat", "SavedValue"]

SCHEMA = "tensorlab.graph/1"


@dataclass(frozen=True, slots=True)
class SavedValue:
    """An array that a node keeps for its gradient rule.

    Attributes:
        name: what the rule calls it: an input's name, or `out`.
        shape, dtype: of the array.
        bytes: its memory; other nodes may keep the same array.

    As a dict, `to_dict()`: the same keys.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One recorded operation, or one leaf that collects a gradient.

    Attributes:
        index: place in `Graph.nodes`; a node stands after every node that it was computed from.
            So it is also the order of the forward.
        name: PyTorch's name of the node: `MulBackward0`, or `AccumulateGrad` for a leaf.
        op: the operation (`mul`); empty for a leaf.
        label: the name of a leaf's tensor where it is known (`0.weight`), else empty.
        shapes, dtypes: of each output of the operation, or of the leaf.
        saved_bytes: memory of the arrays that this node keeps for its gradient rule. An array that
            several nodes keep is counted at the first of them.
        freed: whether `backward()` has let go of what it kept.
        is_output: whether it computed one of the tensors that were asked for.
        kind: "leaf", "operation", "view" (shows its input's memory), "write" (CopySlices: a part
            of a tensor was overwritten through a view) or "function" (a user's Function).
        module: dotted path of the module that made it, or that a leaf belongs to; "" for the model
            itself, for what no module made, and where it is not known.
        parameters: names of the parameters that it reads, directly or through a view.
        flops, backward_flops: floating-point operations of forward and rule (see
            `tensorlab.inspect.flops` for what counts); None where the shapes do not tell.
        bytes: memory of its results if they are newly made; 0 for a view and a leaf.
        saved: the arrays that it keeps.
        source: the line of code that made it; None if it was not recorded.
        rule: what it does to a gradient, as a formula in words.
        outputs: which of the tensors asked for (by number) its value reaches; several numbers
            mean that they share it.
        forward_seconds, backward_seconds: from the `profile` that `graph` was given; else None.

    As a dict, `to_dict()`: the same keys, tuples as lists, `source` a dict or None.
    """

    index: int
    name: str
    op: str
    label: str
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    saved_bytes: int
    freed: bool
    is_output: bool
    kind: str = "operation"
    module: str = ""
    parameters: tuple[str, ...] = ()
    flops: int | None = 0
    backward_flops: int | None = 0
    bytes: int = 0
    saved: tuple[SavedValue, ...] = ()
    source: Source | None = None
    rule: str = ""
    outputs: tuple[int, ...] = ()
    forward_seconds: float | None = None
    backward_seconds: float | None = None

    @property
    def is_leaf(self) -> bool:
        return not self.op

    def to_dict(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "name": self.name,
            "op": self.op,
            "label": self.label,
            "shapes": [list(shape) for shape in self.shapes],
            "dtypes": list(self.dtypes),
            "saved_bytes": self.saved_bytes,
            "freed": self.freed,
            "is_output": self.is_output,
            "kind": self.kind,
            "module": self.module,
            "parameters": list(self.parameters),
            "flops": self.flops,
            "backward_flops": self.backward_flops,
            "bytes": self.bytes,
            "saved": [value.to_dict() for value in self.saved],
            "source": None if self.source is None else self.source.to_dict(),
            "rule": self.rule,
            "outputs": list(self.outputs),
            "forward_seconds": self.forward_seconds,
            "backward_seconds": self.backward_seconds,
        }


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """Data that flowed from one node to another; gradients flow the other way.

    Attributes:
        source, target: indices into `Graph.nodes`; source < target.
        output: which output of the source.
        input: which tensor input of the target.

    As a list, `to_list()`: `[source, target, output, input]`.
    """

    source: int
    target: int
    output: int
    input: int

    def to_list(self) -> list[int]:
        return [self.source, self.target, self.output, self.input]


@dataclass(frozen=True, slots=True)
class GraphModule:
    """A module, as far as the graph has operations or leaves of it.

    Attributes:
        path: dotted; "" for the whole.
        type: class name; "" where it is not known.
        depth: 0 for the whole, 1 for what is directly in it, …
        nodes: indices of the nodes that belong to it and to no module below it.
        count: how many operations are in it and below.
        parameters: numbers in the leaves in it and below.
        flops: of the operations in it and below; those not known count nothing.
        saved_bytes: memory kept by the nodes in it and below.

    As a dict, `to_dict()`: the same keys.
    """

    path: str
    type: str
    depth: int
    nodes: tuple[int, ...]
    count: int
    parameters: int
    flops: int
    saved_bytes: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "type": self.type,
            "depth": self.depth,
            "nodes": list(self.nodes),
            "count": self.count,
            "parameters": self.parameters,
            "flops": self.flops,
            "saved_bytes": self.saved_bytes,
        }


@dataclass(frozen=True, slots=True)
class GraphRepeat:
    """Modules beside each other that compute the same, so that showing one shows all.

    Attributes:
        parent: path of the module that they are in.
        members: the repetitions in order; each is a tuple of paths, of one path where single
            modules repeat, of several where a pattern does (`Linear, ReLU, Linear, ReLU`).

    As a dict, `to_dict()`: `parent`, `members` (lists) and `count`.
    """

    parent: str
    members: tuple[tuple[str, ...], ...]

    @property
    def count(self) -> int:
        return len(self.members)

    def to_dict(self) -> dict[str, Any]:
        return {
            "parent": self.parent,
            "count": self.count,
            "members": [list(member) for member in self.members],
        }


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in the order of their creation, and the edges between them, sorted by (target, input).

    Attributes:
        nodes, edges: the records.
        modules: the tree of modules, each after the module that it is in.
        repeats: blocks that repeat.
        recorded: how many operations have their module and source line noted by `recording`.

    As a dict, `to_dict()`, which JSON can hold: `schema` ("tensorlab.graph/1"), `nodes` (dicts, in
    forward order), `edges` (lists `[source, target, output, input]`), `modules`, `repeats` (dicts),
    `backward_order` (indices of nodes), `recorded`, `freed`, `saved_bytes`, `flops` and `notes`.
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    modules: tuple[GraphModule, ...] = ()
    repeats: tuple[GraphRepeat, ...] = ()
    recorded: int = 0

    @property
    def saved_bytes(self) -> int:
        """Memory that the whole graph keeps for backward, in bytes."""
        return sum(node.saved_bytes for node in self.nodes)

    @property
    def flops(self) -> int:
        """Floating-point operations of the forward; operations whose count is not known add nothing."""
        return sum(node.flops or 0 for node in self.nodes)

    @property
    def freed(self) -> bool:
        """Whether `backward()` has run through it, so that it can't run again."""
        return any(node.freed for node in self.nodes)

    @property
    def operations(self) -> tuple[GraphNode, ...]:
        return tuple(node for node in self.nodes if not node.is_leaf)

    @property
    def leaves(self) -> tuple[GraphNode, ...]:
        return tuple(node for node in self.nodes if node.is_leaf)

    @property
    def forward_order(self) -> tuple[int, ...]:
        """Indices of the operations as the forward ran them."""
        return tuple(node.index for node in self.operations)

    @property
    def backward_order(self) -> tuple[int, ...]:
        """Indices of all nodes as `backward()` visits them: the last that was made comes first."""
        return tuple(range(len(self.nodes) - 1, -1, -1))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the graph should know: freed values, lines that were not recorded."""
        notes = []
        operations = self.operations
        freed = sum(node.freed for node in operations)
        if freed:
            notes.append(
                f"backward() has run and freed what {freed} of {len(operations)} operations had saved: "
                "the structure is left, the values are gone and backward() cannot run again. Call "
                "backward(retain_graph=True) to keep them."
            )
        missing = len(operations) - self.recorded
        if missing:
            which = (
                "No operation has its source line recorded"
                if not self.recorded
                else f"{missing} of {len(operations)} operations have no source line recorded"
            )
            notes.append(
                f"{which}: build the graph in a block of tensorlab.inspect.recording() to see lines and "
                "exact modules."
            )
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "nodes": [node.to_dict() for node in self.nodes],
            "edges": [edge.to_list() for edge in self.edges],
            "modules": [module.to_dict() for module in self.modules],
            "repeats": [repeat.to_dict() for repeat in self.repeats],
            "backward_order": list(self.backward_order),
            "recorded": self.recorded,
            "freed": self.freed,
            "saved_bytes": self.saved_bytes,
            "flops": self.flops,
            "notes": list(self.notes),
        }
