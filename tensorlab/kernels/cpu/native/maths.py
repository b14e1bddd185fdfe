"""Functions of one float32 number, written so that a loop over them runs on whole vectors.

The C library's functions take one number at a time. These are polynomials without branches: where two
formulas are needed both are computed and one is chosen. Errors are a few units in the last place.

Sources of the polynomials: S. L. Moshier, Cephes Math Library (single precision, expf.c and logf.c),
1984-1992; for erf, N. Juffa's minimax approximation (stackoverflow.com/a/35148199), 2016.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = [
    "centred_dot", "centred_square", "dot", "erf", "exp", "expm1_below", "inlined", "largest", "log", "log1p", "normal",
    "of_order", "order", "sigmoid", "sigmoids", "sign", "tanh", "total", "total_exp",
]  # fmt: skip

_f = np.float32
_LOG2_E, _LN2_HIGH, _LN2_LOW = _f(1.44269504088896341), _f(0.693359375), _f(-2.12194440e-4)
_E5, _E4, _E3 = _f(1.9875691500e-4), _f(1.3981999507e-3), _f(8.3334519073e-3)
_E2, _E1, _E0 = _f(4.1665795894e-2), _f(1.6666665459e-1), _f(5.0000001201e-1)
_N5, _N4, _N3 = _f(-5.96761703e-4), _f(4.99119423e-3), _f(-2.67681349e-2)
_N2, _N1, _N0 = _f(1.12819925e-1), _f(-3.76125336e-1), _f(1.28379166e-1)
_F7, _F6, _F5, _F4 = _f(-1.72853470e-5), _f(3.83197126e-4), _f(-3.88396438e-3), _f(2.42546219e-2)
_F3, _F2, _F1 = _f(-1.06777877e-1), _f(-6.34846687e-1), _f(-1.28717512e-1)
_L8, _L7, _L6 = _f(7.0376836292e-2), _f(-1.1514610310e-1), _f(1.1676998740e-1)
_L5, _L4, _L3 = _f(-1.2420140846e-1), _f(1.4249322787e-1), _f(-1.6668057665e-1)
_L2, _L1, _L0 = _f(2.0000714765e-1), _f(-2.4999993993e-1), _f(3.3333331174e-1)
_P5, _P4, _P3 = _f(1.330274429), _f(-1.821255978), _f(1.781477937)
_P2, _P1, _P = _f(-0.356563782), _f(0.319381530), _f(0.2316419)
_SMALLEST_NORMAL, _TWO_TO_23 = _f(1.17549435e-38), _f(8388608)
_HALF, _ONE, _TWO = _f(0.5), _f(1), _f(2)
_INF, _NAN = _f(np.inf), _f(np.nan)
_PER_SQRT_2PI = _f(0.39894228040143268)


@intrinsic
def _float_of_bits(typingctx: Any, bits: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def _bits_of_float(typingctx: Any, number: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


def inlined(function: Any) -> Any:
    """Code that is put into the kernels that call it."""
    return njit(forceinline=True, fastmath={"contract"}, error_model="numpy")(function)


def _reordered(function: Any) -> Any:
    """The same, and sums in it may be added in another order, as vectors do it."""
    flags = {"contract", "reassoc"}
    return njit(forceinline=True, fastmath=flags, error_model="numpy")(function)


@inlined
def _two_to(n: Any) -> Any:
    """2ⁿ for whole n from −126 to 127."""
    return _float_of_bits(np.int32((n + np.int32(127)) << np.int32(23)))


@inlined
def _exp_parts(x: Any) -> Any:
    """n and m with eˣ = 2ⁿ · (1 + m): m is a polynomial of what is left of x, exact also near 0."""
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_E5 * r + _E4) * r + _E3) * r + _E2) * r + _E1) * r + _E0
    return np.int32(n), p * r * r + r


@inlined
def exp(x: Any) -> Any:
    """eˣ. Overflow gives inf, nan stays nan."""
    n, m = _exp_parts(min(max(x, _f(-104)), _f(89)))
    # 2ⁿ in two factors: one alone could not be as small as the smallest numbers are.
    half = n >> np.int32(1)
    return x if x != x else (m + _ONE) * _two_to(half) * _two_to(n - half)


@inlined
def expm1_below(x: Any) -> Any:
    """eˣ − 1 for x that is not above 0, exact also near 0: 2ⁿ · m + (2ⁿ − 1)."""
    n, m = _exp_parts(max(x, _f(-80)))
    power = _two_to(n)
    return power * m + (power - _ONE) if x < _f(0) else x


@inlined
def log(x: Any) -> Any:
    """ln x: x is m · 2ᵉ with m near 1, of which a polynomial. 0 gives −inf, below it nan."""
    small = x < _SMALLEST_NORMAL
    bits = _bits_of_float(x * _TWO_TO_23 if small else x)
    # m from √½ to √2: what its bits are more than those of √½ decides the exponent.
    e = np.int32(bits - np.int32(0x3F3504F3)) >> np.int32(23)
    m = _float_of_bits(np.int32(bits - np.int32(np.int32(e) << np.int32(23)))) - _ONE
    exponent = np.float32(np.int32(e)) - (_f(23) if small else _f(0))
    z = m * m
    p = (((_L8 * m + _L7) * m + _L6) * m + _L5) * m + _L4
    p = ((((p * m + _L3) * m + _L2) * m + _L1) * m + _L0) * m * z
    p = p + exponent * _LN2_LOW - _HALF * z
    value = m + p + exponent * _LN2_HIGH
    value = -_INF if x == _f(0) else value
    value = _NAN if x < _f(0) else value
    return value if x < _INF else x  # inf and nan


@inlined
def log1p(x: Any) -> Any:
    """ln(1 + x): that of 1 + x as it was rounded, and the first-order term of what was rounded off."""
    u = _ONE + x
    value = log(u) + (x - (u - _ONE)) / u
    value = x if u == _ONE else value
    return value if (u > _f(0)) & (u < _INF) else log(u)


@inlined
def order(x: Any) -> Any:
    """An integer that is larger for larger numbers, and largest for (positive) nan.

    Unlike that of numbers, the largest of integers is found with whole vectors.
    """
    bits = _bits_of_float(x)
    return np.int32(bits ^ np.int32((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@inlined
def of_order(key: Any) -> Any:
    """The number whose `order` is `key`."""
    return _float_of_bits(np.int32(key ^ np.int32((key >> np.int32(31)) & np.int32(0x7FFFFFFF))))


@inlined
def sign(x: Any) -> Any:
    """-1, 0 or 1; 0 of nan."""
    above = _ONE if x > _f(0) else _f(0)
    return -_ONE if x < _f(0) else above


@inlined
def tanh(x: Any) -> Any:
    """t / (t + 2) with t = e²|ˣ| − 1, which keeps its digits near 0; the sign of x. Beyond 20 it is 1."""
    n, m = _exp_parts(min(_TWO * abs(x), _f(40)))
    power = _two_to(n)
    t = power * m + (power - _ONE)
    return np.copysign(t / (t + _TWO), x)


@inlined
def sigmoid(x: Any) -> Any:
    """1 / (1 + e⁻ˣ). Of a small e⁻ˣ nothing is left beside 1; so 2ⁿ⁻¹ is one factor, and the other is 2."""
    n, m = _exp_parts(min(max(-x, _f(-80)), _f(89)))
    return _ONE / (_ONE + (m + _ONE) * _two_to(n - np.int32(1)) * _TWO)


@inlined
def sigmoids(x: Any) -> Any:
    """1 / (1 + e⁻ˣ) and 1 / (1 + eˣ), which is 1 less the first with all its digits, by one exponential."""
    small = exp(-abs(x))
    near = _ONE / (_ONE + small)
    far = small * near
    above = x >= _f(0)
    return near if above else far, far if above else near


@inlined
def erf(x: Any) -> Any:
    """The error function: a polynomial in x near 0, else 1 − e to the power of one."""
    t, z = abs(x), x * x
    near = ((((_N5 * z + _N4) * z + _N3) * z + _N2) * z + _N1) * z + _N0
    near = near * x + x
    p = (_F7 * t + _F6) * z + (_F5 * t + _F4)
    p = (((p * t + _F3) * t + _F2) * t + _F1) * t - t
    far = np.copysign(_ONE - exp(p), x)
    return far if t > _f(0.927734375) else near


@inlined
def normal(x: Any) -> Any:
    """The distribution function Φ(x) and the density φ(x) of the normal distribution, with one exponential.

    Beyond |x|, φ times a polynomial is left of the distribution, to 7.5e-8: M. Abramowitz, I. Stegun,
    "Handbook of Mathematical Functions", 1964, 26.2.17.
    """
    size = abs(x)
    density = exp(size * size * -_HALF) * _PER_SQRT_2PI
    t = _ONE / (_ONE + _P * size)
    beyond = ((((_P5 * t + _P4) * t + _P3) * t + _P2) * t + _P1) * t * density
    return beyond if x < _f(0) else _ONE - beyond, density


# Of rows ----------------------------------------------------------------------------------


@inlined
def largest(row: Any) -> Any:
    """The largest number of a row that is not empty; nan if there is one."""
    key = order(row[0])
    for j in range(len(row)):
        key = np.int32(max(key, order(row[j])))
    return of_order(key)


@_reordered
def total(row: Any) -> Any:
    """Σ row[j]."""
    found = _f(0)
    for j in range(len(row)):
        found += row[j]
    return found


@_reordered
def dot(a: Any, b: Any) -> Any:
    """Σ a[j] · b[j]."""
    found = _f(0)
    for j in range(len(a)):
        found += a[j] * b[j]
    return found


@_reordered
def centred_square(row: Any, mean: Any) -> Any:
    """Σ (row[j] − mean)²."""
    found = _f(0)
    for j in range(len(row)):
        away = row[j] - mean
        found += away * away
    return found


@_reordered
def centred_dot(a: Any, b: Any, mean: Any) -> Any:
    """Σ a[j] · (b[j] − mean)."""
    found = _f(0)
    for j in range(len(a)):
        found += a[j] * (b[j] - mean)
    return found


@_reordered
def total_exp(row: Any, shift: Any) -> Any:
    """Σ exp(row[j] − shift)."""
    found = _f(0)
    for j in range(len(row)):
        found += exp(row[j] - shift)
    return found
