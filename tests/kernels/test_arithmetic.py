"""Kernels of sums, differences, products and quotients against NumPy, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _apply

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import arithmetic
from tensorlab.kernels.cpu.native import arithmetic as native
from tensorlab.kernels.cpu.native import stretched

SPECIAL = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38, 1.5], np.float32
)


@pytest.fixture(params=[2, 3])
def calls(request, monkeypatch, use_threads, spy, ask_about_few):
    """The kernels that were used, on several threads, whatever the size."""
    use_threads(request.param)
    for fewest in ("FEWEST", "FEWEST_STRETCHED", "FEWEST_OF_PAIRS"):
        monkeypatch.setattr(arithmetic, fewest, 0)
    ask_about_few()
    monkeypatch.setattr(_apply, "MANY", 0)
    spy(stretched, "stretched")
    return spy(native, "of_arrays", "of_number", "of_number_first", "add_to", "pair")


PROGRAMS = {
    "+": (lambda a, b: a + b, np.add),
    "-": (lambda a, b: a - b, np.subtract),
    "*": (lambda a, b: a * b, np.multiply),
    "/": (lambda a, b: a / b, np.divide),
}


def same(found: tl.Tensor, wanted: np.ndarray) -> None:
    assert found.dtype == tl.float32
    np.testing.assert_array_equal(found.detach().numpy(), wanted)
    number = ~np.isnan(wanted)
    signs = np.signbit(found.detach().numpy()), np.signbit(wanted)
    np.testing.assert_array_equal(signs[0][number], signs[1][number])


def pairs() -> tuple[np.ndarray, np.ndarray]:
    a, b = np.meshgrid(SPECIAL, SPECIAL)
    return a.copy(), b.copy()


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("shape", [(1,), (7, 3), (5, 100, 9)])
def test_two_arrays(rng, calls, name, shape):
    run, ref = PROGRAMS[name]
    a, b = (rng.standard_normal(shape, np.float32) for _ in range(2))
    same(run(tl.from_numpy(a), tl.from_numpy(b)), ref(a, b))
    assert calls == ["of_arrays"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_special_values(calls, name):
    run, ref = PROGRAMS[name]
    a, b = pairs()
    with np.errstate(all="ignore"):
        same(run(tl.from_numpy(a), tl.from_numpy(b)), ref(a, b))
        for number in [*map(float, SPECIAL), 3, 1e-50]:
            other = np.float32(number)
            same(run(tl.from_numpy(a), number), ref(a, other))
            same(run(number, tl.from_numpy(a)), ref(other, a))
            same(run(tl.from_numpy(a), tl.tensor(number, dtype=tl.float32)), ref(a, other))
    # `number + x` is turned around before it comes here.
    turned = set() if name in "+*" else {"of_number_first"}
    assert {*calls} == {"of_arrays", "of_number"} | turned


STRETCHED = [
    ((5, 33), (33,)), ((5, 33), (1, 33)), ((33, 17), (33, 1)), ((3, 4, 5, 5), (4, 1, 1)), ((3, 4, 20), (3, 4, 1)),
    ((7, 4, 20), (4, 20)), ((1, 40), (40,)), ((2, 1, 16), (1, 1, 16)),
]  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("shape", "smaller"), STRETCHED)
def test_an_array_and_a_smaller_one(rng, calls, name, shape, smaller):
    run, ref = PROGRAMS[name]
    a, b = rng.standard_normal(shape, np.float32), rng.standard_normal(smaller, np.float32)
    same(run(tl.from_numpy(a), tl.from_numpy(b)), ref(a, b))
    same(run(tl.from_numpy(b), tl.from_numpy(a)), ref(b, a))
    assert calls == ["stretched"] * 2
    shown = tl.from_numpy(b).expand(shape)
    if 0 in shown.stride():
        same(run(tl.from_numpy(a), shown), ref(a, b))
        same(run(shown, tl.from_numpy(a)), ref(b, a))
        assert calls == ["stretched"] * 4
        calls.clear()
        same(run(shown, shown), ref(shown.numpy(), shown.numpy()))  # nothing is whole
        assert calls == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_special_values_of_a_smaller_array(calls, name):
    run, ref = PROGRAMS[name]
    rows = np.tile(SPECIAL, (20, 1))
    with np.errstate(all="ignore"):
        for a, b in ((rows, np.roll(SPECIAL, 3)), (rows.T.copy(), SPECIAL[:, None].copy())):
            for shift in range(3):
                other = np.roll(b, shift)
                same(run(tl.from_numpy(a), tl.from_numpy(other)), ref(a, other))
                same(run(tl.from_numpy(other), tl.from_numpy(a)), ref(other, a))
    assert "stretched" in calls


PAIRS = {
    "addcmul": (lambda x, a, b: tl.addcmul(x, a, b, value=-0.3), 3),
    "addcdiv": (lambda x, a, b: tl.addcdiv(x, a, b, value=1.7), 3),
    "lerp": (lambda x, a: tl.lerp(x, a, 0.3), 2),
    "lerp by a tensor": (lambda x, a: tl.lerp(x, a, tl.tensor(0.3)), 2),
}


@pytest.mark.parametrize("shape", [(1,), (7, 3), (5, 100, 9)])
@pytest.mark.parametrize("name", PAIRS)
def test_two_operations_in_one_pass(rng, calls, name, shape):
    run, count = PAIRS[name]
    data = [rng.uniform(0.5, 2, shape).astype(np.float32) for _ in range(count)]
    g = rng.standard_normal(shape, np.float32)
    found = []
    for dtype in (tl.float32, tl.float64):
        inputs = [tl.from_numpy(a).to(dtype).requires_grad_() for a in data]
        out = run(*inputs)
        assert out.dtype == dtype
        out.backward(tl.from_numpy(g).to(dtype))
        found.append([out.detach(), *(x.grad for x in inputs)])
    for single, double in zip(*found, strict=True):
        np.testing.assert_allclose(single.numpy(), double.numpy(), 2e-6, 2e-6)
    assert calls.count("pair") == (1 if count == 2 else 3)


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients(rng, calls, name):
    run, _ = PROGRAMS[name]
    a, b, g = (rng.uniform(0.5, 2, (13, 77)).astype(np.float32) for _ in range(3))
    found = []
    for dtype in (tl.float32, tl.float64):
        x, y = (tl.from_numpy(n).to(dtype).requires_grad_() for n in (a, b))
        run(x * 2, y).backward(tl.from_numpy(g).to(dtype))
        assert x.grad is not None
        assert y.grad is not None
        found.append((x.grad, y.grad))
    for single, double in zip(*found, strict=True):
        assert single.dtype == tl.float32
        np.testing.assert_allclose(single.numpy(), double.numpy(), rtol=1e-6)
    assert calls


def test_gradients_that_add_up(rng, calls):
    """Where several arrive, the first may be somebody's: it stays; a sum that only the engine has grows."""
    x = tl.from_numpy(rng.standard_normal((13, 77), np.float32)).requires_grad_()
    g = rng.standard_normal((13, 77), np.float32)
    given = tl.from_numpy(g.copy())
    (x + x * 2 + x * 3).backward(given)
    assert "of_arrays" in calls
    assert "add_to" in calls
    assert x.grad is not None
    same(given, g)
    same(x.grad, g + g * 2 + g * 3)
    calls.clear()
    x.backward(given)  # into a gradient that is there already
    assert calls == ["add_to"]
    same(x.grad, g + g * 2 + g * 3 + g)
    same(given, g)


def test_what_the_kernels_leave_to_numpy(rng, calls, use_threads):
    a = tl.from_numpy(rng.standard_normal((6, 8), np.float32))
    read_only = tl.from_numpy(rng.standard_normal((6, 8), np.float32))
    read_only._data.flags.writeable = False
    # The first two have fewer numbers side by side than are worth it.
    pieces = (a[:1], a[:, :1], a[:, :1].double())
    for other in (*pieces, a.t().contiguous().t(), a.double(), 2j, read_only):
        wanted = a.numpy() + (other.numpy() if isinstance(other, tl.Tensor) else other)
        found = (a + other).numpy()
        assert found.dtype == wanted.dtype or isinstance(other, tl.Tensor)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    same(tl.add(a, a, alpha=0.5), a.numpy() + np.float32(0.5) * a.numpy())
    use_threads(1)
    same(a + a, a.numpy() + a.numpy())
    assert calls == []
