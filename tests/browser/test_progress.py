"""The bar in a real JupyterLab: it lives, stops by its button, and what is saved shows again.

The tests stand in the order in which a learner does these things, on one open notebook.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

TRAIN = """\
import math, time
from tensorlab_widgets import progress

epochs = progress(range(2000), label="training")
for epoch in epochs:
    batches = progress(range(10), label="batches")
    for batch in batches:
        time.sleep(0.01)
        step = 10 * epoch + batch
        batches.set(loss=2.3 * math.exp(-step / 60) + 0.1 * math.sin(step), grad_norm=1 + math.cos(step / 9))
    epochs.set(accuracy=1 - 0.9 * math.exp(-epoch / 5))
print("stopped:", epochs.stopped, "whole:", epochs.n >= 1)"""
AGAIN = TRAIN.replace("grad_norm=1 + math.cos(step / 9)", "grad_norm=math.nan")


@pytest.fixture(scope="module")
def notebook(lab: Any) -> Iterator[Any]:
    with lab.notebook("progress", [TRAIN, AGAIN, "print(epochs.n)"], (1180, 760)) as opened:
        yield opened


def test_it_lives(notebook: Any) -> None:
    notebook.run(0)
    bar = notebook.page.locator(".tl-progress")
    bar.wait_for(timeout=30_000)
    count = bar.locator(".tl-count").first
    seen = set()
    for _ in range(20):
        seen.add(count.text_content())
        notebook.page.wait_for_timeout(100)
    assert len(seen) >= 5, seen
    assert bar.get_by_role("progressbar", name="training").count() == 1
    assert bar.locator(".tl-nested .tl-spark path").first.get_attribute("d").count("L") > 5
    assert "left" in bar.locator(".tl-time").first.text_content()
    notebook.screenshot("progress-live-light")
    for theme, name in [("Dark", "dark"), ("Dark High Contrast", "contrast")]:
        notebook.theme(theme)
        notebook.screenshot(f"progress-live-{name}")
    notebook.theme("Light")


def test_its_button_stops_the_loop_and_the_cell_goes_on(notebook: Any) -> None:
    notebook.page.get_by_role("button", name="Stop", exact=True).click()
    html, _, stream = notebook.finished(0, "stopped:")
    assert html["data"]["text/plain"].startswith("■ training: stopped after ")
    assert "".join(stream["text"]) == "stopped: True whole: True\n"
    notebook.page.locator(".jp-OutputArea strong", has_text="training").wait_for()
    assert notebook.page.locator(".tl-progress").count() == 0
    notebook.screenshot("progress-stopped")


def test_the_toolbars_stop_does_the_same(notebook: Any) -> None:
    notebook.run(1)
    notebook.page.locator(".tl-progress .tl-bad").wait_for(timeout=30_000)
    notebook.page.wait_for_timeout(500)
    notebook.screenshot("progress-nan")
    notebook.command("notebook:interrupt-kernel")
    html, _, stream = notebook.finished(1, "stopped:")
    assert html["data"]["text/plain"].startswith("■ training: stopped after ")
    assert "".join(stream["text"]).startswith("stopped: True")


def test_the_state_is_there_afterwards(notebook: Any) -> None:
    notebook.run(2)
    (stream,) = notebook.finished(2, "\n")
    assert int("".join(stream["text"])) >= 1


def test_saved_and_reopened_the_static_form_is_shown(notebook: Any) -> None:
    saved = notebook.save()
    for cell in saved["cells"][:2]:
        assert cell["outputs"][0]["data"].keys() == {"text/html", "text/plain"}
    widgets = saved["metadata"].get("widgets", {})
    assert not any(state.get("state") for state in widgets.values())

    notebook.shut_kernel_down()
    notebook.open()
    notebook.page.locator(".jp-OutputArea strong", has_text="training").first.wait_for()
    text = notebook.text()
    assert "stopped after" in text
    assert "Error displaying widget" not in text
    assert "Loading widget" not in text
    notebook.screenshot("progress-reopened")
    notebook.theme("Dark")
    notebook.screenshot("progress-reopened-dark")
    notebook.theme("Light")


def test_untrusted_and_exported_it_is_still_readable(notebook: Any) -> None:
    notebook.open_untrusted()
    notebook.page.locator(".jp-OutputArea-output", has_text="training").first.wait_for()
    assert "stopped after" in notebook.text()
    notebook.screenshot("progress-untrusted")
    with notebook.exported() as page:
        strong = page.locator("strong", has_text="training").first
        assert strong.is_visible()
        assert "stopped after" in page.locator("body").inner_text()
        page.screenshot(path=notebook.screenshots / "progress-exported.png")
