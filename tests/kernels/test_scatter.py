"""Kernels that add at places, read along a dimension and make running sums, against the generic path."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import scan, scatter
from tensorlab.kernels.cpu.native import scan as native_scan
from tensorlab.kernels.cpu.native import scatter as native_scatter


@pytest.fixture(params=[1, 2])
def calls(request, monkeypatch, use_threads, spy):
    """The kernels that were used, on one and on two threads, whatever the size."""
    use_threads(request.param)
    monkeypatch.setattr(scatter, "FEWEST", 0)
    monkeypatch.setattr(scan, "FEWEST", 0)
    spy(native_scan, "running_sums")
    return spy(native_scatter, "read_slices", "add_slices", "add_along", "read_along")


def both(rng, run, *shapes):
    """Value and gradients of `run`, in float32 by the kernels and in float64 without."""
    data = [rng.standard_normal(shape, np.float32) for shape in shapes]
    found, seed = [], None
    for dtype in (tl.float32, tl.float64):
        given = [tl.from_numpy(d).to(dtype).requires_grad_() for d in data]
        y = run(*given)
        seed = rng.standard_normal(tuple(y.shape)).astype(np.float32) if seed is None else seed
        y.backward(tl.from_numpy(seed).to(dtype))
        found.append([y.detach().numpy(), *(x.grad.numpy() for x in given if x.grad is not None)])
    for a, b in zip(*found, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


SHAPES = [((5,), 0), ((40, 3), 0), ((7, 30), 1), ((3, 20, 5), 1), ((2, 3, 17), -1), ((1, 6, 4), -2)]


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_slices_are_picked_and_added(rng, calls, shape, dim):
    n = shape[dim]
    places = tl.from_numpy(rng.integers(0, n, 2 * n))
    more = (*shape[:dim], 2 * n, *shape[dim % len(shape) + 1 :])
    both(rng, lambda x: x.index_select(dim, places), shape)
    read = ["read_slices"] if dim else []
    assert calls == [*read, "add_slices"]
    both(rng, lambda x, y: x.index_add(dim, places, y, alpha=0.5), shape, more)
    assert calls == [*read, "add_slices", "add_slices", *read]
    calls.clear()
    key = (slice(None),) * (dim % len(shape)) + (places - n,)
    both(rng, lambda x: x[key], shape)
    assert calls == [*read, "add_slices"]


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_numbers_are_read_and_added_along_a_dimension(rng, calls, shape, dim):
    n = shape[dim]
    wide = (*shape[:dim], n + 3, *shape[dim % len(shape) + 1 :])
    places = tl.from_numpy(rng.integers(0, n, wide))
    both(rng, lambda x: x.gather(dim, places), shape)
    assert calls == ["read_along", "add_along"]
    both(rng, lambda x, y: x.scatter_add(dim, places, y), shape, wide)
    assert calls == ["read_along", "add_along", "add_along", "read_along"]


@pytest.mark.parametrize(("shape", "dim"), [*SHAPES, ((9, 1), 1), ((5, 33), 1)])
def test_running_sums(rng, calls, shape, dim):
    both(rng, lambda x: x.cumsum(dim), shape)
    assert calls == ["running_sums"] * 2


def test_what_is_not_finite_stays_where_it_comes(calls):
    x = tl.tensor([[1.0, float("inf"), 1.0, float("-inf"), 2.0]])
    found = x.cumsum(1).numpy()
    np.testing.assert_array_equal(found, [[1, np.inf, np.inf, np.nan, np.nan]])
    assert calls == ["running_sums"]


def test_what_kernels_leave_to_the_generic_path(rng, calls):
    x = tl.from_numpy(rng.standard_normal((6, 8), np.float32)).requires_grad_()
    mask = tl.from_numpy(rng.random((6, 8)) < 0.5)
    rows, columns = tl.tensor([0, 1, 1]), tl.tensor([2, 3, 3])
    for y in (x[mask], x[rows, columns], x[1:, columns], x[rows[:, None], columns], x[2]):
        y.sum().backward()
    x.gather(1, tl.zeros(3, 4, dtype=tl.int64)).sum().backward()
    x.double().cumsum(0)
    x.detach().cumsum(0, dtype=tl.float64)
    assert set(calls) <= {"read_slices", "add_slices"}, "that of x[1:, columns]"


def test_places_that_are_not_there_are_refused(calls):
    x = tl.ones(4, 4)
    for call in (
        lambda: x.gather(1, tl.full((4, 4), 4)),
        lambda: x.index_select(0, tl.tensor([4])),
        lambda: x.index_add(0, tl.tensor([-5]), tl.ones(1, 4)),
        lambda: x.scatter_add(0, tl.full((4, 4), -1), x),
    ):
        with pytest.raises((RuntimeError, IndexError)):
            call()
    np.testing.assert_array_equal(x.numpy(), 1)
