"""GradScaler goes through the same scales and steps as PyTorch's."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.amp import GradScaler

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
SETTINGS = {"init_scale": 64.0, "growth_factor": 3.0, "backoff_factor": 0.25, "growth_interval": 4}


def setup(library, start, **settings):
    p = library.tensor(start).requires_grad_()
    optimizer = library.optim.SGD([p], lr=0.1, momentum=0.9)
    return p, optimizer, library.amp.GradScaler("cpu", **{**SETTINGS, **settings})


def step(library, p, optimizer, scaler, x, clip=False):
    optimizer.zero_grad()
    loss = (p * library.tensor(x)).sum()
    scaler.scale(loss).backward()
    if clip:
        scaler.unscale_(optimizer)
        library.nn.utils.clip_grad_norm_([p], 0.5)
    result = scaler.step(optimizer)
    scaler.update()
    return result


def test_100_steps_with_infinities(rng):
    start = rng.standard_normal(5).astype(np.float32)
    ours, theirs = setup(tl, start), setup(torch, start)
    for i in range(100):
        x = rng.standard_normal(5).astype(np.float32)
        if rng.random() < 0.15:
            x[2] = rng.choice([np.inf, -np.inf, np.nan])
        step(tl, *ours, x, clip=i % 3 == 0)
        step(torch, *theirs, x, clip=i % 3 == 0)
        assert ours[2].get_scale() == theirs[2].get_scale()
        assert ours[2].state_dict() == theirs[2].state_dict()
        if i == 50:  # each goes on from the other's state
            scalers = tl.amp.GradScaler("cpu"), torch.amp.GradScaler("cpu")
            scalers[0].load_state_dict(theirs[2].state_dict())
            scalers[1].load_state_dict(ours[2].state_dict())
            ours, theirs = (*ours[:2], scalers[0]), (*theirs[:2], scalers[1])
    np.testing.assert_allclose(
        ours[0].detach().numpy(), theirs[0].detach().numpy(), rtol=1e-5, atol=1e-6
    )


def test_a_scale_does_not_grow_beyond_float32():
    p, optimizer, scaler = setup(tl, [1.0], init_scale=2.0**127, growth_interval=1)
    reference = setup(torch, [1.0], init_scale=2.0**127, growth_interval=1)
    step(tl, p, optimizer, scaler, [1e-30])
    step(torch, *reference, [1e-30])
    assert scaler.get_scale() == reference[2].get_scale() == 2.0**127


def test_small_gradients_survive_float16():
    model = nn.Linear(1, 1, bias=False)
    tl.nn.init.ones_(model.weight)
    x = tl.full((1, 1), 1e-4)
    for scale, alive in ((1.0, False), (2.0**14, True)):
        model.zero_grad()
        scaler = GradScaler("cpu", init_scale=scale)
        with tl.autocast("cpu", dtype=tl.float16):
            loss = model(x).sum() * 1e-4
        scaler.scale(loss).backward()
        assert bool(model.weight.grad.item()) is alive


def test_an_overflow_is_found_and_no_warning():
    """In the gradient of a bias, which is a sum over the batch; warnings are errors here."""
    model = nn.Linear(4, 2)
    optimizer = tl.optim.SGD(model.parameters(), lr=0.1)
    scaler = GradScaler("cpu", init_scale=2.0**16)
    before = model.bias.tolist()
    with tl.autocast("cpu", dtype=tl.float16):
        loss = model(tl.full((8, 4), 9.0)).square().sum()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert model.bias.tolist() == before
    assert scaler.get_scale() == 2.0**15


def test_sums_of_float16_gradients_are_exact():
    b = tl.zeros(1, dtype=tl.float16, requires_grad=True)
    ((b + tl.zeros(4096, dtype=tl.float16)) * 0.1003).sum().backward()
    q = torch.zeros(1, dtype=torch.float16, requires_grad=True)
    ((q + torch.zeros(4096, dtype=torch.float16)) * 0.1003).sum().backward()
    assert b.grad.item() == q.grad.item()


def test_two_optimizers_of_which_one_overflows():
    p, q = tl.ones(1, requires_grad=True), tl.ones(1, requires_grad=True)
    first, second = tl.optim.SGD([p], lr=1.0), tl.optim.SGD([q], lr=1.0)
    scaler = GradScaler("cpu", init_scale=4.0)
    scaler.scale(p.sum() + (q * float("inf")).sum()).backward()
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert (p.item(), q.item(), scaler.get_scale()) == (0.0, 1.0, 2.0)


def test_nested_outputs():
    scaler = GradScaler("cpu", init_scale=2.0)
    a, b = tl.tensor(1.0), tl.tensor([3.0], dtype=tl.float64)
    scaled = scaler.scale([a, (b, a)])
    assert type(scaled) is list
    assert type(scaled[1]) is tuple
    assert (scaled[0].item(), scaled[1][0].item()) == (2.0, 6.0)
    assert scaled[1][0].dtype is tl.float64
    assert [x.item() for x in scaler.scale(x for x in (a, a))] == [2.0, 2.0]
    with pytest.raises(ValueError, match="must be a Tensor or an iterable of Tensors"):
        scaler.scale(3)


def test_a_new_scale():
    p, optimizer, scaler = setup(tl, [1.0])
    scaler.scale(p.sum()).backward()
    scaler.step(optimizer)
    scaler.update(7.0)
    assert scaler.get_scale() == 7.0
    scaler.update(tl.tensor([9.0]))
    assert scaler.get_scale() == 9.0
    for bad in (tl.ones(2), tl.ones(1, requires_grad=True)):
        with pytest.raises(AssertionError, match="new_scale should be"):
            scaler.update(bad)


def test_disabled():
    p, optimizer, scaler = setup(tl, [1.0], enabled=False)
    loss = p.sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == pytest.approx(0.9)
    assert (scaler.get_scale(), scaler.state_dict(), scaler.is_enabled()) == (1.0, {}, False)
    scaler.load_state_dict({})
    with pytest.raises(RuntimeError, match="source state dict is empty"):
        GradScaler("cpu").load_state_dict({})


def test_settings_can_be_read_and_set():
    scaler = GradScaler("cpu")
    assert scaler.state_dict() == torch.amp.GradScaler("cpu").state_dict()
    scaler.set_growth_factor(4.0)
    scaler.set_backoff_factor(0.1)
    scaler.set_growth_interval(7)
    found = scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()
    assert found == (4.0, 0.1, 7)


@pytest.mark.parametrize("through", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies(through):
    p, optimizer, scaler = setup(tl, [1.0])
    for _ in range(3):
        step(tl, p, optimizer, scaler, [1.0])
    other = through(scaler)
    assert other.state_dict() == scaler.state_dict()
    step(tl, p, optimizer, other, [1.0])
    assert other.get_scale() == 192.0
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(AssertionError, match="may only be pickled at the beginning"):
        through(scaler)


def test_the_order_of_calls():
    for library in (tl, torch):
        p, optimizer, scaler = setup(library, [1.0])
        for call in (scaler.step, scaler.unscale_):
            with pytest.raises(AssertionError, match="but _scale is None"):
                call(optimizer)
        with pytest.raises(AssertionError, match="Attempted update but _scale is None"):
            scaler.update()
        scaler.scale(p.sum())
        with pytest.raises(AssertionError, match="No inf checks were recorded prior to update"):
            scaler.update()
        with pytest.raises(AssertionError, match="No inf checks were recorded for this"):
            scaler.step(optimizer)
        scaler = library.amp.GradScaler("cpu")
        scaler.scale(p.sum()).backward()
        scaler.unscale_(optimizer)
        with pytest.raises(RuntimeError, match="already been called on this optimizer"):
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        with pytest.raises(RuntimeError, match="already been called since the last update"):
            scaler.step(optimizer)
        with pytest.raises(RuntimeError, match="is being called after step"):
            scaler.unscale_(optimizer)
        with pytest.raises(RuntimeError, match="Closure use is not currently supported"):
            scaler.step(optimizer, closure=lambda: 0)
        for bad in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}):
            with pytest.raises(AssertionError, match="factor must be"):
                library.amp.GradScaler("cpu", **bad)


def test_float16_gradients_are_refused():
    p = tl.ones(1, dtype=tl.float16, requires_grad=True)
    optimizer = tl.optim.SGD([p], lr=0.1)
    scaler = GradScaler("cpu", init_scale=2.0)
    scaler.scale(p.sum()).backward()
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        scaler.step(optimizer)
