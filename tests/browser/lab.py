"""JupyterLab for the tests: a server, and notebooks that are open in a browser's page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: Seconds until what has to happen counts as not happening, on a machine that is busy with other tests.
PATIENCE = 100

# The notebook's own kernel has nothing to do, and its outputs have arrived.
IDLE = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.context;
  const kernel = context?.sessionContext?.session?.kernel;
  return Boolean(context?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle');
}"""

# Nothing moves any more, and what is drawn when the theme has changed has been drawn.
SETTLED = """async () => {
  const moving = document.getAnimations().filter((each) =>
    each.playState === 'running' && each.effect.getComputedTiming().endTime !== Infinity);
  const soon = new Promise((resolve) => setTimeout(resolve, 3000));  // what is out of sight may stand still
  const drawn = async () => {
    await Promise.allSettled(moving.map((each) => each.finished));
    for (let frame = 0; frame < 5; frame++) await new Promise(requestAnimationFrame);
  };
  await Promise.race([drawn(), soon]);
}"""

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


def expect(what: Any) -> Any:
    """Playwright's assertions on a page or a place in it: they wait for what they assert."""
    from playwright.sync_api import expect

    return expect(what)


class Notebook:
    """A notebook that is open in JupyterLab; its cells are counted from 0.

    Attributes:
        page: Playwright's page.
        path: the file.
        screenshots: the folder for pictures.
        shows: the name of the file that is open.
    """

    def __init__(self, page: Any, screenshots: Path, path: Path, url: str) -> None:
        """url: of a file of its folder, which stands in it as {name}."""
        self.page = page
        self.path = path
        self.screenshots = screenshots
        self._url = url
        self.shows = path.name
        self._first = path.read_bytes()
        self._have_run: set[int] = set()

    # Opening, saving and what is around the notebook

    def open(self, name: str = "") -> None:
        """Open it, or another file of its folder, as after a reload of the page."""
        self.shows = name or self.path.name
        self.page.goto(self._url.format(name=self.shows))
        self.wait_until_idle()

    def begin_anew(self) -> None:
        """The notebook as it was at first, in a new page and with a new kernel: whatever has happened."""
        context = self.page.context
        self.page.close()
        self.end_kernels()
        self.path.write_bytes(self._first)
        self.page = context.new_page()
        self.open()
        self.theme("Light")  # it is kept by the server

    def end_kernels(self) -> None:
        """End all kernels of the server, though the page may have come to harm."""
        request = self.page.context.request
        sessions = self._url.replace("/lab/tree/{name}", "/api/sessions{id}")
        for session in request.get(sessions.format(id="")).json():
            answer = request.delete(sessions.format(id=f"/{session['id']}"))
            assert answer.ok, answer.text()
        self._have_run.clear()

    def wait_until_idle(self) -> None:
        self.page.wait_for_function(IDLE)

    def command(self, name: str) -> None:
        """Start one of JupyterLab's commands; does not wait for its end."""
        self.page.evaluate("(name) => { window.jupyterapp.commands.execute(name); }", name)

    def execute(self, name: str, **args: Any) -> None:
        """One of JupyterLab's commands, to its end."""
        self._to_its_end(
            "([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, args]
        )

    def _to_its_end(self, function: str, argument: Any = None) -> None:
        """Run a function in the page that gives a promise, and wait for that, but not for ever."""
        self.page.evaluate(
            f"""(argument) => {{
              window.hasEnded = false;
              Promise.resolve(({function})(argument)).finally(() => {{ window.hasEnded = true; }});
            }}""",
            argument,
        )
        self.page.wait_for_function("() => window.hasEnded")

    def save(self) -> dict[str, Any]:
        """Save it, as Ctrl+S does; returns what is in the file."""
        self.execute("docmanager:save")
        self.page.wait_for_function(
            "() => !window.jupyterapp.shell.currentWidget.context.model.dirty"
        )
        return json.loads(self.path.read_text("utf-8"))

    def open_untrusted(self, name: str = "") -> None:
        """Open a copy of what was saved, that somebody else has changed: its signature is not ours."""
        saved = self.path.with_name(name or self.path.name)
        content = json.loads(saved.read_text("utf-8"))
        content["metadata"]["changed"] = "by someone else"
        copy = saved.with_name(f"{saved.stem}-foreign.ipynb")
        copy.write_text(json.dumps(content), "utf-8")
        self.open(copy.name)

    @contextmanager
    def exported(self, name: str = "") -> Iterator[Any]:
        """The page that nbconvert makes of what was saved, in a browser without a network."""
        nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is not installed")
        saved = self.path.with_name(name or self.path.name)
        body, _ = nbconvert.HTMLExporter().from_filename(str(saved))
        path = saved.with_suffix(".html")
        path.write_text(body, "utf-8")
        page = self.page.context.new_page()
        page.route(re.compile("^http"), lambda route: route.abort())
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        yield page
        page.close()

    def save_with_state(self) -> dict[str, Any]:
        """Save it with "Save Widget State Automatically", which is off by default."""
        name = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"
        toggled = "([name, on]) => window.jupyterapp.commands.isToggled(name) === on"
        self.command(name)
        self.page.wait_for_function(toggled, arg=[name, True])
        self.page.evaluate(
            "() => { window.jupyterapp.shell.currentWidget.context.model.dirty = true; }"
        )
        saved = self.save()
        self.command(name)
        self.page.wait_for_function(toggled, arg=[name, False])
        return saved

    def shut_kernel_down(self) -> None:
        self._to_its_end(
            "() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()"
        )
        self._have_run.clear()

    def theme(self, name: str) -> None:
        """`Light`, `Dark` or `Dark High Contrast`."""
        self.execute("apputils:change-theme", theme=f"JupyterLab {name}")
        self.page.wait_for_function(
            "(name) => document.body.dataset.jpThemeName === name",
            arg=f"JupyterLab {name}",
        )
        self.page.locator("#jupyterlab-splash").wait_for(state="hidden")
        self.settle()

    def settle(self) -> None:
        """Wait until what changes of itself has changed: colours that fade, pictures that are redrawn."""
        self._to_its_end(SETTLED)

    def screenshot(self, name: str) -> None:
        self.page.screenshot(path=self.screenshots / f"{name}.png")

    def download(self, click: Callable[[], None], name: str) -> Path:
        """The file that a click downloads, kept among the screenshots under this name."""
        with self.page.expect_download() as download:
            click()
        path = self.screenshots / name
        download.value.save_as(path)
        return path

    @contextmanager
    def other_page(self, path: Path) -> Iterator[Any]:
        """A file that is opened without JupyterLab, in a page of its own."""
        page = self.page.context.new_page()
        page.goto(path.as_uri())
        yield page
        page.close()

    # Its cells

    def cells(self) -> list[dict[str, Any]]:
        """Every cell: its kind, source, execution count, nbgrader name, errors and shown text."""
        return self.page.evaluate(CELLS)

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """A cell's outputs as they are saved."""
        return self.page.evaluate(
            "(i) => window.jupyterapp.shell.currentWidget.content.model.cells.get(i).outputs.toJSON()",
            index,
        )

    def show(self, index: int) -> Any:
        """Make a cell the active one and bring it into sight; returns its place in the page."""
        self._to_its_end(
            """async (index) => {
              const notebook = window.jupyterapp.shell.currentWidget.content;
              notebook.activeCellIndex = index;
              await notebook.scrollToItem(index, 'start');
            }""",
            index,
        )
        self.page.locator(".jp-Notebook .jp-Cell.jp-mod-active").wait_for()
        self.page.wait_for_timeout(300)  # the rows around it find their places
        return self.cell_at(index)

    def cell_at(self, index: int) -> Any:
        return self.page.locator(f".jp-Cell[data-windowed-list-index='{index}']")

    def write(self, index: int, source: str) -> None:
        """Replace a cell's text."""
        self.page.evaluate(
            """([index, source]) => {
              const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
              cells.get(index).sharedModel.setSource(source);
            }""",
            [index, source],
        )

    def run(self, index: int) -> Any:
        """Start a cell; does not wait for its end. Returns its place in the page."""
        shown = self.show(index)
        self._have_run.add(index)
        self.command("notebook:run-cell")
        return shown

    def run_to_its_end(self, index: int) -> Any:
        """Run a cell; returns its place in the page."""
        shown = self.show(index)
        self._have_run.add(index)
        self.execute("notebook:run-cell")
        self.wait_until_idle()
        _raised_nothing(self.outputs(index))
        return shown

    def needs(self, *indices: int) -> None:
        """Run those of these cells that no test has run yet: each test can be run alone."""
        for index in indices:
            if not self.has_run(index):
                self.run_to_its_end(index)

    def needs_all(self) -> None:
        """Run all cells, unless a test has done so."""
        if not all(map(self.has_run, range(len(self.cells())))):
            self.run_all()

    def has_run(self, index: int) -> bool:
        """Whether this kernel has been given the cell."""
        return index in self._have_run

    def run_all(self) -> None:
        """Run every cell, as the command "Run All Cells" does; comes back when the last has run."""
        self.execute("notebook:run-all-cells")
        self.page.wait_for_function(
            """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
              .every((cell) => cell.type !== 'code' || !cell.sharedModel.source.trim() || cell.executionCount)"""
        )
        self.wait_until_idle()
        self._have_run.update(range(len(self.cells())))

    def finished(self, index: int, ending: str) -> list[dict[str, Any]]:
        """Wait until a cell has printed `ending`; returns its outputs."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = self.outputs(index)
            _raised_nothing(found)
            if any(ending in "".join(each.get("text", "")) for each in found):
                self.wait_until_idle()
                return self.outputs(index)
            self.page.wait_for_timeout(100)
        raise AssertionError(self.outputs(index))

    def text(self) -> str:
        """What the page shows of the notebook, in words."""
        return self.page.locator(".jp-Notebook").inner_text()


def _raised_nothing(outputs: list[dict[str, Any]]) -> None:
    for output in outputs:
        assert output["output_type"] != "error", "\n".join(output["traceback"])


class Lesson(Notebook):
    """A lesson's notebook, whose cells have nbgrader names such as `ex-01.1`."""

    def index(self, name: str) -> int:
        return [cell["name"] for cell in self.cells()].index(name)

    def cell(self, name: str) -> dict[str, Any]:
        return self.cells()[self.index(name)]

    def write_and_run(self, name: str, source: str) -> None:
        """Replace a cell's text with the keyboard and run it, as a learner does."""
        self._enter(name)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)
        self.page.wait_for_function(
            """([index, source]) => source ===
              window.jupyterapp.shell.currentWidget.content.model.cells.get(index).sharedModel.getSource()""",
            arg=[self.index(name), source],
        )
        self._run_active(name)

    def run_named(self, name: str) -> str:
        """Run a cell with the keyboard; returns the text that it shows."""
        self._enter(name)
        self._run_active(name)
        return self.cell(name)["text"]

    def _enter(self, name: str) -> None:
        self.show(self.index(name))
        self.page.locator(".jp-Cell.jp-mod-active .jp-InputArea .cm-content").click()

    def _run_active(self, name: str) -> None:
        index, before = self.index(name), self.cell(name)["count"]
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(
            """([index, before]) => {
              const cell = window.jupyterapp.shell.currentWidget.content.model.cells.get(index);
              return cell.executionCount !== null && cell.executionCount !== before;
            }""",
            arg=[index, before],
        )
        self.wait_until_idle()


