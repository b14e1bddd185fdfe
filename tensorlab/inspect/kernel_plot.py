"""A launch of a GPU kernel as a picture: what each warp did when, and what memory traffic cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorlab.cuda.jit.report import Access, KernelReport
from tensorlab.inspect._figures import COLORS, new_figure, plain
from tensorlab.inspect._words import count
from tensorlab.inspect.plots import _own_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tensorlab.cuda.jit.trace import Trace

__all__ = ["plot_kernel"]

#: More accesses than this are not read; those that cost most are drawn.
_MOST_ACCESSES = 12
_KINDS = (("read", "o", COLORS[0]), ("write", "s", COLORS[1]), ("atomic", "D", COLORS[2]))


@_own_settings
def plot_kernel(report: KernelReport) -> Figure:
    """Draw a launch that `tensorlab.cuda.jit` has simulated.

    One bar for each access to memory: sectors of 32 bytes (wavefronts, for shared memory), the part that
    was needed filled and what was wasted hatched. If the launch was traced (`jit.watch(trace=True)`),
    above it the warps of the block over the steps: when each ran, and when it read and wrote.

    Raises:
        TypeError: it is no report. ImportError: matplotlib is missing.

    >>> import tensorlab as tl
    >>> from tensorlab.cuda import jit
    >>> @jit.kernel
    ... def spread(x, out):
    ...     i = jit.grid(1)
    ...     out[i] = x[8 * i]
    >>> spread[1, 32](tl.ones(256), tl.zeros(32))
    >>> plot_kernel(spread.report).alt_text
    'spread[1, 32]: no errors, 1 hint about speed. 36 sectors of global memory, 8 of them needed.'
    """
    if not isinstance(report, KernelReport):
        raise TypeError(
            f"plot_kernel expects the report of a kernel's launch, got {type(report).__name__}"
        )
    trace = report.trace
    accesses = sorted(report.accesses, key=lambda a: -a.parts)[:_MOST_ACCESSES]
    accesses.sort(key=lambda a: a.line, reverse=True)
    bars = 0.7 + 0.28 * max(len(accesses), 1)
    lanes = 0.9 + 0.22 * min(trace.warps, 32) if trace is not None and trace.steps else 0.0
    figure = new_figure("plot_kernel", 7.0, bars + lanes, _alternative(report))
    if trace is None or not lanes:
        axes: Any = figure.subplots()
    else:
        timeline, axes = figure.subplots(2, 1, height_ratios=(lanes, bars))
        _draw_timeline(timeline, trace)
    _draw_accesses(axes, accesses)
    return figure


def _alternative(report: KernelReport) -> str:
    c = report.counts
    traced = "" if report.trace is None else f", {count(len(report.trace.steps), 'step')} traced"
    shared = (
        f" {c.wavefronts:,} wavefronts of shared memory, {c.bank_conflicts:,} for bank conflicts."
        if c.wavefronts
        else ""
    )
    title = report.title().partition(":")[0]
    return (
        f"{title}: {report.verdict()[2:]}{traced}. {c.sectors:,} sectors of global memory, "
        f"{c.ideal_sectors:,} of them needed.{shared}"
    )


def _draw_accesses(axes: Any, accesses: list[Access]) -> None:
    rows = range(len(accesses))
    axes.barh(rows, [a.ideal for a in accesses], color=COLORS[4], label="needed")
    axes.barh(
        rows,
        [a.parts - a.ideal for a in accesses],
        left=[a.ideal for a in accesses],
        color="white",
        edgecolor=COLORS[1],
        hatch="///",
        label="wasted",
    )
    axes.set_yticks(rows, [plain(_label(a)) for a in accesses])
    axes.set(xlabel="sectors of 32 bytes; for shared memory, wavefronts")
    axes.margins(y=0.02)
    axes.grid(axis="x", alpha=0.3)
    if any(a.parts > a.ideal for a in accesses):
        axes.legend(loc="best", fontsize=8)


def _label(access: Access) -> str:
    text = access.text if len(access.text) <= 34 else access.text[:33] + "…"
    return f"{access.line}: {text if access.kind == 'atomic' else f'{access.kind} {text}'}"


def _draw_timeline(axes: Any, trace: Trace) -> None:
    """A dot for each step of a warp, a mark where it touches memory, a line at each barrier."""
    ran = [(i, step.warp) for i, step in enumerate(trace.steps) if step.warp >= 0]
    axes.plot(*zip(*ran, strict=True), ".", color="#9aa4b0", markersize=2)
    for kind, marker, color in _KINDS:
        for space, filled in (("global", True), ("shared", False)):
            found = [
                (i, step.warp)
                for i, step in enumerate(trace.steps)
                for touch in step.touches
                if touch.kind == kind and trace.arrays[touch.array].space == space
            ]
            if found:
                axes.plot(
                    *zip(*found, strict=True),
                    marker,
                    markersize=3.5,
                    color=color,
                    fillstyle="full" if filled else "none",
                    label=f"{kind} {space}",
                )
    for i, step in enumerate(trace.steps):
        if step.warp < 0:
            axes.axvline(i, color="#222222", linewidth=0.8, linestyle=":")
    axes.set(ylabel="warp", xlabel="step (dotted: a barrier opens)")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.invert_yaxis()
    axes.margins(y=0.12)
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(fontsize=7, ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
