"""The compiled steps of the optimizers against the same steps as array operations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import optim
from tensorlab.kernels import enabled
from tensorlab.kernels.cpu import optim as passes
from tensorlab.optim import fused

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu.native import optim as native

DECAYS = {"weight_decay": [0, 0.1], "maximize": [False, True]}
DECOUPLED = {**DECAYS, "decoupled_weight_decay": [False, True]}
OPTIONS = [
    ("SGD", DECAYS),
    ("SGD", {**DECAYS, "momentum": [0.9], "dampening": [0, 0.2]}),
    ("SGD", {**DECAYS, "momentum": [0.9], "nesterov": [True]}),
    ("Adam", {**DECOUPLED, "amsgrad": [False, True], "betas": [(0.9, 0.99), (0.3, 0.5)]}),
    ("AdamW", {**DECAYS, "amsgrad": [False, True]}),
    ("NAdam", DECOUPLED),
    ("RAdam", DECOUPLED),
    ("Adamax", DECAYS),
    ("Adagrad", {**DECAYS, "lr_decay": [0, 0.1], "initial_accumulator_value": [0, 0.5]}),
    ("Adadelta", DECAYS),
    ("RMSprop", {**DECAYS, "momentum": [0, 0.9], "centered": [False, True]}),
    ("ASGD", {**DECAYS, "t0": [1e6, 3]}),
    ("Rprop", {"maximize": [False, True], "etas": [(0.5, 1.2)], "step_sizes": [(1e-4, 0.05)]}),
]
CASES = [
    (name, dict(zip(options, values, strict=True)))
    for name, options in OPTIONS
    for values in itertools.product(*options.values())
]


@pytest.fixture
def taken(monkeypatch):
    """The names of the compiled steps that were taken; small parameters take them too."""
    monkeypatch.setattr(passes, "FEWEST", 0)
    monkeypatch.setattr(fused, "SMALL", 50)
    names: list[str] = []
    real = native.advance

    def advance(name, *given):
        taken = real(name, *given)
        names.extend([name] * taken)
        return taken

    monkeypatch.setattr(native, "advance", advance)
    return names


def trajectory(name, options, start, gradients, kernels):
    """The parameters and the state after all steps, with the compiled steps or without."""
    params = [tl.tensor(a, requires_grad=True) for a in start]
    optimizer = getattr(optim, name)(params, lr=0.01, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "enabled", lambda: kernels)
        for row in gradients:
            for p, g in zip(params, row, strict=True):
                p.grad = None if g is None else tl.tensor(g)
            optimizer.step()
    states = [{k: v.numpy() for k, v in optimizer.state[p].items()} for p in params]
    return [p.detach().numpy() for p in params], states


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_same_as_array_operations(rng, use_threads, taken, name, options):
    """Gathered parameters, a large one, an empty one, one without gradient now and then."""
    use_threads(int(rng.integers(1, 4)))
    shapes = [(3, 4), (), (0, 2), (7,), (13, 17)]
    start = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    gradients = [
        [
            None if (i + k) % 5 == 4 else rng.standard_normal(s).astype(np.float32)
            for k, s in enumerate(shapes)
        ]
        for i in range(12)
    ]
    want, want_states = trajectory(name, options, start, gradients, False)
    assert not taken
    got, got_states = trajectory(name, options, start, gradients, True)
    assert taken, "the compiled step was not taken"
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    for a, b in zip(got_states, want_states, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=2e-5, atol=2e-6)


def test_every_compiled_step_is_taken_by_an_optimizer(rng, taken):
    start = [rng.standard_normal(60).astype(np.float32)]
    for name, options in CASES:
        trajectory(name, options, start, [start], True)
    assert set(taken) == set(native.NAMES)


@pytest.mark.parametrize("name", sorted({name for name, _ in OPTIONS}))
def test_nan_and_infinities(rng, taken, name):
    """They end where the array operations leave them, and in no neighbour."""
    start = [rng.standard_normal(64).astype(np.float32)]
    rows = rng.standard_normal((3, 64)).astype(np.float32)
    rows[0, 3], rows[1, 20], rows[1, 40] = np.nan, np.inf, -np.inf
    start[0][50] = np.inf
    gradients = [[row] for row in rows]
    with np.errstate(all="ignore"):
        (want,), _ = trajectory(name, {}, start, gradients, False)
        (got,), _ = trajectory(name, {}, start, gradients, True)
    assert taken
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


def test_complex_numbers_are_pairs(rng, taken):
    start = [(rng.standard_normal(70) + 1j * rng.standard_normal(70)).astype(np.complex64)]
    (want,), _ = trajectory("Adam", {}, start, [start, start], False)
    (got,), _ = trajectory("Adam", {}, start, [start, start], True)
    assert taken
    np.testing.assert_allclose(got, want, rtol=2e-5)


@pytest.mark.skipif(not enabled(), reason="kernels are off")
def test_a_gradient_that_is_not_contiguous_and_stays_as_it_is(rng, taken):
    p = tl.tensor(rng.standard_normal((30, 20)).astype(np.float32), requires_grad=True)
    before = p.detach().numpy().copy()
    g = rng.standard_normal((20, 30)).astype(np.float32)
    p.grad = tl.from_numpy(g.copy()).t()
    optim.SGD([p], lr=0.5, weight_decay=0.1, maximize=True).step()
    assert taken == ["sgd"]
    np.testing.assert_array_equal(p.grad.numpy(), g.T)
    np.testing.assert_allclose(
        p.detach().numpy(), before - 0.5 * (0.1 * before - g.T), rtol=1e-5, atol=1e-6
    )


@pytest.mark.skipif(not enabled(), reason="kernels are off")
def test_one_call_takes_all_parameters_wherever_they_are_cut(rng, use_threads, taken):
    """More threads than parameters, and more parameters than threads; Adam's buffers beside them."""
    for shapes, threads in [([(700,), (3, 5)], 7), ([(i,) for i in range(1, 60)], 4)]:
        use_threads(threads)
        start = [rng.standard_normal(s).astype(np.float32) for s in shapes]
        gradients = [start, start]
        (want, _), (got, _) = (
            trajectory("Adam", {}, start, gradients, kernels) for kernels in (False, True)
        )
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    assert taken == ["adam"] * 4


@pytest.mark.skipif(not enabled(), reason="kernels are off")
def test_compiled_code_writes_only_where_it_may(rng, taken):
    locked = rng.standard_normal(60).astype(np.float32)
    p = tl.from_numpy(locked).requires_grad_()
    p.grad = tl.ones(60)
    optimizer = optim.SGD([p], lr=0.5)
    optimizer.step()
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optimizer.step()
    locked.flags.writeable = True
    p.data = tl.zeros(4, 20)  # the gradient is still that of 60 numbers
    with pytest.raises(ValueError, match="mismatch|broadcast|size"):
        optimizer.step()
    p.grad = tl.ones(4, 20).t().contiguous().t()
    optimizer.step()
    assert p.eq(-0.5).all()
    assert taken == ["sgd", "sgd"]


def test_other_dtypes_and_small_parameters_are_declined(rng, monkeypatch, taken):
    for dtype in (tl.float64, tl.float16, tl.bfloat16):
        p = tl.ones(100, dtype=dtype, requires_grad=True)
        p.grad = tl.ones(100, dtype=dtype)
        optim.Adam([p]).step()
    assert not taken
    monkeypatch.setattr(passes, "FEWEST", 101)
    p = tl.ones(100, requires_grad=True)
    p.grad = tl.ones(100)
    optim.Adam([p]).step()
    assert not taken
