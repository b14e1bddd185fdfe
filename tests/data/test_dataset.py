"""Datasets: in memory, side by side, one after the other, split at random."""

from __future__ import annotations

import pytest

import tensorlab as tl
from tensorlab.utils.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Count(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


def test_tensor_dataset():
    data = TensorDataset(tl.arange(6).reshape(3, 2), tl.tensor([7, 8, 9]))
    assert len(data) == 3
    x, y = data[1]
    assert x.tolist() == [2, 3]
    assert y.item() == 8
    assert [t.tolist() for t in data[1:]] == [[[2, 3], [4, 5]], [8, 9]]
    with pytest.raises(AssertionError, match=r"Size mismatch between tensors.*\[3, 4\]"):
        TensorDataset(tl.zeros(3), tl.zeros(4))


def test_base_class():
    with pytest.raises(NotImplementedError, match="should implement __getitem__"):
        Dataset()[0]


def test_subset():
    data = Subset(TensorDataset(tl.arange(10)), [7, 3, 5])
    assert len(data) == 3
    assert data[1][0].item() == 3
    assert [x.item() for (x,) in data.__getitems__([0, 2])] == [7, 5]
    assert data[[0, 1]][0].tolist() == [7, 3]


def test_concat():
    a, b = TensorDataset(tl.arange(2)), TensorDataset(tl.arange(10, 13))
    data = a + b
    assert isinstance(data, ConcatDataset)
    assert data.cumulative_sizes == [2, 5]
    assert [data[i][0].item() for i in range(len(data))] == [0, 1, 10, 11, 12]
    assert data[-1][0].item() == 12
    with pytest.raises(IndexError, match="index 5 is out of range for a dataset of 5 samples"):
        data[5]
    with pytest.raises(ValueError, match="should not exceed dataset length"):
        data[-6]
    with pytest.raises(AssertionError, match="should not be an empty iterable"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        ConcatDataset([Count(1)])


def test_chain():
    data = Count(2) + Count(3)
    assert isinstance(data, ChainDataset)
    assert list(data) == [0, 1, 0, 1, 2]
    assert len(data) == 5
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(ChainDataset([[1, 2]]))


def test_stack():
    a, b = TensorDataset(tl.arange(3)), [10, 11, 12]
    assert StackDataset(a, b)[1] == (a[1], 11)
    named = StackDataset(x=Subset(b, [2, 1, 0]), y=b)
    assert named[0] == {"x": 12, "y": 10}
    assert named.__getitems__([0, 1]) == [{"x": 12, "y": 10}, {"x": 11, "y": 11}]
    assert StackDataset(b, b).__getitems__([2]) == [(12, 12)]
    assert len(named) == 3
    for bad in (lambda: StackDataset(), lambda: StackDataset(b, [1]), lambda: StackDataset(b, x=b)):
        with pytest.raises(ValueError):
            bad()


@pytest.mark.parametrize("lengths", [[7, 3], [0.7, 0.3], [0.33, 0.33, 0.34], [10]])
def test_random_split_is_pytorchs(lengths):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    tl.manual_seed(4)
    torch.manual_seed(4)
    ours = random_split(range(10), lengths)
    theirs = torch.utils.data.random_split(range(10), lengths)
    assert [p.indices for p in ours] == [p.indices for p in theirs]
    ours = random_split(range(10), lengths, tl.Generator().manual_seed(42))
    theirs = torch.utils.data.random_split(range(10), lengths, torch.Generator().manual_seed(42))
    assert [p.indices for p in ours] == [p.indices for p in theirs]
    assert sorted(i for p in ours for i in p.indices) == list(range(10))


def test_random_split_errors():
    with pytest.raises(ValueError, match=r"\[3, 4\] add up to 7, the dataset has 10"):
        random_split(range(10), [3, 4])
    with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
        random_split(range(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(range(2), [0.9, 0.1])
