"""The inspectors' results as matplotlib figures, for scripts and papers.

Every function returns a figure that is not pyplot's, so nothing has to be closed: `savefig` it, or
let a notebook show it. Its `alt_text` says in words what it shows, and is saved with it. The same
data gives the same picture. `ImportError` if matplotlib is not installed.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from tensorlab._tensor import Tensor
from tensorlab.inspect._figures import COLORS, INK, SETTINGS, STYLES, new_figure, plain
from tensorlab.inspect._words import alternative, count, duration, size
from tensorlab.inspect.autograd_graph import graph as read_graph
from tensorlab.inspect.description import describe
from tensorlab.inspect.graph_records import Graph, GraphNode
from tensorlab.inspect.layered import arrange

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tensorlab.inspect.gradient_recorder import GradientRecorder
    from tensorlab.inspect.memory_profiler import memory
    from tensorlab.inspect.profiler import profile

__all__ = ["plot_gradients", "plot_graph", "plot_memory", "plot_profile", "plot_tensor"]

#: More boxes than this nobody reads; the nodes nearest the output are drawn.
MOST_NODES = 200
#: More lines than this are told apart by nobody; the largest and smallest stand for the others.
MOST_LINES = 10

_F = TypeVar("_F", bound=Callable[..., Any])


def _own_settings(plot: _F) -> _F:
    """Draw with the settings of `_figures`, whatever the user's are."""

    @functools.wraps(plot)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        try:
            import matplotlib as mpl
        except ImportError:
            return plot(*args, **kwargs)  # which says what is missing
        with mpl.rc_context(
            {**mpl.rcParamsDefault, **SETTINGS, "backend": mpl.rcParams["backend"]}
        ):
            return plot(*args, **kwargs)

    return drawn  # type: ignore[return-value]


@_own_settings
def plot_graph(graph: Graph | Tensor, *, scale: float = 1.0) -> Figure:
    """Draw an autograd graph, data flowing downwards.

    Leaves have a thick left edge, operations are rounded, outputs framed twice: kinds differ without
    colour. Of a large graph the last 200 nodes are drawn, and the picture says so.

    graph: what `inspect.graph` returned, or a tensor that has a graph. scale: of the figure; 1 means
    letters of 9 points.

    >>> import tensorlab as tl
    >>> w = tl.ones(3, requires_grad=True)
    >>> plot_graph((w * w).sum()).alt_text
    'Autograd graph: 2 operations, 1 leaf, 12 B saved for backward.'
    """
    records = read_graph(graph) if isinstance(graph, Tensor) else graph
    if not isinstance(records, Graph):
        raise TypeError(f"plot_graph expects a Graph or a tensor, got {type(graph).__name__}")
    hidden = max(0, len(records.nodes) - MOST_NODES)
    nodes = list(records.nodes[hidden:])
    edges = [edge for edge in records.edges if edge.source >= hidden]
    box, rise, letter = 30.0, 24.0, 6.2
    labels = {node.index: _label(node) for node in nodes}

    def width(node: GraphNode) -> float:
        return max(letter * max(map(len, labels[node.index])) + 14, 60.0)

    items, paths = arrange(nodes, edges, width, 10.0)
    wide = max(item.x + item.width / 2 for item in items) + 10
    tall = (1 + max(item.layer for item in items)) * (box + rise) - rise
    note = f" The first {hidden} nodes are not drawn." if hidden else ""
    alt = f"Autograd graph: {alternative(records)}.{note}"
    figure = new_figure("plot_graph", scale * wide / 72, scale * (tall + 20) / 72, alt, None)
    axes: Any = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, wide), ylim=(tall + 10, -10))
    axes.axis("off")
    from matplotlib.patches import FancyBboxPatch, Rectangle

    for path in paths:
        xs, ys = [path[0].x], [path[0].layer * (box + rise) + box]
        for item in path[1:]:
            top = item.layer * (box + rise)
            xs += [item.x] if item.node is not None else [item.x, item.x]
            ys += [top] if item.node is not None else [top, top + box]
        axes.plot(xs, ys, color="#5f6b7a", linewidth=0.8 * scale, zorder=1)
        tip = {"arrowstyle": "-|>", "color": "#5f6b7a", "linewidth": 0, "mutation_scale": 9 * scale}
        axes.annotate("", (xs[-1], ys[-1]), (xs[-2], ys[-2]), arrowprops=tip, zorder=1)
    for item in items:
        node = item.node
        if node is None:
            continue
        x, y = item.x - item.width / 2, item.layer * (box + rise)
        fill = "#fff4d6" if node.is_leaf else "#e3f5e6" if node.is_output else "#eaf2fd"
        style = "square,pad=0" if node.is_leaf or node.is_output else "round,pad=0,rounding_size=6"
        frame = {"facecolor": fill, "edgecolor": INK, "linewidth": 0.8 * scale, "zorder": 2}
        axes.add_patch(FancyBboxPatch((x, y), item.width, box, boxstyle=style, **frame))
        if node.is_leaf:
            axes.add_patch(Rectangle((x, y), 3, box, facecolor=INK, zorder=3))
        elif node.is_output:
            inner = {**frame, "facecolor": "none"}
            axes.add_patch(Rectangle((x + 2, y + 2), item.width - 4, box - 4, **inner))
        name, shapes = labels[node.index]
        words = {"ha": "center", "va": "center", "color": INK, "zorder": 4}
        axes.text(item.x, y + 10, plain(name), fontsize=9 * scale, weight="bold", **words)
        axes.text(item.x, y + 21, shapes, fontsize=7 * scale, **words)
    if hidden:
        axes.text(5, -4, note.strip(), fontsize=8 * scale, color=INK)
    return figure


