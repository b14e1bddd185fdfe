"""Arithmetic of two or three operands beyond `add` and `mul`: sub, pow, lerp; see `division` for div."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._backend import is_array
from tensorlab._calls import operator
from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops import _names
from tensorlab.ops._out import with_out
from tensorlab.ops.compare import where
from tensorlab.ops.elementwise import _conj, _mismatch, _pairs, no_slope
from tensorlab.ops.functions import exp, log


def _kind(x: Any) -> str:
    """NumPy's letter for what an operand holds: b, i, u, f or c."""
    return x.dtype.kind if hasattr(x, "dtype") else np.asarray(x).dtype.kind


def _both_bool(input: Any, other: Any) -> bool:
    return _kind(input) == "b" and _kind(other) == "b"


@op(
    samples=lambda r: [*_pairs(r), Sample(r(3), r(3), alpha=0.5), Sample(r.int(3), r.int(3), alpha=2)],
    errors=lambda r: [
        *_mismatch(r),
        ErrorSample(r.bool(3), r.bool(3), error=RuntimeError, match="two bool tensors is not supported"),
        ErrorSample(r.bool(3), r.int(3), error=RuntimeError, match="a bool tensor is not supported"),
        ErrorSample(r.bool(3), 1, error=RuntimeError, match="a bool tensor is not supported"),
        ErrorSample(r(3), True, error=RuntimeError, match="a bool tensor is not supported"),
        ErrorSample(r.int(3), r.int(3), alpha=0.5, error=RuntimeError, match="must not be a floating point"),
    ],
    ref=lambda x, y, alpha=1: np.subtract(x, alpha * np.asarray(y)),
    method=True, inplace=True, dunder=("__sub__",), aliases=("subtract",),
)  # fmt: skip
def sub(xp, input, other, /, *, alpha=1):
    """Difference with broadcasting: `input - alpha · other`.

    >>> import tensorlab as tl
    >>> tl.sub(tl.tensor([1, 2]), 10)
    tensor([-9, -8])
    """
    if _both_bool(input, other):
        _refuse_bool((input, other))
    if alpha == 1:
        return xp.subtract(input, other)
    if isinstance(alpha, float) and _kind(input) in "biu":
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    return xp.subtract(input, alpha * other)


def _refuse_bool(operands: Any) -> None:
    """PyTorch subtracts no bools, whatever the other operand is: what `-` means for them is unclear."""
    bools = [_kind(x) == "b" for x in operands]
    if all(bools):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. "
            "Use the `^` or `logical_xor()` operator instead."
        )
    if any(bools):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead; "
            "to count with it, convert it with .int() first."
        )


sub.op.check = _refuse_bool
sub.vjp(input=lambda g: g, other=lambda g, alpha: -g if alpha == 1 else g * -alpha)
subtract = sub


@op(samples=_pairs, errors=_mismatch, ref=lambda x, y: np.subtract(y, x), method=True, name="rsub")
def rsub(xp, input, other, /, *, alpha=1):
    """The difference the other way round: `other - alpha · input`.

    >>> import tensorlab as tl
    >>> tl.rsub(tl.tensor([1., 2.]), 10)
    tensor([9., 8.])
    """
    return sub.op.forward(xp, other, input, alpha)


rsub.vjp(input=lambda g, alpha: g * -alpha, other=lambda g: g)
rsub.op.check = _refuse_bool
rsub.op.names = lambda node: f"RsubBackward{int(node.parents[1] is None)}"
Tensor.__rsub__ = operator(rsub.op)  # type: ignore[attr-defined]

# Powers -----------------------------------------------------------------------------------


@op(
    samples=lambda r: [
        Sample(r(2, 3, low=0.3, high=2), r(2, 3)), Sample(r(3, 1, low=0.3, high=2), r(1, 4)), Sample(r(2, 3), 2),
        Sample(r(2, 3), 3.0), Sample(r(3), 0), Sample(r(3, low=0.3), 0.5), Sample(r(3, low=0.3), -2), Sample(2.0, r(3)),
        Sample(r.int(3), 2), Sample(r.int(3), r.int(3, low=0, high=4)), Sample(r.int(3, low=1), 0.5), Sample(r(0), 2),
        Sample(r(low=0.5), r()), Sample(np.zeros(3, r.dtype), np.array([0.0, 1.0, 2.0], r.dtype)).kink(),
        Sample(r.int(4, low=-2, high=3), r.int(4, low=-2, high=3)),
    ],
    errors=lambda r: [
        *_mismatch(r),
        ErrorSample(r.int(3), -1, error=RuntimeError, match="Integers to negative integer powers"),
    ],
    ref=lambda x, y: _power_reference(x, y), method=True, inplace=True, dunder=("__pow__", "__rpow__"),
)  # fmt: skip
def pow(xp, input, exponent, /):
    r"""Each element to a power, with broadcasting: \(x^y\).

    Raises `RuntimeError` for integers with a negative whole number as exponent.

    >>> import tensorlab as tl
    >>> tl.pow(tl.tensor([1., 2., 3.]), 2)
    tensor([1., 4., 9.])
    """
    if _both_bool(input, exponent):
        return xp.logical_or(input, xp.logical_not(exponent))  # only 0**1 is 0
    if _kind(input) in "biu" and _kind(exponent) in "biu":
        if not hasattr(exponent, "shape") or exponent.ndim == 0:
            if exponent < 0:
                raise RuntimeError(
                    "Integers to negative integer powers are not allowed: convert the base with .float()"
                )
        elif (exponent < 0).any():
            # As PyTorch: 1/x rounded towards zero, which is 0 but for ±1.
            unit = xp.where(input == 1, 1, xp.where(input == -1, 1 - 2 * (exponent % 2), 0))
            positive = xp.where(exponent < 0, 0, exponent)
            return xp.where(exponent < 0, unit, input**positive).astype(input.dtype)
    return _power(xp, input, exponent)


