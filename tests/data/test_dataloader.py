"""The loader: PyTorch's batches in PyTorch's order, from the same seed."""

from __future__ import annotations

import pytest

import tensorlab as tl
from tensorlab.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    get_worker_info,
)


def both(make, passes=2):
    """All batches of several passes, ours and PyTorch's, as nested lists."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    results = []
    for lib in (tl, torch):
        lib.manual_seed(21)
        data = lib.utils.data
        loader = make(lib, data, data.TensorDataset(lib.arange(23).float(), lib.arange(23) * 10))
        found = [[[t.tolist() for t in batch] for batch in loader] for _ in range(passes)]
        results.append((len(loader), found, lib.rand(2).tolist()))
    return results


OPTIONS = [
    {"batch_size": 4},
    {"batch_size": 4, "shuffle": True},
    {"batch_size": 4, "shuffle": True, "drop_last": True},
    {"batch_size": 23, "shuffle": True},
    {"shuffle": True},
    {"batch_size": None, "shuffle": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("own_generator", [False, True])
def test_batches_are_pytorchs(options, own_generator):
    def make(lib, data, dataset):
        generator = lib.Generator().manual_seed(5) if own_generator else None
        return data.DataLoader(dataset, generator=generator, **options)

    ours, theirs = both(make)
    assert ours == theirs
    if options.get("shuffle"):
        assert ours[1][0] != ours[1][1]


def test_samplers_and_subsets():
    def make(lib, data, dataset):
        part = data.Subset(dataset, list(range(0, 23, 2)))
        sampler = data.WeightedRandomSampler([1.0] * 12, 8)
        return data.DataLoader(part, batch_size=3, sampler=sampler)

    ours, theirs = both(make)
    assert ours == theirs
    ours, theirs = both(
        lambda lib, data, d: data.DataLoader(d, batch_sampler=[[1, 2], [5], [0, 3, 4]])
    )
    assert ours == theirs


class Squares(Dataset):
    """Written the way a learner writes one."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return {"x": index, "y": float(index) ** 2, "name": f"n{index}"}


def test_own_dataset():
    batches = list(DataLoader(Squares(), batch_size=4))
    assert len(batches) == 3
    assert batches[0]["x"].tolist() == [0, 1, 2, 3]
    assert batches[0]["y"].dtype is tl.float64
    assert batches[2]["name"] == ["n8", "n9"]


def test_any_sequence_is_a_dataset():
    assert [b.tolist() for b in DataLoader([5, 6, 7], batch_size=2)] == [[5, 6], [7]]


def test_own_collate():
    loader = DataLoader(Squares(), batch_size=4, collate_fn=len)
    assert list(loader) == [4, 4, 2]
    single = DataLoader(Squares(), batch_size=None)
    assert next(iter(single))["name"] == "n0"
    assert len(single) == 10


def test_datasets_that_read_many_at_once():
    class Many(Squares):
        def __init__(self):
            self.asked = []

        def __getitems__(self, indices):
            self.asked.append(indices)
            return [self[i] for i in indices]

    data = Many()
    assert len(list(DataLoader(data, batch_size=5))) == 2
    assert data.asked == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_subclasses_of_tensor_dataset_are_asked_for_each_sample():
    """Whole batches are read at once only where that gives the same."""

    class Augmented(TensorDataset):
        def __getitem__(self, index):
            (x,) = super().__getitem__(index)
            return x + 100, index

    class Renumbered(Subset):
        def __getitem__(self, index):
            return index, super().__getitem__(index)[0]

    x, index = next(iter(DataLoader(Augmented(tl.arange(4)), batch_size=2)))
    assert (x.tolist(), index.tolist()) == ([100, 101], [0, 1])
    index, x = next(
        iter(DataLoader(Renumbered(TensorDataset(tl.arange(4)), [3, 2, 1]), batch_size=2))
    )
    assert (index.tolist(), x.tolist()) == ([0, 1], [3, 2])
    (x,) = next(iter(DataLoader(Subset(Augmented(tl.arange(4)), [3, 2]), batch_size=2)))[:1]
    assert x.tolist() == [103, 102]


