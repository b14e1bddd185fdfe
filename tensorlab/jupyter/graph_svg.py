"""A still picture of an autograd graph: records in, SVG text out, with an outline in words.

Data flows downwards, from parameters to the output; `tensorlab.inspect.layered` places the boxes.

The same records give the same text: no ids, no addresses, no clock. The picture brings its own
background and ink, so that it reads the same in a dark theme, on GitHub and on paper.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from tensorlab.inspect import Graph, GraphEdge, GraphNode
from tensorlab.inspect._words import alternative, count, size
from tensorlab.inspect.layered import Item, arrange

from .report import escape

__all__ = ["MOST_NODES", "alternative", "outline", "svg"]

MOST_NODES = 300  # more boxes than this nobody reads; the nodes nearest the output are shown

_CHAR = 7.3  # width of one character of 12 px monospace, rounded up
_HEIGHT = 38
_RISE = 26  # between layers
_MARGIN = 16
_LEGEND = 30


def svg(graph: Graph, title: str = "autograd graph") -> str:
    """Draw the graph, at most `MOST_NODES` nodes of it, as a self-contained SVG document.

    >>> import tensorlab as tl
    >>> from tensorlab.inspect import graph
    >>> w = tl.ones(2, requires_grad=True)
    >>> picture = svg(graph((w * w).sum()))
    >>> picture.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    True
    """
    nodes, edges, hidden = _visible(graph)
    items, paths = arrange(nodes, edges, _width, _MARGIN)
    width = max(item.x + item.width / 2 for item in items) + _MARGIN
    note = f"{hidden} earlier nodes are not shown" if hidden else ""
    width = max(width, 420.0, _CHAR * len(note) + 2 * _MARGIN)
    layers = 1 + max(item.layer for item in items)
    top = _MARGIN + _LEGEND + (20 if note else 0)
    height = top + layers * _HEIGHT + (layers - 1) * _RISE + _MARGIN

    def y(layer: int) -> float:
        return top + layer * (_HEIGHT + _RISE)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" '
        f'width="{_n(width)}" height="{_n(height)}" role="img" aria-label="{escape(title)}" '
        'font-family="ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="12">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(alternative(graph))}</desc>",
        f'<rect width="{_n(width)}" height="{_n(height)}" fill="#ffffff"/>',
        _legend(),
    ]
    if note:
        parts.append(f'<text x="{_MARGIN}" y="{_n(top - 10)}" fill="#333333">{escape(note)}</text>')
    parts += [_path(path, y) for path in paths]
    parts += [_box(item, y(item.layer)) for item in items if item.node is not None]
    return "".join(parts) + "</svg>"


def outline(graph: Graph, most_lines: int = MOST_NODES) -> str:
    """The graph in words: operations from the output back, each with its leaves indented below.

    Every operation names the operations it was computed from by their numbers, so the order of the
    lines may be the order of computation, and depth does not grow with the length of the graph.

    >>> import tensorlab as tl
    >>> from tensorlab.inspect import graph
    >>> w = tl.ones(3, requires_grad=True)
    >>> print(outline(graph((w * 2).sum(), params={"w": w})))
    #2 SumBackward0 from #1: () float32
    #1 MulBackward0: (3,) float32
      #0 w: leaf (3,) float32
    """
    before: dict[int, dict[int, None]] = defaultdict(dict)
    for edge in graph.edges:
        before[edge.target][edge.source] = None
    lines: list[str] = []
    for node in reversed(graph.operations):
        sources = [graph.nodes[index] for index in before[node.index]]
        lines.append(_line(node, [source for source in sources if not source.is_leaf]))
        lines += [f"  {_line(source)}" for source in sources if source.is_leaf]
    left = len(lines) - most_lines
    return "\n".join(
        [*lines[:most_lines], f"… and {count(left, 'line')} more"] if left > 0 else lines
    )


def _line(node: GraphNode, sources: Sequence[GraphNode] = ()) -> str:
    name = node.label or node.name
    origin = f" from {', '.join(f'#{source.index}' for source in sources)}" if sources else ""
    kind = "leaf " if node.is_leaf and node.label else ""
    saved = f", saves {size(node.saved_bytes)}" if node.saved_bytes else ""
    return f"#{node.index} {name}{origin}: {kind}{_shapes(node)}{saved}"


def _shapes(node: GraphNode) -> str:
    return " | ".join(
        f"{tuple(shape)} {dtype}" for shape, dtype in zip(node.shapes, node.dtypes, strict=True)
    )


def _visible(graph: Graph) -> tuple[list[GraphNode], list[GraphEdge], int]:
    """The last `MOST_NODES` nodes by creation, and the edges among them."""
    hidden = max(0, len(graph.nodes) - MOST_NODES)
    nodes = list(graph.nodes[hidden:])
    edges = [edge for edge in graph.edges if edge.source >= hidden]
    return nodes, edges, hidden


# Drawing.

_INK = {  # fill, border
    "operation": ("#eaf2fd", "#2f5d9b"),
    "leaf": ("#fff4d6", "#8a6100"),
    "output": ("#e3f5e6", "#1b6e20"),
}


def _kind(node: GraphNode) -> str:
    if node.is_leaf:
        return "leaf"
    return "output" if node.is_output else "operation"


def _width(node: GraphNode) -> float:
    return max(_CHAR * max(len(text) for text in _labels(node)) + 20, 70.0)


def _labels(node: GraphNode) -> tuple[str, str]:
    name = node.label or node.name
    if len(name) > 40:  # the end of a parameter's name tells more than its beginning
        name = "…" + name[-39:]
    shapes = _shapes(node)
    return name, shapes if len(shapes) <= 40 else shapes[:39] + "…"


def _frame(kind: str, x: float, y: float, width: float, height: float) -> str:
    """Kinds differ by outline as well as by colour: rounded, square, square and doubled."""
    fill, ink = _INK[kind]
    radius = 8 if kind == "operation" else 0
    place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
    frame = f'<rect {place} rx="{radius}" fill="{fill}" stroke="{ink}" stroke-width="1.2"/>'
    if kind == "output":
        inner = f'x="{_n(x + 3)}" y="{_n(y + 3)}" width="{_n(width - 6)}" height="{_n(height - 6)}"'
        frame += f'<rect {inner} fill="none" stroke="{ink}" stroke-width="0.8"/>'
    if kind == "leaf":
        frame += f'<rect x="{_n(x)}" y="{_n(y)}" width="4" height="{_n(height)}" fill="{ink}"/>'
    return frame


def _box(item: Item, y: float) -> str:
    node = item.node
    assert node is not None
    name, shapes = _labels(node)
    x = item.x - item.width / 2
    middle = _n(item.x)
    return (
        f"<g><title>{escape(_line(node))}</title>"
        + _frame(_kind(node), x, y, item.width, _HEIGHT)
        + f'<text x="{middle}" y="{_n(y + 16)}" text-anchor="middle" font-weight="600" '
        f'fill="#111111">{escape(name)}</text>'
        f'<text x="{middle}" y="{_n(y + 31)}" text-anchor="middle" fill="#333333">'
        f"{escape(shapes)}</text></g>"
    )


def _path(path: list[Item], y: Callable[[int], float]) -> str:
    """One edge: smooth curves between layers, straight past the boxes of the layers it crosses."""
    x, row = path[0].x, y(path[0].layer) + _HEIGHT
    steps = [f"M{_n(x)} {_n(row)}"]
    for each in path[1:]:
        top = y(each.layer)
        last = each is path[-1]
        reach = top - 5 if last else top
        middle = (row + reach) / 2
        steps.append(f"C{_n(x)} {_n(middle)} {_n(each.x)} {_n(middle)} {_n(each.x)} {_n(reach)}")
        if not last:
            steps.append(f"V{_n(top + _HEIGHT)}")
        x, row = each.x, top + _HEIGHT
    tip = y(path[-1].layer)
    head = f"M{_n(x - 4)} {_n(tip - 7)}L{_n(x)} {_n(tip)}L{_n(x + 4)} {_n(tip - 7)}Z"
    return (
        f'<path d="{"".join(steps)}" fill="none" stroke="#5f6b7a" stroke-width="1.2"/>'
        f'<path d="{head}" fill="#5f6b7a"/>'
    )


def _legend() -> str:
    parts = []
    x = float(_MARGIN)
    for kind, words in (("leaf", "leaf"), ("operation", "operation"), ("output", "output")):
        parts.append(_frame(kind, x, _MARGIN, 26, 16))
        parts.append(f'<text x="{_n(x + 33)}" y="{_MARGIN + 12}" fill="#333333">{words}</text>')
        x += 33 + _CHAR * len(words) + 20
    return "".join(parts)


def _n(value: float) -> str:
    """A coordinate with at most one decimal: short, and the same on every machine."""
    return f"{value:.1f}".removesuffix(".0")
