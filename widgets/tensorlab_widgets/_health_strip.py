"""A glance at every parameter's gradient: its size now, and what is flagged."""

from __future__ import annotations

import math
import time
from typing import Any


class HealthStrip:
    """Watches a model through `tensorlab.inspect.gradients` while a training runs.

    Reading a recorder costs more than recording, so `read` looks again only when there is something
    new and at most as often as takes 1 % of the time.
    """

    def __init__(self, model: Any) -> None:
        from tensorlab import inspect

        self.recorder = inspect.gradients(model)
        self._seen = -1
        self._next = 0.0
        self._cells: list[dict[str, Any]] = []
        self._flags: list[dict[str, Any]] = []

    def read(self, *, now: bool = False) -> dict[str, Any]:
        """`cells` (name, norm, ratio, flags: positions in the list of flags) and `flags`."""
        steps = len(self.recorder.steps)
        begin = time.monotonic()
        if steps and steps != self._seen and (now or begin >= self._next):
            self._seen = steps
            self._look()
            self._next = begin + 100 * (time.monotonic() - begin)
        return {"cells": self._cells, "flags": self._flags}

    def _look(self) -> None:
        recorder = self.recorder
        flags = recorder.flags()
        norms, ratios = recorder.series("raw_norm")[-1], recorder.series("update_ratio")[-1]
        self._flags = [flag.to_dict() for flag in flags]
        self._cells = [
            {
                "name": name,
                "norm": _finite(norms[i]),
                "ratio": _finite(ratios[i]),
                # A flag without a place is about the run as a whole.
                "flags": [k for k, flag in enumerate(flags) if _concerns(flag.where, name)],
            }
            for i, name in enumerate(recorder.names)
        ]

    @property
    def flags(self) -> list[dict[str, Any]]:
        return self._flags

    def remove(self) -> None:
        """Take the hooks off."""
        self.read(now=True)
        self.recorder.remove()


def _concerns(where: tuple[str, ...], name: str) -> bool:
    """Whether a flag at parameters or activations is about this parameter, or about its own module."""
    module = name.rpartition(".")[0]
    return any(place == name or (module and place.partition(":")[0] == module) for place in where)


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
