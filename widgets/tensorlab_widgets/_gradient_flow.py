"""`gradients`: how gradients flow through a model's layers over a training run, live and afterwards."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab import inspect
from tensorlab.inspect._words import count
from tensorlab.inspect.health import ENOUGH
from tensorlab.nn import Module
from tensorlab.optim.optimizer import register_optimizer_step_post_hook

from ._base import Instrument
from ._display import live_widgets
from ._gradient_runs import Run, SavedRun, packed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["GradientFlow", "gradients"]

#: Reading a recording may take this share of the time, and happens at most so often in a second.
BUDGET, RATE = 0.02, 4.0
MOST_ROWS = 30


class GradientFlow(Instrument):
    """What `gradients` returns; see there.

    Attributes:
        recorder: the `inspect.GradientRecorder` of this run; None if it was given as a dict.
    """

    _bundle = "gradients"

    def __init__(
        self, run: Run, other: Run | None, labels: tuple[str, str], *, owned: bool
    ) -> None:
        super().__init__()
        self._run, self._other, self._labels = run, other, labels
        self._owned = owned
        self._next = 0.0
        self._hooks: list[Any] = []
        self.recorder = run if isinstance(run, inspect.GradientRecorder) else None

    # What a user uses

    def show(self) -> None:
        """Show it in a notebook. While a model trains it follows, in whichever cell."""
        super().show()
        if self.live:
            self._follow()

    def update(self) -> None:
        """Draw what was recorded by now; needed only where no optimizer of tensorlab makes the steps."""
        self.push(now=True)

    def remove(self) -> None:
        """Stop recording: all hooks go from the model and the optimizers; the widget stays."""
        self._unhook()
        if self.recorder is not None and self._owned:
            self.recorder.remove()
        self.push(now=True)

    def flags(self) -> list[inspect.Flag]:
        """What looks wrong now, the gravest first; see `inspect.Flag`."""
        return self._run.flags()

    def __enter__(self) -> GradientFlow:
        if live_widgets():
            self.show()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # What is shown: see Instrument

    def _title(self) -> str:
        return "gradient flow"

    def __repr__(self) -> str:
        return f"<gradient flow of {count(len(self._run.names), 'parameter')}>"

    def _text(self) -> str:
        lines = []
        for run, label in self._runs():
            steps = len(run.steps)
            title = f"Gradient flow{f' of {label}' if self._other is not None else ''}"
            lines.append(
                f"{title}: {count(len(run.names), 'parameter')}, {count(run.count, 'step')}"
            )
            if not steps:
                lines.append("    Nothing is recorded yet: train for a step.")
                continue
            lines += _table(run)
            flags = run.flags()
            lines += [f"    ⚠ {f.kind}: {f.reason} {f.suggestion}" for f in flags]
            if not flags:
                early = "Too early to judge: few steps were looked at."
                lines.append(f"    {early if steps < ENOUGH else 'Nothing is flagged.'}")
        return "\n".join(lines)

    def _state(self) -> dict[str, Any]:
        return {
            "runs": [packed(run, label) for run, label in self._runs()],
            "watching": self.recorder is not None and not self.recorder.removed,
        }

    def _figure(self) -> Figure | None:
        if self._other is not None and len(self._run.steps) and len(self._other.steps):
            return _comparison(self._runs())
        # A saved run has all that is drawn of a recorder.
        return inspect.plot_gradients(self._run) if len(self._run.steps) else None  # type: ignore[arg-type]

    def _close(self) -> None:
        self._unhook()
        if self.recorder is not None and self._owned:
            self.recorder.remove()

    # How it follows a training

    def _runs(self) -> list[tuple[Run, str]]:
        runs = [(self._run, self._labels[0])]
        return runs if self._other is None else [*runs, (self._other, self._labels[1])]

    def _follow(self) -> None:
        if self._hooks or self.recorder is None or self.recorder.removed:
            return
        self._hooks.append(register_optimizer_step_post_hook(self._stepped).remove)

    def _unhook(self) -> None:
        while self._hooks:
            self._hooks.pop()()

    def _stepped(self, *_: Any) -> None:
        begin = time.monotonic()
        if begin < self._next or not self.live:
            self._late = True
            return
        self.push(now=True)
        spent = time.monotonic() - begin
        self._next = begin + max(spent / BUDGET, 1 / RATE)


def _table(run: Run) -> list[str]:
    """The last step that was looked at, a line for each parameter."""
    norms, ratios = run.series("raw_norm")[-1], run.series("update_ratio")[-1]
    width = max(map(len, run.names), default=0)
    lines = [
        f"    {name:<{width}}  gradient norm {_short(norms[i])}, update / weight {_short(ratios[i])}"
        for i, name in enumerate(run.names[:MOST_ROWS])
    ]
    left = len(run.names) - MOST_ROWS
    return [*lines, f"    … and {left} more"] if left > 0 else lines


def _short(value: Any) -> str:
    return "–" if np.isnan(value) else f"{value:.2g}"


def _comparison(runs: list[tuple[Run, str]]) -> Figure:
    """Two runs in one picture: all gradients together, the median update, the loss."""
    from tensorlab.inspect._figures import COLORS, STYLES, new_figure, plain

    words = "; ".join(f"{label}: {count(run.count, 'step')}" for run, label in runs)
    figure = new_figure(
        "comparing gradients", 7.0, 5.0, f"Gradients of two runs compared. {words}."
    )
    upper, middle, lower = figure.subplots(3, 1, sharex=True)
    for place, (run, label) in enumerate(runs):
        line: Any = {"color": COLORS[place], "linestyle": STYLES[place], "linewidth": 1.2}
        ratios = run.series("update_ratio").astype(float)
        median = [
            np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in ratios
        ]
        for axes, values in (
            (upper, np.sqrt(np.nansum(np.square(run.series("raw_norm").astype(float)), axis=1))),
            (middle, np.array(median)),
        ):
            axes.plot(run.steps, np.where(values > 0, values, np.nan), label=plain(label), **line)
            if np.any(values > 0):
                axes.set_yscale("log")
        lower.plot(run.steps, run.losses, **line)
    upper.set_ylabel("gradient norm")
    upper.legend(fontsize=8)
    middle.set_ylabel("median update / weight")
    lower.set(ylabel="loss", xlabel="step")
    for axes in (upper, middle, lower):
        axes.grid(alpha=0.3)
    return figure


def _as_run(given: Any, every: int | None, scaler: Any) -> tuple[Run, bool]:
    """The run, and whether its recorder was made here."""
    if isinstance(given, Module):
        if every is None and not live_widgets():
            every = 1  # which steps are looked at must not depend on the clock
        return inspect.gradients(given, every, scaler=scaler), True
    if isinstance(given, GradientFlow):
        return given._run, False
    if isinstance(given, inspect.GradientRecorder):
        return given, False
    if isinstance(given, Mapping):
        return SavedRun(given), False
    raise TypeError(
        "gradients expects a module, what inspect.gradients returned, or its to_dict(), got "
        f"{type(given).__name__}"
    )


def gradients(
    run: Module | inspect.GradientRecorder | Mapping[str, Any],
    compare: GradientFlow | inspect.GradientRecorder | Mapping[str, Any] | None = None,
    *,
    labels: tuple[str, str] = ("this run", "the other run"),
    every: int | None = None,
    scaler: Any = None,
) -> GradientFlow:
    """Watch the gradients of a model's layers over the steps: lines, histograms, flags with a way out.

    Args:
        run: a module that you are about to train (it is watched from now on), a recorder that
            `inspect.gradients` returned, or its `to_dict()`, as read from a JSON file.
        compare: another run to draw beside it.
        labels: the names of the two.
        every, scaler: as in `inspect.gradients`, for a module.

    Returns:
        A `GradientFlow`: shown where it is the value of a cell, or by ``with``; ``flags()``,
        ``recorder``, ``remove()``, ``save("flow.html")``, ``close()``.

    >>> import tensorlab as tl
    >>> model = tl.nn.Linear(2, 1)
    >>> optimizer = tl.optim.SGD(model.parameters(), lr=0.1)
    >>> with gradients(model) as flow:
    ...     for _ in range(3):
    ...         optimizer.zero_grad()
    ...         model(tl.ones(4, 2)).square().mean().backward()
    ...         optimizer.step()
    >>> flow, flow.flags(), flow.recorder.removed
    (<gradient flow of 2 parameters>, [], True)

    Raises:
        TypeError: for something that is no run. ValueError: for a dict that is no recording.
    """
    found, owned = _as_run(run, every, scaler)
    other = None
    if compare is not None:
        if isinstance(compare, Module):
            raise TypeError("gradients: compare expects a run that was recorded, got a module")
        other, _ = _as_run(compare, None, None)
    return GradientFlow(found, other, labels, owned=owned)
