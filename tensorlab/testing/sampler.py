"""Random arrays for an operation's samples: the `r` of `samples=lambda r: [Sample(r(2, 3))]`."""

from __future__ import annotations

from typing import Any

import numpy as np


class Sampler:
    """Makes the arrays of samples from one seed, floats in one dtype.

    Attributes: `dtype` (NumPy dtype of `r(...)`), `seed` (printed when a check fails).

    >>> from tensorlab.testing import Sampler
    >>> r = Sampler(seed=0)
    >>> r(2, 3).shape, r.int(4).dtype.name
    ((2, 3), 'int64')
    """

    def __init__(self, dtype: Any = np.float64, seed: int = 0) -> None:
        self.dtype = np.dtype(dtype)
        self.seed = seed
        self._rng = np.random.default_rng(seed)

    def __call__(
        self, *shape: int, low: float | None = None, high: float | None = None
    ) -> np.ndarray:
        """Normally distributed floats; with `low` or `high` uniform between them (0 and 1 unless given)."""
        if low is None and high is None:
            values = self._real(shape)
            if self.dtype.kind == "c":
                values = values + 1j * self._real(shape)
        else:
            low = 0.0 if low is None else low
            values = self._rng.uniform(low, low + 1.0 if high is None else high, shape)
        return np.asarray(values, self.dtype)

    def _real(self, shape: tuple[int, ...]) -> np.ndarray:
        # Kept off 0 and off one another: near a kink finite differences measure nothing.
        values = np.asarray(self._rng.standard_normal(shape))
        return np.where(np.abs(values) < 0.05, 0.05 + np.abs(values), values)

    def int(self, *shape: int, low: int = -5, high: int = 6) -> np.ndarray:
        """int64 numbers, low ≤ n < high."""
        return np.asarray(self._rng.integers(low, high, shape), np.int64)

    def bool(self, *shape: int) -> np.ndarray:
        """Fair coin tosses."""
        return np.asarray(self._rng.random(shape) < 0.5)

    def distinct(self, *shape: int) -> np.ndarray:
        """Floats at least 0.1 apart, in random order: no ties for sorting and maxima."""
        n = int(np.prod(shape))
        return np.asarray((self._rng.permutation(n) - n / 2) * 0.2 + 0.05, self.dtype).reshape(
            shape
        )
