"""Scans: running sums, products and extremes along one dimension."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab import _dtypes, return_types
from tensorlab._dtypes import as_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops._dims import as_dim, numpy_names
from tensorlab.ops._out import with_out
from tensorlab.ops.compare import ne, where
from tensorlab.ops.cutting import narrow
from tensorlab.ops.elementwise import _conj
from tensorlab.ops.functions import exp, log
from tensorlab.ops.gathering import gather_backward
from tensorlab.ops.joining import cat, flip


def scan_samples(r: Any) -> list[Sample]:
    return [
        Sample(r(4), 0),
        Sample(r(2, 3), 1),
        Sample(r(2, 3, 2), -2),
        Sample(r(), 0),
        Sample(r(0, 2), 0),
    ]


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
    input, out = _conj(input), _conj(out)
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
        # The last of the running sums is the sum; `sum` itself is built on this file.
        total = narrow(cumsum(narrow(g, dim, i, n - i) * between, dim), dim, n - i - 1, 1)
        before = narrow(out, dim, i - 1, 1) if i else one
        pieces.append(before * total)
    return cat(pieces, dim)


cumprod.vjp(input=_cumprod_backward)

# Running extremes -------------------------------------------------------------------------


def _accumulated(xp: Any, numpy_name: str, input: Any, axis: int) -> Any:
    """`input` combined from the start up to each position, by an associative function of two arrays.

    NumPy goes through it in order. CuPy can't for these functions: there every position takes in
    the one 1, 2, 4, … places before it, until all are covered (W. D. Hillis and G. L. Steele,
    "Data parallel algorithms", CACM 29(12), 1986).
    """
    combine = getattr(xp, numpy_name)
    if xp is np:
        return combine.accumulate(input, axis=axis)
    out, step, before = input.copy(), 1, (slice(None),) * axis
    while step < input.shape[axis]:
        late, early = (*before, slice(step, None)), (*before, slice(None, -step))
        out[late] = combine(out[late], out[early])
        step *= 2
    return out


def _running(name: str, word: str, numpy_name: str, result: Any, example: str) -> Any:
    def forward(xp, input, /, dim):
        axis = as_dim(name, dim, input.ndim)
        if input.ndim == 0:
            return input.copy(), xp.zeros((), np.int64)
        values = _accumulated(xp, numpy_name, input, axis)
        # Where the running extreme is this very element, its position; carried on by a running maximum.
        shape = [1] * input.ndim
        shape[axis] = -1
        here = xp.arange(input.shape[axis]).reshape(shape)
        fresh = (input == values) | (input != input)
        return values, _accumulated(xp, "maximum", xp.where(fresh, here, 0), axis)

    forward.__name__ = name
    forward.__doc__ = (
        f"The {word} element so far along `dim`, and its (latest) position.\n\n    >>> import tensorlab as tl\n"
        f"    >>> tl.{name}(tl.tensor([2., 1., 3.]), dim=0).values\n    tensor({example})\n    "
    )
    made = op(
        samples=lambda r: [
            Sample(r.distinct(4), 0), Sample(r.distinct(2, 5), 1), Sample(r.distinct(3, 2), -2), Sample(r(), 0),
            Sample(r(0, 2), 0),
            Sample(np.array([1.0, 1.0, 0.0], r.dtype), 0).kink(), Sample(r.int(6), 0),
        ],
        errors=scan_errors, result=None, method=True, named_tuple=result,
    )(forward)  # fmt: skip
    made.vjp(input=_running_backward)
    return made


def _running_backward(g, input_shape, out, dim):
    if len(input_shape) == 0:
        return g[0]
    return gather_backward(g[0], out[1], tuple(input_shape), dim)


cummax = _running("cummax", "largest", "maximum", return_types.cummax, "[2., 2., 3.]")
cummin = _running("cummin", "smallest", "minimum", return_types.cummin, "[2., 1., 1.]")


@op(
    samples=lambda r: [*scan_samples(r), Sample(r(2, 3, low=800, high=810), 1)],
    errors=lambda r: [*scan_errors(r), ErrorSample(r.int(3), 0, error=NotImplementedError, match="logcumsumexp")],
    ref=lambda x, dim: np.logaddexp.accumulate(x, dim) if x.ndim and x.size else x, result=None, method=True,
)  # fmt: skip
def logcumsumexp(xp, input, /, dim):
    r"""The running \(\log\sum_{i \le k} e^{x_i}\) along `dim`, without overflow.

    >>> import tensorlab as tl
    >>> tl.logcumsumexp(tl.tensor([0., 0.]), dim=0)
    tensor([0.0000, 0.6931])
    """
    if input.dtype.kind not in "f":
        raise NotImplementedError(
            f"logcumsumexp() is not implemented for {input.dtype.name}: convert with .float()"
        )
    axis = as_dim("logcumsumexp", dim, input.ndim)
    return _accumulated(xp, "logaddexp", input, axis) if input.ndim else input.copy()


def _logcumsumexp_backward(g, input, out, dim):
    # y_k = log Σ_{i≤k} e^{x_i}, so dL/dx_i = Σ_{k≥i} g_k e^{x_i - y_k}. Positive and negative g are
    # added up apart in logarithms, where no e^{-y_k} can overflow.
    if len(input.shape) == 0:
        return g
    parts = []
    for sign in (1.0, -1.0):
        positive = where(g * sign > 0, g * sign, 0.0)
        logs = where(positive > 0, log(where(positive > 0, positive, 1.0)) - out, -math.inf)
        summed = flip(logcumsumexp(flip(logs, (dim,)), dim), (dim,)) + input
        parts.append(where(summed == -math.inf, 0.0, exp(where(summed == -math.inf, 0.0, summed))))
    return parts[0] - parts[1]


logcumsumexp.vjp(input=_logcumsumexp_backward)


@with_out
@numpy_names
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbours along `dim`, taken `n` times; `prepend` and `append` lengthen it first.

    >>> import tensorlab as tl
    >>> tl.diff(tl.tensor([1, 3, 6]))
    tensor([2, 3])
    """
    if len(input.shape) == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    pieces = [x for x in (prepend, input, append) if x is not None]
    out = cat(pieces, dim) if len(pieces) > 1 else input
    for _ in range(n):
        m = out.shape[dim]
        late, early = narrow(out, dim, min(1, m), max(m - 1, 0)), narrow(out, dim, 0, max(m - 1, 0))
        out = ne(late, early) if getattr(out, "_data", out).dtype.kind == "b" else late - early
    return out


def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """The integral along `dim` by the trapezoidal rule, over points `x` or steps of `dx`.

    >>> import tensorlab as tl
    >>> tl.trapezoid(tl.tensor([1., 2., 3.]))
    tensor(4.)
    """
    n = y.shape[dim]
    if n == 0:
        return y.sum(dim)
    middle = (narrow(y, dim, 1, n - 1) + narrow(y, dim, 0, n - 1)) / 2
    if x is None:
        return middle.sum(dim) * dx
    steps = diff(x, dim=-1)
    if len(x.shape) == 1 and dim not in (-1, len(y.shape) - 1):
        shape = [1] * len(y.shape)
        shape[dim] = n - 1
        steps = steps.reshape(shape)
    return (middle * steps).sum(dim)


Tensor.diff = diff  # type: ignore[attr-defined]
