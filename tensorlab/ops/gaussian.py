"""The normal distribution's functions: ndtr, its logarithm and inverse, erfcx, and entropy's terms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import Sample, op
from tensorlab.ops._out import with_out
from tensorlab.ops.activation import _ERFC_BOTTOM, _ERFC_TOP, _erf, _polynomial
from tensorlab.ops.arithmetic import _kind
from tensorlab.ops.compare import where
from tensorlab.ops.elementwise import _mismatch
from tensorlab.ops.functions import exp, function, log, log1p
from tensorlab.ops.special import _FAR_BOTTOM, _FAR_TOP, _TWO_OVER_ROOT_PI, _erfc

_ROOT_HALF = math.sqrt(0.5)
_DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)


def _erfcx(xp: Any, x: Any) -> Any:
    """erfc(x)·exp(x²), from the quotients of polynomials that erfc multiplies by exp(-x²)."""
    size = xp.abs(x)
    middle, far = xp.clip(size, 1, 8), xp.maximum(size, 8)
    near = _polynomial(_ERFC_TOP, middle) / _polynomial(_ERFC_BOTTOM, middle)
    # Beyond 50 the quotient is 1/(x·√π)·(1 - 1/(2x²)) to all digits, and its powers overflow late.
    bounded = xp.minimum(far, 50.0)
    tail = _polynomial(_FAR_TOP, bounded) / _polynomial(_FAR_BOTTOM, bounded)
    inverse = 1 / far
    leading = (
        inverse / math.sqrt(math.pi) * (1 - 0.5 * inverse * inverse * (1 - 1.5 * inverse * inverse))
    )
    upper = xp.where(size < 8, near, xp.where(far > 50, leading, tail))
    grown = xp.exp(x * x)
    return xp.where(
        x > 1, upper, xp.where(x < -1, 2 * grown - upper, grown * (1 - _erf(xp, xp.clip(x, -1, 1))))
    )


erfcx = function(
    "erfcx", r"The scaled complementary error function \(e^{x^2}\,\mathrm{erfc}(x)\).",
    lambda xp, x: _erfcx(xp, x.astype(np.float64)).astype(x.dtype),
    lambda g, input, out: g * (2.0 * input * out - _TWO_OVER_ROOT_PI),
    ("0., 1.", "1.0000, 0.4276"), namespace="special", more=lambda r: [Sample(r(6, low=-4.0, high=100.0))],
)  # fmt: skip

ndtr = function(
    "ndtr", r"The standard normal distribution function \(\frac{1}{2}\mathrm{erfc}(-x/\sqrt2)\).",
    lambda xp, x: (_erfc(xp, -x.astype(np.float64) * _ROOT_HALF) / 2).astype(x.dtype),
    lambda g, input: g * (exp(input * input * -0.5) * _DENSITY_AT_0),
    ("0., 1.", "0.5000, 0.8413"), namespace="special", more=lambda r: [Sample(r(6, low=-9.0, high=9.0))],
)  # fmt: skip


def _log_ndtr(xp: Any, x: Any) -> Any:
    low = xp.minimum(x, -1.0)
    left = xp.log(_erfcx(xp, -low * _ROOT_HALF) / 2) - low * low / 2
    return xp.where(x < -1, left, xp.log1p(-_erfc(xp, xp.maximum(x, -1.0) * _ROOT_HALF) / 2))


log_ndtr = function(
    "log_ndtr", "The logarithm of `ndtr`, exact also far below 0.",
    lambda xp, x: _log_ndtr(xp, x.astype(np.float64)).astype(x.dtype),
    lambda g, input: g * (2 * _ROOT_HALF / math.sqrt(math.pi) / erfcx(input * -_ROOT_HALF)),
    ("0., 1.", "-0.6931, -0.1728"), namespace="special", more=lambda r: [Sample(r(6, low=-30.0, high=5.0))],
)  # fmt: skip


def _ndtri(xp: Any, p: Any) -> Any:
    """Newton's method on log_ndtr, which is concave: from below it comes closer in every step."""
    inside = (p > 0) & (p < 1)
    tail = xp.where(inside, xp.minimum(p, 1 - p), 0.5)
    target = xp.log(tail)
    x = -xp.sqrt(-2 * target)
    for _ in range(8):
        reached = _log_ndtr(xp, x)
        x = x - (reached - target) * xp.exp(reached + x * x / 2) / _DENSITY_AT_0
    found = xp.where(p > 0.5, -x, xp.where(p == 0.5, 0.0, x))
    ends = xp.where(p == 0, -math.inf, xp.where(p == 1, math.inf, math.nan))
    return xp.where(inside, found, ends)


