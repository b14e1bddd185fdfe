"""The matrix product kernel against NumPy's, on ragged sizes and every layout of the operands."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.kernels import threads

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu.native import gemm

SIZES = [
    (1, 1, 1), (3, 5, 7), (8, 16, 48), (9, 17, 49), (64, 784, 128), (100, 33, 257), (7, 800, 100),
    (13, 400, 3100), (400, 3, 20), (16, 0, 16), (0, 4, 5), (4, 4, 0),
]  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("sizes", SIZES)
def test_every_layout(rng, monkeypatch, sizes, count):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
    monkeypatch.setattr(threads, "_count", count)
    m, k, n = sizes
    a = rng.standard_normal((2 * m, 3 * k), np.float32)
    b = rng.standard_normal((2 * k, 3 * n), np.float32)
    left = [a[:m, :k], a[:m, :k].T.copy().T, a[::2, ::3], a[:m, :k][::-1]]
    right = [b[:k, :n], b[:k, :n].T.copy().T, b[::2, ::3], b[:k, :n][:, ::-1]]
    for x in left:
        for y in right:
            exact = x.astype(np.float64) @ y.astype(np.float64)
            np.testing.assert_allclose(gemm.matmul(x, y), exact, rtol=1e-4, atol=1e-5 * (k + 1))


def test_nan_and_infinities(rng):
    a, b = rng.standard_normal((20, 30), np.float32), rng.standard_normal((30, 40), np.float32)
    a[3, 4], a[5, 6], b[7, 8] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        exact = a @ b
    np.testing.assert_array_equal(np.isnan(gemm.matmul(a, b)), np.isnan(exact))
    np.testing.assert_array_equal(np.isinf(gemm.matmul(a, b)), np.isinf(exact))


def test_products_of_tensors_use_it(rng, monkeypatch):
    taken = []
    real = gemm.matmul
    monkeypatch.setattr(gemm, "matmul", lambda a, b: taken.append(a.shape) or real(a, b))
    x = tl.from_numpy(rng.standard_normal((4, 25, 60), np.float32)).requires_grad_()
    layer = tl.nn.Linear(60, 70)
    layer(x).sum().backward()
    assert (100, 60) in taken, "the forward"
    assert len(taken) == 3, "and both gradients"
    tl.matmul(x.double(), tl.ones(60, 70, dtype=tl.float64))
    tl.matmul(x[:1, :1], layer.weight.t())
    assert len(taken) == 3, "neither float64 nor a small product"
