"""The still picture of a large graph: its modules as boxes, equal ones in one box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tensorlab.inspect import Graph, GraphEdge, GraphNode
from tensorlab.inspect._words import count

__all__ = ["MOST_BOXES", "condensed"]

#: More boxes than this are hard to read on a page.
MOST_BOXES = 60


def condensed(graph: Graph, types: Mapping[str, str] | None = None) -> Graph:
    """A graph of at most `MOST_BOXES` boxes where modules allow that; else as it is.

    Modules become boxes as far down as fits, parameters are left out, and of modules that repeat
    one stands for all ("×12"). types: class names of modules that the graph does not know.
    """
    if len(graph.nodes) <= MOST_BOXES:
        return graph
    types = types or {}
    same = {
        path: (repeat.members[0], repeat.count)
        for repeat in graph.repeats
        for member in repeat.members
        for path in member
    }
    depths = range(max((module.depth for module in graph.modules), default=0), 0, -1)
    operations = graph.operations
    for depth in depths:
        keys = [_key(node, depth, same) for node in operations]
        if len(set(keys)) <= MOST_BOXES:
            return _merged(graph, keys, same, types)
    return graph


def _key(node: GraphNode, depth: int, same: Mapping[str, tuple[tuple[str, ...], int]]) -> str | int:
    """The box that a node is in: a module's path, or its own number where it is in none."""
    if not node.module:
        return node.index
    steps = node.module.split(".")[:depth]
    for i in range(1, len(steps) + 1):
        found = same.get(".".join(steps[:i]))
        if found is not None:
            return found[0][0]
    return ".".join(steps)


def _merged(
    graph: Graph,
    keys: list[str | int],
    same: Mapping[str, tuple[tuple[str, ...], int]],
    types: Mapping[str, str],
) -> Graph:
    members: dict[str | int, list[GraphNode]] = {}
    box_of: dict[int, str | int] = {}
    for node, key in zip(graph.operations, keys, strict=True):
        members.setdefault(key, []).append(node)
        box_of[node.index] = key
    place = {key: index for index, key in enumerate(members)}
    known = {module.path: module.type for module in graph.modules}
    nodes = []
    for key, inside in members.items():
        label = ""
        if isinstance(key, str):
            group, times = same.get(key, ((key,), 1))
            kinds = ", ".join(known.get(path) or types.get(path) or path for path in group)
            one = f"{key} ({kinds})" if kinds != key else key
            label = f"{kinds} ×{times}" if times > 1 else f"{one}, {count(len(inside), 'op')}"
        nodes.append(
            replace(
                inside[-1],
                index=place[key],
                label=label,
                saved_bytes=sum(node.saved_bytes for node in inside),
                is_output=any(node.is_output for node in inside),
            )
        )
    edges = {
        (place[box_of[edge.source]], place[box_of[edge.target]]): None
        for edge in graph.edges
        if edge.source in box_of and edge.target in box_of
    }
    # Of a module that runs twice the box stands where it first ran: what comes back to it is left out.
    ordered = sorted((edge for edge in edges if edge[0] < edge[1]), key=lambda edge: edge[::-1])
    return Graph(tuple(nodes), tuple(GraphEdge(a, b, 0, 0) for a, b in ordered))
