"""The tensor view in a real JupyterLab: sliders, places in storage, a difference, what outputs keep."""

from __future__ import annotations

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
CELLS = [
    "%load_ext tensorlab\nimport tensorlab as tl\nx = tl.arange(24).reshape(2, 3, 4)",
    "%tensorlab view x",
    "%tensorlab view x[0] x[0].T",
    """\
a = tl.arange(12.0).reshape(3, 4) - 5
b = a.clone()
b[1, 2] += 0.5
b[2, 3] = float('nan')
%tensorlab view a b""",
    "big = tl.randn(3, 2000, 3000)\nbig[0, 3, 5] = float('inf')\n%tensorlab view big",
    "%tensorlab view tl.rand(6,3,12,12)",
]


class Lab:
    """One notebook open in JupyterLab."""

    def __init__(self, page: Any, url: str, screenshots: Path) -> None:
        self.page, self.url, self.screenshots = page, url, screenshots

    def open(self, name: str) -> None:
        self.page.goto(self.url.format(name=name), timeout=60_000)
        self.page.wait_for_function(IDLE, timeout=60_000)

    def show(self, index: int) -> Any:
        """Bring a cell into sight; returns its widget."""
        self.page.evaluate(
            """async (i) => {
              const notebook = window.jupyterapp.shell.currentWidget.content;
              notebook.activeCellIndex = i;
              await notebook.scrollToItem(i, 'start');
            }""",
            index,
        )
        self.page.wait_for_timeout(500)
        return self.page.locator(f".jp-Cell[data-windowed-list-index='{index}'] .tl-tensor")

    def command(self, name: str) -> None:
        self.page.evaluate("(name) => window.jupyterapp.commands.execute(name)", name)

    def shot(self, name: str) -> None:
        self.page.screenshot(path=self.screenshots / f"tensor-{name}.png")


@pytest.fixture(scope="module")
def lab(browser: Any, screenshots: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / "tensors.ipynb")
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
        opened = Lab(page, url, screenshots)
        opened.open("tensors.ipynb")
        opened.command("notebook:run-all-cells")
        page.wait_for_function(
            """(n) => [...window.jupyterapp.shell.currentWidget.content.model.cells]
              .filter((cell) => cell.executionCount).length === n""",
            arg=len(CELLS), timeout=60_000,
        )  # fmt: skip
        page.wait_for_function(IDLE, timeout=60_000)
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


def hover(widget: Any, panel: int, row: float, column: float) -> None:
    """Point at a cell of small planes: rows and columns as shares of the picture."""
    heat = widget.locator(".tl-tensor-heat").nth(panel)
    box = heat.bounding_box()
    heat.hover(position={"x": box["width"] * column, "y": box["height"] * row})


def test_a_slider_moves_through_a_dimension_and_a_cell_has_a_place(lab: Lab) -> None:
    widget = lab.show(1)
    slider = widget.get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    widget.get_by_text("1 of 2").wait_for()
    hover(widget, 0, 0.5, 0.6)
    read = widget.locator(".tl-tensor-read")
    read.get_by_text("x[1, 1, 2] is 18").wait_for()
    assert "offset 0 + 1·12 + 1·4 + 2·1 = 18" in read.inner_text()
    lab.shot("slider")
    heat = widget.locator(".tl-tensor-heat")
    heat.focus()
    heat.press("Home")
    heat.press("ArrowDown")
    read.get_by_text("x[1, 2, 0] is 20").wait_for()


def test_two_views_of_one_tape(lab: Lab) -> None:
    widget = lab.show(2)
    hover(widget, 1, 0.6, 0.5)
    read = widget.locator(".tl-tensor-read")
    read.get_by_text("x[0].T[2, 1] is 6").wait_for()
    assert "the same place: x[0][1, 2], x[0].T[2, 1]" in read.inner_text()
    lab.shot("tape")
    widget.locator("svg[aria-label^=Storage] rect").nth(4).hover()
    read.get_by_text("place 4: read by x[0][1, 0] and x[0].T[0, 1]").wait_for()


def test_a_difference(lab: Lab) -> None:
    widget = lab.show(3)
    assert "2 of 12 elements differ" in widget.inner_text()
    hover(widget, 2, 0.5, 0.6)
    read = widget.locator(".tl-tensor-read")
    read.get_by_text("a − b[1, 2] is -0.5").wait_for()
    assert "b[1, 2] is 1.5" in read.inner_text()
    lab.shot("difference")


def test_a_large_tensor_is_shown_in_blocks_that_open(lab: Lab) -> None:
    widget = lab.show(4)
    text = widget.inner_text()
    assert "Each cell is the mean of 16 × 12 elements" in text
    assert "✕ marks nan and infinity: 1 element." in text
    lab.shot("large")
    heat = widget.locator(".tl-tensor-heat")
    heat.focus()
    heat.press("Home")
    for _ in range(3):
        heat.press("Enter")
        lab.page.wait_for_timeout(400)
    widget.get_by_text("Rows 0–").wait_for()
    lab.shot("opened")
    widget.get_by_role("button", name="Whole plane").click()
    widget.get_by_text("Each cell is the mean of 16 × 12 elements").wait_for()


def test_images_and_the_dark_theme(lab: Lab) -> None:
    widget = lab.show(5)
    widget.get_by_role("button", name="Images").click()
    assert widget.locator(".tl-tensor-images canvas").count() == 6
    lab.page.evaluate(
        "() => window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"
    )
    lab.page.wait_for_function("() => document.body.dataset.jpThemeName === 'JupyterLab Dark'")
    lab.page.wait_for_timeout(600)
    lab.shot("images-dark")
    with lab.page.expect_download() as download:
        widget.get_by_role("button", name="HTML", exact=True).click()
    path = lab.screenshots / "tensor.html"
    download.value.save_as(path)
    page = lab.page.context.new_page()
    page.goto(path.as_uri())
    page.locator(".tl-tensor-heat").wait_for()
    page.close()


def test_outputs_keep_picture_and_words_and_the_page_reloaded_shows_the_widget(lab: Lab) -> None:
    outputs = lab.page.evaluate(
        """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
          .map((cell) => cell.outputs.toJSON())"""
    )
    for shown in outputs[1:]:
        data = shown[0]["data"]
        assert {"text/plain", "image/png"} < data.keys()
        assert "float32" in data["text/plain"] or "int64" in data["text/plain"]
    lab.command("docmanager:save")
    lab.page.wait_for_timeout(1500)
    lab.open("tensors.ipynb")
    lab.show(3)
    lab.page.get_by_text("2 of 12 elements differ").first.wait_for(timeout=20_000)
    lab.shot("reopened")
