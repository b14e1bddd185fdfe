"""The training dashboard and the gradient flow in a real JupyterLab, operated while a model trains.

The tests stand in the order in which somebody does these things, on one open notebook; each runs what it
needs of the cells before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from .lab import expect

SETUP = """\
import tensorlab as tl, time
from tensorlab import nn
from tensorlab_widgets import dashboard, fit, gradients
from tensorlab.nn.functional import cross_entropy

tl.manual_seed(0)
x = tl.randn(512, 16)
y = (x[:, 0] * x[:, 1] > 0).long()
data = [(x[i : i + 32], y[i : i + 32]) for i in range(0, 512, 32)]

def start(act=nn.ReLU):
    tl.manual_seed(1)
    layers = [layer for _ in range(5) for layer in (nn.Linear(16, 16), act())]
    model = nn.Sequential(*layers, nn.Linear(16, 2))
    return model, tl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

def accuracy(output, target):
    time.sleep(0.004)  # a step as long as one of a larger model
    return (output.argmax(1) == target).float().mean()"""
CELLS = [
    SETUP,
    """\
model, optimizer = start()
run = fit(model, data, cross_entropy, optimizer, epochs=100_000, metrics=[accuracy], validation=data[:4])
print("stopped:", run.stopped, all(bool(p.isfinite().all()) for p in model.parameters()))""",
    """\
model, optimizer = start()
run = fit(model, data, cross_entropy, optimizer, epochs=100_000, metrics=[accuracy], mode="thread")""",
    """\
# Stop may come between the last step of an epoch and the epoch's line in the history.
print("stopped:", run.stopped, "at rate", run.lr, "whole:", 0 <= run.n - len(run.history) * 16 <= 16)
before = run.n
run.resume(epochs=len(run.history) + 2, mode="sync")
print("went on:", run.n > before, run.stopped)""",
    """\
model, optimizer = start(nn.Sigmoid)
flow = gradients(model, every=1)
flow""",
    """\
for epoch in range(6):
    for inputs, target in data:
        optimizer.zero_grad()
        cross_entropy(model(inputs), target).backward()
        optimizer.step()
print("trained")""",
    """\
flow.remove()
model, optimizer = start()
with tl.inspect.gradients(model, every=1) as recorder:
    fit(model, data, cross_entropy, optimizer, epochs=6, gradients=False, show=False)
