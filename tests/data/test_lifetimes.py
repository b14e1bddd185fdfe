"""Workers that die, hang, raise or are no longer wanted: what is said, and that nothing stays."""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.kernels.blas import limit_threads
from tensorlab.utils.data import DataLoader, Dataset, IterableDataset
from tensorlab.utils.data._utils import pool
from tensorlab.utils.data._utils.errors import ExceptionWrapper

from .conftest import ended, wait_until

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


class Doing(Dataset):
    """Does something when it reads sample 5."""

    def __init__(self, action, size=40):
        self.action = action
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if index == 5:
            self.action()
        return tl.full((2000,), float(index))


def fail(error):
    raise error


def sleep():
    time.sleep(1000)


# Errors -----------------------------------------------------------------------------------


class OwnError(Exception):
    pass


class NeedsTwo(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("sample 5 is broken"), ValueError),
        (OwnError("sample 5 is broken"), OwnError),
        (KeyError("sample 5"), KeyError),
        (NeedsTwo("sample 5", "is broken"), RuntimeError),
        (StopIteration("sample 5"), StopIteration),
    ],
    ids=repr,
)
def test_errors_keep_their_class_and_traceback(error, kind):
    loader = DataLoader(Doing(lambda: fail(error)), 2, num_workers=2)
    iterator = iter(loader)
    assert [next(iterator)[0, 0].item() for _ in range(2)] == [0, 2]
    with pytest.raises(kind) as caught:
        next(iterator)
    message = str(caught.value)
    name = type(error).__name__
    assert message.startswith(f"Caught {name} in DataLoader worker process 0.\nOriginal Traceback")
    assert "in fail\n    raise error\n" in message  # lines, not one line full of \n
    # The others are not lost.
    assert next(iterator)[0, 0].item() == 6
    del iterator, caught


def test_errors_are_pytorchs():
    pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    from torch._utils import ExceptionWrapper as PyTorchs

    where = "in DataLoader worker process 0"
    for error in (ValueError("a"), KeyError("a"), NeedsTwo("a", "b"), OwnError()):
        try:
            fail(error)
        except Exception:
            wrapped = [ExceptionWrapper(error, where), PyTorchs(where=where)]
        caught = []
        for wrapper in wrapped:
            with pytest.raises(Exception) as info:
                wrapper.reraise()
            caught.append((info.type, str(info.value)))
        assert caught[0] == caught[1]


def test_errors_as_a_worker_starts():
    def init(worker_id):
        raise OSError(f"no data for {worker_id}")

    with pytest.raises(
        OSError, match="Caught OSError in DataLoader worker process 0(.|\n)*no data for 0"
    ):
        list(DataLoader(range(9), num_workers=2, worker_init_fn=init))

    class Unreadable(IterableDataset):
        def __iter__(self):
            raise OSError("no stream")

    with pytest.raises(OSError, match="no stream"):
        list(DataLoader(Unreadable(), num_workers=1))


def test_what_cannot_be_sent():
    with pytest.raises(Exception, match="as it sent a batch(.|\n)*no lambdas, generators or open"):
        list(DataLoader([1], num_workers=1, collate_fn=lambda batch: lambda: batch))

    class LocalError(Exception):
        pass

    with pytest.raises(
        RuntimeError, match="Caught LocalError(.|\n)*its class .*LocalError can't be"
    ):
        list(DataLoader(Doing(lambda: fail(LocalError("here"))), num_workers=1))


def test_errors_of_the_sampler():
    def indices():
        yield from range(3)
        raise ValueError("no more indices")

    class Sampler:
        def __iter__(self):
            return indices()

        def __len__(self):
            return 9

    with pytest.raises(ValueError, match="no more indices"):
        list(DataLoader(range(9), sampler=Sampler(), num_workers=1))