def _label(node: GraphNode) -> tuple[str, str]:
    name = node.label or (node.name if node.is_leaf else node.op)
    shapes = " | ".join(str(tuple(shape)) for shape in node.shapes)
    return (name if len(name) <= 30 else f"…{name[-29:]}"), (
        shapes if len(shapes) <= 34 else f"{shapes[:33]}…"
    )


@_own_settings
def plot_gradients(recorder: GradientRecorder) -> Figure:
    """Draw what `inspect.gradients` recorded: gradient norms, update-to-weight ratios and the loss.

    Norms are those before clipping, on a logarithmic scale. Of many parameters, those with the
    largest and the smallest norms are drawn. Flags stand below.

    Raises `ValueError` if no step was recorded.
    """
    steps = recorder.steps
    if not len(steps):
        raise ValueError("nothing was recorded yet: train for a step with the recorder in place")
    norms, ratios = recorder.series("raw_norm"), recorder.series("update_ratio")
    flags = recorder.flags()
    shown = _shown_columns(norms)
    last = [float(row) for row in norms[-1] if np.isfinite(row)]
    span = f"between {min(last):.2g} and {max(last):.2g}" if last else "not known"
    alt = (
        f"Gradients of {count(len(recorder.names), 'parameter')} over {recorder.count} steps: "
        f"at the end their norms lie {span}. "
        + (" ".join(flag.reason for flag in flags) if flags else "Nothing is flagged.")
    )
    height = 6.0 + 0.3 * len(flags)
    figure = new_figure("plot_gradients", 7.0, height, alt)
    line: Any = {"linewidth": 1.1, "marker": ".", "markersize": 3}
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1.5))
    for axes, series, title in (
        (upper, norms, "gradient norm"),
        (middle, ratios, "update / weight norm"),
    ):
        for place, column in enumerate(shown):
            values = np.where(series[:, column] > 0, series[:, column], np.nan)
            color, style = COLORS[place % len(COLORS)], STYLES[place // len(COLORS) % len(STYLES)]
            axes.plot(
                steps, values, style, color=color, **line, label=plain(recorder.names[column])
            )
        if np.nansum(series[:, shown]) > 0:
            axes.set_yscale("log")
        axes.set_ylabel(title)
    left = len(recorder.names) - len(shown)
    title = f"{left} more parameters lie between" if left else None
    upper.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, title=title, title_fontsize=7
    )
    lower.plot(steps, recorder.losses, color=INK, **line)
    lower.set(ylabel="loss", xlabel="step")
    for axes in (upper, middle, lower):
        axes.grid(alpha=0.3)
    if flags:
        words = "\n".join(_wrapped(f"{flag.kind}: {flag.reason}", 100) for flag in flags)
        figure.supxlabel(plain(words), fontsize=7, x=0.01, ha="left")
    return figure


