"""A sampler for training by several processes, each of which reads its share of the dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tensorlab._random import Generator
from tensorlab.ops.random import randperm
from tensorlab.utils.data.sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """The share of one process in the indices of a dataset, the same number for each process.

    Process `rank` reads every `num_replicas`-th index of an order that is the same in all of them.
    Call `set_epoch` before each pass: the order depends on `seed + epoch`.

    Args:
        dataset: what to read; only its length is used.
        num_replicas: how many processes there are.
        rank: which of them this is, from 0.
        shuffle: read in a random order.
        seed: the seed of the order, the same in all processes.
        drop_last: leave out the indices at the end that don't go round; otherwise some come twice
            to make up the number.

    Raises:
        RuntimeError: `num_replicas` or `rank` is not given.
        ValueError: there is no such rank.

    >>> [list(DistributedSampler("abcde", 2, rank, shuffle=False)) for rank in range(2)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise RuntimeError(
                "DistributedSampler needs num_replicas and rank: there is no distributed package "
                "here to ask for them"
            )
        if rank >= num_replicas or rank < 0:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        whole, rest = divmod(len(dataset), num_replicas)
        self.num_samples = whole + (rest > 0 and not drop_last)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        if self.shuffle:
            generator = Generator().manual_seed(self.seed + self.epoch)
            indices = randperm(n, generator=generator).tolist()
        else:
            indices = list(range(n))
        if n:  # from the beginning again, as often as it takes
            indices *= math.ceil(self.total_size / n)
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of pass number `epoch`: another one for each, the same in all processes."""
        self.epoch = epoch
