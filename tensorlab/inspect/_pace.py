"""Which training steps a recorder looks at, so that looking costs little."""

from __future__ import annotations

import time
from statistics import median

__all__ = ["Pace"]

#: The share of a run's time that is aimed at; more of the first `EARLY_STEPS` steps, so that a short
#: run too is looked at often enough to be judged.
BUDGET, EARLY_BUDGET, EARLY_STEPS = 0.02, 0.03, 100
#: The second look comes after so many steps where the first one seemed to cost more than `PLAUSIBLE`
#: steps: with the first step kernels are compiled and memory is fetched.
FIRST_GAP, PLAUSIBLE = 32, 5.0
#: So many steps after a look are timed.
TIMED = 3


class Pace:
    """Chooses the steps to look at: every k-th, or as many as the time budget allows."""

    def __init__(self, every: int | None) -> None:
        self._every = every
        self._begin = time.perf_counter()
        self._plain: list[float] = []
        self._looked: list[float] = []
        self._last = self._next = 0  # steps that are looked at
        self._timed = 0  # until this step the clock is read; then only steps are counted

    def look_next(self, step: int, looked: bool) -> bool:
        """Whether to look at step `step`, which begins now; `looked`: at the one that ended."""
        if self._every is not None:
            return step % self._every == 0
        if not looked and step > self._timed:
            if step < self._next:
                return False
            self._last = step
            self._begin = time.perf_counter()
            return True
        times = self._looked if looked else self._plain
        times.append(time.perf_counter() - self._begin)
        del times[:-9]
        if looked or step == self._timed:
            self._next = max(self._last + self._gap(step), step)
        if looked:
            self._timed = min(step + TIMED, self._next)
        if step >= self._next:
            self._last = step
        self._begin = time.perf_counter()
        return step >= self._next

    def _gap(self, step: int) -> int:
        """From one look to the next. The gaps grow, so that the beginning is seen more closely."""
        if len(self._plain) < TIMED:
            return FIRST_GAP
        plain = median(self._plain)
        # A step can take longer than usual for many reasons, and shorter for none.
        extra = max(min(self._looked) - min(self._plain), 0.1 * plain)
        if len(self._looked) == 1 and extra > PLAUSIBLE * plain:
            return FIRST_GAP
        budget = EARLY_BUDGET if step < EARLY_STEPS else BUDGET
        longest = max(4 * step, int(PLAUSIBLE / EARLY_BUDGET))
        return int(min(max(extra / (budget * plain), 1), longest, 1000))
