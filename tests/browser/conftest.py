"""A real JupyterLab, started by `tensorlab lab`, and a real browser that drives it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# What JupyterLab knows of the notebook's cells. Its page draws only those in sight.
CELLS = """() => {
  const widget = window.jupyterapp.shell.currentWidget;
  const text = (value) => (Array.isArray(value) ? value.join('') : value || '');
  return [...widget.content.model.cells].map((cell) => {
    const data = cell.toJSON();
    return {
      kind: data.cell_type,
      source: text(data.source),
      count: data.execution_count ?? null,
      name: data.metadata.nbgrader?.grade_id ?? '',
      errors: (data.outputs ?? []).filter((output) => output.output_type === 'error').length,
      text: (data.outputs ?? [])
        .map((output) => text(output.text) + text(output.data?.['text/plain']))
        .join('\\n'),
    };
  });
}"""

IDLE = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.context;
  const kernel = context?.sessionContext?.session?.kernel;
  return Boolean(context?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle');
}"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(300))


class Lesson:
    """A lesson's notebook that is open in JupyterLab in a browser's page."""

    def __init__(self, page: Any, screenshots: Path) -> None:
        self.page = page
        self._screenshots = screenshots

    def cells(self) -> list[dict[str, Any]]:
        """Every cell: its kind, source, execution count, nbgrader name, errors and shown text."""
        return self.page.evaluate(CELLS)

    def index(self, name: str) -> int:
        """The place of the cell with an nbgrader name, such as `ex-01.1`."""
        return [cell["name"] for cell in self.cells()].index(name)

    def cell(self, name: str) -> dict[str, Any]:
        return self.cells()[self.index(name)]

    def wait_until_idle(self) -> None:
        self.page.wait_for_function(IDLE, timeout=60_000)

    def run_all(self) -> None:
        """Run every cell, as the command "Run All Cells" does; comes back when the last has run."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait_until_idle()

    def show(self, name: str) -> None:
        """Make a cell the active one and bring it into sight."""
        self.page.evaluate(
            """async (index) => {
              const notebook = window.jupyterapp.shell.currentWidget.content;
              notebook.activeCellIndex = index;
              await notebook.scrollToItem(index, 'start');
            }""",
            self.index(name),
        )
        self.page.locator(".jp-Notebook .jp-Cell.jp-mod-active").wait_for()

    def write_and_run(self, name: str, source: str) -> None:
        """Replace a cell's text with the keyboard and run it, as a learner does."""
        self.show(name)
        self.page.locator(".jp-Cell.jp-mod-active .jp-InputArea .cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)
        assert self.cell(name)["source"] == source
        self._run_active(name)

    def run(self, name: str) -> str:
        """Run a cell with the keyboard; returns the text that it shows."""
        self.show(name)
        self.page.locator(".jp-Cell.jp-mod-active .jp-InputArea .cm-content").click()
        self._run_active(name)
        return self.cell(name)["text"]

    def _run_active(self, name: str) -> None:
        index, before = self.index(name), self.cell(name)["count"]
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(
            """([index, before]) => {
              const cell = window.jupyterapp.shell.currentWidget.content.model.cells.get(index);
              return cell.executionCount !== null && cell.executionCount !== before;
            }""",
            arg=[index, before],
            timeout=60_000,
        )
        self.wait_until_idle()

    def screenshot(self, name: str) -> None:
        self.page.screenshot(path=self._screenshots / f"{name}.png")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that `tensorlab lab --no-browser` prints."""
    folder = tmp_path_factory.mktemp("learner")
    command = [sys.executable, "-m", "tensorlab", "lab", "--no-browser", "--port", "0"]
    log = folder / "log"
    with log.open("w") as errors:
        server = subprocess.Popen(
            [*command, "--LabApp.expose_app_in_browser=True"],
            cwd=folder,
            env={**os.environ, "TENSORLAB_HOME": str(folder / "home"), "TENSORLAB_LIVE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert server.stdout is not None
    try:
        found = next(filter(None, (re.search(r"http://\S+", line) for line in server.stdout)), None)
        assert found, log.read_text()
        yield found.group()
    finally:
        server.terminate()
        server.communicate(timeout=30)


@pytest.fixture(scope="module")
def lesson(browser: Any, address: str, screenshots: Path) -> Iterator[Lesson]:
    """Lesson 01, freshly delivered, open in JupyterLab with its kernel running."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.goto(f"{address}&reset", timeout=60_000)
    opened = Lesson(page, screenshots)
    opened.wait_until_idle()
    yield opened
    context.close()
