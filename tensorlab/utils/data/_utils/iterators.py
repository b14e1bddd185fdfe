"""One pass over a loader's dataset: in this process, or by worker processes."""

from __future__ import annotations

import itertools
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Self

from tensorlab.utils.data._utils.channel import Frame, Tag
from tensorlab.utils.data._utils.fetch import create_fetcher
from tensorlab.utils.data._utils.pin_memory import pin_memory
from tensorlab.utils.data._utils.pool import Pool, default_context
from tensorlab.utils.data._utils.worker import END, ERROR, RESUME, TASK, Job
from tensorlab.utils.data.sampler import draw_seed

if TYPE_CHECKING:
    from tensorlab.utils.data.dataloader import DataLoader

__all__ = ["MultiProcessingIterator", "SingleProcessIterator"]


class _Iterator:
    """What both kinds of passes share."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._pins = _can_pin(loader)
        self._dataset = loader.dataset
        self._is_iterable = loader._is_iterable
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._indices = iter(self._index_sampler)
        # The seed of the workers. It is drawn without them too, as PyTorch does, so that what is
        # drawn from the global generator afterwards does not depend on their number.
        self._base_seed = draw_seed(loader.generator)
        self._reported_length = loader._reported_length
        self._num_yielded = 0

    def __iter__(self) -> Self:
        return self

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")

    def _count(self) -> None:
        """Count a batch, and warn of more than the dataset said it had."""
        self._num_yielded += 1
        length = self._reported_length
        if length is None or self._num_yielded <= length:
            return
        message = (
            f"Length of IterableDataset {self._dataset} was reported to be {length} "
            f"(when accessing len(dataloader)), but {self._num_yielded} samples have been fetched."
        )
        if self._num_workers:
            message += (
                " Each worker iterates over a copy of the dataset: perhaps its __iter__ does not "
                "divide the samples among them. See tensorlab.utils.data.get_worker_info."
            )
        warnings.warn(message, stacklevel=3)


class SingleProcessIterator(_Iterator):
    """Reads in this process, each batch when it is asked for."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        if loader.timeout != 0:
            raise AssertionError(
                f"DataLoader(timeout={loader.timeout}) needs num_workers > 0: only worker "
                "processes can be given up on"
            )
        self._fetcher = create_fetcher(
            loader._is_iterable, loader.dataset, loader._in_batches,
            loader.collate_fn, loader.drop_last,
        )  # fmt: skip

    def __next__(self) -> Any:
        data = self._fetcher.fetch(next(self._indices))
        if self._is_iterable:
            self._count()
        return pin_memory(data) if self._pins else data


