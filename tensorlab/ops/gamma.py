"""The incomplete gamma functions and Hurwitz's zeta function.

The incomplete gamma function is computed as in W. H. Press et al., Numerical Recipes, section 6.2: by its
power series below a + 1, and by Lentz's method for its continued fraction above.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops.arithmetic import _float_only
from tensorlab.ops.elementwise import _mismatch
from tensorlab.ops.functions import exp, log
from tensorlab.ops.special import _BERNOULLI, _lgamma, lgamma

_EPSILON = 2.0**-53
_TINY = 1e-300
_MOST_TERMS = 10_000


def _both(xp: Any, a: Any, x: Any) -> tuple[Any, Any]:
    """The lower and the upper regularised incomplete gamma function, in float64."""
    a, x = xp.broadcast_arrays(xp.asarray(a, np.float64), xp.asarray(x, np.float64))
    usual = (a > 0) & (x > 0) & (x < math.inf) & (a < math.inf)
    s, t = xp.where(usual, a, 1.0), xp.where(usual, x, 1.0)
    scale = xp.exp(-t + s * xp.log(t) - _lgamma(xp, s))
    in_series = t < s + 1
    # Σ tᵏ / (s (s + 1) … (s + k))
    z = xp.where(in_series, t, 0.5)
    term = total = 1 / s
    for k in range(1, _MOST_TERMS):
        term = term * z / (s + k)
        total = total + term
        if not bool((term > total * _EPSILON).any()):
            break
    # 1 / (t + 1 - s - 1·(1 - s) / (t + 3 - s - 2·(2 - s) / (t + 5 - s - …)))
    y = xp.where(in_series, s + 2, t)
    b = y + 1 - s
    c, d = xp.full(y.shape, 1 / _TINY), 1 / b
    fraction = d
    for k in range(1, _MOST_TERMS):
        step = -k * (k - s)
        b = b + 2
        d = step * d + b
        d = 1 / xp.where(xp.abs(d) < _TINY, _TINY, d)
        c = b + step / c
        c = xp.where(xp.abs(c) < _TINY, _TINY, c)
        fraction = fraction * (c * d)
        if not bool((xp.abs(c * d - 1) > _EPSILON * 2).any()):
            break
    below = xp.where(in_series, scale * total, 1 - scale * fraction)
    above = xp.where(in_series, 1 - scale * total, scale * fraction)
    # At the ends: all of the mass is above 0 and below infinity.
    wrong = (
        xp.isnan(a)
        | xp.isnan(x)
        | (a < 0)
        | (x < 0)
        | ((a == 0) & (x == 0))
        | ((a == math.inf) & (x == math.inf))
    )
    full = (a == 0) | (x == math.inf)
    ends = xp.where(wrong, math.nan, xp.where(full, 1.0, 0.0))
    return xp.where(usual, below, ends), xp.where(usual, above, 1 - ends)


def _incomplete(name: str, older: str, which: int, meaning: str, sign: float, example: str) -> Any:
    def forward(xp, input, other, /):
        _float_only(older, input, other)
        kind = (input if hasattr(input, "dtype") else other).dtype
        return _both(xp, input, other)[which].astype(kind)

    forward.__name__ = older
    forward.__doc__ = (
        f"The regularised {meaning} incomplete gamma function of `input` (a) at `other` (x); a, x ≥ 0.\n\n"
        "    Only x has a gradient.\n\n    >>> import tensorlab as tl\n"
        f"    >>> tl.{older}(tl.tensor([1.0]), tl.tensor([1.0]))\n    tensor([{example}])\n    "
    )
    made = op(
        samples=lambda r: [
            Sample(r(2, 3, low=0.3, high=5), r(2, 3, low=0.2, high=8)),
            Sample(r(3, 1, low=1, high=4), r(4, low=20, high=40)),
            Sample(np.array([0.0, 1.0, 0.0, 2.0], r.dtype), np.array([1.0, 0.0, 0.0, np.inf], r.dtype)).kink(),
        ],
        errors=lambda r: [*_mismatch(r), ErrorSample(r.int(3), r.int(3), error=NotImplementedError, match=older)],
        method=True, inplace=True, name=older,
    )(forward)  # fmt: skip
    made.vjp(
        other=lambda g, input, other: (
            g * exp((input - 1.0) * log(other) - other - lgamma(input)) * sign
        )
    )
    return made


igamma = _incomplete("gammainc", "igamma", 0, "lower", 1.0, "0.6321")
igammac = _incomplete("gammaincc", "igammac", 1, "upper", -1.0, "0.3679")


@op(
    samples=lambda r: [
        Sample(r(2, 3, low=1.2, high=6), r(2, 3, low=0.3, high=5)), Sample(2.0, r(3, low=0.5, high=30)),
        Sample(np.array([1.0, 0.5, 3.0, 2.5], r.dtype), np.array([2.0, 2.0, -1.0, -0.5], r.dtype)).kink(),
    ],
    errors=_mismatch, result="float", torch="special.zeta", name="special_zeta",
)  # fmt: skip
def zeta(xp, input, other, /):
    r"""Hurwitz's zeta function \(\sum_k (q + k)^{-x}\) of x = `input` > 1 and q = `other`; inf at x = 1.

    By Euler and Maclaurin's summation formula. It has a gradient by q, but none by x.

    >>> import tensorlab as tl
    >>> tl.special.zeta(tl.tensor([2.0]), tl.tensor([1.0]))
    tensor([1.6449])
    """
    kind = (input if hasattr(input, "dtype") else other).dtype
    s, q = xp.broadcast_arrays(xp.asarray(input, np.float64), xp.asarray(other, np.float64))
    whole = q == xp.floor(q)
    usual = (s > 1) & ((q > 0) | (~whole & (s == xp.floor(s))))
    x, start = xp.where(usual, s, 2.0), xp.where(usual, q, 1.0)
    # As many terms one by one as lead from the lowest q beyond 12.
    first = 12 + int(max(0.0, -float(start.min()))) if start.size else 12
    total = xp.zeros(x.shape)
    for k in range(first):
        base = start + k
        odd = xp.where(base < 0, 1 - 2 * (x % 2), 1.0)
        total = total + odd * xp.abs(base) ** -x
    edge = start + first
    total = total + edge ** (1 - x) / (x - 1) + 0.5 * edge**-x
    factor = x
    for k, b in enumerate(_BERNOULLI, start=1):
        total = total + b / math.factorial(2 * k) * factor * edge ** (1 - x - 2 * k)
        factor = factor * (x + 2 * k - 1) * (x + 2 * k)
    others = xp.where((s == 1) | ((s > 1) & whole), math.inf, math.nan)
    return xp.where(usual, total, others).astype(kind)


zeta.vjp(other=lambda g, input, other: g * (zeta(input + 1.0, other) * -input))
