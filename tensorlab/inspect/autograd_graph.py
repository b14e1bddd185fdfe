"""The autograd graph of a tensor as plain records, for pictures, tests and your own tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tensorlab._tensor import Tensor
from tensorlab.autograd.graph import nodes_of
from tensorlab.inspect._memory import Ledger

if TYPE_CHECKING:
    from tensorlab._graph import Node
    from tensorlab.nn import Module

__all__ = ["Graph", "GraphEdge", "GraphNode", "graph"]


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One recorded operation, or one leaf that collects a gradient.

    Attributes:
        index: place in `Graph.nodes`; a node stands after every node that it was computed from.
        name: PyTorch's name of the node: `MulBackward0`, or `AccumulateGrad` for a leaf.
        op: the operation (`mul`); empty for a leaf.
        label: the name of a leaf's tensor where it is known (`0.weight`), else empty.
        shapes, dtypes: of each output of the operation, or of the leaf.
        saved_bytes: memory of the arrays that this node keeps for its gradient rule. An array that
            several nodes keep is counted at the first of them.
        freed: whether `backward()` has let go of what it kept.
        is_output: whether it computed one of the tensors that were asked for.
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

    @property
    def is_leaf(self) -> bool:
        return not self.op


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """Data that flowed from one node to another; gradients flow the other way.

    Attributes:
        source, target: indices into `Graph.nodes`; source < target.
        output: which output of the source.
        input: which tensor input of the target.
    """

    source: int
    target: int
    output: int
    input: int


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in the order of their creation, and the edges between them, sorted by (target, input)."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]

    @property
    def saved_bytes(self) -> int:
        """Memory that the whole graph keeps for backward, in bytes."""
        return sum(node.saved_bytes for node in self.nodes)

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


def graph(
    outputs: Tensor | Sequence[Tensor], params: Module | Mapping[str, Tensor] | None = None
) -> Graph:
    """Read the autograd graph that computed `outputs`, without changing it.

    Args:
        outputs: a tensor, or a list of tensors, that operations on tensors with `requires_grad` computed.
        params: names for the leaves: a module, or a mapping such as
            `dict(model.named_parameters())`.

    Returns:
        The records of all operations and leaves that gradients of `outputs` would reach.

    Raises:
        TypeError: an output is not a tensor.
        ValueError: an output has no graph.

    Example:
        >>> import tensorlab as tl
        >>> w = tl.ones(3, requires_grad=True)
        >>> g = graph((w * 2).sum(), params={"w": w})
        >>> [node.label or node.name for node in g.nodes]
        ['w', 'MulBackward0', 'SumBackward0']
        >>> [(edge.source, edge.target) for edge in g.edges]
        [(0, 1), (1, 2)]
    """
    tensors = _as_list(outputs)
    ends = {id(_root(tensor)) for tensor in tensors}
    names = _names(params)
    found = nodes_of(tensors)
    place = {id(node): index for index, node in enumerate(found)}
    ledger = Ledger()
    nodes = tuple(
        GraphNode(
            index=index,
            name=node.name(),
            op=node.op.name if node.op is not None else "",
            label=names.get(id(node.leaf()), "") if node.op is None else "",
            shapes=tuple(tuple(shape) for shape in node.shapes),
            dtypes=tuple(str(dtype).removeprefix("tensorlab.") for dtype in node.dtypes),
            saved_bytes=ledger.add(node.saved_arrays()),
            freed=node.saved is None,
            is_output=id(node) in ends,
        )
        for index, node in enumerate(found)
    )
    edges = tuple(
        GraphEdge(place[id(parent[0])], place[id(node)], parent[1], position)
        for node in found
        for position, parent in enumerate(node.parents)
        if parent is not None
    )
    return Graph(nodes, edges)


def _as_list(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    if not isinstance(outputs, (list, tuple)):
        raise TypeError(
            f"graph expects a tensor or a list of tensors, got {type(outputs).__name__}"
        )
    for each in outputs:
        if not isinstance(each, Tensor):
            raise TypeError(f"graph expects tensors, got a {type(each).__name__} among them")
    if not outputs:
        raise ValueError("graph expects at least one tensor, got an empty list")
    return list(outputs)


def _root(tensor: Tensor) -> Node:
    node = tensor.grad_fn
    if node is None:
        reason = (
            "it is a leaf: nothing was computed from it yet; give the result of a computation"
            if tensor.requires_grad
            else "it does not require grad; set requires_grad=True on what it is computed from, "
            "outside no_grad()"
        )
        raise ValueError(f"this tensor has no autograd graph: {reason}")
    return node


def _names(params: Any) -> dict[int, str]:
    """Names by the identity of the tensor; the first name of a shared parameter stands."""
    if params is None:
        return {}
    pairs = params.items() if isinstance(params, Mapping) else params.named_parameters()
    names: dict[int, str] = {}
    for name, tensor in pairs:
        names.setdefault(id(tensor), name)
    return names
