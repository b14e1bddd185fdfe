"""What a notebook keeps of a live widget: two outputs, which follow what they show."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tensorlab_widgets import _kept
from tensorlab_widgets._kept import Kept

VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET = {"text/plain": "<a widget>", VIEW: {"model_id": "1"}}


class Handle:
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.updates = 0

    def update(self, data: dict[str, Any], *, metadata: Any = None, raw: bool) -> None:
        assert raw
        self.data = data
        self.updates += 1


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """The outputs of the cell."""
    display = pytest.importorskip("IPython.display", reason="IPython is not installed")
    shown: list[Handle] = []

    def show(data: dict[str, Any], **options: Any) -> Handle:
        assert options.pop("raw")
        assert options.pop("display_id")
        shown.append(Handle(data))
        return shown[-1]

    monkeypatch.setattr(display, "display", show)
    return shown


class Thing:
    """Something whose still form changes."""

    value = 1

    def still(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"text/plain": f"{self.value} < 3"}, {}


def test_the_still_form_comes_first_and_is_escaped(outputs: list[Handle]) -> None:
    Kept(Thing().still, WIDGET)
    still, widget = outputs
    assert widget.data == WIDGET
    assert still.data["text/plain"] == "1 < 3"
    assert still.data["text/html"].startswith("<style>")
    assert still.data["text/html"].endswith('<div class="tl-still"><pre>1 &lt; 3</pre></div>')


def test_a_picture_is_drawn_with_its_label(outputs: list[Handle]) -> None:
    bundle = {"text/plain": "x", "image/png": "AAAA"}
    Kept(lambda: (bundle, {"image/png": {"alt": 'a "b"'}}), WIDGET)
    html = outputs[0].data["text/html"]
    assert '<img alt="a &quot;b&quot;" src="data:image/png;base64,AAAA">' in html
    assert outputs[0].data["image/png"] == "AAAA"


def test_it_is_renewed_when_that_is_due(
    outputs: list[Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(_kept.time, "monotonic", lambda: now)
    thing = Thing()

    def slow() -> tuple[dict[str, Any], dict[str, Any]]:
        nonlocal now
        now += 0.5
        return thing.still()

    kept = Kept(slow, WIDGET)
    for _ in range(60):
        now += 1
        kept.renew_at_times()
    # Half a second for a picture is a hundredth of 50 seconds.
    assert outputs[0].updates == 1
    thing.value = 2
    kept.renew()
    assert outputs[0].data["text/plain"] == "2 < 3"
    assert outputs[1].updates == 0


def test_at_the_end_only_the_still_form_is_left(outputs: list[Handle]) -> None:
    kept = Kept(Thing().still, WIDGET)
    kept.end()
    still, widget = outputs
    assert still.data == {"text/plain": "1 < 3"}
    assert VIEW not in widget.data
    assert widget.data["text/plain"] == ""


def test_where_outputs_are_in_frames_there_is_one_of_all(
    outputs: list[Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    kept = Kept(Thing().still, WIDGET)
    (both,) = outputs
    assert both.data == {"text/plain": "1 < 3", VIEW: {"model_id": "1"}}
    kept.end()
    assert both.data == {"text/plain": "1 < 3"}