class MultiProcessingIterator(_Iterator):
    """Has worker processes read ahead, each its share of the batches, and puts these in order.

    Batch `i` is the task of worker `i % num_workers`; every worker has at most `prefetch_factor`
    tasks that have not been handed out yet.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        if not loader.prefetch_factor:
            raise AssertionError(
                f"prefetch_factor must be greater than 0, got {loader.prefetch_factor}"
            )
        self._prefetch_factor: int = loader.prefetch_factor
        self._in_order = loader.in_order
        self._timeout = loader.timeout
        self._is_persistent = loader.persistent_workers
        jobs = [
            Job(
                loader.dataset, loader._is_iterable, loader._in_batches, loader.collate_fn,
                loader.drop_last, self._base_seed, loader.worker_init_fn, i, loader.num_workers,
            )
            for i in range(loader.num_workers)
        ]  # fmt: skip
        self._pool = Pool(jobs, loader.multiprocessing_context or default_context())
        # When this iterator goes, by the end of the loop, a break or an error, so do its workers.
        # At the interpreter's end the pool sees to it.
        weakref.finalize(self, self._pool.shutdown).atexit = False
        self._epoch = 0
        self._begin()

    @property
    def is_usable(self) -> bool:
        """Whether the workers are there."""
        return self._pool.is_open

    def reset(self, loader: DataLoader[Any]) -> None:
        """Begin another pass with the same workers."""
        self._pins = _can_pin(loader)
        self._reported_length = loader._reported_length
        self._epoch += 1
        for worker_id in range(self._num_workers):
            self._pool.send(worker_id, Tag(self._epoch, 0, RESUME), None)
        self._begin()

    def _begin(self) -> None:
        # PyTorch makes this second iterator, too: a sampler that draws in __iter__ draws twice.
        self._indices = iter(self._index_sampler)
        self._num_yielded = 0
        self._next_sent = 0  # the number of the next task to send
        self._next_out = 0  # the number of the next batch to hand out
        self._worker_of: dict[int, int] = {}  # who does a task that has not been handed out
        self._waiting: dict[int, Frame] = {}  # batches that came before their turn
        self._is_active = [True] * self._num_workers  # whether a stream has not ended yet
        self._load = [0] * self._num_workers  # tasks of each worker that are not handed out
        self._turns = itertools.cycle(range(self._num_workers))
        for _ in range(self._prefetch_factor * self._num_workers):
            self._send_task()

    def __next__(self) -> Any:
        pins = self._pins
        frame = self._next_frame()
        self._send_task()
        data = frame.load()
        if self._is_iterable:
            self._count()
        if frame.tag.kind == ERROR:
            # The traceback will hold this frame, perhaps for long (a notebook keeps the last
            # one): with the iterator in it, the workers would stay as well.
            del self
            data.reraise()
        return pin_memory(data) if pins else data

    def _next_frame(self) -> Frame:
        """The next batch in order, or, out of order, the next that there is."""
        if not self._pool.is_open and self._next_out < self._next_sent:
            raise RuntimeError(
                "the workers of this iterator have been stopped by an error or an interrupt: "
                "make a new one with iter(loader)"
            )
        while True:
            self._skip_ended()
            index = self._next_out
            if index in self._waiting:
                self._next_out += 1
                return self._handed_out(self._waiting.pop(index))
            frame = self._receive()
            if frame.tag.kind == END:
                self._is_active[self._worker_of[frame.tag.number]] = False
                self._send_task()
            elif frame.tag.number == index:
                self._next_out += 1
                return self._handed_out(frame)
            elif not self._in_order:
                return self._handed_out(frame)
            else:
                self._waiting[frame.tag.number] = frame

    def _skip_ended(self) -> None:
        """Go on to the next batch that will come; `StopIteration` if there is none."""
        while self._next_out < self._next_sent:
            worker_id = self._worker_of.get(self._next_out)
            if worker_id is not None:
                if self._next_out in self._waiting or self._is_active[worker_id]:
                    return
                del self._worker_of[self._next_out]
            self._next_out += 1
        if not self._is_persistent:
            self._pool.shutdown()
        raise StopIteration

    def _handed_out(self, frame: Frame) -> Frame:
        self._load[self._worker_of.pop(frame.tag.number)] -= 1
        return frame

    def _receive(self) -> Frame:
        """The next answer of any worker in this pass."""
        while True:
            found = self._pool.receive(self._timeout or None)
            if found is None:
                raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
            if found[1].tag.epoch == self._epoch:  # others are left over from a pass cut short
                return found[1]

    def _send_task(self) -> None:
        """Give the next worker in turn the next batch to read, if there is one."""
        try:
            index = next(self._indices)
        except StopIteration:
            return
        most = self._prefetch_factor * self._num_workers
        for _ in range(self._num_workers):
            worker_id = next(self._turns)
            if self._is_active[worker_id] and (
                self._in_order or self._load[worker_id] < most // sum(self._is_active)
            ):
                break
        else:
            return
        self._pool.send(worker_id, Tag(self._epoch, self._next_sent, TASK), index)
        self._worker_of[self._next_sent] = worker_id
        self._load[worker_id] += 1
        self._next_sent += 1


def _can_pin(loader: DataLoader[Any]) -> bool:
    """Whether batches are to be put in page-locked memory; a warning says why not, if that was asked for."""
    if not loader.pin_memory:
        return False
    from tensorlab.cuda import is_available

    if loader.pin_memory_device:
        warnings.warn(
            "pin_memory_device is deprecated, the current accelerator will be used as the device, "
            f"ignore pin_memory_device='{loader.pin_memory_device}'.",
            stacklevel=5,
        )
    if is_available():
        return True
    warnings.warn(
        "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory "
        "won't be used.",
        stacklevel=5,
    )
    return False
