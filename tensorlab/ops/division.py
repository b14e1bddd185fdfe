"""Quotients and what they leave.

Division has three forms: `/` is exact and makes integers floating, `//` and
`div(rounding_mode="floor")` round down, `rounding_mode="trunc"` rounds towards zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops import _names
from tensorlab.ops.arithmetic import _kind
from tensorlab.ops.elementwise import _conj, _mismatch, no_slope
from tensorlab.ops.functions import floor, trunc


def _divisors(r: Any) -> list[Sample]:
    return [
        Sample(r(2, 3), r(2, 3, low=0.5, high=2)),
        Sample(r(3, 1), -r(1, 4, low=0.5, high=2)),
        Sample(r(3), 2.0),
        Sample(r(2, 3), r(low=0.5, high=2)),
        Sample(r(0, 3), r(3)),
    ]


def _integer_divisors(r: Any) -> list[Sample]:
    return [
        *_divisors(r),
        Sample(r.int(2, 3), r.int(3, low=1)),
        Sample(r.int(3), -3),
        Sample(r.int(3), 1.5),
    ]


@op(
    samples=lambda r: [*_divisors(r), Sample(r.int(2, 3), r.int(3, low=1)), Sample(r.int(3), 2)],
    errors=_mismatch, ref=np.true_divide, result="float", dunder=("__truediv__", "__rtruediv__"), name="div",
    inplace=True,
)  # fmt: skip
def _div(xp, input, other, /):
    """`input / other`."""
    return xp.true_divide(input, other)


def _by_divisor(g: Any, input: Any, other: Any) -> Any:
    other = _conj(other)
    return -(_conj(input) / other / other * g)


_div.vjp(other=_by_divisor, input=lambda g, other: g / _conj(other))


def _whole_division(name: str, rounded: Any, doc: str) -> Any:
    def forward(xp, input, other, /):
        if _kind(input) in "biu" and _kind(other) in "biu":
            if not xp.all(other):
                raise RuntimeError("ZeroDivisionError: integer division by zero")
            down = xp.floor_divide(input, other)
            if rounded is floor:
                return down
            # Rounding down went one too far where the exact quotient is negative.
            return down + ((input % other != 0) & ((input < 0) != (other < 0))).astype(down.dtype)
        # Not floor_divide: that is exact, PyTorch rounds the rounded quotient's neighbour.
        return (
            xp.floor_divide(input, other)
            if rounded is floor
            else xp.trunc(xp.true_divide(input, other))
        )

    forward.__name__, forward.__doc__ = name, doc
    return op(
        samples=_integer_divisors,
        errors=lambda r: [
            *_mismatch(r), ErrorSample(r.int(3), 0, error=RuntimeError, match="ZeroDivisionError"),
        ],
        ref=np.floor_divide if rounded is floor else lambda x, y: np.trunc(np.true_divide(x, y)),
        torch="floor_divide" if rounded is floor else "", inplace=rounded is floor,
        dunder=("__floordiv__", "__rfloordiv__") if rounded is floor else (), method=rounded is floor,
        node_name="Div",
    )(forward)  # fmt: skip


floor_divide = _whole_division(
    "floor_divide", floor,
    """The quotient rounded down: `input // other`.

    Raises `RuntimeError` where an integer is divided by 0.

    >>> import tensorlab as tl
    >>> tl.floor_divide(tl.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """,
)  # fmt: skip
trunc_divide = _whole_division(
    "trunc_divide", trunc, "The quotient rounded towards zero; `div` is the public form."
)
for _rounded_division in (floor_divide, trunc_divide):
    _rounded_division.vjp(input=lambda g: no_slope(g), other=lambda g: no_slope(g))


def _division_form(rounding_mode: str | None) -> Any:
    forms = {None: _div, "floor": floor_divide, "trunc": trunc_divide}
    if rounding_mode not in forms:
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' "
            f"but found {rounding_mode!r}"
        )
    return forms[rounding_mode]


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """The quotient with broadcasting: `input / other`. Of integers it is floating.

    rounding_mode: "floor" rounds down (`//`), "trunc" towards zero; integers then stay integers.

    >>> import tensorlab as tl
    >>> tl.div(tl.tensor([7, -7]), 2)
    tensor([ 3.5000, -3.5000])
    >>> tl.div(tl.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    return _division_form(rounding_mode)(input, other, out=out)


divide = div


def true_divide(input: Any, other: Any, *, out: Any = None) -> Any:
    """`input / other`; see `div`.

    >>> import tensorlab as tl
    >>> tl.true_divide(tl.tensor([1, 3]), 2)
    tensor([0.5000, 1.5000])
    """
    return _div(input, other, out=out)


def _div_in_place(self: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """In-place version of `div`."""
    from tensorlab.autograd.inplace import apply_inplace

    return apply_inplace(_division_form(rounding_mode).op, (self, other), ())


Tensor.div = Tensor.divide = div  # type: ignore[attr-defined]
Tensor.true_divide = true_divide  # type: ignore[attr-defined]
Tensor.div_ = Tensor.divide_ = Tensor.true_divide_ = _div_in_place  # type: ignore[attr-defined]


def _remainder(
    name: str, numpy_name: str, summary: str, rounded: Any, dunder: tuple[str, ...], example: str
) -> Any:
    def forward(xp, input, other, /):
        if _kind(input) in "biu" and _kind(other) in "biu" and not xp.all(other):
            raise RuntimeError("ZeroDivisionError: integer modulo by zero")
        return getattr(xp, numpy_name)(input, other)

    forward.__name__ = name
    forward.__doc__ = (
        f"{summary}\n\n    Raises `RuntimeError` where an integer is divided by 0.\n\n    >>> import tensorlab as tl\n"
        f"    >>> tl.{name}(tl.tensor([7, -7]), 3)\n    tensor([{example}])\n    "
    )
    made = op(
        samples=_integer_divisors,
        errors=lambda r: [
            *_mismatch(r), ErrorSample(r.int(3), 0, error=RuntimeError, match="ZeroDivisionError"),
        ],
        ref=getattr(np, numpy_name), method=True, inplace=True, dunder=dunder,
    )(forward)  # fmt: skip
    made.vjp(input=lambda g: g, other=lambda g, input, other: -g * rounded(_div(input, other)))
    made.op.names = _names.by_operand(name.title())
    return made


remainder = _remainder(
    "remainder", "remainder", "What `//` leaves: `input % other`, with the sign of `other`.", floor,
    ("__mod__", "__rmod__"), "1, 2",
)  # fmt: skip
fmod = _remainder(
    "fmod",
    "fmod",
    "What rounding the quotient towards zero leaves, with the sign of `input`.",
    trunc,
    (),
    " 1, -1",
)
