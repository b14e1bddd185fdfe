"""Places for the boxes of a graph on layers, for still pictures.

Layered drawing after Sugiyama, Tagawa and Toda (1981): put nodes on layers by their longest path,
route long edges through invisible nodes, order each layer by the barycenter of its neighbours, and
slide nodes towards their neighbours. The same graph gives the same places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tensorlab.inspect.graph_records import GraphEdge, GraphNode

__all__ = ["Item", "arrange"]

_ORDER_SWEEPS = 8
_PLACE_SWEEPS = 24


@dataclass
class Item:
    """A box on a layer, or the bend of a long edge (node is None)."""

    node: GraphNode | None
    layer: int
    width: float
    x: float = 0.0  # centre
    order: int = 0


def arrange(
    nodes: list[GraphNode],
    edges: list[GraphEdge],
    width: Callable[[GraphNode], float],
    margin: float,
    gap: float = 18.0,
) -> tuple[list[Item], list[list[Item]]]:
    """Boxes and bends with their places, and for each edge the items that it runs through.

    width: of a node's box. margin: the least x of a box's left side. gap: between boxes of a layer.
    """
    layer = _layers(nodes, edges)
    item = {node.index: Item(node, layer[node.index], width(node)) for node in nodes}
    items = list(item.values())
    paths: list[list[Item]] = []
    for source, target in dict.fromkeys((edge.source, edge.target) for edge in edges):
        start, end = item[source], item[target]
        bends = [Item(None, row, 4.0) for row in range(start.layer + 1, end.layer)]
        items += bends
        paths.append([start, *bends, end])
    above: dict[int, list[Item]] = defaultdict(list)
    below: dict[int, list[Item]] = defaultdict(list)
    for path in paths:
        for upper, lower in pairwise(path):
            below[id(upper)].append(lower)
            above[id(lower)].append(upper)
    rows: list[list[Item]] = [[] for _ in range(1 + max(layer.values()))]
    for each in items:
        rows[each.layer].append(each)
    _order(rows, above, below)
    _place(rows, above, below, gap)
    left = min(each.x - each.width / 2 for each in items)
    for each in items:
        each.x += margin - left
    return items, paths


def _layers(nodes: list[GraphNode], edges: list[GraphEdge]) -> dict[int, int]:
    """The longest path from a source, then everything as low as what it feeds allows.

    The second step puts a weight, and its transpose, next to the product that uses them.
    """
    layer = {node.index: 0 for node in nodes}
    for edge in edges:  # sorted by target, so a source's layer is final when it is read
        layer[edge.target] = max(layer[edge.target], layer[edge.source] + 1)
    lowest: dict[int, int] = {}
    for edge in sorted(edges, key=lambda edge: -edge.source):
        below = lowest.get(edge.target, layer[edge.target]) - 1
        lowest[edge.source] = min(lowest.get(edge.source, below), below)
    return {**layer, **lowest}


def _order(
    rows: list[list[Item]], above: dict[int, list[Item]], below: dict[int, list[Item]]
) -> None:
    """Fewer crossings: sort each row by the mean place of its neighbours, sweeping down and up."""

    def renumber(row: list[Item]) -> None:
        for place, each in enumerate(row):
            each.order = place

    for row in rows:
        renumber(row)
    for sweep in range(_ORDER_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            means = {
                id(each): sum(n.order for n in found) / len(found)
                if (found := neighbours[id(each)])
                else float(each.order)
                for each in row
            }
            row.sort(key=lambda each: (means[id(each)], each.order))
            renumber(row)


def _place(
    rows: list[list[Item]], above: dict[int, list[Item]], below: dict[int, list[Item]], gap: float
) -> None:
    """Slide every item towards the middle of its neighbours, as far as its row's order allows."""
    for row in rows:
        _spread(row, [0.0] * len(row), gap)
    for sweep in range(_PLACE_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for each in row:
                near = above[id(each)] + below[id(each)]
                pull = [_pull(each, other) for other in near]
                total = sum(weight * other.x for weight, other in zip(pull, near, strict=True))
                wanted.append(total / sum(pull) if near else each.x)
            _spread(row, wanted, gap)


def _pull(one: Item, other: Item) -> float:
    """How much two neighbours want to stand in line: bends most (Gansner et al., 1993), leaves least."""
    if one.node is None and other.node is None:
        return 8.0
    if one.node is None or other.node is None:
        return 2.0
    return 0.5 if one.node.is_leaf or other.node.is_leaf else 2.0


def _spread(row: list[Item], wanted: list[float], gap: float) -> None:
    """Put a row's items as near to `wanted` as order and gaps allow, in the least-squares sense.

    Subtracting each item's packed offset turns "keep the gaps" into "do not decrease", and the
    best non-decreasing fit is isotonic regression: pool neighbours that are out of order. Leaves
    count least: they make way, so that operations stand in line and long edges stay straight.
    """
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + gap)
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight, items
    for each, want, offset in zip(row, wanted, offsets, strict=True):
        weight = 8.0 if each.node is None else 1.0 if each.node.is_leaf else 6.0
        pools.append((weight * (want - offset), weight, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            right, left = pools.pop(), pools.pop()
            pools.append((left[0] + right[0], left[1] + right[1], left[2] + right[2]))
    places = [total / weight for total, weight, items in pools for _ in range(items)]
    for each, place, offset in zip(row, places, offsets, strict=True):
        each.x = place + offset
