"""Special functions of each element: erfc, erfinv, lgamma, digamma, polygamma; gcd and lcm.

NumPy has none of them in fast form, so they are computed here, in float64, from series whose
sources stand beside them. Errors are a few units in the last place of float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops._out import with_out
from tensorlab.ops.activation import _ERFC_BOTTOM, _ERFC_TOP, _erf, _polynomial
from tensorlab.ops.elementwise import _mismatch
from tensorlab.ops.functions import each, exp, function

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)

# The error function's relatives -----------------------------------------------------------

# The same source as erf, for arguments beyond 8 (S. L. Moshier, Cephes, ndtr.c).
_FAR_TOP = (0.564189583547755073984, 1.27536670759978104416, 5.01905042251180477414,
            6.16021097993053585195, 7.40974269950448939160, 2.97886665372100240670)  # fmt: skip
_FAR_BOTTOM = (1.0, 2.26052863220117276590, 9.39603524938001434673, 12.0489539808096656605,
               17.0814450747565897222, 9.60896809063285878198, 3.36907645100081516050)  # fmt: skip


def _erfc(xp: Any, x: Any) -> Any:
    x64 = x.astype(np.float64)
    size = xp.clip(xp.abs(x64), 1, 27)  # erfc(27) is the last number above 0
    middle, far = xp.minimum(size, 8), xp.maximum(size, 8)
    scale = xp.exp(-size * size)
    near = _polynomial(_ERFC_TOP, middle) / _polynomial(_ERFC_BOTTOM, middle)
    tail = _polynomial(_FAR_TOP, far) / _polynomial(_FAR_BOTTOM, far)
    upper = scale * xp.where(size < 8, near, tail)
    upper = xp.where(xp.abs(x64) > 27, 0, upper)
    out = xp.where(x64 > 1, upper, xp.where(x64 < -1, 2 - upper, 1 - _erf(xp, x64)))
    return xp.where(xp.isnan(x64), x64, out).astype(x.dtype)


erfc = function(
    "erfc", r"The complementary error function \(1 - \mathrm{erf}(x)\), exact also where that is tiny.", _erfc,
    lambda g, input: g * (exp(-(input * input)) * -_TWO_OVER_ROOT_PI),
    ("0., 1.", "1.0000, 0.1573"), ref=each(math.erfc), more=lambda r: [Sample(r(6, low=-5.0, high=12.0))],
)  # fmt: skip

# M. Giles, "Approximating the erfinv function", GPU Computing Gems 2, 2011: two polynomials in
# w = -log(1 - x²), good to 7 digits. Two steps of Halley's method make them exact.
_INVERSE_NEAR = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                 -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)  # fmt: skip
_INVERSE_FAR = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)  # fmt: skip


def _erfinv(xp: Any, x: Any) -> Any:
    x64 = x.astype(np.float64)
    inside = xp.abs(x64) < 1
    safe = xp.where(inside, x64, 0.0)
    w = -xp.log1p(-safe * safe)
    near = _polynomial(_INVERSE_NEAR, w - 2.5)
    far = _polynomial(_INVERSE_FAR, xp.sqrt(xp.maximum(w, 5)) - 3)
    y = safe * xp.where(w < 5, near, far)
    for _ in range(2):
        # The distance to the target, taken from the nearer end so that it keeps its digits.
        off = xp.where(
            safe > 0.5,
            (1 - safe) - _erfc(xp, y),
            xp.where(safe < -0.5, _erfc(xp, -y) - (1 + safe), _erf(xp, y) - safe),
        )
        step = off / (_TWO_OVER_ROOT_PI * xp.exp(-y * y))
        y = y - step / (1 + y * step)
    ends = xp.where(xp.abs(x64) == 1, xp.copysign(math.inf, x64), math.nan)
    return xp.where(inside, y, ends).astype(x.dtype)


erfinv = function(
    "erfinv", r"The inverse of `erf`; ±inf at ±1, nan beyond.", _erfinv,
    lambda g, out: g * (exp(out * out) * (1 / _TWO_OVER_ROOT_PI)),
    ("0.0, 0.5", "0.0000, 0.4769"), low=-0.95, high=0.95,
    more=lambda r: [Sample(np.array([-1.0, 1.0, 2.0], r.dtype)).kink()],
)  # fmt: skip

# Gamma ------------------------------------------------------------------------------------

# Stirling's series: B_2k / (2k (2k-1)) for log gamma, with Bernoulli's numbers B_2k
# (Abramowitz and Stegun, Handbook of Mathematical Functions, 6.1.40 and 6.3.18).
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
_SHIFT = 10  # the series are used from here on; smaller arguments are moved up


def _lgamma_positive(xp: Any, x: Any) -> Any:
    small = x < _SHIFT
    moved = xp.where(small, x + _SHIFT, x)
    product = xp.ones_like(x)
    for k in range(_SHIFT):  # gamma(x + 1) = x gamma(x)
        product = product * xp.where(small, x + k, 1.0)
    inverse = 1 / moved
    square = inverse * inverse
    terms = [b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, start=1)]
    series = inverse * _polynomial(tuple(reversed(terms)), square)
    return (
        (moved - 0.5) * xp.log(moved)
        - moved
        + 0.5 * math.log(2 * math.pi)
        + series
        - xp.log(product)
    )


def _lgamma(xp: Any, x: Any) -> Any:
    x64 = x.astype(np.float64)
    reflected = x64 < 0.5
    upper = _lgamma_positive(xp, xp.where(reflected, 1 - x64, x64))
    # gamma(x) gamma(1 - x) = π / sin(πx), the sine taken of the fraction alone.
    sine = xp.abs(xp.sin(math.pi * (x64 - xp.floor(x64))))
    lower = xp.where(
        sine == 0, math.inf, math.log(math.pi) - xp.log(xp.where(sine == 0, 1.0, sine)) - upper
    )
    out = xp.where(xp.abs(x64) == math.inf, math.inf, xp.where(reflected, lower, upper))
    return out.astype(x.dtype)


lgamma = function(
    "lgamma", r"\(\ln|\Gamma(x)|\), the logarithm of the factorial of x - 1; inf at 0, -1, -2 …", _lgamma,
    lambda g, input: g * digamma(input),
    ("3.0, 0.5", "0.6931, 0.5724"), low=0.1, high=6.0,
    more=lambda r: [Sample(r(4, low=-2.9, high=-2.1)), Sample(np.array([0.0, -1.0, 100.0], r.dtype)).kink()],
)  # fmt: skip


def _digamma_positive(xp: Any, x: Any) -> Any:
    small = x < _SHIFT
    moved = xp.where(small, x + _SHIFT, x)
    lifted = xp.zeros_like(x)
    for k in range(_SHIFT):
        lifted = lifted + xp.where(small, 1 / (x + k), 0.0)
    square = 1 / (moved * moved)
    terms = [-b / (2 * k) for k, b in enumerate(_BERNOULLI, start=1)]
    series = square * _polynomial(tuple(reversed(terms)), square)
    return xp.log(moved) - 0.5 / moved + series - lifted


def _digamma(xp: Any, x: Any) -> Any:
    x64 = x.astype(np.float64)
    reflected = x64 < 0
    upper = _digamma_positive(xp, xp.where(reflected, 1 - x64, xp.where(x64 == 0, 1.0, x64)))
    fraction = x64 - xp.floor(x64)
    tangent = xp.tan(math.pi * xp.where(fraction == 0, 0.25, fraction))
    lower = xp.where(fraction == 0, math.nan, upper - math.pi / tangent)
    out = xp.where(reflected, lower, xp.where(x64 == 0, xp.copysign(math.inf, -x64), upper))
    return out.astype(x.dtype)


digamma = function(
    "digamma", r"The derivative of `lgamma`: \(\Gamma'(x)/\Gamma(x)\).", _digamma,
    lambda g, input: g * polygamma(1, input),
    ("1.0, 0.5", "-0.5772, -1.9635"), low=0.1, high=6.0,
    more=lambda r: [Sample(r(4, low=-2.9, high=-2.1)), Sample(np.array([0.0, 100.0], r.dtype)).kink()],
)  # fmt: skip


def _zeta(xp: Any, s: int, q: Any) -> Any:
    """Hurwitz's zeta function Σ (q + k)^-s, by Euler and Maclaurin's summation formula."""
    start = 12
    total = xp.zeros_like(q)
    for k in range(start):
        total = total + (q + k) ** -s
    edge = q + start
    total = total + edge ** (1 - s) / (s - 1) + 0.5 * edge**-s
    factor = float(s)
    for k, b in enumerate(_BERNOULLI, start=1):
        total = total + b / math.factorial(2 * k) * factor * edge ** (1 - s - 2 * k)
        factor *= (s + 2 * k - 1) * (s + 2 * k)
    return total


def _polygamma_of_negative(xp: Any, n: int, x: Any) -> Any:
    """Move up by the recurrence ψₙ(x) = ψₙ(x + 1) - (-1)ⁿ n! / x^(n+1), as far as it takes."""
    finite = xp.isfinite(x)
    ends = xp.where(x > 0, 0.0, math.nan)  # of infinity, and of what no step leads up from
    x = xp.where(finite, x, 1.0)
    steps = max(0, math.ceil(-float(x.min()))) + 1 if x.size else 1
    total = xp.zeros_like(x)
    for _ in range(steps):
        low = x <= 0
        total = total + xp.where(low, xp.where(low, x, 1.0) ** -(n + 1.0), 0.0)
        x = xp.where(low, x + 1, x)
    return xp.where(finite, total + _zeta(xp, n + 1, x), ends)


@op(
    samples=lambda r: [
        Sample(r(2, 3, low=0.3, high=5), 1), Sample(r(3, low=0.5, high=3), 2), Sample(r(3, low=-1.9, high=-1.1), 1),
    ],
    errors=lambda r: [ErrorSample(r(3), -1, error=RuntimeError, match="polygamma.*non-negative")],
    torch=lambda x, n: _torch_polygamma(n, x), result="float", name="polygamma",
)  # fmt: skip
def _polygamma(xp, input, /, n):
    """The n-th derivative of `digamma`; `polygamma` is the public form."""
    if n < 0:
        raise RuntimeError(
            f"polygamma(n, x) does not support negative n: n must be non-negative, got {n}"
        )
    if n == 0:
        return _digamma(xp, input)
    sign = (-1.0) ** (n + 1)
    return (
        sign * math.factorial(n) * _polygamma_of_negative(xp, n, input.astype(np.float64))
    ).astype(input.dtype)


def _torch_polygamma(n: int, x: Any) -> Any:
    from tensorlab.testing import _torch

    return _torch.module().polygamma(n, x)


_polygamma.vjp(input=lambda g, input, n: g * _polygamma(input, n + 1))


@with_out
def polygamma(n: int, input: Any) -> Any:
    """The n-th derivative of `digamma`; n = 0 is `digamma` itself.

    >>> import tensorlab as tl
    >>> tl.polygamma(1, tl.tensor([1.0]))
    tensor([1.6449])
    """
    return _polygamma(input, n)


def mvlgamma(input: Any, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension `p`, for elements above (p - 1)/2.

    >>> import tensorlab as tl
    >>> tl.mvlgamma(tl.tensor([2.0]), 2)
    tensor([0.4516])
    """
    total: Any = p * (p - 1) / 4 * math.log(math.pi)
    for j in range(p):
        total = lgamma(input - j / 2) + total
    return total


