"""Schedules give PyTorch's learning rates, epoch by epoch."""

from __future__ import annotations

import copy
import warnings

import pytest

import tensorlab as tl
from tensorlab import optim
from tensorlab.optim import lr_scheduler


class Halving:
    """A function with a state of its own."""

    def __init__(self):
        self.factor = 0.5

    def __call__(self, x):
        return self.factor ** (x / 50)


SCHEDULES = [
    ("StepLR", {"step_size": 3, "gamma": 0.3}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 90], "gamma": 0.5}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 4}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.8, "total_iters": 60}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 50, "eta_min": 0.01}),
    ("PolynomialLR", {"total_iters": 60, "power": 2.0}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("MultiplicativeLR", {"lr_lambda": lambda e: 1 - 0.001 * e}),
    ("LambdaLR", {"lr_lambda": [lambda e: 0.9**e, lambda e: 1 / (1 + e)]}),
    ("LambdaLR", {"lr_lambda": [Halving(), lambda e: 1 / (1 + e)]}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": [0.5, 1.0], "step_size_up": 7}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.4, "step_size_up": 5, "step_size_down": 9, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.4, "step_size_up": 5, "mode": "exp_range", "gamma": 0.97}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.4, "scale_fn": lambda x: 1 / x, "base_momentum": [0.1, 0.2]}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.4, "scale_fn": Halving(), "scale_mode": "iterations", "cycle_momentum": False}),  # noqa: E501
    ("OneCycleLR", {"max_lr": [1.0, 2.0], "total_steps": 130}),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 13, "steps_per_epoch": 10, "anneal_strategy": "linear", "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 130, "three_phase": True, "max_momentum": [0.9, 0.8]}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 130, "cycle_momentum": False, "div_factor": 5.0}),
    ("SequentialLR", {}),
    ("ChainedScheduler", {}),
]  # fmt: skip
COMBINED = {"SequentialLR", "ChainedScheduler"}
NO_EPOCH = COMBINED | {"CosineAnnealingWarmRestarts"}  # or with another meaning
NAMES = [f"{name}-{i}" for i, (name, _) in enumerate(SCHEDULES)]
every_schedule = pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=NAMES)


def optimizers(torch, name="SGD"):
    settings = {"momentum": 0.9} if name == "SGD" else {}
    ours = [
        {"params": [tl.zeros(1, requires_grad=True)]},
        {"params": [tl.zeros(1, requires_grad=True)], "lr": 2.0},
    ]
    theirs = [{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 2.0}]
    return (
        getattr(optim, name)(ours, lr=0.5, **settings),
        getattr(torch.optim, name)(theirs, lr=0.5, **settings),
    )


def make(schedules, name, options, optimizer):
    """A schedule of either library; those made of others with a nested one in it."""
    if name == "SequentialLR":
        warm = schedules.LinearLR(optimizer, total_iters=5)
        # As in PyTorch, beginning anew inside of another counts as a step without the optimizer's.
        optimizer.step()
        cosine = schedules.CosineAnnealingLR(optimizer, T_max=10)
        inner = schedules.SequentialLR(optimizer, [warm, cosine], milestones=[8])
        last = schedules.StepLR(optimizer, 20, gamma=0.5)
        return schedules.SequentialLR(optimizer, [inner, last], milestones=[30])
    if name == "ChainedScheduler":
        warm = schedules.ConstantLR(optimizer, factor=0.1, total_iters=9)
        return schedules.ChainedScheduler([warm, schedules.ExponentialLR(optimizer, gamma=0.98)])
    return getattr(schedules, name)(optimizer, **copy.deepcopy(options))


def settings(optimizer):
    """What schedules change, as floats."""
    found = []
    for group in optimizer.param_groups:
        found.append(float(group["lr"]))
        found += [float(group["momentum"])] if "momentum" in group else group["betas"]
    return found


def advance(*pairs, steps):
    with warnings.catch_warnings():
        # A schedule that begins with epoch 0 of another one.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(steps):
            for optimizer, schedule in pairs:
                optimizer.step()
                schedule.step()
            first = settings(pairs[0][0])
            for optimizer, _schedule in pairs[1:]:
                assert settings(optimizer) == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@every_schedule
