"""Comparison, logic, bits, and choosing between values: eq, where, clamp, maximum.

Comparisons promote their operands as arithmetic does and give bool.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops import _names
from tensorlab.ops._out import with_out
from tensorlab.ops.elementwise import _mismatch


def _binary_samples(r: Any) -> list[Sample]:
    """Operands with equal elements among them, in all the ways they meet."""
    x = r.int(2, 3).astype(r.dtype)
    return [
        Sample(x, r.int(2, 3).astype(r.dtype)),
        Sample(r(3, 1), r(1, 4)),
        Sample(x, 1),
        Sample(r.int(3), 0.5),
        Sample(r.int(2, 3), r()),
        Sample(r.bool(3), r.int(3)),
        Sample(r(0, 3), r(3)),
    ]


def _is_complex(value: Any) -> bool:
    return value.dtype.kind == "c" if hasattr(value, "dtype") else isinstance(value, complex)


def _comparison(
    name: str, meaning: str, symbol: str, numpy_name: str, aliases: tuple[str, ...] = ()
) -> Any:
    if name in ("eq", "ne"):

        def forward(xp, input, other, /):
            return getattr(xp, numpy_name)(input, other)
    else:

        def forward(xp, input, other, /):
            if _is_complex(input) or _is_complex(other):
                raise NotImplementedError(
                    f"{name}() is not implemented for complex numbers, which have no order: "
                    "compare .real, .imag or .abs()"
                )
            return getattr(xp, numpy_name)(input, other)

    forward.__name__ = name
    compared = getattr(operator, name)
    shown = ", ".join(f"{compared(a, 2)!s:>5}" for a in (1, 2, 3))
    forward.__doc__ = (
        f"Where `input` {meaning} `other`: `input {symbol} other`, with broadcasting; bool.\n\n"
        f"    >>> import tensorlab as tl\n    >>> tl.{name}(tl.tensor([1, 2, 3]), 2)\n"
        f"    tensor([{shown}])\n    "
    )
    return op(
        samples=_binary_samples, errors=_mismatch, ref=np.vectorize(compared, otypes=[bool]), result="bool",
        method=True, dunder=(f"__{name}__",), aliases=aliases,
    )(forward)  # fmt: skip


eq = _comparison("eq", "equals", "==", "equal")
ne = _comparison("ne", "differs from", "!=", "not_equal", ("not_equal",))
lt = _comparison("lt", "is less than", "<", "less", ("less",))
le = _comparison("le", "is at most", "<=", "less_equal", ("less_equal",))
gt = _comparison("gt", "is greater than", ">", "greater", ("greater",))
ge = _comparison("ge", "is at least", ">=", "greater_equal", ("greater_equal",))
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge

# Logic and bits ---------------------------------------------------------------------------


def _logical(name: str, meaning: str, ref: Callable[..., Any]) -> Any:
    def forward(xp, input, other, /):
        return getattr(xp, name)(input, other)

    forward.__name__ = name
    shown = ", ".join(
        f"{bool(ref(a, b))!s:>5}" for a, b in ((True, True), (True, False), (False, False))
    )
    forward.__doc__ = (
        f"{meaning} Elements other than 0 count as true.\n\n    >>> import tensorlab as tl\n"
        f"    >>> a, b = tl.tensor([True, True, False]), tl.tensor([True, False, False])\n"
        f"    >>> tl.{name}(a, b)\n    tensor([{shown}])\n    "
    )
    return op(
        samples=lambda r: [
            Sample(r.bool(2, 3), r.bool(3)), Sample(r.int(3, low=-1, high=2), r(3)), Sample(r.bool(0), r.bool(0)),
        ],
        errors=_mismatch, ref=np.vectorize(ref, otypes=[bool]), result=None, promote=(), method=True,
    )(forward)  # fmt: skip


logical_and = _logical("logical_and", "Where both are true.", lambda a, b: bool(a) and bool(b))
logical_or = _logical("logical_or", "Where at least one is true.", lambda a, b: bool(a) or bool(b))
logical_xor = _logical("logical_xor", "Where exactly one is true.", lambda a, b: bool(a) != bool(b))


@op(
    samples=lambda r: [Sample(r.bool(2, 3)), Sample(r.int(4, low=-1, high=2)), Sample(r(0))],
    ref=np.logical_not,
    result=None,
    method=True,
)
def logical_not(xp, input, /):
    """Where an element is false (or 0).

    >>> import tensorlab as tl
    >>> tl.logical_not(tl.tensor([True, False]))
    tensor([False,  True])
    """
    return xp.logical_not(input)


def _bitwise(name: str, meaning: str, python_name: str, example: tuple[int, int]) -> Any:
    scalar = getattr(operator, python_name)

    def forward(xp, input, other, /):
        for value in (input, other):
            _require_bits(name, value)
        return getattr(xp, name)(input, other)

    forward.__name__ = name
    forward.__doc__ = (
        f"{meaning} For integers bit by bit, for bools the logical operation.\n\n    >>> import tensorlab as tl\n"
        f"    >>> tl.{name}(tl.tensor([{example[0]}]), {example[1]})\n    tensor([{scalar(*example)}])\n    "
    )
    dunder = python_name.rstrip("_")
    return op(
        samples=lambda r: [
            Sample(r.int(2, 3), r.int(3)), Sample(r.bool(3), r.bool(3)), Sample(r.int(3), 5),
            Sample(r.bool(2), r.int(2)),
        ],
        errors=lambda r: [ErrorSample(r(3), r(3), error=NotImplementedError, match=name)],
        ref=lambda a, b: scalar(a, b), method=True, inplace=True, dunder=(f"__{dunder}__", f"__r{dunder}__"),
    )(forward)  # fmt: skip


def _require_bits(name: str, value: Any) -> None:
    if isinstance(value, float) or (hasattr(value, "dtype") and value.dtype.kind not in "biu"):
        kind = type(value).__name__ if isinstance(value, float) else from_numpy_dtype(value.dtype)
        raise NotImplementedError(f"{name}() needs integer or bool operands, got {kind}")


bitwise_and = _bitwise("bitwise_and", "`input & other`.", "and_", (6, 3))
bitwise_or = _bitwise("bitwise_or", "`input | other`.", "or_", (6, 3))
bitwise_xor = _bitwise("bitwise_xor", "`input ^ other`.", "xor", (6, 3))


@op(
    samples=lambda r: [Sample(r.int(2, 3)), Sample(r.bool(3))],
    errors=lambda r: [ErrorSample(r(3), error=TypeError, match="only implemented on integer and Boolean")],
    ref=np.invert, result=None, method=True, inplace=True, dunder=("__invert__",),
)  # fmt: skip
def bitwise_not(xp, input, /):
    """`~input`: every bit turned; for bools the logical not.

    >>> import tensorlab as tl
    >>> ~tl.tensor([True, False])
    tensor([False,  True])
    """
    if input.dtype.kind not in "biu":
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors, "
            f"got {from_numpy_dtype(input.dtype)}"
        )
    return xp.invert(input)


def _shift(
    name: str, meaning: str, python_name: str, numpy_name: str, example: tuple[int, int]
) -> Any:
    def forward(xp, input, other, /):
        for value in (input, other):
            _require_bits(name, value)
        return getattr(xp, numpy_name)(input, other)

    forward.__name__ = name
    forward.__doc__ = (
        f"{meaning}\n\n    >>> import tensorlab as tl\n    >>> tl.{name}(tl.tensor([{example[0]}]), {example[1]})\n"
        f"    tensor([{getattr(operator, python_name)(*example)}])\n    "
    )
    return op(
        samples=lambda r: [Sample(r.int(2, 3), r.int(3, low=0, high=5)), Sample(r.int(3), 2)],
        errors=lambda r: [ErrorSample(r(3), r(3), error=NotImplementedError, match=name)],
        ref=getattr(operator, python_name), method=True, inplace=True,
        dunder=(f"__{python_name}__", f"__r{python_name}__"),
    )(forward)  # fmt: skip


bitwise_left_shift = _shift(
    "bitwise_left_shift", "The bits moved left: `input · 2**other`.", "lshift", "left_shift", (3, 2)
)
bitwise_right_shift = _shift(
    "bitwise_right_shift", "The bits moved right, keeping the sign: `input / 2**other`, rounded down.",
    "rshift", "right_shift", (-5, 1),
)  # fmt: skip

# Asking about values ----------------------------------------------------------------------


def _special(r: Any) -> Any:
    return np.array([1.0, math.inf, -math.inf, math.nan, 0.0], r.dtype)


def _question(name: str, summary: str, forward: Callable[..., Any], printed: str, ref: Any) -> Any:
    def compute(xp, input, /):
        return forward(xp, input)

    compute.__name__ = name
    compute.__doc__ = (
        f"{summary}; bool.\n\n    >>> import tensorlab as tl\n"
        f"    >>> tl.{name}(tl.tensor([1.0, float('inf'), float('nan')]))\n    tensor([{printed}])\n    "
    )
    return op(
        samples=lambda r: [Sample(_special(r)), Sample(r(2, 3)), Sample(r.int(3)), Sample(r(0))],
        ref=ref, result=None, method=True,
    )(compute)  # fmt: skip


def _no_integers(name: str, of_integer: bool) -> Callable[..., Any]:
    def forward(xp, x):
        if x.dtype.kind in "biu":
            return xp.full(x.shape, of_integer)
        return getattr(xp, name)(x)

    return forward


isnan = _question(
    "isnan",
    "Where an element is not a number",
    _no_integers("isnan", False),
    "False, False,  True",
    np.isnan,
)
isinf = _question(
    "isinf",
    "Where an element is ±infinity",
    _no_integers("isinf", False),
    "False,  True, False",
    np.isinf,
)
isfinite = _question(
    "isfinite",
    "Where an element is neither infinite nor nan",
    _no_integers("isfinite", True),
    " True, False, False",
    np.isfinite,
)
isposinf = _question(
    "isposinf",
    "Where an element is +infinity",
    lambda xp, x: x == math.inf,
    "False,  True, False",
    np.isposinf,
)
isneginf = _question(
    "isneginf",
    "Where an element is -infinity",
    lambda xp, x: x == -math.inf,
    "False, False, False",
    np.isneginf,
)
isreal = _question(
    "isreal",
    "Where the imaginary part is 0",
    lambda xp, x: xp.imag(x) == 0,
    "True, True, True",
    np.isreal,
)
signbit = _question(
    "signbit", "Where the sign bit is set, of -0.0 too",
    lambda xp, x: xp.signbit(x) if x.dtype.kind == "f" else x < 0, "False, False, False", np.signbit,
)  # fmt: skip


@op(
    samples=lambda r: [
        Sample(r(3), r(3)), Sample(_special(r), _special(r)), Sample(_special(r), _special(r), equal_nan=True),
        Sample(r.int(3), r.int(3), rtol=0.5), Sample(r(2, 1), r(3), atol=1.0),
    ],
    errors=lambda r: [
        ErrorSample(r(3), r.int(3), error=RuntimeError, match="did not match"),
        ErrorSample(r(3), r(3), rtol=-1, error=RuntimeError, match="rtol must be greater"),
    ],
    ref=np.isclose, result=None, promote=(), method=True,
)  # fmt: skip
def isclose(xp, input, other, /, rtol=1e-05, atol=1e-08, equal_nan=False):
    r"""Where \(|input - other| \le atol + rtol\,|other|\); infinities of one sign are close.

    Raises `RuntimeError` if the dtypes differ, or for negative tolerances.

    >>> import tensorlab as tl
    >>> tl.isclose(tl.tensor([1.0, 1.1]), tl.tensor([1.000001, 1.0]))
    tensor([ True, False])
    """
    if input.dtype != other.dtype:
        names = [str(from_numpy_dtype(x.dtype)) for x in (input, other)]
        raise RuntimeError(f"{names[0]} did not match {names[1]}: isclose() compares equal dtypes")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value}")
    if input.dtype.kind in "biu":
        input, other = input.astype(np.float64), other.astype(np.float64)
    return xp.isclose(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, see `isclose`.

    >>> import tensorlab as tl
    >>> tl.allclose(tl.tensor([1.0]), tl.tensor([1.0000001]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and the same elements.

    >>> import tensorlab as tl
    >>> tl.equal(tl.tensor([1, 2]), tl.tensor([1, 2]))
    True
    """
    for i, x in enumerate((input, other)):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"equal(): argument '{('input', 'other')[i]}' (position {i + 1}) must be Tensor, not {type(x).__name__}"
            )
    return input.shape == other.shape and bool(eq(input, other).all())


