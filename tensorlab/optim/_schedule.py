"""What all schedules of the learning rate have in common."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Sequence
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim._settings import as_number
from tensorlab.optim.optimizer import Optimizer

__all__ = [
    "LRScheduler",
    "copied",
    "load_functions",
    "one_per_group",
    "saved_functions",
    "set_rate",
    "warn_of_epoch",
]


class LRScheduler:
    """Base class of schedulers: a subclass writes `get_lr`.

    Args:
        optimizer: whose groups' `"lr"` to set. Their first one is kept as `"initial_lr"`.
        last_epoch: -1 to start; the number of the last epoch to resume, with the optimizer's
            state loaded first.

    Attributes:
        base_lrs: the initial rate of each group.
        last_epoch: how many times `step` was called.

    Raises:
        TypeError: `optimizer` is not an `Optimizer`.
        KeyError: resuming, and a group has no `"initial_lr"`.
    """

    _is_initial = False
    _get_lr_called_within_step = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                    "scheduler with last_epoch >= 0: load the optimizer's state_dict first, or "
                    "start with last_epoch=-1"
                )
        self.base_lrs = [copied(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        _watch(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the first rates; it does not count as a step."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Any]:
        """The rate of each group at `last_epoch`; called by `step`, use `get_last_lr` elsewhere."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def get_last_lr(self) -> list[Any]:
        """The rate that each group has now."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on by one epoch and set the rates.

        Args:
            epoch: deprecated; which epoch to go to, by a formula where the schedule has one.
        """
        if self._step_count == 1:
            if not hasattr(self.optimizer.step, "hooked"):
                warnings.warn(
                    "Seems like `optimizer.step()` has been overridden after learning rate "
                    "scheduler initialization. Please, make sure to call `optimizer.step()` "
                    "before `lr_scheduler.step()`.",
                    stacklevel=2,
                )
            elif not self.optimizer._opt_called:
                warnings.warn(
                    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. You should "
                    "call them in the opposite order: `optimizer.step()` before "
                    "`lr_scheduler.step()`. Failure to do this will result in skipping the first "
                    "value of the learning rate schedule.",
                    stacklevel=2,
                )
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch()
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        """Set the rates of the next epoch, or of `epoch`."""
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                values = getattr(self, "_get_closed_form_lr", self.get_lr)()
        finally:
            self._get_lr_called_within_step = False
        self._set_rates(values)

    def _set_rates(self, values: list[Any]) -> None:
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            set_rate(group, value)
        self._last_lr = self._rates()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, for a checkpoint."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave out."""
        self.__dict__.update(state_dict)

    def _rates(self) -> list[Any]:
        return [copied(group["lr"]) for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[Any]:
        """The present rates times `factor`."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _check_called_by_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                stacklevel=3,
            )


def _watch(optimizer: Optimizer) -> None:
    """From the first scheduler on, note whether the optimizer steps before it.

    `Optimizer` notes steps itself, unless `step` was replaced on the object.
    """
    if not optimizer._has_schedulers:
        optimizer._opt_called = False
        optimizer._has_schedulers = True
    if not hasattr(optimizer.step, "hooked"):
        replaced = optimizer.step

        @functools.wraps(replaced)
        def noted(*args: Any, **kwargs: Any) -> Any:
            optimizer._opt_called = True
            return replaced(*args, **kwargs)

        noted.hooked = True  # type: ignore[attr-defined]
        optimizer.step = noted


def warn_of_epoch() -> None:
    """Say that schedules count for themselves."""
    warnings.warn(
        "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated "
        "where possible. Please use `scheduler.step()` to step the scheduler. An epoch that is "
        "given sets the rate by the closed form of the schedule, where there is one.",
        stacklevel=3,
    )


def one_per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A setting as a list with one value per group; `ValueError` for a list of another length."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [copied(value) for _ in range(count)]
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {count}."
        )
    return [copied(v) for v in value]


def saved_functions(functions: Sequence[Any]) -> list[Any]:
    """What a state dict holds of functions: nothing, but the attributes of callable objects."""
    return [None if isinstance(f, types.FunctionType) else f.__dict__.copy() for f in functions]


def load_functions(functions: Sequence[Any], saved: Sequence[Any]) -> None:
    """Give callable objects the attributes that `saved_functions` noted."""
    for function, attributes in zip(functions, saved, strict=True):
        if attributes is not None:
            function.__dict__.update(attributes)


def set_rate(group: dict[str, Any], value: Any) -> None:
    """Set the rate of a group; one that is a tensor is changed in place."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(as_number(value))
    else:
        group["lr"] = value


def copied(value: Any) -> Any:
    """A value that later changes of the rate do not reach."""
    return value.clone() if isinstance(value, Tensor) else value
