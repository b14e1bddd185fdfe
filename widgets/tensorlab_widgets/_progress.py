"""`progress`: iterate as before, and see how it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from ._display import Display, Silent, Throttle, cell, choose
from ._row import Row, Status
from ._stop import guard

T = TypeVar("T")
NESTED_ROWS = 3
"""How many nested loops a bar remembers; the one used longest ago makes room."""


class Progress(Generic[T]):
    """A loop with a progress bar. Made by `progress`; see there."""

    def __init__(
        self,
        iterable: Iterable[T] | AsyncIterable[T],
        total: int | None = None,
        label: str | None = None,
        show: bool = True,
    ) -> None:
        if not isinstance(iterable, (Iterable, AsyncIterable)):
            hint = f"; did you mean range({iterable})?" if isinstance(iterable, int) else ""
            raise TypeError(
                f"progress: expected something to iterate over, got {type(iterable).__name__}{hint}"
            )
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)  # type: ignore[arg-type]
        if total is not None and total < 0:
            raise ValueError(f"progress: total must not be negative, got {total}")
        self._iterable = iterable
        self._show = show
        self._row = Row(label or "progress", total)
        self._board: Board | None = None  # while it runs
        self._outer: Progress[Any] | None = None
        self._asked = False

    # What a training loop uses

    def __iter__(self) -> Iterator[T]:
        if not isinstance(self._iterable, Iterable):
            raise TypeError("progress: this iterable is asynchronous; use `async for`")
        how: Status = "ended"
        self._refuse_second_run()
        try:
            self._open()
            for item in self._iterable:
                yield item
                if self._step_ends():
                    how = "stopped"
                    return
            how = "done"
        finally:
            self._close(how)

    def __aiter__(self) -> AsyncIterator[T]:
        self._refuse_second_run()
        return _AsyncSteps(self)

    def set(self, **metrics: Any) -> None:
        """Report metrics: `bar.set(loss=loss, accuracy=0.97)`.

        Args:
            metrics: numbers, one-element tensors (of any library) or short strings. Numbers get a
                curve of all values reported so far.

        Raises:
            TypeError: for anything else.
        """
        for name, value in metrics.items():
            self._row.set(name, value)
        if self._board is not None:
            self._board.changed()

    def stop(self) -> None:
        """End the loop at the next step boundary. May be called from any thread."""
        self._asked = True

    @property
    def stopped(self) -> bool:
        """Whether the loop was ended by Stop before its last step."""
        return self._row.status == "stopped"

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

    def __len__(self) -> int:
        if self._row.total is None:
            raise TypeError("progress: the number of steps is not known; pass total=")
        return self._row.total

    def __repr__(self) -> str:
        return f"<progress {self._row.text()}>"

    # How it works

    def _refuse_second_run(self) -> None:
        if self._board is not None:
            raise RuntimeError("progress: this bar is already running; make one for each loop")

    def _open(self) -> None:
        self._asked = False
        outer = _innermost.get()
        while outer is not None and outer._board is None:  # ended, in another context
            outer = outer._outer
        self._outer = outer
        # A bar left open in another cell is no outer bar of this loop.
        if outer is not None and outer._board is not None and outer._board.cell == cell():
            self._board = outer._board
            self._row = self._board.nested(self._row)
        else:
            self._board = Board(self._row, show=self._show)
        self._board.bars.append(self)
        _innermost.set(self)
        self._row.begin(self._row.total)
        interruptible = guard.enter(self)
        if self._board.rows[0] is self._row:
            self._board.open(interruptible)

    def _step_ends(self) -> bool:
        """Count the step. True if the loop must end here."""
        self._row.step()
        if self._asked and not self._row.complete:
            return True
        if self._board is not None:
            self._board.changed()
        return False

    def _close(self, how: Status) -> None:
        board, self._board = self._board, None
        # The old interrupt handler first: nothing below may keep it from coming back.
        broken_off = guard.broken_off
        guard.leave(self)
        if _innermost.get() is self:
            _innermost.set(self._outer)
        if board is None:
            return
        board.bars.remove(self)
        if how == "ended" and (broken_off or self._asked):
            # Left by an exception or `break` after Stop: `if steps.stopped: break`.
            how = "interrupted" if broken_off else "stopped"
        self._row.end(how)
        if board.rows[0] is self._row:
            board.close()
        else:
            board.changed()


class Board:
    """An outermost bar with the bars nested in it: one picture, one display."""

    def __init__(self, row: Row, *, show: bool) -> None:
        self.rows = [row]
        self.bars: list[Progress[Any]] = []
        self.cell = cell()
        self._display: Display = choose() if show else Silent()
        self._throttle = Throttle()

    def nested(self, row: Row) -> Row:
        """The row for a nested loop: the one it had in the last epoch, if it was there."""
        for old in self.rows[1:]:
            if old.label == row.label and old.status != "running":
                old.total = row.total
                return old
        finished = [r for r in self.rows[1:] if r.status != "running"]
        if finished and len(self.rows) > NESTED_ROWS:
            self.rows.remove(min(finished, key=lambda r: r.started))
        self.rows.append(row)
        return row

    def stop(self) -> None:
        """Ask every loop of the picture to end. May be called from any thread."""
        for bar in list(self.bars):
            bar.stop()

    def open(self, interruptible: bool) -> None:
        self._display.open(self.rows, interruptible=interruptible, stop=self.stop)

    def changed(self) -> None:
        if self._throttle.allows():
            self._display.update(self.rows)

    def close(self) -> None:
        for row in self.rows:
            if row.status == "running":  # `next(iter(bar))`, and never again
                row.end("ended")
        display, self._display = self._display, Silent()
        display.close(self.rows)


_innermost: ContextVar[Progress[Any] | None] = ContextVar("tensorlab_progress", default=None)


class _AsyncSteps(AsyncIterator[T]):
    """`async for` over a bar.

    Not an asynchronous generator: when such a loop is left by `break` or an exception, the event
    loop closes the generator some time later. This object is dropped, and the bar ends, at once.
    """

    def __init__(self, bar: Progress[T]) -> None:
        self._bar = bar
        self._items = aiter(_asynchronous(bar._iterable))
        self._begun = self._ended = False

    async def __anext__(self) -> T:
        bar = self._bar
        if self._ended:
            raise StopAsyncIteration
        if not self._begun:
            self._begun = True
            bar._open()
            guard.awaited()
        elif bar._step_ends():
            return self._end("stopped")
        try:
            # Let the event loop deliver what the browser sent, such as Stop.
            await asyncio.sleep(0)
            return await anext(self._items)
        except StopAsyncIteration:
            return self._end("done")
        except BaseException:  # the traceback would keep this object, and the bar, alive
            self._ended = True
            bar._close("ended")
            raise

    def _end(self, how: Status) -> T:
        self._ended = True
        self._bar._close(how)
        raise StopAsyncIteration

    def __del__(self) -> None:
        if self._begun and not self._ended:
            self._ended = True
            self._bar._close("ended")


async def _asynchronous(iterable: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(iterable, AsyncIterable):
        async for item in iterable:
            yield item
    else:
        for item in iterable:
            yield item


def progress(
    iterable: Iterable[T] | AsyncIterable[T],
    total: int | None = None,
    label: str | None = None,
    show: bool = True,
) -> Progress[T]:
    """Iterate over `iterable` with a progress bar, live metrics and a Stop that keeps the state.

    Args:
        iterable: what to iterate over, such as a `DataLoader` or a range of epochs.
        total: the number of steps; by default ``len(iterable)`` where it has one.
        label: what the steps are, for example ``"epochs"``.
        show: False shows nothing, neither this bar nor those nested in it; Stop works as ever.

    Returns:
        A bar: iterate over it with ``for`` (or ``async for``), report with ``bar.set(loss=...)``,
        read ``bar.stopped``, ``bar.n`` and ``bar.metrics``, end it early with ``bar.stop()``.

    Stop, the kernel's or the one in the bar, ends the loop after the current step; the code after
    the loop runs as usual, and model and optimizer are between two steps.  A second interrupt
    raises KeyboardInterrupt at once (in ``async for``: CancelledError).  A bar inside the loop of
    another one joins its picture, and both stop.  With ``async for`` in a notebook's cell the kernel
    stays responsive to widgets.

    >>> total = 0
    >>> for x in progress([1, 2, 3], label="adding"):
    ...     total += x
    >>> total
    6

    Raises:
        TypeError: if `iterable` can't be iterated over.
        ValueError: if `total` is negative.
    """
    return Progress(iterable, total, label, show)
