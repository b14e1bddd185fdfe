"""Kernels of losses, embeddings and LSTM steps against the generic path in float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tensorlab import _capturing
from tensorlab._op import OPS
from tensorlab.kernels.cuda import embedding, launch, loss, recurrent

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
WIDE = np.float64
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)


def _close(found, wanted, dtype, times=1.0):
    eps = float(ml_dtypes.finfo(dtype).eps)
    tolerance = times * (1e-12 if np.dtype(dtype).itemsize == 8 else max(2 * eps, 2e-6))
    assert found.dtype == dtype
    assert found.shape == np.shape(wanted)
    np.testing.assert_allclose(found.astype(WIDE), wanted, tolerance, tolerance)


@each_dtype
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(host, rng, dtype, reduction):
    op = OPS["cross_entropy"]
    for rows, classes in [(1, 1), (5, 10), (7, 129), (3, 1000), (2, 5003)]:
        x = (rng.standard_normal((rows, classes)) * 3).astype(dtype)
        target = rng.integers(0, classes, rows)
        if rows > 1:
            target[1] = -100
        for weight in (None, rng.uniform(0.5, 2, classes).astype(dtype)):
            wide = x.astype(WIDE), target, None if weight is None else weight.astype(WIDE)
            found = loss.cross_entropy(x, target, weight, -100, reduction)
            _close(found, op.forward(np, *wide, -100, reduction), dtype, rows)
            g = rng.standard_normal(rows if reduction == "none" else ()).astype(dtype)
            found = loss.cross_entropy_backward(np.asarray(g), x, target, weight, -100, reduction)
            wanted = op.rules["input"](np.asarray(g, WIDE), *wide, -100, reduction)
            _close(found, wanted, dtype, 2)


def test_targets_that_do_not_count_and_targets_that_do_not_exist(host):
    x = np.zeros((2, 3), np.float32)
    nothing = np.full(2, -100)
    assert np.isnan(loss.cross_entropy(x, nothing, None, -100, "mean"))
    slope = loss.cross_entropy_backward(np.ones((), np.float32), x, nothing, None, -100, "mean")
    assert not slope.any()
    for bad in (3, -1):
        with pytest.raises(AssertionError, match="trap"):
            loss.cross_entropy(x, np.array([0, bad]), None, -100, "mean")
    infinite = np.array([[np.inf, 0, 0]], np.float32)
    assert np.isnan(loss.cross_entropy(infinite, np.array([1]), None, -100, "mean"))
    assert loss.cross_entropy(x, np.array([0.0, 1.0]), None, -100, "mean") is NotImplemented
    assert loss.cross_entropy(x[None], nothing[None], None, -100, "mean") is NotImplemented


def test_few_indices_are_looked_at_on_the_host(host, monkeypatch):
    monkeypatch.setattr(launch, "CHECKED", 3)
    table, few, more = np.ones((4, 2), np.float32), np.zeros(2, np.int64), np.zeros(3, np.int64)
    assert embedding.embedding(table, few, -1, False, False) is NotImplemented
    assert loss.cross_entropy(table[:2], few, None, -100, "sum") is NotImplemented
    assert not host.used
    embedding.embedding(table, more, -1, False, False)
    monkeypatch.setattr(_capturing, "current", object())
    embedding.embedding(table, few, -1, False, False)
    loss.cross_entropy(table[:2], few, None, -100, "sum")


@each_dtype
def test_embedding(host, rng, dtype):
    for size in (1, 3, 8, 64, 100):
        table = rng.standard_normal((11, size)).astype(dtype)
        for kind in (np.int64, np.int32):
            indices = rng.integers(0, 11, (4, 5)).astype(kind)
            out = embedding.embedding(table, indices, -1, False, False)
            np.testing.assert_array_equal(out, table[indices])
            g = rng.standard_normal((4, 5, size)).astype(dtype)
            for padding, by_frequency in [(-1, False), (2, False), (-1, True)]:
                found = embedding.embedding_rows(g, indices, 11, padding, by_frequency)
                forward = OPS["embedding_rows"].forward
                wanted = forward(np, g.astype(WIDE), indices, 11, padding, by_frequency)
                _close(found, wanted, dtype, 2)


def test_embedding_refuses_rows_that_are_not_there(host):
    table = np.ones((4, 3), np.float32)
    for bad in (4, -1):
        with pytest.raises(AssertionError, match="trap"):
            embedding.embedding(table, np.array([0, bad]), -1, False, False)
    assert embedding.embedding(table, np.array([0.0]), -1, False, False) is NotImplemented
    assert embedding.embedding(table, np.array([0]), -1, False, True) is NotImplemented


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_recurrent_layers(host, rng, dtype, reverse, name):
    op = OPS[f"{name}_sequence"]
    gates, states = (4, 2) if name == "lstm" else (3, 1)
    forward, backward = (getattr(recurrent, f"{name}_{part}") for part in ("sequence", "backward"))
    for steps, batch, features, size, bias in [(3, 2, 3, 5, 2), (1, 1, 1, 1, 0), (4, 3, 7, 40, 1)]:
        rows = gates * size
        shapes = [
            (steps, batch, features),
            *[(batch, size)] * states,
            (rows, features),
            (rows, size),
        ]
        arrays = [rng.standard_normal(s).astype(dtype) for s in shapes]
        # Weights as large as a layer's: larger ones enlarge every rounding from step to step.
        arrays[-2:] = [(w / w.shape[1] ** 0.5).astype(dtype) for w in arrays[-2:]]
        biases = [rng.standard_normal(rows).astype(dtype) for _ in range(bias)]
        arrays += [*biases, None, None][:2]
        wide = [None if a is None else a.astype(WIDE) for a in arrays]
        out = forward(*arrays, reverse)
        wanted = op.forward(np, *wide, reverse)
        for a, b in zip(out, wanted, strict=True):
            _close(a, b, dtype, 4)
        g = tuple(rng.standard_normal(a.shape).astype(dtype) for a in out)
        needs = (True,) * (len(shapes) + bias) + (False,) * (2 - bias)
        found = backward(g, *arrays[:-2], out, reverse, needs)
        wide_g = tuple(a.astype(WIDE) for a in g)
        wanted = op.joint(wide_g, *wide[:-2], wanted, reverse, needs)
        for a, b in zip(found, wanted, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                _close(a, b, dtype, 100 * max(1.0, float(np.abs(b).max())))
    assert forward(*arrays[:-3], arrays[-3][1:], None, None, False) is NotImplemented
