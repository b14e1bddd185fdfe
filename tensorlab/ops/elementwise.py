"""Operations on each element: arithmetic, comparison, powers, exponentials, and conversion."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor


def _pairs(r: Any) -> list[Sample]:
    """Two operands in the ways they meet: same shape, broadcast, number, 0-dim, empty."""
    return [
        Sample(r(2, 3), r(2, 3)),
        Sample(r(3, 1), r(1, 4)),
        Sample(r(3), 2.0),
        Sample(r(2, 3), r()),
        Sample(r(0, 3), r(3)),
    ]


def _shapes(r: Any) -> list[Sample]:
    return [Sample(r(2, 3)), Sample(r()), Sample(r(0, 3))]


def _mismatch(r: Any) -> list[ErrorSample]:
    return [ErrorSample(r(2), r(3), error=RuntimeError, match="must match")]


def _conj(x: Any) -> Any:
    """The conjugate, which gradients of complex functions need; real values pass untouched."""
    if type(x) is np.ndarray:
        return x if x.dtype.kind != "c" else x.conj()
    if isinstance(x, (int, float, complex)):
        return x.conjugate()
    return conj(x)


@op(samples=_shapes, ref=np.zeros_like, torch="")
def no_slope(xp, input, /):
    """Zeros like the gradient `input`, by what a result does not change with.

    PyTorch has zeros there also where the gradient is infinite; 0 times it would be nan.
    """
    return xp.zeros(input.shape, input.dtype)


no_slope.vjp(input=lambda g: no_slope(g))

# Arithmetic -------------------------------------------------------------------------------


@op(
    samples=lambda r: [*_pairs(r), Sample(r(3), r(3), alpha=0.5)], errors=_mismatch,
    ref=lambda x, y, alpha=1: np.add(x, alpha * np.asarray(y)),
    method=True, inplace=True, dunder=("__add__", "__radd__"),
)  # fmt: skip
def add(xp, input, other, /, *, alpha=1):
    """Sum with broadcasting: `input + alpha · other`.

    >>> import tensorlab
    >>> tensorlab.add(tensorlab.tensor([1, 2]), 10)
    tensor([11, 12])
    """
    return xp.add(input, other) if alpha == 1 else xp.add(input, alpha * other)


add.vjp(input=lambda g: g, other=lambda g, alpha: g if alpha == 1 else g * alpha)


@op(
    samples=_pairs,
    errors=_mismatch,
    ref=np.multiply,
    method=True,
    inplace=True,
    dunder=("__mul__", "__rmul__"),
    aliases=("multiply",),
)
def mul(xp, input, other, /):
    """Elementwise product with broadcasting: `input · other`.

    >>> import tensorlab
    >>> tensorlab.mul(tensorlab.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """
    return xp.multiply(input, other)


mul.vjp(input=lambda g, other: g * _conj(other), other=lambda g, input: g * _conj(input))


@op(
    samples=_shapes,
    ref=np.negative,
    method=True,
    inplace=True,
    dunder=("__neg__",),
    aliases=("negative",),
)
def neg(xp, input, /):
    """The negative of each element.

    >>> import tensorlab
    >>> -tensorlab.tensor([1.0, -2.0])
    tensor([-1.,  2.])
    """
    if input.dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return xp.negative(input)


neg.vjp(input=lambda g: -g)


@op(
    samples=lambda r: [Sample(r(2, 3), np.dtype("float64"))],
    method=False,
    result=None,
    node_name="ToCopy",
)
def cast(xp, input, /, dtype):
    """The values converted to another NumPy dtype, always a copy; `Tensor.to` is the public form.

    Its gradient is converted back by the engine.
    """
    return input.astype(dtype)


cast.vjp(input=lambda g: g)


@op(samples=_shapes, ref=np.conj, method=True, result=None, view=True)
def conj(xp, input, /):
    """The complex conjugate; a real tensor is returned as it is.

    >>> import tensorlab
    >>> tensorlab.conj(tensorlab.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return xp.conj(input) if input.dtype.kind == "c" else input


conj.vjp(input=lambda g: conj(g))


@op(samples=_shapes, ref=np.real, result=None, view=True)
def real(xp, input, /):
    """The real part of a complex tensor, a view; a real tensor is returned as it is.

    >>> import tensorlab
    >>> tensorlab.real(tensorlab.tensor([1 + 2j]))
    tensor([1.])
    """
    return input.real


real.vjp(input=lambda g: g)


@op(
    samples=lambda r: [Sample(r(2, 3) + 1j * r(2, 3))],
    errors=lambda r: [ErrorSample(r(2), error=RuntimeError, match="imag is not implemented")],
    ref=np.imag,
    result=None,
    view=True,
)
def imag(xp, input, /):
    """The imaginary part of a complex tensor, a view; `RuntimeError` for a real one.

    >>> import tensorlab
    >>> tensorlab.imag(tensorlab.tensor([1 + 2j]))
    tensor([2.])
    """
    if input.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return input.imag


imag.vjp(input=lambda g: g * 1j)

Tensor.real = property(real)  # type: ignore[assignment]
Tensor.imag = property(imag)  # type: ignore[assignment]
