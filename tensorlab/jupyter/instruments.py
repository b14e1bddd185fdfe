"""The instruments: `%tensorlab seed`, `doctor`, `graph`, `summary` and `%%tensorlab profile`."""

from __future__ import annotations

import random
from argparse import Namespace
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from IPython.core.error import UsageError

import tensorlab
from tensorlab import inspect
from tensorlab._files import write_text
from tensorlab.inspect import OUTSIDE, ModuleRow, ProfileRow
from tensorlab.inspect._words import duration, size

from . import graph_svg
from .graph_view import live_graph
from .notebook import Notebook
from .report import Code, Items, Markup, Paragraph, Report, State, Table, escape

__all__ = ["doctor", "graph", "profile", "seed", "summary"]


def seed(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """Seed the three sources of random numbers that a lesson uses."""
    if args.number >= 2**32:
        raise UsageError(f"seed: NumPy takes seeds below 2**32, got {args.number}")
    random.seed(args.number)
    np.random.seed(args.number)
    tensorlab.manual_seed(args.number)
    yield Report.of_text(
        f"Random numbers of Python, NumPy and tensorlab now start from seed {args.number}."
    )


def doctor(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """Show what `tensorlab doctor` finds."""
    from tensorlab import _doctor

    states = {"ok": State.GOOD, "note": State.WARN, "problem": State.BAD}
    findings = _doctor.examine()
    items = [
        (
            states[finding.state],
            f"{finding.name}: {finding.text}" + (f"\n→ {finding.remedy}" if finding.remedy else ""),
        )
        for finding in findings
    ]
    if _doctor.healthy(findings):
        yield Report(
            "Healthy: nothing stands in the way of the course.", [Items(items)], State.GOOD
        )
    else:
        yield Report("Not healthy: see what is marked ✗.", [Items(items)], State.BAD)


#: The last cell that was timed: `graph --time` colours what was made in it.
_profiles: deque[inspect.profile] = deque(maxlen=1)


def graph(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """Draw the graph behind an expression; live where that can be."""
    expression = " ".join(args.expression)
    measured = inspect.profile(names=notebook.models()) if args.time else None
    # What the expression itself computes is known with its modules and lines.
    with inspect.recording(), measured or nullcontext():
        value = notebook.evaluate(expression)
    try:
        records = inspect.graph(value, params=notebook.tensor_names(), profile=measured)
        if args.time and not _timed(records):
            # Made before, by a cell that was timed?
            measured = _profiles[-1] if _profiles else None
            records = inspect.graph(value, params=notebook.tensor_names(), profile=measured)
    except (TypeError, ValueError) as error:
        raise UsageError(f"graph {expression}: {error}") from None
    if args.time and not _timed(records):
        raise UsageError(
            f"graph --time: no operation behind {expression!r} ran while it was timed. Write the expression "
            "that computes it, as in %tensorlab graph model(x).sum() --time, or compute it in a cell that "
            "begins with %%tensorlab profile"
        )
    title = f"Autograd graph of {expression}"
    picture = graph_svg.svg(records, title)
    words = graph_svg.outline(records)
    notes: list[Paragraph] = []
    if records.freed:
        notes.append(
            Paragraph(
                "backward() has run and freed what the operations had saved; the structure is left.",
                State.WARN,
            )
        )
    if args.time:
        notes.append(Paragraph(_slowest(records)))
    if args.save:
        notes.append(Paragraph(f"Saved as {_save(args.save, '.svg', picture)}."))
    # The picture's label stands for it; the details give every node in words.
    figure = (
        '<figure><div class="tl-scroll tl-picture" tabindex="0" role="region" '
        f'aria-label="{escape(title)}">{picture}</div></figure>'
        "<details><summary>The same in words</summary>"
        f"{Code(words, 'the graph in words').html()}</details>"
    )
    report = Report(
        title, [Paragraph(graph_svg.alternative(records) + "."), *notes, Markup(figure, words)]
    )
    live = live_graph(notebook, value, title, str(report), measured)
    if live is None:
        yield report
        return
    if args.save:  # the picture was written; the widget shows the rest
        yield Report.of_text(notes[-1].text())
    yield live


def _timed(records: inspect.Graph) -> bool:
    return any(node.forward_seconds is not None for node in records.nodes)


def _slowest(records: inspect.Graph, most: int = 3) -> str:
    """How long the operations took together, and which of them took longest."""
    times = [
        ((node.forward_seconds or 0.0) + (node.backward_seconds or 0.0), node)
        for node in records.nodes
    ]
    times.sort(key=lambda each: (-each[0], each[1].index))
    named = ", ".join(
        f"{node.op} (#{node.index}) {duration(seconds)}"
        for seconds, node in times[:most]
        if seconds
    )
    return (
        f"The operations took {duration(sum(seconds for seconds, _ in times))}; longest: {named}."
    )


def summary(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """List the layers of a model."""
    model = notebook.evaluate(args.model)
    inputs = [notebook.evaluate(each) for each in args.inputs]
    for text, value in zip(args.inputs, inputs, strict=True):
        if type(value) is int:
            raise UsageError(
                f"summary: {text} is a number; write the shape of a batch as a tuple, such as (1,{text})"
            )
    try:
        found = inspect.summary(model, *inputs)
    except (TypeError, RuntimeError) as error:
        raise UsageError(f"summary {args.model}: {' '.join(str(error).split())}") from None
    table = Table(
        ("module", "output shape", "parameters", "trainable", "parameter memory", "output memory"),
        [_summary_row(row, args.model) for row in found.rows],
        right=frozenset({2, 3, 4, 5}),
        total=(
            "total",
            "",
            f"{found.parameters:,}",
            f"{found.trainable:,}",
            size(found.parameter_bytes),
            size(found.output_bytes),
        ),
    )
    shapes = ", ".join(str(shape) for shape in found.input_shapes)
    notes = [Paragraph(f"Input {shapes}, {size(found.input_bytes)}.")]
    if any(row.shares_parameters for row in found.rows):
        notes.append(Paragraph("Shared parameters are counted where they come first.", State.WARN))
    yield Report(f"Summary of {args.model}", [*notes, table])


def _summary_row(row: ModuleRow, model: str) -> tuple[str, ...]:
    short = row.name.rpartition(".")[2] or model
    times = f" ×{row.calls}" if row.calls > 1 else ""
    shapes = " | ".join(str(shape) for shape in row.output_shapes)
    return (
        f"{'  ' * row.depth}{short} ({row.type}){times}",
        shapes if row.calls else "not called",
        f"{row.parameters:,}" if row.parameters else "–",
        f"{row.trainable:,}" if row.trainable else "–",
        size(row.parameter_bytes) if row.parameter_bytes else "–",
        size(row.output_bytes) if row.output_bytes else "–",
    )


def profile(notebook: Notebook, args: Namespace, body: str) -> Iterator[object]:
    """Run a cell's body and show where its time went."""
    __tracebackhide__ = True
    with inspect.profile(names=notebook.models()) as measured:
        notebook.run(body)
    _profiles.append(measured)
    rows = measured.by_op() if args.by == "op" else measured.by_module()
    if not rows:
        yield Report("The cell ran no operations of tensorlab: nothing to show.", state=State.WARN)
        return
    in_ops = sum(row.seconds for row in rows)
    total = ProfileRow(
        "total",
        sum(row.forward_calls for row in rows),
        sum(row.forward_seconds for row in rows),
        sum(row.backward_calls for row in rows),
        sum(row.backward_seconds for row in rows),
        sum(row.forward_bytes for row in rows),
        sum(row.backward_bytes for row in rows),
    )
    rows.sort(key=_ORDERS[args.sort])
    table = Table(
        (args.by, "calls", "forward", "backward", "total", "share", "new memory"),
        [_profile_row(row, in_ops) for row in rows[: args.top]],
        right=frozenset(range(1, 7)),
        total=_profile_row(total, in_ops),
    )
    notes = [
        Paragraph(f"{duration(in_ops)} of {duration(measured.seconds)} were spent in operations.")
    ]
    if len(rows) > args.top:
        notes.append(Paragraph(f"{len(rows) - args.top} more rows: --top {len(rows)} shows them."))
    if args.by == "module" and any(row.name == OUTSIDE for row in rows):
        notes.append(Paragraph(f"{OUTSIDE} are operations that no module called, such as a loss."))
    if args.trace:
        path = _save(args.trace, ".json", measured.chrome_trace())
        missing = f" The last {measured.dropped:,} events did not fit." if measured.dropped else ""
        notes.append(Paragraph(f"Trace saved as {path}: open it in ui.perfetto.dev.{missing}"))
    yield Report(f"Profile by {args.by}", [table, *notes])


_ORDERS = {
    "time": lambda row: (-row.seconds, row.name),
    "memory": lambda row: (-row.bytes, row.name),
    "calls": lambda row: (-row.calls, row.name),
    "name": lambda row: row.name,
}


def _profile_row(row: ProfileRow, whole: float) -> tuple[str, ...]:
    share = row.seconds / whole if whole else 0.0
    return (
        row.name,
        f"{row.calls:,}",
        duration(row.forward_seconds) if row.forward_calls else "–",
        duration(row.backward_seconds) if row.backward_calls else "–",
        duration(row.seconds),
        f"{share:.0%}",
        size(row.bytes) if row.bytes else "–",
    )


def _save(name: str, ending: str, text: str) -> Path:
    path = Path(name).expanduser()
    if path.suffix != ending:
        raise UsageError(f"{name}: the file's name must end in {ending}")
    try:
        return write_text(path, text)
    except OSError as error:
        raise UsageError(f"could not write {name}: {error.strerror or error}") from None