Tensor.allclose = allclose  # type: ignore[attr-defined]
Tensor.equal = equal  # type: ignore[attr-defined]

# Choosing ---------------------------------------------------------------------------------


@op(
    samples=lambda r: [
        Sample(r.bool(2, 3), r(2, 3), r(2, 3)), Sample(r.bool(3, 1), r(4), r()), Sample(r.bool(3), r(3), 0.0),
        Sample(r.bool(3), 1.0, r(3)), Sample(r.bool(0, 3), r(3), r(0, 1)), Sample(r.bool(2), r.int(2), 0.5),
    ],
    errors=lambda r: [
        ErrorSample(r(3), r(3), r(3), error=RuntimeError, match="expected condition to be a boolean"),
        ErrorSample(r.bool(2), r(3), r(3), error=RuntimeError, match="must match"),
    ],
    ref=np.where, promote=("input", "other"), name="where",
)  # fmt: skip
def _where(xp, condition, input, other, /):
    """`input` where `condition` is true, else `other`."""
    if condition.dtype != bool and condition.dtype != np.uint8:
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{from_numpy_dtype(condition.dtype)}"
        )
    return xp.where(condition, input, other)


# The condition itself has no gradient; what was not chosen gets zero.
_where.vjp(
    input=lambda g, condition: where(condition, g, 0.0),
    other=lambda g, condition: where(condition, 0.0, g),
)


