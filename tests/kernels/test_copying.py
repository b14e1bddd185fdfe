"""Kernels of copies against NumPy, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import get_num_threads
from tensorlab._op import OPS

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import copying
from tensorlab.kernels.cpu.native import copying as native

DTYPES = [np.float32, np.float64, np.int32, np.int64, np.complex64]


@pytest.fixture(params=[1, 2])
def calls(request, monkeypatch, use_threads, spy):
    """The kernels that were used, on one and on two threads, whatever the size."""
    use_threads(request.param)
    monkeypatch.setattr(copying, "FEWEST", 0)
    monkeypatch.setattr(copying, "FEWEST_IN_ROWS", 0)
    monkeypatch.setattr(copying, "SHORTEST", 2)
    monkeypatch.setattr(copying, "NARROWEST", 1)
    monkeypatch.setattr(copying, "FEW_IN_TRIANGLES", 0)
    return spy(native, "turned", "filled", "rows", "triangles")


def bits(rng, shape, dtype) -> np.ndarray:
    """Any bits, of which some are nan of all kinds."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(rng.bytes(size), np.uint8).copy().view(dtype).reshape(shape)


def same(found: tl.Tensor, wanted: np.ndarray) -> None:
    got = found.numpy()
    assert got.flags.c_contiguous
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    assert got.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((16, 16), (1, 0)), ((48, 80), (1, 0)), ((5, 3), (1, 0)), ((131, 67), (1, 0)), ((3, 1000), (1, 0)),
        ((1000, 3), (1, 0)), ((2, 17, 33), (0, 2, 1)), ((3, 5, 7, 9), (0, 2, 3, 1)), ((3, 7, 9, 5), (0, 3, 1, 2)),
        ((1, 20, 1, 30), (3, 0, 1, 2)),
    ],
)  # fmt: skip
def test_transposed(rng, calls, dtype, shape, order):
    x = tl.from_numpy(bits(rng, shape, dtype)).permute(order)
    same(x.contiguous(), np.ascontiguousarray(x.numpy()))
    assert calls == ["turned"]


def test_a_part_of_a_transposed_matrix(rng, calls):
    whole = tl.from_numpy(rng.standard_normal((70, 90), np.float32))
    part = whole[3:61, 7:88].t()
    same(part.clone(), np.ascontiguousarray(part.numpy()))
    every_second = whole[::2].t()
    same(every_second.clone(), np.ascontiguousarray(every_second.numpy()))
    assert calls == ["turned"] * 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((7, 1), (7, 33)),
        ((), (5, 6)),
        ((3, 1, 1), (3, 4, 5)),
        ((4, 3, 1), (2, 4, 3, 70)),
        ((1,), (9,)),
    ],
)
def test_repeated(rng, calls, dtype, shape, sizes):
    x = tl.from_numpy(bits(rng, shape, dtype)).expand(sizes)
    same(x.contiguous(), np.ascontiguousarray(x.numpy()))
    assert calls == ["filled"]


ROWS = {
    "repeated": lambda x: x[:1].expand(9, -1, -1),
    "each repeated": lambda x: x[:, None].expand(-1, 3, -1, -1),
    "moved": lambda x: x.transpose(0, 1),
    "a part": lambda x: x[:, 1:, 3:],
    "one row": lambda x: x[1, 2].expand(4, -1),
    "every second": lambda x: x[..., ::2],
    "every second row": lambda x: x[:, ::2],
    "columns in another order": lambda x: x.permute(2, 1, 0),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [5, 16, 33, 130])
@pytest.mark.parametrize("form", ROWS)
def test_rows(rng, calls, dtype, size, form):
    shown = ROWS[form](tl.from_numpy(bits(rng, (3, 7, size), dtype)))
    same(shown.clone(), np.ascontiguousarray(shown.numpy()))
    assert calls == (["rows"] if get_num_threads() > 1 else [])


@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_reversed(rng, calls, which):
    x = bits(rng, (3, 7, 130), np.float64)
    back = tuple(slice(None, None, -1 if d in which else 1) for d in range(3))
    same(tl.from_numpy(x[back].copy()), x[back])
    found = OPS["clone"].call(x[back])
    assert found.tobytes() == x[back].tobytes()
    assert found.flags.c_contiguous
    # All reversed is one row, of numbers that lie backward.
    backward = which in ((2,), (0, 1, 2))
    assert calls == (["rows"] if backward or get_num_threads() > 1 else [])


def test_fewer_rows_than_threads(rng, calls):
    x = tl.from_numpy(bits(rng, (1, 1003), np.float32)).expand(2, -1)
    same(x.clone(), np.ascontiguousarray(x.numpy()))
    one = tl.from_numpy(bits(rng, (), np.float32)).expand(1003)
    same(one.clone(), np.ascontiguousarray(one.numpy()))


