"""Which training steps a recorder looks at, so that looking costs little."""

from __future__ import annotations

import time
from statistics import median

__all__ = ["Pace"]

#: The share of a step's time that is aimed at.
BUDGET = 0.02


class Pace:
    """Chooses the steps to look at: every k-th, or as many as the time budget allows."""

    def __init__(self, every: int | None) -> None:
        self._every = every
        self._begin = time.perf_counter()
        self._plain: list[float] = []
        self._looked: list[float] = []
        self._next = 0
        self._timed = 0  # until this step the clock is read; then only steps are counted

    def look_next(self, step: int, looked: bool) -> bool:
        """Whether to look at step `step`, which begins now; `looked`: at the one that ended."""
        if self._every is not None:
            return step % self._every == 0
        if not looked and step > self._timed:
            if step < self._next:
                return False
            self._begin = time.perf_counter()
            return True
        times = self._looked if looked else self._plain
        times.append(time.perf_counter() - self._begin)
        del times[:-9]
        if looked:
            self._next = step + self._gap(step)
            self._timed = min(step + 3, self._next)
        self._begin = time.perf_counter()
        return step >= self._next

    def _gap(self, step: int) -> int:
        """How many steps to leave out. Always some early ones are looked at: 0, 5, 25, 125 …"""
        if len(self._plain) < 3:
            return 4
        plain = median(self._plain)
        extra = max(median(self._looked) - plain, 0.1 * plain)
        return int(min(max(extra / (BUDGET * plain), 1), max(4 * step, 4), 1000))
