"""What every test gets: its own learner's home, its own Jupyter folders, and a seed that it prints."""

from __future__ import annotations

import importlib
import itertools
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SEED_VARIABLE = "TENSORLAB_TEST_SEED"
JUPYTER_FOLDERS = {
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "IPYTHONDIR": "ipython",
}
SCREENSHOTS_VARIABLE = "TENSORLAB_SCREENSHOTS"
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
BROWSER_ARGUMENTS = [
    "--no-sandbox",  # a container's root has no other way
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_scratch = pytest.StashKey[Path]()
_failed = pytest.StashKey[bool]()
_numbers = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests, and every kernel and server that they start, out of the user's own folders."""
    scratch = Path(tempfile.mkdtemp(prefix="tensorlab-tests-"))
    config.stash[_scratch] = scratch
    for variable, name in JUPYTER_FOLDERS.items():
        os.environ[variable] = str(scratch / name)
    os.environ["TENSORLAB_HOME"] = str(scratch / "home")
    # Interrupts are heard here and in every process that is started here: a shell that starts the tests
    # in the background has them ignored, and that is inherited.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_scratch], ignore_errors=True)


def pytest_report_header() -> str:
    return f"seeds: random, each test prints its own; {SEED_VARIABLE}=N repeats one"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    reason = _why_no_gpu() if marked else ""
    if reason:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


def _why_no_gpu() -> str:
    from tensorlab import _gpu

    _, missing = _gpu.find()
    return "" if missing is None else f"no GPU: {missing.reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Kernels and notebooks that a module's tests share begin anew after a test that failed: it may have
    left anything in them, and the next test is to fail for reasons of its own only."""
    if item.stash.get(_failed, False):
        for shared in getattr(item, "funcargs", {}).values():
            if hasattr(type(shared), "begin_anew"):
                shared.begin_anew()


@pytest.fixture
def seed() -> int:
    """A fresh seed for this test, shown if it fails."""
    chosen = int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32))
    print(f"{SEED_VARIABLE}={chosen}")
    return chosen


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """NumPy's generator on this test's seed."""
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def _alone(seed: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Seed the global generators and give the test a learner's home that nobody else has."""
    random.seed(seed)
    np.random.seed(seed)
    # A test that never touches tensorlab does not import it for this.
    tensorlab = sys.modules.get("tensorlab")
    if hasattr(tensorlab, "manual_seed"):
        tensorlab.manual_seed(seed)
    home = request.config.stash[_scratch] / "homes" / str(next(_numbers))
    monkeypatch.setenv("TENSORLAB_HOME", str(home))


@pytest.fixture(params=["cpu", "strict", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each device in turn: the CPU, the look-alike of a GPU, and a GPU with `pytest -m gpu`."""
    if request.param == "strict":
        importlib.import_module("tensorlab.testing.strict")
    if request.param == "cuda":
        # Convolutions keep the digits that they are compared in.
        cudnn = importlib.import_module("tensorlab.backends.cudnn")
        monkeypatch.setattr(cudnn, "allow_tf32", False)
    return request.param


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures go: $TENSORLAB_SCREENSHOTS, or a temporary folder."""
    named = os.environ.get(SCREENSHOTS_VARIABLE)
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's own Chromium, driven by Playwright.

    It ends with the module: while Playwright runs, its event loop does, and nothing else that
    needs one could run in this process.
    """
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        reason = f"no browser: none of {', '.join(BROWSERS)} is installed"
        # CI installs one: there its absence is a fault and no reason to skip.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=BROWSER_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not used bfloat16: one that has asks of every value whether it is one."""
    from tensorlab import _dtypes

    monkeypatch.setattr(_dtypes, "narrow", None)
