"""The max pooling kernels against the generic path, positions and nans included."""

from __future__ import annotations

import numpy as np
import pytest

from tensorlab import from_numpy
from tensorlab._op import OPS
from tensorlab.ops import pool as ops

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import pool


@pytest.fixture(autouse=True, params=[1, 2])
def thread_number(request, monkeypatch, use_threads):
    use_threads(request.param)
    monkeypatch.setattr(pool, "FEWEST", 0)


def both(name, *arguments):
    op = OPS[name]
    return op.kernels["cpu"](*arguments), op.forward(np, *arguments)


def windows(rng):
    dims = int(rng.integers(1, 4))
    kernel = tuple(int(k) for k in rng.integers(1, 5, dims))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    stride = tuple(int(s) for s in rng.integers(1, 4, dims))
    dilation = tuple(int(d) for d in rng.integers(1, 3, dims))
    size = tuple(
        int(d * (k - 1) + 1 + rng.integers(0, 20 if dims < 3 else 6))
        for k, d in zip(kernel, dilation, strict=True)
    )
    return size, (kernel, stride, padding, dilation, bool(rng.integers(0, 2)))


HALVING = [
    ((6, 8), ((2, 2), (2, 2), (0, 0), (1, 1), False)),
    ((7, 40), ((2, 2), (2, 2), (0, 0), (1, 1), False)),
]


@pytest.mark.parametrize("special", [False, True], ids=["numbers", "nan and infinities"])
@pytest.mark.parametrize("case", [None, *HALVING], ids=["random", "halving", "halving, odd"])
def test_against_the_generic_path(rng, case, special):
    for _ in range(25 if case is None else 4):
        size, how = windows(rng) if case is None else case
        # Few different values, so that there are ties.
        x = rng.integers(-3, 3, (int(rng.integers(1, 4)), 3, *size)).astype(np.float32)
        if special:
            places = rng.random(x.shape)
            x[places < 0.1], x[places > 0.9], x[(places > 0.6) & (places < 0.9)] = (
                np.nan,
                np.inf,
                -np.inf,
            )
        found, generic = both("max_pool", x, *how)
        np.testing.assert_array_equal(found, generic)
        found, positions = both("max_pool_positions", x, generic, *how)
        np.testing.assert_array_equal(found, positions)
        g = rng.standard_normal(generic.shape, np.float32)
        found, generic = both("pool_scatter", g, positions, size)
        np.testing.assert_allclose(found, generic, rtol=1e-6, atol=1e-5)
        # Both ways through the operation: with its own rule, or with a kernel for it.
        t = from_numpy(x).requires_grad_()
        ops.max_pool(t, *how).backward(from_numpy(g))
        assert t.grad is not None
        np.testing.assert_allclose(t.grad.numpy(), generic, rtol=1e-6, atol=1e-5)


def test_the_sign_of_zero_stays():
    x = np.full((1, 1, 4, 4), -0.0, np.float32)
    found, _ = both("max_pool", x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert np.signbit(found).all()


def test_a_place_outside_is_the_generic_path_s_error(rng):
    g, places = rng.standard_normal((1, 2, 3), np.float32), np.array([[[0, 1, 2], [3, 4, 9]]])
    assert OPS["pool_scatter"].kernels["cpu"](g, places, (5,)) is NotImplemented
    assert (
        OPS["max_pool"].kernels["cpu"](g.astype(np.float64), (2,), (1,), (0,), (1,), False)
        is NotImplemented
    )
    assert OPS["max_pool"].kernels["cpu"](g, (2,), (1,), (2,), (1,), False) is NotImplemented


def test_a_window_may_lie_beside_the_image(rng):
    """A dilation longer than the image: its places are not the kernel's business."""
    x = rng.standard_normal((4, 2), np.float32)
    how = ((2,), (1,), (1,), (3,), False)
    assert OPS["max_pool"].kernels["cpu"](x, *how) is NotImplemented


@pytest.mark.parametrize("special", [False, True], ids=["numbers", "nan and infinities"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_largest_of_parts(rng, dims, special):
    for _ in range(8):
        whole = tuple(int(n) for n in rng.integers(1, 12, dims))
        size = tuple(int(n) for n in rng.integers(1, 8, dims))
        x = rng.integers(-3, 3, (2, 3, *whole)).astype(np.float32)
        if special:
            places = rng.random(x.shape)
            x[places < 0.2], x[places > 0.8] = np.nan, -np.inf
        found, generic = both("adaptive_max_pool_with_indices", x, size)
        for a, b in zip(found, generic, strict=True):
            np.testing.assert_array_equal(a, b)
