"""Schedules that rise and fall, and let the momentum fall and rise: cyclical and one-cycle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tensorlab.optim._schedule import (
    LRScheduler,
    load_functions,
    one_per_group,
    saved_functions,
    set_rate,
)
from tensorlab.optim.optimizer import Optimizer

__all__ = ["CyclicLR", "OneCycleLR"]


class _Cycling(LRScheduler):
    """What cycles the momentum too: `momentum`, or β₁ where the optimizer has betas."""

    cycle_momentum: bool
    use_beta1: bool

    def _start_momentum(
        self, optimizer: Optimizer, base: Any, largest: Any, last_epoch: int
    ) -> tuple[list[Any], list[Any]]:
        """Check and note the limits of the momentum; `(base, largest)`, one per group."""
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        bases = one_per_group("base_momentum", optimizer, base)
        tops = one_per_group("max_momentum", optimizer, largest)
        if last_epoch == -1:
            for low, high, group in zip(bases, tops, optimizer.param_groups, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low
        return bases, tops

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_Cycling):
    """The rate goes up and down in straight lines between two limits, again and again.

    Call `step` after every batch.

    Args:
        optimizer: see `LRScheduler`.
        base_lr: the lower limit, or one for each group. The optimizer's rate becomes this.
        max_lr: the upper limit, or one for each group.
        step_size_up: batches from the lower to the upper limit.
        step_size_down: batches back; as many, by default.
        mode: `"triangular"`: all cycles alike; `"triangular2"`: each half as high as the one
            before; `"exp_range"`: `gamma ** batch` times as high.
        gamma: for `"exp_range"`.
        scale_fn: a function to use for the height instead, of the cycle number (from 1) or the
            batch number (from 0).
        scale_mode: `"cycle"` or `"iterations"`: what `scale_fn` is called with.
        cycle_momentum: let the momentum (or β₁) go the opposite way.
        base_momentum: its lower limit, or one for each group.
        max_momentum: its upper limit, or one for each group.
        last_epoch: see `LRScheduler`; counts batches.

    Raises:
        ValueError: an unknown mode, a list with another length than the groups, or momentum
            is to be cycled and the optimizer has none.
        TypeError: `optimizer` is not an `Optimizer`.

    Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017,
    arXiv:1506.01186.

    >>> import tensorlab
    >>> from tensorlab import optim
    >>> optimizer = optim.SGD([tensorlab.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = CyclicLR(optimizer, 1.0, 3.0, step_size_up=2, cycle_momentum=False)
    >>> rates = []
    >>> for batch in range(6):
    ...     rates += scheduler.get_last_lr()
    ...     optimizer.step()
    ...     scheduler.step()
    >>> rates
    [1.0, 2.0, 3.0, 2.0, 1.0, 2.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        base_lrs = one_per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups, strict=True):
                set_rate(group, lr)
        self.max_lrs = one_per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._start_momentum(
                optimizer, base_momentum, max_momentum, last_epoch
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """How high a cycle is, from its number or that of the batch (see `scale_mode`)."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return 1 / 2.0 ** (x - 1)
        return self.gamma**x if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[Any]:
        self._check_called_by_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        rising = x <= self.step_ratio
        share = x / self.step_ratio if rising else (x - 1) / (self.step_ratio - 1)
        height = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            limits = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, limits, strict=True):
                self._set_momentum(group, high - (high - low) * share * height)
        return [
            low + (high - low) * share * height
            for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`; a `scale_fn` is saved if it is an object with attributes."""
        state = super().state_dict()
        function = state.pop("_scale_fn_custom")
        state["_scale_fn_custom"] = None if function is None else saved_functions([function])[0]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        load_functions([self._scale_fn_custom], [state.pop("_scale_fn_custom")])
        super().load_state_dict(state)


class OneCycleLR(_Cycling):
    """The rate rises to a maximum and falls to almost nothing, once over the whole training.

    Call `step` after every batch. The momentum (or β₁) goes the opposite way.

    Args:
        optimizer: see `LRScheduler`.
        max_lr: the maximum, or one for each group.
        total_steps: batches in all; or give the next two.
        epochs: how often the data are seen.
        steps_per_epoch: batches each time.
        pct_start: the share of the batches in which the rate rises.
        anneal_strategy: `"cos"` or `"linear"`: the form of rise and fall.
        cycle_momentum: whether the momentum follows.
        base_momentum: its lower limit, or one for each group.
        max_momentum: its upper limit, or one for each group.
        div_factor: the first rate is `max_lr / div_factor`.
        final_div_factor: the last rate is the first divided by this.
        three_phase: fall back to the first rate as fast as it rose, and only then further.
        last_epoch: see `LRScheduler`; counts batches.

    Raises:
        ValueError: the number of batches is missing or not positive, `pct_start` is no float
            from 0 to 1, the strategy is unknown, or momentum is to be cycled and the optimizer
            has none. From `step`: the batches are used up.
        TypeError: `optimizer` is not an `Optimizer`.

    Source: L. N. Smith, N. Topin, "Super-Convergence: Very Fast Training of Neural Networks
    Using Large Learning Rates", arXiv:1708.07120.

    >>> import tensorlab
    >>> from tensorlab import optim
    >>> optimizer = optim.SGD([tensorlab.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = OneCycleLR(optimizer, max_lr=1.0, total_steps=6, pct_start=0.5)
    >>> rates = []
    >>> for batch in range(6):
    ...     rates += [round(rate, 3) for rate in scheduler.get_last_lr()]
    ...     optimizer.step()
    ...     if batch < 5:
    ...         scheduler.step()
    >>> rates
    [0.04, 0.52, 1.0, 0.75, 0.25, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        if pct_start < 0 or pct_start > 1 or not isinstance(pct_start, float):
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_func_type = anneal_strategy
        tops = one_per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for top, group in zip(tops, optimizer.param_groups, strict=True):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._check_called_by_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        start = 0.0
        phase = self._schedule_phases[0]
        for phase in self._schedule_phases[:-1]:
            if step <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        share = (step - start) / (phase["end_step"] - start)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(*ends, share))
        return rates

    def _between(self, start: Any, end: Any, share: float) -> Any:
        """The value at a share of the way from `start` to `end`."""
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


def _total_steps(total: int | None, epochs: int | None, per_epoch: int | None) -> int:
    """The number of batches of the whole training; `ValueError` if it is not given."""
    if total is not None:
        if total <= 0 or not isinstance(total, int):
            raise ValueError(f"Expected positive integer total_steps, but got {total}")
        return total
    if epochs is None or per_epoch is None:
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    for name, value in (("epochs", epochs), ("steps_per_epoch", per_epoch)):
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"Expected positive integer {name}, but got {value}")
    return epochs * per_epoch


def _phases(total: int, share: float, three: bool) -> list[dict[str, Any]]:
    """Rise and fall, or rise, fall back and fall: where each ends, and between which settings."""

    def phase(end: float, start_lr: str, end_lr: str, start: str, to: str) -> dict[str, Any]:
        return {
            "end_step": end,
            "start_lr": start_lr,
            "end_lr": end_lr,
            "start_momentum": f"{start}_momentum",
            "end_momentum": f"{to}_momentum",
        }

    rise = phase(float(share * total) - 1, "initial_lr", "max_lr", "max", "base")
    if not three:
        return [rise, phase(total - 1, "max_lr", "min_lr", "base", "max")]
    return [
        rise,
        phase(float(2 * share * total) - 2, "max_lr", "initial_lr", "base", "max"),
        phase(total - 1, "initial_lr", "min_lr", "max", "max"),
    ]
