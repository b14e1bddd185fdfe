"""What the widgets share: one object that shows itself live, as a picture and in words.

An `Instrument` has no anywidget in it and works in a script; where a notebook shows it, a small
anywidget model is made, whose browser side is widgets/src/common/model.ts.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import re
import weakref
from collections import deque
from collections.abc import Mapping
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tensorlab._files import replacing, write_text

from ._display import Throttle, live_widgets
from ._kept import Kept, view_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Instrument"]

_STATIC = Path(__file__).parent / "static"
#: Of an object that was shown more often, the oldest places keep the still form that they have.
_MOST_PLACES = 4


class Instrument:
    """Base of what `graph`, `view`, … return: shown as a widget, a picture and text.

    A subclass sets `_bundle` and gives `_text`, `_state`, and where it can `_figure` and `_answer`.
    """

    #: The name of the files in static/: `graph` stands for graph.js and graph.css.
    _bundle: ClassVar[str]

    def __init__(self) -> None:
        self._widget: Any = None
        self._throttle = Throttle()
        self._late = False
        self._closed = False
        self._places: deque[Kept] = deque(maxlen=_MOST_PLACES)
        self._stale = False

    # What a subclass gives

    def _title(self) -> str:
        """A few words: the picture's label and the name of saved files."""
        return self._bundle

    def _text(self) -> str:
        """What is true of it, in words: no ids, no times. Shown where nothing else can be."""
        raise NotImplementedError

    def _state(self) -> dict[str, Any]:
        """What the browser draws: JSON's types, and `bytes` or `memoryview` for arrays."""
        raise NotImplementedError

    def _page_state(self) -> dict[str, Any]:
        """The state in a saved page, which has no Python to ask for more."""
        return self._state()

    def _figure(self) -> Figure | None:
        """The still picture, a figure of `tensorlab.inspect`; None if there is nothing to draw."""
        return None

    def _answer(self, method: str, args: Mapping[str, Any]) -> Any:
        """Answer the browser's `client.call(method, args)`: a result, or `(result, buffers)`.

        May run in any thread, so it should only read, or set flags. A `ValueError`, `TypeError`,
        `RuntimeError` or `LookupError` is told to the reader in its own words.
        """
        raise LookupError(f"this widget knows no {method!r}")

    def _close(self) -> None:
        """Remove hooks; called once, by `close`."""

    # What a subclass uses

    @property
    def live(self) -> bool:
        """Whether a browser shows, or will show, this object's changes."""
        return self._widget is not None and not self._closed

    def push(self, *, now: bool = False) -> None:
        """Something changed: give the browser a new `_state`, at most ten times a second.

        now: in any case, as at the end; else a change that comes too soon waits for the next push.
        """
        self._late = True
        if self.live and (now or self._throttle.allows()):
            self._late = False
            self._widget.state = self._state()
            self._stale = True
            for place in self._places:
                place.renew_at_times()

    def send(self, message: Mapping[str, Any], buffers: list[Any] | None = None) -> None:
        """Send a message of its own to the browser (`model.on("msg:custom")`)."""
        if self.live:
            self._widget.send(dict(message), buffers or [])

    # What a user uses

    def show(self) -> None:
        """Show it in a notebook, in the cell that runs."""
        from IPython.display import display

        if not live_widgets() or self._closed:
            data, metadata = self._still()
            display(data, metadata=metadata, raw=True)
            return
        self._places.append(Kept(self._still, self._shown_widget()))
        _watch_cells(self)

    def close(self) -> None:
        """End it: hooks and connections to the browser go; what is shown stays. Twice does no harm."""
        if self._closed:
            return
        if self._late:
            self.push(now=True)
        self._closed = True
        self._close()
        self._end_widget()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def save(self, path: str | Path) -> Path:
        """Write it to a file: `.html` (one page, works offline), `.svg` or `.png`; returns the path.

        ValueError: another ending, or nothing to draw. ImportError: a picture without matplotlib.
        """
        path = Path(path).expanduser()
        kind = path.suffix.lower()
        if kind == ".html":
            return write_text(path, self._page())
        if kind not in (".svg", ".png"):
            raise ValueError(f"save expects a name that ends in .html, .svg or .png, got {path}")
        figure = self._figure()
        if figure is None:
            raise ValueError("there is nothing to draw yet")
        with replacing(path) as file:
            figure.savefig(file, format=kind[1:], dpi=110)
        return path

    def __repr__(self) -> str:
        return f"<{self._title()}>"

    def _ipython_display_(self) -> None:
        if not live_widgets() or self._closed:
            raise NotImplementedError  # IPython's word for: show the bundle, as the cell's value
        self.show()

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        found, about = self._still()
        if not self._closed and live_widgets():
            found = {**self._shown_widget(), **found}
        return found, about

    def _still(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The words and the picture, without a widget, and what is said about them."""
        found: dict[str, Any] = {"text/plain": self._text()}
        picture = self._png()
        if picture is None:
            return found, {}
        return {**found, "image/png": picture}, {"image/png": {"alt": self._title()}}

    def _renew(self) -> None:
        """A cell has ended: what is shown, and what the notebook keeps, is what is true now."""
        if self._late:
            self.push(now=True)
        if self._stale and self.live:
            self._stale = False
            for place in self._places:
                place.renew()

    def _end_widget(self) -> None:
        """The browser's side goes; the object can be shown again, with a new one."""
        _shown.discard(self)
        # First the replacement, then the end of the widget: the browser never shows a dead one.
        try:
            while self._places:
                self._places.popleft().end()
        finally:
            widget, self._widget = self._widget, None
            if widget is not None:
                widget.close()

    def _png(self) -> str | None:
        if importlib.util.find_spec("matplotlib") is None:
            return None
        figure = self._figure()
        if figure is None:
            return None
        file = BytesIO()
        figure.savefig(file, format="png", dpi=110)
        return base64.b64encode(_fewer_colors(file)).decode("ascii")

    def _shown_widget(self) -> dict[str, Any]:
        if self._widget is None:
            self._widget = _widget_class(self._bundle)(
                state=self._state(), page=_static("page.html"), owner=self
            )
        return view_of(self._widget)

    def _page(self) -> str:
        """The widget as one HTML page; src/common/save.ts fills the same frame."""
        parts = {
            "title": escape(self._title(), quote=False),
            "css": _style(self._bundle).replace("</style", "<\\/style"),
            "state": _as_script_text(self._page_state()),
            "esm": _static(f"{self._bundle}.js").replace("</script", "<\\/script"),
        }
        return re.sub(r"@@(\w+)@@", lambda found: parts[found[1]], _static("page.html"))


_shown: weakref.WeakSet[Instrument] = weakref.WeakSet()


def _watch_cells(shown: Instrument) -> None:
    """After each cell, what has changed is drawn anew for the notebook that is saved."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is not None and not _shown:
        shell.events.register("post_run_cell", _cell_ended)
    _shown.add(shown)


def _cell_ended(*_: object) -> None:
    for each in list(_shown):
        each._renew()
    if not _shown:
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
        if shell is not None:
            shell.events.unregister("post_run_cell", _cell_ended)


def _fewer_colors(file: BytesIO) -> bytes:
    """A PNG with a palette of 256 colours, which are enough for a plot: a third of the bytes.

    A notebook keeps each picture twice, see `_kept`.
    """
    from PIL import Image, PngImagePlugin  # matplotlib has needed it for this picture

    with Image.open(file) as drawn:
        about = PngImagePlugin.PngInfo()
        for key, words in drawn.info.items():
            if isinstance(words, str):
                about.add_text(str(key), words)
        few = drawn.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small = BytesIO()
        few.save(small, "PNG", pnginfo=about, dpi=drawn.info.get("dpi"))
    return small.getvalue()


def _as_script_text(state: Any) -> str:
    """A JavaScript string of JSON, in which bytes are `{"base64": …}`."""

    def packed(value: Any) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return {"base64": base64.b64encode(value).decode("ascii")}
        raise TypeError(f"a widget's state can't hold a {type(value).__name__}")

    text = json.dumps(state, default=packed, allow_nan=False)
    return json.dumps(text).replace("<", "\\u003c")


@functools.cache
def _static(name: str) -> str:
    return (_STATIC / name).read_text("utf-8")


def _style(bundle: str) -> str:
    """A widget's CSS: what all have in common, and its own."""
    return _static("theme.css") + _static(f"{bundle}.css")


@functools.cache
def _widget_class(bundle: str) -> Any:
    """The anywidget class of a bundle; made when first shown, as anywidget may not be installed."""
    import anywidget
    import traitlets

    class InstrumentWidget(anywidget.AnyWidget):
        _esm = _STATIC / f"{bundle}.js"
        _css = _style(bundle)
        state = traitlets.Dict().tag(sync=True)
        page = traitlets.Unicode().tag(sync=True)

        def __init__(self, *, owner: Instrument, **traits: Any) -> None:
            self._owner = owner
            super().__init__(**traits)
            self.on_msg(self._heard)

        def __repr__(self) -> str:
            return repr(self._owner)

        def close(self) -> None:
            """Close every comm: ipywidgets leaves the one of the layout open."""
            layout = self.layout
            super().close()
            layout.close()

        def _heard(self, _widget: object, content: Any, _buffers: object) -> None:
            if not isinstance(content, dict) or content.get("type") != "call":
                return
            reply = {"type": "reply", "id": content.get("id")}
            buffers: list[Any] = []
            try:
                answer = self._owner._answer(content["method"], content.get("args") or {})
                if isinstance(answer, tuple):
                    answer, buffers = answer
                reply["result"] = answer
            except (ValueError, TypeError, RuntimeError, LookupError) as error:
                reply["error"] = str(error.args[0] if error.args else error)
            self.send(reply, buffers)

    # The browser keeps the style sheet of each class by the name of the class: one for each bundle.
    return type(f"{bundle.capitalize()}Widget", (InstrumentWidget,), {"__module__": __name__})