def test_rates_are_pytorchs(name, options, kind):
    """And momenta, over 120 steps; and each goes on from the other's state in the middle."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    theirs_of = torch.optim.lr_scheduler
    ours, theirs = optimizers(torch, kind)
    mine, reference = (
        make(lr_scheduler, name, options, ours),
        make(theirs_of, name, options, theirs),
    )
    assert settings(ours) == pytest.approx(settings(theirs), rel=1e-12)
    advance((ours, mine), (theirs, reference), steps=40)
    assert mine.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-12)
    assert [g["lr"] for g in ours.param_groups] == mine.get_last_lr()
    a, b = mine.state_dict(), reference.state_dict()
    assert list(a) == list(b)
    assert_alike(a, b)

    ours2, theirs2 = optimizers(torch, kind)
    mine2 = make(lr_scheduler, name, options, ours2)
    reference2 = make(theirs_of, name, options, theirs2)
    groups = copy.deepcopy([ours.state_dict()["param_groups"], theirs.state_dict()["param_groups"]])
    ours2.load_state_dict({"state": {}, "param_groups": groups[1]})
    theirs2.load_state_dict({"state": {}, "param_groups": groups[0]})
    mine2.load_state_dict(copy.deepcopy(b))
    reference2.load_state_dict(copy.deepcopy(a))
    advance((theirs, reference), (ours, mine), (ours2, mine2), (theirs2, reference2), steps=80)


def assert_alike(a, b):
    """Two states with the same keys and, up to rounding, the same numbers."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_alike(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_alike(x, y)
    elif isinstance(a, float):
        assert a == pytest.approx(b, rel=1e-12)
    else:
        assert a == b


@every_schedule
def test_resuming_goes_on_where_it_stopped(name, options):
    torch = pytest.importorskip("torch", reason="for the settings of its optimizers")
    straight, _ = optimizers(torch)
    whole = make(lr_scheduler, name, options, straight)
    advance((straight, whole), steps=37)
    resumed, _ = optimizers(torch)
    part = make(lr_scheduler, name, options, resumed)
    resumed.load_state_dict(straight.state_dict())
    part.load_state_dict(copy.deepcopy(whole.state_dict()))
    for _ in range(80):
        assert part.get_last_lr() == whole.get_last_lr()
        advance((straight, whole), (resumed, part), steps=1)


@pytest.mark.parametrize(
    ("name", "options"),
    [pair for pair in SCHEDULES if pair[0] not in COMBINED],
    ids=[name for name in NAMES if name.split("-")[0] not in COMBINED],
)
def test_schedules_with_a_tensor_rate(name, options):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    a, b = tl.zeros(1, requires_grad=True), torch.zeros(1)
    groups = [
        [{"params": [p], "lr": t(0.5)}, {"params": [q], "lr": t(2.0)}]
        for p, q, t in (
            (a, tl.zeros(1), lambda x: tl.tensor(x, dtype=tl.float64)),
            (b, torch.zeros(2), lambda x: torch.tensor(x, dtype=torch.float64)),
        )
    ]
    rates = [g["lr"] for g in groups[0]]
    ours, theirs = optim.SGD(groups[0], momentum=0.9), torch.optim.SGD(groups[1], momentum=0.9)
    mine = make(lr_scheduler, name, options, ours)
    reference = make(torch.optim.lr_scheduler, name, options, theirs)
    advance((ours, mine), (theirs, reference), steps=20)
    assert all(g["lr"] is rate for g, rate in zip(ours.param_groups, rates, strict=True))
    last = mine.get_last_lr()
    assert [float(x) for x in last] == pytest.approx([float(x) for x in reference.get_last_lr()])
    assert all(isinstance(x, tl.Tensor) and x is not r for x, r in zip(last, rates, strict=True))


