"""Scans: running sums, products and extremes along one dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab._dtypes import as_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops._dims import as_dim
from tensorlab.ops.joining import cat, flip
from tensorlab.ops.views import narrow


def scan_samples(r: Any) -> list[Sample]:
    return [Sample(r(4), 0), Sample(r(2, 3), 1), Sample(r(2, 3, 2), -2), Sample(r(), 0), Sample(r(0, 2), 0)]


def scan_errors(r: Any) -> list[ErrorSample]:
    return [
        ErrorSample(r(2, 3), 2, error=IndexError, match="Dimension out of range"),
        ErrorSample(r(2, 3), None, error=TypeError, match="must be int, not NoneType"),
    ]


def _scan(name: str, function: Any, input: Any, dim: int, dtype: Any) -> Any:
    axis = as_dim(name, dim, input.ndim)
    if dtype is not None:
        target = as_dtype(dtype).numpy
    else:
        target = _dtypes.int64.numpy if input.dtype.kind in "biu" else input.dtype
    if input.ndim == 0:
        return input.astype(target)
    return function(input, axis=axis, dtype=target)


@op(
    samples=lambda r: [*scan_samples(r), Sample(r.int(2, 3), 0), Sample(r.bool(4), 0)],
    errors=scan_errors,
    result=None,
    method=True,
    inplace=True,
)
def cumsum(xp, input, /, dim, *, dtype=None):
    r"""The running sum along `dim`: \(y_k = \sum_{i \le k} x_i\). Integers give int64.

    >>> import tensorlab as tl
    >>> tl.cumsum(tl.tensor([1., 2., 3.]), dim=0)
    tensor([1., 3., 6.])
    """
    return _scan("cumsum", xp.cumsum, input, dim, dtype)


def reverse_cumsum(g: Any, dim: int) -> Any:
    """The sums from the end: the gradient of a running sum, for x_i is in every y_k with k ≥ i."""
    return g if len(g.shape) == 0 else flip(cumsum(flip(g, (dim,)), dim), (dim,))


cumsum.vjp(input=lambda g, dim: reverse_cumsum(g, dim))


@op(
    samples=lambda r: [
        *scan_samples(r),
        Sample(r.int(2, 3), 0),
        Sample(np.array([[2.0, 0.0, 3.0], [0.0, 4.0, 0.0]], r.dtype), 1),
    ],
    errors=scan_errors,
    result=None,
    method=True,
    inplace=True,
)
def cumprod(xp, input, /, dim, *, dtype=None):
    r"""The running product along `dim`: \(y_k = \prod_{i \le k} x_i\). Integers give int64.

    >>> import tensorlab as tl
    >>> tl.cumprod(tl.tensor([1., 2., 3.]), dim=0)
    tensor([1., 2., 6.])
    """
    return _scan("cumprod", xp.cumprod, input, dim, dtype)


def _cumprod_backward(g, input, out, dim):
    if len(input.shape) == 0:
        return g
    if bool((input != 0).all()):
        return reverse_cumsum(g * out, dim) / input
    # With zeros there is no dividing. y_k = before_i · x_i · between(i+1 … k), so that
    # dL/dx_i = before_i · Σ_{k≥i} g_k · between(i+1 … k): one running product for each i.
    dim = as_dim("cumprod", dim, len(input.shape))
    n = input.shape[dim]
    one = narrow(input, dim, 0, 1) * 0 + 1
    pieces = []
    for i in range(n):
        after = narrow(input, dim, i + 1, n - i - 1)
        between = cat([one, cumprod(after, dim)], dim)
        total = (narrow(g, dim, i, n - i) * between).sum(dim, keepdim=True) if hasattr(g, "_data") else (
            narrow(g, dim, i, n - i) * between
        ).sum(dim, keepdims=True)
        before = narrow(out, dim, i - 1, 1) if i else one
        pieces.append(before * total)
    return cat(pieces, dim)


cumprod.vjp(input=_cumprod_backward)
