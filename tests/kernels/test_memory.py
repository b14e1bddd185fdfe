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


@needs_glibc
def test_it_can_be_switched_off():
    kept, many = _faults("keep", TENSORLAB_KEEP_MEMORY="off")
    assert not kept
    assert many > 5 * 20 * 500


_GROWTH = """
import random
import sys
import numpy as np
from tensorlab.kernels import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

assert memory.keep_freed()
start = resident()
arrays = [np.ones(20 << 17) for _ in range(40)]  # 20 MiB each, which may be kept
full = resident() - start
del arrays
after = resident() - start
sizes = random.Random(0)
seen = []
for _ in range(60):  # steps of 10 to 60 arrays, none of which is as large as in another step
    held = [np.ones(sizes.randrange(1 << 10, 1 << 19)) for _ in range(sizes.randrange(10, 60))]
    del held
    seen.append(resident() - start)
print(full, after, max(seen[:20]), max(seen[20:]))
"""


@needs_glibc
def test_what_is_kept_has_a_limit():
    """800 MiB are given back when they are freed; steps of all sizes do not add up."""
    clean = {k: v for k, v in os.environ.items() if k not in memory._SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", _GROWTH], env=clean, capture_output=True, text=True, check=True
    )
    full, after, early, late = (int(number) / (1 << 20) for number in done.stdout.split())
    assert full > 790
    assert after < memory.KEPT / (1 << 20) + 32
    assert early < memory.KEPT / (1 << 20) + 32
    assert late < early + 128


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.keep_freed()
