"""The helpers that run parts of a computation: each part once, failures, forks, sleep, several callers at once."""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tensorlab.kernels import threads

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from numba import types
from numba.extending import intrinsic

from tensorlab.kernels.cpu.native import team
from tensorlab.kernels.cpu.native.compile import compiled


@compiled("void(int64[::1], int64, int64, int64)", limits=2)
def add(seen, more, first, last):
    for i in range(first, last):
        seen[i] += more


@compiled("void(float32[::1], float64[::1], int64[:, :], float32)", cut=1)
def add_cut(whole, x, matrix, number):
    for i in range(len(x)):
        x[i] += number + len(whole) + len(matrix)


@intrinsic
def add_for_all(typingctx, array, index, more):
    """Add to an element so that other threads see it at once; what was there before."""

    def codegen(context, builder, signature, args):
        place = builder.gep(
            context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]]
        )
        return builder.atomic_rmw("add", place, args[2], "seq_cst")

    return types.int64(types.int64[::1], types.int64, types.int64), codegen


@compiled("void(int64[::1], int64, int64)", limits=2)
def wait(seen, number, until):
    """Note that this part has begun, and wait until the last element says `until`."""
    add_for_all(seen, number, 1)
    for _ in range(10**10):
        if add_for_all(seen, len(seen) - 1, 0) >= until:
            return


@compiled("void(int64[::1], int64, int64)", limits=2)
def meet(seen, number, count):
    """Note that this part has begun, and wait until so many have: they must run at the same time."""
    add_for_all(seen, len(seen) - 1, 1)
    wait(seen, number, count)


@compiled("void(float64[::1], int64, int64)", limits=2)
def take_memory(done, number, size):
    room = np.empty(size, np.int8)
    room[0] = 1
    done[number] = room[0]


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(threads, "_count", 2)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("parts", [1, 2, 3, 50])
def test_each_part_runs_once(count, parts, monkeypatch):
    monkeypatch.setattr(threads, "_count", count)
    seen = np.zeros(1000, np.int64)
    for _ in range(50):
        team.run_parts(add, threads.split(1000, parts), seen, 3)
    np.testing.assert_array_equal(seen, 150)


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_flat_arrays_are_cut(parts):
    x, whole = np.zeros(40), np.zeros(7, np.float32)
    matrix = np.zeros((3, 4), np.int64)[:, ::2]
    team.run_parts(add_cut, threads.split(40, parts), whole, x, matrix, 0.5)
    np.testing.assert_array_equal(x, 10.5)


def test_parts_run_at_the_same_time():
    seen = np.zeros(3, np.int64)
    team.run_parts(meet, np.array([(0, 2), (1, 2)]), seen)
    assert seen.tolist() == [1, 1, 2]


def test_helpers_sleep_when_there_is_no_work_and_wake_again():
    for _ in range(3):
        team.run_parts(meet, np.array([(0, 2), (1, 2)]), np.zeros(3, np.int64))
        deadline = time.monotonic() + 100
        while len(team._team._asleep) < team._team._count:
            assert time.monotonic() < deadline, "no helper goes on looking for work"
            time.sleep(0.001)


def test_no_more_helpers_than_asked_for(monkeypatch):
    """Of a team that was larger once, only those that are asked for take parts."""
    monkeypatch.setattr(threads, "_count", 4)
    team.run_parts(meet, np.array([(i, 4) for i in range(4)]), np.zeros(5, np.int64))
    monkeypatch.setattr(threads, "_count", 2)
    seen = np.zeros(4, np.int64)
    parts = np.array([(i, 1) for i in range(3)])
    caller = threading.Thread(target=team.run_parts, args=(wait, parts, seen))
    caller.start()
    while seen[:3].sum() < 2:
        time.sleep(0.001)
    time.sleep(0.05)  # a third would take the last part meanwhile
    assert seen[:3].sum() == 2
    seen[3] = 1
    caller.join()
    assert seen.tolist() == [1, 1, 1, 1]


def test_a_part_without_memory_is_an_error_and_the_helpers_go_on():
    done = np.zeros(2)
    with pytest.raises(MemoryError, match="take_memory"):
        team.run_parts(take_memory, np.array([(0, 10), (1, 1 << 60)]), done)
    team.run_parts(take_memory, np.array([(0, 10), (1, 10)]), done)
    np.testing.assert_array_equal(done, 1)


def test_several_callers_at_once():
    """One has the helpers, the others do their parts themselves; all results are right."""
    results = [np.zeros(64, np.int64) for _ in range(6)]

    def caller(seen):
        for _ in range(2000):
            team.run_parts(add, threads.split(64, 4), seen, 1)

    callers = [threading.Thread(target=caller, args=(seen,)) for seen in results]
    for c in callers:
        c.start()
    for c in callers:
        c.join()
    for seen in results:
        np.testing.assert_array_equal(seen, 2000)


def test_arguments_of_other_types_are_an_error():
    with pytest.raises(TypeError):
        team.run_parts(add, threads.split(10, 2), np.zeros(10, np.float32), 1)
    seen = np.zeros(10, np.int64)
    team.run_parts(add, threads.split(10, 2), seen, 1)
    np.testing.assert_array_equal(seen, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_forked_child_makes_helpers_of_its_own():
    code = """
import os, sys
import numpy as np
from tensorlab.kernels import threads
from tensorlab.kernels.cpu.native import activation, each
threads.set_num_threads(2)
threads.WORTH_A_THREAD = 0
def works():
    return (activation.relu(np.ones(1000, np.float32)) == 1).all()
ok = works()
child = os.fork()
if child == 0:
    os._exit(0 if works() else 1)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status) or not (ok and works()))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs a signal of POSIX")
def test_an_interrupt_waits_for_the_end_of_the_parts():
    def interrupt(number, frame):
        raise KeyboardInterrupt

    def disturb():
        while seen[:2].sum() < 2:  # both parts have begun
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGALRM)
        time.sleep(0.1)
        seen[2] = 1

    def work():
        team.run_parts(wait, np.array([(0, 1), (1, 1)]), seen)
        time.sleep(60)

    seen = np.zeros(3, np.int64)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        threading.Thread(target=disturb).start()
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen.tolist() == [1, 1, 1]
    seen = np.zeros(10, np.int64)
    team.run_parts(add, threads.split(10, 2), seen, 1)
    np.testing.assert_array_equal(seen, 1)