def test_batches_do_not_share_memory_with_the_data():
    data = tl.arange(6)
    (batch,) = next(iter(DataLoader(TensorDataset(data), batch_size=3)))
    batch.fill_(-1)
    assert data.tolist() == list(range(6))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(7))


def test_iterable_datasets():
    assert [b.tolist() for b in DataLoader(Stream(), batch_size=3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.tolist() for b in DataLoader(Stream(), batch_size=3, drop_last=True)] == [
        [0, 1, 2],
        [3, 4, 5],
    ]
    assert list(DataLoader(Stream(), batch_size=None)) == list(range(7))
    with pytest.raises(TypeError):
        len(DataLoader(Stream(), batch_size=3))

    class Sized(Stream):
        def __len__(self):
            return 7

    assert len(DataLoader(Sized(), batch_size=3)) == 3
    assert len(DataLoader(Sized(), batch_size=3, drop_last=True)) == 2
    assert len(DataLoader(Sized(), batch_size=None)) == 7


def test_passes_are_independent():
    loader = DataLoader(range(4), batch_size=2)
    first, second = iter(loader), iter(loader)
    assert next(first).tolist() == next(second).tolist() == [0, 1]
    assert len(first) == 2
    assert next(first).tolist() == [2, 3]
    with pytest.raises(StopIteration):
        next(first)


def test_errors_of_the_dataset_come_through():
    class Broken(Squares):
        def __getitem__(self, index):
            raise LookupError(f"sample {index} is broken")

    with pytest.raises(LookupError, match="sample 0 is broken"):
        next(iter(DataLoader(Broken())))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_workers": -1}, ValueError, "num_workers option should be non-negative"),
        ({"timeout": -1}, ValueError, "timeout option should be non-negative"),
        (
            {"num_workers": 1, "prefetch_factor": -1},
            ValueError,
            "prefetch_factor option should be non-negative",
        ),
        (
            {"num_workers": 1, "multiprocessing_context": "thread"},
            ValueError,
            "should specify a valid start method in .*fork.*, but got .*'thread'",
        ),
        (
            {"num_workers": 1, "multiprocessing_context": 3},
            TypeError,
            "should be a valid context object or a string specifying the start method",
        ),
        (
            {"prefetch_factor": 2},
            ValueError,
            "prefetch_factor option could only be specified in multiprocessing",
        ),
        (
            {"persistent_workers": True},
            ValueError,
            "persistent_workers option needs num_workers > 0",
        ),
        (
            {"multiprocessing_context": "fork"},
            ValueError,
            "multiprocessing_context can only be used",
        ),
        (
            {"sampler": [1], "shuffle": True},
            ValueError,
            "sampler option is mutually exclusive with shuffle",
        ),
        (
            {"batch_sampler": [[1]], "batch_size": 2},
            ValueError,
            "batch_sampler option is mutually exclusive",
        ),
        (
            {"batch_sampler": [[1]], "drop_last": True},
            ValueError,
            "batch_sampler option is mutually exclusive",
        ),
        ({"batch_size": None, "drop_last": True}, ValueError, "disables auto-batching"),
        ({"batch_size": 0}, ValueError, "batch_size should be a positive integer"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        DataLoader(range(4), **options)


def test_options_that_iterating_refuses():
    with pytest.raises(AssertionError, match="timeout=5.* needs num_workers > 0"):
        iter(DataLoader(range(4), timeout=5))
    with pytest.raises(AssertionError, match="prefetch_factor must be greater than 0"):
        iter(DataLoader(range(4), num_workers=1, prefetch_factor=0))


def test_bad_options_of_iterable_datasets():
    for options in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(
            ValueError, match="DataLoader with IterableDataset: expected unspecified"
        ):
            DataLoader(Stream(), **options)


def test_options_are_fixed_after_the_start():
    loader = DataLoader(range(4), batch_size=2)
    with pytest.raises(
        ValueError, match="batch_size attribute should not be set after DataLoader is initialized"
    ):
        loader.batch_size = 3
    loader.collate_fn = list
    assert get_worker_info() is None


def test_pin_memory_without_a_gpu_says_that_it_does_nothing(monkeypatch):
    monkeypatch.setattr(tl.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="no accelerator is found"):
        assert len(list(DataLoader(range(4), pin_memory=True))) == 4
