"""Adafactor, which factors matrices, and Muon, which makes them orthogonal, against PyTorch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import optim
from tensorlab.optim._muon import orthogonalized

from .conftest import as_many, here

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

pytestmark = pytest.mark.usefixtures("where")


def pairs(shapes, rng, dtype):
    start = [np.asarray(rng.standard_normal(s), dtype) for s in shapes]
    return (
        [here(a.copy()).requires_grad_() for a in start],
        [torch.tensor(a, requires_grad=True) for a in start],
    )


def advance(ours, theirs, optimizer, reference, rng, steps, skip=lambda i, k: False):
    for i in range(as_many(steps)):
        for k, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            g = np.asarray(rng.standard_normal(p.shape), p.numpy(force=True).dtype)
            p.grad, q.grad = here(g.copy()), torch.tensor(g)
            if skip(i, k):
                p.grad = q.grad = None
        optimizer.step()
        reference.step()


def assert_same(ours, theirs, **tolerance):
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(force=True), q.detach().numpy(), **tolerance)


ADAFACTOR = [
    {"weight_decay": w, "maximize": m, "d": d, "eps": e}
    for w, m, d, e in itertools.product(
        [0.0, 0.1], [False, True], [1.0, 1.5], [(None, 1e-3), (1e-2, 1e-2)]
    )
] + [{"beta2_decay": -0.3, "lr": 0.5}]


@pytest.mark.parametrize("options", ADAFACTOR, ids=str)
def test_adafactor(options, rng):
    shapes = [(3, 4), (5,), (2, 3, 4), (1, 6), ()]
    ours, theirs = pairs(shapes, rng, np.float64)
    optimizer, reference = (
        optim.Adafactor(ours, **options),
        torch.optim.Adafactor(theirs, **options),
    )
    advance(ours, theirs, optimizer, reference, rng, 100, skip=lambda i, k: (i + k) % 7 == 0)
    assert_same(ours, theirs, rtol=1e-11, atol=1e-12)
    assert repr(optimizer) == repr(reference)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_adafactor_in_low_precision(dtype, rng):
    p = tl.ones(4, 4, dtype=getattr(tl, dtype), requires_grad=True)
    q = torch.ones(4, 4, dtype=getattr(torch, dtype), requires_grad=True)
    g = np.abs(rng.standard_normal((4, 4)).astype(np.float32)) + 0.1
    optimizer, reference = optim.Adafactor([p]), torch.optim.Adafactor([q])
    for _ in range(5):
        p.grad, q.grad = tl.tensor(g, dtype=p.dtype), torch.tensor(g, dtype=q.dtype)
        optimizer.step()
        reference.step()
    assert p.dtype is getattr(tl, dtype)
    assert optimizer.state[p]["row_var"].dtype is p.dtype
    tolerance = {"float16": 5e-3, "bfloat16": 4e-2, "float32": 1e-5}[dtype]
    np.testing.assert_allclose(
        p.float().numpy(force=True), q.detach().float().numpy(), rtol=tolerance
    )


MUON = [
    {},
    {"nesterov": False, "momentum": 0.8},
    {"weight_decay": 0.0, "adjust_lr_fn": "match_rms_adamw"},
    {"adjust_lr_fn": "original", "ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5)},
]


@pytest.mark.parametrize("options", MUON, ids=str)
def test_muon(options, rng):
    """The update is a bfloat16 computation: sums in another order round otherwise."""
    ours, theirs = pairs([(6, 4), (4, 6), (3, 3)], rng, np.float32)
    start = [p.numpy(force=True).copy() for p in ours]
    optimizer, reference = optim.Muon(ours, **options), torch.optim.Muon(theirs, **options)
    advance(ours, theirs, optimizer, reference, rng, 100)
    for p, q, s in zip(ours, theirs, start, strict=True):
        moved = np.linalg.norm(q.detach().numpy() - s)
        assert np.linalg.norm(p.numpy(force=True) - q.detach().numpy()) < 0.02 * moved
        np.testing.assert_allclose(
            optimizer.state[p]["momentum_buffer"].numpy(force=True),
            reference.state[q]["momentum_buffer"].numpy(),
            rtol=1e-5,
            atol=1e-6,
        )
    assert repr(optimizer) == repr(reference)


def test_newton_schulz_makes_singular_values_alike(rng):
    matrix = rng.standard_normal((20, 8)).astype(np.float32)
    found = orthogonalized(np, matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    values = np.linalg.svd(found, compute_uv=False)
    assert found.shape == matrix.shape
    assert ((values > 0.5) & (values < 1.3)).all()
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    cosine = (found * (u @ vt)).sum() / np.linalg.norm(found) / np.linalg.norm(u @ vt)
    assert cosine > 0.95


@pytest.mark.parametrize("name", ["Adafactor", "Muon"])
def test_state_travels_both_ways(name, rng):
    shapes = [(3, 4), (4, 2)] if name == "Muon" else [(3, 4), (5,)]
    ours, theirs = pairs(shapes, rng, np.float32)
    optimizer, reference = getattr(optim, name)(ours), getattr(torch.optim, name)(theirs)
    advance(ours, theirs, optimizer, reference, rng, 5)
    a, b = optimizer.state_dict(), reference.state_dict()
    assert a["param_groups"] == b["param_groups"]
    assert {k: list(v) for k, v in a["state"].items()} == {
        k: list(v) for k, v in b["state"].items()
    }

    def converted(state_dict, make):
        state = {
            k: {n: make(np.array(t.numpy(force=True))) for n, t in v.items()}
            for k, v in state_dict["state"].items()
        }
        return {"state": state, "param_groups": state_dict["param_groups"]}

    optimizer2 = getattr(optim, name)(ours, lr=1.0)
    reference2 = getattr(torch.optim, name)(theirs, lr=1.0)
    optimizer2.load_state_dict(converted(b, here))
    reference2.load_state_dict(converted(a, torch.from_numpy))
    advance(ours, theirs, optimizer2, reference2, rng, 5)
    assert_same(ours, theirs, atol=1e-4 if name == "Muon" else 1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("Adafactor", {"lr": -1.0}),
        ("Adafactor", {"beta2_decay": 0.1}),
        ("Adafactor", {"eps": (-1.0, 0.1)}),
        ("Adafactor", {"eps": (None, -0.1)}),
        ("Adafactor", {"d": 0.5}),
        ("Adafactor", {"weight_decay": -0.5}),
        ("Muon", {"lr": -1.0}),
        ("Muon", {"momentum": -1.0}),
        ("Muon", {"weight_decay": -1.0}),
        ("Muon", {"adjust_lr_fn": "none"}),
    ],
    ids=str,
)
def test_bad_settings(name, bad):
    with pytest.raises(ValueError, match=".") as theirs:
        getattr(torch.optim, name)([torch.zeros(2, 2)], **bad)
    with pytest.raises(ValueError, match=".") as ours:
        getattr(optim, name)([tl.zeros(2, 2)], **bad)
    assert str(ours.value) == str(theirs.value)


def test_refused_parameters():
    with pytest.raises(ValueError, match=r"only supports 2D parameters.*\[3\]"):
        optim.Muon([tl.zeros(3)])
    for make in (optim.Muon, optim.Adafactor):
        p = tl.zeros(2, 2, dtype=tl.complex64, requires_grad=True)
        p.grad = tl.zeros(2, 2, dtype=tl.complex64)
        with pytest.raises(RuntimeError, match="does not support complex parameters"):
            make([p]).step()
    p = tl.zeros(2, 2, requires_grad=True)
    p.grad = tl.zeros(2, 2)
    with pytest.raises(ValueError, match="less than 100"):
        optim.Muon([p], ns_steps=100).step()
    with pytest.raises(ValueError, match="exactly 3 values"):
        optim.Muon([p], ns_coefficients=(1, 2)).step()
