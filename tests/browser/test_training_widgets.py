"""The training dashboard and the gradient flow in a real JupyterLab, operated while a model trains.

The tests stand in the order in which somebody does these things, on one open notebook.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
pytest.importorskip("anywidget", reason="anywidget is not installed")

ROOT = Path(__file__).parents[2]
IDLE = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.context;
  const kernel = context?.sessionContext?.session?.kernel;
  return Boolean(context?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle');
}"""
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


class Lab:
    """One notebook open in JupyterLab."""

    def __init__(self, page: Any, url: str, folder: Path, screenshots: Path) -> None:
        self.page, self.url, self.folder, self.screenshots = page, url, folder, screenshots

    def open(self, name: str) -> None:
        self.page.goto(self.url.format(name=name), timeout=60_000)
        self.page.wait_for_function(IDLE, timeout=60_000)

    def run(self, index: int) -> None:
        """Start a cell; does not wait for its end."""
        self.page.evaluate(
            """(i) => {
              const notebook = window.jupyterapp.shell.currentWidget.content;
              notebook.activeCellIndex = i;
              notebook.scrollToItem(i, 'start');
              window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            index,
        )

    def outputs(self, index: int) -> list[dict[str, Any]]:
        return self.page.evaluate(
            "(i) => window.jupyterapp.shell.currentWidget.content.model.cells.get(i).outputs.toJSON()",
            index,
        )

    def finished(self, index: int, ending: str) -> list[dict[str, Any]]:
        """Wait until a cell has printed `ending`; returns its outputs."""
        for _ in range(300):
            found = self.outputs(index)
            errors = [each for each in found if each["output_type"] == "error"]
            assert not errors, "\n".join(errors[0]["traceback"])
            if any(ending in "".join(each.get("text", "")) for each in found):
                self.page.wait_for_function(IDLE, timeout=60_000)
                return self.outputs(index)
            self.page.wait_for_timeout(100)
        raise AssertionError(self.outputs(index))

    def idle(self) -> None:
        self.page.wait_for_timeout(200)
        self.page.wait_for_function(IDLE, timeout=60_000)

    def theme(self, name: str) -> None:
        self.page.evaluate(
            "(name) => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })",
            name,
        )
        self.page.wait_for_function(
            "(name) => document.body.dataset.jpThemeName === name", arg=name, timeout=20_000
        )
        self.page.locator("#jupyterlab-splash").wait_for(state="hidden")
        self.page.wait_for_timeout(400)

    def shot(self, name: str) -> None:
        self.page.screenshot(path=self.screenshots / f"training-{name}.png")


@pytest.fixture(scope="module")
def lab(browser: Any, screenshots: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / "training.ipynb")
    settings = tmp_path_factory.mktemp("settings")
    news = settings / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}', "utf-8")
    paths = [str(ROOT), str(ROOT / "widgets"), os.environ.get("PYTHONPATH", "")]
    token = os.urandom(16).hex()
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [
                sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0",
                f"--ServerApp.root_dir={folder}", "--allow-root", f"--IdentityProvider.token={token}",
                "--LabApp.expose_app_in_browser=True",
            ],
            env={
                **os.environ,
                "JUPYTERLAB_SETTINGS_DIR": str(settings),
                "PYTHONPATH": os.pathsep.join(paths),
                "TENSORLAB_LIVE": "1",
            },
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        port = _port(folder / "log", server)
        page = browser.new_context(viewport={"width": 1180, "height": 900}).new_page()
        url = f"http://127.0.0.1:{port}/lab/tree/{{name}}?token={token}&reset"
        opened = Lab(page, url, folder, screenshots)
        opened.open("training.ipynb")
        opened.run(0)
        opened.idle()
        yield opened
        page.context.close()
    finally:
        server.terminate()
        server.wait(timeout=30)


def _port(log: Path, server: subprocess.Popen) -> int:
    for _ in range(300):
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text())
        if found:
            return int(found.group(1))
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_a_training_in_the_cell_is_seen_and_stopped_by_its_button(lab: Lab) -> None:
    lab.run(1)
    widget = lab.page.locator(".tl-train")
    widget.wait_for(timeout=30_000)
    widget.locator(".tl-chart-svg path[d*=L]").first.wait_for(timeout=20_000)
    count = widget.locator(".tl-train-count")
    seen = set()
    for _ in range(15):
        seen.add(count.text_content())
        lab.page.wait_for_timeout(150)
    assert len(seen) >= 4, seen
    assert "steps/s" in widget.inner_text()
    assert "examples/s" in widget.inner_text()
    widget.locator(".tl-strip-cell").first.wait_for(timeout=20_000)
    assert widget.locator(".tl-strip-cell").count() == 12
    lab.shot("fit-light")
    for theme, name in [("Dark", "dark"), ("Dark High Contrast", "contrast")]:
        lab.theme(f"JupyterLab {theme}")
        lab.shot(f"fit-{name}")
    lab.theme("JupyterLab Light")
    widget.get_by_role("button", name="Stop", exact=True).click()
    picture, stream = lab.finished(1, "stopped:")
    assert stream["text"] == "stopped: True True\n"
    assert picture["data"].keys() == {"image/png", "text/plain"}
    assert picture["data"]["text/plain"].startswith("■ training: stopped after ")
    assert lab.page.locator(".tl-train").count() == 0
    lab.shot("fit-stopped")


def test_in_a_thread_it_is_paused_and_its_rate_changed_while_it_trains(lab: Lab) -> None:
    lab.run(2)
    widget = lab.page.locator(".tl-train")
    widget.locator(".tl-chart-svg path[d*=L]").first.wait_for(timeout=30_000)
    rate = widget.get_by_role("textbox", name="Learning rate")
    rate.fill("0.02")
    rate.press("Enter")
    panel = widget.locator(".tl-train-panel", has_text="learning rate")
    panel.get_by_text("0.02", exact=True).wait_for(timeout=10_000)
    widget.get_by_role("button", name="Halve the learning rate").click()
    panel.get_by_text("0.01", exact=True).wait_for(timeout=10_000)

    widget.get_by_role("button", name="Pause", exact=True).click()
    widget.get_by_text("Paused between two steps.").wait_for(timeout=10_000)
    count = widget.locator(".tl-train-count")
    before = count.text_content()
    lab.page.wait_for_timeout(600)
    assert count.text_content() == before
    lab.shot("fit-paused")
    widget.get_by_role("button", name="Resume", exact=True).click()
    lab.page.wait_for_function(
        "([before]) => document.querySelector('.tl-train-count').textContent !== before",
        arg=[before], timeout=10_000,
    )  # fmt: skip
    widget.get_by_role("button", name="Stop", exact=True).click()
    widget.wait_for(state="detached", timeout=20_000)
    (picture,) = lab.outputs(2)
    assert picture["data"]["text/plain"].startswith("■ training: stopped after ")

    lab.run(3)
    outputs = lab.finished(3, "went on:")
    text = "".join(each["text"] for each in outputs if each["output_type"] == "stream")
    assert text == "stopped: True at rate [0.01] whole: True\nwent on: True False\n"


def test_gradients_flow_while_another_cell_trains(lab: Lab) -> None:
    lab.run(4)
    flow = lab.page.locator(".tl-flow")
    flow.get_by_text("Nothing is recorded yet").wait_for(timeout=30_000)
    lab.run(5)
    lab.finished(5, "trained")
    flow.get_by_text("96 steps, recording").wait_for(timeout=20_000)
    assert flow.locator(".tl-flow-list").get_by_role("option").count() == 6
    assert flow.locator(".tl-flow-error", has_text="vanishing").count() == 1
    # The picture and the words that are saved are those of now, though another cell trained.
    (shown,) = lab.outputs(4)
    assert "96 steps" in shown["data"]["text/plain"]
    assert "image/png" in shown["data"]
    lab.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.scrollToItem(4, 'start')"
    )
    lab.page.wait_for_timeout(500)
    lab.shot("flow-light")
    lab.theme("JupyterLab Dark")
    lab.shot("flow-dark")
    lab.theme("JupyterLab Light")


def test_layers_are_picked_hovered_and_a_range_is_brushed(lab: Lab) -> None:
    flow = lab.page.locator(".tl-flow")
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
    lab.page.mouse.move(box["x"] + box["width"] / 2, y)
    flow.get_by_text(re.compile(r"^Step \d+ .*loss")).wait_for()
    lab.page.mouse.down()
    lab.page.mouse.move(box["x"] + box["width"] * 0.8, y, steps=5)
    lab.page.mouse.up()
    low = int(flow.get_by_label("First step of the range").input_value())
    high = int(flow.get_by_label("Last step of the range").input_value())
    assert 30 < low < high < 90
    lab.page.mouse.move(box["x"], box["y"] - 60)
    flow.get_by_text("median of the range").wait_for()
    lab.shot("flow-brushed")
    flow.get_by_role("button", name="All steps").click()
    flow.get_by_text("last step", exact=True).wait_for()
    flow.get_by_label("Show").select_option(label="update / weight")
    flow.get_by_role("button", name="log", exact=True).click()
    assert (
        flow.get_by_role("button", name="log", exact=True).get_attribute("aria-pressed") == "false"
    )


def test_two_runs_are_compared_and_the_page_is_saved(lab: Lab) -> None:
    lab.run(6)
    pair = lab.page.locator(".tl-flow").nth(1)
    pair.get_by_text("96 and 96 steps").wait_for(timeout=30_000)
    assert pair.locator(".tl-flow-histogram:visible").count() == 2
    assert pair.locator(".tl-flow-head").inner_text().count("relu") == 1
    lab.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.scrollToItem(6, 'start')"
    )
    lab.page.wait_for_timeout(500)
    lab.shot("flow-compared")
    for name in ("SVG", "PNG", "HTML"):
        with lab.page.expect_download() as download:
            pair.get_by_role("button", name=name, exact=True).click()
        path = lab.screenshots / f"training-flow.{name.lower()}"
        download.value.save_as(path)
    # The page needs no kernel and no network.
    page = lab.page.context.new_page()
    page.goto((lab.screenshots / "training-flow.html").as_uri())
    page.get_by_text("96 and 96 steps").wait_for()
    assert page.locator(".tl-flow-list").get_by_role("option").count() == 6
    page.screenshot(path=lab.screenshots / "training-flow-page.png")
    page.close()


def test_closed_saved_and_opened_again_something_true_is_shown(lab: Lab) -> None:
    lab.run(7)
    lab.finished(7, "gradient flow")
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    lab.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    notebook = json.loads((lab.folder / "training.ipynb").read_text("utf-8"))
    for cell in (1, 2, 4, 6):
        data = notebook["cells"][cell]["outputs"][0]["data"]
        assert data.keys() == {"image/png", "text/plain"}, cell
    lab.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()"
    )
    lab.open("training.ipynb")
    lab.page.locator(".jp-OutputArea img").first.wait_for()
    text = lab.page.locator(".jp-Notebook").inner_text()
    assert "Error displaying widget" not in text
    assert "Loading widget" not in text
    lab.shot("reopened")
