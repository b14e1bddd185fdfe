"""The live widget: state goes to the browser, Stop comes back.

Imported only when a bar is shown in Jupyter: `import tensorlab_widgets` must not need anywidget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ._row import Row

_STATIC = Path(__file__).parent / "static"


class ProgressWidget(anywidget.AnyWidget):
    """What the browser draws. See widgets/src/state.ts for the shape of `state`."""

    _esm = _STATIC / "progress.js"
    _css = _STATIC / "progress.css"

    state = traitlets.Dict().tag(sync=True)

    def __init__(self, rows: Sequence[Row], *, interruptible: bool, stop: Callable[[], None]):
        self._stop = stop
        self._interruptible = interruptible
        self._text = f"{rows[0].text()}, running"
        super().__init__(state=self._snapshot(rows))
        self.on_msg(self._on_message)

    def __repr__(self) -> str:
        # The same on every run.
        return self._text

    def update(self, rows: Sequence[Row]) -> None:
        self.state = self._snapshot(rows)

    def close(self) -> None:
        """Close every comm: ipywidgets leaves the one of the layout open."""
        layout = self.layout
        super().close()
        layout.close()

    def _on_message(self, _widget: object, content: object, _buffers: object) -> None:
        # Which thread this runs on depends on the kernel (main thread, a subshell's thread). So it
        # only sets a flag, and answers with a message of its own instead of touching `state`.
        if isinstance(content, dict) and content.get("type") == "stop":
            self._stop()
            self.send({"type": "stopping"})

    def _snapshot(self, rows: Sequence[Row]) -> dict[str, Any]:
        return {"interruptible": self._interruptible, "rows": [_row_state(row) for row in rows]}


def _row_state(row: Row) -> dict[str, Any]:
    return {
        "label": row.label,
        "n": row.n,
        "total": row.total,
        "status": row.status,
        "elapsed": row.elapsed,
        "rate": row.throughput,
        "remaining": row.remaining,
        "metrics": [
            {
                "name": name,
                "text": metric.text,
                "bad": metric.bad,
                "points": metric.history.points() if metric.history else [],
            }
            for name, metric in row.metrics.items()
        ],
    }
