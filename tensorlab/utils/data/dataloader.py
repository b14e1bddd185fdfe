"""The loader: batches of a dataset, in the order of a sampler."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from tensorlab._random import Generator
from tensorlab.utils.data._utils.collate import default_collate, default_convert
from tensorlab.utils.data._utils.fetch import IterableFetcher, MapFetcher
from tensorlab.utils.data.dataset import IterableDataset
from tensorlab.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    draw_seed,
)

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


def get_worker_info() -> None:
    """None in the main process, which is where every loader reads its data so far."""
    return None


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
        num_workers: 0, load in this process. (Loading in other processes does not exist yet.)
        collate_fn: makes a batch of a list of samples; `default_collate` by default.
        pin_memory: accepted for PyTorch's sake, without effect; warns.
        drop_last: leave out the last batch if it is smaller.
        timeout: only for `num_workers > 0`.
        worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers, in_order:
            only for `num_workers > 0`.
        generator: the source of randomness for shuffling; the global one by default.

    Raises:
        ValueError: options that exclude each other, or of the wrong size.
        NotImplementedError: `num_workers > 0`.

    >>> import tensorlab
    >>> from tensorlab.utils.data import TensorDataset
    >>> dataset = TensorDataset(tensorlab.arange(5))
    >>> [x.tolist() for (x,) in DataLoader(dataset, batch_size=2)]
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
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        if multiprocessing_context is not None:
            raise ValueError(
                "multiprocessing_context can only be used with multi-process loading "
                f"(num_workers > 0), but got num_workers={num_workers}"
            )
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
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
        self._initialized = True

    def __setattr__(self, attr: str, val: Any) -> None:
        if self._initialized and attr in _FIXED:
            raise ValueError(
                f"{attr} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(attr, val)

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        return _SingleProcessIterator(self)

    def __len__(self) -> int:
        if not self._is_iterable:
            return len(self._index_sampler)
        count: int = len(self.dataset)
        if self.batch_size is None:
            return count
        full, rest = divmod(count, self.batch_size)
        return full + (rest > 0 and not self.drop_last)


class _SingleProcessIterator:
    """One pass over the data, read in this process."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        if loader.pin_memory:
            warnings.warn(
                "DataLoader(pin_memory=True) has no effect: batches are made in ordinary memory. "
                "Leave it out, and move each batch with .to(device)",
                stacklevel=3,
            )
        self._indices = iter(loader._index_sampler)
        self._index_sampler = loader._index_sampler
        # A seed for workers. It is drawn without them too, as PyTorch does, so that what is
        # drawn from the global generator afterwards does not depend on their number.
        self._base_seed = draw_seed(loader.generator)
        fetcher = IterableFetcher if loader._is_iterable else MapFetcher
        self._fetcher = fetcher(
            loader.dataset, loader.batch_sampler is not None, loader.collate_fn, loader.drop_last
        )

    def __iter__(self) -> _SingleProcessIterator:
        return self

    def __next__(self) -> Any:
        return self._fetcher.fetch(next(self._indices))

    def __len__(self) -> int:
        return len(self._index_sampler)


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers > 0:
        raise NotImplementedError(
            f"DataLoader(num_workers={num_workers}): loading in worker processes is not supported; "
            "use num_workers=0, which loads in this process"
        )
    if prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if persistent_workers:
        raise ValueError("persistent_workers option needs num_workers > 0")
    if timeout:
        raise ValueError("timeout option needs num_workers > 0")