@pytest.mark.parametrize(
    ("name", "options"),
    [pair for pair in SCHEDULES if pair[0] not in NO_EPOCH],
    ids=[name for name in NAMES if name.split("-")[0] not in NO_EPOCH],
)
def test_going_to_an_epoch(name, options):
    """The deprecated form, by closed formula where there is one."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours, theirs = optimizers(torch)
    mine = make(lr_scheduler, name, options, ours)
    reference = make(torch.optim.lr_scheduler, name, options, theirs)
    ours.step()
    theirs.step()
    for epoch in (3, 17, 2, None, 60, None):
        if epoch is None:
            mine.step()
            reference.step()
        else:
            with pytest.warns(UserWarning, match="The epoch parameter"):
                reference.step(epoch)
            with pytest.warns(UserWarning, match="The epoch parameter"):
                mine.step(epoch)
        assert settings(ours) == pytest.approx(settings(theirs), rel=1e-12)


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


def test_only_steps_since_the_first_schedule_count():
    p = tl.zeros(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    optimizer.step()
    schedule = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    with pytest.warns(UserWarning, match="before `optimizer.step\\(\\)`"):
        schedule.step()


def test_a_step_that_was_replaced():
    optimizer = optim.SGD([tl.zeros(1, requires_grad=True)], lr=1.0)
    calls = []
    optimizer.step = lambda: calls.append(1)
    schedule = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    optimizer.step()
    schedule.step()  # no warning: the replacement was called
    assert calls == [1]
    schedule = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    optimizer.step = lambda: calls.append(2)
    with pytest.warns(UserWarning, match="has been overridden"):
        schedule.step()


def test_get_lr_is_for_step():
    optimizer = optim.SGD([tl.zeros(1, requires_grad=True)], lr=1.0)
    schedule = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    with pytest.warns(UserWarning, match="please use `get_last_lr\\(\\)`"):
        schedule.get_lr()


BAD = [
    ("OneCycleLR", {"max_lr": 1.0}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 0}),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 0, "steps_per_epoch": 3}),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 3, "steps_per_epoch": 0.5}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "pct_start": 2.0}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "anneal_strategy": "sin"}),
    ("OneCycleLR", {"max_lr": [1.0], "total_steps": 9}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": [1.0, 2.0, 3.0]}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "mode": "square"}),
    ("MultiplicativeLR", {"lr_lambda": 3}),
    ("LinearLR", {"start_factor": 0.0}),
    ("LinearLR", {"end_factor": 2.0}),
    ("ConstantLR", {"factor": 2.0}),
]


@pytest.mark.parametrize(("name", "options"), BAD, ids=str)
def test_errors_are_pytorchs(name, options):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours, theirs = optimizers(torch)
    with pytest.raises((ValueError, TypeError)) as wanted:
        getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    with pytest.raises(wanted.type) as got:
        getattr(lr_scheduler, name)(ours, **options)
    assert str(got.value) == str(wanted.value)


def test_cycles_need_a_momentum_and_end():
    optimizer = optim.Adagrad([tl.zeros(1, requires_grad=True)], lr=1.0)
    with pytest.raises(ValueError, match="must support momentum or beta1"):
        lr_scheduler.CyclicLR(optimizer, 0.1, 1.0)
    with pytest.raises(ValueError, match="must support momentum or beta1"):
        lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=2)
    for make_one in (
        lambda: lr_scheduler.CyclicLR(3, 0.1, 1.0),
        lambda: lr_scheduler.OneCycleLR(3, 0.1, total_steps=2),
    ):
        with pytest.raises(TypeError, match="int is not an Optimizer"):
            make_one()
    schedule = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=2, cycle_momentum=False)
    optimizer.step()
    schedule.step()
    schedule.step()
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        schedule.step()


def test_what_cannot_be_combined():
    optimizer = optim.SGD([tl.zeros(1, requires_grad=True)], lr=1.0)
    other = optim.SGD([tl.zeros(1, requires_grad=True)], lr=1.0)
    steps = lr_scheduler.StepLR(optimizer, 1)
    foreign = lr_scheduler.StepLR(other, 1)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer)
    sequential, chained = lr_scheduler.SequentialLR, lr_scheduler.ChainedScheduler
    for make_one, said in [
        (lambda: sequential(optimizer, [], []), "at least one scheduler, but got no"),
        (lambda: chained([]), "at least one scheduler to be chained"),
        (lambda: sequential(optimizer, [steps, steps], []), "one more than the number of mile"),
        (lambda: sequential(optimizer, [steps, plateau], [3]), "ReduceLROnPlateau.*at index 1"),
        (lambda: chained([plateau]), "does not support `ReduceLROnPlateau`"),
        (lambda: sequential(optimizer, [foreign], []), "belong to the same optimizer"),
        (lambda: chained([steps, foreign]), "belong to the same optimizer"),
    ]:
        with pytest.raises(ValueError, match=said):
            make_one()
    with pytest.raises(TypeError, match="index 0 should have `optimizer`"):
        sequential(optimizer, [3], [])


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
