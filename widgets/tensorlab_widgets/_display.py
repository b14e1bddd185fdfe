"""Where a bar appears: a live widget, its static form, a terminal line, or nowhere."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TextIO

from . import _format, _static
from ._row import Row


class Display(Protocol):
    """Shows the rows of one outermost bar and of the bars nested in it."""

    def open(self, rows: Sequence[Row], *, interruptible: bool, stop: Callable[[], None]) -> None:
        """The loop begins. `stop` may be called from any thread to ask it to end."""

    def update(self, rows: Sequence[Row]) -> None:
        """Something changed. Called at most as often as `Throttle` allows."""

    def close(self, rows: Sequence[Row]) -> None:
        """The loop has ended, in whichever way."""


class Throttle:
    """At most ten updates in any second, however fast the loop.

    A bucket of two tokens that refills eight a second.  The spare token is for the slow loop that
    reports its loss and right afterwards ends its step: both are shown at once.
    """

    RATE, BURST = 8.0, 2.0

    def __init__(self) -> None:
        self._tokens = self.BURST
        self._last = time.monotonic()

    def allows(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self.BURST, self._tokens + (now - self._last) * self.RATE)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Silent:
    """No one is looking: a script with its output sent to a file."""

    def open(self, rows: Sequence[Row], *, interruptible: bool, stop: Callable[[], None]) -> None:
        pass

    def update(self, rows: Sequence[Row]) -> None:
        pass

    def close(self, rows: Sequence[Row]) -> None:
        pass


class StaticCell(Silent):
    """A notebook without live updates: only the final form, and no times in it."""

    def close(self, rows: Sequence[Row]) -> None:
        _show(_static.html(rows, times=False), _static.text(rows))


class LiveCell:
    """A notebook: an anywidget while the loop runs, then the final form in its place."""

    def open(self, rows: Sequence[Row], *, interruptible: bool, stop: Callable[[], None]) -> None:
        from ._kept import Kept, view_of
        from ._widget import ProgressWidget

        self._widget = ProgressWidget(rows, interruptible=interruptible, stop=stop)
        self._kept = Kept(
            lambda: (_bundle(_static.html(rows, times=True), _static.text(rows)), {}),
            view_of(self._widget),
        )

    def update(self, rows: Sequence[Row]) -> None:
        self._widget.update(rows)
        self._kept.renew_at_times()

    def close(self, rows: Sequence[Row]) -> None:
        # First the replacement, then the end of the widget: the browser never shows a dead one.
        try:
            self._kept.end()
        finally:
            self._widget.close()


class Terminal:
    """One line that redraws itself; the innermost loop has the bar, the outer ones a count."""

    WIDTH = 20

    def __init__(self, stream: TextIO, *, live: bool = True) -> None:
        self._stream = stream
        self._live = live
        self._fancy = _can_write(stream, "█░·›✓■–✗…⚠")

    def open(self, rows: Sequence[Row], *, interruptible: bool, stop: Callable[[], None]) -> None:
        self.update(rows)

    def update(self, rows: Sequence[Row]) -> None:
        if self._live:
            self._redraw(self._line(rows))

    def close(self, rows: Sequence[Row]) -> None:
        first, *nested = _static.text(rows).split("\n")
        if self._live:
            first += f" · {_format.duration(rows[0].elapsed)}"
            if rows[0].throughput:
                first += f", {_format.rate(rows[0].throughput)}"
            self._redraw(first)
        else:
            self._write(first)
        self._write("".join("\n" + line for line in nested) + "\n")
        self._stream.flush()

    def _line(self, rows: Sequence[Row]) -> str:
        running = [row for row in rows if row.status == "running"]
        *outer, row = running or rows[:1]
        parts = [f"{o.label} {o.count()} ›" for o in outer] + [row.label]
        if row.total:
            filled = round(min(row.n / row.total, 1.0) * self.WIDTH)
            parts.append("█" * filled + "░" * (self.WIDTH - filled))
        parts.append(row.count())
        line = " ".join(parts)
        for name, metric in row.metrics.items():
            line += f" · {name} {'⚠ ' if metric.bad else ''}{metric.text}"
        if row.throughput:
            line += f" · {_format.rate(row.throughput)}"
        if row.remaining is not None and row.n:
            line += f" · {_format.duration(row.remaining)} left"
        return line

    def _redraw(self, line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        if len(line) > width:
            line = line[: max(width - 1, 0)] + "…"
        # Carriage return, then erase to the end of the line.
        self._write(f"\r{line}\x1b[K")
        self._stream.flush()

    def _write(self, text: str) -> None:
        if not self._fancy:
            for sign, plain in zip("█░·›✓■–✗…⚠", "#-|>+#-x~!", strict=True):
                text = text.replace(sign, plain)
            encoding = self._stream.encoding or "ascii"
            text = text.encode(encoding, "replace").decode(encoding)
        self._stream.write(text)


def choose() -> Display:
    """The display that suits where the program runs.

    ``TENSORLAB_LIVE=0`` shows final forms only, for notebooks whose outputs are compared.
    """
    live = os.environ.get("TENSORLAB_LIVE", "1") != "0"
    if _in_kernel():
        return LiveCell() if live_widgets() else StaticCell()
    if sys.stderr is not None and sys.stderr.isatty():
        return Terminal(sys.stderr, live=live)
    return Silent()


def live_widgets() -> bool:
    """Whether live widgets can be shown, and are wanted: in a notebook, with anywidget."""
    wanted = os.environ.get("TENSORLAB_LIVE", "1") != "0"
    return wanted and _in_kernel() and importlib.util.find_spec("anywidget") is not None


def cell() -> int | None:
    """Which cell is running, in a notebook or IPython."""
    return getattr(_shell(), "execution_count", None)


def _in_kernel() -> bool:
    return hasattr(_shell(), "kernel")


def _shell() -> Any:
    # Whoever runs in IPython has loaded it; a plain script must not load it for us.
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _show(html: str, text: str) -> None:
    from IPython.display import display

    display(_bundle(html, text), raw=True)


def _bundle(html: str, text: str) -> dict[str, str]:
    return {"text/html": html, "text/plain": text}


def _can_write(stream: TextIO, signs: str) -> bool:
    try:
        signs.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
