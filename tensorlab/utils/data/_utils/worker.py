"""What runs in a worker process: read the samples that are asked for, send the batches back."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import pickle
import random
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from queue import SimpleQueue
from typing import Any

import numpy as np

from tensorlab._random import manual_seed
from tensorlab.kernels import set_num_threads
from tensorlab.kernels.blas import limit_threads
from tensorlab.utils.data._utils.channel import Channel, Frame, Tag
from tensorlab.utils.data._utils.errors import ExceptionWrapper
from tensorlab.utils.data._utils.fetch import create_fetcher

__all__ = ["DATA", "END", "ERROR", "READY", "RESUME", "TASK", "Job", "WorkerInfo"]
__all__ += ["get_worker_info", "numpy_seed", "work"]

# Kinds of messages to a worker …
TASK, RESUME = range(2)
# … and from one: a batch, an exception instead, its stream has ended, it has started.
DATA, ERROR, END, READY = range(4)

CHECK_SECONDS = 1.0  # how often to look for the parent where the system can't tell of its end
_DIED_WITH_PARENT, _DEAF = 1, 2  # exit codes


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker knows of itself; `get_worker_info()` gives it.

    Attributes:
        id: the worker's number, from 0 to `num_workers - 1`.
        num_workers: how many there are.
        seed: what the worker's random generators were seeded with, `base_seed + id`.
        dataset: this process's copy of the dataset.
        rng: None: the seeded generators are the global ones.
        worker_method: how the worker runs; always "multiprocessing".
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process of a `DataLoader`, who it is; in any other process None.

    An `IterableDataset` divides its data among the workers by it, in `__iter__`; a
    `worker_init_fn` finds its copy of the dataset and its seed in it.

    >>> from tensorlab.utils.data import DataLoader, IterableDataset, get_worker_info
    >>> class Count(IterableDataset):
    ...     def __iter__(self):
    ...         worker = get_worker_info()
    ...         if worker is None:
    ...             return iter(range(6))
    ...         return iter(range(worker.id, 6, worker.num_workers))
    >>> sorted(DataLoader(Count(), batch_size=None))
    [0, 1, 2, 3, 4, 5]
    """
    return _worker_info


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a worker needs to begin."""

    dataset: Any
    is_iterable: bool
    in_batches: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    base_seed: int
    init_fn: Callable[[int], None] | None
    worker_id: int
    num_workers: int


def work(job: Job | Parcel, channel: Channel, inherited: list[Channel]) -> None:
    """The life of a worker: answer the loader's tasks until it hangs up.

    Args:
        job: what to do; packed where it does not come by fork.
        channel: the connection to the loader.
        inherited: the loader's ends of other connections, which a fork copied.
    """
    for other in inherited:
        other.close()
    _settle()
    tasks: SimpleQueue[Frame | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(channel, tasks), daemon=True).start()
    # When the loader has hung up nobody wants the rest.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionError):
        channel.send(Tag(0, 0, READY), None)
        _Worker(job, channel).serve(tasks)
    channel.close()


def _settle() -> None:
    """Become a process that does nothing but this work."""
    # Ctrl-C and a notebook's stop button reach the whole group of processes. What to do then is
    # the parent's business: it may go on, and then it needs its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A notebook's kernel has its event loop woken up by signals, over a socket that a fork shares.
    signal.set_wakeup_fd(-1)
    # What the parent made stays as it is: collecting garbage would copy every page of it, and
    # could run the finalizers of the parent's objects here.
    gc.freeze()
    # The processors are shared by the workers and the parent.
    set_num_threads(1)
    limit_threads(openmp=True)


def _listen(channel: Channel, tasks: SimpleQueue[Frame | None]) -> None:
    """Take in messages, so that the loader never waits to send one; end when the parent does.

    The main thread may be busy for long with one batch, or with sending it.
    """
    parent = _Parent()
    is_connected = True
    while parent.wait([channel.socket] if is_connected else []):
        try:
            tasks.put(channel.receive())
        except (EOFError, OSError):  # the loader has hung up
            is_connected = False
            tasks.put(None)
        except BaseException:  # no memory, perhaps: the loader reports the end, here stands why
            traceback.print_exc()
            os._exit(_DEAF)
    # Killed, or its notebook restarted: nobody is left to stop this worker.
    os._exit(_DIED_WITH_PARENT)


class _Parent:
    """The process that started this one, watched."""

    def __init__(self) -> None:
        self.process: Any = multiprocessing.parent_process()
        self.starter = os.getppid()  # a fork server, where that starts the workers
        # A sentinel fires at once, but its other end may have been inherited by other processes.
        self.sentinel: Any = self.process.sentinel
        self.timeout: float | None = CHECK_SECONDS
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):  # an old kernel, or the parent has ended already
                self.sentinel = os.pidfd_open(self.process.pid)
                self.timeout = None
        if os.name == "nt":
            self.timeout = None  # a handle of the process itself

    def wait(self, sources: list[Any]) -> bool:
        """Wait until there is something to read; False when the parent has ended."""
        while True:
            ready = wait([*sources, self.sentinel], self.timeout)
            if self.sentinel in ready:
                return False
            if ready:
                return True
            if os.getppid() != self.starter:
                return False


class _Worker:
    """Reads batches of the dataset for one worker."""

    def __init__(self, job: Job | Parcel, channel: Channel) -> None:
        self.channel = channel
        self.fetcher: Any = None
        self.where = ""
        self.failure: ExceptionWrapper | None = None
        self.job: Any = None
        try:
            self.job = job = job.opened() if isinstance(job, Parcel) else job
        except Exception as error:
            self.failure = ExceptionWrapper(
                error, "in a DataLoader worker process as it started", _NOT_FOUND
            )
            return
        self.where = f"in DataLoader worker process {job.worker_id}"
        try:
            _seed(job)
            if job.init_fn is not None:
                job.init_fn(job.worker_id)
            self.fetcher = self.new_fetcher()
        except Exception as error:
            self.failure = ExceptionWrapper(error, self.where)

    def new_fetcher(self) -> Any:
        job = self.job
        return create_fetcher(
            job.is_iterable, job.dataset, job.in_batches, job.collate_fn, job.drop_last
        )

    def serve(self, tasks: SimpleQueue[Frame | None]) -> None:
        """Answer tasks in their order until there are no more."""
        has_ended = False
        while (frame := tasks.get()) is not None:
            epoch, number, kind = frame.tag
            if kind == RESUME:
                has_ended = False
                self.resume()
                continue
            if has_ended:
                continue
            answer = self.answer(frame)
            has_ended = answer[0] == END
            self.send(Tag(epoch, number, answer[0]), answer[1])
            del frame, answer  # a batch can be large

    def resume(self) -> None:
        """Begin another pass with the same dataset."""
        if self.failure is None:
            try:
                self.fetcher = self.new_fetcher()
            except Exception as error:
                self.failure = ExceptionWrapper(error, self.where)

    def answer(self, frame: Frame) -> tuple[int, Any]:
        """The batch that was asked for, or what came instead."""
        if self.failure is not None:
            return ERROR, self.failure
        try:
            return DATA, self.fetcher.fetch(frame.load())
        except Exception as error:
            if isinstance(error, StopIteration) and self.job.is_iterable:
                return END, None
            return ERROR, ExceptionWrapper(error, self.where)

    def send(self, tag: Tag, value: Any) -> None:
        """Send an answer; one that can't be pickled becomes the error that says so."""
        try:
            self.channel.send(tag, value)
        except (EOFError, BrokenPipeError, ConnectionError):
            raise
        except Exception as error:
            if isinstance(value, ExceptionWrapper):
                value = value.without_class()
            else:
                value = ExceptionWrapper(error, f"{self.where} as it sent a batch", _NOT_SENT)
            self.channel.send(tag._replace(kind=ERROR), value)


