"""`replay`: the warps of a GPU kernel's block, statement by statement, and the memory that they touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab import inspect
from tensorlab.cuda.jit import KernelReport, Touch, Trace, Watch
from tensorlab.inspect._words import count

from ._base import Instrument

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Replay", "replay"]

_KINDS = ("read", "write", "atomic")


class Replay(Instrument):
    """A kernel's launch, step by step. Made by `replay`; see there."""

    _bundle = "replay"

    def __init__(self, report: KernelReport, trace: Trace) -> None:
        super().__init__()
        self.report = report
        self._trace = trace

    # What is shown: see Instrument

    def _title(self) -> str:
        block = self._trace.index
        number = block[0] if block[1:] == (0, 0) else block
        return f"replay of block {number} of {self.report.kernel}"

    def _text(self) -> str:
        trace = self._trace
        more = "" if trace.complete else ", and there were more"
        about = f"{self._title()}: {count(len(trace.steps), 'step')} of {count(trace.warps, 'warp')}{more}"
        return f"{about}\n{self.report}"

    def _state(self) -> dict[str, Any]:
        trace = self._trace
        indent = min((len(x) - len(x.lstrip()) for x in trace.source if x.strip()), default=0)
        return {
            "title": self._title(),
            "threads": int(np.prod(trace.block)),
            "warps": trace.warps,
            "source": [line[indent:] for line in trace.source],
            "first": trace.first_line,
            "arrays": [
                {
                    "name": array.name,
                    "space": array.space,
                    "shape": list(array.shape),
                    "itemsize": np.dtype(array.dtype).itemsize,
                }
                for array in trace.arrays
            ],
            "steps": [
                [step.line, step.warp, step.active, step.what, [_packed(t) for t in step.touches]]
                for step in trace.steps
            ],
            "complete": trace.complete,
            "notes": [
                [line, finding.mark, f"{finding.kind}, {finding.message} → {finding.advice}"]
                for finding in self.report.findings
                for line in finding.lines
            ],
        }

    def _figure(self) -> Figure | None:
        return inspect.plot_kernel(self.report)


def _packed(touch: Touch) -> list[Any]:
    """A touch as the browser takes it: lanes as bits, and elements in even steps as their step."""
    lanes = sum(1 << lane for lane in touch.lanes)
    first = touch.elements[0]
    rest: int | Sequence[int] = [element - first for element in touch.elements]
    step = rest[1] if len(rest) > 1 else 0
    if list(rest) == [step * i for i in range(len(rest))]:
        rest = step
    return [touch.array, _KINDS.index(touch.kind), lanes, first, touch.parts, touch.ideal, rest]


def replay(launch: KernelReport | Watch) -> Replay:
    """Show what the warps of a block did, step by step: lines, active lanes, and the memory they touched.

    In Jupyter it is a live widget: play it, step through it (← →, also of one warp alone), or pull the
    slider. Elsewhere, and in a saved notebook, it is a picture and the report in words.

    Args:
        launch: the report of a launch in `with jit.watch(trace=True)`; of several the last one.

    Raises:
        TypeError: it is no report.
        ValueError: nothing was launched, or not traced.

    Example:
        >>> import tensorlab as tl
        >>> from tensorlab.cuda import jit
        >>> @jit.kernel
        ... def double(x):
        ...     i = jit.grid(1)
        ...     if i < len(x):
        ...         x[i] *= 2
        >>> with jit.watch(trace=True) as launches:
        ...     double[2, 64](tl.ones(100))
        >>> replay(launches)
        <replay of block 0 of double>
    """
    if isinstance(launch, Watch):
        if not launch:
            raise ValueError("replay: no kernel was launched while it was watched")
        launch = launch[-1]
    if not isinstance(launch, KernelReport):
        raise TypeError(
            f"replay expects the report of a launch (kernel.report, or what jit.watch gives), "
            f"got {type(launch).__name__}"
        )
    if launch.trace is None:
        raise ValueError(
            f"replay: the launch of {launch.kernel} was not traced: launch it in a "
            "with jit.watch(trace=True) as launches:"
        )
    return Replay(launch, launch.trace)