def _power(xp: Any, x: Any, n: Any) -> Any:
    """`x**n`; where NumPy's way is slow, for numbers such as 3 and −½, as products and roots."""
    if type(n) not in (int, float) or _kind(x) != "f" or n in (-1, 0, 0.5, 1, 2):
        return x**n
    if n == 3:
        return x * x * x
    if n == -0.5:
        return 1 / xp.sqrt(x)
    if n % 1 == 0 and abs(n) < 2**53:  # a whole number: of negative x only the sign is another
        size = xp.abs(x) ** n
        return xp.copysign(size, x) if n % 2 else size
    return x**n


def _power_reference(x: Any, y: Any) -> Any:
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype.kind in "iu" and y.dtype.kind in "iu":
        return np.trunc(
            np.float_power(x, y.astype(float), where=x != 0, out=np.zeros(np.broadcast(x, y).shape))
            + 0.0 * y
        ) + ((x == 0) & (y == 0))
    return np.float_power(x, y)


def _given_number(x: Any, g: Any) -> Any:
    """`x` as the Python number that was given, if promotion made an array of one.

    It did so where a gradient of tensors (`g`) meets what is no tensor.
    """
    return x.item() if isinstance(g, Tensor) and is_array(x) else x


def _pow_input(g, input, exponent):
    exponent = _given_number(exponent, g)
    slope = exponent * pow(input, exponent - 1)
    if isinstance(exponent, (int, float, complex)):
        return g * _conj(slope) if exponent != 0 else no_slope(g)
    # x**0 is 1 everywhere, also at 0 where y · x**(y-1) is not a number.
    return where(exponent == 0, 0.0, g * _conj(slope))


def _pow_exponent(g, input, exponent, out):
    if isinstance(input, (int, float)):
        return (
            g * _conj(out) * math.log(input)
            if input > 0
            else g * where(exponent >= 0, 0.0, math.nan)
        )
    rising = g * _conj(out * log(input))
    if _kind(getattr(input, "_data", input)) == "c":
        return rising
    # 0**y is 0 for all y > 0: flat.
    return where((input == 0) & (exponent >= 0), 0.0, rising)


pow.vjp(input=_pow_input, exponent=_pow_exponent)
pow.op.names = _names.power


@with_out
def float_power(input: Any, exponent: Any) -> Any:
    """`pow` computed in float64 (complex128 for complex operands).

    >>> import tensorlab as tl
    >>> tl.float_power(tl.tensor([2, 3]), -1)
    tensor([0.5000, 0.3333], dtype=tensorlab.float64)
    """

    def wide(x: Any) -> Any:
        if isinstance(x, Tensor):
            return x.to(np.complex128 if x.is_complex() else np.float64)  # type: ignore[attr-defined]
        return x if isinstance(x, complex) else float(x)

    return pow(wide(input), wide(exponent))


Tensor.float_power = float_power  # type: ignore[attr-defined]

# Two and three operands -------------------------------------------------------------------


def _float_only(name: str, *operands: Any) -> None:
    for x in operands:
        if _kind(x) in "biu" and hasattr(x, "dtype"):
            raise NotImplementedError(
                f"{name}() is not implemented for {from_numpy_dtype(x.dtype)}: convert with .float()"
            )


def _needs_float(name: str) -> Any:
    return lambda r: [ErrorSample(r.int(3), r.int(3), error=NotImplementedError, match=name)]


