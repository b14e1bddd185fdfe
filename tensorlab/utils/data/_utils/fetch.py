"""Fetching: the samples that a sampler's index (or batch of indices) asks for, collated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorlab.utils.data._utils.collate import default_collate

__all__ = ["IterableFetcher", "MapFetcher", "create_fetcher"]


class MapFetcher:
    """Reads from a dataset that is indexed."""

    def __init__(
        self, dataset: Any, in_batches: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.dataset = dataset
        self.in_batches = in_batches
        self.collate_fn = collate_fn
        # A dataset in memory may know how to read a whole batch at once; see `TensorDataset`.
        whole = getattr(dataset, "_collated", None)
        self.read_batch = whole if in_batches and collate_fn is default_collate else None

    def fetch(self, index: Any) -> Any:
        """The sample at `index`, or the batch of the samples at the indices in it."""
        if self.read_batch is not None:
            batch = self.read_batch(index)
            if batch is not None:
                return batch
        if not self.in_batches:
            return self.collate_fn(self.dataset[index])
        many = getattr(self.dataset, "__getitems__", None)
        samples = [self.dataset[i] for i in index] if many is None else many(index)
        return self.collate_fn(samples)


class IterableFetcher:
    """Reads from a dataset that is iterated over; the sampler's indices only count."""

    def __init__(
        self, dataset: Any, in_batches: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.samples = iter(dataset)
        self.in_batches = in_batches
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.has_ended = False

    def fetch(self, index: Any) -> Any:
        """The next sample, or the next batch; `StopIteration` at the end."""
        if self.has_ended:
            raise StopIteration
        if not self.in_batches:
            return self.collate_fn(next(self.samples))
        batch = []
        for _ in index:
            try:
                batch.append(next(self.samples))
            except StopIteration:
                self.has_ended = True
                break
        if not batch or (self.drop_last and len(batch) < len(index)):
            raise StopIteration
        return self.collate_fn(batch)


def create_fetcher(
    is_iterable: bool,
    dataset: Any,
    in_batches: bool,
    collate_fn: Callable[[Any], Any],
    drop_last: bool,
) -> MapFetcher | IterableFetcher:
    """The fetcher for a kind of dataset."""
    kind = IterableFetcher if is_iterable else MapFetcher
    return kind(dataset, in_batches, collate_fn, drop_last)
