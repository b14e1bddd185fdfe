"""The learning rate as a control: read it, and set it without the schedule undoing that."""

from __future__ import annotations

import math
from typing import Any


class LearningRate:
    """The learning rates of an optimizer's parameter groups, and of the scheduler that moves them."""

    def __init__(self, optimizer: Any, scheduler: Any = None) -> None:
        if optimizer is not None and not hasattr(optimizer, "param_groups"):
            raise TypeError(
                f"expected an optimizer, which has param_groups, got {type(optimizer).__name__}"
            )
        self._optimizer: Any = optimizer
        self._scheduler = scheduler

    @property
    def values(self) -> list[float]:
        """One for each parameter group; none if there is no optimizer."""
        if self._optimizer is None:
            return []
        return [float(group["lr"]) for group in self._optimizer.param_groups]

    def set(self, value: float, group: int | None = None) -> None:
        """Set the rate of one group, or of all: then they keep their ratios, and the first gets `value`.

        A scheduler goes on from there: its base rates are scaled by the same factor.

        Raises:
            ValueError: if `value` is negative or not finite, or there is no optimizer.
            IndexError: if there is no such group.
        """
        values = self.values
        if not values:
            raise ValueError("there is no learning rate to set: no optimizer was given")
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"a learning rate is a finite number from 0, got {value}")
        if group is not None and not 0 <= group < len(values):
            raise IndexError(f"there is no parameter group {group}: there are {len(values)}")
        chosen = range(len(values)) if group is None else [group]
        factor = value / values[0] if group is None and values[0] > 0 else None
        for i in chosen:
            self._set(i, value if factor is None else values[i] * factor)

    def _set(self, i: int, value: float) -> None:
        settings = self._optimizer.param_groups[i]
        old = float(settings["lr"])
        if hasattr(settings["lr"], "fill_"):  # a tensor, which a compiled step may hold on to
            settings["lr"].fill_(value)
        else:
            settings["lr"] = value
        bases = getattr(self._scheduler, "base_lrs", None)
        if bases is not None and i < len(bases):
            # Schedules work out each rate from the base: without this the next step undoes it.
            bases[i] = float(bases[i]) * (value / old) if old > 0 else value
