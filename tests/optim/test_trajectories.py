"""Every option of every optimizer takes the same 100 steps as PyTorch's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import optim
from tensorlab.optim import fused

from .conftest import as_many, here

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

pytestmark = pytest.mark.usefixtures("where")

# Small ones, which are gathered, a 0-dim one, one without elements, and two that are not
# gathered, of which one is longer than a block.
SHAPES = [(3, 4), (4,), (), (0, 3), (7, 1), (5, 5), (9, 11)]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    """The real limits would need parameters of many thousands of elements."""
    monkeypatch.setattr(fused, "SMALL", 20)
    monkeypatch.setattr(fused, "CACHE", 600)


def trajectories(
    name, dtype="float32", steps=100, shapes=SHAPES, skip=lambda i, k: False, **options
):
    """The parameters after `steps` steps with the same gradients, ours and PyTorch's."""
    seed = 20_240_601
    print("seed", seed)
    steps = as_many(steps)
    rng = np.random.default_rng(seed)
    start = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    ours = [here(np.array(a)).requires_grad_() for a in start]
    theirs = [torch.tensor(a, requires_grad=True) for a in start]
    optimizer = getattr(optim, name)(ours, **options)
    reference = getattr(torch.optim, name)(theirs, **options)
    for i in range(steps):
        for k, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            if skip(i, k):
                p.grad = q.grad = None
                continue
            g = np.asarray(rng.standard_normal(p.shape), dtype)
            p.grad, q.grad = here(g.copy()), torch.tensor(g)
        optimizer.step()
        reference.step()
    return ours, theirs, optimizer, reference


def assert_same(ours, theirs, dtype="float32"):
    tolerance = {"float32": 3e-6, "float64": 1e-13}[dtype]
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            p.numpy(force=True), q.detach().numpy(), rtol=tolerance, atol=tolerance
        )


SGD_OPTIONS = [
    {"momentum": m, "dampening": d, "weight_decay": w, "nesterov": n, "maximize": x}
    for m, d, w, n, x in itertools.product(
        [0, 0.9], [0, 0.1], [0, 0.01], [False, True], [False, True]
    )
    if not (n and (m == 0 or d))
]


@pytest.mark.parametrize("options", SGD_OPTIONS, ids=str)
def test_sgd(options):
    ours, theirs, *_ = trajectories("SGD", lr=0.05, **options)
    assert_same(ours, theirs)


ADAM_OPTIONS = [
    {"amsgrad": a, "weight_decay": w, "maximize": x}
    for a, w, x in itertools.product([False, True], [0, 0.01], [False, True])
]


@pytest.mark.parametrize("options", ADAM_OPTIONS, ids=str)
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_adam(name, options):
    ours, theirs, *_ = trajectories(name, lr=0.01, **options)
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    "options",
    [
        {"betas": (0.5, 0.9), "eps": 1e-3},
        {"betas": (0.3, 0.5)},
        {"betas": (0.0, 0.0)},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
    ],
    ids=str,
)
def test_adam_settings(options):
    ours, theirs, *_ = trajectories("Adam", dtype="float64", lr=0.01, **options)
    assert_same(ours, theirs, "float64")


