"""Weighted sums along a dimension against the generic path: averages of parts, and images at other sizes."""

from __future__ import annotations

import numpy as np
import pytest

from tensorlab._op import OPS
from tensorlab.ops.interpolation import table
from tensorlab.ops.resample import averaging, turned

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import resample


@pytest.fixture(autouse=True, params=[1, 3])
def thread_number(request, monkeypatch, use_threads):
    use_threads(request.param)
    monkeypatch.setattr(resample, "FEWEST", 0)


def compare(x, dim, size, how):
    op = OPS["resample"]
    found, generic = op.kernels["cpu"](x, dim, size, how), op.forward(np, x, dim, size, how)
    # Sums of up to 40 terms, some of which cancel, rounded at other places.
    np.testing.assert_allclose(found, generic, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize(
    "mode", ["nearest", "bilinear", "bicubic", "bilinear, smoothed", "averages"]
)
def test_there_and_back(rng, dim, mode):
    for _ in range(6):
        shape = tuple(int(n) for n in rng.integers(1, 40, 3))
        n, size = shape[dim], int(rng.integers(1, 50))
        name, _, smoothed = mode.partition(", ")
        how = (
            averaging(n, size)
            if mode == "averages"
            else table(name, n, size, None, False, bool(smoothed), "float32")
        )
        compare(rng.standard_normal(shape, np.float32), dim, n, how)
        turned_shape = (*shape[:dim], size, *shape[dim + 1 :])
        compare(rng.standard_normal(turned_shape, np.float32), dim, size, turned(how, n))


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_source_does_not_count(dim, value):
    """Nor do NaN and infinities: a place without a source takes none with weight 0."""
    x = np.ones((2, 3, 3), np.float32)
    x[0, 0, 0] = value
    how = np.array([[-1, 1], [-1, -1], [0, -1], [1, 2]]), np.ones((4, 2))
    compare(x, dim, 3, how)


def test_what_is_declined(rng):
    kernel = OPS["resample"].kernels["cpu"]
    how = averaging(6, 3)
    assert kernel(rng.standard_normal((4, 6)), 1, 6, how) is NotImplemented  # float64
    assert kernel(np.ones((0, 6), np.float32), 1, 6, how) is NotImplemented
