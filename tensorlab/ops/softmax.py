"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import normalize_dim
from tensorlab.ops.functions import exp
from tensorlab.ops.reduce import sum as sum_


def _axis(name: str, input: Any, dim: Any) -> int:
    if dim is None:
        raise TypeError(
            f"{name}() missing 1 required positional argument: 'dim': the dimension that sums to 1"
        )
    if input.dtype.kind not in "fc":
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{input.dtype.name}': convert with .float() first"
        )
    return normalize_dim(dim, input.ndim)


def _softmax_samples(r: Any) -> list[Sample]:
    return [
        Sample(r(2, 3), 1),
        Sample(r(2, 3, 4), -2),
        Sample(r(), 0),
        Sample(r(0, 3), 1),
        Sample(r(2, 3) * 1e3, 0),
    ]


def _softmax_errors(r: Any) -> list[ErrorSample]:
    return [
        ErrorSample(r(2), 1, error=IndexError, match="Dimension out of range"),
        ErrorSample(
            np.arange(3), 0, error=NotImplementedError, match="not implemented for 'int64'"
        ),
    ]


def _softmax_reference(x: Any, dim: int) -> np.ndarray:
    from scipy.special import softmax as reference

    return reference(x, axis=dim if np.ndim(x) else None)


@op(
    samples=_softmax_samples,
    errors=_softmax_errors,
    ref=_softmax_reference,
    result=None,
    simple=True,
    method=True,
)
def softmax(xp, input, /, dim, dtype=None):
    """exp(xᵢ) / Σⱼ exp(xⱼ) over dimension `dim`: positive numbers that sum to 1.

    The largest element is subtracted first, which changes nothing but avoids overflow.

    >>> import tensorlab
    >>> tensorlab.softmax(tensorlab.tensor([1000.0, 1000.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    input = input if dtype is None else input.astype(dtype.numpy)
    axis = _axis("softmax", input, dim)
    if input.ndim == 0:
        return xp.ones_like(input)
    if input.size == 0:
        return input.copy()
    out = xp.exp(input - input.max(axis=axis, keepdims=True))
    out /= out.sum(axis=axis, keepdims=True)
    return out


softmax.vjp(input=lambda g, out, dim: (g - sum_(g * out, dim, True)) * out)


@op(
    samples=_softmax_samples, errors=_softmax_errors, result=None, simple=True, method=True,
    ref=lambda x, dim: x - np.logaddexp.reduce(x, axis=dim, keepdims=True) if np.ndim(x) else np.zeros(()),
)  # fmt: skip
def log_softmax(xp, input, /, dim, dtype=None):
    """The logarithm of `softmax`, exact also where softmax itself would round to 0.

    log softmax(x)ᵢ = xᵢ − max − log Σⱼ exp(xⱼ − max).

    >>> import tensorlab
    >>> tensorlab.log_softmax(tensorlab.tensor([0.0, -1000.0]), dim=0)
    tensor([    0., -1000.])
    """
    input = input if dtype is None else input.astype(dtype.numpy)
    axis = _axis("log_softmax", input, dim)
    if input.ndim == 0:
        return xp.zeros_like(input)
    if input.size == 0:
        return input.copy()
    out = input - input.max(axis=axis, keepdims=True)
    out -= xp.log(xp.exp(out).sum(axis=axis, keepdims=True))
    return out


log_softmax.vjp(input=lambda g, out, dim: g - exp(out) * sum_(g, dim, True))