def _shown_columns(norms: np.ndarray) -> list[int]:
    """The parameters to draw: all, or those with the largest and the smallest typical norms."""
    count = norms.shape[1]
    if count <= MOST_LINES:
        return list(range(count))
    typical = np.array(
        [np.median(col[np.isfinite(col)]) if np.isfinite(col).any() else -1.0 for col in norms.T]
    )
    order = np.argsort(typical, kind="stable")
    half = MOST_LINES // 2
    return sorted([*order[:half].tolist(), *order[-half:].tolist()])


def _wrapped(text: str, width: int) -> str:
    return "\n    ".join(textwrap.wrap(text, width))


@_own_settings
def plot_profile(profile: profile, *, by: Literal["op", "module"] = "op", top: int = 15) -> Figure:
    """Draw where the time of an `inspect.profile` went: a bar per operation or module, the slowest first.

    by: "op" or "module". top: how many bars.

    Raises `ValueError` for another `by`, or if nothing ran.
    """
    if by not in ("op", "module"):
        raise ValueError(f"by must be 'op' or 'module', got {by!r}")
    rows = profile.by_op() if by == "op" else profile.by_module()
    if not rows:
        raise ValueError("no operation ran in this profile")
    whole = sum(row.seconds for row in rows)
    alt = (
        f"{duration(whole)} in {count(sum(row.calls for row in rows), 'call')} of {count(len(rows), by)}; "
        f"the slowest is {rows[0].name} with {duration(rows[0].seconds)}, {rows[0].seconds / (whole or 1):.0%}."
    )
    drawn = rows[:top][::-1]
    figure = new_figure("plot_profile", 7.0, 1.2 + 0.28 * len(drawn), alt)
    axes = figure.subplots()
    names = [plain(row.name) for row in drawn]
    forward = np.array([row.forward_seconds for row in drawn]) * 1e3
    backward = np.array([row.backward_seconds for row in drawn]) * 1e3
    axes.barh(names, forward, color=COLORS[0], label="forward")
    axes.barh(
        names,
        backward,
        left=forward,
        color=COLORS[5],
        hatch="///",
        edgecolor="white",
        label="backward",
    )
    for place, row in enumerate(drawn):
        axes.text(
            (forward + backward)[place],
            place,
            f" {row.calls} ×",
            va="center",
            fontsize=7,
            color=INK,
        )
    axes.set_xlabel(
        "milliseconds" + (f" ({len(rows) - top} more not shown)" if len(rows) > top else "")
    )
    axes.margins(x=0.12)
    axes.legend(loc="lower right", fontsize=7)
    axes.grid(axis="x", alpha=0.3)
    return figure


@_own_settings
def plot_memory(memory: memory) -> Figure:
    """Draw an `inspect.memory`: the bytes in use over time, and what they were at the peak."""
    seconds, live = memory.timeline()
    rows = memory.rows("kind", "peak")
    largest = f"; at the peak most is {rows[0].name} ({size(rows[0].bytes)})" if rows else ""
    alt = (
        f"Tensor memory over {duration(memory.seconds)}: from {size(memory.base)} up to {size(memory.peak)}, "
        f"{size(memory.live)} at the end{largest}."
    )
    figure = new_figure("plot_memory", 7.0, 3.2, alt)
    left, right = figure.subplots(1, 2, width_ratios=(3, 1.4))
    unit, word = _unit(memory.peak)
    ms = np.append(seconds, max(memory.seconds, seconds[-1])) * 1e3
    left.step(ms, np.append(live, live[-1]) / unit, where="post", color=COLORS[0], linewidth=1.1)
    left.fill_between(
        ms, np.append(live, live[-1]) / unit, step="post", alpha=0.15, color=COLORS[0]
    )
    if 0 <= memory.peak_event < len(memory.events):
        at = memory.events[memory.peak_event].seconds * 1e3
        left.plot([at], [memory.peak / unit], "v", color=COLORS[1])
        place = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
        left.annotate(f"peak {size(memory.peak)}", (at, memory.peak / unit), (0, 6), **place)
    left.set(xlabel="milliseconds", ylabel=word, ylim=(0, 1.15 * max(memory.peak, 1) / unit))
    left.grid(alpha=0.3)
    drawn = rows[:8][::-1]
    right.barh([row.name for row in drawn], [row.bytes / unit for row in drawn], color=COLORS[2])
    right.set(xlabel=word, title="at the peak")
    right.grid(axis="x", alpha=0.3)
    return figure