def test_what_the_kernels_leave_to_numpy(rng, calls):
    x = tl.from_numpy(rng.standard_normal((6, 8, 10), np.float32))
    read_only = tl.from_numpy(rng.standard_normal((6, 8, 10), np.float32))
    read_only._data.flags.writeable = False
    for shown in (
        x, x.half().transpose(1, 2), x.bool().transpose(1, 2), x[:0].transpose(1, 2),
        x[:, None, :, None].expand(-1, 3, -1, 2, -1), read_only.transpose(0, 1),
    ):  # fmt: skip
        same(shown.clone(), np.ascontiguousarray(shown.numpy()))
    assert calls == []


def test_the_gradient_of_a_sum_becomes_a_leafs_own(calls):
    x = tl.zeros(80, 90, requires_grad=True)
    (x.sum(1) * tl.arange(80.0)).sum().backward()
    assert x.grad is not None
    same(x.grad, np.repeat(np.arange(80, dtype=np.float32)[:, None], 90, 1))
    assert calls == ["filled"]
    x.grad = None
    (x.sum(0) * tl.arange(90.0)).sum().backward()
    assert x.grad is not None
    same(x.grad, np.repeat(np.arange(90, dtype=np.float32)[None], 80, 0))
    assert calls == ["filled", *["rows"] * (get_num_threads() > 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2,), (99,), (1, 50), (33, 70), (2, 3, 5, 9), (4, 17, 1, 40)])
def test_flipped_rows(rng, calls, ask_about_few, dtype, shape):
    ask_about_few()
    x = bits(rng, shape, dtype)
    same(tl.from_numpy(x).flip(-1), np.ascontiguousarray(x[..., ::-1]))
    same(tl.from_numpy(x).flip((x.ndim - 1,)), np.ascontiguousarray(x[..., ::-1]))
    assert calls == ["rows"] * 2


def test_other_flips(rng, calls, ask_about_few):
    ask_about_few()
    x = rng.standard_normal((6, 8, 10), np.float32)
    y = tl.from_numpy(x)
    same(y.flip(0), np.flip(x, 0).copy())
    same(y.flip(()), x)
    same(y.flip((0, 2)), np.flip(x, (0, 2)).copy())
    same(y.half().flip(-1), np.flip(x.astype(np.float16), -1).copy())
    assert calls == []
    with pytest.raises(IndexError):
        y.flip(3)
    assert tl.tensor(2.0).flip(()).item() == 2


def test_the_gradient_of_flipped_rows(rng, calls, ask_about_few):
    ask_about_few()
    x = tl.from_numpy(rng.standard_normal((5, 20), np.float32)).requires_grad_()
    seed = rng.standard_normal((5, 20), np.float32)
    x.flip(-1).backward(tl.from_numpy(seed))
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), seed[:, ::-1])
    assert calls == ["rows"] * 2


# Triangles --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(1, 1), (7, 7), (1, 90), (90, 1), (33, 70), (70, 33), (2, 3, 5, 9), (4, 17, 40)]
)
def test_triangles(rng, calls, ask_about_few, dtype, shape):
    ask_about_few()
    x = bits(rng, shape, dtype)
    for diagonal in (0, 1, -1, 5, -20, 300, -300):
        same(tl.from_numpy(x).tril(diagonal), np.tril(x, diagonal))
        same(tl.from_numpy(x).triu(diagonal), np.triu(x, diagonal))
    assert calls == ["triangles"] * 14


def test_triangles_backward_and_in_place(rng, calls, ask_about_few):
    ask_about_few()
    data, seed = (rng.standard_normal((3, 20, 30), np.float32) for _ in range(2))
    x = tl.from_numpy(data.copy()).requires_grad_()
    x.tril(-2).backward(tl.from_numpy(seed))
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), np.tril(seed, -2))
    y = tl.from_numpy(data.copy())
    y.triu_(3)
    np.testing.assert_array_equal(y.numpy(), np.triu(data, 3))
    assert calls == ["triangles"] * 3


def test_triangles_that_are_left_to_numpy(rng, calls, ask_about_few):
    ask_about_few()
    x = rng.standard_normal((6, 8), np.float32)
    same(tl.from_numpy(x).tril(2**60), x)
    np.testing.assert_array_equal(tl.from_numpy(x).t().tril().numpy(), np.tril(x.T))
    for dtype in (np.float16, np.int8, np.bool_, np.complex128):
        same(tl.from_numpy(x.astype(dtype)).triu(1), np.triu(x.astype(dtype), 1))
    assert tl.zeros(0, 3).tril().shape == (0, 3)
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        tl.from_numpy(x[0]).tril()
    assert calls == []
