"""Averaged models, their schedule and their batch norm statistics, against PyTorch."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn, optim
from tensorlab.optim import swa_utils

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
theirs_of = torch.optim.swa_utils


def net(library):
    return library.nn.Sequential(
        library.nn.Linear(3, 4), library.nn.BatchNorm1d(4), library.nn.Linear(4, 2)
    )


def load(model, values, make):
    model.load_state_dict({k: make(np.array(v)) for k, v in values.items()})


def random_values(rng):
    """A state dict as arrays."""
    values = {k: np.array(v.numpy()) for k, v in net(tl).state_dict().items()}
    return {
        k: np.asarray(rng.standard_normal(v.shape), v.dtype) if v.dtype.kind == "f" else v + 3
        for k, v in values.items()
    }


def assert_same(a, b):
    assert list(a) == list(b)
    for key in a:
        assert str(a[key].dtype).split(".")[1] == str(b[key].dtype).split(".")[1]
        np.testing.assert_allclose(
            a[key].numpy(), b[key].numpy(), rtol=2e-6, atol=1e-6, err_msg=key
        )


# What averages the parameters, made from either library.
AVERAGES = {
    "default": lambda m: {},
    "ema": lambda m: {"avg_fn": m.get_ema_avg_fn(0.9)},
    "swa": lambda m: {"avg_fn": m.get_swa_avg_fn()},
    "multi ema": lambda m: {"multi_avg_fn": m.get_ema_multi_avg_fn(0.9)},
    "multi swa": lambda m: {"multi_avg_fn": m.get_swa_multi_avg_fn()},
    "own": lambda m: {"avg_fn": lambda mean, now, n: (mean + now) / (n + 2)},
}


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("average", list(AVERAGES))
def test_averages_are_pytorchs(average, use_buffers, rng):
    if average == "multi swa" and use_buffers:
        # PyTorch cannot average whole numbers this way; here they are truncated, as by default.
        model = net(tl)
        mine = swa_utils.AveragedModel(model, use_buffers=True, **AVERAGES[average](swa_utils))
        for count in (2, 4, 9):
            model[1].num_batches_tracked.fill_(count)
            mine.update_parameters(model)
        assert mine.module[1].num_batches_tracked.item() == 5
        return
    ours, theirs = net(tl), net(torch)
    values = random_values(rng)
    load(ours, values, tl.from_numpy)
    load(theirs, values, torch.from_numpy)
    mine = swa_utils.AveragedModel(ours, use_buffers=use_buffers, **AVERAGES[average](swa_utils))
    reference = theirs_of.AveragedModel(
        theirs, use_buffers=use_buffers, **AVERAGES[average](theirs_of)
    )
    assert repr(mine) == repr(reference)
    for i in range(100):
        values = random_values(rng)
        load(ours, values, tl.from_numpy)
        load(theirs, values, torch.from_numpy)
        mine.update_parameters(ours)
        reference.update_parameters(theirs)
        if i == 50:  # and each goes on from the other's state
            saved = copy.deepcopy(mine.state_dict())
            load(mine, {k: v.numpy() for k, v in reference.state_dict().items()}, tl.tensor)
            load(reference, {k: v.numpy() for k, v in saved.items()}, torch.tensor)
    assert mine.n_averaged.item() == 100
    assert_same(mine.state_dict(), reference.state_dict())
    x = rng.standard_normal((5, 3)).astype(np.float32)
    np.testing.assert_allclose(
        mine.eval()(tl.from_numpy(x)).detach().numpy(),
        reference.eval()(torch.from_numpy(x)).detach().numpy(),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_model_is_left_alone():
    model = nn.Linear(2, 2)
    averaged = swa_utils.AveragedModel(model)
    before = model.weight.tolist()
    averaged.update_parameters(model)
    tl.nn.init.zeros_(model.weight)
    averaged.update_parameters(model)
    assert averaged.module.weight is not model.weight
    np.testing.assert_allclose(averaged.module.weight.tolist(), np.array(before) / 2, rtol=1e-6)
    assert averaged.module.weight.requires_grad
    assert averaged.module.weight.grad_fn is None


def test_update_bn(rng):
    ours, theirs = net(tl), net(torch)
    values = random_values(rng)
    load(ours, values, tl.from_numpy)
    load(theirs, values, torch.from_numpy)
    batches = [rng.standard_normal((8, 3)).astype(np.float32) for _ in range(4)]
    ours.eval()
    theirs.eval()
    for wrap in (lambda x: x, lambda x: [x, "label"], lambda x: (x,)):
        swa_utils.update_bn([wrap(tl.from_numpy(b)) for b in batches], ours, device="cpu")
        theirs_of.update_bn([wrap(torch.from_numpy(b)) for b in batches], theirs, device="cpu")
        assert_same(ours.state_dict(), theirs.state_dict())
    assert not ours.training
    assert ours[1].momentum == 0.1
    swa_utils.update_bn(iter(()), nn.Linear(1, 1))  # nothing to do


@pytest.mark.parametrize("epochs", [0, 1, 10])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("other", [False, True])
def test_swalr(strategy, epochs, other):
    made = []
    for library in (tl, torch):
        groups = [
            {"params": [library.zeros(1)]},
            {"params": [library.zeros(1)], "lr": 2.0},
        ]
        optimizer = library.optim.SGD(groups, lr=0.5)
        schedules = [
            library.optim.swa_utils.SWALR(
                optimizer, [0.1, 0.05], anneal_epochs=epochs, anneal_strategy=strategy
            )
        ]
        if other:
            schedules.append(library.optim.lr_scheduler.ExponentialLR(optimizer, 0.99))
        made.append((optimizer, schedules))
    (ours, mine), (theirs, reference) = made
    for i in range(110):
        assert mine[0].get_last_lr() == pytest.approx(reference[0].get_last_lr(), rel=1e-12)
        for optimizer, schedules in made:
            optimizer.step()
            for schedule in schedules:
                schedule.step()
        if i == 5:
            a, b = mine[0].state_dict(), reference[0].state_dict()
            assert list(a) == list(b)
            mine[0] = swa_utils.SWALR(ours, [0.1, 0.05])
            ours.load_state_dict(theirs.state_dict())
            mine[0].load_state_dict(b)
            reference[0].load_state_dict(a)


def test_errors():
    model = nn.Linear(1, 1)
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        swa_utils.AveragedModel(
            model, avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=swa_utils.get_swa_multi_avg_fn()
        )
    for make in (swa_utils.get_ema_avg_fn, swa_utils.get_ema_multi_avg_fn):
        with pytest.raises(ValueError, match=r"Invalid decay value 1.5 provided"):
            make(1.5)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(ValueError, match="'cos' or 'linear', instead got sin"):
        swa_utils.SWALR(optimizer, 0.1, anneal_strategy="sin")
    with pytest.raises(ValueError, match="equal or greater than 0, got -1"):
        swa_utils.SWALR(optimizer, 0.1, anneal_epochs=-1)
    with pytest.raises(ValueError, match="swa_lr must have the same length"):
        swa_utils.SWALR(optimizer, [0.1, 0.2])
