"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from tensorlab.optim._schedule import LRScheduler, copied, set_rate
from tensorlab.optim._schedules import ReduceLROnPlateau
from tensorlab.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Combined(LRScheduler):
    """What holds other schedulers, and saves their state with its own."""

    _schedulers: Sequence[Any]

    def _check(self, optimizer: Optimizer | None, wanted: str) -> Optimizer:
        """Refuse schedulers that cannot be combined; the optimizer that they share."""
        name = type(self).__name__
        if len(self._schedulers) < 1:
            raise ValueError(
                f"{name} expects at least one scheduler{wanted}, but got no scheduler."
            )
        for i, scheduler in enumerate(self._schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{name} at index {i} should have `optimizer` as its attribute.")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler as it requires "
                    "additional kwargs to be specified when calling `step`, but got one at index "
                    f"{i} in the given schedulers sequence."
                )
            optimizer = optimizer or scheduler.optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, but got "
                    f"scheduler {type(scheduler).__name__} at index {i} has "
                    f"{scheduler.optimizer}, which is different from {type(optimizer).__name__}."
                )
        assert optimizer is not None  # there is a scheduler, and it has one
        return optimizer

    def state_dict(self) -> dict[str, Any]:
        """The state of this and, under `"_schedulers"`, of all schedulers in it."""
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in state.pop("_schedulers")]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        for scheduler, saved in zip(self._schedulers, state.pop("_schedulers"), strict=True):
            scheduler.load_state_dict(saved)
        super().load_state_dict(state)


class SequentialLR(_Combined):
    """One schedule until a milestone, then the next, such as a warm-up and what follows it.

    Each begins at its own epoch 0.

    Args:
        optimizer: the one of all schedulers.
        schedulers: in order.
        milestones: the epochs at which the second, third, … begins.
        last_epoch: as `LRScheduler`.

    Raises:
        ValueError: no schedulers, not one milestone less than schedulers, a
            `ReduceLROnPlateau` among them, or schedulers of another optimizer.

    >>> import tensorlab
    >>> from tensorlab import optim
    >>> from tensorlab.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = optim.SGD([tensorlab.zeros(1, requires_grad=True)], lr=1.0)
    >>> warm = ConstantLR(optimizer, factor=0.25, total_iters=9)
    >>> fall = ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = SequentialLR(optimizer, [warm, fall], milestones=[2])
    >>> rates = []
    >>> for epoch in range(5):
    ...     rates += scheduler.get_last_lr()
    ...     optimizer.step()
    ...     scheduler.step()
    >>> rates
    [0.25, 0.25, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._schedulers = schedulers
        self._check(optimizer, "")
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than "
                f"the number of milestone points, but got number of schedulers {len(schedulers)} "
                f"and the number of milestones to be equal to {len(milestones)}"
            )
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Making them has stepped all of them once; only the first is to begin now.
        for group in optimizer.param_groups:
            set_rate(group, group["initial_lr"])
        self.recursive_undo()
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched: Any = None) -> None:
        """Take back the step that making them did, in schedulers within schedulers too."""
        scheduler = self if sched is None else sched
        if hasattr(scheduler, "_schedulers"):
            for inner in scheduler._schedulers:
                self.recursive_undo(inner)
        elif hasattr(scheduler, "last_epoch"):
            scheduler.last_epoch -= 1

    def step(self) -> None:  # type: ignore[override]
        """Go on by one epoch, with the schedule whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler: Any = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Combined):
    """Several chainable schedules at once: each changes the rate that the others left.

    Args:
        schedulers: all of one optimizer.
        optimizer: that optimizer; by default the first scheduler's.

    Raises:
        ValueError: no schedulers, a `ReduceLROnPlateau` among them, or several optimizers.

    >>> import tensorlab
    >>> from tensorlab import optim
    >>> from tensorlab.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = optim.SGD([tensorlab.zeros(1, requires_grad=True)], lr=1.0)
    >>> warm = ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> scheduler = ChainedScheduler([warm, ExponentialLR(optimizer, gamma=0.5)])
    >>> rates = []
    >>> for epoch in range(4):
    ...     rates += scheduler.get_last_lr()
    ...     optimizer.step()
    ...     scheduler.step()
    >>> rates
    [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._schedulers = schedulers
        self.optimizer = self._check(optimizer, " to be chained")
        self._last_lr = [copied(group["lr"]) for group in self.optimizer.param_groups]

    def step(self) -> None:  # type: ignore[override]
        """Go on by one epoch, with all schedules in order."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._rates()
