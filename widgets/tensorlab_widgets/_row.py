"""One loop's numbers: how far it is, how fast, and its metrics."""

from __future__ import annotations

import math
import numbers
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from . import _format
from ._history import History

Status = Literal["running", "done", "stopped", "ended", "interrupted"]
TEXT_LIMIT = 40


class Rate:
    """Steps per second: an average that forgets with a half-life of about three seconds.

    Recent steps count more, so the estimate follows a loop that slows down; the first seconds are
    not biased towards zero, because the weights are divided out (as in Adam's bias correction).
    """

    HALF_LIFE = 3.0

    def __init__(self, now: float) -> None:
        self._last = now
        self._steps = 0
        self._weighted_steps = 0.0
        self._weighted_time = 0.0

    def step(self, now: float) -> None:
        self._steps += 1
        passed = now - self._last
        # Averaging every microsecond step would cost more than it tells.
        if passed < 0.05:
            return
        keep = 0.5 ** (passed / self.HALF_LIFE)
        self._weighted_steps = self._weighted_steps * keep + self._steps
        self._weighted_time = self._weighted_time * keep + passed
        self._last, self._steps = now, 0

    def leave_out(self, seconds: float) -> None:
        """Time in which nothing was to happen, such as a pause, is no slowness."""
        self._last += seconds

    def per_second(self) -> float | None:
        """None until there is something to say."""
        return self._weighted_steps / self._weighted_time if self._weighted_time else None


@dataclass(slots=True)
class Metric:
    """A named value that the loop reports, and its past."""

    value: float | str
    history: History | None = None  # None for text

    @property
    def text(self) -> str:
        return self.value if isinstance(self.value, str) else _format.number(self.value)

    @property
    def bad(self) -> bool:
        """NaN or infinite: worth a warning, not only a number."""
        return not isinstance(self.value, str) and not math.isfinite(self.value)


def plain(name: str, value: Any) -> float | str:
    """A Python number, or text, out of what a training loop has at hand.

    Raises:
        TypeError: if `value` is neither a number, a one-element tensor or array, nor a string.
    """
    if isinstance(value, str):
        line = " ".join(value.split())
        return line if len(line) <= TEXT_LIMIT else line[: TEXT_LIMIT - 1] + "…"
    if hasattr(value, "item"):
        shape = tuple(getattr(value, "shape", ()))
        if math.prod(shape) != 1:
            raise TypeError(
                f"progress: metric {name!r} must be one number, got {type(value).__name__} of "
                f"shape {shape}; reduce it first, for example with .mean()"
            )
        value = value.item()
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    raise TypeError(
        f"progress: metric {name!r} must be a number, a one-element tensor or a string, "
        f"got {type(value).__name__}"
    )


@dataclass(slots=True)
class Row:
    """One bar of the picture: the loop itself, or a loop nested in it."""

    label: str
    total: int | None
    n: int = 0
    status: Status = "running"
    metrics: dict[str, Metric] = field(default_factory=dict)
    started: float = 0.0
    _elapsed: float | None = None
    _rate: Rate = field(default_factory=lambda: Rate(0.0))

    def begin(self, total: int | None) -> None:
        """Start, or start again: a nested loop comes back each epoch and keeps its metrics."""
        now = time.monotonic()
        self.total, self.n, self.status = total, 0, "running"
        self.started, self._elapsed, self._rate = now, None, Rate(now)

    def step(self) -> None:
        self.n += 1
        self._rate.step(time.monotonic())

    def leave_out(self, seconds: float) -> None:
        """Count a pause neither as duration nor as slowness."""
        self.started += seconds
        self._rate.leave_out(seconds)

    def go_on(self) -> None:
        """Running again after its end, with the count, the metrics and the time spent so far."""
        now = time.monotonic()
        self.status = "running"
        self.started, self._elapsed, self._rate = now - self.elapsed, None, Rate(now)

    def end(self, status: Status) -> None:
        self.status = status
        self._elapsed = time.monotonic() - self.started

    def set(self, name: str, value: Any) -> None:
        value = plain(name, value)
        metric = self.metrics.get(name)
        if metric is None:
            metric = self.metrics[name] = Metric(value)
        metric.value = value
        if not isinstance(value, str):
            if metric.history is None:
                metric.history = History()
            metric.history.add(value)

    @property
    def complete(self) -> bool:
        return self.total is not None and self.n >= self.total

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started if self._elapsed is None else self._elapsed

    @property
    def throughput(self) -> float | None:
        """Steps per second: the recent ones while running, all of them afterwards."""
        if self._elapsed is None:
            return self._rate.per_second()
        return self.n / self._elapsed if self._elapsed > 0 and self.n else None

    @property
    def remaining(self) -> float | None:
        """Estimated seconds to the end."""
        rate = self.throughput
        if self.status != "running" or not rate or self.total is None:
            return None
        return max(self.total - self.n, 0) / rate

    def count(self) -> str:
        """How far, in words that also say how it ended.

        >>> Row("epochs", 20, n=7, status="stopped").count()
        'stopped after 7 of 20'
        """
        if self.status in ("running", "done"):
            return f"{self.n}" if self.total is None else f"{self.n}/{self.total}"
        of = "" if self.total is None else f" of {self.total}"
        if self.status == "interrupted":
            return f"interrupted in step {self.n + 1}{of}"
        return f"{self.status} after {self.n}{of}"

    def text(self) -> str:
        """One line without times: the same for every run of the same program."""
        parts = [f"{self.label}: {self.count()}"]
        parts += [f"{name} {metric.text}" for name, metric in self.metrics.items()]
        return " · ".join(parts)
