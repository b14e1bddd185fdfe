"""Sums by the kernel against exact ones, and what it leaves to the generic path."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import reduce
from tensorlab.kernels.cpu.native import reduce as native


@pytest.fixture(params=[1, 2, 5])
def calls(request, monkeypatch, use_threads, ask_about_few):
    """The kernels that were used, whatever the size."""
    use_threads(request.param)
    monkeypatch.setattr(reduce, "FEWEST", 0)
    monkeypatch.setattr(reduce, "SHORTEST", 1)
    monkeypatch.setattr(reduce, "NARROWEST", 1)
    ask_about_few()
    used = []
    rows, columns = native.row_sums, native.column_sums
    monkeypatch.setattr(native, "row_sums", lambda *a: used.append(a[1]) or rows(*a))
    monkeypatch.setattr(native, "column_sums", lambda *a: used.append(a[0].shape) or columns(*a))
    return used


CASES = [
    ((7,), None, 7), ((7,), 0, 7), ((3, 5000), 1, 5000), ((40, 33), -1, 33), ((3, 4, 5), (1, 2), 20),
    ((3, 4, 5), (2, 0), 5), ((2, 3, 4, 5), (0, 2, 3), 20), ((2, 3, 4, 5), (-1, 1), 5), ((2, 3, 4), None, 24),
    ((1, 70_000), 1, 70_000), ((70, 33), 0, (1, 70, 33)), ((3, 200, 7), 1, (3, 200, 7)),
    ((2, 3, 4, 5), (1, 2), (2, 12, 5)), ((2, 3, 4, 5), (0, 2), (6, 4, 5)), ((1, 5, 40), (0, 1), (1, 5, 40)),
]  # fmt: skip


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("shape", "dim", "row"), CASES)
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_sums(rng, calls, name, shape, dim, row, keepdim):
    data = rng.standard_normal(shape, np.float32)
    x = tl.from_numpy(data)
    axis = dim if dim is None or isinstance(dim, int) else tuple(dim)
    found = (getattr(x, name)(dim, keepdim) if dim is not None else getattr(x, name)()).numpy()
    wanted = getattr(np, name)(data.astype(np.float64), axis=axis)
    if keepdim and dim is not None:
        wanted = wanted.reshape(getattr(np, name)(data, axis=axis, keepdims=True).shape)
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=2e-6 * np.sqrt(data.size))
    assert calls == [row]


def test_digits_of_a_long_sum(calls):
    x = tl.full((4_000_000,), 0.1)
    assert (
        abs(x.sum().item() - 4e6 * float(np.float32(0.1))) < 0.3
    )  # the nearest float32 are 0.03 apart
    assert calls == [4_000_000]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(calls, value):
    data = np.ones((3, 50), np.float32)
    data[1, 20] = value
    np.testing.assert_array_equal(tl.from_numpy(data).sum(1).numpy(), [50, value, 50])
    assert calls == [50]


def test_what_the_kernel_declines(rng, calls):
    x = tl.from_numpy(rng.standard_normal((6, 8), np.float32))
    x.T.sum(1)
    x[:, ::2].sum(0)
    x.sum(1, dtype=tl.float64)
    x.double().sum()
    tl.ones(0, 5).sum()
    x.sum(())
    for dim in (2, (0, 0)):
        with pytest.raises((IndexError, RuntimeError)):
            x.sum(dim)
    assert not calls


@pytest.mark.parametrize(
    ("shape", "to", "call"),
    [((50, 30), (30,), (1, 50, 30)), ((50, 30), (50, 1), 30), ((4, 50, 30), (50, 1), 30),
     ((4, 50, 30), (4, 1, 30), (4, 50, 30))],
)  # fmt: skip
def test_the_gradient_of_what_was_stretched(rng, calls, shape, to, call):
    a, seed = rng.standard_normal((2, *shape), np.float32)
    b = tl.from_numpy(rng.standard_normal(to, np.float32)).requires_grad_()
    (tl.from_numpy(a) * b).backward(tl.from_numpy(seed))
    lead = len(shape) - len(to)
    axes = tuple(d for d, n in enumerate(shape) if d < lead or to[d - lead] != n)
    assert b.grad is not None
    exact = (a.astype(np.float64) * seed).sum(axes).reshape(to)
    np.testing.assert_allclose(b.grad.numpy(), exact, rtol=1e-5, atol=1e-5)
    assert calls == [call]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(
    ("shape", "dim"),
    [((7,), None), ((40, 33), 1), ((40, 33), (0, 1)), ((3, 5000), -1), ((2, 3, 4, 5), (3, 2)), ((1, 70_000), 1)],
)  # fmt: skip
def test_norms(rng, calls, spy, shape, dim, keepdim):
    used = spy(native, "row_norms", "scaled_rows")
    data = rng.standard_normal(shape, np.float32)
    found = []
    for dtype in (tl.float32, tl.float64):
        x = tl.from_numpy(data).to(dtype).requires_grad_()
        y = tl.linalg.vector_norm(x, dim=dim, keepdim=keepdim)
        y.backward(tl.arange(1, y.numel() + 1).reshape(y.shape).to(dtype))
        assert x.grad is not None
        found.append((y.detach().numpy(), x.grad.numpy()))
    for single, exact in zip(*found, strict=True):
        assert single.dtype == np.float32
        assert single.shape == exact.shape
        np.testing.assert_allclose(single, exact, rtol=2e-6)
    assert used == ["row_norms", "scaled_rows"]


def test_norms_that_are_zero_or_not_finite(calls, spy):
    used = spy(native, "row_norms", "scaled_rows")
    data = np.ones((4, 64), np.float32)
    data[0], data[1, 5], data[2, 7] = 0, np.inf, np.nan
    x = tl.from_numpy(data).requires_grad_()
    with np.errstate(invalid="ignore"):
        y = tl.linalg.vector_norm(x, dim=1)
        y.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(y.detach().numpy(), [0, np.inf, np.nan, 8])
    wanted = np.full((4, 64), 0.125, np.float32)
    wanted[0], wanted[1], wanted[1, 5], wanted[2] = 0, 0, np.nan, np.nan
    np.testing.assert_array_equal(x.grad.numpy(), wanted)
    assert used == ["row_norms", "scaled_rows"]


def test_norms_that_the_kernel_declines(rng, calls, spy):
    used = spy(native, "row_norms", "scaled_rows")
    x = tl.from_numpy(rng.standard_normal((6, 8), np.float32))
    tl.linalg.vector_norm(x, 3, dim=1)
    tl.linalg.vector_norm(x, dim=0)
    tl.linalg.vector_norm(x.t(), dim=1)
    tl.linalg.vector_norm(x.double(), dim=1)
    tl.linalg.vector_norm(x, dim=1, dtype=tl.float64)
    tl.linalg.vector_norm(tl.ones(0, 5), dim=1)
    assert not used