ndtri = function(
    "ndtri", "The inverse of `ndtr`: the quantile of the standard normal distribution; nan outside [0, 1].",
    lambda xp, x: _ndtri(xp, x.astype(np.float64)).astype(x.dtype),
    lambda g, out: g * (exp(out * out * 0.5) * (1 / _DENSITY_AT_0)),
    ("0.5, 0.975", "0.0000, 1.9600"), namespace="special", low=0.02, high=0.98,
    more=lambda r: [Sample(np.array([0.0, 1.0, 2.0, 1e-30], r.dtype)).kink()],
)  # fmt: skip


def _entr(xp: Any, x: Any) -> Any:
    safe = xp.where(x > 0, x, 1)
    return xp.where(x > 0, -x * xp.log(safe), xp.where(x < 0, -math.inf, x)).astype(x.dtype)


entr = function(
    "entr", r"A term of the entropy: \(-x \ln x\); 0 at 0, -inf below.", _entr,
    lambda g, input: g * (-1.0 - log(input)),
    ("0.0, 0.5", "0.0000, 0.3466"), namespace="special", low=0.05, high=3.0,
    more=lambda r: [Sample(np.array([-1.0, np.nan], r.dtype)).kink()],
)  # fmt: skip


@op(
    samples=lambda r: [
        Sample(r(2, 3), r(2, 3, low=-0.7, high=2)),
        Sample(np.array([0.0, 0.0], r.dtype), np.array([1.0, -1.0], r.dtype)).kink(),
        Sample(r(3), 2.0), Sample(2.0, r(3, low=0.3)), Sample(r.int(3), r(3, low=0.3)),
    ],
    errors=_mismatch, result="float", torch="special.xlog1py", name="special_xlog1py",
)  # fmt: skip
def xlog1py(xp, input, other, /):
    r"""\(x \ln(1 + y)\), and 0 where x is 0 whatever y is.

    >>> import tensorlab as tl
    >>> tl.special.xlog1py(tl.tensor([0., 2.]), tl.tensor([-1., 0.]))
    tensor([0., 0.])
    """
    flat = xp.equal(input, 0) & ~xp.isnan(other)
    kind = other.dtype if hasattr(other, "dtype") else input.dtype
    return input * xp.log1p(xp.where(flat, 0, other).astype(kind))


def _xlog1py_input(g, input, other):
    if _kind(getattr(other, "_data", other)) in "biu":
        other = other + 0.0
    slope = math.log1p(other) if isinstance(other, (int, float)) else log1p(other)
    if isinstance(input, (int, float)) or isinstance(slope, float):
        return g * slope
    return where((input == 0) & (other <= -1), 0.0, g * slope)


xlog1py.vjp(input=_xlog1py_input, other=lambda g, input, other: g * input / (other + 1))


@with_out
def multigammaln(a: Any, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension `p`; see `mvlgamma`.

    >>> import tensorlab as tl
    >>> tl.special.multigammaln(tl.tensor([2.0]), 2)
    tensor([0.4516])
    """
    from tensorlab.ops.special import mvlgamma

    return mvlgamma(a, p)