def where(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """`input` where `condition` is true, else `other`, with broadcasting.

    With `condition` alone: the indices where it is true, as `nonzero(as_tuple=True)`.

    >>> import tensorlab as tl
    >>> x = tl.tensor([-1.0, 2.0])
    >>> tl.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if input is None and other is None:
        from tensorlab.ops.selecting import nonzero

        return nonzero(condition, as_tuple=True)
    return _where(condition, input, other, out=out)


def _where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """`self` where `condition` is true, else `other`; see `where`."""
    return where(condition, self, other)


Tensor.where = _where_method  # type: ignore[attr-defined]


def _extreme(name: str, word: str, aliases: tuple[str, ...] = ()) -> Any:
    def forward(xp, input, other, /):
        for x in (input, other):
            if x.dtype.kind == "c":
                raise RuntimeError(f"{name} not implemented for complex tensors.")
        return getattr(xp, name)(input, other)

    forward.__name__ = name
    better = max if word == "larger" else min
    shown = ", ".join(f"{better(a, b)}." for a, b in ((1, 3), (2, 0)))
    nans = (
        "nan where either is. Equal elements share the gradient."
        if name.endswith("mum")
        else "A nan gives way to the other element."
    )
    forward.__doc__ = (
        f"The {word} of two elements, with broadcasting. {nans}\n\n"
        f"    >>> import tensorlab as tl\n    >>> tl.{name}(tl.tensor([1., 2.]), tl.tensor([3., 0.]))\n"
        f"    tensor([{shown}])\n    "
    )
    made = op(
        samples=lambda r: [
            Sample(r(2, 3), r(2, 3)), Sample(r(3, 1), r(1, 4)), Sample(r(3), r()),
            Sample(np.array([1.0, 2.0], r.dtype), np.array([1.0, 3.0], r.dtype)).kink(), Sample(r.int(3), r(3)),
        ],
        errors=_mismatch, ref=getattr(np, name), method=True, aliases=aliases,
    )(forward)  # fmt: skip
    if not name.endswith("mum"):
        # fmax and fmin give a tie to the first operand, maximum and minimum share it.
        ahead = ge if word == "larger" else le
        made.vjp(
            input=lambda g, input, other: where(
                logical_or(ahead(input, other), isnan(other)), g, 0.0
            ),
            other=lambda g, input, other: where(
                logical_or(ahead(input, other), isnan(other)), 0.0, g
            ),
        )
        return made
    loses = lt if word == "larger" else gt
    made.vjp(
        input=lambda g, input, other: _share(g, loses, input, other),
        other=lambda g, input, other: _share(g, loses, other, input),
    )
    return made


def _share(g: Any, loses: Any, mine: Any, theirs: Any) -> Any:
    """Where one is nan neither loses: both get the whole gradient, as in PyTorch."""
    return where(eq(mine, theirs), g * 0.5, where(loses(mine, theirs), 0.0, g))


maximum = _extreme("maximum", "larger")
minimum = _extreme("minimum", "smaller")
fmax = _extreme("fmax", "larger")
fmin = _extreme("fmin", "smaller")


@op(
    samples=lambda r: [
        Sample(r(2, 3), -0.5, 0.5), Sample(r(2, 3), 0.0), Sample(r(3), None, 0.3), Sample(r(2, 3), r(3), r(2, 1)),
        Sample(r.int(4), 0, 2), Sample(r.int(4), -0.5), Sample(r(3), 0.5, -0.5), Sample(r(0), 0.0, 1.0),
        Sample(np.array([0.0, 1.0, 0.5], r.dtype), 0.0, 1.0).kink(),
    ],
    errors=lambda r: [ErrorSample(r(3), error=RuntimeError, match="At least one of 'min' or 'max'")],
    ref=lambda x, min=None, max=None: np.clip(x, min, max), method=True, inplace=True, aliases=("clip",),
)  # fmt: skip
def clamp(xp, input, min=None, max=None, /):
    """Each element limited to [`min`, `max`], numbers or tensors; None is no limit.

    Where min > max the result is max. The gradient is 1 inside and at the limits, 0 outside.

    >>> import tensorlab as tl
    >>> tl.clamp(tl.tensor([-2.0, 0.5, 3.0]), min=0, max=1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
    out = input
    # Of equals NumPy takes the second: -0.0 stays what it is between 0 and 1, as in PyTorch.
    if min is not None:
        out = xp.maximum(min, out)
    if max is not None:
        out = xp.minimum(max, out)
    return out


def _clamp_input(g, input, min, max):
    inside = None
    for limit, kept in ((min, ge), (max, le)):
        if limit is not None:
            ok = kept(input, limit)
            inside = ok if inside is None else logical_and(inside, ok)
    return where(inside, g, 0.0)


def _clamp_min(g, input, min, max):
    taken = lt(input, min)
    return where(taken if max is None else logical_and(taken, lt(min, max)), g, 0.0)


def _clamp_max(g, input, min, max):
    taken = gt(input, max)
    return where(taken if min is None else logical_or(taken, gt(min, max)), g, 0.0)


clamp.vjp(input=_clamp_input, min=_clamp_min, max=_clamp_max)
clamp.op.names = _names.clamped
clip = clamp


@with_out
def clamp_min(input: Any, min: Any) -> Any:
    """Each element, but at least `min`; see `clamp`.

    >>> import tensorlab as tl
    >>> tl.clamp_min(tl.tensor([-1.0, 2.0]), 0)
    tensor([0., 2.])
    """
    return clamp(input, min, None)


@with_out
def clamp_max(input: Any, max: Any) -> Any:
    """Each element, but at most `max`; see `clamp`.

    >>> import tensorlab as tl
    >>> tl.clamp_max(tl.tensor([-1.0, 2.0]), 0)
    tensor([-1.,  0.])
    """
    return clamp(input, None, max)


@op(
    samples=lambda r: [Sample(_special(r)), Sample(_special(r), 9.0, posinf=1.0, neginf=-1.0), Sample(r.int(3))],
    ref=lambda x, nan=0.0, posinf=None, neginf=None: np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
    method=True, inplace=True, result=None,
)  # fmt: skip
def nan_to_num(xp, input, /, nan=0.0, posinf=None, neginf=None):
    """nan replaced by `nan`, infinities by `posinf` and `neginf` (the type's limits unless given).

    >>> import tensorlab as tl
    >>> tl.nan_to_num(tl.tensor([1.0, float("nan")]))
    tensor([1., 0.])
    """
    if input.dtype.kind in "biu":
        return input.copy()
    return xp.nan_to_num(input, nan=nan, posinf=posinf, neginf=neginf)


nan_to_num.vjp(input=lambda g, input: where(isfinite(input), g, 0.0))
