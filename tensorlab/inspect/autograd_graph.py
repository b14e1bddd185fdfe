"""The autograd graph of a tensor as plain records, for pictures, tests and your own tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from tensorlab._plan import INPUT, INPUTS, OUTPUT, RECORDS
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd.graph import nodes_of
from tensorlab.autograd.inplace import COPY_SLICES
from tensorlab.inspect._hierarchy import Owners, ancestors, repeats
from tensorlab.inspect._memory import Ledger, flat
from tensorlab.inspect.flops import backward_flops, flops
from tensorlab.inspect.gradient_rules import explain
from tensorlab.inspect.graph_records import (
    Graph,
    GraphEdge,
    GraphModule,
    GraphNode,
    GraphRepeat,
    SavedValue,
)
from tensorlab.inspect.recording import source_of

if TYPE_CHECKING:
    from tensorlab._graph import Node
    from tensorlab.inspect.profiler import profile as Profile
    from tensorlab.nn import Module

__all__ = ["graph", "node_value", "saved_values"]


def graph(
    outputs: Tensor | Sequence[Tensor],
    params: Module | Mapping[str, Tensor] | None = None,
    *,
    profile: Profile | None = None,
) -> Graph:
    """Read the autograd graph that computed `outputs`, without changing it.

    Modules come from the parameters that an operation reads, exactly from `recording` if the graph
    was made in such a block, which also notes the lines of code.

    Args:
        outputs: a tensor, or a list of tensors, that operations on tensors with `requires_grad` computed.
        params: names for the leaves: a module, or a mapping such as
            `dict(model.named_parameters())`.
        profile: a finished `inspect.profile` in which the graph was made (and perhaps run
            backward): it gives the nodes their times.

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
        >>> g.nodes[1].rule
        'input: g · other'
    """
    tensors = as_list("graph", outputs)
    roots = [_root(tensor) for tensor in tensors]
    found = nodes_of(tensors)
    place = {node: index for index, node in enumerate(found)}
    owners = Owners(found, params)
    reached = _reached(found, roots)
    times = {} if profile is None else profile.node_times()
    ledger = Ledger()
    nodes = tuple(
        _node_record(index, node, node in reached[1], owners, reached[0][node], ledger, times)
        for index, node in enumerate(found)
    )
    edges = tuple(
        GraphEdge(place[parent[0]], place[node], parent[1], position)
        for node in found
        for position, parent in enumerate(node.parents)
        if parent is not None
    )
    modules = _modules(nodes, owners)
    paths = [module.path for module in modules]
    repeated = (GraphRepeat(*found) for found in repeats(nodes, paths, owners.types))
    return Graph(nodes, edges, modules, tuple(repeated), owners.recorded)


def saved_values(outputs: Tensor | Sequence[Tensor], index: int) -> dict[str, Tensor]:
    """The arrays that node `index` of `graph(outputs)` keeps for its rule, by name, as tensors.

    They share the node's memory and have no history. Empty after `backward()` freed them.

    Raises `IndexError` if there is no such node, and `TypeError` and `ValueError` as `graph`.

    >>> import tensorlab as tl
    >>> w = tl.ones(2, requires_grad=True)
    >>> saved_values(w.exp().sum(), 1)
    {'out': tensor([2.7183, 2.7183])}
    """
    tensors = as_list("saved_values", outputs)
    for tensor in tensors:
        _root(tensor)
    nodes = nodes_of(tensors)
    if not 0 <= index < len(nodes):
        raise IndexError(f"there is no node {index}: the graph has {len(nodes)}, from 0")
    return {name: wrap(array) for name, array in _saved(nodes[index])}


def node_value(outputs: Tensor | Sequence[Tensor], index: int) -> Tensor | None:
    """The value that node `index` of `graph(outputs)` computed, where somebody still has it.

    That is: the outputs themselves, leaves, and whatever an operation saved for its gradient rule, its
    own result or its input. None for the others, for what was freed, and for what was overwritten in
    place since. The tensor shares memory with the graph and has no history.

    Raises `IndexError` if there is no such node, and `TypeError` and `ValueError` as `graph`.

    >>> import tensorlab as tl
    >>> w = tl.ones(2, requires_grad=True)
    >>> node_value((w * 3).exp().sum(), 2)
    tensor([20.0855, 20.0855])
    """
    tensors = as_list("node_value", outputs)
    roots = [_root(tensor) for tensor in tensors]
    nodes = nodes_of(tensors)
    if not 0 <= index < len(nodes):
        raise IndexError(f"there is no node {index}: the graph has {len(nodes)}, from 0")
    node = nodes[index]
    for tensor, root in zip(tensors, roots, strict=True):
        if root is node:
            return wrap(tensor._data)
    leaf = node.leaf()
    if leaf is not None:
        return wrap(leaf._data)
    for value in [*_kept(node, OUTPUT, 0), *_kept_by_readers(nodes[index + 1 :], node)]:
        array, cell, version, *_ = value
        if cell[0] == version and tuple(array.shape) == tuple(node.shapes[0]):
            return wrap(array)
    return None


def _kept(node: Node, what: int, which: int) -> list[Any]:
    """What a node saved of one of its inputs, or of its first output: `(array, counter, version)`."""
    found = []
    for plan, value in zip(node.plan.saves, node.saved or (), strict=False):
        if plan == (what, which) and type(value) is tuple and value:
            value = value[0] if type(value[0]) is tuple else value
            if hasattr(value[0], "nbytes"):
                found.append(value)
    return found


def _kept_by_readers(later: Sequence[Node], node: Node) -> list[Any]:
    """What the operations that read a node's first output saved of it."""
    found = []
    for reader in later:
        for position, edge in enumerate(reader.parents):
            if edge is not None and edge[0] is node and edge[1] == 0:
                found += _kept(reader, INPUT, position)
    return found


