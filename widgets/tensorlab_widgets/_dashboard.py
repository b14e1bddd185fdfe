"""`dashboard`: around your own training loop, what a training needs to be watched and steered by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._base import Instrument
from ._controls import Controls
from ._curves import Curve
from ._health_strip import HealthStrip
from ._learning_rate import LearningRate
from ._row import Metric, Row, Status, plain
from ._stop import guard
from ._training_display import Place, place

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")
SIGNS = {"running": "…", "done": "✓", "stopped": "■", "ended": "–", "interrupted": "✗"}
RATE = "learning rate"
WAIT = 0.05
"""Seconds between two looks at the commands during a pause."""


class Dashboard(Instrument):
    """What a training shows and how it is steered. Made by `dashboard` and `fit`; see there."""

    _bundle = "training"
    kind = "training"
    resumable = False
    """Whether `resume()` can go on after a stop: a loop of the user's own is begun again by the user."""

    def __init__(
        self,
        optimizer: Any = None,
        *,
        model: Any = None,
        scheduler: Any = None,
        total: int | None = None,
        gradients: bool = True,
        label: str = "training",
        show: bool = True,
    ) -> None:
        if total is not None and total < 0:
            raise ValueError(f"{self.kind}: total must not be negative, got {total}")
        super().__init__()
        self._rate = LearningRate(optimizer, scheduler)
        self._model = model if gradients else None
        self._show = show
        self._total = total
        self._row = Row(label, total)
        self._curves: dict[str, Curve] = {}
        self._epoch = 0
        self._epochs: int | None = None
        self._depth = 0
        self._threaded = False
        self._interruptible = False
        self._strip: HealthStrip | None = None
        self._place: Place | None = None
        self._error = ""
        self._last_rate: float | None = None
        self.controls = Controls(self._set_rate)

    # What a training loop uses

    def epochs(self, count: int) -> Iterator[int]:
        """Iterate over `count` epochs; the steps inside them are those of `steps`.

        Raises:
            TypeError, ValueError: if `count` is not a whole number from 0.
        """
        if not isinstance(count, int) or isinstance(count, bool):
            raise TypeError(f"{self.kind}: epochs must be a whole number, got {count!r}")
        if count < 0:
            raise ValueError(f"{self.kind}: epochs must not be negative, got {count}")
        return self._iterate_epochs(count)

    def _iterate_epochs(self, count: int) -> Iterator[int]:
        self._epochs, self._epoch = count, 0
        how: Status = "ended"
        self._enter()
        try:
            for epoch in range(count):
                self._epoch = epoch
                yield epoch
                if self._stops():
                    how = "stopped"
                    return
            how = "done"
        finally:
            self._leave(how)

    def steps(self, iterable: Iterable[T]) -> _Steps[T]:
        """Iterate over batches, with `for` or `async for`: each is a step, and may be the last.

        Raises:
            TypeError: if `iterable` can't be iterated over.
        """
        if not isinstance(iterable, Iterable):
            hint = f"; did you mean range({iterable})?" if isinstance(iterable, int) else ""
            raise TypeError(
                f"{self.kind}: expected something to iterate over, got {type(iterable).__name__}{hint}"
            )
        return _Steps(self, iterable)

    def log(self, **metrics: Any) -> None:
        """Report metrics of this step: `board.log(loss=loss, accuracy=0.97)`.

        Args:
            metrics: numbers, one-element tensors (of any library) or short strings. Numbers get a
                curve; `val_loss` is drawn with `loss`, and so for other names.

        Raises:
            TypeError: for anything else.
        """
        self._log(metrics, self._row.n + (1 if self._depth else 0))

    def _log(self, metrics: Mapping[str, Any], step: int) -> None:
        for name, value in metrics.items():
            value = plain(name, value)
            metric = self._row.metrics.setdefault(name, Metric(value))
            metric.value = value
            if not isinstance(value, str):
                self._curves.setdefault(name, Curve()).add(step, value)
        self._changed()

    def stop(self) -> None:
        """End the loop at the next step boundary. May be called from any thread."""
        self.controls.ask("stop")

    def pause(self) -> None:
        """Wait at the next step boundary, until `go_on` or `stop`. May be called from any thread."""
        self.controls.ask("pause")

    def go_on(self) -> None:
        """End a pause. May be called from any thread."""
        self.controls.ask("resume")

    def set_lr(self, value: float, group: int | None = None) -> None:
        """Set the learning rate between two steps. May be called from any thread.

        Args:
            value: the new rate, of the first parameter group if `group` is None: the others then
                keep their ratios to it. A scheduler goes on from there.
            group: the position of one parameter group.
        """
        self.controls.ask("rate", (value, group))

    # What can be read of it

    @property
    def stopped(self) -> bool:
        """Whether the loop was ended by Stop before its last step."""
        return self._row.status == "stopped"

    @property
    def running(self) -> bool:
        """Whether the loop is running; a paused one is."""
        return self.controls.running

    @property
    def paused(self) -> bool:
        """Whether the loop waits, or will at the next step boundary."""
        return self.controls.paused

    @property
    def n(self) -> int:
        """How many steps are complete."""
        return self._row.n

    @property
    def total(self) -> int | None:
        """How many steps there are, if known."""
        return self._row.total

    @property
    def metrics(self) -> dict[str, float | str]:
        """The last value of each metric."""
        return {name: metric.value for name, metric in self._row.metrics.items()}

    @property
    def lr(self) -> list[float]:
        """The learning rate of each parameter group."""
        return self._rate.values

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of a metric; at most 512 points, then means of neighbours.

        Raises:
            KeyError: if no number was logged by that name.
        """
        if name not in self._curves:
            known = ", ".join(self._curves) or "none yet"
            raise KeyError(f"no curve {name!r}; there are: {known}")
        return self._curves[name].steps(), self._curves[name].values()

    @property
    def gradients(self) -> Any:
        """The `inspect.GradientRecorder` of the run, or None: its `flags()` say what looks wrong."""
        return self._strip.recorder if self._strip is not None else None

    def _summary(self) -> str:
        """How it stands, without times: the same for every run of the same program."""
        row = self._row
        line = f"{row.label}: {row.count()}" + (" steps" if row.status != "interrupted" else "")
        if self._epochs:
            line += f" · epoch {min(self._epoch + 1, self._epochs)} of {self._epochs}"
        for name, metric in row.metrics.items():
            line += f" · {name} {metric.text}"
        return line

    def __repr__(self) -> str:
        return f"<{self.kind} {self._summary()}>"

    def __enter__(self) -> Dashboard:
        self._enter()
        return self

    def __exit__(self, *exception: object) -> None:
        self._leave("ended" if exception[0] is not None else "done")

    # What is shown: see Instrument

    def _title(self) -> str:
        return f"{self.kind} {self._row.label}"

    def _text(self) -> str:
        lines = [f"{SIGNS[self._row.status]} {self._summary()}"]
        if self._error:
            lines.append(f"    {self._error}")
        if self.resumable and self._row.status in ("stopped", "interrupted"):
            lines.append("    Everything is kept: resume() goes on from here.")
        if self._strip is not None:
            lines += [f"    ⚠ {flag['kind']}: {flag['reason']}" for flag in self._strip.flags]
        return "\n".join(lines)

    def _figure(self) -> Figure | None:
        from ._training_figure import training_figure

        return training_figure(self._curves, self._summary())

    def _state(self) -> dict[str, Any]:
        row = self._row
        return {
            "label": row.label,
            "n": row.n,
            "total": row.total,
            "status": row.status,
            "epoch": self._epoch,
            "epochs": self._epochs,
            "elapsed": row.elapsed,
            "rate": row.throughput,
            "remaining": row.remaining,
            "samples": None if row.throughput is None else self._samples(row.throughput),
            "paused": self.controls.paused,
            "stopping": self.controls.running and self.controls.asked_to_stop,
            "interruptible": self._interruptible and self.controls.running,
            "resumable": self.resumable,
            "refused": self.controls.refused,
            "error": self._error,
            "lr": self._rate.values,
            "metrics": [
                {"name": name, "text": metric.text, "bad": metric.bad}
                for name, metric in row.metrics.items()
            ],
            "curves": [
                {"name": name, "points": curve.packed()} for name, curve in self._curves.items()
            ],
            "health": None if self._strip is None else self._strip.read(),
        }

    def _samples(self, steps_per_second: float) -> float | None:
        """Examples per second, where it is known how many a step has."""
        return None

    def _answer(self, method: str, args: Mapping[str, Any]) -> Any:
        """What the browser's buttons ask; from any thread."""
        if method == "rate":
            self.controls.ask("rate", (args.get("value"), args.get("group")))
        elif method in ("stop", "pause", "resume"):
            self._command(method)
        else:
            return super()._answer(method, args)
        if not self.controls.running:
            self.push(now=True)
        return {"running": self.controls.running}

    def _command(self, kind: str) -> None:
        self.controls.ask(kind)

    # How it works

    def _set_rate(self, value: float, group: int | None) -> None:
        self._rate.set(value, group)
        self._note_rate()

    def _note_rate(self) -> None:
        values = self._rate.values
        if not values:
            return
        curve = self._curves.setdefault(RATE, Curve())
        if self._last_rate is not None:
            # It was the old one up to here: a step in the curve, and no slope.
            curve.add(self._row.n, self._last_rate)
        if values[0] != self._last_rate:
            curve.add(self._row.n, values[0])
            self._last_rate = values[0]

    def _enter(self) -> None:
        """A loop begins; the loops inside it and a `with` around it are one and the same run."""
        self._depth += 1
        if self._depth > 1:
            return
        try:
            self._begin()
        except BaseException:
            self._depth = 0
            raise

    def _begin(self) -> None:
        self.controls.begin()
        self._error = ""
        if self._row.n:
            self._row.go_on()
        else:
            self._row.begin(self._row.total)
        if self._model is not None:
            self._strip = HealthStrip(self._model)
        self._note_rate()
        self._interruptible = not self._threaded and guard.enter(self)
        self._place = place(self._show)
        self._place.open(self, [self._row])

    def _leave(self, how: Status) -> None:
        self._depth = max(self._depth - 1, 0)
        if self._depth or not self.controls.running:
            return
        # The old interrupt handler first: nothing below may keep it from coming back.
        broken_off = self._interruptible and guard.broken_off
        if self._interruptible:
            guard.leave(self)
        self.controls.apply()
        if how == "ended" and (broken_off or self.controls.asked_to_stop):
            how = "interrupted" if broken_off else "stopped"
        self._row.end(how)
        self.controls.end()
        if self._strip is not None:
            self._strip.remove()
        self._note_rate()
        shown, self._place = self._place, None
        if shown is not None:
            shown.close(self, [self._row])

    def _changed(self, *, now: bool = False) -> None:
        if self._place is not None and (now or self._throttle.allows()):
            self._place.update(self, [self._row])
        else:
            self._late = True

    def _step_ends(self) -> None:
        self._row.step()
        rates = self._rate.values
        if rates and rates[0] != self._last_rate:  # a scheduler has moved it
            self._note_rate()
        self._changed()

    def _stops(self) -> bool:
        """Do what was asked. True if the loop must end here."""
        if self.controls.apply():
            self._changed(now=True)
        return self.controls.asked_to_stop

    def _pauses(self) -> bool:
        return self.controls.paused and not self.controls.asked_to_stop

    def _wait(self) -> None:
        """Stay here for as long as it is paused."""
        while self._pauses():
            begin = time.monotonic()
            time.sleep(WAIT)
            self._row.leave_out(time.monotonic() - begin)
            self._stops()

    async def _wait_async(self) -> None:
        """Let the event loop deliver what the browser sent, and stay for as long as it is paused."""
        await asyncio.sleep(0)
        self._stops()
        while self._pauses():
            begin = time.monotonic()
            await asyncio.sleep(WAIT)
            self._row.leave_out(time.monotonic() - begin)
            self._stops()

    def _leaves(self) -> bool:
        """Whether a step is the last because it was asked for, and not because there are no more."""
        return self.controls.asked_to_stop and not self._row.complete

    def _total_of(self, iterable: Any) -> None:
        """The number of steps, once it can be known."""
        if self._total is None and self._row.n == 0 and hasattr(iterable, "__len__"):
            self._row.total = len(iterable) * (self._epochs if self._epochs is not None else 1)


