"""The past of a metric with the steps it belongs to, in bounded memory: what a curve is drawn from."""

from __future__ import annotations

import math
from array import array

CAPACITY = 512


class Curve:
    """Pairs of step and value, kept as at most `CAPACITY` means of neighbours.

    When it is full, neighbouring pairs are merged and each new point stands for twice as many
    values. A NaN or infinity in a group makes that point NaN: it must not be averaged away.

    >>> curve = Curve()
    >>> for step, loss in [(1, 3.0), (2, 2.0), (4, float("nan"))]:
    ...     curve.add(step, loss)
    >>> curve.steps(), curve.values()
    ([1.0, 2.0, 4.0], [3.0, 2.0, nan])
    """

    __slots__ = ("_count", "_group", "_step_sum", "_steps", "_value_sum", "_values")

    def __init__(self) -> None:
        self._steps = array("d")
        self._values = array("d")
        self._group = 1
        self._count = 0
        self._step_sum = self._value_sum = 0.0

    def add(self, step: int, value: float) -> None:
        self._step_sum += step
        self._value_sum += value if math.isfinite(value) else math.nan
        self._count += 1
        if self._count < self._group:
            return
        self._steps.append(self._step_sum / self._count)
        self._values.append(self._value_sum / self._count)
        self._step_sum = self._value_sum = 0.0
        self._count = 0
        if len(self._steps) == CAPACITY:
            self._steps, self._values = _halved(self._steps), _halved(self._values)
            self._group *= 2

    def steps(self) -> list[float]:
        """Where the points lie; the group that still fills counts too."""
        return [*self._steps, *([self._step_sum / self._count] if self._count else [])]

    def values(self) -> list[float]:
        return [*self._values, *([self._value_sum / self._count] if self._count else [])]

    def __len__(self) -> int:
        return len(self._steps) + bool(self._count)

    def packed(self) -> bytes:
        """All steps, then all values, as little-endian float32: what the browser draws."""
        import numpy as np

        return np.array([self.steps(), self.values()], "<f4").tobytes()


def _halved(values: array[float]) -> array[float]:
    return array("d", ((a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=True)))