# Deaths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            r"is killed by signal: Killed \(SIGKILL\). The system kills processes when memory",
        ),
        (
            lambda: (faulthandler.disable(), signal.raise_signal(signal.SIGSEGV)),
            r"is killed by signal: Segmentation fault \(SIGSEGV\)",
        ),
        (lambda: os._exit(3), "exited unexpectedly with exit code 3"),
        (lambda: os._exit(0), "exited unexpectedly with exit code 0"),
        (lambda: sys.exit(7), "exited unexpectedly with exit code 7"),
    ],
    ids=["SIGKILL", "SIGSEGV", "_exit", "_exit0", "exit"],
)
@pytest.mark.parametrize("is_persistent", [False, True])
def test_deaths_are_reported(action, message, is_persistent):
    loader = DataLoader(Doing(action), 2, num_workers=2, persistent_workers=is_persistent)
    with pytest.raises(RuntimeError, match=rf"DataLoader worker \(pid \d+\) {message}"):
        list(loader)
    if is_persistent:  # the next pass has new workers
        assert next(iter(loader))[1, 0].item() == 1
    del loader
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_killed_from_outside_at_any_moment(size, rng):
    """While it waits, while it reads, while it sends a large batch."""
    for _ in range(6):
        iterator = iter(DataLoader([tl.zeros(size)] * 200, 1, num_workers=2))
        next(iterator)
        time.sleep(rng.uniform(0, 0.01))
        victim = iterator._pool.workers[rng.integers(2)].process.pid
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(RuntimeError, match=rf"\(pid {victim}\) is killed by signal: Killed"):
            list(iterator)
        with pytest.raises(RuntimeError, match="have been stopped"):
            next(iterator)


def test_a_death_is_reported_although_another_worker_hangs():
    def act(index):
        if index == 0:
            sleep()
        os._exit(4)

    with pytest.raises(RuntimeError, match="exit code 4"):
        list(DataLoader([0, 1], None, num_workers=2, collate_fn=act))


def test_timeout():
    loader = DataLoader(Doing(sleep), None, num_workers=1, timeout=100)
    iterator = iter(loader)
    for _ in range(5):
        next(iterator)
    iterator._timeout = 0.3  # a busy machine needs longer for what comes
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.3 seconds"):
        next(iterator)
    iterator._pool.shutdown(patience=0.1)


# Ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_persistent", [False, True])
def test_fifty_loops_that_break(is_persistent):
    loader = DataLoader(Doing(lambda: None), 2, num_workers=2, persistent_workers=is_persistent)
    for _ in range(50):
        for batch in loader:
            assert batch.sum().item() == 2000
            break
    del loader
    assert multiprocessing.active_children() == []


def test_an_error_in_the_loop_ends_the_workers():
    """Though the traceback, which a notebook keeps, holds the frames of the loop."""

    def loop():
        for _ in DataLoader(range(100), num_workers=2):
            raise ValueError("in the loop")

    with pytest.raises(ValueError) as caught:
        loop()
    assert multiprocessing.active_children() == []
    with pytest.raises(LookupError) as caught:
        list(DataLoader(Doing(lambda: fail(LookupError())), num_workers=2))
    assert multiprocessing.active_children() == []
    del caught


def test_ends_without_the_garbage_collector():
    gc.disable()
    try:
        iterator = iter(DataLoader(range(100), num_workers=2))
        next(iterator)
        del iterator
        assert multiprocessing.active_children() == []
    finally:
        gc.enable()


def test_interrupt():
    """Ctrl-C: KeyboardInterrupt comes out of the loop, and the workers, who got it too, are gone."""
    loader = DataLoader(Doing(sleep), 1, num_workers=2, persistent_workers=True)

    def interrupt():
        for worker in loader._iterator._pool.workers:
            os.kill(worker.process.pid, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, interrupt)

    def loop():
        for i, _ in enumerate(loader):
            if i == 3:
                timer.start()

    with pytest.raises(KeyboardInterrupt):
        loop()
    timer.join()
    assert multiprocessing.active_children() == []
    assert next(iter(loader))[0, 0].item() == 0