@op(
    samples=lambda r: [
        Sample(r(2, 3), r(2, 3)), Sample(r(3, 1), r(1, 4)), Sample(r(3), r.int(3)), Sample(r.int(3), r.int(3)),
    ],
    errors=_mismatch, ref=np.arctan2, result="float", method=True, inplace=True, aliases=("arctan2",),
)  # fmt: skip
def atan2(xp, input, other, /):
    """The angle in radians, from -π to π, of the point (x, y) = (`other`, `input`).

    >>> import tensorlab as tl
    >>> tl.atan2(tl.tensor([1., -1.]), tl.tensor([1., -1.]))
    tensor([ 0.7854, -2.3562])
    """
    return xp.arctan2(input, other)


atan2.vjp(
    input=lambda g, input, other: g * other / (input * input + other * other),
    other=lambda g, input, other: -g * input / (input * input + other * other),
)
arctan2 = atan2


@op(
    samples=lambda r: [Sample(r(2, 3), r(2, 3)), Sample(r(3, 1), r(1, 4)), Sample(r(3), r())],
    errors=lambda r: [*_mismatch(r), *_needs_float("hypot")(r)],
    ref=np.hypot, method=True, inplace=True,
)  # fmt: skip
def hypot(xp, input, other, /):
    r"""The long side of a right triangle: \(\sqrt{x^2 + y^2}\), without overflow.

    >>> import tensorlab as tl
    >>> tl.hypot(tl.tensor([3.]), tl.tensor([4.]))
    tensor([5.])
    """
    _float_only("hypot", input, other)
    return xp.hypot(input, other)


hypot.vjp(
    input=lambda g, input, out: g * (input / out), other=lambda g, other, out: g * (other / out)
)


def _log_sum(name: str, numpy_name: str, formula: str, base: float, example: str) -> Any:
    def forward(xp, input, other, /):
        _float_only(name, input, other)
        return getattr(xp, numpy_name)(input, other)

    forward.__name__ = name
    forward.__doc__ = (
        f"{formula}, without overflow.\n\n    >>> import tensorlab as tl\n"
        f"    >>> tl.{name}(tl.tensor([1.]), tl.tensor([1.]))\n    tensor([{example}])\n    "
    )
    made = op(
        samples=lambda r: [Sample(r(2, 3), r(2, 3)), Sample(r(3, 1), r(1, 4)), Sample(r(3, low=80, high=90), r())],
        errors=lambda r: [*_mismatch(r), *_needs_float(name)(r)], ref=getattr(np, numpy_name), method=True,
    )(forward)  # fmt: skip
    scale = math.log(base)
    made.vjp(
        input=lambda g, input, out: g * exp((input - out) * scale),
        other=lambda g, other, out: g * exp((other - out) * scale),
    )
    return made


logaddexp = _log_sum("logaddexp", "logaddexp", r"\(\ln(e^x + e^y)\)", math.e, "1.6931")
logaddexp2 = _log_sum("logaddexp2", "logaddexp2", r"\(\log_2(2^x + 2^y)\)", 2.0, "2.")


@op(
    samples=lambda r: [
        Sample(r(2, 3), r(2, 3, low=0.3, high=2)), Sample(np.array([0.0, 1.0], r.dtype), np.array([1.0, 2.0], r.dtype)),
        Sample(np.array([0.0, 0.0], r.dtype), np.array([0.0, -1.0], r.dtype)).kink(),
        Sample(r(3), 2.0), Sample(2.0, r(3, low=0.3, high=2)), Sample(r.int(3), r(3, low=0.3)),
    ],
    errors=_mismatch, ref=lambda x, y: np.where(np.asarray(x) == 0, 0, x * np.log(np.where(np.asarray(x) == 0, 1, y))),
    result="float", method=True, inplace=True,
)  # fmt: skip
def xlogy(xp, input, other, /):
    r"""\(x \ln y\), and 0 where x is 0 whatever y is.

    >>> import tensorlab as tl
    >>> tl.xlogy(tl.tensor([0., 2.]), tl.tensor([0., 1.]))
    tensor([0., 0.])
    """
    log = xp.log(
        xp.asarray(
            xp.where(xp.equal(input, 0) & ~xp.isnan(other), 1, other), xp.result_type(input, other)
        )
    )
    return input * log


xlogy.vjp(
    input=lambda g, input, other: _xlogy_input(g, input, other),
    other=lambda g, input, other: g * input / other,
)


def _xlogy_input(g, input, other):
    if isinstance(input, (int, float)) or isinstance(other, (int, float)):
        return g * _log(other)
    return where((input == 0) & (other <= 0), 0.0, g * _log(other))


def _log(x: Any) -> Any:
    return math.log(x) if isinstance(x, (int, float)) else log(x)


