"""Datasets: samples by index, or one after the other."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from tensorlab._random import Generator
from tensorlab._tensor import Tensor
from tensorlab.ops.random import randperm

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Base class of datasets with an index: a subclass writes `__getitem__` and `__len__`.

    It may also write `__getitems__(indices)`, which returns the list of samples of a batch, if
    it can read many samples faster together. Two datasets are concatenated by `+`.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 3
    ...
    ...     def __getitem__(self, index):
    ...         return index**2
    >>> [Squares()[i] for i in range(3)]
    [0, 1, 4]
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """Base class of datasets without an index, such as a stream: a subclass writes `__iter__`."""

    def __add__(self, other: Dataset[Any]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples along the first dimension of tensors: sample `i` is `(tensors[0][i], …)`.

    Raises:
        AssertionError: the tensors' first dimensions differ.

    >>> import tensorlab
    >>> dataset = TensorDataset(tensorlab.tensor([[1.0], [2.0]]), tensorlab.tensor([7, 8]))
    >>> dataset[1]
    (tensor([2.]), tensor(8))
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        sizes = [tensor.size(0) for tensor in tensors]
        if any(size != sizes[0] for size in sizes):
            raise AssertionError(
                f"Size mismatch between tensors: their first dimensions are {sizes}, expected one size"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].size(0)

    def _collated(self, indices: Sequence[int]) -> list[Tensor] | None:
        """The batch that collating `self[i] for i in indices` would give, read in one go.

        One read of many rows is far cheaper than many reads and a stack. None where a subclass
        has its own idea of a sample.
        """
        picked = list(indices)
        is_overridden = type(self).__getitem__ is not TensorDataset.__getitem__
        if is_overridden or set(map(type, picked)) != {int}:
            return None
        return [tensor[picked] for tensor in self.tensors]


class StackDataset(Dataset[Any]):
    """Datasets side by side: sample `i` is the tuple, or the dict, of their samples `i`.

    Args:
        args: datasets of one length, for tuples; or
        kwargs: datasets of one length by name, for dicts.
    """

    datasets: Any

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like "
                "input/output, but both types are given."
            )
        members: list[Any] = list(args or kwargs.values())
        if not members:
            raise ValueError("At least one dataset should be passed")
        self._length = len(members[0])
        if any(len(dataset) != self._length for dataset in members):
            raise ValueError("Size mismatch between datasets")
        self.datasets = args or kwargs

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        named = isinstance(self.datasets, dict)
        columns = [
            _read_many(dataset, indices)
            for dataset in (self.datasets.values() if named else self.datasets)
        ]
        rows = zip(*columns, strict=True)
        return [dict(zip(self.datasets, row, strict=True)) for row in rows] if named else list(rows)

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[Any]):
    """Datasets one after the other, as one dataset.

    Raises:
        AssertionError: there is none, or one has no index.

    >>> import tensorlab
    >>> one = TensorDataset(tensorlab.arange(2))
    >>> both = ConcatDataset([one, one])
    >>> len(both), both[3]
    (4, (tensor(1),))
    """

    datasets: list[Any]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """The running sums of the lengths."""
        return list(itertools.accumulate(len(e) for e in sequence))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: int) -> Any:
        if idx < 0:
            if -idx > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            idx += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, idx)
        if which == len(self.datasets):
            raise IndexError(f"index {idx} is out of range for a dataset of {len(self)} samples")
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][idx - before]


class ChainDataset(IterableDataset[Any]):
    """Iterable datasets one after the other, as one."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self._checked():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._checked())

    def _checked(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield dataset


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`, numbered from 0.

    >>> import tensorlab
    >>> part = Subset(TensorDataset(tensorlab.arange(10)), [7, 3])
    >>> part[0]
    (tensor(7),)
    """

    dataset: Any
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        if type(self).__getitem__ is not Subset.__getitem__:
            return [self[i] for i in indices]
        return _read_many(self.dataset, [self.indices[i] for i in indices])

    def _collated(self, indices: Sequence[int]) -> list[Tensor] | None:
        """See `TensorDataset._collated`."""
        whole = getattr(self.dataset, "_collated", None)
        own = type(self)
        if whole is None or own.__getitem__ is not Subset.__getitem__:
            return None
        if own.__getitems__ is not Subset.__getitems__:
            return None
        return whole([self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[Any],
    lengths: Sequence[int | float],
    generator: Generator | None = None,
) -> list[Subset[Any]]:
    """Split a dataset at random into parts that do not overlap.

    Args:
        dataset: what to split.
        lengths: how many samples each part gets; or fractions that add up to 1, where the
            samples left over by rounding down go to the parts in turn.
        generator: the source of randomness; the global one by default.

    Raises:
        ValueError: the lengths do not add up to the dataset's, or a fraction is not in [0, 1].

    >>> import tensorlab
    >>> dataset = TensorDataset(tensorlab.arange(10))
    >>> [len(part) for part in random_split(dataset, [0.75, 0.25])]
    [8, 2]
    """
    total: int = len(dataset)  # type: ignore[arg-type]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        sizes = []
        for i, fraction in enumerate(lengths):
            if not 0 <= fraction <= 1:
                raise ValueError(f"Fraction at index {i} is not between 0 and 1")
            sizes.append(math.floor(total * fraction))
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
        for i, size in enumerate(sizes):
            if size == 0:
                warnings.warn(
                    f"Length of split at index {i} is 0. This might result in an empty dataset.",
                    stacklevel=2,
                )
        lengths = sizes
    if sum(lengths) != total:
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"The lengths {list(lengths)} add up to {sum(lengths)}, the dataset has {total}."
        )
    order = randperm(total, generator=generator).tolist()
    ends = list(itertools.accumulate(int(length) for length in lengths))
    return [
        Subset(dataset, order[end - int(length) : end])
        for end, length in zip(ends, lengths, strict=True)
    ]


def _read_many(dataset: Any, indices: list[int]) -> list[Any]:
    many = getattr(dataset, "__getitems__", None)
    if many is None:
        return [dataset[i] for i in indices]
    samples = many(indices)
    if len(samples) != len(indices):
        raise ValueError(
            f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(samples)}"
        )
    return samples