def test_workers_that_are_busy_are_ended_by_force(monkeypatch):
    monkeypatch.setattr(pool.Pool.shutdown, "__defaults__", (0.1,))
    iterator = iter(DataLoader(Doing(sleep), 1, num_workers=1, prefetch_factor=9))
    next(iterator)
    del iterator
    assert multiprocessing.active_children() == []

    def stubborn(_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    monkeypatch.setattr(pool, "PATIENCE", 0.1)
    iterator = iter(
        DataLoader(Doing(sleep), 1, num_workers=1, prefetch_factor=9, worker_init_fn=stubborn)
    )
    next(iterator)
    del iterator
    wait_until(lambda: multiprocessing.active_children() == [])


PROGRAM = """
import sys, time
import tensorlab as tl
from tensorlab.utils.data import DataLoader, Dataset

class Slow(Dataset):
    def __len__(self):
        return 100
    def __getitem__(self, index):
        time.sleep(1000 if index > 1 else 0)
        return tl.ones(100_000)

if __name__ == "__main__":
    method = sys.argv[1]
    waiting = DataLoader([1] * 9, 1, num_workers=1, multiprocessing_context=method, persistent_workers=True)
    busy = DataLoader(Slow(), 2, num_workers=1, multiprocessing_context=method)
    a, b = iter(waiting), iter(busy)
    next(a), next(b)
    print(*[w.process.pid for i in (a, b) for w in i._pool.workers], flush=True)
    if sys.argv[2] == "exit":
        sys.exit(0)
    time.sleep(1000)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_workers_end_with_the_program(tmp_path, method, end):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-W", "error", program, method, end]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert len(pids) == 2
        if end == "kill":
            run.kill()
        _, errors = run.communicate()
    wait_until(lambda: all(map(ended, pids)))
    assert errors == ""  # neither Python nor its resource tracker had anything to complain of


def test_fork_of_the_parent_leaves_the_workers_alone():
    """A process that the user forks has copies of the iterators; their end there means nothing."""
    iterator = iter(DataLoader(range(10), None, num_workers=2))
    next(iterator)

    def drop():
        iterator._pool.shutdown()

    process = multiprocessing.get_context("fork").Process(target=drop)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert list(iterator) == list(range(1, 10))


# Threads ----------------------------------------------------------------------------------


class Multiply(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        square = np.full((200, 200), index, np.float32)
        return (square @ square)[0, 0].item()


def test_forks_while_other_threads_compute():
    """A fork in the middle of a product of theirs would hang, here or in the worker."""
    is_over = threading.Event()

    def compute():
        square = np.ones((400, 400), np.float32)
        while not is_over.is_set():
            square @ square

    computing = [threading.Thread(target=compute) for _ in range(3)]
    for thread in computing:
        thread.start()
    try:
        for _ in range(10):
            found = list(DataLoader(Multiply(), None, num_workers=2, timeout=100))
            assert found == [200.0 * i * i for i in range(4)]
    finally:
        is_over.set()
        for thread in computing:
            thread.join()


def test_workers_compute_in_one_thread():
    def count(_):
        big = np.ones((600, 600))
        for _ in range(20):
            big @ big
        ticks = []  # hundredths of a second, of each thread
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/stat") as file:
                fields = file.read().rpartition(") ")[2].split()
            ticks.append(int(fields[11]) + int(fields[12]))
        return ticks, tl.get_num_threads()

    ((ticks, allowed),) = DataLoader([0], None, num_workers=1, collate_fn=count)
    # Threads of one product have equal parts of it; one that sends and receives has next to nothing.
    assert sum(each > max(ticks) / 4 for each in ticks) == 1
    assert allowed == 1


def test_threads_of_the_parent_stay():
    before = limit_threads(openmp=True)
    for setter, count in before:
        setter(count)
    list(DataLoader([0], num_workers=1))
    after = limit_threads(openmp=True)
    for setter, count in after:
        setter(count)
    assert [count for _, count in before] == [count for _, count in after]


def test_loaders_in_threads():
    """Each thread has its own; none hears of another's ends."""
    found = {}

    def read(name):
        found[name] = [b.tolist() for b in DataLoader(range(30), 3, num_workers=2)]

    reading = [threading.Thread(target=read, args=(name,)) for name in range(3)]
    for thread in reading:
        thread.start()
    for thread in reading:
        thread.join()
    assert list(found.values()) == [[[i, i + 1, i + 2] for i in range(0, 30, 3)]] * 3
