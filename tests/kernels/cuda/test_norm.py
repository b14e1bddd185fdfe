"""Normalisation kernels against the generic path in float64."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from tensorlab._op import OPS
from tensorlab.kernels.cuda import norm

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
WIDE = np.float64
LAYERS = [
    ((5, 8), 1), ((3, 1), 1), ((2, 3, 4), 2), ((70, 100), 1), ((3, 1001), 1), ((2, 8192), 1)
]  # fmt: skip


def close(found, wanted, dtype, size=1.0) -> None:
    """Equal up to the rounding of `dtype`, of numbers that were added up to `size`."""
    eps = float(ml_dtypes.finfo(dtype).eps)
    tolerance = 1e-12 if np.dtype(dtype).itemsize == 8 else max(2 * eps, 4e-6)
    largest = float(np.abs(wanted).max(initial=1)) * size
    assert found.dtype == dtype
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.astype(WIDE), wanted, tolerance, tolerance * largest)


def _needs(weight, bias):
    return (True, weight is not None, bias is not None)


def _magnified(name, x, parameter, eps) -> float:
    """How much larger the rounding of x, or of a gradient, is behind a division by the standard deviation."""
    if name == "native_batch_norm":
        rows = x.swapaxes(0, 1).reshape(x.shape[1], -1)
    elif name == "native_group_norm":
        rows = x.reshape(len(x) * parameter, -1)
    else:
        rows = x.reshape(-1, math.prod(parameter))
    return max(1.0, float(1 / np.sqrt(rows.var(1).min() + eps)))


def _compare(host, name, x, weight, bias, parameter, eps, known, dtype, rng):
    short = [None if a is None else a.astype(dtype) for a in (x, weight, bias)]
    wide = [None if a is None else a.astype(WIDE) for a in short]
    size = _magnified(name, wide[0], parameter, eps)
    kernel = norm.layer_norm if name == "native_layer_norm" else norm.plane_norm
    close(
        kernel(*short, parameter, eps, known),
        OPS[name].forward(np, *wide, parameter, eps, None),
        dtype,
        size,
    )
    g = rng.standard_normal(x.shape).astype(dtype)
    shapes = [None if a is None else a.shape for a in (weight, bias)]
    needs = _needs(weight, bias)
    backward = getattr(norm, f"{kernel.__name__}_backward")
    found = backward(g, *short[:2], *shapes, parameter, eps, known, needs)
    rule = OPS[name].joint
    wanted = rule(g.astype(WIDE), *wide[:2], *shapes, parameter, eps, None, needs)
    for a, b in zip(found, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            close(a, b, dtype, size)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_layer_norm(host, rng, dtype):
    for shape, last in LAYERS:
        x = rng.standard_normal(shape) * 2 + 3
        inner = shape[-last:]
        for weight, bias in [(True, True), (True, False), (False, False)]:
            w = rng.standard_normal(inner) if weight else None
            b = rng.standard_normal(inner) if bias else None
            _compare(host, "native_layer_norm", x, w, b, inner, 1e-5, None, dtype, rng)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_batch_and_group_norm(host, rng, dtype):
    for shape in [(4, 3, 5), (2, 6, 4, 4), (3, 2, 1), (5, 4, 33), (1, 2, 3000), (70, 4)]:
        x = rng.standard_normal(shape) * 2 - 1
        w, b = rng.standard_normal((2, shape[1]))
        _compare(host, "native_batch_norm", x, w, b, None, 1e-5, None, dtype, rng)
        _compare(host, "native_batch_norm", x, None, None, None, 1e-3, None, dtype, rng)
        for groups in {1, shape[1]}:
            _compare(host, "native_group_norm", x, w, b, groups, 1e-3, None, dtype, rng)
    x = rng.standard_normal((2, 6, 7))
    _compare(host, "native_group_norm", x, rng.standard_normal(6), None, 3, 1e-5, None, dtype, rng)


def test_batch_norm_with_moments_that_are_known(host, rng):
    x = (
        rng.standard_normal((4, 3, 10)).astype(np.float32) + 100
    )  # far from 0: squares of x would not do
    mean, variance = norm.batch_moments(x)
    wanted = OPS["batch_moments"].forward(np, x.astype(WIDE))
    close(mean, wanted[0], np.float32)
    np.testing.assert_allclose(variance, wanted[1], 1e-4)
    x = x - 100
    mean, variance = norm.batch_moments(x)
    w, b = rng.standard_normal((2, 3))
    _compare(host, "native_batch_norm", x, w, b, None, 1e-5, (mean, variance), np.float32, rng)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_rms_norm(host, rng, dtype):
    for shape in [(5, 8), (3, 1001)]:
        x, g = rng.standard_normal((2, *shape)).astype(dtype)
        w = rng.standard_normal(shape[1:]).astype(dtype)
        op, inner = OPS["fused_rms_norm"], shape[1:]
        wanted = op.forward(np, x.astype(WIDE), w.astype(WIDE), inner, 1e-5)
        close(norm.rms_norm(x, w, inner, 1e-5), wanted, dtype)
        found = norm.rms_norm_backward(g, x, w, inner, inner, 1e-5, (True, True))
        wide = [a.astype(WIDE) for a in (g, x, w)]
        wanted = op.joint(*wide, inner, inner, 1e-5, (True, True))
        for a, b in zip(found, wanted, strict=True):
            close(a, b, dtype)


def test_what_is_declined(host):
    x = np.ones((2, 3), np.float32)
    long = np.ones((1, 9000), np.float32)
    assert norm.layer_norm(long, None, None, (9000,), 1e-5, None) is NotImplemented
    assert norm.layer_norm(x, np.ones(3), None, (3,), 1e-5, None) is NotImplemented
    assert norm.layer_norm(x, None, None, (2,), 1e-5, None) is NotImplemented
    assert norm.plane_norm(x[0], None, None, None, 1e-5, None) is NotImplemented
    assert norm.plane_norm(np.ones((2, 3, 4), int), None, None, None, 1e-5, None) is NotImplemented
    assert not host.used
