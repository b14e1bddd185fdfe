"""Where a dashboard appears: a live widget that turns into a picture, a picture, or a terminal line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from . import _display
from ._row import Row

if TYPE_CHECKING:
    from ._base import Instrument


class Place(Protocol):
    """Shows an instrument while its loop runs, and what stays of it."""

    def open(self, shown: Instrument, rows: Sequence[Row]) -> None: ...

    def update(self, shown: Instrument, rows: Sequence[Row]) -> None: ...

    def close(self, shown: Instrument, rows: Sequence[Row]) -> None: ...


class LiveCell:
    """A notebook: the widget while the loop runs, then the picture and the words in its place.

    Evaluating the object shows a widget again.
    """

    def open(self, shown: Instrument, rows: Sequence[Row]) -> None:
        shown.show()

    def update(self, shown: Instrument, rows: Sequence[Row]) -> None:
        shown.push(now=True)

    def close(self, shown: Instrument, rows: Sequence[Row]) -> None:
        shown._end_widget()


class StaticCell:
    """A notebook without live updates: only what stays."""

    def open(self, shown: Instrument, rows: Sequence[Row]) -> None:
        pass

    def update(self, shown: Instrument, rows: Sequence[Row]) -> None:
        pass

    def close(self, shown: Instrument, rows: Sequence[Row]) -> None:
        shown.show()


class Line:
    """A terminal, or nobody who looks: as for a progress bar."""

    def __init__(self, display: _display.Display) -> None:
        self._display = display

    def open(self, shown: Instrument, rows: Sequence[Row]) -> None:
        self._display.open(rows, interruptible=True, stop=lambda: None)

    def update(self, shown: Instrument, rows: Sequence[Row]) -> None:
        self._display.update(rows)

    def close(self, shown: Instrument, rows: Sequence[Row]) -> None:
        self._display.close(rows)


def place(show: bool) -> Place:
    """The place that suits where the program runs."""
    if not show:
        return Line(_display.Silent())
    if _display.live_widgets():
        return LiveCell()
    chosen = _display.choose()
    return StaticCell() if isinstance(chosen, _display.StaticCell) else Line(chosen)
