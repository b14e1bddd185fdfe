"""A real JupyterLab, by itself or started by `tensorlab lab`, and a real browser that drives it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .lab import Lab, Lesson, serving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, str]]:
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    folder = tmp_path_factory.mktemp("lab")
    with serving(folder) as (address, token):
        yield folder, address, token


@pytest.fixture(scope="module")
def lab(browser: Any, _server: tuple[Path, str, str], screenshots: Path) -> Lab:
    """JupyterLab: `with lab.notebook("name", cells) as notebook`. One server for all modules."""
    folder, address, token = _server
    return Lab(folder, address, token, browser, screenshots)


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
