"""Mantissas and exponents (frexp, ldexp), and limiting the norm of slices (renorm)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab import return_types
from tensorlab._autocast import autocasts_within
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops._dims import as_dim, like
from tensorlab.ops._out import with_out
from tensorlab.ops.arithmetic import pow
from tensorlab.ops.compare import where
from tensorlab.ops.elementwise import mul
from tensorlab.ops.functions import exp2
from tensorlab.ops.norms import vector_norm


@op(
    samples=lambda r: [
        Sample(r(2, 3) * 40), Sample(r()), Sample(r(0, 3)), Sample(np.array([0.0, np.inf, 1.0, -0.5], r.dtype)).kink(),
    ],
    errors=lambda r: [ErrorSample(r.int(3), error=RuntimeError, match="only supports floating-point dtypes")],
    ref=np.frexp, result=None, method=True, named_tuple=return_types.frexp,
)  # fmt: skip
def frexp(xp, input, /):
    r"""Mantissa m with 1/2 ≤ |m| < 1 and whole exponent e (int32), such that \(x = m\,2^e\).

    >>> import tensorlab as tl
    >>> tl.frexp(tl.tensor([6.0])).mantissa
    tensor([0.7500])
    """
    if input.dtype.kind not in "fV":
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    mantissa, exponent = xp.frexp(input)
    return xp.asarray(mantissa, input.dtype), xp.asarray(exponent, np.int32)


frexp.vjp(input=lambda g, out: g[0] / exp2(like(out[1], g[0])))


def ldexp(input: Any, other: Any, *, out: Any = None) -> Any:
    r"""\(x\,2^y\): what `frexp` took apart.

    >>> import tensorlab as tl
    >>> tl.ldexp(tl.tensor([0.75]), tl.tensor([3]))
    tensor([6.])
    """
    return mul(input, pow(2.0, other), out=out)


@with_out
@autocasts_within
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """The tensor with every slice along `dim` scaled down to a p-norm of `maxnorm`, if it is above that.

    >>> import tensorlab as tl
    >>> tl.renorm(tl.tensor([[3., 4.], [0., 1.]]), 2, 0, 1)
    tensor([[0.6000, 0.8000],
            [0.0000, 1.0000]])
    """
    if p <= 0:
        raise RuntimeError(f"renorm: non-positive-norm not supported, got p={p}")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if len(input.shape) < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {len(input.shape)} dimensions"
        )
    axis = as_dim("renorm", dim, len(input.shape))
    others = tuple(d for d in range(len(input.shape)) if d != axis)
    size = vector_norm(input, p, others, True)
    factor = where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)
    return input * factor


for _function in (ldexp, renorm):
    setattr(Tensor, _function.__name__, _function)