class Lab:
    """A JupyterLab server on a folder of its own, with widgets that live."""

    def __init__(self, folder: Path, address: str, token: str, browser: Any, shots: Path) -> None:
        self.folder = folder
        self._url = f"{address}lab/tree/{{name}}?token={token}&reset"
        self._browser = browser
        self._screenshots = shots

    @contextmanager
    def notebook(
        self, name: str, cells: Sequence[str], size: tuple[int, int] = (1180, 900), **options: Any
    ) -> Iterator[Notebook]:
        """A new notebook with these cells, open in a page of its own with its kernel running.

        options: of Playwright's browser context, such as `forced_colors`.
        """
        import nbformat

        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        made = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": kernel},
        )
        path = self.folder / f"{name}.ipynb"
        nbformat.write(made, path)
        width, height = size
        with context_of(self._browser, width, height, **options) as context:
            opened = Notebook(context.new_page(), self._screenshots, path, self._url)
            opened.open()
            yield opened
            opened.end_kernels()


@contextmanager
def context_of(browser: Any, width: int, height: int, **options: Any) -> Iterator[Any]:
    """A context of the browser, with windows of this size, in which everything waits long enough."""
    from playwright.sync_api import expect

    expect.set_options(timeout=1000 * PATIENCE)
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(1000 * PATIENCE)
    try:
        yield context
    finally:
        context.close()


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str]]:
    """JupyterLab on a folder: its address, and its token."""
    settings = folder.with_name(f"{folder.name}-settings")
    # JupyterLab must not ask whether it may fetch news: it would cover the notebook.
    news = settings / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}', "utf-8")
    paths = [str(ROOT), str(ROOT / "widgets"), os.environ.get("PYTHONPATH", "")]
    token = os.urandom(16).hex()
    log = folder.with_name(f"{folder.name}-log")
    with log.open("w") as output:
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
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield _address(log, server), token
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE)


def _address(log: Path, server: subprocess.Popen) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text("utf-8"))
        if found:
            return found.group()
        assert server.poll() is None, log.read_text("utf-8")
        time.sleep(0.1)
    raise AssertionError(log.read_text("utf-8"))