class _Steps(Generic[T]):
    """The steps of one epoch, or of the whole loop."""

    def __init__(self, board: Dashboard, iterable: Iterable[T]) -> None:
        self._board = board
        self._iterable = iterable

    def __len__(self) -> int:
        return len(self._iterable)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[T]:
        board = self._board
        how: Status = "ended"
        board._total_of(self._iterable)
        board._enter()
        try:
            for item in self._iterable:
                yield item
                board._step_ends()
                board._stops()
                board._wait()
                if board._leaves():
                    how = "stopped"
                    return
            how = "done"
        finally:
            board._leave(how)

    def __aiter__(self) -> AsyncIterator[T]:
        return _AsyncSteps(self._board, self._iterable)


class _AsyncSteps(AsyncIterator[T]):
    """`async for` over the steps.

    Not an asynchronous generator: one that is left by `break` is closed by the event loop some time
    later. This object is dropped, and the run ends, at once.
    """

    def __init__(self, board: Dashboard, iterable: Iterable[T]) -> None:
        self._board = board
        self._iterable = iterable
        self._items: Iterator[T] | None = None
        self._ended = False

    async def __anext__(self) -> T:
        board = self._board
        if self._ended:
            raise StopAsyncIteration
        if self._items is None:
            board._total_of(self._iterable)
            board._enter()
            guard.awaited()
            self._items = iter(self._iterable)
        else:
            board._step_ends()
        try:
            await board._wait_async()
            if board._leaves():
                self._end("stopped")
                raise StopAsyncIteration
            return next(self._items)
        except StopIteration:
            self._end("done")
            raise StopAsyncIteration from None
        except BaseException:
            self._end("ended")
            raise

    def _end(self, how: Status) -> None:
        if not self._ended and self._items is not None:
            self._ended = True
            self._board._leave(how)

    def __del__(self) -> None:
        self._end("ended")


