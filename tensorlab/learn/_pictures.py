"""The pictures behind :mod:`tensorlab.learn.figures`: where each cell stands, what is inked.

Everything is drawn in cells: one unit is one cell of a table or of the tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

INK, FAINT, RULE, ACCENT = "#1f2430", "#8b93a3", "#b9c0cc", "#c2255c"


@dataclass(frozen=True)
class Seen:
    """A view reduced to what a drawing needs."""

    label: str
    buffer: np.ndarray
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    def places(self) -> np.ndarray:
        """The place on the tape of every index, as an array of this shape."""
        places = np.full(self.shape, self.offset, dtype=np.int64)
        for dim, (size, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            steps = np.arange(size) * stride
            places += steps.reshape((-1,) + (1,) * (len(self.shape) - dim - 1))
        return places

    def heading(self) -> str:
        return f"shape {self.shape}  strides {self.strides}  offset {self.offset}"


def sum_text(view: Seen, mark: Sequence[int]) -> str:
    index = checked_mark(view, mark)
    terms = "".join(f" + {i}·{s}" for i, s in zip(index, view.strides, strict=True))
    place = int(view.places()[index])
    inside = ", ".join(map(str, index))
    return f"place[{inside}] = {view.offset}{terms} = {place}"


def checked_mark(view: Seen, mark: Sequence[int]) -> tuple[int, ...]:
    index = tuple(mark)
    inside = len(index) == len(view.shape) and all(
        0 <= i < size for i, size in zip(index, view.shape, strict=True)
    )
    if not inside:
        raise ValueError(f"mark must be an index of the first view: {index} is not in {view.shape}")
    return index


def fetched(view: Seen, line: int) -> tuple[int, int, int]:
    places = np.unique(view.places())
    lines = np.unique(places // line)
    return (
        places.size,
        lines.size,
        int(np.minimum(lines * line + line, view.buffer.size).sum() - (lines * line).sum()),
    )


def number(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:g}" if np.issubdtype(np.asarray(value).dtype, np.number) else str(value)


def _canvas(width: float, height: float, inches_per_unit: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * inches_per_unit, height * inches_per_unit))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)  # y grows downwards, as one writes a table
    axes.set_axis_off()
    return figure, axes


def _colours(count: int) -> list[tuple[float, ...]]:
    """Light, ordered colours: dark text stays readable on each of them."""
    from matplotlib import colormaps

    base = colormaps["viridis"](np.linspace(0.12, 0.9, max(count, 2)))[:, :3]
    return [tuple(0.48 * colour + 0.52) for colour in base]


def _box(axes: Any, x: float, y: float, colour: Any, edge: str = RULE, width: float = 0.8) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor=edge, linewidth=width))


class _Grid:
    """Where the cells of one view stand on the page."""

    def __init__(self, view: Seen, x: float, y: float) -> None:
        self.view, self.x, self.y = view, x, y
        shape = view.shape
        self.blocks, self.rows, self.columns = (1, 1, 1, *shape)[-3:]
        gap = 0.7 if self.blocks > 1 else 0
        self.step = self.columns + gap
        cells = max(self.blocks * self.step - gap, 1)  # room for "no elements" too
        self.width = max(cells, 0.148 * max(len(view.heading()), len(view.label)))
        self.height = max(self.rows, 1)

    def right(self) -> float:
        return self.x + self.blocks * self.step - (self.step - self.columns)

    def corner(self, index: tuple[int, ...]) -> tuple[float, float]:
        block, row, column = (0, 0, 0, *index)[-3:]
        return self.x + block * self.step + column, self.y + row


def tape_figure(
    seen: list[Seen],
    mark: Sequence[int] | None,
    path: bool,
    cells: Any,
    below: Sequence[Any] | None,
) -> Any:
    tape = seen[0].buffer
    margin, head, between = 0.35, 1.25, 1.1
    grids, x = [], margin
    for view in seen:
        grids.append(_Grid(view, x, head))
        x += grids[-1].width + between
    arcs = _arc_height(seen[-1]) if path else 0.0
    lower = max(grid.height for grid in grids) + head
    tape_y = lower + max(1.15, arcs + 0.5)
    width = max(x - between, tape.size + margin) + margin
    if mark is not None:  # its sum is written to the right of the first table
        width = max(width, grids[0].right() + 0.9 + 0.185 * len(sum_text(seen[0], mark)))
    tape_x = margin
    counts = np.zeros(tape.size, dtype=int)
    for view in seen:
        np.maximum(counts, np.bincount(view.places().ravel(), minlength=tape.size), out=counts)
    footed = below is not None or bool((counts > 1).any())
    figure, axes = _canvas(width, tape_y + 1.5 + (0.6 if footed else 0), min(0.5, 9.6 / width))
    scale = min(0.5, 9.6 / width) / 0.5
    colours = _colours(tape.size)

    for grid in grids:
        first = cells is not None and grid is grids[0]
        _draw_grid(axes, grid, colours, scale, np.asarray(cells) if first else None)
    for place, value in enumerate(tape):
        used = counts[place] > 0
        _box(axes, tape_x + place, tape_y, colours[place] if used else "white")
        axes.text(
            tape_x + place + 0.5,
            tape_y + 0.52,
            number(value),
            ha="center",
            va="center",
            fontsize=11 * scale,
            color=INK if used else FAINT,
        )
        axes.text(
            tape_x + place + 0.5,
            tape_y + 1.25,
            str(place),
            ha="center",
            va="center",
            fontsize=7.5 * scale,
            color=FAINT,
        )
        foot = number(below[place]) if below is not None and below[place] is not None else ""
        if below is None and counts[place] > 1:
            foot = f"×{counts[place]}"
        axes.text(
            tape_x + place + 0.5,
            tape_y + 1.75,
            foot,
            ha="center",
            va="center",
            fontsize=10 * scale,
            color=ACCENT,
            fontweight="bold",
        )
    if path:
        _draw_path(axes, seen[-1], tape_x, tape_y, arcs)
    if mark is not None:
        _draw_mark(axes, grids[0], mark, tape_x, tape_y, scale)
    return figure


def _draw_grid(
    axes: Any, grid: _Grid, colours: list[Any], scale: float, cells: np.ndarray | None
) -> None:
    view = grid.view
    axes.text(
        grid.x,
        grid.y - 0.85,
        view.label,
        ha="left",
        va="center",
        fontsize=11 * scale,
        color=INK,
        fontweight="bold",
    )
    axes.text(
        grid.x,
        grid.y - 0.33,
        view.heading(),
        ha="left",
        va="center",
        fontsize=8.5 * scale,
        color=INK,
        family="monospace",
    )
    places = view.places()
    if not places.size:
        axes.text(
            grid.x,
            grid.y + 0.5,
            "no elements",
            ha="left",
            va="center",
            color=FAINT,
            fontsize=9 * scale,
        )
    for index in np.ndindex(*view.shape):
        place = int(places[index])
        x, y = grid.corner(index)
        _box(axes, x, y, colours[place])
        axes.text(
            x + 0.5,
            y + 0.42,
            number(view.buffer[place] if cells is None else cells[index]),
            ha="center",
            va="center",
            fontsize=11 * scale,
            color=INK,
        )
        axes.text(
            x + 0.93,
            y + 0.84,
            str(place),
            ha="right",
            va="center",
            fontsize=6.5 * scale,
            color="#4a5160",
        )


def _draw_mark(
    axes: Any, grid: _Grid, mark: Sequence[int], tape_x: float, tape_y: float, scale: float
) -> None:
    index = checked_mark(grid.view, mark)
    x, y = grid.corner(index)
    place = int(grid.view.places()[index])
    _box(axes, x, y, "none", ACCENT, 2.2)
    _box(axes, tape_x + place, tape_y, "none", ACCENT, 2.2)
    axes.annotate(
        "",
        xy=(tape_x + place + 0.5, tape_y - 0.05),
        xytext=(x + 0.5, y + 1.02),
        arrowprops={
            "arrowstyle": "-|>",
            "color": ACCENT,
            "linewidth": 1.6,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )
    axes.text(
        grid.right() + 0.5,
        y + 0.5,
        sum_text(grid.view, mark),
        ha="left",
        va="center",
        fontsize=10.5 * scale,
        color=ACCENT,
        family="monospace",
    )


def _arc_height(view: Seen) -> float:
    visits = view.places().ravel().tolist()
    longest = max((abs(b - a) for a, b in pairwise(visits)), default=0)
    return min(0.8 + 0.16 * longest, 2.6)


def _draw_path(axes: Any, view: Seen, tape_x: float, tape_y: float, height: float) -> None:
    """Arcs from each visited place to the next, in the order of the index."""
    visits = view.places().ravel().tolist()
    longest = max((abs(b - a) for a, b in pairwise(visits)), default=1) or 1
    t = np.linspace(0, 1, 40)
    for a, b in pairwise(visits):
        if a == b:
            continue
        # Backward arcs rise higher and land a little to the right: no two lie on one another.
        rise = height * (0.15 + 0.5 * abs(b - a) / longest) * (1 if b > a else 1.5)
        xs = tape_x + (0.38 if b > a else 0.62) + a + (b - a) * t
        ys = tape_y - 0.08 - rise * 4 * t * (1 - t)
        axes.plot(
            xs,
            ys,
            color=INK if b > a else ACCENT,
            linewidth=1.2,
            linestyle="-" if b > a else (0, (4, 2)),
        )
        middle = 24 if b > a else 22
        axes.annotate(
            "",
            xy=(xs[middle], ys[middle]),
            xytext=(xs[middle - 2], ys[middle - 2]),
            arrowprops={"arrowstyle": "-|>", "color": INK if b > a else ACCENT},
        )


def lines_figure(seen: list[Seen], line: int) -> Any:
    from matplotlib.patches import Rectangle

    rows = -(-seen[0].buffer.size // line)
    margin, head, between = 1.0, 1.8, 2.4
    width = margin * 2 + len(seen) * line + (len(seen) - 1) * between
    inches = min(0.3, 9.6 / width)
    figure, axes = _canvas(width, head + rows * 1.25 + 1.6, inches)
    scale = inches / 0.25
    for position, view in enumerate(seen):
        x = margin + position * (line + between)
        used = set(np.unique(view.places()).tolist())
        touched = {place // line for place in used}
        axes.text(
            x, 0.75, view.label, fontsize=10 * scale, fontweight="bold", color=INK, va="center"
        )
        for row in range(rows):
            y = head + row * 1.25
            for column in range(min(line, view.buffer.size - row * line)):
                hit = row * line + column in used
                colour = "#2b8a8f" if hit else ("#f7c5d5" if row in touched else "#eef0f3")
                axes.add_patch(
                    Rectangle(
                        (x + column, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.8
                    )
                )
            axes.add_patch(
                Rectangle(
                    (x, y),
                    min(line, view.buffer.size - row * line),
                    1,
                    facecolor="none",
                    edgecolor=INK if row in touched else RULE,
                    linewidth=1.6 if row in touched else 0.6,
                )
            )
        count, lines, moved = fetched(view, line)
        noun = "line" if lines == 1 else "lines"
        axes.text(
            x,
            head + rows * 1.25 + 0.7,
            f"{count} used · {lines} {noun} · {moved} moved",
            fontsize=9 * scale,
            color=INK,
            va="center",
        )
    return figure
