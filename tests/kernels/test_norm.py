"""Normalisation kernels against the generic path in float64."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import norm
from tensorlab.kernels.cpu.native import norm as native

F = tl.nn.functional


@pytest.fixture(params=[1, 2])
def calls(request, monkeypatch, use_threads, spy):
    """The kernels that were used, on one and on two threads, whatever the size."""
    use_threads(request.param)
    monkeypatch.setattr(norm, "FEWEST", 0)
    return spy(
        native, "rows", "rows_backward", "moments", "pieces", "pieces_backward", "column_moments", "columns",
        "columns_backward",
    )  # fmt: skip


def _compare(rng, run, data, *parameters):
    """Values and all gradients of `run(x, *parameters)`: kernels in float32, generic in float64."""
    results = []
    seed = rng.standard_normal(data.shape, np.float32)
    for dtype in (tl.float32, tl.float64):
        given = [
            None if p is None else tl.from_numpy(p).to(dtype).requires_grad_()
            for p in (data, *parameters)
        ]
        y = run(*given)
        y.backward(tl.from_numpy(seed).to(dtype))
        found = [y.detach().numpy()]
        for x in given:
            if x is not None:
                assert x.grad is not None
                found.append(x.grad.numpy())
        results.append(found)
    for one, other in zip(*results, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5 * max(1.0, np.abs(other).max()))


def _parameters(rng, shape, which):
    numbers = rng.uniform(0.5, 2, (2, *shape)).astype(np.float32)
    return [n if use else None for n, use in zip(numbers, which, strict=True)]


WHICH = [(True, True), (False, False), (True, False), (False, True)]


@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize(
    ("shape", "dims"), [((5, 12), 1), ((33, 65), 1), ((2, 3, 5, 7), 2), ((1, 300), 1)]
)
def test_layer_norm(rng, calls, shape, dims, which):
    data = rng.standard_normal(shape, np.float32) * 3 + 1
    last = shape[len(shape) - dims :]
    weight, bias = _parameters(rng, last, which)
    _compare(rng, lambda x, w, b: F.layer_norm(x, last, w, b), data, weight, bias)
    assert calls == ["rows", "rows_backward"]
    calls.clear()
    _compare(rng, lambda x, w: F.rms_norm(x, last, w), data, weight)
    assert calls == ["rows", "rows_backward"]


@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("shape", [(4, 3, 12), (2, 6, 7, 7), (1, 2, 3, 4, 5), (7, 33, 20)])
def test_channels(rng, calls, shape, which):
    data = rng.standard_normal(shape, np.float32) * 3 + 1
    parameters = _parameters(rng, shape[1:2], which)
    _compare(
        rng, lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), data, *parameters
    )
    assert calls == ["moments", "pieces", "pieces_backward"]
    calls.clear()
    groups = next(n for n in (3, 2) if shape[1] % n == 0)
    _compare(rng, lambda x, w, b: F.group_norm(x, groups, w, b), data, *parameters)
    assert calls == ["pieces", "pieces_backward"]


@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("shape", [(5, 12), (70, 33), (9, 256)])
def test_columns(rng, calls, shape, which):
    data = rng.standard_normal(shape, np.float32) * 3 + 1
    parameters = _parameters(rng, shape[1:], which)
    _compare(
        rng, lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), data, *parameters
    )
    assert calls == ["column_moments", "columns", "columns_backward"]


def test_running_statistics(rng, calls):
    data = rng.standard_normal((8, 5, 30), np.float32) * 2 + 3
    layers = [tl.nn.BatchNorm1d(5), tl.nn.BatchNorm1d(5).double()]
    for layer, dtype in zip(layers, (tl.float32, tl.float64), strict=True):
        layer(tl.from_numpy(data).to(dtype))
    for name in ("running_mean", "running_var"):
        one, other = (getattr(layer, name).numpy() for layer in layers)
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert calls == ["moments", "pieces"]


def test_far_from_zero(rng, calls):
    """The variance is that of what is left without the mean: its digits are not lost."""
    tall = (rng.standard_normal((200, 30)) + 10_000).astype(np.float32)
    found, generic = (
        F.batch_norm(tl.from_numpy(tall).to(t), None, None, training=True).numpy()
        for t in (tl.float32, tl.float64)
    )
    np.testing.assert_allclose(found, generic, atol=2e-3)
    data = (rng.standard_normal((6, 200)) + 10_000).astype(np.float32)
    found, generic = (
        F.layer_norm(tl.from_numpy(data).to(t), (200,)).numpy() for t in (tl.float32, tl.float64)
    )
    np.testing.assert_allclose(found, generic, atol=2e-3)
    found, generic = (
        F.group_norm(tl.from_numpy(data).to(t).reshape(3, 2, 200), 1).numpy()
        for t in (tl.float32, tl.float64)
    )
    np.testing.assert_allclose(found, generic, atol=2e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_stay_in_their_group(rng, calls, value):
    data = rng.standard_normal((4, 4, 16), np.float32)
    data[1, 2, 3] = value
    with np.errstate(invalid="ignore"):
        for run in (
            lambda x: F.layer_norm(x, (16,)),
            lambda x: F.batch_norm(x, None, None, training=True),
            lambda x: F.group_norm(x, 2),
            lambda x: F.rms_norm(x, (16,)),
        ):
            one, other = (run(tl.from_numpy(data).to(t)).numpy() for t in (tl.float32, tl.float64))
            assert np.array_equal(np.isnan(one), np.isnan(other))
    assert calls


def test_any_layout(rng, calls):
    data = rng.standard_normal((20, 5, 6), np.float32)
    turned = tl.from_numpy(data).permute(2, 1, 0)
    plain = turned.contiguous()
    for run in (lambda x: F.layer_norm(x, (5, 20)), lambda x: F.group_norm(x, 5)):
        assert np.array_equal(run(turned).numpy(), run(plain).numpy())
    assert calls == ["rows"] * 2 + ["pieces"] * 2


def test_what_is_not_wanted_is_none(rng, calls):
    x = tl.from_numpy(rng.standard_normal((4, 20), np.float32))
    weight = tl.ones(20, requires_grad=True)
    F.layer_norm(x, (20,), weight).sum().backward()
    assert weight.grad is not None
    assert x.grad is None
    assert calls == ["rows", "rows_backward"]
