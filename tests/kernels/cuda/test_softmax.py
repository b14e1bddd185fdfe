"""Softmax kernels against the generic path in float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tensorlab._op import OPS
from tensorlab.kernels.cuda import softmax

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
SHAPES = [
    ((3, 10), 1), ((1, 1), 0), ((5, 64), 1), ((2, 1000), -1), ((3, 1001), 1), ((2, 8192), 1), ((1, 8193), 1),
    ((2, 9000), 1), ((1, 30_000), 1), ((4, 5, 6), 1), ((7, 20), 0), ((2, 30, 5, 7), 1), ((300,), 0),
]  # fmt: skip


def _tolerance(dtype) -> float:
    return {8: 1e-12, 4: 2e-6}.get(np.dtype(dtype).itemsize, 2 * float(ml_dtypes.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_values_and_gradients(host, rng, name, dtype):
    for shape, dim in SHAPES:
        x = rng.standard_normal(shape).astype(dtype) * 3
        g = rng.standard_normal(shape).astype(dtype)
        out = getattr(softmax, name)(x, dim)
        wanted = OPS[name].forward(np, x.astype(np.float64), dim)
        tolerance = _tolerance(dtype)
        assert out.dtype == dtype
        np.testing.assert_allclose(out.astype(np.float64), wanted, tolerance, tolerance)
        found = getattr(softmax, f"{name}_backward")(g, out, dim)
        wide, y = g.astype(np.float64), out.astype(np.float64)
        total = (wide if name == "log_softmax" else wide * y).sum(axis=dim, keepdims=True)
        wanted = wide - np.exp(y) * total if name == "log_softmax" else (wide - total) * y
        largest = max(1, np.abs(total).max())
        np.testing.assert_allclose(
            found.astype(np.float64), wanted, 4 * tolerance, 4 * tolerance * largest
        )