@op(
    samples=lambda r: [
        Sample(r(2, 3), r(2, 3)), Sample(r(3, 1), r(1, 4)), Sample(r(3), -2.0), Sample(r.int(3), r.int(3)),
    ],
    errors=_mismatch, ref=np.copysign, result="float", method=True, inplace=True,
)  # fmt: skip
def copysign(xp, input, other, /):
    """The size of `input` with the sign of `other`.

    >>> import tensorlab as tl
    >>> tl.copysign(tl.tensor([1., -2.]), -1)
    tensor([-1., -2.])
    """
    return xp.copysign(input, other)


def _copysign_backward(g, input, out):
    flat = input == 0
    return g * where(flat, 0.0, out / where(flat, 1.0, input))  # 1 or -1


copysign.vjp(input=_copysign_backward, other=lambda g: no_slope(g))


@op(
    samples=lambda r: [Sample(r.int(5, low=-1, high=2).astype(r.dtype), np.array(0.5, r.dtype)), Sample(r(2, 3), r(3))],
    errors=_mismatch, ref=np.heaviside, method=True,
)  # fmt: skip
def heaviside(xp, input, values, /):
    """The step: 0 below zero, 1 above, `values` at zero.

    >>> import tensorlab as tl
    >>> tl.heaviside(tl.tensor([-1., 0., 2.]), tl.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return xp.where(input == 0, values, (input > 0).astype(input.dtype))


@op(
    samples=lambda r: [Sample(r(2, 3), r(2, 3), 0.3), Sample(r(2, 3), r(3), r(2, 1)), Sample(r(3), r(3), r())],
    errors=lambda r: [
        ErrorSample(r(2), r(3), 0.5, error=RuntimeError, match="must match"),
        ErrorSample(r.int(3), r.int(3), 0.5, error=NotImplementedError, match="lerp"),
    ],
    ref=lambda a, b, w: a + w * (b - a), method=True, inplace=True, promote=("input", "end"),
)  # fmt: skip
def lerp(xp, input, end, weight, /):
    """Linear interpolation: `input + weight · (end - input)`.

    >>> import tensorlab as tl
    >>> tl.lerp(tl.tensor([0., 10.]), tl.tensor([10., 20.]), 0.25)
    tensor([ 2.5000, 12.5000])
    """
    _float_only("lerp", input, end)
    return input + weight * (end - input)


lerp.op.names = _names.by_operand("Lerp", 2)
lerp.vjp(
    input=lambda g, weight: g * (1 - _conj(weight)),
    end=lambda g, weight: g * _conj(weight),
    weight=lambda g, input, end: g * _conj(end - input),
)


@op(
    samples=lambda r: [
        Sample(r(2, 3), r(2, 3), r(2, 3)), Sample(r(2, 3), r(3), r(2, 1), value=0.5),
        Sample(r.int(3), r.int(3), r.int(3)),
    ],
    errors=lambda r: [ErrorSample(r(3), r(2), r(3), error=RuntimeError, match="must match")],
    ref=lambda x, a, b, value=1: x + value * a * b, method=True, inplace=True,
)  # fmt: skip
def addcmul(xp, input, tensor1, tensor2, /, *, value=1):
    """`input + value · tensor1 · tensor2`.

    >>> import tensorlab as tl
    >>> tl.addcmul(tl.tensor([1.]), tl.tensor([2.]), tl.tensor([3.]), value=10)
    tensor([61.])
    """
    return input + value * tensor1 * tensor2


addcmul.vjp(
    input=lambda g: g,
    tensor1=lambda g, tensor2, value: g * _conj(value * tensor2),
    tensor2=lambda g, tensor1, value: g * _conj(value * tensor1),
)


@op(
    samples=lambda r: [
        Sample(r(2, 3), r(2, 3), r(2, 3, low=0.5, high=2)),
        Sample(r(2, 3), r(3), r(2, 1, low=0.5, high=2), value=0.5),
    ],
    errors=lambda r: [
        ErrorSample(r(3), r(2), r(3), error=RuntimeError, match="must match"),
        ErrorSample(r.int(3), r.int(3), r.int(3), error=RuntimeError, match="Integer division with addcdiv"),
    ],
    ref=lambda x, a, b, value=1: x + value * a / b, method=True, inplace=True,
)  # fmt: skip
def addcdiv(xp, input, tensor1, tensor2, /, *, value=1):
    """`input + value · tensor1 / tensor2`.

    >>> import tensorlab as tl
    >>> tl.addcdiv(tl.tensor([1.]), tl.tensor([6.]), tl.tensor([3.]))
    tensor([3.])
    """
    if _kind(tensor1) in "biu" and _kind(tensor2) in "biu":
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported: convert the operands with .float()"
        )
    return input + value * tensor1 / tensor2


addcdiv.vjp(
    input=lambda g: g,
    tensor1=lambda g, tensor2, value: g * _conj(value / tensor2),
    tensor2=lambda g, tensor1, tensor2, value: -g * _conj(value * tensor1 / (tensor2 * tensor2)),
)
