"""Schedules give PyTorch's learning rates, epoch by epoch."""

from __future__ import annotations

import pytest

import tensorlab as tl
from tensorlab import optim
from tensorlab.optim import lr_scheduler

SCHEDULES = [
    ("StepLR", {"step_size": 3, "gamma": 0.3}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.5}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 4}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.8, "total_iters": 6}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.01}),
    ("PolynomialLR", {"total_iters": 6, "power": 2.0}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("MultiplicativeLR", {"lr_lambda": lambda e: 1 - 0.01 * e}),
    ("LambdaLR", {"lr_lambda": [lambda e: 0.9**e, lambda e: 1 / (1 + e)]}),
]

NAMES = [f"{name}-{i}" for i, (name, _) in enumerate(SCHEDULES)]


def optimizers(torch):
    ours = [
        {"params": [tl.zeros(1, requires_grad=True)]},
        {"params": [tl.zeros(1, requires_grad=True)], "lr": 2.0},
    ]
    theirs = [{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 2.0}]
    return optim.SGD(ours, lr=0.5), torch.optim.SGD(theirs, lr=0.5)


@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=NAMES)
def test_rates_are_pytorchs(name, options):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours, theirs = optimizers(torch)
    mine = getattr(lr_scheduler, name)(ours, **options)
    reference = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    for _ in range(20):
        assert mine.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-12)
        assert [g["lr"] for g in ours.param_groups] == mine.get_last_lr()
        ours.step()
        theirs.step()
        mine.step()
        reference.step()


@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=NAMES)
def test_resuming_goes_on_where_it_stopped(name, options):
    torch = pytest.importorskip("torch", reason="for the settings of its optimizers")
    straight, _ = optimizers(torch)
    whole = getattr(lr_scheduler, name)(straight, **options)
    for _ in range(4):
        straight.step()
        whole.step()
    resumed, _ = optimizers(torch)
    part = getattr(lr_scheduler, name)(resumed, **options)
    resumed.load_state_dict(straight.state_dict())
    part.load_state_dict(whole.state_dict())
    for _ in range(6):
        assert part.get_last_lr() == whole.get_last_lr()
        for optimizer, schedule in ((straight, whole), (resumed, part)):
            optimizer.step()
            schedule.step()


def test_two_schedules_chain():
    optimizer = optim.SGD([tl.zeros(1, requires_grad=True)], lr=1.0)
    warm = lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        warm.step()
        decay.step()
    assert rates == [0.5, 0.25, 0.25, 0.125]


def test_a_tensor_rate_is_changed_in_place():
    lr = tl.tensor(1.0)
    optimizer = optim.SGD([tl.zeros(1, requires_grad=True)], lr=lr)
    schedule = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    optimizer.step()
    schedule.step()
    assert lr.item() == 0.5
    assert schedule.base_lrs[0].item() == 1.0


def test_warning_when_the_schedule_steps_first():
    optimizer = optim.SGD([tl.zeros(1, requires_grad=True)], lr=1.0)
    schedule = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    with pytest.warns(UserWarning, match="before `optimizer.step\\(\\)`"):
        schedule.step()


def test_bad_arguments():
    optimizer = optim.SGD([tl.zeros(1, requires_grad=True)], lr=1.0)
    with pytest.raises(TypeError, match="is not an Optimizer"):
        lr_scheduler.StepLR(3, 1)
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.StepLR(optimizer, 1, last_epoch=3)
    with pytest.raises(ValueError, match="Expected 1 lr_lambdas, but got 2"):
        lr_scheduler.LambdaLR(optimizer, [abs, abs])
    with pytest.raises(ValueError, match="between 0 and 1"):
        lr_scheduler.ConstantLR(optimizer, factor=2)


@pytest.mark.parametrize("options", [{"T_0": 3}, {"T_0": 2, "T_mult": 2}], ids=str)
def test_restarts_at_fractions_of_an_epoch(options):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours, theirs = optimizers(torch)
    mine = lr_scheduler.CosineAnnealingWarmRestarts(ours, **options)
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, **options)
    for epoch in [0.25, 0.5, 1.75, 2, 2.5, 5.25, None, None, 11.5, 1.5, None]:
        mine.step(epoch)
        reference.step(epoch)
        assert mine.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-12)
    with pytest.raises(ValueError, match="non-negative epoch, but got -1"):
        mine.step(-1)


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"mode": "max", "patience": 0, "factor": 0.5},
        {"threshold": 0.3, "threshold_mode": "abs", "patience": 1},
        {"mode": "max", "threshold": 0.3, "threshold_mode": "abs", "patience": 1},
        {"patience": 0, "cooldown": 2, "min_lr": [0.05, 0.1]},
        {"patience": 0, "min_lr": 0.2, "eps": 0.05},
    ],
    ids=str,
)
def test_plateaus(options, rng):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours, theirs = optimizers(torch)
    mine = lr_scheduler.ReduceLROnPlateau(ours, **options)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    assert set(mine.state_dict()) == set(reference.state_dict())
    for i in range(25):
        if i == 10:
            resumed = lr_scheduler.ReduceLROnPlateau(ours, **options)
            resumed.load_state_dict(mine.state_dict())
            mine = resumed
        loss = float(rng.standard_normal()) + 1 / (i + 1)
        mine.step(tl.tensor(loss, dtype=tl.float64))
        reference.step(loss)
        assert mine.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-12)


def test_bad_settings_of_restarts_and_plateaus():
    optimizer = optim.SGD([tl.zeros(1, requires_grad=True)], lr=1.0)
    plateau, restarts = lr_scheduler.ReduceLROnPlateau, lr_scheduler.CosineAnnealingWarmRestarts
    for make, said in [
        (lambda: plateau(optimizer, factor=1.0), "Factor should be < 1.0"),
        (lambda: plateau(optimizer, mode="mid"), "mode mid is unknown"),
        (lambda: plateau(optimizer, threshold_mode="x"), "threshold mode x is unknown"),
        (lambda: plateau(optimizer, min_lr=[0, 0]), "expected 1 min_lrs, got 2"),
        (lambda: restarts(optimizer, 0), "positive integer T_0"),
        (lambda: restarts(optimizer, 1, 0), "integer T_mult >= 1"),
        (lambda: restarts(optimizer, 1, 1, "a"), "float or int eta_min"),
    ]:
        with pytest.raises(ValueError, match=said):
            make()
    with pytest.raises(TypeError, match="is not an Optimizer"):
        plateau(3)
    schedule = plateau(optimizer, patience=0, min_lr=[0.1])
    optimizer.add_param_group({"params": [tl.zeros(1, requires_grad=True)]})
    schedule.step(1.0)
    with pytest.raises(RuntimeError, match="number of param groups"):
        schedule.step(2.0)
