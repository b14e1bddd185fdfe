"""Derivatives through steps of optimizers, by start, gradients, state and learning rate: PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import optim

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

CASES = [
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"weight_decay": 0.1}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"betas": (0.3, 0.5)}),
    ("NAdam", {"weight_decay": 0.1}),
    ("RAdam", {"betas": (0.3, 0.5)}),
    ("Adamax", {}),
    ("Adagrad", {"lr_decay": 0.1}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("ASGD", {"t0": 1}),
    ("Rprop", {}),
]


def numbers():
    """A start, three gradients and a learning rate."""
    rng = np.random.default_rng(9)
    return [*(rng.standard_normal((3, 2)) + 0.1 for _ in range(4)), np.array(0.05)]


def derivatives(library, name, options, steps=3):
    """Of a number made of the parameters after some steps, by everything that went in."""
    leaves = [library.tensor(x).requires_grad_() for x in numbers()]
    start, *gradients, rate = leaves
    p = start.clone()
    optimizer = getattr(library.optim, name)([p], lr=rate, differentiable=True, **options)
    for g in gradients[:steps]:
        p.grad = g * 2
        optimizer.step()
    (p**3).sum().backward()
    return [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in leaves]


def number_after_plain_steps(name, options, values):
    start, *gradients, rate = values
    p = tl.tensor(start)
    optimizer = getattr(optim, name)([p], lr=float(rate), **options)
    for g in gradients:
        p.grad = tl.tensor(g * 2)
        optimizer.step()
    return (p**3).sum().item()


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_derivatives_are_those_of_plain_steps(name, options, rng):
    """Finite differences, in a direction in which everything changes."""
    direction = [rng.standard_normal(np.shape(x)) for x in numbers()]
    if name == "ASGD":
        direction[-1] = np.zeros(())  # its step sizes are numbers in the state, as in PyTorch
    found = derivatives(tl, name, options)
    along = sum((a * d).sum() for a, d in zip(found, direction, strict=True))
    size = 1e-6
    ends = [
        number_after_plain_steps(
            name, options, [x + s * d for x, d in zip(numbers(), direction, strict=True)]
        )
        for s in (size, -size)
    ]
    assert along == pytest.approx((ends[0] - ends[1]) / (2 * size), rel=2e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options"), [c for c in CASES if c[0] in ("Adam", "AdamW", "RAdam", "NAdam")], ids=str
)
def test_one_step_as_pytorchs(name, options):
    """Which counts steps in float32, so that its derivatives are no more exact."""
    found, wanted = (derivatives(library, name, options, steps=1) for library in (tl, torch))
    for a, b in zip(found[:4], wanted[:4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_learning_rate_is_learned():
    """Gradient descent on the rate of one step of gradient descent: the best for x² is 0.5."""
    rate = tl.tensor(0.1, requires_grad=True)
    for _ in range(60):
        x = tl.tensor([3.0], requires_grad=True)
        p = x * 1
        (p.grad,) = tl.autograd.grad((p**2).sum(), p, create_graph=True)
        optim.SGD([p], lr=rate, differentiable=True).step()
        (slope,) = tl.autograd.grad((p**2).sum(), rate)
        with tl.no_grad():
            rate -= 0.01 * slope
    assert rate.item() == pytest.approx(0.5, abs=1e-3)


def test_values_are_those_of_plain_steps(rng):
    start = rng.standard_normal((4, 3))
    plain, recorded = tl.tensor(start).requires_grad_(), tl.tensor(start)
    first, second = optim.Adam([plain]), optim.Adam([recorded], differentiable=True)
    for _ in range(20):
        g = tl.tensor(rng.standard_normal((4, 3)))
        plain.grad = recorded.grad = g
        first.step()
        second.step()
    np.testing.assert_allclose(plain.tolist(), recorded.tolist(), rtol=1e-12)
    assert list(first.state[plain]) == list(second.state[recorded])


def test_leaves_that_require_grad_cannot_be_changed():
    for library in (tl, torch):
        p = library.ones(2, requires_grad=True)
        p.grad = library.ones(2)
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            library.optim.SGD([p], lr=0.1, differentiable=True).step()
