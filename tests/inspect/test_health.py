"""Sabotaged nets raise their flag, healthy nets raise none."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.inspect import GradientRecorder, gradients
from tensorlab.inspect.health import KINDS
from tensorlab.nn import functional as F
from tensorlab.optim import SGD, Adam

_spec = importlib.util.spec_from_file_location("inspect_nets", Path(__file__).with_name("nets.py"))
assert _spec is not None
assert _spec.loader is not None
nets = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(nets)


def kinds(recorder: GradientRecorder) -> list[str]:
    flags = recorder.flags()
    for flag in flags:
        assert flag.kind in KINDS
        assert flag.severity in ("error", "warning", "note")
        assert flag.reason.endswith(".")
        assert flag.suggestion.endswith(".")
        assert "nan" not in re.sub("(became|made|give) nan", "", flag.reason)
        json.dumps(flag.to_dict(), allow_nan=False)
    return [flag.kind for flag in flags]


@pytest.mark.parametrize("kind", nets.HEALTHY)
def test_healthy_nets_raise_no_flag(kind: str, rng) -> None:
    for _ in range(2 if kind in nets.SLOW else 10):
        recorder = nets.healthy(kind, rng)
        assert np.isfinite(recorder.losses).all()
        assert not [str(flag) for flag in recorder.flags()]


def deep(
    rng: np.random.Generator, activation: Any, std: float | None, lr: float, **more: Any
) -> GradientRecorder:
    model = nets.dense(*[20] * 9, 5, activation=activation)
    if std is not None:
        for parameter in model.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, 0, std)
    optimizer = SGD(model.parameters(), lr=lr)
    return nets.train(model, nets.classes(rng, 20, 5), F.cross_entropy, optimizer, 20, **more)


def functional(
    rng: np.random.Generator, loss_of: Any = F.cross_entropy, steps: int = 40, **settings: Any
) -> GradientRecorder:
    model = nets.Functional()
    optimizer = SGD(model.parameters(), **{"lr": 0.1, **settings})
    return nets.train(model, nets.classes(rng, 20, 5), loss_of, optimizer, steps)


def test_a_stack_of_sigmoids_vanishes(rng) -> None:
    recorder = deep(rng, nn.Sigmoid, None, 0.1)
    assert kinds(recorder) == ["vanishing"]
    (flag,) = recorder.flags()
    assert "0.weight" in flag.where
    assert "16.weight" not in flag.where
    assert "ReLU" in flag.suggestion


def test_a_large_initialisation_explodes(rng) -> None:
    assert kinds(deep(rng, nn.ReLU, 2.0, 1e-12))[0] == "exploding"


def test_clipping_does_not_hide_an_explosion(rng) -> None:
    def clip(model: nn.Module) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    recorder = deep(rng, nn.ReLU, 2.0, 1e-3, after_backward=clip)
    assert kinds(recorder)[0] == "exploding"
    used = np.sqrt(np.square(recorder.series("norm")).sum(1))
    assert used.max() <= 1.001
    assert (np.sqrt(np.square(recorder.series("raw_norm")).sum(1)) > 100).all()


def test_an_explosion_that_ends_in_nan_is_named_too(rng) -> None:
    with np.errstate(all="ignore"):
        recorder = deep(rng, nn.ReLU, 2.0, 0.1)
    assert kinds(recorder) == ["nonfinite", "exploding"]
    assert "before that, the gradients were" in recorder.flags()[1].reason


def test_a_large_initialisation_saturates_tanh(rng) -> None:
    assert "saturated" in kinds(deep(rng, nn.Tanh, 5.0, 1e-3))


def with_dead_units(kind: str) -> nn.Module:
    model = nets.Functional() if kind == "functional" else nets.dense(20, 32, 32, 5)
    nn.init.constant_((model.b if kind == "functional" else model[2]).bias, -100.0)
    return model


@pytest.mark.parametrize("kind", ["module", "functional"])
def test_dead_relus(kind: str, rng) -> None:
    model = with_dead_units(kind)
    optimizer = SGD(model.parameters(), lr=0.1)
    recorder = nets.train(model, nets.classes(rng, 20, 5), F.cross_entropy, optimizer, 20)
    assert kinds(recorder) == ["dead"]
    assert recorder.flags()[0].where == (("relu#2",) if kind == "functional" else ("3",))
    assert "100%" in recorder.flags()[0].reason


# A short run that is looked at seldom, as by default -----------------------------------------


def seldom(
    model: nn.Module, rng: np.random.Generator, looks: int, loss_of: Any = F.cross_entropy,
    optimizer: Any = None, zero: bool = True,
) -> GradientRecorder:  # fmt: skip
    batch = nets.classes(rng, 20, 5)
    optimizer = optimizer or nets.any_optimizer(model, rng)
    with np.errstate(all="ignore"), gradients(model, every=30) as recorder:
        for _ in range(30 * looks):
            x, y = batch()
            if zero:
                optimizer.zero_grad()
            loss_of(model(x), y).backward()
            optimizer.step()
    assert len(recorder.steps) == looks
    return recorder


def test_few_looks_are_enough_for_dead_units(rng) -> None:
    assert "dead" in kinds(seldom(with_dead_units("module"), rng, 3))
    assert kinds(seldom(nets.dense(20, 32, 32, 5), rng, 3)) == []


def test_few_looks_are_enough_for_a_forgotten_zero_grad(rng) -> None:
    model = nets.dense(20, 32, 32, 5)
    optimizer = Adam(model.parameters(), lr=1e-3)
    assert "zero_grad" in kinds(seldom(model, rng, 4, optimizer=optimizer, zero=False))


@pytest.mark.parametrize("looks", [1, 2, 4])
def test_few_looks_are_enough_for_a_wrong_sign(looks: int, rng) -> None:
    model = nets.dense(20, 32, 32, 5)
    optimizer = Adam(model.parameters(), lr=1e-2)
    recorder = seldom(model, rng, looks, lambda out, y: -F.cross_entropy(out, y), optimizer)
    assert "wrong_sign" in kinds(recorder)


def test_few_looks_are_enough_for_a_loss_without_a_lower_end(rng) -> None:
    model = nets.dense(20, 32, 32, 5)
    optimizer = Adam(model.parameters(), lr=1e-2)

    def by_hand(out, y):
        return -((out - F.one_hot(y, 5).float()) ** 2).mean()

    recorder = seldom(model, rng, 8, by_hand, optimizer)
    assert "wrong_sign" in kinds(recorder)
    (flag,) = (flag for flag in recorder.flags() if flag.kind == "wrong_sign")
    assert "falls without end" in flag.reason


@pytest.mark.parametrize(
    ("at_last", "severity"), [(float("nan"), "note"), (float("-inf"), "error"), (1e30, None)]
)
def test_a_loss_below_zero_that_is_lost_between_two_looks(at_last: float, severity: str | None):
    """Seen but once before it is no number: that it fell can't be seen any more."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = SGD(model.parameters(), lr=0.0)
    with tl.no_grad():
        model.weight.fill_(2.0)
    with gradients(model, every=10) as recorder:
        for step in range(11):
            optimizer.zero_grad()
            factor = -2.0 if step < 10 else at_last
            (model.weight * factor).sum().backward()
            optimizer.step()
    flags = [flag for flag in recorder.flags() if flag.kind == "wrong_sign"]
    assert [flag.severity for flag in flags] == ([] if severity is None else [severity])
    assert all("below 0, -4, when it was last a finite number" in flag.reason for flag in flags)
    assert ("nonfinite" in kinds(recorder)) is (severity is not None)


