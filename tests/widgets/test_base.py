"""What every widget has from `_base`: its bundle, its saved page, questions, and an end without leaks."""

from __future__ import annotations

import base64
import json
import re
from io import BytesIO
from typing import Any, ClassVar

import numpy as np
import pytest

from tensorlab_widgets import _base
from tensorlab_widgets._base import Instrument


class Thing(Instrument):
    _bundle: ClassVar[str] = "progress"  # any bundle that exists

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0
        self.value = 1

    def _title(self) -> str:
        return "a <thing> & more"

    def _text(self) -> str:
        return f"thing {self.value}"

    def _state(self) -> dict[str, Any]:
        return {"value": self.value, "text": "</script>", "data": memoryview(b"\x00\xff")}

    def _answer(self, method: str, args: Any) -> Any:
        if method == "double":
            return 2 * args["x"], [b"abc"]
        return super()._answer(method, args)

    def _close(self) -> None:
        self.closed += 1


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Thing:
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    monkeypatch.setattr(_base, "live_widgets", lambda: True)
    thing = Thing()
    bundle, _ = thing._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    return thing


def test_without_a_notebook_it_is_text() -> None:
    thing = Thing()
    assert thing._repr_mimebundle_() == ({"text/plain": "thing 1"}, {})
    assert repr(thing) == "<a <thing> & more>"
    thing.push()
    thing.send({"type": "x"})
    assert not thing.live


def test_changes_are_sent_at_most_ten_times_a_second_and_the_last_one_always(shown: Thing) -> None:
    states = []
    shown._widget.observe(lambda change: states.append(change["new"]["value"]), "state")
    for value in range(2, 200):
        shown.value = value
        shown.push()
    assert 1 <= len(states) < 60
    shown.close()
    assert states[-1] == 199


def test_questions_are_answered_or_refused_in_words(
    shown: Thing, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(shown._widget, "send", lambda *message: sent.append(message))
    shown._widget._heard(
        None, {"type": "call", "id": 7, "method": "double", "args": {"x": 4}}, None
    )
    shown._widget._heard(None, {"type": "call", "id": 8, "method": "nonsense"}, None)
    shown._widget._heard(None, {"type": "something else"}, None)
    assert sent == [
        ({"type": "reply", "id": 7, "result": 8}, [b"abc"]),
        ({"type": "reply", "id": 8, "error": "this widget knows no 'nonsense'"}, []),
    ]


def test_closing_ends_hooks_and_comms_once(shown: Thing) -> None:
    widget = shown._widget
    shown.close()
    shown.close()
    assert shown.closed == 1
    assert widget.comm is None
    assert widget.layout.comm is None
    assert shown._repr_mimebundle_()[0] == {"text/plain": "thing 1"}


def test_a_saved_page_is_whole_and_no_text_ends_its_scripts(tmp_path) -> None:
    path = Thing().save(tmp_path / "thing.html")
    html = path.read_text("utf-8")
    assert "<title>a &lt;thing&gt; &amp; more</title>" in html
    assert html.count("</script>") == html.count("<script") == 2
    assert "@@" not in html
    packed = re.search(r"JSON.parse\((\".*\"), \(_", html)
    assert packed is not None
    state = json.loads(json.loads(packed[1]))
    assert state["text"] == "</script>"
    assert base64.b64decode(state["data"]["base64"]) == b"\x00\xff"


def test_the_picture_in_a_notebook_is_small_and_says_what_it_shows() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from PIL import Image

    import tensorlab as tl
    from tensorlab_widgets import view

    shown = view(tl.arange(4096).reshape(64, 64))
    png = base64.b64decode(shown._still()[0]["image/png"])
    figure, large = shown._figure(), BytesIO()
    assert figure is not None
    figure.savefig(large, format="png", dpi=110)
    assert len(png) < len(large.getvalue()) / 2
    with Image.open(BytesIO(png)) as small, Image.open(large) as drawn:
        assert small.size == drawn.size
        assert small.info["Description"] == drawn.info["Description"]
        difference = np.asarray(small.convert("RGB"), int) - np.asarray(drawn.convert("RGB"), int)
        assert np.abs(difference).mean() < 2


def test_save_says_what_it_can_write(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.html, \.svg or \.png"):
        Thing().save(tmp_path / "thing.pdf")
    with pytest.raises(ValueError, match="nothing to draw"):
        Thing().save(tmp_path / "thing.png")
    assert list(tmp_path.iterdir()) == []
