"""What a notebook keeps of a live widget: its still form, shown wherever the widget can't be.

A front end shows the richest form of an output that it knows, and no other one. JupyterLab 4.6 says "Error
displaying widget: model not found" where a notebook names a widget whose kernel is gone and whose state was
not saved (nobody has it saved by default), whatever picture stands beside it in the same output. Nobody
closes widgets by hand, a kernel that is shut down or killed can't change its outputs any more, and a page
that nbconvert made with the state in it fetches the widget's code from the network.

So a widget is shown as two outputs: the still form, as HTML, and below it the widget. A rule of style in the
first hides it as long as the second shows a widget, and hides the second as long as it shows none. Where
styles are taken out, as in a notebook that is not trusted, the still form stands there with one line of text.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

__all__ = ["Kept", "view_of"]

#: The data and the metadata of an output, as `display(…, raw=True)` takes them.
Bundle = tuple[dict[str, Any], dict[str, Any]]

_CHILD, _LIVE = ".jp-OutputArea-child", ":is(.tl-widget,.tl-progress)"
_STYLE = (
    f"<style>{_CHILD}:has(.tl-still):has(+{_CHILD} {_LIVE}),"
    f"{_CHILD}:has(.tl-still)+{_CHILD}:not(:has({_LIVE})){{display:none}}</style>"
)
#: What a widget's output becomes: an output can't be taken away, and an empty one is an error to nbconvert.
_NOTHING = {
    "text/plain": "",
    "text/html": f"<style>{_CHILD}:has(>* .tl-ended){{display:none}}</style><i class='tl-ended'></i>",
}


class Kept:
    """One place where a widget is shown, and what stays there without it.

    Args:
        still: gives the still form; called now, when it is renewed, and at the end.
        widget: the output that shows the widget, with one line of text for where none can be shown.
    """

    #: While a loop runs, the still form is drawn anew at most so often (in seconds), and in at most
    #: this share of the time.
    EVERY, SHARE = 20.0, 0.01

    def __init__(self, still: Callable[[], Bundle], widget: dict[str, Any]) -> None:
        from IPython.display import display

        self._still, self._widget = still, widget
        self._together = _outputs_are_frames()
        self._next = 0.0
        data, metadata = self._drawn()
        self._first: Any = display(data, metadata=metadata, raw=True, display_id=True)
        if not self._together:
            self._second: Any = display(widget, raw=True, display_id=True)

    def renew(self) -> None:
        """Draw the still form anew: what it shows has changed."""
        data, metadata = self._drawn()
        self._first.update(data, metadata=metadata, raw=True)

    def renew_at_times(self) -> None:
        """The same, if it is due."""
        if time.monotonic() >= self._next:
            self.renew()

    def end(self) -> None:
        """The widget ends: its still form stays, as if there had never been anything else."""
        data, metadata = self._still()
        self._first.update(data, metadata=metadata, raw=True)
        if not self._together:
            self._second.update(_NOTHING, raw=True)

    def _drawn(self) -> Bundle:
        begin = time.monotonic()
        data, metadata = self._still()
        now = time.monotonic()
        self._next = now + max(self.EVERY, (now - begin) / self.SHARE)
        if self._together:
            return {**self._widget, **data}, metadata
        html = f'{_STYLE}<div class="tl-still">{_html(data, metadata)}</div>'
        return {**data, "text/html": html}, metadata


def view_of(widget: Any) -> dict[str, Any]:
    """The output that shows an ipywidget, and one line for where there is neither a widget nor styles."""
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    view = {key: value for key, value in data.items() if "widget-view" in key}
    return {"text/plain": "Run this cell to have it live.", **view}


def _html(data: dict[str, Any], metadata: dict[str, Any]) -> str:
    if "text/html" in data:
        return data["text/html"]
    if "image/png" not in data:
        return f"<pre>{escape(data['text/plain'])}</pre>"
    alt = escape(metadata.get("image/png", {}).get("alt", ""))
    return f'<img alt="{alt}" src="data:image/png;base64,{data["image/png"]}">'


def _outputs_are_frames() -> bool:
    """Whether each output is in a frame of its own, where no style reaches from one to the other.

    So it is in VS Code and Colab, which keep the state of widgets in ways of their own: one output there.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    in_code = "__vsc_ipynb_file__" in getattr(shell, "user_ns", {})
    return in_code or "google.colab" in sys.modules
