"""Threads for kernels: how many, and the parts of a computation."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.kernels import threads


@pytest.fixture
def count(monkeypatch):
    monkeypatch.setattr(threads, "_count", None)
    return tl.get_num_threads


def test_the_number_of_threads(count, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    available = count()
    assert available >= 1
    tl.set_num_threads(3)
    assert tl.get_num_threads() == 3
    for bad, error in [(0, RuntimeError), (-1, RuntimeError), (1.5, TypeError), (True, TypeError)]:
        with pytest.raises(error, match="set_num_threads expects"):
            tl.set_num_threads(bad)
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert tl.get_num_threads() == 1
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    assert tl.get_num_threads() == available


@pytest.fixture
def groups(tmp_path):
    """A file of cgroups and their folder; `groups(path, file, text)` writes into one of them."""
    processes, root = tmp_path / "cgroup", tmp_path / "fs"

    def write(path, file, text):
        (root / path).mkdir(parents=True, exist_ok=True)
        (root / path / file).write_text(text)

    write.quota = lambda text: processes.write_text(text) and threads._quota(processes, root)
    write.missing = lambda: threads._quota(tmp_path / "none", root)
    return write


def test_the_quota_of_a_container(groups):
    assert groups.missing() is None
    assert groups.quota("0::/\n") is None
    groups("", "cpu.max", "max 100000\n")
    assert groups.quota("0::/\n") is None
    groups("", "cpu.max", "150000 100000\n")
    assert groups.quota("0::/\n") == 1.5
    assert groups.quota("0::/seen/by/its/host/alone\n") == 1.5


def test_the_least_quota_of_the_groups_above(groups):
    groups("user", "cpu.max", "200000 100000\n")
    groups("user/me", "cpu.max", "max 100000\n")
    assert groups.quota("0::/user/me\n") == 2.0
    groups("user/me", "cpu.max", "50000 100000\n")
    assert groups.quota("0::/user/me\n") == 0.5
    assert groups.quota("0::/other\n") is None


def test_the_quota_of_cgroups_of_version_1(groups):
    lines = "4:memory:/x\n3:cpuset:/x\n2:cpu,cpuacct:/x\n0::/\n"
    groups("cpu/x", "cpu.cfs_quota_us", "-1\n")
    groups("cpu/x", "cpu.cfs_period_us", "100000\n")
    assert groups.quota(lines) is None
    groups("cpu", "cpu.cfs_quota_us", "300000\n")
    groups("cpu", "cpu.cfs_period_us", "100000\n")
    assert groups.quota(lines) == 3.0


def test_a_quota_limits_numpys_library_too(count, monkeypatch):
    told = []
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(threads, "limit_threads", told.append)
    monkeypatch.setattr(threads, "_quota", lambda: 1.5)
    assert count() == 2
    assert told == [2]
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setattr(threads, "_quota", lambda: 8.0)
    assert count() == 4
    assert told == [2]


def test_numpys_library_follows():
    """In a process of its own: it is told once, and is as it was when told again."""
    code = """
import numpy as np, tensorlab as tl
from tensorlab.kernels.blas import in_one_thread, limit_threads
tl.set_num_threads(2)
np.ones((4, 4)) @ np.ones((4, 4))
undo = limit_threads(1)
print(len(undo), [count for _, count in undo])
for setter, count in undo:
    setter(count)
print(in_one_thread(limit_threads, 1))
try:
    in_one_thread(np.matmul, np.ones(2), np.ones(3))
except ValueError:
    print([count for _, count in limit_threads(1)])
tl.set_num_threads(1)
print(limit_threads(1))
"""
    done = run(code)
    if "openblas" not in np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]:
        pytest.skip("NumPy's linear algebra here may have no function for its threads")
    assert done.stdout.splitlines() == ["1 [2]", "[]", "[2]", "[]"], done.stderr


def test_a_pass_over_arrays_is_worth_a_thread_at_fewer_operations(monkeypatch):
    monkeypatch.setattr(threads, "_count", 3)
    worth = threads.WORTH_A_THREAD
    assert [threads.thread_count(n) for n in (0, worth - 1, worth)] == [1, 1, 3]
    of_pass = worth // threads.OF_A_PASS
    assert [threads.pass_threads(n) for n in (0, of_pass - 1, of_pass)] == [1, 1, 3]


@pytest.mark.parametrize("total", [0, 1, 7, 8, 9, 100])
@pytest.mark.parametrize("parts", [1, 2, 3, 8])
@pytest.mark.parametrize("unit", [1, 4])
def test_parts_cover_everything_once(total, parts, unit):
    ranges = threads.split(total, parts, unit)
    assert len(ranges) <= parts
    assert [i for first, last in ranges for i in range(first, last)] == list(range(total))
    assert all(first % unit == 0 for first, _ in ranges)
    counted = threads.numbered(total, parts, unit)
    np.testing.assert_array_equal(counted[:, 0], np.arange(len(ranges)))
    np.testing.assert_array_equal(counted[:, 1:], ranges)


@pytest.mark.parametrize(("down", "across"), [(1, 1), (2, 1), (1, 3), (3, 2), (9, 9)])
def test_blocks_cover_everything_once(down, across):
    seen = np.zeros((7, 10), int)
    parts = threads.blocks(7, 10, down, across, 1, 4)
    for top, bottom, left, right in parts:
        seen[top:bottom, left:right] += 1
        assert left % 4 == 0
    assert (seen == 1).all()
    assert len(parts) <= down * across


def test_parts_are_made_once_and_cannot_be_changed():
    assert threads.split(10, 2) is threads.split(10, 2)
    with pytest.raises(ValueError, match="read-only"):
        threads.split(10, 2)[0, 0] = 1


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


PROGRAM = """
import sys, tensorlab as tl
from tensorlab._op import OPS
x, w = tl.ones(4, 8, 16, 16), tl.ones(8, 8, 3, 3)
print(float(tl.nn.functional.conv2d(x, w).sum()), "numba" in sys.modules, bool(OPS["convolution"].kernels))
"""


def test_kernels_can_be_switched_off():
    done = run(PROGRAM, TENSORLAB_KERNELS="off")
    assert done.stdout.split() == [str(float(4 * 8 * 14 * 14 * 72)), "False", "False"], done.stderr


def test_without_numba_the_generic_path_runs():
    done = run("import sys; sys.modules['numba'] = None\n" + PROGRAM)
    assert done.stdout.split()[0] == str(float(4 * 8 * 14 * 14 * 72)), done.stderr
