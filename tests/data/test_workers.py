"""Worker processes: PyTorch's batches, order, seeds and messages, from either library's loader."""

from __future__ import annotations

import itertools
import random
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.utils.data import (
    DataLoader,
    Dataset,
    TensorDataset,
    get_worker_info,
)
from tensorlab.utils.data._utils.worker import numpy_seed

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def _few_processors():
    """Either library warns of more workers than processors; how many there are is not the matter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        # PyTorch's fork, while this process may have threads
        warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
        yield


def libraries():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    return tl, torch


def plain(batch: Any) -> Any:
    if isinstance(batch, (list, tuple)):
        return [plain(part) for part in batch]
    if isinstance(batch, dict):
        return {key: plain(part) for key, part in batch.items()}
    return batch.tolist() if hasattr(batch, "tolist") else batch


def both(make, passes=2):
    """All batches of some passes and what is drawn next, by either library from one seed."""
    results = []
    for lib in libraries():
        lib.manual_seed(21)
        loader = make(lib)
        found = [[plain(batch) for batch in loader] for _ in range(passes)]
        results.append((len(loader), found, lib.rand(2).tolist()))
    return results


OPTIONS = [
    {"batch_size": 4, "num_workers": 1},
    {"batch_size": 4, "num_workers": 3, "shuffle": True},
    {"batch_size": 4, "num_workers": 2, "shuffle": True, "drop_last": True, "prefetch_factor": 3},
    {"batch_size": 5, "num_workers": 2, "shuffle": True, "persistent_workers": True},
    {"batch_size": None, "num_workers": 2, "shuffle": True},
    {"batch_size": 30, "num_workers": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("own_generator", [False, True])
def test_batches_are_pytorchs(options, own_generator):
    def make(lib):
        generator = lib.Generator().manual_seed(5) if own_generator else None
        dataset = lib.utils.data.TensorDataset(lib.arange(23).float(), lib.arange(23) * 10)
        return lib.utils.data.DataLoader(dataset, generator=generator, **options)

    ours, theirs = both(make)
    assert ours == theirs


@pytest.mark.parametrize("batch_size", [None, 3])
def test_samplers_draw_as_often_as_pytorchs(batch_size):
    def make(lib):
        data = lib.utils.data
        sampler = data.WeightedRandomSampler([0.1, 2.0, 1.0, 0.5, 3.0], 11)
        return data.DataLoader(range(5), batch_size, sampler=sampler, num_workers=2)

    ours, theirs = both(make)
    assert ours == theirs


class Drawn:
    """Every sample draws from all generators of the worker, and says who it is."""

    def __init__(self, lib):
        self.lib = lib

    def __len__(self):
        return 8

    def __getitem__(self, index):
        info = self.lib.utils.data.get_worker_info()
        numbers = [random.random(), np.random.rand(), self.lib.rand(1).item()]
        return [index, info.id, info.num_workers, info.seed, len(info.dataset), *numbers]


@pytest.mark.parametrize("is_persistent", [False, True])
def test_worker_seeds_are_pytorchs(is_persistent):
    def make(lib):
        return lib.utils.data.DataLoader(
            Drawn(lib), 2, num_workers=2, persistent_workers=is_persistent
        )

    ours, theirs = both(make)
    assert ours == theirs
    (_, (first, second), _) = ours
    assert first != second


def test_numpy_seed_is_pytorchs(rng):
    libraries()
    from torch.utils.data._utils.worker import _generate_state

    for base, worker in zip(rng.integers(0, 2**63 - 1, 20), rng.integers(0, 99, 20), strict=True):
        assert numpy_seed(int(base), int(worker)).tolist() == _generate_state(
            int(base), int(worker)
        )


def test_worker_info():
    assert get_worker_info() is None
    info = next(iter(DataLoader([7], num_workers=1, collate_fn=lambda _: get_worker_info())))
    assert (info.id, info.num_workers, info.dataset, info.rng) == (0, 1, [7], None)
    assert repr(info).startswith("WorkerInfo(id=0, num_workers=1, seed=")
    assert repr(info).endswith("dataset=[7], rng=None, worker_method='multiprocessing')")


def test_worker_init_fn_comes_after_seeding():
    class Marked(Dataset):
        def __init__(self):
            self.mark = None

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return self.mark

    def mark(worker_id):
        info = get_worker_info()
        info.dataset.mark = [worker_id, info.seed - tl.initial_seed()]

    batches = list(DataLoader(Marked(), None, num_workers=2, worker_init_fn=mark))
    assert batches == [[0, 0], [1, 0], [0, 0], [1, 0]]


# Streams ------------------------------------------------------------------------------------


def stream(lib, sizes, divided=True, length=None):
    """An iterable dataset of either library: worker `i` gives `sizes[i]` numbers."""

    class Stream(lib.utils.data.IterableDataset):
        def __iter__(self):
            info = lib.utils.data.get_worker_info()
            start = info.id * 100 if divided else 0
            return iter(range(start, start + sizes[info.id]))

    if length is not None:
        Stream.__len__ = lambda self: length
    return Stream()


@pytest.mark.parametrize("sizes", [[7, 7], [0, 5], [9, 2], [1, 0], [0, 0], [2, 8, 3]])
@pytest.mark.parametrize(
    "options", [{}, {"drop_last": True}, {"persistent_workers": True}], ids=str
)
def test_streams_are_pytorchs(sizes, options):
    def make(lib):
        dataset = stream(lib, sizes, length=100)
        return lib.utils.data.DataLoader(dataset, 3, num_workers=len(sizes), **options)

    ours, theirs = both(make)
    assert ours == theirs


def test_streams_without_batches():
    loader = DataLoader(stream(tl, [3, 2]), None, num_workers=2)
    assert list(loader) == [0, 100, 1, 101, 2]


def test_a_stream_longer_than_it_said():
    for lib in libraries():
        loader = lib.utils.data.DataLoader(
            stream(lib, [3, 3], divided=False, length=4), None, num_workers=2
        )
        assert len(list(loader)) == 6  # nobody has asked for the length
        assert len(loader) == 4
        with pytest.warns(UserWarning, match="was reported to be 4.* but [56] samples have been"):
            assert len(list(loader)) == 6


def test_out_of_order():
    """A slow batch does not hold up the others."""

    class SlowFirst(Dataset):
        def __init__(self, release):
            self.release = release

        def __len__(self):
            return 6

        def __getitem__(self, index):
            if index == 0:
                self.release.wait(100)
            return index

    import multiprocessing

    release = multiprocessing.get_context("fork").Event()
    found = []
    for batch in DataLoader(SlowFirst(release), None, num_workers=2, in_order=False):
        found.append(batch)
        if len(found) == 3:  # those of the other worker: 0 waits until they are here
            release.set()
    assert found[:3] == [1, 3, 4] or 0 not in found[:3]
    assert sorted(found) == list(range(6))


# What travels -----------------------------------------------------------------------------


class Pair(NamedTuple):
    x: Any
    y: Any


class Things(Dataset):
    """Samples of many kinds; `size` decides by which way they travel."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return 4

    def __getitem__(self, i):
        n = self.size
        return {
            "float": tl.full((n,), float(i)),
            "half": tl.full((n,), i + 0.5, dtype=tl.float16),
            "bfloat": tl.full((n, 2), i + 0.5, dtype=tl.bfloat16),
            "bool": tl.arange(n) % 2 == i % 2,
            "complex": tl.full((n,), 1j * i, dtype=tl.complex64),
            "empty": tl.zeros(0, n),
            "scalar": tl.tensor(i),
            "nested": [Pair(np.full((2, n), i), ("name", b"bytes")), i, i / 2],
        }