def _unit(largest: int) -> tuple[int, str]:
    for power, word in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if largest >= 1024**power:
            return 1024**power, word
    return 1, "bytes"


@_own_settings
def plot_tensor(tensor: Tensor, *, index: Sequence[int] | None = None) -> Figure:
    """Draw a tensor: its last two dimensions as a heat map, and a histogram of all its values.

    Colours run over the finite values, symmetric around 0 when there are both signs; what is nan or
    infinite is drawn in grey and counted in the title. Large planes are shown as means of blocks.

    index: which plane of a tensor with more than two dimensions, the first by default: one number
    for each dimension before the last two.

    Raises `TypeError` for anything but a tensor, `ValueError` for an empty one, `IndexError` for a
    wrong index.

    >>> import tensorlab as tl
    >>> plot_tensor(tl.tensor([[1.0, -2.0], [3.0, 4.0]])).alt_text
    'Tensor of shape [2, 2], float32: values from -2 to 4, mean 1.5.'
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"plot_tensor expects a tensor, got {type(tensor).__name__}")
    if tensor.numel() == 0:
        raise ValueError(f"this tensor is empty: its shape is {list(tensor.shape)}")
    leading = max(tensor.ndim - 2, 0)
    chosen = (0,) * leading if index is None else tuple(index)
    if len(chosen) != leading:
        raise IndexError(
            f"index needs {leading} numbers for shape {list(tensor.shape)}, got {list(chosen)}"
        )
    found = describe(tensor.detach()[chosen] if leading else tensor, cells=(64, 64))
    whole = describe(tensor, bins=40)
    bad = whole.nan + whole.infinite
    if whole.minimum is None:
        values = "no finite value"
    else:
        values = f"values from {whole.minimum:.4g} to {whole.maximum:.4g}, mean {whole.mean:.4g}"
    problem = f", {count(bad, 'value')} nan or infinite" if bad else ""
    alt = f"Tensor of shape {list(tensor.shape)}, {whole.dtype}: {values}{problem}."
    figure = new_figure("plot_tensor", 7.0, 3.2, alt)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    grid = np.array([[np.nan if v is None else v for v in row] for row in found.grid], float)
    low = np.nanmin(grid) if np.isfinite(grid).any() else 0.0
    high = np.nanmax(grid) if np.isfinite(grid).any() else 1.0
    both = low < 0 < high
    limit = max(-low, high)
    from matplotlib import colormaps

    colors = colormaps["RdBu_r" if both else "viridis"].with_extremes(bad="#999999")
    picture = left.imshow(
        np.ma.masked_invalid(grid),
        cmap=colors,
        vmin=-limit if both else low,
        vmax=limit if both else high,
        aspect="auto" if max(grid.shape) > 8 * min(grid.shape) else "equal",
        interpolation="nearest",
    )
    figure.colorbar(picture, ax=left)
    plane = f"x[{', '.join(map(str, chosen))}, :, :]" if leading else "x"
    block = found.grid_block
    left.set_title(plane + (f", means of {block[0]} × {block[1]}" if block != (1, 1) else ""))
    left.set(xticks=[], yticks=[])
    if whole.counts:
        right.stairs(whole.counts, whole.edges, fill=True, color=COLORS[0], alpha=0.8)
    right.set(
        xlabel="value", ylabel="count", title=f"{bad:,} nan or infinite" if bad else "all values"
    )
    right.grid(alpha=0.3)
    return figure
