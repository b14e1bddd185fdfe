"""Kernels of functions and losses of each element against the generic path in float64."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import OPS

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import elementwise, loss
from tensorlab.kernels.cpu.native import loss as native_loss
from tensorlab.kernels.cpu.native import powers, smooth, straight

F = tl.nn.functional
SPECIAL = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 3.0, -3.0, 0.5, -0.5, 1.0, -1.0, 100.0, -100.0],
    np.float32,
)  # fmt: skip


@pytest.fixture(params=[1, 2])
def calls(request, monkeypatch, use_threads, spy, ask_about_few):
    """The kernels that were used, on one and on two threads, whatever the size."""
    use_threads(request.param)
    monkeypatch.setattr(elementwise, "FEWEST", 0)
    monkeypatch.setattr(elementwise, "FEWEST_SIMPLE", 0)
    monkeypatch.setattr(loss, "FEWEST", 0)
    ask_about_few()
    spy(smooth, "forward", "backward", "glu", "glu_backward")
    spy(powers, "forward", "backward")
    spy(straight, "forward", "backward", "where")
    return spy(native_loss, "loss", "loss_backward")


def _both(rng, run, *data):
    """Value and gradients of `run(*data)`, by the kernels in float32 and generically in float64."""
    results = []
    seed = None
    for dtype in (tl.float32, tl.float64):
        given = [tl.from_numpy(d).to(dtype).requires_grad_() for d in data]
        with np.errstate(all="ignore"):
            y = run(*given)
            if seed is None:
                seed = np.asarray(rng.standard_normal(tuple(y.shape), np.float32))
            y.backward(tl.from_numpy(seed).to(dtype))
        found = [y.detach().numpy()]
        for x in given:
            assert x.grad is not None
            found.append(x.grad.numpy())
        results.append(found)
    assert all(a.dtype == np.float32 for a in results[0])
    return list(zip(*results, strict=True))


FUNCTIONS = {
    "sigmoid": tl.sigmoid,
    "erf": tl.erf,
    "silu": F.silu,
    "softplus": F.softplus,
    "softplus, steep": lambda x: F.softplus(x, beta=2.5, threshold=3),
    "logsigmoid": F.logsigmoid,
    "mish": F.mish,
    "elu": lambda x: F.elu(x, 0.7),
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 1.5),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "hardtanh": F.hardtanh,
    "relu6": F.relu6,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "nan_to_num": lambda x: tl.nan_to_num(x, 0.5, posinf=-9, neginf=-np.inf),
    "clamp": lambda x: tl.clamp(x, -0.5, 1),
    "clamp, below": lambda x: tl.clamp(x, min=0.5),
    "clamp, above": lambda x: tl.clamp(x, max=0),
    "clamp, crossed": lambda x: tl.clamp(x, 1.0, -1.0),
}


@pytest.mark.parametrize("shape", [(0,), (1,), (7, 3), (5, 100, 9)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(rng, calls, name, shape):
    data = rng.standard_normal(shape, np.float32) * 4
    if data.size > 100:
        data.reshape(-1)[: SPECIAL.size] = SPECIAL
    for found, generic in _both(rng, FUNCTIONS[name], data):
        np.testing.assert_allclose(found, generic, rtol=4e-6, atol=3e-6)
    assert calls == ["forward", "backward"]


@pytest.mark.parametrize("name", ["elu", "leaky_relu", "hardtanh", "clamp", "silu"])
def test_zeros_keep_their_sign(calls, name):
    zeros = tl.tensor([0.0, -0.0])
    assert np.signbit(FUNCTIONS[name](zeros).numpy()).tolist() == [False, True]
    assert calls == ["forward"]


@pytest.mark.parametrize(
    ("shape", "dim"),
    [((0, 4), 1), ((2,), 0), ((7, 6), -1), ((7, 38), 1), ((38, 7), 0), ((5, 24, 9), -2)],
)
def test_halves(rng, calls, shape, dim):
    data = rng.standard_normal(shape, np.float32) * 4
    if data.size > 100:
        for half in np.split(data, 2, dim):
            half[(0,) * half.ndim], half[(1,) * half.ndim] = 90.0, -90.0
            half[(2,) * half.ndim], half[(3,) * half.ndim] = np.nan, np.inf
    for found, generic in _both(rng, lambda x: F.glu(x, dim), data):
        np.testing.assert_allclose(found, generic, rtol=4e-6, atol=1e-37)
    turned = np.ascontiguousarray(data.T).T
    (found, _), (slope, _) = _both(rng, lambda x: F.glu(x, dim), turned)
    np.testing.assert_array_equal(found, F.glu(tl.from_numpy(data), dim).numpy())
    assert slope.shape == shape
    assert calls == ["glu", "glu_backward"] * 2 + ["glu"]


#: Of an operation, by number of inputs: whether it has kernels for its result, and for its gradients.
EXACT = {
    "sqrt": (1, True, True), "rsqrt": (1, True, True), "reciprocal": (1, False, True),
    "sign": (1, True, False), "abs": (1, False, True), "hypot": (2, True, True),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_powers_and_signs_to_the_last_bit(rng, calls, name):
    """What is one product, root or quotient after the other is what NumPy finds, signs of zeros too."""
    count, forward, backward = EXACT[name]
    inputs = rng.standard_normal((count, 170, 101), np.float32)
    g = rng.standard_normal((170, 101), np.float32)
    for x, step in zip(inputs, (1, 5), strict=False):
        x *= np.float32(10) ** rng.integers(-30, 30, x.shape).astype(np.float32)
        corner = np.tile(SPECIAL, 16)
        x.reshape(-1)[: corner.size] = np.roll(corner.reshape(16, -1), step, 1).reshape(-1)
        x.reshape(-1)[corner.size :][: corner.size] = np.repeat(SPECIAL, 16)
    op = OPS[name]
    given = [tl.from_numpy(x).requires_grad_() for x in inputs]
    out = op.call(*given)
    out.backward(tl.from_numpy(g))
    with np.errstate(all="ignore"):
        want = op.forward(np, *inputs)
        _same(out.detach().numpy(), want)
        kept = {"out": want, "input": inputs[0], "other": inputs[-1], "g": g}
        for x, input in zip(given, op.inputs, strict=True):
            rule = op.rules[input]
            slope = rule(*(kept[n] for n in inspect.signature(rule).parameters))
            assert x.grad is not None
            _same(x.grad.numpy(), slope)
    assert calls == ["forward"] * forward + ["backward"] * (backward * count)


def _same(found, want):
    # Of hypot, the system's library may round the last bit in another way.
    np.testing.assert_allclose(found, want, rtol=2e-7, atol=2e-45)
    np.testing.assert_array_equal(np.signbit(found)[want == 0], np.signbit(want)[want == 0])


def test_limits_of_the_type_in_place_of_infinities(calls):
    x = np.tile(SPECIAL, 7)
    np.testing.assert_array_equal(tl.nan_to_num(tl.from_numpy(x)).numpy(), np.nan_to_num(x))
    assert calls == ["forward"]


def test_squares_by_power(rng, calls):
    data = rng.standard_normal((170, 101), np.float32) * 4
    data.reshape(-1)[: SPECIAL.size] = SPECIAL
    for exponent in (2, 2.0):
        for found, generic in _both(rng, lambda x, n=exponent: x**n, data):
            np.testing.assert_allclose(found, generic, rtol=2e-7, atol=1e-37)
    assert calls == ["backward"] * 2


@pytest.mark.parametrize(
    "run",
    [lambda x: F.celu(x, -2.0), lambda x: F.hardtanh(x.double()), lambda x: x.half().sigmoid(),
     lambda x: tl.clamp(x, tl.zeros(10), None), lambda x: tl.hypot(x, x[0]), lambda x: x.double().sqrt()],
)  # fmt: skip
def test_what_kernels_decline(rng, calls, run):
    run(tl.from_numpy(rng.standard_normal((10, 10), np.float32)))
    assert not calls


@pytest.mark.parametrize("shape", [(0,), (3,), (40, 25)])
def test_where(rng, calls, shape):
    a, b = rng.standard_normal((2, *shape), np.float32)
    if a.size > 100:
        a.reshape(-1)[: SPECIAL.size] = SPECIAL
    mask = tl.from_numpy(rng.random(shape) < 0.5)
    for run, data in (
        (lambda x, y: tl.where(mask, x, y), (a, b)),
        (lambda x: tl.where(mask, x, 0.25), (a,)),
        (lambda x: tl.where(mask, -2, x), (a,)),
        (lambda x: x.masked_fill(mask, -np.inf), (a,)),
        (lambda x: x.masked_fill(mask, tl.tensor(3.0)), (a,)),
    ):
        calls.clear()
        for found, generic in _both(rng, run, *data):
            np.testing.assert_array_equal(found, generic)
        assert calls == ["where"] * (1 + len(data))
    turned = tl.from_numpy(np.ascontiguousarray(a.T)).T
    np.testing.assert_array_equal(
        tl.where(mask, turned, 1.0).numpy(), np.where(mask.numpy(), a, np.float32(1))
    )


@pytest.mark.parametrize("shape", [(5,), (4, 1), (1, 5), (3, 4, 5), (3, 1, 1), (1, 1, 1), ()])
def test_masks_are_stretched(rng, calls, shape):
    a, b = rng.standard_normal((2, 3, 4, 5), np.float32)
    mask = rng.random(shape) < 0.5
    m = tl.from_numpy(np.asarray(mask))
    for run, data in (
        (lambda x, y: tl.where(m, x, y), (a, b)), (lambda x: x.masked_fill(m, 7.0), (a,)),
    ):  # fmt: skip
        calls.clear()
        for found, generic in _both(rng, run, *data):
            np.testing.assert_array_equal(found, generic)
        assert calls == ["where"] * (1 + len(data))
    calls.clear()
    row = tl.from_numpy(a[0, 0])  # the mask has more dimensions than what it chooses from
    wide = tl.from_numpy(rng.random((3, 5)) < 0.5)
    np.testing.assert_array_equal(
        row.masked_fill(wide, 1.0).numpy(), np.where(wide.numpy(), 1, a[0, 0])
    )
    assert not calls


LOSSES = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "smooth_l1": lambda x, y, reduction: F.smooth_l1_loss(x, y, reduction=reduction, beta=0.5),
    "smooth_l1, sharp": lambda x, y, reduction: F.smooth_l1_loss(x, y, reduction=reduction, beta=0),
    "huber": lambda x, y, reduction: F.huber_loss(x, y, reduction=reduction, delta=0.7),
}
ONE_SIDED = {
    "with_logits": F.binary_cross_entropy_with_logits,
    "soft_margin": F.soft_margin_loss,
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(1,), (7, 3), (300, 500)])
@pytest.mark.parametrize("name", [*LOSSES, *ONE_SIDED])
def test_losses(rng, calls, name, shape, reduction):
    x, y = rng.standard_normal((2, *shape), np.float32) * 3
    x.reshape(-1)[-1] = y.reshape(-1)[-1]  # at the corner of some
    if name in LOSSES:
        pairs = _both(rng, lambda a, b: LOSSES[name](a, b, reduction=reduction), x, y)
    else:
        y = np.sign(y) if name == "soft_margin" else 1 / (1 + np.exp(-y))
        run = lambda a: ONE_SIDED[name](a, tl.from_numpy(y).to(a.dtype), reduction=reduction)
        pairs = _both(rng, run, x)
    for found, generic in pairs:
        np.testing.assert_allclose(found, generic, rtol=5e-6, atol=2e-6)
    assert calls == ["loss"] + ["loss_backward"] * (len(pairs) - 1)


@pytest.mark.parametrize("name", [*LOSSES, *ONE_SIDED])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_losses_of_numbers_that_are_not_finite(rng, calls, name, value):
    x = np.array([value, 1.0, 2.0], np.float32)
    y = np.array([1.0, value, 1.0], np.float32) if name in LOSSES else np.ones(3, np.float32)
    run = {**LOSSES, **ONE_SIDED}[name]
    pairs = _both(rng, lambda a: run(a, tl.from_numpy(y).to(a.dtype), reduction="none"), x)
    for found, generic in pairs:
        np.testing.assert_allclose(found, generic, rtol=5e-6)
    assert calls == ["loss", "loss_backward"]


def test_a_mean_of_many_keeps_its_digits(calls):
    """Two million times a tenth: one sum in float32 would stop growing."""
    x = tl.full((2_000_000,), 0.1)
    found = F.l1_loss(x, tl.zeros(2_000_000)).item()
    assert abs(found - np.float32(0.1)) < 1e-7
    assert calls == ["loss"]


def test_shapes_that_broadcast_are_left_to_the_generic_path(calls):
    with pytest.warns(UserWarning, match="size"):
        F.mse_loss(tl.randn(4, 3), tl.randn(3))
    assert not calls


def test_second_gradients_take_the_rules(rng):
    data = rng.standard_normal((90, 90), np.float32)
    for run in (F.silu, F.elu, F.softplus):
        results = []
        for dtype in (tl.float32, tl.float64):
            x = tl.from_numpy(data).to(dtype).requires_grad_()
            (g,) = tl.autograd.grad((run(x) ** 2).sum(), x, create_graph=True)
            assert g is not None
            (h,) = tl.autograd.grad(g.sum(), x)
            assert h is not None
            results.append(h.numpy())
        np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)
