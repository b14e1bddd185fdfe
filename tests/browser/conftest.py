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

from .lab import PATIENCE, Lab, Lesson, context_of, serving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


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
def _learner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder of the course, and the address that `tensorlab lab --no-browser` prints."""
    folder = tmp_path_factory.mktemp("learner")
    command = [sys.executable, "-m", "tensorlab", "lab", "--no-browser", "--port", "0", "course"]
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
        yield folder / "course", found.group()
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def lesson(browser: Any, _learner: tuple[Path, str], screenshots: Path) -> Iterator[Lesson]:
    """Lesson 01, freshly delivered, open in JupyterLab with its kernel running."""
    folder, address = _learner
    path = folder / "01_tensors.ipynb"
    with context_of(browser, 1280, 860) as context:
        url = f"{address}&reset".replace(path.name, "{name}")
        opened = Lesson(context.new_page(), screenshots, path, url)
        opened.open()
        yield opened