def as_list(caller: str, outputs: Any) -> list[Tensor]:
    """The tensors that were given, one or several; `TypeError` or `ValueError` for anything else."""
    if isinstance(outputs, Tensor):
        return [outputs]
    if not isinstance(outputs, (list, tuple)):
        raise TypeError(
            f"{caller} expects a tensor or a list of tensors, got {type(outputs).__name__}"
        )
    for each in outputs:
        if not isinstance(each, Tensor):
            raise TypeError(f"{caller} expects tensors, got a {type(each).__name__} among them")
    if not outputs:
        raise ValueError(f"{caller} expects at least one tensor, got an empty list")
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


def _reached(
    nodes: Sequence[Node], roots: Sequence[Node]
) -> tuple[dict[Node, tuple[int, ...]], set[Node]]:
    """For each node the numbers of the outputs that it leads to; and the nodes of the outputs."""
    masks = dict.fromkeys(nodes, 0)
    for number, root in enumerate(roots):
        masks[root] |= 1 << number
    for node in reversed(nodes):
        mask = masks[node]
        for edge in node.parents:
            if edge is not None:
                masks[edge[0]] |= mask
    numbers = {
        mask: tuple(i for i in range(len(roots)) if mask >> i & 1) for mask in set(masks.values())
    }
    return {node: numbers[mask] for node, mask in masks.items()}, set(roots)


def _node_record(
    index: int,
    node: Node,
    is_output: bool,
    owners: Owners,
    outputs: tuple[int, ...],
    ledger: Ledger,
    times: Mapping[Node, tuple[float | None, float | None]],
) -> GraphNode:
    kind = _kind(node)
    forward, backward = times.get(node, (None, None))
    saved = tuple(_saved(node))
    return GraphNode(
        index=index,
        name=node.name(),
        op=node.op.name if node.op is not None else "",
        label=owners.label(node),
        shapes=tuple(tuple(shape) for shape in node.shapes),
        dtypes=tuple(str(dtype).removeprefix("tensorlab.") for dtype in node.dtypes),
        saved_bytes=ledger.add(array for _, array in saved),
        freed=node.saved is None,
        is_output=is_output,
        kind=kind,
        module=owners.modules[index],
        parameters=owners.parameters[index],
        flops=flops(node),
        backward_flops=backward_flops(node),
        bytes=0
        if kind in ("leaf", "view")
        else sum(
            prod(shape) * dtype.itemsize
            for shape, dtype in zip(node.shapes, node.dtypes, strict=True)
        ),
        saved=tuple(
            SavedValue(name, tuple(array.shape), str(array.dtype), array.nbytes)
            for name, array in saved
        ),
        source=source_of(node),
        rule=explain(node),
        outputs=outputs,
        forward_seconds=forward,
        backward_seconds=backward,
    )


def _kind(node: Node) -> str:
    op = node.op
    if op is None:
        return "leaf"
    if op is COPY_SLICES:
        return "write"
    if op.view:
        return "view"
    return "function" if not op.rules and op.joint is None else "operation"


def _saved(node: Node) -> list[tuple[str, Any]]:
    """The arrays that a node keeps, with the names that its rule has for them."""
    if node.saved is None or node.op is None or node.plan is None:
        return []
    inputs = node.op.inputs
    found: list[tuple[str, Any]] = []
    for (what, which), value in zip(node.plan.saves, node.saved, strict=True):
        if type(value) is not tuple or not value:
            continue
        if what == INPUT:
            found.append((inputs[which], value[0]))
        elif what == OUTPUT:
            if type(value[0]) is tuple:
                found += [(f"out[{i}]", each[0]) for i, each in enumerate(value)]
            else:
                found.append(("out", value[0]))
        elif what == INPUTS:
            found += [(f"{inputs[0]}[{i}]", each[0]) for i, each in enumerate(value)]
        elif what == RECORDS:
            found += [
                (f"saved[{i}]", each[0])
                for i, each in enumerate(value)
                if type(each) is tuple and each
            ]
    # Indices are parameters of a call: its rule needs them, and they are kept with it.
    for name, value in zip(node.op.params, node.params, strict=False):
        found += [(name, array) for array in flat([value])]
    # What saved_tensors_hooks packed has no shape of its own; steps of a view are no arrays.
    return [(name, array) for name, array in found if hasattr(array, "nbytes")]


def _modules(nodes: Sequence[GraphNode], owners: Owners) -> tuple[GraphModule, ...]:
    own: dict[str, list[int]] = {}
    counts: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    work: Counter[str] = Counter()
    saved: Counter[str] = Counter()
    # Operations first: leaves are numbered when they are first used, which may be long before.
    for node in sorted(nodes, key=lambda node: node.is_leaf):
        above = ancestors(node.module)
        for path in above:
            own.setdefault(path, [])
            counts[path] += not node.is_leaf
            work[path] += node.flops or 0
            saved[path] += node.saved_bytes
            if node.is_leaf:
                parameters[path] += prod(node.shapes[0])
        own[node.module].append(node.index)
    return tuple(
        GraphModule(
            path=path,
            type=owners.types.get(path, ""),
            depth=path.count(".") + 1 if path else 0,
            nodes=tuple(sorted(indices)),
            count=counts[path],
            parameters=parameters[path],
            flops=work[path],
            saved_bytes=saved[path],
        )
        for path, indices in own.items()
    )
