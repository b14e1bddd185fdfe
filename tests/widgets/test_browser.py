"""The bar in a real JupyterLab: it lives, stops by its button, and what is saved shows again.

The tests stand in the order in which a learner does these things, on one open notebook.
Screenshots go to $TENSORLAB_SCREENSHOTS if it is set.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
IDLE = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.context;
  const kernel = context?.sessionContext?.session?.kernel;
  return Boolean(context?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle');
}"""
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


class Lab:
    """One notebook open in JupyterLab."""

    def __init__(self, page: Any, url: str, folder: Path, screenshots: Path) -> None:
        self.page, self.url, self.folder, self.screenshots = page, url, folder, screenshots

    def open(self, name: str) -> None:
        self.page.goto(self.url.format(name=name), timeout=60_000)
        self.page.wait_for_function(IDLE, timeout=60_000)

    def command(self, name: str) -> None:
        self.page.evaluate(f"() => {{ window.jupyterapp.commands.execute('{name}'); }}")

    def finished(self, index: int, outputs: int) -> list[dict[str, Any]]:
        """Wait for the end of a cell that ends with a print; returns its outputs."""
        read = (
            "([i, n]) => { const outputs = window.jupyterapp.shell.currentWidget.content.model"
            ".cells.get(i).outputs.toJSON(); return outputs.length === n && outputs; }"
        )
        handle = self.page.wait_for_function(read, arg=[index, outputs], timeout=30_000)
        self.page.wait_for_function(IDLE, timeout=60_000)
        return handle.json_value()

    def run(self, index: int) -> None:
        """Start a cell; does not wait for its end."""
        self.page.evaluate(
            "(i) => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", index
        )
        self.command("notebook:run-cell")

    def theme(self, name: str) -> None:
        self.page.evaluate(
            "(name) => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })",
            name,
        )
        self.page.wait_for_function(
            "(name) => document.body.dataset.jpThemeName === name", arg=name, timeout=20_000
        )
        self.page.locator("#jupyterlab-splash").wait_for(state="hidden")

    def saved(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / name).read_text("utf-8"))

    def shot(self, name: str) -> None:
        self.page.screenshot(path=self.screenshots / f"progress-{name}.png")


@pytest.fixture(scope="module")
def lab(browser: Any, screenshots: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(source) for source in (TRAIN, AGAIN, "print(epochs.n)")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / "training.ipynb")
    settings = tmp_path_factory.mktemp("settings")
    _no_news(settings)
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
        page = browser.new_context(viewport={"width": 1180, "height": 760}).new_page()
        url = f"http://127.0.0.1:{port}/lab/tree/{{name}}?token={token}&reset"
        opened = Lab(page, url, folder, screenshots)
        opened.open("training.ipynb")
        yield opened
        page.context.close()
    finally:
        server.terminate()
        server.wait(timeout=30)


def _no_news(settings: Path) -> None:
    """JupyterLab must not ask whether it may fetch news: it would cover the notebook."""
    folder = settings / "@jupyterlab" / "apputils-extension"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}', "utf-8")


def _port(log: Path, server: subprocess.Popen) -> int:
    import time

    for _ in range(300):
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text())
        if found:
            return int(found.group(1))
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_it_lives(lab: Lab) -> None:
    lab.run(0)
    bar = lab.page.locator(".tl-progress")
    bar.wait_for(timeout=30_000)
    count = bar.locator(".tl-count").first
    seen = set()
    for _ in range(20):
        seen.add(count.text_content())
        lab.page.wait_for_timeout(100)
    assert len(seen) >= 5, seen
    assert bar.get_by_role("progressbar", name="training").count() == 1
    assert bar.locator(".tl-nested .tl-spark path").first.get_attribute("d").count("L") > 5
    assert "left" in bar.locator(".tl-time").first.text_content()
    lab.shot("live-light")
    for theme, name in [("Dark", "dark"), ("Dark High Contrast", "contrast")]:
        lab.theme(f"JupyterLab {theme}")
        lab.shot(f"live-{name}")
    lab.theme("JupyterLab Light")


def test_its_button_stops_the_loop_and_the_cell_goes_on(lab: Lab) -> None:
    lab.page.get_by_role("button", name="Stop", exact=True).click()
    html, stream = lab.finished(0, outputs=2)
    assert html["data"]["text/plain"].startswith("■ training: stopped after ")
    assert "".join(stream["text"]) == "stopped: True whole: True\n"
    lab.page.locator(".jp-OutputArea strong", has_text="training").wait_for()
    assert lab.page.locator(".tl-progress").count() == 0
    lab.shot("stopped")


def test_the_toolbars_stop_does_the_same(lab: Lab) -> None:
    lab.run(1)
    lab.page.locator(".tl-progress .tl-bad").wait_for(timeout=30_000)
    lab.page.wait_for_timeout(500)
    lab.shot("nan")
    lab.command("notebook:interrupt-kernel")
    html, stream = lab.finished(1, outputs=2)
    assert html["data"]["text/plain"].startswith("■ training: stopped after ")
    assert "".join(stream["text"]).startswith("stopped: True")


def test_the_state_is_there_afterwards(lab: Lab) -> None:
    lab.run(2)
    (stream,) = lab.finished(2, outputs=1)
    assert int("".join(stream["text"])) >= 1


def test_saved_and_reopened_the_static_form_is_shown(lab: Lab) -> None:
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    lab.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    notebook = lab.saved("training.ipynb")
    for cell in notebook["cells"][:2]:
        assert cell["outputs"][0]["data"].keys() == {"text/html", "text/plain"}
    widgets = notebook["metadata"].get("widgets", {})
    assert not any(state.get("state") for state in widgets.values())

    lab.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()"
    )
    lab.open("training.ipynb")
    lab.page.locator(".jp-OutputArea strong", has_text="training").first.wait_for()
    text = lab.page.locator(".jp-Notebook").inner_text()
    assert "stopped after" in text
    assert "Error displaying widget" not in text
    assert "Loading widget" not in text
    lab.shot("reopened")
    lab.theme("JupyterLab Dark")
    lab.shot("reopened-dark")
    lab.theme("JupyterLab Light")


def test_untrusted_and_exported_it_is_still_readable(lab: Lab) -> None:
    notebook = lab.saved("training.ipynb")
    notebook["metadata"]["changed"] = "by someone else, so the signature is not ours"
    (lab.folder / "foreign.ipynb").write_text(json.dumps(notebook), "utf-8")
    lab.open("foreign.ipynb")
    lab.page.locator(".jp-OutputArea-output", has_text="training").first.wait_for()
    assert "stopped after" in lab.page.locator(".jp-Notebook").inner_text()
    lab.shot("untrusted")

    nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is not installed")
    body, _ = nbconvert.HTMLExporter().from_filename(str(lab.folder / "training.ipynb"))
    assert "stopped after" in body
    (lab.folder / "export.html").write_text(body, "utf-8")
    page = lab.page.context.new_page()
    page.goto((lab.folder / "export.html").as_uri(), wait_until="domcontentloaded")
    assert page.locator("strong", has_text="training").first.is_visible()
    page.screenshot(path=lab.screenshots / "progress-exported.png")
    page.close()