@pytest.mark.parametrize("size", [1, 5_000, 300_000])
@pytest.mark.parametrize("batch_size", [2, None])
def test_what_arrives_is_what_was_sent(size, batch_size):
    options = {"batch_size": batch_size}
    sent = list(DataLoader(Things(size), **options))
    arrived = list(DataLoader(Things(size), num_workers=2, **options))

    def same(a, b):
        assert type(a) is type(b)
        if isinstance(a, tl.Tensor):
            assert a.dtype is b.dtype
            assert a.shape == b.shape
            assert bool((a == b).all())
            assert b._data.flags.writeable
        elif isinstance(a, dict):
            assert list(a) == list(b)
            same(list(a.values()), list(b.values()))
        elif isinstance(a, (list, tuple)):
            assert len(a) == len(b)
            for one, other in zip(a, b, strict=True):
                same(one, other)
        else:
            assert a == b

    same(sent, arrived)


def one_way(make):
    """What `make()` gives, made in a worker."""
    (found,) = DataLoader([0], None, num_workers=1, collate_fn=lambda _: make())
    return found


@pytest.mark.parametrize("n", [3, 300])
def test_layouts_arrive(n):
    x = tl.arange(n * n * 2).reshape(n, n, 2)
    for view in (x, x.permute(2, 0, 1), x.mT, x[:, 1], x[::2, :, 1], x[:1, 0].expand(5, 2)):
        found = one_way(lambda view=view: view)
        assert found.tolist() == view.tolist()
    assert one_way(lambda: x.permute(2, 0, 1)).stride() == x.permute(2, 0, 1).stride()
    found = one_way(lambda: (x._data.T, x._data[::2]))
    assert (found[0] == x._data.T).all()
    assert (found[1] == x._data[::2]).all()


