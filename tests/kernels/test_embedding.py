"""Embedding kernels against NumPy's indexing and addition at places."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import embedding
from tensorlab.kernels.cpu.native import embedding as native

F = tl.nn.functional


@pytest.fixture(params=[1, 2])
def calls(request, monkeypatch, use_threads, spy):
    """The kernels that were used, on one and on two threads, whatever the size."""
    use_threads(request.param)
    monkeypatch.setattr(embedding, "FEWEST", 0)
    return spy(native, "pick", "add")


@pytest.mark.parametrize("padding", [None, 2, -1])
@pytest.mark.parametrize(
    ("rows", "size", "shape"), [(3, 1, (4,)), (5, 3, (7, 2)), (50, 33, (300,)), (9, 64, ())]
)
def test_rows_and_their_gradient(rng, calls, rows, size, shape, padding):
    table = rng.standard_normal((rows, size), np.float32)
    indices = rng.integers(0, rows, shape)
    seed = rng.standard_normal((*shape, size), np.float32)
    weight = tl.from_numpy(table).requires_grad_()
    out = F.embedding(tl.from_numpy(np.asarray(indices)), weight, padding_idx=padding)
    np.testing.assert_array_equal(out.detach().numpy(), table[indices])
    out.backward(tl.from_numpy(seed))
    wanted = np.zeros((rows, size))
    np.add.at(wanted, indices, seed)
    if padding is not None:
        wanted[padding] = 0
    assert weight.grad is not None
    np.testing.assert_allclose(weight.grad.numpy(), wanted, rtol=1e-5, atol=1e-5)
    assert calls == ["pick", "add"]


def test_a_row_that_is_not_there_is_refused(calls):
    for bad in (5, -1):
        with pytest.raises(IndexError, match=f"index out of range in self: {bad}"):
            F.embedding(tl.tensor([0, bad, 1]), tl.randn(5, 4))
    assert calls == ["pick"] * 2


def test_any_layout(rng, calls):
    table = rng.standard_normal((6, 5), np.float32)
    indices = rng.integers(0, 5, (4, 3))
    found = F.embedding(tl.from_numpy(indices).T, tl.from_numpy(table).T)
    np.testing.assert_array_equal(found.numpy(), table.T[indices.T])
    assert calls == ["pick"]


def test_what_kernels_decline(rng, calls):
    indices = tl.tensor([0, 2, 2])
    for weight in (tl.randn(4, 3).double(), tl.randn(4, 0)):
        F.embedding(indices, weight.requires_grad_()).sum().backward()
    F.embedding(indices.int(), tl.randn(4, 3))
    assert not calls
    weight = tl.randn(4, 3, requires_grad=True)
    F.embedding(indices, weight, scale_grad_by_freq=True).sum().backward()
    assert weight.grad is not None
    assert weight.grad[:, 0].tolist() == [1, 0, 1, 0]
    assert calls == ["pick"]
