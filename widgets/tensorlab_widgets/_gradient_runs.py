"""Runs whose gradients were recorded: a recorder, or what its `to_dict()` gave, packed for the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any, Protocol

import numpy as np

from tensorlab.inspect import Flag

__all__ = ["Run", "SavedRun", "packed"]

SCHEMA = "tensorlab.gradients/1"
STATISTICS = ("raw_norm", "norm", "update_ratio", "weight_norm", "std", "zeros")
ACTIVATION_STATISTICS = ("std", "zeros", "saturated", "dead")
#: Histograms are drawn as columns over time: more than this no screen shows.
MOST_COLUMNS = 120


class Run(Protocol):
    """What `inspect.GradientRecorder` and `SavedRun` have in common."""

    names: Any
    kinds: Any
    sizes: Any
    count: int
    edges: Any

    @property
    def steps(self) -> np.ndarray: ...
    @property
    def losses(self) -> np.ndarray: ...
    @property
    def histograms(self) -> np.ndarray: ...
    @property
    def activations(self) -> tuple[str, ...]: ...
    def series(self, statistic: str) -> np.ndarray: ...
    def activation_series(self, statistic: str) -> np.ndarray: ...
    def flags(self) -> list[Flag]: ...


class SavedRun:
    """A recording that was saved as `recorder.to_dict()`, read like the recorder itself."""

    def __init__(self, saved: Mapping[str, Any]) -> None:
        if saved.get("schema") != SCHEMA:
            raise ValueError(
                f"expected what recorder.to_dict() gives, with schema {SCHEMA!r}, got schema "
                f"{saved.get('schema')!r}"
            )
        self.names = tuple(saved["names"])
        self.kinds = saved.get("kinds", [])  # older recordings have none
        self.sizes = tuple(saved["sizes"])
        self.count = int(saved["count"])
        self.edges = (float("-inf"), *saved["edges"], float("inf"))
        self.activations = tuple(saved["activations"]["names"])
        self._saved = saved

    @property
    def steps(self) -> np.ndarray:
        return np.array(self._saved["steps"], np.int64)

    @property
    def losses(self) -> np.ndarray:
        return _numbers(self._saved["losses"], (-1,))

    @property
    def histograms(self) -> np.ndarray:
        bins = len(self.edges) - 1
        return np.array(self._saved["histograms"], np.int32).reshape(-1, len(self.names), bins)

    def series(self, statistic: str) -> np.ndarray:
        rows = self._saved["statistics"][statistic]
        return _numbers(rows, (len(rows), len(self.names)))

    def activation_series(self, statistic: str) -> np.ndarray:
        rows = self._saved["activations"]["statistics"][statistic]
        return _numbers(rows, (len(rows), len(self.activations)))

    def flags(self) -> list[Flag]:
        return [Flag(**{**each, "where": tuple(each["where"])}) for each in self._saved["flags"]]


def _numbers(values: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
    """With nan for None."""
    flat = np.array(values, object).reshape(-1)
    return np.array([nan if v is None else v for v in flat], np.float64).reshape(shape)


def packed(run: Run, label: str) -> dict[str, Any]:
    """A run as the browser draws it: see widgets/src/gradients/data.ts. Arrays are little-endian bytes.

    Histograms are shares of each column's largest bin in 1/255, of at most `MOST_COLUMNS` steps.
    """
    steps, histograms = run.steps, run.histograms
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MOST_COLUMNS)).astype(int))
    columns = histograms[chosen].astype(np.float64)
    largest = columns.max(axis=2, keepdims=True, initial=0)
    # Rounded up: a bin with one number in it must not look empty.
    shares = np.ceil(255 * columns / np.maximum(largest, 1)).astype(np.uint8)
    return {
        "label": label,
        "count": run.count,
        "names": list(run.names),
        "kinds": list(run.kinds),
        "sizes": list(run.sizes),
        "steps": steps.astype("<i4").tobytes(),
        "losses": run.losses.astype("<f4").tobytes(),
        "statistics": {name: run.series(name).astype("<f4").tobytes() for name in STATISTICS},
        "edges": [float(edge) for edge in run.edges[1:-1]],
        "histogramSteps": steps[chosen].astype("<i4").tobytes(),
        "histograms": shares.tobytes(),
        "activations": list(run.activations),
        "activationStatistics": {
            name: run.activation_series(name).astype("<f4").tobytes()
            for name in ACTIVATION_STATISTICS
        },
        "flags": [flag.to_dict() for flag in run.flags()],
    }
