"""How pytest runs the solved lessons: nbval runs every cell and compares what it shows.

Each notebook gets a learner's home of its own, so that no prediction is locked before it runs, and
shows only the final form of what would move in a live notebook. What a report looks like (its style)
is not compared, so that a change of colour asks for no new run of every lesson.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

_homes = pytest.StashKey[dict[Path, Path]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_homes] = {}
    config.option.nbval_sanitize_with = str(Path(__file__).with_name("sanitize.cfg"))


def pytest_unconfigure(config: pytest.Config) -> None:
    for home in config.stash[_homes].values():
        shutil.rmtree(home, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    # The kernel of a notebook starts with its first cell and inherits the environment.
    homes = item.config.stash[_homes]
    if item.path not in homes:
        homes[item.path] = Path(tempfile.mkdtemp(prefix="tensorlab-lesson-"))
    home = homes[item.path]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENSORLAB_HOME", str(home / "home"))
        patch.setenv("TENSORLAB_LIVE", "0")
        patch.setenv("IPYTHONDIR", str(home / "ipython"))
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        return (yield)