def dashboard(
    optimizer: Any = None,
    *,
    model: Any = None,
    scheduler: Any = None,
    total: int | None = None,
    gradients: bool = True,
    label: str = "training",
    show: bool = True,
) -> Dashboard:
    """Watch and steer a training loop that you wrote yourself.

    Args:
        optimizer: whose learning rate can be changed while the loop runs.
        model: whose gradients are watched by `tensorlab.inspect.gradients`.
        scheduler: the learning rate's scheduler, so that a change of yours is not undone by it.
        total: the number of steps; by default known from `epochs` and the length of what `steps` gets.
        gradients: False watches no gradients.
        label: the name of the run.
        show: False shows nothing; everything else works as ever.

    Returns:
        A board: ``board.epochs(n)`` and ``board.steps(batches)`` to iterate over, ``board.log(loss=...)``,
        ``board.stopped``, ``board.n``, ``board.curve("loss")``, ``board.set_lr(...)``.

    Stop, the kernel's or the one in the widget, ends the loops after the current step, with model and
    optimizer whole; a second interrupt raises KeyboardInterrupt (in ``async for``: CancelledError).
    Pause, and a new learning rate, need a kernel that hears the widget while the loop runs: use
    ``async for`` over ``board.steps(...)``, or run the loop in a thread. Where it does not, the widget
    says so.

    >>> board = dashboard(label="demo")
    >>> for epoch in board.epochs(2):
    ...     for x in board.steps([1.0, 2.0, 3.0]):
    ...         board.log(loss=x / (epoch + 1))
    >>> board
    <training demo: 6/6 steps · epoch 2 of 2 · loss 1.500>

    Raises:
        TypeError: if `optimizer` is none. ValueError: if `total` is negative.
    """
    return Dashboard(
        optimizer, model=model, scheduler=scheduler, total=total, gradients=gradients,
        label=label, show=show,
    )  # fmt: skip
