"""The form that stays: plain HTML and text, which need no kernel, no widget and no trust."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from . import _format
from ._history import spark_path
from ._row import Metric, Row

SPARK_WIDTH, SPARK_HEIGHT = 72, 14
_SIGNS = {"running": "…", "done": "✓", "stopped": "■", "ended": "–", "interrupted": "✗"}
_LABEL = "flex:none;box-sizing:border-box;min-width:9em;margin-right:12px"
_SIGN = "display:inline-block;width:1.2em"
_MUTED = "color:var(--jp-ui-font-color2,inherit)"


def text(rows: Sequence[Row]) -> str:
    """One line for the loop, an indented one for each loop nested in it. No times."""
    lines = [f"{_SIGNS[rows[0].status]} {rows[0].text()}"]
    lines += [f"    {row.text()}" for row in rows[1:]]
    return "\n".join(lines)


def html(rows: Sequence[Row], *, times: bool) -> str:
    """The same with a bar and curves. `times` adds duration and throughput.

    Colours are the theme's where there is one, else those of the page around it.
    """
    body = "".join(_row(row, nested=i > 0, times=times) for i, row in enumerate(rows))
    return (
        '<div style="font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums;'
        f'padding:4px 0;color:var(--jp-ui-font-color1,inherit)">{body}</div>'
    )


def _row(row: Row, *, nested: bool, times: bool) -> str:
    fraction = 1.0 if not row.total else min(row.n / row.total, 1.0)
    if nested:
        label = f'<span style="{_LABEL};padding-left:2.4em">{escape(row.label)}</span>'
    else:
        sign = f'<span aria-hidden="true" style="{_SIGN}">{_SIGNS[row.status]}</span>'
        label = f'<span style="{_LABEL}">{sign}<strong>{escape(row.label)}</strong></span>'
    cells = [
        f"<span>{_track(fraction)}{escape(row.count())}</span>",
        *(_metric(name, metric) for name, metric in row.metrics.items()),
    ]
    if times and not nested:
        spent = _format.duration(row.elapsed)
        if row.throughput:
            spent += f", {_format.rate(row.throughput)}"
        if row.status == "running":  # kept by a notebook whose kernel went away in the middle of it
            spent += ", still running"
        cells.append(f'<span style="{_MUTED}">{spent}</span>')
    return (
        f'<div style="display:flex;align-items:baseline">{label}'
        '<span style="display:flex;flex-wrap:wrap;gap:0 18px;flex:1">'
        + "".join(cells)
        + "</span></div>"
    )


def _track(fraction: float) -> str:
    return (
        '<span aria-hidden="true" style="display:inline-block;width:72px;height:6px;'
        "margin-right:8px;vertical-align:middle;border-radius:3px;overflow:hidden;"
        'border:1px solid var(--jp-border-color1,currentColor)">'
        f'<span style="display:block;height:100%;width:{fraction * 100:.0f}%;'
        'background:var(--jp-brand-color1,currentColor)"></span></span>'
    )


def _metric(name: str, metric: Metric) -> str:
    warning = "⚠ " if metric.bad else ""
    points = metric.history.points() if metric.history else []
    path = spark_path(points, SPARK_WIDTH, SPARK_HEIGHT) if len(points) > 1 else ""
    curve = (
        f'<svg aria-hidden="true" width="{SPARK_WIDTH + 4}" height="{SPARK_HEIGHT + 4}" '
        f'viewBox="-2 -2 {SPARK_WIDTH + 4} {SPARK_HEIGHT + 4}" style="vertical-align:middle">'
        f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.5" '
        'stroke-linecap="round" stroke-linejoin="round"/></svg>'
        if path
        else ""
    )
    label = f'<span style="{_MUTED}">{escape(name)}</span>'
    return f"<span>{label} <strong>{warning}{escape(metric.text)}</strong> {curve}</span>"
