"""Pictures of small computation graphs, for the lessons (matplotlib is imported when one is drawn).

The drawing knows no tensor class. A node is any object with

    value      the array it holds
    parents    the nodes it was computed from, in argument order (empty for a leaf)

and, where there are such, ``op`` (the operation's name) and ``grad``. The learner's own tensor of
lesson 02 is such an object, and so the pictures show the learner's own graph. Every picture says
the same in words, for readers who do not see it and for tests.

Layout is the layered one of Sugiyama, Tagawa and Toda, "Methods for visual understanding of
hierarchical system structures" (1981), in its simplest form: a column per longest distance from a
leaf, rows ordered by the mean row of the neighbours, long edges bent around what stands between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from tensorlab.learn.figures import Drawing

__all__ = ["Layout", "backward_steps", "draw_backward", "draw_graph", "draw_reach", "layout"]

# Okabe and Ito's palette: told apart with any common colour blindness. No meaning is carried by
# colour alone: what is "now" also has a thick frame, and gradients are also labelled as such.
INK = "#1b1b1b"
LEAF = "#cfe8f7"
MADE = "#f2f2f2"
NOW = "#ffe3b3"
BACK = "#b34700"
QUIET = "#8a8a8a"

WIDTH, HEIGHT = 1.25, 0.86
COLUMN, ROW = 2.0, 1.25


class GraphNode(Protocol):
    """What the drawing reads of a node."""

    value: Any

    @property
    def parents(self) -> Sequence[Any]: ...


class Layout:
    """Where the nodes of a graph stand.

    Attributes:
        nodes: the nodes, every one after its parents; the root is last.
        at: ``id(node)`` → ``(x, y)`` of the node's centre.
        bends: ``(id(child), argument index)`` → the points a long edge passes on its way.
    """

    __slots__ = ("at", "bends", "nodes")

    def __init__(self, nodes: list[Any], at: dict, bends: dict) -> None:
        self.nodes = nodes
        self.at = at
        self.bends = bends

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the drawing, in its own units (a box is 1.25 × 0.86)."""
        xs = [x for x, _ in self.at.values()]
        ys = [y for _, y in self.at.values()]
        ys += [y for points in self.bends.values() for _, y in points]
        return max(xs) - min(xs) + WIDTH + 0.3, max(ys) - min(ys) + HEIGHT + 0.3


def _reachable(root: GraphNode) -> list[Any]:
    """The nodes under `root`, parents first, each once; iterative, so that depth is no limit."""
    done: dict[int, Any] = {}
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if id(node) in done:
            continue
        if parents_done:
            done[id(node)] = node
            continue
        stack.append((node, True))
        stack.extend((parent, False) for parent in reversed(node.parents))
    return list(done.values())


def layout(root: GraphNode) -> Layout:
    """Give every node under `root` a place: leaves to the left, the root to the right.

    Returns a :class:`Layout`. A graph without nodes does not exist, so `root` alone is the
    smallest one.

    >>> class Leaf: value, parents = 1.0, ()
    >>> [xy for xy in layout(Leaf()).at.values()]
    [(0.0, 0.0)]
    """
    nodes = _reachable(root)
    column: dict[int, int] = {}
    for node in nodes:
        column[id(node)] = 1 + max((column[id(p)] for p in node.parents), default=-1)
    # A leaf that is first used far to the right stands just left of its first use.
    first_use: dict[int, int] = {}
    for node in nodes:
        for parent in node.parents:
            known = first_use.get(id(parent), column[id(node)])
            first_use[id(parent)] = min(known, column[id(node)])
    for node in nodes:
        if not node.parents and id(node) in first_use:
            column[id(node)] = first_use[id(node)] - 1

    # Columns of keys: a node's id, or (child, argument, column) where a long edge passes by.
    columns: dict[int, list[Any]] = {}
    near: dict[Any, list[Any]] = {}
    passes: dict[tuple[int, int], list[Any]] = {}
    for node in nodes:
        columns.setdefault(column[id(node)], []).append(id(node))
    for node in nodes:
        drawn: set[int] = set()
        for k, parent in enumerate(node.parents):
            last: Any = id(parent)
            route = []
            if id(parent) not in drawn:
                for c in range(column[id(parent)] + 1, column[id(node)]):
                    key = (id(node), k, c)
                    columns[c].append(key)
                    route.append(key)
            for key in [*route, id(node)]:
                near.setdefault(last, []).append(key)
                near.setdefault(key, []).append(last)
                last = key
            drawn.add(id(parent))
            passes[id(node), k] = route

    row: dict[Any, float] = {}
    for keys in columns.values():
        for i, key in enumerate(keys):
            row[key] = i - (len(keys) - 1) / 2
    order = sorted(columns)
    for sweep in range(8):
        for c in order if sweep % 2 == 0 else reversed(order):
            keys = columns[c]
            wish = {key: float(np.mean([row[n] for n in near.get(key, [key])])) for key in keys}
            keys.sort(key=lambda key: (wish[key], row[key]))
            middle = float(np.mean([wish[key] for key in keys]))
            for i, key in enumerate(keys):
                row[key] = middle + i - (len(keys) - 1) / 2

    at = {id(n): (column[id(n)] * COLUMN, -row[id(n)] * ROW) for n in nodes}
    x0 = min(x for x, _ in at.values())
    y0 = at[id(root)][1]
    at = {key: (x - x0, y - y0) for key, (x, y) in at.items()}
    bends = {
        edge: [(key[2] * COLUMN - x0, -row[key] * ROW - y0) for key in route]
        for edge, route in passes.items()
    }
    return Layout(nodes, at, bends)