ADAPTIVE = [
    (name, {**fixed, **dict(zip(free, values, strict=True))})
    for name, fixed, free in [
        ("RAdam", {}, {"weight_decay": [0, 0.1], "decoupled_weight_decay": [False, True]}),
        ("RAdam", {"betas": (0.4, 0.5), "eps": 1e-3}, {}),
        ("Adamax", {}, {"weight_decay": [0, 0.1]}),
        ("Adamax", {"betas": (0.3, 0.5), "eps": 1e-3}, {}),
        ("Adagrad", {}, {"weight_decay": [0, 0.1], "initial_accumulator_value": [0, 0.5]}),
        ("Adagrad", {"lr_decay": 0.1, "eps": 1e-3}, {}),
        ("Adadelta", {"lr": 1.0}, {"weight_decay": [0, 0.1], "rho": [0.9, 0.3]}),
        (
            "RMSprop",
            {},
            {"weight_decay": [0, 0.1], "momentum": [0, 0.9], "centered": [False, True]},
        ),
        ("RMSprop", {"alpha": 0.3, "eps": 1e-3, "centered": True}, {}),
        ("Rprop", {}, {}),
        ("NAdam", {}, {"weight_decay": [0, 0.1], "decoupled_weight_decay": [False, True]}),
        ("NAdam", {"betas": (0.4, 0.5), "eps": 1e-3, "momentum_decay": 0.1}, {}),
        ("ASGD", {}, {"weight_decay": [0, 0.1], "t0": [1e6, 10]}),
        ("ASGD", {"lambd": 0.1, "alpha": 0.5, "t0": 3}, {}),
        ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.1)}, {}),
    ]
    for values in itertools.product(*free.values())
]


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(("name", "options"), ADAPTIVE, ids=str)
def test_other_optimizers(name, options, maximize):
    """In float64, and a few steps in float32 with parameters that miss some."""
    options = {"lr": 0.01, "maximize": maximize, **options}
    ours, theirs, optimizer, reference = trajectories(name, dtype="float64", **options)
    assert_same(ours, theirs, "float64")
    for p, q in zip(ours, theirs, strict=True):
        got, want = optimizer.state[p], reference.state[q]
        assert set(got) == set(want)
        for key, value in want.items():
            np.testing.assert_allclose(
                got[key].numpy(force=True), value.numpy(), rtol=1e-10, atol=1e-12
            )
    ours, theirs, *_ = trajectories(name, skip=lambda i, k: (i + k) % 3 == 0, steps=20, **options)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(force=True), q.detach().numpy(), rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("name", sorted({name for name, _ in ADAPTIVE}))
def test_other_optimizers_exchange_their_state(name):
    """Settings, state and repr are PyTorch's, so that either goes on where the other stopped."""
    _, theirs, optimizer, reference = trajectories(name, dtype="float64", steps=5)
    assert repr(optimizer) == repr(reference)
    state, wanted = optimizer.state_dict(), reference.state_dict()
    assert state["param_groups"] == wanted["param_groups"]
    assert {k: list(v) for k, v in state["state"].items()} == {
        k: list(v) for k, v in wanted["state"].items()
    }
    fresh = [here(q.detach().numpy().copy()).requires_grad_() for q in theirs]
    resumed = getattr(optim, name)(fresh)
    resumed.load_state_dict(
        {
            "state": {
                k: {n: here(np.array(t.numpy())) for n, t in v.items()}
                for k, v in wanted["state"].items()
            },
            "param_groups": wanted["param_groups"],
        }
    )
    rng = np.random.default_rng(7)
    for _ in range(5):
        for p, q in zip(fresh, theirs, strict=True):
            g = np.asarray(rng.standard_normal(p.shape))
            p.grad, q.grad = here(g.copy()), torch.tensor(g)
        resumed.step()
        reference.step()
    assert_same(fresh, theirs, "float64")


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *((name, {"lr": -1.0}) for name in sorted({name for name, _ in ADAPTIVE})),
        ("RAdam", {"betas": (1.0, 0.9)}),
        ("RAdam", {"eps": -1.0}),
        ("Adamax", {"betas": (0.9, -0.1)}),
        ("Adamax", {"weight_decay": -1.0}),
        ("Adagrad", {"lr_decay": -1.0}),
        ("Adagrad", {"initial_accumulator_value": -1.0}),
        ("Adagrad", {"fused": True, "foreach": True}),
        ("Adadelta", {"rho": 1.5}),
        ("RMSprop", {"alpha": -1.0}),
        ("RMSprop", {"momentum": -1.0}),
        ("Rprop", {"etas": (0.5, 0.9)}),
        ("NAdam", {"momentum_decay": -1.0}),
        ("NAdam", {"betas": (0.5, 1.0)}),
        ("ASGD", {"weight_decay": -1.0}),
        ("Adam", {"fused": True, "differentiable": True}),
    ],
    ids=str,
)
def test_bad_settings_of_other_optimizers(name, bad):
    with pytest.raises((ValueError, RuntimeError)) as theirs:
        getattr(torch.optim, name)([torch.zeros(1)], **bad)
    with pytest.raises(theirs.type) as ours:
        getattr(optim, name)([tl.zeros(1)], **bad)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize(("name", "options"), [("SGD", {"momentum": 0.9}), ("Adam", {})])