pair = gradients(flow.recorder, compare=recorder.to_dict(), labels=("sigmoid", "relu"))
pair""",
    "pair.close(); flow.close()\nprint(flow)",
]


@pytest.fixture(scope="module")
def notebook(lab: Any) -> Iterator[Any]:
    with lab.notebook("training", CELLS) as opened:
        yield opened


def train(notebook: Any, index: int) -> Any:
    """Start the training of a cell; returns its dashboard, with curves in it."""
    notebook.needs(0)
    widget = notebook.run(index).locator(".tl-train")
    widget.locator(".tl-chart-svg path[d*=L]").first.wait_for()
    return widget


def stop(widget: Any) -> None:
    widget.get_by_role("button", name="Stop", exact=True).click()
    widget.wait_for(state="detached")


def flow_of(notebook: Any, index: int) -> Any:
    """The gradient flow that a cell shows, in sight."""
    return notebook.show(index).locator(".tl-flow")


def test_a_training_in_the_cell_is_seen_and_stopped_by_its_button(notebook: Any) -> None:
    widget = train(notebook, 1)
    count = widget.locator(".tl-train-count")
    for _ in range(4):
        expect(count).not_to_have_text(count.text_content())
    expect(widget).to_contain_text("steps/s")
    expect(widget).to_contain_text("examples/s")
    expect(widget.locator(".tl-strip-cell")).to_have_count(12)
    notebook.screenshot("training-fit-light")
    for theme, name in [("Dark", "dark"), ("Dark High Contrast", "contrast")]:
        notebook.theme(theme)
        notebook.screenshot(f"training-fit-{name}")
    notebook.theme("Light")
    stop(widget)
    picture, _, stream = notebook.finished(1, "stopped:")
    assert stream["text"] == "stopped: True True\n"
    assert picture["data"].keys() == {"image/png", "text/plain"}
    assert picture["data"]["text/plain"].startswith("■ training: stopped after ")
    notebook.screenshot("training-fit-stopped")


def test_in_a_thread_it_is_paused_and_its_rate_changed_while_it_trains(notebook: Any) -> None:
    widget = train(notebook, 2)
    rate = widget.get_by_role("textbox", name="Learning rate")
    rate.fill("0.02")
    rate.press("Enter")
    # The chart's axis may have a tick of the same value: only the words above it are looked at.
    panel = widget.locator(".tl-train-panel", has_text="learning rate")
    value = panel.locator(".tl-train-values")
    expect(value).to_have_text("0.02")
    widget.get_by_role("button", name="Halve the learning rate").click()
    expect(value).to_have_text("0.01")

    widget.get_by_role("button", name="Pause", exact=True).click()
    widget.get_by_text("Paused between two steps.").wait_for()
    count = widget.locator(".tl-train-count")
    before = count.text_content()
    notebook.page.wait_for_timeout(600)
    assert count.text_content() == before
    notebook.screenshot("training-fit-paused")
    widget.get_by_role("button", name="Resume", exact=True).click()
    expect(count).not_to_have_text(before)
    stop(widget)
    picture, _ = notebook.outputs(2)
    assert picture["data"]["text/plain"].startswith("■ training: stopped after ")

    notebook.run(3)
    outputs = notebook.finished(3, "went on:")
    text = "".join(each["text"] for each in outputs if each["output_type"] == "stream")
    assert text == "stopped: True at rate [0.01] whole: True\nwent on: True False\n"


def test_gradients_flow_while_another_cell_trains(notebook: Any) -> None:
    notebook.needs(0)
    notebook.run(4)
    expect(flow_of(notebook, 4)).to_contain_text("Nothing is recorded yet")
    notebook.run_to_its_end(5)
    flow = flow_of(notebook, 4)
    expect(flow).to_contain_text("96 steps, recording")
    expect(flow.locator(".tl-flow-list").get_by_role("option")).to_have_count(6)
    expect(flow.locator(".tl-flow-error", has_text="vanishing")).to_have_count(1)
    # The picture and the words that are saved are those of now, though another cell trained.
    shown, _ = notebook.outputs(4)
    assert "96 steps" in shown["data"]["text/plain"]
    assert "image/png" in shown["data"]
    notebook.screenshot("training-flow-light")
    notebook.theme("Dark")
    notebook.screenshot("training-flow-dark")
    notebook.theme("Light")


def test_layers_are_picked_hovered_and_a_range_is_brushed(notebook: Any) -> None:
    notebook.needs(0, 4, 5)
    flow = flow_of(notebook, 4)
    options = flow.locator(".tl-flow-list").get_by_role("option")
    options.first.click()
    expect(options.first).to_have_attribute("aria-selected", "true")
    expect(options.first).to_have_text(re.compile("^0"))
    flow.get_by_text("Values of the gradients of 0").wait_for()
    flow.get_by_role("listbox").press("ArrowDown")
    flow.get_by_text("Values of the gradients of 2").wait_for()

    chart = flow.locator(".tl-chart-svg").first
    chart.hover()
    flow.get_by_text(re.compile(r"^Step \d+ .*loss")).wait_for()
    box = chart.bounding_box()
    y = box["y"] + box["height"] / 2
    notebook.page.mouse.down()
    notebook.page.mouse.move(box["x"] + box["width"] * 0.8, y, steps=5)
    notebook.page.mouse.up()
    # The brush begins in the middle of 96 steps; the axis takes a part of the width.
    low, high = (flow.get_by_label(f"{end} step of the range") for end in ("First", "Last"))
    expect(low).to_have_value(re.compile("^[3-5][0-9]$"))
    expect(high).to_have_value(re.compile("^[6-8][0-9]$"))
    notebook.page.mouse.move(box["x"], box["y"] - 60)
    flow.get_by_text("median of the range").wait_for()
    notebook.screenshot("training-flow-brushed")
    flow.get_by_role("button", name="All steps").click()
    flow.get_by_text("last step", exact=True).wait_for()
    flow.get_by_label("Show").select_option(label="update / weight")
    log = flow.get_by_role("button", name="log", exact=True)
    log.click()
    expect(log).to_have_attribute("aria-pressed", "false")


def test_two_runs_are_compared_and_the_page_is_saved(notebook: Any) -> None:
    notebook.needs(0, 4, 5)
    notebook.run_to_its_end(6)
    pair = flow_of(notebook, 6)
    expect(pair).to_contain_text("96 and 96 steps")
    expect(pair.locator(".tl-flow-histogram:visible")).to_have_count(2)
    assert pair.locator(".tl-flow-head").inner_text().count("relu") == 1
    notebook.screenshot("training-flow-compared")
    for name in ("SVG", "PNG", "HTML"):
        button = pair.get_by_role("button", name=name, exact=True)
        path = notebook.download(button.click, f"training-flow.{name.lower()}")
    # The page needs no kernel and no network.
    with notebook.other_page(path) as page:
        page.get_by_text("96 and 96 steps").wait_for()
        expect(page.locator(".tl-flow-list").get_by_role("option")).to_have_count(6)
        page.screenshot(path=path.with_name("training-flow-page.png"))


def test_closed_saved_and_opened_again_something_true_is_shown(notebook: Any) -> None:
    for index in (1, 2):
        if not notebook.has_run(index):
            stop(train(notebook, index))
            notebook.wait_until_idle()
    notebook.needs(0, 4, 5, 6)
    notebook.run_to_its_end(7)
    saved = notebook.save()
    for cell in (1, 2, 4, 6):
        data = saved["cells"][cell]["outputs"][0]["data"]
        assert data.keys() == {"image/png", "text/plain"}, cell
    notebook.shut_kernel_down()
    notebook.open()
    notebook.page.locator(".jp-OutputArea img").first.wait_for()
    text = notebook.text()
    assert "Error displaying widget" not in text
    assert "Loading widget" not in text
    notebook.screenshot("training-reopened")
