"""The kernel of `topk` against the generic path."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import OPS

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import topk
from tensorlab.kernels.cpu.native import topk as native


@pytest.fixture(params=[1, 2])
def calls(request, monkeypatch, use_threads, spy):
    """The kernels that were used, on one and on two threads, whatever the size."""
    use_threads(request.param)
    monkeypatch.setattr(topk, "FEWEST", 1)
    return spy(native, "best")


def same(x: np.ndarray, k: int, dim: int, largest: bool) -> None:
    """The kernel's bits and places are those of a stable sort."""
    found = tl.from_numpy(x).topk(k, dim, largest)
    wanted = tl.from_numpy(x).sort(dim, descending=largest)
    head = (slice(None),) * (dim % x.ndim) + (slice(k),)
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == b.dtype
        assert a.is_contiguous()
        got, expected = a.numpy(), np.ascontiguousarray(b.numpy()[head])
        assert got.shape == expected.shape
        assert got.tobytes() == expected.tobytes()


SHAPES = [((7,), 0, 3), ((1,), -1, 1), ((9, 10), 1, 5), ((5, 64), 1, 64), ((3, 1000), -1, 10), ((1000, 3), 0, 17),
          ((3, 129, 5), 1, 64), ((2, 3, 65), 2, 1), ((4, 200, 1), 1, 2), ((40, 70), 0, 4)]  # fmt: skip


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(("shape", "dim", "k"), SHAPES)
def test_random_numbers_and_equal_ones(rng, calls, shape, dim, k, largest):
    same(rng.standard_normal(shape, np.float32), k, dim, largest)
    same(rng.integers(-2, 3, shape).astype(np.float32), k, dim, largest)
    assert calls == ["best"] * 2


@pytest.mark.parametrize("largest", [True, False])
def test_numbers_in_order(calls, largest):
    up = np.arange(-500, 500, dtype=np.float32).reshape(2, 500)
    for x in (up, up[:, ::-1].copy(), np.zeros((2, 500), np.float32)):
        same(x, 33, 1, largest)
    assert calls == ["best"] * 3


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.5, 1])
def test_nan_infinities_and_zeros(rng, calls, share, largest):
    special = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45], np.float32)
    x = rng.standard_normal((6, 300), np.float32)
    picked = rng.random(x.shape) < share
    x[picked] = rng.choice(special, int(picked.sum()))
    for k in (1, 13, 60):
        same(x, k, 1, largest)
        same(x[:, :k].copy(), k, 1, largest)
    assert calls == ["best"] * 6


def test_views(rng, calls):
    x = tl.from_numpy(rng.standard_normal((30, 40), np.float32))
    for view in (x.t(), x[::2], x[3:20, 5:33], x[:, None].expand(30, 2, 40)):
        found, wanted = view.topk(4), view.sort(descending=True)
        np.testing.assert_array_equal(found[0].numpy(), wanted[0].numpy()[..., :4])
        np.testing.assert_array_equal(found[1].numpy(), wanted[1].numpy()[..., :4])
    assert calls == ["best"] * 4


def test_the_gradient(rng, calls):
    data, seed = (rng.standard_normal(shape, np.float32) for shape in ((6, 50), (6, 7)))
    found = []
    for dtype in (tl.float32, tl.float64):
        x = tl.from_numpy(data).to(dtype).requires_grad_()
        x.topk(7, 1)[0].backward(tl.from_numpy(seed).to(dtype))
        assert x.grad is not None
        found.append(x.grad.numpy())
    np.testing.assert_array_equal(*found)
    assert calls == ["best"]


def test_what_the_kernel_leaves_to_the_generic_path(rng, calls):
    x = tl.from_numpy(rng.standard_normal((4, 200), np.float32))
    assert x.topk(0, 1)[0].shape == (4, 0)
    assert x[:0].topk(3, 1)[0].shape == (0, 3)
    for given in (x.double(), x.half(), x.long()):
        given.topk(3, 1)
    x.topk(topk.MOST + 1, 1)
    x.topk(tl.tensor(3), 1)
    tl.tensor(3.0).topk(1)
    for k, dim, error in (
        (201, 1, RuntimeError),
        (-1, 1, RuntimeError),
        (2.0, 1, TypeError),
        (1, 2, IndexError),
    ):
        with pytest.raises(error):
            x.topk(k, dim)
    locked = np.arange(300, dtype=np.float32)
    locked.flags.writeable = False
    assert OPS["topk"].kernels["cpu"](locked, 3, 0, True, True) is NotImplemented
    assert calls == []
