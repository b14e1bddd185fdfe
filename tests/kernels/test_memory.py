"""Freed memory is kept for the next arrays: counted in pages that the system had to hand out."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from tensorlab.kernels import memory

_COUNT = """
import resource
import sys
import numpy as np
from tensorlab.kernels import memory

kept = memory.keep_freed() if sys.argv[1] == "keep" else False
def step():
    arrays = [np.ones(500_000) for _ in range(20)]  # 4 MB each
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how, **environment):
    """Whether memory is kept, and the pages that five steps took from the system."""
    clean = {k: v for k, v in os.environ.items() if k not in memory._SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, how],
        env={**clean, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    kept, count = done.stdout.split()
    return kept == "True", int(count)


needs_glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"),
    reason="only the GNU C library is told to keep memory",
)


@needs_glibc
def test_the_next_step_gets_the_same_memory():
    kept, few = _faults("keep")
    assert kept
    _, many = _faults("give back")
    assert few < many / 5


@needs_glibc
@pytest.mark.parametrize("name", memory._SETTINGS)
def test_the_users_settings_are_left_alone(name):
    value = "glibc.malloc.trim_threshold=131072" if name == "GLIBC_TUNABLES" else "131072"
    kept, _ = _faults("keep", **{name: value})
    assert not kept


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.keep_freed()