def test_a_small_view_does_not_take_its_storage_along():
    whole = tl.zeros(1000, 1000)
    assert one_way(lambda: whole[3]).untyped_storage().nbytes() == 4000


@pytest.mark.parametrize("size", [100, 50_000, 3_000_000])
def test_labels_that_are_kept_do_not_keep_the_pictures(size):
    pictures, labels = one_way(lambda: (tl.zeros(size), tl.ones(8)))
    for tensor in (pictures, labels):
        owner = tensor._data
        while isinstance(owner, np.ndarray) and owner.base is not None:
            owner = owner.base
        assert memoryview(owner).nbytes == tensor.nbytes


def test_parameters_and_gradients():
    parameter = tl.nn.Parameter(tl.ones(2))
    found = one_way(lambda: parameter)
    assert type(found) is tl.nn.Parameter
    assert found.requires_grad
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
        one_way(lambda: parameter * 2)


def test_batches_may_be_written_to_and_kept(monkeypatch):
    """More large batches at a time than files may be open for them."""
    monkeypatch.setattr("tensorlab.utils.data._utils.channel.MOST_MAPPED", 3)
    kept = list(
        DataLoader(range(9), 1, num_workers=2, collate_fn=lambda b: tl.full((600, 600), b[0]))
    )
    for batch in kept:
        batch += 1
    assert [batch[5, 5].item() for batch in kept] == list(range(1, 10))


def test_without_memfd(monkeypatch):
    monkeypatch.delattr("os.memfd_create")
    assert one_way(lambda: tl.ones(500_000)).sum().item() == 500_000


def test_more_messages_than_a_socket_holds():
    """Neither side waits for the other to read: long lists of indices, and long lists of text."""

    class Texts(Dataset):
        def __len__(self):
            return 100_000

        def __getitem__(self, i):
            return str(i) * 5

    loader = DataLoader(Texts(), 20_000, num_workers=2, shuffle=True)
    assert sorted(int(t[: len(t) // 5]) for batch in loader for t in batch) == list(range(100_000))
    loader = DataLoader(
        range(2_000_000), num_workers=1, batch_sampler=[range(500_000)] * 4, collate_fn=len
    )
    assert list(loader) == [500_000] * 4


def test_pin_memory_and_too_many_workers_warn(monkeypatch):
    monkeypatch.setattr("tensorlab.cuda.is_available", lambda: False)
    with pytest.warns(UserWarning, match="'pin_memory' argument is set as true but"):
        assert len(list(DataLoader(range(4), num_workers=1, pin_memory=True))) == 4
    with (
        pytest.warns(UserWarning, match="pin_memory_device is deprecated"),
        pytest.warns(UserWarning, match="no accelerator is found"),
    ):
        iter(DataLoader(range(4), pin_memory=True, pin_memory_device="cuda"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="will create 999 worker processes in total"):
            DataLoader(range(4), num_workers=999)


def test_two_loaders_nested():
    outer = DataLoader(TensorDataset(tl.arange(4)), num_workers=2, persistent_workers=True)
    inner = DataLoader(TensorDataset(tl.arange(3)), num_workers=2, persistent_workers=True)
    for _ in range(2):
        pairs = [(a.item(), b.item()) for (a,) in outer for (b,) in inner]
        assert pairs == [(a, b) for a in range(4) for b in range(3)]


def test_persistent_workers_stay():
    class Count(Dataset):
        """How many samples this copy of the dataset has read."""

        def __init__(self):
            self.count = 0

        def __len__(self):
            return 4

        def __getitem__(self, index):
            self.count += 1
            return self.count

    loader = DataLoader(Count(), None, num_workers=2, persistent_workers=True)
    assert list(loader) == [1, 1, 2, 2]
    assert list(loader) == [3, 3, 4, 4]
    assert next(iter(loader)) == 5
    # A pass that was cut short is forgotten: nothing of it turns up in the next.
    passes = itertools.count()

    class Sampler:
        def __iter__(self):
            return iter([next(passes)] * 20)

        def __len__(self):
            return 20

    order = DataLoader(
        range(100), None, sampler=Sampler(), num_workers=2, persistent_workers=True,
        prefetch_factor=4,
    )  # fmt: skip
    seen = [next(iter(order)) for _ in range(5)]
    assert len(set(seen)) == 5
    last = list(order)
    assert len(last) == 20
    assert len(set(last)) == 1
    assert last[0] not in seen
    again = iter(order)
    assert again is iter(order)
