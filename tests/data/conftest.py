"""What is left behind by a loader, seen from outside: processes, open files, shared memory."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PATIENCE = 100.0  # seconds until something that has to happen counts as not happening


def ended(pid: int) -> bool:
    """Whether the process has ended, reaped by its parent or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith(("Z", "X"))
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fail if it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


class Holdings(NamedTuple):
    """What a process holds."""

    children: set[int]
    files: list[str]
    shared_memory: set[str]


def holdings() -> Holdings:
    """Children of this process, its open files, and what of it lies in /dev/shm."""
    children = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(state[1]) == os.getpid():
            children.add(int(folder.name))
    files = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            files.append(os.readlink(link))
        except FileNotFoundError:  # the listing's own
            continue
    files = sorted(name for name in files if not name.startswith("/proc"))
    # Other tests, and other programs, may have memory there.
    memory = {path.name for path in Path("/dev/shm").glob("*tensorlab*")}
    return Holdings(children, files, memory)


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """The test leaves no process, open file or shared memory behind."""
    if sys.platform != "linux":
        pytest.skip("/proc and /dev/shm are looked at")
    before = holdings()
    yield
    if holdings() != before:
        gc.collect()  # a failed assertion's traceback, for instance, holds the loader
    assert holdings() == before
