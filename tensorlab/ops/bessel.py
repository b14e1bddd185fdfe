"""The modified Bessel functions of the first kind, i0 and i1, and their exponentially scaled forms.

From M. Abramowitz and I. Stegun, Handbook of Mathematical Functions: the power series 9.6.10, whose
terms are all positive so that nothing cancels, and Hankel's asymptotic series 9.7.1 beyond 40.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import Sample
from tensorlab.ops.compare import where
from tensorlab.ops.functions import function, sgn

_SERIES_ENDS = 40.0


def _scaled(xp: Any, x: Any, order: int) -> Any:
    """exp(-|x|) times the modified Bessel function of this order (0 or 1), in float64."""
    x = x.astype(np.float64)
    size = xp.abs(x)
    near, far = xp.minimum(size, _SERIES_ENDS), xp.maximum(size, _SERIES_ENDS)
    quarter = near * near / 4
    term = (near / 2) ** order
    total = term
    for k in range(1, 90):
        term = term * quarter / (k * (k + order))
        total = total + term
    tail, part = xp.ones_like(size), xp.ones_like(size)
    for k in range(1, 12):
        part = part * ((2 * k - 1) ** 2 - 4 * order**2) / (8 * k * far)
        tail = tail + part
    below, above = xp.exp(-near) * total, tail / xp.sqrt(2 * math.pi * far)
    out = xp.where(size <= _SERIES_ENDS, below, above)
    return xp.where(x < 0, -out, out) if order else out


def _full(order: int) -> Any:
    def forward(xp: Any, x: Any) -> Any:
        # In two factors, so that the exponential does not overflow before the product does.
        half = xp.exp(xp.abs(x.astype(np.float64)) / 2)
        return (_scaled(xp, x, order) * half * half).astype(x.dtype)

    return forward


def _by_exponential(order: int) -> Any:
    return lambda xp, x: _scaled(xp, x, order).astype(x.dtype)


def _far(r: Any) -> list[Sample]:
    return [Sample(r(4, low=-60.0, high=60.0)), Sample(np.array([0.0, 700.0], r.dtype)).kink()]


i0 = function(
    "i0", "The modified Bessel function of the first kind of order 0.", _full(0), lambda g, input: g * i1(input),
    ("0., 1.", "1.0000, 1.2661"), ref=np.i0,
)  # fmt: skip

i0e = function(
    "i0e", r"\(e^{-|x|}\) times `i0`, which does not overflow.", _by_exponential(0),
    lambda g, input, out: g * (i1e(input) - sgn(input) * out),
    ("0., 1.", "1.0000, 0.4658"), namespace="special", more=_far,
)  # fmt: skip

# I₁' = I₀ - I₁/x, and 1/2 at 0.
i1 = function(
    "i1", "The modified Bessel function of the first kind of order 1.", _full(1),
    lambda g, input, out: g * where(input == 0, 0.5, i0(input) - out / where(input == 0, 1.0, input)),
    ("0., 1.", "0.0000, 0.5652"), namespace="special",
)  # fmt: skip

i1e = function(
    "i1e", r"\(e^{-|x|}\) times `i1`, which does not overflow.", _by_exponential(1),
    lambda g, input, out: g * where(
        input == 0, 0.5, i0e(input) - out * (sgn(input) + 1.0 / where(input == 0, 1.0, input))
    ),
    ("0., 1.", "0.0000, 0.2079"), namespace="special", more=_far,
)  # fmt: skip