def _text(array: Any) -> str:
    """A number as a number, an array as its shape."""
    array = np.asarray(array)
    if array.size == 1:
        return f"{array.item():.4g}"
    return "×".join(str(n) for n in array.shape) + (" long" if array.ndim == 1 else "")


def _labels(nodes: Sequence[Any], names: Mapping[str, Any] | None) -> dict[int, str]:
    """What to call each node in words: its name, else its place in the list."""
    given = {id(node): name for name, node in (names or {}).items()}
    return {id(node): given.get(id(node), f"#{i}") for i, node in enumerate(nodes)}


def _words(nodes: Sequence[Any], labels: Mapping[int, str], grads: Mapping[int, Any]) -> str:
    lines = []
    for node in nodes:
        line = labels[id(node)]
        if node.parents:
            inside = ", ".join(labels[id(parent)] for parent in node.parents)
            line += f" = {getattr(node, 'op', '') or 'op'}({inside})"
        line += f" = {_text(node.value)}"
        if grads.get(id(node)) is not None:
            line += f"   grad {_text(grads[id(node)])}"
        lines.append(line)
    return "\n".join(lines)


def _canvas(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """A figure and its axes, made without pyplot: nothing is registered, nothing to close."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _arrow(axes: Any, points: list[tuple[float, float]], label: str | None) -> None:
    """A smooth arrow through `points`; with a label it runs backward and carries a gradient."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    back = label is not None
    path, codes = [points[0]], [Path.MOVETO]
    for (xa, ya), (xb, yb) in pairwise(points):
        half = (xb - xa) / 2
        path += [(xa + half, ya), (xb - half, yb), (xb, yb)]
        codes += [Path.CURVE4] * 3
    if back:
        path.reverse()
    arrow = FancyArrowPatch(
        path=Path(path, codes),
        arrowstyle="-|>",
        mutation_scale=13 if back else 10,
        linewidth=2.2 if back else 1.1,
        color=BACK if back else QUIET,
        zorder=3 if back else 1,
    )
    axes.add_patch(arrow)
    if back:
        (xa, ya), (xb, yb) = points[0], points[1]
        frame = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": BACK}
        axes.text(
            (xa + xb) / 2,
            (ya + yb) / 2,
            label,
            color=BACK,
            fontsize=9,
            fontweight="bold",
            ha="center",
            va="center",
            zorder=5,
            bbox=frame,
        )


def _box(axes: Any, xy: tuple[float, float], node: Any, name: str, grad: Any, now: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = xy
    box = FancyBboxPatch(
        (x - WIDTH / 2, y - HEIGHT / 2),
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.14",
        facecolor=NOW if now else (MADE if node.parents else LEAF),
        edgecolor=BACK if now else INK,
        linewidth=2.6 if now else 1.1,
        zorder=2,
    )
    axes.add_patch(box)
    op = getattr(node, "op", "") or ""
    head = f"{name} = {op}" if name and op else name or op or "leaf"
    lift = 0.25 if grad is not None else 0.14
    style: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 4}
    axes.text(x, y + lift, head, color=INK, fontsize=10, fontweight="bold", **style)
    axes.text(x, y + lift - 0.27, _text(node.value), color=INK, fontsize=10, **style)
    if grad is not None:
        axes.text(x, y - 0.29, f"grad {_text(grad)}", color=BACK, fontsize=9.5, **style)


def _draw(
    axes: Any,
    place: Layout,
    names: Mapping[str, Any] | None,
    grads: Mapping[int, Any],
    now: Any = None,
    sent: Sequence[Any] | None = None,
) -> None:
    called = {id(node): name for name, node in (names or {}).items()}
    for node in place.nodes:
        x, y = place.at[id(node)]
        routes = []
        for k, parent in enumerate(node.parents):
            xa, ya = place.at[id(parent)]
            bends = place.bends[id(node), k]
            label = _text(sent[k]) if now is node and sent is not None else None
            came_from = bends[-1][1] if bends else ya
            routes.append((-came_from, k, [(xa + WIDTH / 2, ya), *bends], label))
        # Arrows arrive from top to bottom in the order in which they start: none cross at the box.
        for port, (_, _, points, label) in enumerate(sorted(routes, key=lambda r: r[:2])):
            drop = 0.34 * ((len(routes) - 1) / 2 - port)
            _arrow(axes, [*points, (x - WIDTH / 2, y + drop)], label)
        name, grad = called.get(id(node), ""), grads.get(id(node))
        _box(axes, (x, y), node, name, grad, now is node)

    xs = [p[0] for p in place.at.values()]
    ys = [p[1] for p in place.at.values()] + [p[1] for ps in place.bends.values() for p in ps]
    axes.set_xlim(min(xs) - WIDTH / 2 - 0.15, max(xs) + WIDTH / 2 + 0.15)
    axes.set_ylim(min(ys) - HEIGHT / 2 - 0.15, max(ys) + HEIGHT / 2 + 0.15)
    axes.set_aspect("equal")
    axes.axis("off")


def draw_graph(root: GraphNode, *, names: Mapping[str, Any] | None = None) -> Drawing:
    """Draw the graph that ends in `root`: leaves to the left (blue), results to the right (grey).

    Args:
        root: the last node, such as a loss.
        names: name → node, to label the boxes with the variables' names. A node that is not in
            it shows its operation alone, and is called by its number in the words.

    Returns a :class:`~tensorlab.learn.figures.Drawing`: the picture, and the same in words. A
    node's ``grad``, where it has one, is shown in its box. The top-to-bottom order of the arrows
    into a box is for legibility, it is not the order of the arguments; the words have that.

    >>> class Leaf: value, parents, grad = 3.0, (), 6.0
    >>> class Square: op, value, parents = "mul", 9.0, (Leaf, Leaf)
    >>> draw_graph(Square, names={"x": Leaf, "y": Square})
    x = 3   grad 6
    y = mul(x, x) = 9
    """
    place = layout(root)
    grads = {id(n): n.grad for n in place.nodes if getattr(n, "grad", None) is not None}
    width, height = place.size
    figure, axes = _canvas(width * 0.9, height * 0.9)
    _draw(axes[0, 0], place, names, grads)
    return Drawing(figure, _words(place.nodes, _labels(place.nodes, names), grads))


def backward_steps(order: Iterable[Any], seed: Any = 1.0) -> list[dict[str, Any]]:
    """Follow the backward pass over `order` (the root first) and note every step.

    A step is ``{"node", "sent", "grads"}``: the node whose rule is applied, what the rule sends to
    each parent (None for a leaf), and the gradients known after it, as ``id(node)`` → array. Nodes
    need ``rule`` and ``saved`` beside what the drawing reads: ``node.rule(g, *node.saved)`` must
    return a gradient per parent. No node's ``grad`` is changed.
    """
    grads: dict[int, Any] = {}
    steps = []
    for node in order:
        if not steps:
            grads[id(node)] = np.asarray(seed, dtype=float)
        sent = None
        if node.parents and id(node) in grads:
            sent = node.rule(grads[id(node)], *node.saved)
            for parent, g in zip(node.parents, sent, strict=True):
                grads[id(parent)] = grads.get(id(parent), 0.0) + np.asarray(g)
        steps.append({"node": node, "sent": sent, "grads": dict(grads)})
    return steps


def draw_backward(
    root: GraphNode,
    order: Sequence[Any],
    *,
    names: Mapping[str, Any] | None = None,
    columns: int = 2,
) -> Drawing:
    """Draw the backward pass as a comic strip: one picture per rule that is applied, and the end.

    `order` is the visiting order, root first. The node in the thick frame applies its rule;
    orange arrows carry what it sends to its parents; "grad" in a box is the sum of what has
    arrived so far. Returns the picture with the same in words.

    >>> class X: value, parents = 3.0, ()
    >>> class Y: op, value, parents, saved = "mul", 9.0, (X, X), (3.0, 3.0)
    >>> Y.rule = staticmethod(lambda g, x, y: (g * y, g * x))
    >>> draw_backward(Y, [Y, X], names={"x": X, "y": Y})
    step 1: y has grad 1, sends 3 to x, 3 to x
    the end: x has grad 6
    """
    place = layout(root)
    labels = _labels(place.nodes, names)
    known = backward_steps(order)
    steps = [step for step in known if step["sent"] is not None]
    pictures = len(steps) + 1
    columns = max(1, min(columns, pictures))
    rows = -(-pictures // columns)
    width, height = place.size
    scale = 5.2 / width if width > 5.2 / 0.9 else 0.9
    figure, axes = _canvas(columns * width * scale, rows * (height * scale + 0.35), rows, columns)
    words = []
    for i, step in enumerate(steps):
        node, sent, grads = step["node"], step["sent"], step["grads"]
        called = labels[id(node)]
        _draw(axes.flat[i], place, names, grads, now=node, sent=sent)
        axes.flat[i].set_title(f"step {i + 1}: {called} sends", fontsize=10, loc="left", color=INK)
        parts = zip(sent, node.parents, strict=True)
        sending = ", ".join(f"{_text(g)} to {labels[id(parent)]}" for g, parent in parts)
        words.append(f"step {i + 1}: {called} has grad {_text(grads[id(node)])}, sends {sending}")
    grads = known[-1]["grads"] if known else {}
    _draw(axes.flat[len(steps)], place, names, grads)
    axes.flat[len(steps)].set_title("the end", fontsize=10, loc="left", color=INK)
    for empty in axes.flat[pictures:]:
        empty.axis("off")
    leaves = [node for node in place.nodes if not node.parents and id(node) in grads]
    ends = ", ".join(f"{labels[id(node)]} has grad {_text(grads[id(node)])}" for node in leaves)
    return Drawing(figure, "\n".join([*words, f"the end: {ends}"]))


def draw_reach(m: int, k: int, n: int, *, row: int = 0, inner: int = 0) -> Drawing:
    """Draw which entries of ``z = x @ y`` a single entry of x reaches, and through what.

    Args:
        m, k, n: x has shape (m, k), y has (k, n), z has (m, n); at most 8 each.
        row, inner: the entry ``x[row, inner]`` that is moved.

    >>> draw_reach(3, 2, 4, row=1, inner=0)
    x[1, 0] reaches the row z[1, :] (4 entries), through the row y[0, :]
    """
    for name, size in (("m", m), ("k", k), ("n", n)):
        if not 1 <= size <= 8:
            raise ValueError(f"{name} must be from 1 to 8 to be legible, got {size}")
    if not (0 <= row < m and 0 <= inner < k):
        raise ValueError(f"x[{row}, {inner}] is not an entry of a {m}×{k} matrix")
    from matplotlib.patches import Rectangle

    figure, grid = _canvas(0.42 * (k + 2 * n + 5.5), 0.42 * (max(m, k) + 1.7))
    axes = grid[0, 0]
    parts = [
        ("x", m, k, lambda i, j: NOW if (i, j) == (row, inner) else "white"),
        ("y", k, n, lambda i, j: LEAF if i == inner else "white"),
        ("z", m, n, lambda i, j: NOW if i == row else "white"),
    ]
    left, tall = 0.0, max(m, k)
    for sign, (name, rows, columns, colour) in zip(("", "@", "="), parts, strict=True):
        left += 1.4 if sign else 0.0
        top = (tall - rows) / 2
        if sign:
            axes.text(left - 0.7, tall / 2, sign, fontsize=15, ha="center", va="center", color=INK)
        for i, j in np.ndindex(rows, columns):
            face = colour(i, j)
            bold = face == NOW
            cell = Rectangle(
                (left + j, top + i),
                1,
                1,
                facecolor=face,
                edgecolor=BACK if bold else INK,
                linewidth=2 if bold else 0.8,
                zorder=3 if bold else 2,
            )
            axes.add_patch(cell)
        title = f"{name}  {rows}×{columns}"
        middle = left + columns / 2
        axes.text(middle, top - 0.35, title, fontsize=10, ha="center", color=INK)
        left += columns
    axes.set_xlim(-0.2, left + 0.2)
    axes.set_ylim(tall + 0.2, -1.1)
    axes.set_aspect("equal")
    axes.axis("off")
    words = (
        f"x[{row}, {inner}] reaches the row z[{row}, :] ({n} entries), "
        f"through the row y[{inner}, :]"
    )
    return Drawing(figure, words)