@pytest.mark.parametrize("lr", [0.05, 0.2, 1.0, 30.0])
@pytest.mark.parametrize("every", [None, 20])
def test_a_loss_negated_by_hand_is_named_though_it_ends_in_nan(every: int | None, lr: float, rng):
    model = nn.Linear(4, 1)
    optimizer = SGD(model.parameters(), lr=lr)
    x = tl.tensor(rng.normal(size=(64, 4)).astype(np.float32))
    y = x.sum(1, keepdim=True)
    with np.errstate(all="ignore"), gradients(model, every=every) as recorder:
        for _ in range(1000):  # until the slowest, of the narrowest data, overflows
            optimizer.zero_grad()
            (-((model(x) - y) ** 2).mean()).backward()
            optimizer.step()
    assert "wrong_sign" in kinds(recorder)
    if every:  # else it depends on the machine whether there was a look after the first nan
        assert "nonfinite" in kinds(recorder)


def test_a_loss_that_may_be_negative_is_no_wrong_sign(rng) -> None:
    class Gaussian(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nets.dense(4, 32, 2)

        def forward(self, x):
            mean, log_variance = self.body(x).unbind(1)
            return mean, log_variance.exp()

    for _ in range(5):
        model = Gaussian()
        w = rng.normal(size=4).astype(np.float32)

        def batch(w: np.ndarray = w) -> Any:
            x = rng.normal(size=(64, 4)).astype(np.float32)
            return tl.tensor(x), tl.tensor(x @ w / 10)

        optimizer = Adam(model.parameters(), lr=1e-2)
        recorder = nets.train(
            model, batch, lambda out, y: F.gaussian_nll_loss(out[0], y, out[1]), optimizer, 60
        )
        assert recorder.losses[-1] < 0
        assert kinds(recorder) == []


def test_layers_that_do_not_learn(rng) -> None:
    batch = nets.classes(rng, 20, 5)

    model = nets.Functional()
    model.a.requires_grad_(False)
    learning = [p for p in model.parameters() if p.requires_grad]
    (flag,) = nets.train(model, batch, F.cross_entropy, SGD(learning, lr=0.1), 20).flags()
    assert (flag.kind, flag.severity, flag.where) == ("frozen", "note", ("a.weight", "a.bias"))
    assert "requires_grad is False" in flag.reason

    model = nets.Functional()
    rest = [*model.b.parameters(), *model.c.parameters()]
    (flag,) = nets.train(model, batch, F.cross_entropy, SGD(rest, lr=0.1), 20).flags()
    assert (flag.kind, flag.severity, flag.where) == ("frozen", "warning", ("a.weight", "a.bias"))
    assert "in no optimizer" in flag.reason

    model = nets.Functional()
    model.forward = lambda x: model.c(F.relu(model.b(F.relu(model.a(x)).detach())))
    optimizer = SGD(model.parameters(), lr=0.1)
    (flag,) = nets.train(model, batch, F.cross_entropy, optimizer, 20).flags()
    assert (flag.kind, flag.where) == ("frozen", ("a.weight", "a.bias"))
    assert "never got a gradient" in flag.reason
    assert "detach()" in flag.suggestion

    (flag,) = functional(rng, lr=0.0).flags()
    assert (flag.kind, len(flag.where)) == ("frozen", 6)
    assert "learning rate is 0" in flag.suggestion

    (flag,) = functional(rng, lambda out, y: (out * 0).sum() + F.cross_entropy(out.detach(), y)).flags()  # fmt: skip
    assert flag.kind == "frozen"
    assert "exactly 0" in flag.reason


def test_nan_from_the_logarithm_of_zero(rng) -> None:
    def loss_of(out, y):
        p = F.relu(out)
        p = p / (p.sum(1, keepdim=True) + 1e-6)
        return -(F.one_hot(y, 5) * p.log()).sum(1).mean()

    with np.errstate(all="ignore"):
        recorder = functional(rng, loss_of, 10)
    assert kinds(recorder) == ["nonfinite"]
    flag = recorder.flags()[0]
    assert flag.step == 0
    assert "Log made infinity from finite inputs" in flag.reason
    assert "log_softmax" in flag.suggestion


def test_nan_from_a_gradient_rule(rng) -> None:
    def loss_of(out, y):
        return F.cross_entropy(out, y) + (out.detach() * 0 + out * 0).abs().sqrt().sum()

    with np.errstate(all="ignore"):
        recorder = functional(rng, loss_of, 5)
    assert kinds(recorder) == ["nonfinite"]
    assert "The gradient rule of sqrt was the first" in recorder.flags()[0].reason


@pytest.mark.parametrize("optimizer", nets.OPTIMIZERS)
def test_a_forgotten_zero_grad(optimizer: Any, rng) -> None:
    model = nets.Functional()
    optimizer = optimizer(model.parameters())
    batch = nets.classes(rng, 20, 5)
    recorder = nets.train(model, batch, F.cross_entropy, optimizer, 20, zero=False)
    assert "zero_grad" in kinds(recorder)


@pytest.mark.parametrize("clear", ["none", "zeros", "data", "between"])
def test_every_way_to_zero_gradients_counts(clear: str, rng) -> None:
    def forget(model: nn.Module) -> None:
        for p in model.parameters():
            if clear == "none":
                p.grad = None
            elif clear == "zeros":
                p.grad.zero_()
            elif clear == "data":
                p.grad.data.zero_()

    model = nets.Functional()
    optimizer = SGD(model.parameters(), lr=0.01)
    batch = nets.classes(rng, 20, 5)
    with gradients(model, every=1) as recorder:
        for _ in range(10):
            x, y = batch()
            loss = F.cross_entropy(model(x), y)
            if clear == "between":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            forget(model)
    assert kinds(recorder) == []


@pytest.mark.parametrize(
    ("loss_of", "settings"),
    [
        (lambda out, y: -F.cross_entropy(out, y), {}),
        (lambda out, y: (F.one_hot(y, 5) * out.log_softmax(1)).sum(1).mean(), {}),
        (F.cross_entropy, {"maximize": True}),
    ],
    ids=["negated", "by hand", "maximize"],
)
def test_a_wrong_sign(loss_of: Any, settings: dict[str, Any], rng) -> None:
    with np.errstate(all="ignore"):
        found = kinds(functional(rng, loss_of, 90, lr=0.1, **settings))
    assert "wrong_sign" in found
    assert "rising_loss" not in found


@pytest.mark.parametrize("optimizer", nets.OPTIMIZERS)
def test_a_negated_loss_is_seen_with_every_optimizer(optimizer: Any, rng) -> None:
    model = nets.Functional()
    batch = nets.classes(rng, 20, 5)
    with np.errstate(all="ignore"):
        recorder = nets.train(
            model, batch, lambda out, y: -F.cross_entropy(out, y), optimizer(model.parameters())
        )
    assert "wrong_sign" in kinds(recorder)


@pytest.mark.parametrize(
    ("loss_of", "settings"),
    [(lambda out, y: -3 * F.cross_entropy(out, y), {}), (F.cross_entropy, {"maximize": True})],
    ids=["negated", "maximize"],
)
def test_a_wrong_sign_is_seen_before_the_loss_shows_it(loss_of: Any, settings: dict[str, Any], rng):
    assert kinds(functional(rng, loss_of, 10, lr=1e-4, **settings)) == ["wrong_sign"]


def test_a_loss_that_rises_though_the_sign_is_right() -> None:
    w = nn.Parameter(tl.ones(4, 4))

    class Bowl(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = w

        def forward(self, x):
            return self.w * x

    model = Bowl()
    optimizer = SGD(model.parameters(), lr=2.2)
    recorder = nets.train(
        model, lambda: (tl.ones(4), None), lambda out, _: (out * out).sum() / 2, optimizer, 20
    )
    assert "rising_loss" in kinds(recorder)
    assert "wrong_sign" not in kinds(recorder)


def test_what_the_user_says_of_the_loss_counts() -> None:
    model = nets.dense(4, 8, 2)
    optimizer = SGD(model.parameters(), lr=0.5)
    x, y = tl.randn(32, 4), tl.randint(0, 2, (32,))
    with gradients(model, every=1) as recorder:
        for _ in range(40):
            optimizer.zero_grad()
            out = model(x)
            wrong = -out.gather(1, y[:, None]).mean() * -1
            wrong.backward()
            recorder.note_loss(F.cross_entropy(out.detach(), y))
            optimizer.step()
    assert "wrong_sign" in [flag.kind for flag in recorder.flags()]