def _seed(job: Job) -> None:
    """Seed the global generators of this process, as PyTorch's workers do, and say who it is."""
    global _worker_info
    seed = job.base_seed + job.worker_id
    random.seed(seed)
    manual_seed(seed)
    np.random.seed(numpy_seed(job.base_seed, job.worker_id))
    _worker_info = WorkerInfo(job.worker_id, job.num_workers, seed, job.dataset)


def numpy_seed(base_seed: int, worker_id: int) -> np.ndarray:
    """The seed of NumPy's global generator in a worker.

    It is not `base_seed + worker_id`, because NumPy's generator is the same Mersenne Twister as
    those of Python and tensorlab and would give the same numbers.
    """
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return np.random.SeedSequence(entropy).generate_state(4)


# Jobs that are pickled ------------------------------------------------------------------------

_NOT_SENT = (
    "\nBatches come from the workers pickled: the dataset and collate_fn may return tensors, arrays, "
    "numbers, strings, containers of them and objects of classes at the top level of a module, but "
    "no lambdas, generators or open files."
)
_NOT_FOUND = (
    "\nThis worker was started afresh ('spawn' or 'forkserver') and imports what the dataset and "
    "the functions of the loader are made of. What a notebook or an interactive session defines "
    "can't be imported: move it into a .py file beside the notebook and import it from there, or "
    "use num_workers=0."
)


class Parcel:
    """A job on its way to a process that is not a fork: opened there with care.

    Pickled within another pickle, so that a class which can't be found in the worker is an error
    that the worker can report; otherwise it would die before its first line of code.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def __getstate__(self) -> bytes:
        from multiprocessing.reduction import ForkingPickler

        return bytes(ForkingPickler.dumps(self.job))

    def __setstate__(self, packed: bytes) -> None:
        self.packed = packed

    def opened(self) -> Job:
        """The job. Raises what unpickling raises."""
        return pickle.loads(self.packed)
