"""Complex numbers made of real ones and the other way round.

The gradient of a real function L by a complex number z is ∂L/∂Re z + i·∂L/∂Im z, PyTorch's
convention: the direction in which L grows fastest. So the real part of the gradient belongs to
the real part of the number, and the imaginary part to the imaginary part. In a holomorphic
function the rule is the usual one with the *conjugate* of the derivative (W. Wirtinger, "Zur
formalen Theorie der Funktionen von mehr komplexen Veränderlichen", Math. Ann. 97, 1927).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._dtypes import from_numpy_dtype
from tensorlab._layout import element_strides
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops.compare import where
from tensorlab.ops.cutting import select
from tensorlab.ops.elementwise import _conj, _mismatch, conj, imag, no_slope, real
from tensorlab.ops.functions import function, sgn


def _parts(r: Any, *shape: int) -> Any:
    return np.asarray(r(*shape) + 1j * r(*shape))


def _pair_errors(r: Any) -> list[ErrorSample]:
    return [
        *_mismatch(r),
        ErrorSample(r.int(2), r.int(2), error=RuntimeError, match="Expected both inputs to be Half, Float or Double"),
        ErrorSample(r(2), _parts(r, 2), error=RuntimeError, match="Expected both inputs to be Half, Float or Double"),
        ErrorSample(r(2), r(2).astype(np.float64), error=RuntimeError, match="Expected object of scalar type"),
        ErrorSample(r(2), 1.0, error=TypeError, match="must be Tensor, not float"),
    ]  # fmt: skip


def _check_pair(name: str, **pair: Any) -> None:
    """Two real tensors of one floating-point dtype, as `complex` and `polar` need them."""
    for position, (argument, x) in enumerate(pair.items(), 1):
        if not hasattr(x, "dtype"):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type(x).__name__}"
            )
    first, second = (from_numpy_dtype(x.dtype) for x in pair.values())
    if not (first.is_floating_point and second.is_floating_point):
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors but got {first} and {second}"
        )
    if first is not second:
        raise RuntimeError(
            f"Expected object of scalar type {first} but got scalar type {second} for second argument"
        )


def _combined(xp: Any, re: Any, im: Any) -> Any:
    shape = np.broadcast_shapes(re.shape, im.shape)
    out = xp.empty(shape, from_numpy_dtype(re.dtype).to_complex().numpy)
    out.real, out.imag = re, im
    return out


@op(
    samples=lambda r: [Sample(r(2, 3), r(2, 3)), Sample(r(3, 1), r(4)), Sample(r(), r()), Sample(r(0, 2), r(2))],
    errors=_pair_errors, ref=lambda x, y: x + 1j * y, result=None,
)  # fmt: skip
def complex(xp, real, imag, /):
    """The complex numbers with these real and imaginary parts, both float32 or both float64.

    The two broadcast. float16 gives complex64: there are no complex numbers of half precision.

    >>> import tensorlab as tl
    >>> tl.complex(tl.tensor([1.0]), tl.tensor([2.0]))
    tensor([1.+2.j])
    """
    _check_pair("complex", real=real, imag=imag)
    return _combined(xp, real, imag)


complex.vjp(real=lambda g: real(g), imag=lambda g: imag(g))


@op(
    samples=lambda r: [
        Sample(r(2, 3, low=0.2), r(2, 3)), Sample(r(3, 1, low=0.2), r(4)), Sample(r(low=0.2), r()),
        Sample(r(0, 2), r(2)),
    ],
    errors=_pair_errors, ref=lambda x, y: x * np.exp(1j * y), result=None,
)  # fmt: skip
def polar(xp, abs, angle, /):
    r"""The complex numbers of this size and angle in radians: \(r\,(\cos\varphi + i\sin\varphi)\).

    Both are float32 or both float64; they broadcast.

    >>> import tensorlab as tl
    >>> tl.polar(tl.tensor([2.0]), tl.tensor([0.0]))
    tensor([2.+0.j])
    """
    _check_pair("polar", abs=abs, angle=angle)
    return _combined(xp, abs * xp.cos(angle), abs * xp.sin(angle))


def _polar_abs_backward(g, angle):
    return real(g * _conj(polar(angle * 0.0 + 1.0, angle)))


polar.vjp(abs=_polar_abs_backward, angle=lambda g, out: real(g * _conj(out * 1j)))


# The same memory read as the other kind ---------------------------------------------------


@op(
    samples=lambda r: [Sample(_parts(r, 2, 3)), Sample(_parts(r)), Sample(_parts(r, 0, 2))],
    errors=lambda r: [ErrorSample(r(2), error=RuntimeError, match="only supported for complex tensors")],
    ref=lambda x: np.stack([x.real, x.imag], -1), result=None, view=True,
)  # fmt: skip
def view_as_real(xp, input, /):
    """A view of complex numbers as pairs of real ones, in a new last dimension of size 2.

    >>> import tensorlab as tl
    >>> tl.view_as_real(tl.tensor([1 + 2j]))
    tensor([[1., 2.]])
    """
    if input.dtype.kind != "c":
        raise RuntimeError(
            f"view_as_real is only supported for complex tensors, got {from_numpy_dtype(input.dtype)}"
        )
    return input[..., None].view(from_numpy_dtype(input.dtype).to_real().numpy)


view_as_real.vjp(input=lambda g: complex(select(g, -1, 0), select(g, -1, 1)))


@op(
    samples=lambda r: [Sample(r(3, 2)), Sample(r(2)), Sample(r(0, 3, 2))],
    errors=lambda r: [
        ErrorSample(r.int(2), error=RuntimeError, match="only supported for half, float and double tensors"),
        ErrorSample(r(2, 3), error=RuntimeError, match="Tensor must have a last dimension of size 2"),
        ErrorSample(r(), error=RuntimeError, match="Input tensor must have one or more dimensions"),
    ],
    ref=lambda x: x[..., 0] + 1j * x[..., 1], result=None, view=True,
)  # fmt: skip
def view_as_complex(xp, input, /):
    """A view of pairs of real numbers, in the last dimension, as complex ones.

    Raises `RuntimeError` unless that dimension has size 2 and the pairs lie together in memory.
    float16 is copied to complex64: there are no complex numbers of half precision.

    >>> import tensorlab as tl
    >>> tl.view_as_complex(tl.tensor([[1., 2.]]))
    tensor([1.+2.j])
    """
    kind = from_numpy_dtype(input.dtype)
    if not kind.is_floating_point:
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a tensor of "
            f"scalar type: {kind}"
        )
    if input.ndim == 0:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise RuntimeError(
            f"Tensor must have a last dimension of size 2, got shape {list(input.shape)}"
        )
    strides = element_strides(input)
    if strides[-1] != 1:
        raise RuntimeError(
            f"Tensor must have a last dimension with stride 1, got strides {list(strides)}; use .contiguous()"
        )
    if any(s % 2 for s, n in zip(strides[:-1], input.shape, strict=False) if n > 1):
        raise RuntimeError(
            f"Tensor must have a stride divisible by 2 for all but last dimension, got strides {list(strides)}; "
            "use .contiguous()"
        )
    if input.dtype.itemsize == 2:
        return _combined(xp, input[..., 0], input[..., 1])
    return input.view(kind.to_complex().numpy)[..., 0]


view_as_complex.vjp(input=lambda g: view_as_real(g))


# The angle, and conjugation ---------------------------------------------------------------


def _angle(xp: Any, x: Any) -> Any:
    if x.dtype.kind == "c":
        return xp.arctan2(x.imag, x.real)
    return xp.where(xp.isnan(x), x, xp.where(x < 0, math.pi, 0)).astype(x.dtype)


def _angle_backward(g: Any, input: Any) -> Any:
    if getattr(input, "_data", input).dtype.kind != "c":
        return no_slope(g)
    # The angle grows across the direction of z, the slower the larger z is; 0 has none.
    size = abs(input)
    return where(size == 0, 0.0, g * sgn(input) * 1j / where(size == 0, 1.0, size))


angle = function(
    "angle", "The angle of complex numbers in radians; of real ones 0, or π below zero.", _angle, _angle_backward,
    ("1., -1.", "0.0000, 3.1416"), ref=lambda x: np.angle(x), inplace=False,
    more=lambda r: [Sample(_parts(r, 3)), Sample(np.zeros(2, _parts(r).dtype)).kink()],
)  # fmt: skip


def resolve_conj(input: Any) -> Any:
    """The tensor itself: `conj` has computed its numbers already, it is never put off here.

    In PyTorch `conj()` is a view that is worked out by this function.

    >>> import tensorlab as tl
    >>> tl.tensor([1 + 2j]).conj().resolve_conj()
    tensor([1.-2.j])
    """
    return input


def resolve_neg(input: Any) -> Any:
    """The tensor itself: no negation is ever put off here.

    >>> import tensorlab as tl
    >>> tl.tensor([1 + 2j]).conj().imag.resolve_neg()
    tensor([-2.])
    """
    return input


def conj_physical(input: Any) -> Any:
    """`conj`, under the name of PyTorch's form that is computed at once.

    >>> import tensorlab as tl
    >>> tl.conj_physical(tl.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return conj(input)


Tensor.resolve_conj = resolve_conj  # type: ignore[attr-defined]
Tensor.resolve_neg = resolve_neg  # type: ignore[attr-defined]
Tensor.conj_physical = conj_physical  # type: ignore[attr-defined]
