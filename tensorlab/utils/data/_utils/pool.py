"""The worker processes of one loader: started, spoken to, watched and ended."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import time
import warnings
from collections import deque
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import Any, NoReturn
from weakref import WeakSet

from tensorlab.utils.data._utils.channel import Channel, Frame, Tag
from tensorlab.utils.data._utils.threads import quiet_forks
from tensorlab.utils.data._utils.worker import READY, Job, Parcel, work

__all__ = ["Pool", "default_context"]

PATIENCE = 5.0  # seconds that a worker has for the batch in hand before it is ended by force
IMPATIENCE = 0.5  # the same after an error, an interrupt or the program's end
CHECK_SECONDS = 5.0  # how often to ask whether all workers live, should the system not tell


def default_context() -> BaseContext:
    """How workers are started unless the user says otherwise.

    By fork on Linux: it is the one way in which a worker has what a notebook's cells define, and
    the fastest. `multiprocessing.set_start_method` changes it; elsewhere it is the platform's.
    """
    methods = multiprocessing.get_all_start_methods()
    chosen = multiprocessing.get_start_method(allow_none=True)
    # The platform's own method (the first) may stand there without anybody having asked for it.
    if sys.platform == "linux" and chosen in (None, methods[0]):
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context(chosen)


class _Worker:
    """One worker, seen from the loader."""

    def __init__(self, process: Any, channel: Channel) -> None:
        self.process = process
        self.channel = channel
        self.has_started = False


class Pool:
    """Starts one process per job and exchanges messages with them.

    Args:
        jobs: what each worker does.
        context: a context of `multiprocessing`.

    Raises:
        TypeError, AttributeError, pickle.PicklingError: a job has to be pickled and can't be.
    """

    def __init__(self, jobs: list[Job], context: BaseContext) -> None:
        self.owner = os.getpid()
        self.workers: list[_Worker] = []
        self.is_open = True
        self.method = context.get_start_method()
        self._ready: deque[int] = deque()
        _pools.add(self)
        surroundings = quiet_forks() if self.method == "fork" else contextlib.nullcontext()
        try:
            with surroundings:
                for job in jobs:
                    self.workers.append(self._start(job, context))
        except BaseException:
            self.shutdown(IMPATIENCE)
            raise

    def _start(self, job: Job, context: Any) -> _Worker:
        ours, theirs = Channel.pair()
        by_fork = self.method == "fork"
        inherited = [ours, *(worker.channel for worker in self.workers)] if by_fork else []
        process = context.Process(
            target=work, args=(job if by_fork else Parcel(job), theirs, inherited), daemon=True
        )
        try:
            with warnings.catch_warnings():
                # A fork copies one thread, and what locks the others held stay locked. Python
                # warns of it since 3.12, in every notebook, where the kernel has threads. This
                # fork is made for it: no other thread is in the linear algebra library at the
                # time, and the worker talks to the loader without a lock. For a lock of the
                # dataset's own there is "spawn".
                warnings.filterwarnings(
                    "ignore", r".*use of fork\(\) may lead to deadlocks", DeprecationWarning
                )
                process.start()
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            ours.close()
            raise type(error)(
                f"DataLoader(num_workers={job.num_workers}) starts its workers by {self.method!r} "
                "here, which pickles the dataset, collate_fn and worker_init_fn for them, and that "
                f"failed: {error}. Define them at the top level of a .py file and import them from "
                "there (lambdas, and functions within functions, can't be pickled), or use "
                "num_workers=0."
            ) from error
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return _Worker(process, ours)

    def send(self, worker_id: int, tag: Tag, value: Any) -> None:
        """Send a message to a worker. If that has died, `receive` will say so."""
        try:
            self.workers[worker_id].channel.send(tag, value)
        except (BrokenPipeError, ConnectionError):
            pass  # what it said before comes first
        except BaseException:  # perhaps in the middle of a message
            self.shutdown(IMPATIENCE)
            raise

    def receive(self, timeout: float | None) -> tuple[int, Frame] | None:
        """The next message of any worker, and whose it is; None after `timeout` seconds.

        Raises `RuntimeError` as soon as a worker has died, whichever it is.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while (worker_id := self._next_ready(deadline)) is not None:
                worker = self.workers[worker_id]
                try:
                    frame = worker.channel.receive()
                except (EOFError, ConnectionError):
                    self._died(worker_id)
                if frame.tag.kind != READY:
                    return worker_id, frame
                worker.has_started = True
            return None
        except BaseException:  # an interrupt, perhaps in the middle of a message
            self.shutdown(IMPATIENCE)
            raise

    def _next_ready(self, deadline: float | None) -> int | None:
        """A worker whose message can be read; None at the deadline."""
        while not self._ready:
            patience = CHECK_SECONDS
            if deadline is not None:
                patience = min(patience, deadline - time.monotonic())
                if patience <= 0:
                    return None
            sources: list[Any] = [worker.channel.socket for worker in self.workers]
            sources += [worker.process.sentinel for worker in self.workers]
            found = wait(sources, patience)
            self._ready.extend(
                i for i, worker in enumerate(self.workers) if worker.channel.socket in found
            )
            for i, worker in enumerate(self.workers):
                has_ended = worker.process.sentinel in found or (
                    not found and not worker.process.is_alive()
                )
                if has_ended and i not in self._ready:  # what it said before comes first
                    self._died(i)
        return self._ready.popleft()

    def _died(self, worker_id: int) -> NoReturn:
        """Raise the `RuntimeError` that says how a worker ended."""
        worker = self.workers[worker_id]
        worker.process.join(PATIENCE)
        message = _epitaph(worker.process.pid, worker.process.exitcode)
        if not worker.has_started and self.method != "fork":
            message += (
                f" It ended before it was ready. Workers are started by {self.method!r} here, which "
                "imports the main program again: that must start nothing by itself, so put it "
                "under `if __name__ == '__main__':`."
            )
        self.shutdown(IMPATIENCE)
        raise RuntimeError(message)

    def shutdown(self, patience: float = PATIENCE) -> None:
        """End all workers and wait for them. Safe to call twice, and of no effect in a fork."""
        if not self.is_open or os.getpid() != self.owner:
            return
        self.is_open = False
        for worker in self.workers:
            worker.channel.hang_up()
        deadline = time.monotonic() + patience
        for worker in self.workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
        for end in ("terminate", "kill"):
            late = [worker.process for worker in self.workers if worker.process.is_alive()]
            for process in late:
                getattr(process, end)()
            for process in late:
                process.join(PATIENCE)
        for worker in self.workers:
            worker.channel.close()
            with contextlib.suppress(ValueError):  # not even a kill has ended it
                worker.process.close()