def test_parameters_without_a_gradient_stand_still(name, options):
    """Some parameters miss steps, so their counts and buffers go their own way."""
    ours, theirs, *_ = trajectories(
        name, lr=0.01, skip=lambda i, k: (i + k) % 3 == 0 or (k == 1 and i < 50), **options
    )
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "ASGD"]
)
def test_complex_parameters(name):
    rng = np.random.default_rng(3)
    start = rng.standard_normal((5, 2)) + 1j * rng.standard_normal((5, 2))
    p = here(start.copy()).requires_grad_()
    q = torch.tensor(start, requires_grad=True)
    optimizer = getattr(optim, name)([p], lr=0.01, weight_decay=0.1)
    reference = getattr(torch.optim, name)([q], lr=0.01, weight_decay=0.1)
    for _ in range(20):
        g = rng.standard_normal((5, 2)) + 1j * rng.standard_normal((5, 2))
        p.grad, q.grad = here(g.copy()), torch.tensor(g)
        optimizer.step()
        reference.step()
    np.testing.assert_allclose(p.numpy(force=True), q.detach().numpy(), rtol=1e-12)


def test_non_contiguous_parameters_and_gradients():
    rng = np.random.default_rng(4)
    start = rng.standard_normal((13, 20)).astype(np.float32)
    p = here(start.copy().T).requires_grad_()
    q = torch.tensor(start.copy()).T.clone().requires_grad_()
    memory = p._data
    optimizer, reference = optim.Adam([p], lr=0.01), torch.optim.Adam([q], lr=0.01)
    for _ in range(10):
        g = rng.standard_normal((13, 20)).astype(np.float32)
        p.grad, q.grad = here(g.T), torch.tensor(g).T.clone()
        optimizer.step()
        reference.step()
    assert p._data is memory
    np.testing.assert_allclose(p.numpy(force=True), q.detach().numpy(), rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_large_parameters_with_the_real_limits(name, monkeypatch):
    monkeypatch.undo()
    ours, theirs, *_ = trajectories(
        name, steps=3, lr=0.01, shapes=[(fused.CACHE // 8,), (3,), (fused.SMALL,)]
    )
    assert_same(ours, theirs)


def test_float16_parameters_stay_float16():
    p = tl.ones(4, dtype=tl.float16, requires_grad=True)
    p.grad = tl.ones(4, dtype=tl.float16)
    optimizer = optim.Adam([p], lr=0.5, eps=1e-4)
    optimizer.step()
    assert p.dtype is tl.float16
    assert optimizer.state[p]["exp_avg"].dtype is tl.float16
    assert optimizer.state[p]["step"].dtype is tl.float32
    np.testing.assert_allclose(p.tolist(), [0.5] * 4, rtol=1e-2)


def test_changing_the_learning_rate_and_options_between_steps():
    rng = np.random.default_rng(5)
    start = rng.standard_normal(6).astype(np.float32)
    p, q = here(start.copy()).requires_grad_(), torch.tensor(start, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    reference = torch.optim.SGD([q], lr=0.1)
    for i in range(30):
        for o in (optimizer, reference):
            o.param_groups[0]["lr"] = 0.1 / (1 + i)
            o.param_groups[0]["momentum"] = 0.9 if i >= 10 else 0
        g = rng.standard_normal(6).astype(np.float32)
        p.grad, q.grad = here(g.copy()), torch.tensor(g)
        optimizer.step()
        reference.step()
    np.testing.assert_allclose(p.numpy(force=True), q.detach().numpy(), rtol=1e-5)