# Whole numbers and bits -------------------------------------------------------------------


def _of_integers(name: str, meaning: str, ref: Any, example: tuple[int, int, int]) -> Any:
    def forward(xp, input, other, /):
        for x in (input, other):
            if hasattr(x, "dtype") and x.dtype.kind not in "iu":
                raise NotImplementedError(
                    f"{name}() is not implemented for {from_numpy_dtype(x.dtype)}: it needs integers"
                )
        return getattr(xp, name)(input, other)

    a, b, c = example
    forward.__name__ = name
    forward.__doc__ = (
        f"The {meaning} of two integers, with broadcasting.\n\n    >>> import tensorlab as tl\n"
        f"    >>> tl.{name}(tl.tensor([{a}]), tl.tensor([{b}]))\n    tensor([{c}])\n    "
    )
    return op(
        samples=lambda r: [
            Sample(r.int(2, 3, low=-20, high=20), r.int(3, low=-20, high=20)), Sample(r.int(0), r.int(0)),
        ],
        errors=lambda r: [ErrorSample(r(3), r(3), error=NotImplementedError, match="needs integers")],
        ref=np.vectorize(ref, otypes=[np.int64]), method=True, inplace=True,
    )(forward)  # fmt: skip


gcd = _of_integers("gcd", "greatest common divisor", math.gcd, (12, 18, 6))
lcm = _of_integers("lcm", "least common multiple", math.lcm, (4, 6, 12))


@op(
    samples=lambda r: [Sample(r(2, 3), r(2, 3)), Sample(r(3), r(1))], errors=_mismatch, ref=np.nextafter, method=True,
    inplace=True,
)  # fmt: skip
def nextafter(xp, input, other, /):
    """The next floating-point number from `input` towards `other`.

    >>> import tensorlab as tl
    >>> tl.nextafter(tl.tensor([1.0]), tl.tensor([2.0])) - 1
    tensor([1.1921e-07])
    """
    return xp.nextafter(input, other)