_pools: WeakSet[Pool] = WeakSet()


@atexit.register
def _shutdown_all() -> None:
    """End the workers of loops that the program has not finished: nobody waits for their batches."""
    for pool in list(_pools):
        pool.shutdown(IMPATIENCE)


_HINTS = {
    "SIGKILL": "The system kills processes when memory runs out: try a smaller batch_size, a "
    "smaller prefetch_factor or fewer workers.",
    "SIGBUS": "It touched memory that is not there: perhaps a mapped file has been shortened, or "
    "the disk or /dev/shm is full.",
    "SIGSEGV": "A library that the dataset uses crashed. Run it with num_workers=0 and "
    "`python -X faulthandler` to see where.",
}


def _epitaph(pid: int, exit_code: int | None) -> str:
    """How a worker ended, in words."""
    if exit_code is not None and exit_code < 0:
        name = _signal_name(-exit_code)
        text = signal.strsignal(-exit_code) or "unknown signal"
        ending = f"is killed by signal: {text} ({name}). {_HINTS.get(name, '')}".rstrip()
    else:
        code = "an unknown exit code" if exit_code is None else f"exit code {exit_code}"
        ending = (
            f"exited unexpectedly with {code}. Details are lost due to multiprocessing. "
            "Rerunning with num_workers=0 may give better error trace."
        )
    return f"DataLoader worker (pid {pid}) {ending}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
