"""The training dashboard and the gradient flow in a real JupyterLab, operated while a model trains.

The tests stand in the order in which somebody does these things, on one open notebook.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

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
run = fit(model, data, cross_entropy, optimizer, epochs=2000, metrics=[accuracy], validation=data[:4])
print("stopped:", run.stopped, all(bool(p.isfinite().all()) for p in model.parameters()))""",
    """\
model, optimizer = start()
run = fit(model, data, cross_entropy, optimizer, epochs=2000, metrics=[accuracy], mode="thread")""",
    """\
print("stopped:", run.stopped, "at rate", run.lr, "whole:", run.n == len(run.history) * 16 + run.n % 16)
before = run.n
run.resume(epochs=len(run.history) + 1, mode="sync")
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
        opened.run_to_its_end(0)
        yield opened


def test_a_training_in_the_cell_is_seen_and_stopped_by_its_button(notebook: Any) -> None:
    notebook.run(1)
    widget = notebook.page.locator(".tl-train")
    widget.wait_for(timeout=30_000)
    widget.locator(".tl-chart-svg path[d*=L]").first.wait_for(timeout=20_000)
    count = widget.locator(".tl-train-count")
    seen = set()
    for _ in range(15):
        seen.add(count.text_content())
        notebook.page.wait_for_timeout(150)
    assert len(seen) >= 4, seen
    assert "steps/s" in widget.inner_text()
    assert "examples/s" in widget.inner_text()
    widget.locator(".tl-strip-cell").first.wait_for(timeout=20_000)
    assert widget.locator(".tl-strip-cell").count() == 12
    notebook.screenshot("training-fit-light")
    for theme, name in [("Dark", "dark"), ("Dark High Contrast", "contrast")]:
        notebook.theme(theme)
        notebook.screenshot(f"training-fit-{name}")
    notebook.theme("Light")
    widget.get_by_role("button", name="Stop", exact=True).click()
    picture, _, stream = notebook.finished(1, "stopped:")
    assert stream["text"] == "stopped: True True\n"
    assert picture["data"].keys() == {"image/png", "text/plain"}
    assert picture["data"]["text/plain"].startswith("■ training: stopped after ")
    assert notebook.page.locator(".tl-train").count() == 0
    notebook.screenshot("training-fit-stopped")


def test_in_a_thread_it_is_paused_and_its_rate_changed_while_it_trains(notebook: Any) -> None:
    notebook.run(2)
    widget = notebook.page.locator(".tl-train")
    widget.locator(".tl-chart-svg path[d*=L]").first.wait_for(timeout=30_000)
    rate = widget.get_by_role("textbox", name="Learning rate")
    rate.fill("0.02")
    rate.press("Enter")
    # The chart's axis may have a tick of the same value: only the words above it are looked at.
    panel = widget.locator(".tl-train-panel", has_text="learning rate")
    value = panel.locator(".tl-train-values")
    value.get_by_text("0.02", exact=True).wait_for(timeout=10_000)
    widget.get_by_role("button", name="Halve the learning rate").click()
    value.get_by_text("0.01", exact=True).wait_for(timeout=10_000)

    widget.get_by_role("button", name="Pause", exact=True).click()
    widget.get_by_text("Paused between two steps.").wait_for(timeout=10_000)
    count = widget.locator(".tl-train-count")
    before = count.text_content()
    notebook.page.wait_for_timeout(600)
    assert count.text_content() == before
    notebook.screenshot("training-fit-paused")
    widget.get_by_role("button", name="Resume", exact=True).click()
    notebook.page.wait_for_function(
        "([before]) => document.querySelector('.tl-train-count').textContent !== before",
        arg=[before], timeout=10_000,
    )  # fmt: skip
    widget.get_by_role("button", name="Stop", exact=True).click()
    widget.wait_for(state="detached", timeout=20_000)
    picture, _ = notebook.outputs(2)
    assert picture["data"]["text/plain"].startswith("■ training: stopped after ")

    notebook.run(3)
    outputs = notebook.finished(3, "went on:")
    text = "".join(each["text"] for each in outputs if each["output_type"] == "stream")
    assert text == "stopped: True at rate [0.01] whole: True\nwent on: True False\n"


def test_gradients_flow_while_another_cell_trains(notebook: Any) -> None:
    notebook.run(4)
    flow = notebook.page.locator(".tl-flow")
    flow.get_by_text("Nothing is recorded yet").wait_for(timeout=30_000)
    notebook.run(5)
    notebook.finished(5, "trained")
    flow.get_by_text("96 steps, recording").wait_for(timeout=20_000)
    assert flow.locator(".tl-flow-list").get_by_role("option").count() == 6
    assert flow.locator(".tl-flow-error", has_text="vanishing").count() == 1
    # The picture and the words that are saved are those of now, though another cell trained.
    shown, _ = notebook.outputs(4)
    assert "96 steps" in shown["data"]["text/plain"]
    assert "image/png" in shown["data"]
    notebook.show(4)
    notebook.screenshot("training-flow-light")
    notebook.theme("Dark")
    notebook.screenshot("training-flow-dark")
    notebook.theme("Light")


def test_layers_are_picked_hovered_and_a_range_is_brushed(notebook: Any) -> None:
    flow = notebook.page.locator(".tl-flow")
    flow.locator(".tl-flow-list").get_by_role("option").first.click()
    assert (
        flow.locator(".tl-flow-list")
        .get_by_role("option", selected=True)
        .inner_text()
        .startswith("0")
    )
    flow.get_by_text("Values of the gradients of 0").wait_for()
    flow.get_by_role("listbox").press("ArrowDown")
    flow.get_by_text("Values of the gradients of 2").wait_for()

    chart = flow.locator(".tl-chart-svg").first
    box = chart.bounding_box()
    y = box["y"] + box["height"] / 2
    notebook.page.mouse.move(box["x"] + box["width"] / 2, y)
    flow.get_by_text(re.compile(r"^Step \d+ .*loss")).wait_for()
    notebook.page.mouse.down()
    notebook.page.mouse.move(box["x"] + box["width"] * 0.8, y, steps=5)
    notebook.page.mouse.up()
    low = int(flow.get_by_label("First step of the range").input_value())
    high = int(flow.get_by_label("Last step of the range").input_value())
    assert 30 < low < high < 90
    notebook.page.mouse.move(box["x"], box["y"] - 60)
    flow.get_by_text("median of the range").wait_for()
    notebook.screenshot("training-flow-brushed")
    flow.get_by_role("button", name="All steps").click()
    flow.get_by_text("last step", exact=True).wait_for()
    flow.get_by_label("Show").select_option(label="update / weight")
    flow.get_by_role("button", name="log", exact=True).click()
    assert (
        flow.get_by_role("button", name="log", exact=True).get_attribute("aria-pressed") == "false"
    )


def test_two_runs_are_compared_and_the_page_is_saved(notebook: Any) -> None:
    notebook.run(6)
    pair = notebook.page.locator(".tl-flow").nth(1)
    pair.get_by_text("96 and 96 steps").wait_for(timeout=30_000)
    assert pair.locator(".tl-flow-histogram:visible").count() == 2
    assert pair.locator(".tl-flow-head").inner_text().count("relu") == 1
    notebook.show(6)
    notebook.screenshot("training-flow-compared")
    for name in ("SVG", "PNG", "HTML"):
        button = pair.get_by_role("button", name=name, exact=True)
        path = notebook.download(button.click, f"training-flow.{name.lower()}")
    # The page needs no kernel and no network.
    with notebook.other_page(path) as page:
        page.get_by_text("96 and 96 steps").wait_for()
        assert page.locator(".tl-flow-list").get_by_role("option").count() == 6
        page.screenshot(path=path.with_name("training-flow-page.png"))


def test_closed_saved_and_opened_again_something_true_is_shown(notebook: Any) -> None:
    notebook.run(7)
    notebook.finished(7, "gradient flow")
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
