"""`%%tensorlab kernel`: what the GPU kernels of a cell did, and what is wrong with them."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from collections.abc import Iterator

from IPython.core.error import UsageError

from tensorlab.cuda import jit
from tensorlab.cuda.jit import Finding, KernelReport

from .notebook import Notebook
from .report import Block, Items, Paragraph, Report, State, Table

__all__ = ["kernel"]

_STATES = {"error": State.BAD, "advice": State.WARN, "note": State.OPEN}


def kernel(notebook: Notebook, args: Namespace, body: str) -> Iterator[object]:
    """Run a cell's body with the simulator watching, and report every launch in it."""
    __tracebackhide__ = True
    replay = args.replay is not None
    if replay and importlib.util.find_spec("tensorlab_widgets") is None:
        raise UsageError(
            "kernel --replay needs the package tensorlab_widgets, which comes with the course: "
            'pip install -e ".[lab]". Without it, launches[0].trace of jit.watch(trace=True) has the steps'
        )
    try:
        with jit.watch(trace=args.replay, seed=args.seed) as launches:
            # In place of the line of the magic another one: so numbers of lines are the cell's.
            notebook.run("#\n" + body)
    except IndexError as error:
        if str(error).startswith("trace="):
            raise UsageError(f"kernel --replay {args.replay}: {error}") from None
        raise
    if not launches:
        yield Report(
            "The cell launched no kernel: nothing to report. A launch is kernel[blocks, threads](…).",
            state=State.WARN,
        )
        return
    for number, launch in enumerate(launches):
        yield _report(launch, f"launch {number + 1}: " if len(launches) > 1 else "")
    if replay:
        # Not a dependency of tensorlab: the widgets are a package of their own.
        from tensorlab_widgets import replay as shown

        yield shown(launches[-1])


def _report(launch: KernelReport, prefix: str) -> Report:
    blocks: list[Block] = [
        Paragraph(launch.verdict()[2:] + ".", State.GOOD if launch.ok else State.BAD)
    ]
    if launch.stopped:
        blocks.append(Paragraph(f"Stopped: {launch.stopped}.", State.BAD))
    if launch.findings:
        blocks.append(Items([(_STATES[f.severity], _words(f)) for f in launch.findings]))
    if launch.accesses:
        heading, *rows = launch.table()
        blocks.append(Table(heading, rows, right=frozenset({0, 2, 3, 4, 5, 6})))
    blocks.append(Table(("what", "how much"), launch.summary()))
    return Report(prefix + launch.title(), blocks)


def _words(finding: Finding) -> str:
    return (
        f"{finding.kind}, line {finding.line}: {finding.message}\n"
        f"    {finding.line} | {finding.source}\n→ {finding.advice}"
    )
