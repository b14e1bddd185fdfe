"""Softmax and loss kernels against the generic path in float64."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import softmax
from tensorlab.kernels.cpu.native import cross_entropy, softmax_columns
from tensorlab.kernels.cpu.native import softmax as native

F = tl.nn.functional


@pytest.fixture(params=[1, 2])
def calls(request, monkeypatch, use_threads, spy, ask_about_few):
    """The kernels that were used, on one and on two threads, whatever the size."""
    use_threads(request.param)
    monkeypatch.setattr(softmax, "FEWEST", 0)
    ask_about_few()
    spy(softmax_columns, "softmax", "softmax_backward")
    spy(cross_entropy, "cross_entropy", "cross_entropy_backward")
    return spy(native, "softmax", "softmax_backward", "nll_loss", "nll_loss_backward")


def _both(run, data, rng):
    """Value and gradient of `run(x)`, by the kernels in float32 and generically in float64."""
    results = []
    seed = None
    for dtype in (tl.float32, tl.float64):
        x = tl.from_numpy(data).to(dtype).requires_grad_()
        y = run(x)
        if seed is None:
            seed = rng.standard_normal(tuple(y.shape), np.float32)
        y.backward(tl.from_numpy(np.asarray(seed)).to(dtype))
        assert x.grad is not None
        results.append((y.detach().numpy(), x.grad.numpy()))
    return results


SHAPES = [
    ((1, 1), 1), ((3, 10), 1), ((700, 7), -1), ((70, 64), 1), ((5, 255), 1), ((5, 256), 1), ((3, 1030), 1),
    ((4, 5, 6), 1), ((9, 20), 0), ((2, 3, 600), 1), ((2, 30, 4, 5), 1), ((300,), 0), ((0, 3), 1),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(rng, calls, name, shape, dim):
    data = (rng.standard_normal(shape) * 5).astype(np.float32)
    run = getattr(tl, name)
    (y, dx), (wanted, slope) = _both(lambda x: run(x, dim), data, rng)
    np.testing.assert_allclose(y, wanted, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(dx, slope, rtol=1e-5, atol=1e-5)
    assert calls == (["softmax", "softmax_backward"] if data.size else [])
    # Any layout of the input gives the same, in C order.
    turned = np.ascontiguousarray(data.T).T
    again = run(tl.from_numpy(turned), dim).numpy()
    assert np.array_equal(again, y)
    assert again.flags.c_contiguous


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("n", [5, 64, 300])
@pytest.mark.parametrize("dim", [0, 1])
def test_numbers_that_are_not_finite(calls, name, n, dim):
    data = np.ones((7, n), np.float32)
    data[0, 2] = np.nan
    data[1, 1] = np.inf
    data[2] = -np.inf
    data[3, 0] = -np.inf
    data[4] *= 3e38
    data[5, :2] = 3e38, -3e38
    data[6, 0] = -np.float32(np.nan)
    data = data if dim else np.ascontiguousarray(np.pad(data, ((0, 20), (0, 0))).T)
    found, generic = (
        getattr(tl, name)(tl.from_numpy(data).to(dtype), dim).numpy()
        for dtype in (tl.float32, tl.float64)
    )
    with np.errstate(over="ignore"):
        wanted = generic.astype(np.float32)
    np.testing.assert_allclose(found, wanted, rtol=2e-6)
    assert calls


def test_large_numbers_keep_their_differences(calls):
    """x − max is exact where max + log Σ is not."""
    data = np.array([[10000.0, 10000.25, 9999.5] * 100], np.float32)
    found, generic = (
        tl.log_softmax(tl.from_numpy(data).to(t), 1).numpy() for t in (tl.float32, tl.float64)
    )
    np.testing.assert_allclose(found, generic, rtol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (33, 10), (64, 300), (5, 3000)])
@pytest.mark.parametrize("together", [False, True])
def test_classes(rng, calls, reduction, weighted, shape, together):
    data = rng.standard_normal(shape, np.float32)
    target = rng.integers(0, shape[1], shape[0])
    target[::3] = shape[1] - 1
    weight = rng.uniform(0.5, 2, shape[1]).astype(np.float32) if weighted else None
    ignored = int(target[0]) if len(target) > 1 else -100

    def run(x):
        w = None if weight is None else tl.from_numpy(weight).to(x.dtype)
        t = tl.from_numpy(target)
        if together:
            return F.cross_entropy(x, t, w, ignore_index=ignored, reduction=reduction)
        return F.nll_loss(tl.log_softmax(x, 1), t, w, ignore_index=ignored, reduction=reduction)

    (y, dx), (wanted, slope) = _both(run, data, rng)
    np.testing.assert_allclose(y, wanted, rtol=3e-6, atol=1e-6)
    np.testing.assert_allclose(dx, slope, rtol=1e-5, atol=1e-6)
    if together:
        assert calls == ["cross_entropy", "cross_entropy_backward"]
    else:
        assert calls == ["softmax", "nll_loss", "nll_loss_backward", "softmax_backward"]
    assert y.dtype == dx.dtype == np.float32


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
def test_nothing_that_counts(calls, name):
    x = tl.randn(4, 5).requires_grad_()
    loss = getattr(F, name)(x, tl.tensor([2, 2, 2, 2]), ignore_index=2)
    loss.backward()
    assert x.grad is not None
    assert bool(loss.isnan())
    assert not x.grad.numpy().any()
    assert calls == [name, f"{name}_backward"]


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
def test_a_class_out_of_range_is_refused(calls, name):
    for bad in (5, -1):
        with pytest.raises(IndexError, match=f"Target {bad} is out of bounds"):
            getattr(F, name)(tl.randn(4, 5), tl.tensor([0, 1, bad, 2]))
    # Who finds it leaves it to the generic path, which is made of two operations.
    assert calls == (["nll_loss"] if name == "nll_loss" else [name, "softmax", "nll_loss"]) * 2


@pytest.mark.parametrize("n", [5, 300])
def test_losses_of_scores_that_are_not_finite(calls, n):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    data = np.ones((7, n), np.float32)
    data[0, 2] = np.nan
    data[1, 1] = np.inf
    data[2] = -np.inf
    data[3, 0] = -np.inf
    data[4, :2] = 3e38, -3e38
    data[5, 3] = -np.inf
    data[6, 0] = np.nan
    target = np.array([0, 1, 0, 0, 1, 4, -100])  # the last row does not count
    results = []
    for library in (tl, torch):
        x = library.from_numpy(data.copy()).requires_grad_()
        losses = library.nn.functional.cross_entropy(
            x, library.from_numpy(target), reduction="none"
        )
        losses.sum().backward()
        assert x.grad is not None
        results.append((losses.detach().numpy(), x.grad.numpy()))
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)
    assert calls == ["cross_entropy", "cross_entropy_backward"]


def test_no_rows(calls):
    x = tl.zeros(0, 4, requires_grad=True)
    loss = F.cross_entropy(x, tl.zeros(0, dtype=tl.int64), reduction="sum")
    loss.backward()
    assert loss.item() == 0
    assert x.grad is not None
    assert x.grad.shape == (0, 4)
    assert bool(F.cross_entropy(x, tl.zeros(0, dtype=tl.int64)).isnan())


def test_second_gradients_take_the_rule(rng):
    x = tl.from_numpy(rng.standard_normal((64, 10), np.float32)).requires_grad_()
    target = tl.from_numpy(rng.integers(0, 10, 64))
    (g,) = tl.autograd.grad(F.cross_entropy(x, target), x, create_graph=True)
    assert g is not None
    (h,) = tl.autograd.grad((g * g).sum(), x)
    y = x.detach().double().requires_grad_()
    (g,) = tl.autograd.grad(F.cross_entropy(y, target), y, create_graph=True)
    assert g is not None
    (wanted,) = tl.autograd.grad((g * g).sum(), y)
    assert h is not None
    assert wanted is not None
    np.testing.assert_allclose(h.numpy(), wanted.numpy(), atol=1e-7)
