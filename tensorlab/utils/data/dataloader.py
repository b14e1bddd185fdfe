"""The loader: batches of a dataset, in the order of a sampler."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from tensorlab._random import Generator
from tensorlab.utils.data._utils.collate import default_collate, default_convert
from tensorlab.utils.data._utils.iterators import MultiProcessingIterator, SingleProcessIterator
from tensorlab.utils.data._utils.worker import get_worker_info
from tensorlab.utils.data.dataset import IterableDataset
from tensorlab.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _InfiniteConstantSampler(Sampler[None]):
    """Gives None for ever: a dataset that is iterated over needs no indices."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[T_co]):
    """Iterates over a dataset in batches.

    Every `iter(loader)` is a new pass, in a new order if shuffled. The orders depend on the
    seed alone and are PyTorch's.

    Args:
        dataset: a `Dataset`, anything with `__getitem__` and `__len__`, or an `IterableDataset`.
        batch_size: samples per batch; None gives single samples without a batch dimension.
        shuffle: read in a new random order each time.
        sampler: gives the indices instead; not with `shuffle`.
        batch_sampler: gives lists of indices; not with the three above or `drop_last`.
        num_workers: how many processes read; 0, this process does.
        collate_fn: makes a batch of a list of samples; `default_collate` by default.
        pin_memory: put batches in page-locked memory, from which `.to("cuda", non_blocking=True)` copies
            while the program goes on; without a CUDA device it warns and does nothing.
        drop_last: leave out the last batch if it is smaller.
        timeout: seconds to wait for one batch of the workers; 0, as long as it takes.
        worker_init_fn: called in each worker with its number, after seeding.
        multiprocessing_context: how workers are started: "fork", "spawn", "forkserver" or a
            context of `multiprocessing`. By default fork on Linux, so that datasets and functions
            defined in a notebook work, and the platform's own way elsewhere.
        generator: the source of randomness for shuffling and the workers' seeds; the global one
            by default.
        prefetch_factor: how many batches each worker reads ahead; 2 by default.
        persistent_workers: keep the workers from one pass to the next.
        pin_memory_device: accepted, without effect.
        in_order: hand out batches in the sampler's order; if False, as they come.

    With workers, each has a copy of the dataset; an `IterableDataset` must divide its data by
    `get_worker_info`. Worker `i` has `random`, NumPy and tensorlab seeded from one number of the
    generator and `i`. Its exceptions are raised again here, with its traceback; one that
    dies is a `RuntimeError` that says how. Workers end with the iterator: at the end of a loop, a
    break or an error, and with this process however it ends.

    Raises:
        ValueError: options that exclude each other, or of the wrong size.
        TypeError: a `multiprocessing_context` that is none.

    When iterating:
        AssertionError: `timeout` without workers, or a `prefetch_factor` of 0.
        RuntimeError: a worker has died, or has not answered within `timeout`.

    >>> import tensorlab
    >>> from tensorlab.utils.data import TensorDataset
    >>> dataset = TensorDataset(tensorlab.arange(5))
    >>> [x.tolist() for (x,) in DataLoader(dataset, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    >>> [x.tolist() for (x,) in DataLoader(dataset, batch_size=2, num_workers=2)]
    [[0, 1], [2, 3], [4]]
    """

    _initialized = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self.persistent_workers = persistent_workers
        self._is_iterable = isinstance(dataset, IterableDataset)

        if self._is_iterable:
            if shuffle:
                raise ValueError(
                    "DataLoader with IterableDataset: expected unspecified shuffle option, but "
                    f"got shuffle={shuffle}"
                )
            for name, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, "
                        f"but got {name}={value}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, "
                    "sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )

        if sampler is None:
            if self._is_iterable:
                sampler = _InfiniteConstantSampler()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler: Any = sampler
        self.batch_sampler: Any = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn = collate_fn
        self._iterator: MultiProcessingIterator | None = None
        self._reported_length: int | None = None
        self._initialized = True
        self.check_worker_number_rationality()

    def __setattr__(self, attr: str, val: Any) -> None:
        if self._initialized and attr in _FIXED:
            raise ValueError(
                f"{attr} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(attr, val)

    @property
    def multiprocessing_context(self) -> BaseContext | None:
        """How worker processes are started; None for the usual way."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: str | BaseContext | None) -> None:
        if context is not None and not self.num_workers:
            raise ValueError(
                "multiprocessing_context can only be used with multi-process loading "
                f"(num_workers > 0), but got num_workers={self.num_workers}"
            )
        if isinstance(context, str):
            valid = multiprocessing.get_all_start_methods()
            if context not in valid:
                raise ValueError(
                    "multiprocessing_context option should specify a valid start method in "
                    f"{valid!r}, but got multiprocessing_context={context!r}"
                )
            context = multiprocessing.get_context(context)
        if context is not None and not isinstance(context, BaseContext):
            raise TypeError(
                "multiprocessing_context option should be a valid context object or a string "
                f"specifying the start method, but got multiprocessing_context={context}"
            )
        self._context = context

    @property
    def _in_batches(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._in_batches else self.sampler

    def check_worker_number_rationality(self) -> None:
        """Warn if there are more workers than processors that this process may use."""
        if hasattr(os, "sched_getaffinity"):
            processors, note = len(os.sched_getaffinity(0)), ""
        else:
            processors, note = os.cpu_count() or 1, " (`cpuset` is not taken into account)"
        if self.num_workers > processors:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our "
                f"suggested max number of worker in current system is {processors}{note}, which is "
                "smaller than what this DataLoader is going to create. Please be aware that "
                "excessive worker creation might get DataLoader running slow or even freeze, lower "
                "the worker number to avoid potential slowness/freeze if necessary.",
                stacklevel=3,
            )

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers == 0:
            return SingleProcessIterator(self)
        if self.persistent_workers and self._iterator is not None and self._iterator.is_usable:
            self._iterator.reset(self)
            return self._iterator
        self.check_worker_number_rationality()
        iterator = MultiProcessingIterator(self)
        if self.persistent_workers:
            self._iterator = iterator
        return iterator

    def __len__(self) -> int:
        if not self._is_iterable:
            return len(self._index_sampler)
        count: int = len(self.dataset)
        self._reported_length = count
        if self.batch_size is None:
            return count
        full, rest = divmod(count, self.batch_size)
        return full + (rest > 0 and not self.drop_last)


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")
