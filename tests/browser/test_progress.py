"""The bar in a real JupyterLab: it lives, stops by its button, and what is saved shows again.

The tests stand in the order in which a learner does these things, on one open notebook; each runs what it
needs of the cells before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from .lab import expect

TRAIN = """\
import math, time
from tensorlab_widgets import progress

epochs = progress(range(100_000), label="training")
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


def bar_of(notebook: Any, index: int) -> Any:
    """The bar of a cell whose loop runs: it is started unless it runs since the test before."""
    has_ended = any(output["output_type"] == "stream" for output in notebook.outputs(index))
    runs = notebook.has_run(index) and not has_ended
    bar = (notebook.show if runs else notebook.run)(index).locator(".tl-progress")
    bar.wait_for()
    return bar


def stop(notebook: Any, index: int) -> Any:
    """Press the bar's button; returns the cell's outputs."""
    bar_of(notebook, index).get_by_role("button", name="Stop", exact=True).click()
    return notebook.finished(index, "stopped:")


def both_saved(notebook: Any) -> None:
    """Both loops have run and were stopped, and that is in the file."""
    if notebook.path.read_text("utf-8").count("■ training: stopped after ") < 2:
        for index in (0, 1):
            if not notebook.has_run(index):
                stop(notebook, index)
        notebook.save()


def test_it_lives(notebook: Any) -> None:
    bar = bar_of(notebook, 0)
    count = bar.locator(".tl-count").first
    for _ in range(5):
        expect(count).not_to_have_text(count.text_content())
    expect(bar.get_by_role("progressbar", name="training")).to_have_count(1)
    line = bar.locator(".tl-nested .tl-spark path").first
    expect(line).to_have_attribute("d", re.compile("(L[^L]+){6}"))
    expect(bar.locator(".tl-time").first).to_contain_text("left")
    notebook.screenshot("progress-live-light")
    for theme, name in [("Dark", "dark"), ("Dark High Contrast", "contrast")]:
        notebook.theme(theme)
        notebook.screenshot(f"progress-live-{name}")
    notebook.theme("Light")


def test_its_button_stops_the_loop_and_the_cell_goes_on(notebook: Any) -> None:
    html, _, stream = stop(notebook, 0)
    assert html["data"]["text/plain"].startswith("■ training: stopped after ")
    assert "".join(stream["text"]) == "stopped: True whole: True\n"
    cell = notebook.show(0)
    cell.locator(".jp-OutputArea strong", has_text="training").wait_for()
    expect(cell.locator(".tl-progress")).to_have_count(0)
    notebook.screenshot("progress-stopped")
    # What the loop has computed is there.
    notebook.run(2)
    (stream,) = notebook.finished(2, "\n")
    assert int("".join(stream["text"])) >= 1


def test_the_toolbars_stop_does_the_same(notebook: Any) -> None:
    notebook.run(1).locator(".tl-progress .tl-bad").first.wait_for()
    notebook.screenshot("progress-nan")
    notebook.command("notebook:interrupt-kernel")
    html, _, stream = notebook.finished(1, "stopped:")
    assert html["data"]["text/plain"].startswith("■ training: stopped after ")
    assert "".join(stream["text"]).startswith("stopped: True")


def test_saved_and_reopened_the_static_form_is_shown(notebook: Any) -> None:
    both_saved(notebook)
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
    both_saved(notebook)
    notebook.open_untrusted()
    notebook.page.locator(".jp-OutputArea-output", has_text="training").first.wait_for()
    assert "stopped after" in notebook.text()
    notebook.screenshot("progress-untrusted")
    with notebook.exported() as page:
        page.locator("strong", has_text="training").first.wait_for()
        assert "stopped after" in page.locator("body").inner_text()
        page.screenshot(path=notebook.screenshots / "progress-exported.png")
