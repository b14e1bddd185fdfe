"""Samplers draw PyTorch's indices."""

from __future__ import annotations

import pytest

import tensorlab as tl
from tensorlab.utils.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def both(make, passes=2):
    """The indices of several passes, ours and PyTorch's, from the same global seed."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    results = []
    for lib, data in ((tl, tl.utils.data), (torch, torch.utils.data)):
        lib.manual_seed(11)
        sampler = make(lib, data)
        results.append([list(sampler) for _ in range(passes)])
        results[-1].append(lib.rand(1).item())  # what is drawn afterwards is the same, too
    return results


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_samples": 5},
        {"num_samples": 25},
        {"replacement": True},
        {"replacement": True, "num_samples": 70},
        {"replacement": True, "num_samples": 64},
    ],
    ids=str,
)
@pytest.mark.parametrize("own_generator", [False, True])
def test_random_sampler(options, own_generator):
    def make(lib, data):
        generator = lib.Generator().manual_seed(3) if own_generator else None
        return data.RandomSampler(range(10), generator=generator, **options)

    ours, theirs = both(make)
    assert ours == theirs
    assert ours[0] != ours[1]


def test_subset_random_sampler():
    ours, theirs = both(lambda lib, data: data.SubsetRandomSampler([5, 7, 9, 11]))
    assert ours == theirs
    assert sorted(ours[0]) == [5, 7, 9, 11]
    assert len(SubsetRandomSampler([1, 2])) == 2


@pytest.mark.parametrize("replacement", [True, False])
def test_weighted_random_sampler(replacement):
    weights = [0.1, 0.4, 0.0, 1.5, 2.0]
    ours, theirs = both(lambda lib, data: data.WeightedRandomSampler(weights, 4, replacement))
    assert ours == theirs
    assert 2 not in ours[0]
    assert len(WeightedRandomSampler(weights, 3)) == 3


def test_sequential_and_batches():
    assert list(SequentialSampler(range(3))) == [0, 1, 2]
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert list(BatchSampler(range(4), 2, True)) == [[0, 1], [2, 3]]
    assert len(BatchSampler(range(5), 2, False)) == 3
    assert len(BatchSampler(range(5), 2, True)) == 2
    assert list(BatchSampler([], 2, False)) == []


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomSampler(range(3), replacement="no"), TypeError, "should be a boolean value"),
        (lambda: RandomSampler([]), ValueError, "positive integer value, but got num_samples=0"),
        (lambda: RandomSampler(range(3), num_samples=-1), ValueError, "positive integer"),
        (lambda: BatchSampler(range(3), 0, False), ValueError, "batch_size should be a positive"),
        (
            lambda: BatchSampler(range(3), True, False),
            ValueError,
            "batch_size should be a positive",
        ),
        (lambda: BatchSampler(range(3), 1, "no"), ValueError, "drop_last should be a boolean"),
        (lambda: WeightedRandomSampler([1.0], 0), ValueError, "num_samples should be a positive"),
        (lambda: WeightedRandomSampler([1.0], 1, "no"), ValueError, "should be a boolean value"),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, "1d sequence .* shape"),
        (lambda: iter(Sampler()), NotImplementedError, "must define __iter__"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
