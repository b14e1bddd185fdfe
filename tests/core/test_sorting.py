"""`topk` where it picks before it sorts, against PyTorch; equal elements may be taken at any place."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import OPS
from tensorlab.ops import sorting
from tensorlab.testing import opcheck, strict

DTYPES = ["float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64"]


@pytest.fixture(autouse=True)
def picks(monkeypatch) -> list[int]:
    """Elements are picked however few there are, without a kernel; how many times that was done."""
    monkeypatch.setattr(sorting, "FEWEST", 0)
    monkeypatch.setattr(sorting, "SHORTEST", 0)
    monkeypatch.setattr(sorting, "LARGEST_SHARE", 1)
    for kind in list(OPS["topk"].kernels):
        monkeypatch.delitem(OPS["topk"].kernels, kind)
    done: list[int] = []
    real = np.argpartition

    def noting(a, kth, axis=-1):
        done.append(kth)
        return real(a, kth, axis)

    monkeypatch.setattr(np, "argpartition", noting)
    return done


def test_the_samples():
    opcheck("topk")


def test_a_device_like_cuda(rng):
    opcheck("topk", ("device", "edges", "strides"), device="strict")
    data = rng.standard_normal((5, 40), np.float32)
    with strict.no_sync():
        found = tl.from_numpy(data).to("strict").topk(9)
    np.testing.assert_array_equal(found.values.cpu().numpy(), -np.sort(-data)[:, :9])


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize(
    ("shape", "dim", "k"),
    [((50,), 0, 7), ((6, 40), 1, 40), ((6, 40), -1, 1), ((40, 6), 0, 13), ((3, 30, 4), 1, 29)],
)
def test_values_are_pytorchs(rng, picks, name, shape, dim, k, largest):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    # Few different numbers, so that many are equal.
    data = rng.integers(0, 60, shape).astype(np.float64)
    if "float" in name:
        data = data / 8 - 3
        data[rng.random(shape) < 0.1] = np.nan
        data[rng.random(shape) < 0.1] = -np.inf
    x = tl.from_numpy(data).to(getattr(tl, name))
    found = x.topk(k, dim, largest)
    wanted = torch.from_numpy(data).to(getattr(torch, name)).topk(k, dim, largest)
    assert found.values.dtype == x.dtype
    assert found.indices.dtype == tl.int64
    np.testing.assert_array_equal(
        found.values.double().numpy(), wanted.values.double().numpy(), strict=True
    )
    # The values are those at the places, no place comes twice, and equal ones are in order.
    there = np.take_along_axis(x.double().numpy(), found.indices.numpy(), dim)
    np.testing.assert_array_equal(there, found.values.double().numpy())
    places = np.moveaxis(found.indices.numpy(), dim, -1).reshape(-1, k)
    assert all(len({*row}) == k for row in places.tolist())
    rows = np.moveaxis(there, dim, -1).reshape(-1, k)
    same = (rows[:, 1:] == rows[:, :-1]) | (np.isnan(rows[:, 1:]) & np.isnan(rows[:, :-1]))
    assert (places[:, 1:] > places[:, :-1])[same].all()
    assert len(picks) == 1


def test_none_or_of_none(picks):
    for shape, k, wanted in (((3, 4), 0, (3, 0)), ((0, 4), 2, (0, 2)), ((3, 0), 0, (3, 0))):
        found = tl.zeros(*shape).topk(k)
        assert found.values.shape == found.indices.shape == wanted
        assert found.indices.dtype == tl.int64


@pytest.mark.parametrize("dtype", [tl.bool, tl.complex64])
def test_what_has_no_order_is_refused(dtype):
    with pytest.raises(RuntimeError, match=r"topk\(\) does not support tensorlab\.\w+"):
        tl.ones(4, dtype=dtype).topk(2)
