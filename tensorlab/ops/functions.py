"""Functions of each element: powers, exponentials, trigonometry, rounding, activations.

They are a table: each entry names the function, its formula, NumPy's name for it, its gradient
rule and an example. Integers become the default floating type first, except where the result
of an integer is an integer (`abs`, `sign`, `square`, rounding).

A rule multiplies by the *conjugate* of the derivative: that is what makes the gradient of a
complex function point uphill (PyTorch's convention); for real numbers it changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops.compare import where
from tensorlab.ops.elementwise import _conj, no_slope


def each(scalar: Callable[..., Any]) -> Callable[..., Any]:
    """A reference from a function of Python numbers, such as those of `math`."""
    return np.vectorize(scalar, otypes=[np.float64])


def function(
    name: str,
    summary: str,
    forward: Callable[..., Any] | str,
    rule: Callable[..., Any] | None,
    example: tuple[str, str],
    *,
    low: float = -3.0,
    high: float = 3.0,
    ref: Callable[..., Any] | None = None,
    result: str | None = "float",
    aliases: tuple[str, ...] = (),
    errors: Callable[..., list[ErrorSample]] | None = None,
    inplace: bool = True,
    more: Callable[..., list[Sample]] = lambda r: [],
    dunder: tuple[str, ...] = (),
    namespace: str = "",
) -> Any:
    """Declare the function `name` of each element.

    forward: NumPy's name of it, or a function of `(xp, input)`.
    rule: its gradient rule; None where the derivative is zero everywhere (rounding).
    example: the elements to call it with, and what is printed.
    low, high: where samples are drawn from.
    namespace: the module it is public in, if that is not `tensorlab` itself; it is no method then.
    """
    if isinstance(forward, str):
        numpy_name = forward

        def compute(xp, input, /):
            return getattr(xp, numpy_name)(input)
    else:
        given = forward

        def compute(xp, input, /):
            return given(xp, input)

    elements, printed = example
    compute.__name__ = name
    compute.__doc__ = (
        f"{summary}\n\n    >>> import tensorlab as tl\n"
        f"    >>> tl.{namespace and f'{namespace}.'}{name}(tl.tensor([{elements}]))\n    tensor([{printed}])\n    "
    )

    def samples(r: Any) -> list[Sample]:
        shapes = ((2, 3), (), (0, 3))
        return [*(Sample(r(*shape, low=low, high=high)) for shape in shapes), *more(r)]

    made = op(
        samples=samples, errors=errors, ref=ref, result=result, method=not namespace,
        inplace=inplace and not namespace, aliases=aliases, dunder=dunder,
        name=f"{namespace}_{name}" if namespace else name, torch=f"{namespace}.{name}" if namespace else None,
        simple=True,
    )(compute)  # fmt: skip
    made.vjp(input=rule if rule is not None else lambda g: no_slope(g))
    return made


def _no_bool(name: str) -> Callable[..., list[ErrorSample]]:
    return lambda r: [ErrorSample(r.bool(3), error=NotImplementedError, match=f"{name}.*bool")]


def _reject(name: str, input: Any, kinds: str, what: str = "") -> None:
    if input.dtype.kind in kinds:
        raise NotImplementedError(
            f"{name}() is not implemented for {from_numpy_dtype(input.dtype)}{what}"
        )


# Powers and roots -------------------------------------------------------------------------

sqrt = function(
    "sqrt", r"The square root \(\sqrt{x}\); nan below 0.", "sqrt",
    lambda g, out: g / (2 * _conj(out)),
    ("4., 9.", "2., 3."), low=0.2, high=4.0, ref=each(math.sqrt),
)  # fmt: skip

rsqrt = function(
    "rsqrt", r"One over the square root: \(1/\sqrt{x}\).", lambda xp, x: 1 / xp.sqrt(x),
    lambda g, out: -0.5 * g * _conj(out * out * out),
    ("4., 16.", "0.5000, 0.2500"), low=0.2, high=4.0, ref=each(lambda x: x**-0.5),
)  # fmt: skip

square = function(
    "square", r"The square \(x^2\). Integers stay integers.",
    lambda xp, x: x.astype(int) if x.dtype.kind == "b" else x * x,
    lambda g, input: 2 * g * _conj(input),
    ("2., -3.", "4., 9."), result=None, ref=each(lambda x: x**2),
    more=lambda r: [Sample(r.int(3)), Sample(r.bool(3))],
)  # fmt: skip
square.op.backward_name = "PowBackward0"  # PyTorch's square is a power

reciprocal = function(
    "reciprocal", r"One over each element: \(1/x\).", lambda xp, x: 1 / x,
    lambda g, out: -g * _conj(out * out),
    ("2., 4.", "0.5000, 0.2500"), low=0.3, ref=each(lambda x: 1 / x), more=lambda r: [Sample(r.int(3, low=1))],
)  # fmt: skip


def _absolute(xp, x):
    _reject("abs", x, "b")
    return xp.abs(x)


abs = function(
    "abs", r"The absolute value \(|x|\); for complex numbers the distance from 0. Its slope at 0 is taken as 0.",
    _absolute, lambda g, input: g * sgn(input),
    ("-1., 2.", "1., 2."), result=None, ref=each(math.fabs), aliases=("absolute",), errors=_no_bool("abs"),
    more=lambda r: [Sample(r.int(3)), Sample(np.zeros(2, r.dtype)).kink()], dunder=("__abs__",),
)  # fmt: skip
absolute = abs


def _sign(xp, x):
    if x.dtype.kind == "c":
        raise NotImplementedError(
            "Unlike NumPy, sign is not intended to support complex numbers. Please use sgn instead."
        )
    if x.dtype.kind == "f":
        return (x > 0).astype(x.dtype) - (x < 0)  # 0 of nan, as in PyTorch; NumPy's is nan
    return x.copy() if x.dtype.kind == "b" else xp.sign(x)


sign = function(
    "sign", "-1, 0 or 1, as each element is negative, zero (or nan) or positive.", _sign, None,
    ("-2., 0., 5.", "-1.,  0.,  1."), result=None, ref=each(lambda x: (x > 0) - (x < 0)),
    more=lambda r: [Sample(r.int(3)), Sample(r.bool(3))],
)  # fmt: skip


def _sgn(xp, x):
    if x.dtype.kind != "c":
        return _sign(xp, x)
    size = xp.abs(x)
    return xp.where(size == 0, 0, x / xp.where(size == 0, 1, size)).astype(x.dtype)


sgn = function(
    "sgn", r"The sign; for complex numbers \(x/|x|\), the number of size 1 in the same direction.", _sgn,
    lambda g, input, out: _sgn_backward(g, input, out),
    ("-2., 0., 5.", "-1.,  0.,  1."), result=None, ref=np.sign,
)  # fmt: skip


def _sgn_backward(g, input, out):
    if not _is_complex(input):
        return no_slope(g)
    size = abs(input)
    turned = (g / 2 - (_conj(g) / 2) * out * out) / where(size == 0, 1.0, size)
    return where(size == 0, 0.0, turned)


def _is_complex(x: Any) -> bool:
    return getattr(x, "_data", x).dtype.kind == "c"


# Exponentials and logarithms --------------------------------------------------------------

exp = function(
    "exp", r"The exponential \(e^x\).", "exp", lambda g, out: g * _conj(out),
    ("0., 1.", "1.0000, 2.7183"), ref=each(math.exp),
)  # fmt: skip

exp2 = function(
    "exp2", r"Two to the power of each element: \(2^x\).", "exp2", lambda g, out: g * out * math.log(2),
    ("1., 3.", "2., 8."), ref=each(lambda x: 2.0**x),
)  # fmt: skip

expm1 = function(
    "expm1", r"\(e^x - 1\), exact also for small x where `exp(x) - 1` loses all digits.", "expm1",
    lambda g, out: g * (_conj(out) + 1),
    ("0., 1.", "0.0000, 1.7183"), ref=each(math.expm1),
)  # fmt: skip

log = function(
    "log", r"The natural logarithm \(\ln x\); -inf at 0, nan below.", "log", lambda g, input: g / _conj(input),
    ("1., 2.", "0.0000, 0.6931"), low=0.2, high=4.0, ref=each(math.log),
)  # fmt: skip

log2 = function(
    "log2", r"The logarithm to base 2.", "log2", lambda g, input: g / (input * math.log(2)),
    ("1., 8.", "0., 3."), low=0.2, high=4.0, ref=each(math.log2),
)  # fmt: skip

log10 = function(
    "log10", r"The logarithm to base 10.", "log10", lambda g, input: g / (input * math.log(10)),
    ("1., 2.", "0.0000, 0.3010"), low=0.2, high=4.0, ref=each(math.log10),
)  # fmt: skip

log1p = function(
    "log1p", r"\(\ln(1 + x)\), exact also for small x.", "log1p", lambda g, input: g / (_conj(input) + 1),
    ("0., 1.", "0.0000, 0.6931"), low=-0.7, ref=each(math.log1p),
)  # fmt: skip

# Trigonometry -----------------------------------------------------------------------------

sin = function(
    "sin", "The sine, of an angle in radians.", "sin", lambda g, input: g * _conj(cos(input)),
    ("0., 1.", "0.0000, 0.8415"), ref=each(math.sin),
)  # fmt: skip

cos = function(
    "cos", "The cosine, of an angle in radians.", "cos", lambda g, input: -g * _conj(sin(input)),
    ("0., 1.", "1.0000, 0.5403"), ref=each(math.cos),
)  # fmt: skip

tan = function(
    "tan", "The tangent, of an angle in radians.", "tan", lambda g, out: g * (1 + _conj(out * out)),
    ("0., 1.", "0.0000, 1.5574"), low=-1.2, high=1.2, ref=each(math.tan),
)  # fmt: skip

asin = function(
    "asin", "The angle in radians, from -π/2 to π/2, with this sine.", "arcsin",
    lambda g, input: g * rsqrt(1 - input * input),
    ("0., 1.", "0.0000, 1.5708"), low=-0.9, high=0.9, ref=each(math.asin), aliases=("arcsin",),
)  # fmt: skip
arcsin = asin

acos = function(
    "acos", "The angle in radians, from 0 to π, with this cosine.", "arccos",
    lambda g, input: -g * rsqrt(1 - input * input),
    ("1., 0.", "0.0000, 1.5708"), low=-0.9, high=0.9, ref=each(math.acos), aliases=("arccos",),
)  # fmt: skip
arccos = acos

atan = function(
    "atan", "The angle in radians, from -π/2 to π/2, with this tangent.", "arctan",
    lambda g, input: g / (1 + input * input),
    ("0., 1.", "0.0000, 0.7854"), ref=each(math.atan), aliases=("arctan",),
)  # fmt: skip
arctan = atan

sinh = function(
    "sinh", r"The hyperbolic sine \((e^x - e^{-x})/2\).", "sinh", lambda g, input: g * _conj(cosh(input)),
    ("0., 1.", "0.0000, 1.1752"), ref=each(math.sinh),
)  # fmt: skip

cosh = function(
    "cosh", r"The hyperbolic cosine \((e^x + e^{-x})/2\).", "cosh", lambda g, input: g * _conj(sinh(input)),
    ("0., 1.", "1.0000, 1.5431"), ref=each(math.cosh),
)  # fmt: skip


def _tanh_backward(g: Any, out: Any) -> Any:
    out = _conj(out)
    return g - g * out * out  # g·(1 − out²), without a Python number to convert


tanh = function(
    "tanh", r"The hyperbolic tangent \((e^x - e^{-x})/(e^x + e^{-x})\), between -1 and 1.", "tanh",
    _tanh_backward,
    ("0., 1.", "0.0000, 0.7616"), ref=each(math.tanh),
)  # fmt: skip

asinh = function(
    "asinh", "The inverse of `sinh`.", "arcsinh", lambda g, input: g * rsqrt(input * input + 1),
    ("0., 1.", "0.0000, 0.8814"), ref=each(math.asinh), aliases=("arcsinh",),
)  # fmt: skip
arcsinh = asinh

acosh = function(
    "acosh", "The inverse of `cosh`; nan below 1.", "arccosh",
    lambda g, input: g * rsqrt(input - 1) * rsqrt(input + 1),
    ("1., 2.", "0.0000, 1.3170"), low=1.2, ref=each(math.acosh), aliases=("arccosh",),
)  # fmt: skip
arccosh = acosh

atanh = function(
    "atanh", "The inverse of `tanh`; ±inf at ±1.", "arctanh", lambda g, input: g / (1 - input * input),
    ("0.0, 0.5", "0.0000, 0.5493"), low=-0.8, high=0.8, ref=each(math.atanh), aliases=("arctanh",),
)  # fmt: skip
arctanh = atanh

deg2rad = function(
    "deg2rad", r"Degrees to radians: \(x\pi/180\).", lambda xp, x: x * (math.pi / 180),
    lambda g: g * (math.pi / 180), ("180., 90.", "3.1416, 1.5708"), ref=each(math.radians),
)  # fmt: skip

rad2deg = function(
    "rad2deg", r"Radians to degrees: \(180x/\pi\).", lambda xp, x: x * (180 / math.pi),
    lambda g: g * (180 / math.pi), ("3.14159265, 0.", "180.,   0."), ref=each(math.degrees),
)  # fmt: skip


def _sinc(xp, x):
    angle = x * math.pi
    return xp.where(angle == 0, 1, xp.sin(angle) / xp.where(angle == 0, 1, angle)).astype(x.dtype)


def _sinc_backward(g, input):
    angle = input * math.pi
    safe = where(input == 0, 1.0, angle)
    return g * where(input == 0, 0.0, math.pi * (safe * cos(safe) - sin(safe)) / (safe * safe))


sinc = function(
    "sinc", r"\(\sin(\pi x)/(\pi x)\), 1 at 0.", _sinc, _sinc_backward,
    ("0.0, 0.5", "1.0000, 0.6366"), ref=np.sinc,
)  # fmt: skip

# Rounding: the derivative is zero wherever there is one ----------------------------------


def _rounding(name: str) -> Callable[..., Any]:
    def forward(xp, x):
        _reject(name, x, "bc")
        return x.copy() if x.dtype.kind in "iu" else getattr(xp, name)(x)

    return forward


floor = function(
    "floor", r"The largest whole number not above: \(\lfloor x\rfloor\).", _rounding("floor"), None,
    ("1.7, -1.2", " 1., -2."), result=None, ref=np.floor, errors=_no_bool("floor"), more=lambda r: [Sample(r.int(3))],
)  # fmt: skip

ceil = function(
    "ceil", r"The smallest whole number not below: \(\lceil x\rceil\).", _rounding("ceil"), None,
    ("1.2, -1.7", " 2., -1."), result=None, ref=np.ceil, errors=_no_bool("ceil"), more=lambda r: [Sample(r.int(3))],
)  # fmt: skip

trunc = function(
    "trunc", "The whole part: rounded towards zero.", _rounding("trunc"), None,
    ("1.7, -1.7", " 1., -1."), result=None, ref=np.trunc, aliases=("fix",), errors=_no_bool("trunc"),
    more=lambda r: [Sample(r.int(3))],
)  # fmt: skip
fix = trunc


def _frac(xp, x):
    _reject("frac", x, "biuc")
    return x - xp.trunc(x)


frac = function(
    "frac", "What `trunc` leaves: the digits behind the point, with the sign of the element.", _frac, lambda g: g,
    ("1.75, -1.25", " 0.7500, -0.2500"), ref=lambda x: np.fmod(x, 1), errors=lambda r: [
        ErrorSample(r.int(3), error=NotImplementedError, match="frac"),
    ], result=None,
)  # fmt: skip


@op(
    samples=lambda r: [Sample(r(2, 3)), Sample(r(2, 3), decimals=1), Sample(r(3, low=-400, high=400), decimals=-2),
                       Sample(np.array([0.5, 1.5, 2.5, -0.5], r.dtype)).kink(), Sample(r.int(3))],
    errors=lambda r: [ErrorSample(r.int(3), decimals=1, error=NotImplementedError, match="round")],
    ref=lambda x, decimals=0: np.round(x, decimals), method=True, inplace=True, result=None,
)  # fmt: skip
def round(xp, input, /, *, decimals=0):
    """The nearest whole number, or the nearest with that many `decimals`; halves go to the even one.

    >>> import tensorlab as tl
    >>> tl.round(tl.tensor([0.5, 1.5, 2.4]))
    tensor([0., 2., 2.])
    """
    _reject("round", input, "bc")
    if input.dtype.kind in "iu":
        _reject("round", input, "iu" if decimals else "", " with decimals")
        return input.copy()
    if decimals == 0:
        return xp.rint(input)
    scale = 10.0 ** math.fabs(decimals)
    return xp.rint(input * scale) / scale if decimals > 0 else xp.rint(input / scale) * scale


round.vjp(input=lambda g: no_slope(g))

# Activations ------------------------------------------------------------------------------


def _relu(xp, x):
    if x.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    return xp.maximum(0, x)  # of equals NumPy takes the second: -0.0 stays -0.0, as in PyTorch


relu = function(
    "relu", r"The rectified linear unit \(\max(x, 0)\). Its slope at 0 is taken as 0.", _relu,
    lambda g, out: where(out <= 0, 0.0, g),  # where it is nan, the gradient is not lost
    ("-1., 2.", "0., 2."), result=None, ref=lambda x: np.where(x > 0, x, 0),
    errors=lambda r: [ErrorSample(r.bool(3), error=RuntimeError, match="Boolean inputs not supported")],
    more=lambda r: [Sample(r.int(3)), Sample(np.zeros(2, r.dtype)).kink()],
)  # fmt: skip


def _sigmoid(xp, x):
    # 1/(1+e^-x) would overflow for very negative x; e^-|x| never does.
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, small) / (1 + small) if x.dtype.kind == "f" else 1 / (1 + xp.exp(-x))


def _sigmoid_backward(g: Any, out: Any) -> Any:
    out = _conj(out)
    return g * (1.0 - out) * out


sigmoid = function(
    "sigmoid", r"The logistic function \(1/(1 + e^{-x})\), between 0 and 1.", _sigmoid,
    _sigmoid_backward,
    ("0., 1.", "0.5000, 0.7311"), ref=each(lambda x: 1 / (1 + math.exp(-x))),
)  # fmt: skip
expit = sigmoid


@op(
    samples=lambda r: [Sample(r(2, 3, low=0.1, high=0.9)), Sample(r(3, low=-0.2, high=1.2), 0.05), Sample(r(0))],
    ref=lambda x, eps=None: _logit_reference(x, eps),
    method=True, inplace=True, result="float",
)  # fmt: skip
def logit(xp, input, /, eps=None):
    r"""The inverse of `sigmoid`: \(\ln\frac{x}{1-x}\); `eps` first limits x to [eps, 1 - eps].

    >>> import tensorlab as tl
    >>> tl.logit(tl.tensor([0.5, 0.75]))
    tensor([0.0000, 1.0986])
    """
    x = input if eps is None else xp.clip(input, eps, 1 - eps)
    return xp.log(x / (1 - x))


def _logit_reference(x: Any, eps: float | None) -> np.ndarray:
    p = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.log(p) - np.log1p(-p)


def _logit_backward(g, input, eps):
    low, high = (0.0, 1.0) if eps is None else (eps, 1 - eps)
    inside = (input >= low) & (input <= high)
    safe = where(inside, input, 0.5)
    return where(inside, g / (safe * (1 - safe)), math.nan if eps is None else 0.0)


logit.vjp(input=_logit_backward)
