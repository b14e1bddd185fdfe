"""Reductions: many elements become one (sum, mean, var, logsumexp, norm, any, all).

`dim` is None for all dimensions, an int or a tuple of ints; `keepdim=True` leaves the reduced
dimensions with size 1, so that the result broadcasts against the input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab._backend import backend_of
from tensorlab._dtypes import as_dtype, from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops import _names
from tensorlab.ops._dims import as_dim, as_dims, check_flag, count, like, numpy_names, restore
from tensorlab.ops.compare import where
from tensorlab.ops.cutting import narrow
from tensorlab.ops.elementwise import _conj
from tensorlab.ops.functions import exp
from tensorlab.ops.joining import cat, flip
from tensorlab.ops.scan import cumprod
from tensorlab.ops.shape import expand


def reduction_samples(r: Any) -> list[Sample]:
    """Every form of `dim` and `keepdim`, for the reductions that take both."""
    return [
        Sample(r(2, 3)),
        Sample(r(2, 3, 4), 1),
        Sample(r(2, 3, 4), (0, -1)),
        Sample(r(2, 3, 4), (0, 2), keepdim=True),
        Sample(r(2, 3), -1, keepdim=True),
        Sample(r()),
        Sample(r(), 0),
    ]


def reduction_errors(r: Any) -> list[ErrorSample]:
    return [
        ErrorSample(r(2, 3), 0, 1, error=TypeError, match="keepdim.*must be bool, not int"),
        ErrorSample(r(2, 3), 2, error=IndexError, match="Dimension out of range"),
        ErrorSample(r(2, 3), (0, -2), error=RuntimeError, match="dim 0 appears multiple times"),
        ErrorSample(r(2, 3), "x", error=TypeError, match="dim"),
    ]


def accumulator(dtype: np.dtype) -> np.dtype:
    """The type to add up in: half precision would lose digits, small integers overflow."""
    if dtype.kind in "biu":
        return _dtypes.int64.numpy
    return _dtypes.float32.numpy if dtype.itemsize == 2 else dtype


def floating(name: str, input: Any, dtype: Any) -> Any:
    """`input` as the floating type the reduction works in; `RuntimeError` for integers."""
    if dtype is not None:
        return input.astype(as_dtype(dtype).numpy, copy=False)
    if input.dtype.kind in "biu":
        raise RuntimeError(
            f"{name}(): could not infer output dtype. Input dtype must be either a floating "
            f"point or complex dtype. Got: {from_numpy_dtype(input.dtype)}; "
            "convert the input with .float()"
        )
    return input


@op(
    samples=lambda r: [*reduction_samples(r), Sample(r.int(2, 3)), Sample(r.bool(3), 0)],
    errors=reduction_errors,
    result=None,
    simple=True,
    method=True,
)
def sum(xp, input, /, dim=None, keepdim=False, *, dtype=None):
    r"""The sum of all elements, or of those along `dim`: \(\sum_i x_i\).

    Integers and bools are added in int64; `dtype` chooses another type for the sum.

    >>> import tensorlab as tl
    >>> tl.sum(tl.tensor([[1., 2.], [3., 4.]]), dim=0)
    tensor([4., 6.])
    """
    check_flag("sum", keepdim)
    axis = None if dim is None else as_dims("sum", dim, input.ndim)
    if dtype is not None:
        return xp.add.reduce(input, axis, as_dtype(dtype).numpy, None, keepdim)
    kind = accumulator(input.dtype)
    out = xp.add.reduce(input, axis, kind, None, keepdim)
    return out.astype(input.dtype) if kind != input.dtype and input.dtype.kind == "f" else out


def spread(g: Any, input_shape: tuple[int, ...], dim: Any, keepdim: bool) -> Any:
    """Every element gets the gradient of the sum that it went into."""
    g = restore(g, input_shape, dim, keepdim)
    if type(g) is not np.ndarray:
        return expand(g, input_shape)
    if math.prod(input_shape) <= 4096:
        out = np.empty(input_shape, g.dtype)  # so few are sooner written than shown by a view
        out[...] = g
        return out
    if not g.flags.c_contiguous or g.ndim != len(input_shape):
        return expand(g, input_shape)
    # The same, without all that `expand` looks at: a step of 0 shows a number again.
    strides = [s if n == m else 0 for s, n, m in zip(g.strides, g.shape, input_shape, strict=True)]
    return np.ndarray(input_shape, g.dtype, g, 0, strides)


sum.vjp(input=spread)
sum.op.names = _names.by_parameter("Sum")


@op(
    samples=reduction_samples,
    errors=lambda r: [
        *reduction_errors(r),
        ErrorSample(r.int(3), error=RuntimeError, match="could not infer output dtype"),
    ],
    result=None,
    simple=True,
    method=True,
)
def mean(xp, input, /, dim=None, keepdim=False, *, dtype=None):
    r"""The arithmetic mean of all elements, or of those along `dim`: \(\frac1n\sum_i x_i\).

    Raises `RuntimeError` for integer input, unless `dtype` names a floating type.

    >>> import tensorlab as tl
    >>> tl.mean(tl.tensor([[1., 2.], [3., 4.]]), dim=1)
    tensor([1.5000, 3.5000])
    """
    check_flag("mean", keepdim)
    values = floating("mean", input, dtype)
    dims = as_dims("mean", dim, input.ndim)
    total = xp.add.reduce(values, dims, accumulator(values.dtype), None, keepdim)
    n = count(input.shape, dims)
    if n == 0:
        return xp.full_like(total, math.nan, dtype=values.dtype)
    return (total / n).astype(values.dtype)


def _mean_backward(g, input_shape, dim, keepdim):
    n = count(input_shape, as_dims("mean", dim, len(input_shape)))
    return spread(g / max(n, 1), input_shape, dim, keepdim)


mean.vjp(input=_mean_backward)
mean.op.names = _names.by_parameter("Mean")


@op(
    samples=lambda r: [Sample(r(4)), Sample(r(2, 3), 0), Sample(r(2, 3), -1, keepdim=True),
                       Sample(np.array([2.0, 0.0, 3.0], r.dtype)), Sample(np.zeros((2, 2), r.dtype), 1),
                       Sample(r()), Sample(r.int(4))],
    errors=lambda r: [
        ErrorSample(r(2, 3), 2, error=IndexError, match="Dimension out of range"),
        ErrorSample(r(2, 3), (0, 1), error=TypeError, match="must be int, not tuple"),
    ],
    result=None,
    method=True,
)  # fmt: skip
def prod(xp, input, /, dim=None, keepdim=False, *, dtype=None):
    r"""The product of all elements, or of those along the one dimension `dim`: \(\prod_i x_i\).

    >>> import tensorlab as tl
    >>> tl.prod(tl.tensor([[1., 2.], [3., 4.]]), dim=1)
    tensor([ 2., 12.])
    """
    check_flag("prod", keepdim)
    axis = None if dim is None else as_dim("prod", dim, input.ndim)
    if axis is not None and input.ndim == 0:
        axis = None
    if dtype is not None:
        return input.prod(axis=axis, dtype=as_dtype(dtype).numpy, keepdims=keepdim)
    out = input.prod(axis=axis, dtype=accumulator(input.dtype), keepdims=keepdim)
    return out.astype(input.dtype) if input.dtype.kind == "f" else out


def _prod_backward(g, input, out, dim, keepdim):
    """Each element's derivative is the product of all the others."""
    if len(input.shape) == 0:
        return g
    shape = tuple(input.shape)
    if bool((input != 0).all()):
        return restore(g * _conj(out), shape, dim, keepdim) / _conj(input)
    # With zeros there is no dividing.
    if dim is None:
        return (g * _conj(_others(input.reshape(-1), 0))).reshape(shape)
    return restore(g, shape, dim, keepdim) * _conj(_others(input, as_dim("prod", dim, len(shape))))


def _others(x: Any, dim: int) -> Any:
    """For each element along `dim`, the product of the elements before it and after it."""
    n = x.shape[dim]
    if n == 0:
        return x
    array = getattr(x, "_data", x)
    edge = backend_of(array).xp.ones((*x.shape[:dim], 1, *x.shape[dim + 1 :]), array.dtype)
    edge = wrap(edge) if isinstance(x, Tensor) else edge
    before = cat([edge, narrow(cumprod(x, dim), dim, 0, n - 1)], dim)
    backward = cumprod(flip(x, (dim,)), dim)
    after = flip(cat([edge, narrow(backward, dim, 0, n - 1)], dim), (dim,))
    return before * after


prod.vjp(input=_prod_backward)
prod.op.names = _names.by_parameter("Prod")


def _truth(name: str, xp: Any, input: Any, dim: Any, keepdim: bool, reduce: Any) -> Any:
    # An empty tuple means no dimension here, as in PyTorch: only the truth of each element.
    check_flag(name, keepdim)
    out = reduce(input, axis=as_dims(name, dim, input.ndim), keepdims=keepdim)
    return out.astype(input.dtype) if input.dtype == np.uint8 else out


@op(
    samples=lambda r: [*reduction_samples(r), Sample(r.bool(2, 3), 1), Sample(r.int(2, 3, low=0))],
    errors=reduction_errors,
    result=None,
    method=True,
)
def all(xp, input, /, dim=None, keepdim=False):
    """Whether all elements, or all along `dim`, are true (not zero). True if there are none.

    The result is bool, for uint8 input uint8.

    >>> import tensorlab as tl
    >>> tl.all(tl.tensor([[True, False], [True, True]]), dim=1)
    tensor([False,  True])
    """
    return _truth("all", xp, input, dim, keepdim, xp.all)


@op(
    samples=lambda r: [*reduction_samples(r), Sample(r.bool(2, 3), 1), Sample(r.int(2, 3, low=0))],
    errors=reduction_errors,
    result=None,
    method=True,
)
def any(xp, input, /, dim=None, keepdim=False):
    """Whether any element, or any along `dim`, is true (not zero). False if there are none.

    The result is bool, for uint8 input uint8.

    >>> import tensorlab as tl
    >>> tl.any(tl.tensor([[True, False], [False, False]]), dim=1)
    tensor([ True, False])
    """
    return _truth("any", xp, input, dim, keepdim, xp.any)


@op(
    samples=lambda r: [
        Sample(r.int(2, 3, low=-1, high=2)),
        Sample(r.int(2, 3, low=-1, high=2), 1),
        Sample(r(2, 3, 4), (0, 1)),
        Sample(r.bool(4)),
    ],
    result=None,
    method=True,
)
def count_nonzero(xp, input, /, dim=None):
    """How many elements, or how many along `dim`, are not zero; int64.

    >>> import tensorlab as tl
    >>> tl.count_nonzero(tl.tensor([0, 3, 0, 5]))
    tensor(2)
    """
    axis = as_dims("count_nonzero", dim, input.ndim)
    return (input != 0).sum(axis=axis, dtype=np.int64)


# Variance ---------------------------------------------------------------------------------


def _variance_form(dim: Any, unbiased: Any, correction: Any) -> tuple[Any, float]:
    """The dimensions and the correction that the arguments mean, old forms included."""
    if isinstance(dim, bool):  # std(unbiased), PyTorch's oldest form
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError("give either correction or unbiased (its old form, 0 or 1), not both")
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    return dim, correction


def _centered(xp: Any, input: Any, dims: tuple[int, ...]) -> tuple[Any, Any]:
    """The mean with its dimensions kept, and the distances from it."""
    if input.dtype.kind in "biu":
        raise RuntimeError(
            "std and var only support floating point and complex dtypes, "
            f"got {from_numpy_dtype(input.dtype)}; convert the input with .float()"
        )
    work = input.astype(accumulator(input.dtype), copy=False)
    n = count(input.shape, dims)
    center = xp.add.reduce(work, dims, None, None, True) / max(n, 1)
    return center, work - center


def _variance(xp: Any, away: Any, dims: tuple[int, ...], correction: float, keepdim: bool) -> Any:
    squares = (away * away.conj()).real if away.dtype.kind == "c" else away * away
    total = xp.add.reduce(squares, dims, None, None, keepdim)
    freedom = count(away.shape, dims) - correction
    # Without degrees of freedom there is nothing to estimate from.
    return total / freedom if freedom > 0 else xp.full_like(total, math.nan)


def _real_dtype(dtype: np.dtype) -> np.dtype:
    return from_numpy_dtype(dtype).to_real().numpy


def variance_samples(r: Any) -> list[Sample]:
    return [
        Sample(r(5)),
        Sample(r(2, 3, 4), 1),
        Sample(r(2, 3, 4), (0, 2), keepdim=True),
        Sample(r(2, 3), 1, correction=0),
        Sample(r(2, 3), 1, False),
        Sample(r(3, 2), unbiased=False),
        Sample(r(3, 2), 0, correction=2),
    ]


def variance_errors(r: Any) -> list[ErrorSample]:
    return [
        ErrorSample(r(2, 3), 2, error=IndexError, match="Dimension out of range"),
        ErrorSample(r.int(3), error=RuntimeError, match="only support floating point and complex"),
        ErrorSample(r(3), 0, True, correction=1, error=TypeError, match="not both"),
    ]


@op(samples=variance_samples, errors=variance_errors, result=None, method=True)
def var(xp, input, /, dim=None, unbiased=None, keepdim=False, *, correction=None):
    r"""The variance: \(\frac{1}{n-c}\sum_i (x_i - \bar x)^2\) with \(c\) = `correction`, 1 unless given.

    `correction=1` (Bessel's) estimates the variance of the population that the elements were
    drawn from; `correction=0` is the variance of these elements. `unbiased` is its old form.
    The result is nan where n ≤ c.

    >>> import tensorlab as tl
    >>> tl.var(tl.tensor([1., 2., 3., 4.]))
    tensor(1.6667)
    """
    dim, correction = _variance_form(dim, unbiased, correction)
    dims = as_dims("var", dim, input.ndim)
    away = _centered(xp, input, dims)[1]
    return _variance(xp, away, dims, correction, keepdim).astype(_real_dtype(input.dtype))


def _var_backward(g, input, dim, unbiased, keepdim, correction):
    shape = tuple(input.shape)
    dim, correction = _variance_form(dim, unbiased, correction)
    dims = as_dims("var", dim, len(shape))
    freedom = count(shape, dims) - correction
    away = input - mean(input, dims, True)
    return restore(g, shape, dims, keepdim) * (2.0 / freedom if freedom > 0 else math.nan) * away


var.vjp(input=_var_backward)


@op(samples=variance_samples, errors=variance_errors, result=None, method=True)
def std(xp, input, /, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The standard deviation: the square root of `var`, with the same arguments.

    >>> import tensorlab as tl
    >>> tl.std(tl.tensor([1., 2., 3., 4.]))
    tensor(1.2910)
    """
    dim, correction = _variance_form(dim, unbiased, correction)
    dims = as_dims("std", dim, input.ndim)
    away = _centered(xp, input, dims)[1]
    return xp.sqrt(_variance(xp, away, dims, correction, keepdim)).astype(_real_dtype(input.dtype))


def _std_backward(g, input, out, dim, unbiased, keepdim, correction):
    # The root has no slope at 0; PyTorch gives 0 there.
    inner = where(out == 0, 0.0, g / (2 * out))
    return _var_backward(inner, input, dim, unbiased, keepdim, correction)


std.vjp(input=_std_backward)


@numpy_names
def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> tuple[Any, Any]:
    """Variance and mean, see `var`.

    >>> import tensorlab as tl
    >>> tl.var_mean(tl.tensor([1., 2., 3.]))
    (tensor(1.), tensor(2.))
    """
    v = var(input, dim, unbiased, keepdim, correction=correction)
    return v, mean(input, None if isinstance(dim, bool) else dim, keepdim)


@numpy_names
def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> tuple[Any, Any]:
    """Standard deviation and mean, see `std`.

    >>> import tensorlab as tl
    >>> tl.std_mean(tl.tensor([1., 2., 3.]))
    (tensor(1.), tensor(2.))
    """
    s = std(input, dim, unbiased, keepdim, correction=correction)
    return s, mean(input, None if isinstance(dim, bool) else dim, keepdim)


# Sums that look at the values -------------------------------------------------------------


@op(
    samples=lambda r: [
        *(s for s in reduction_samples(r) if len(s.args) > 1),
        Sample(r(2, 3, low=800, high=810), 1),
        Sample(r.int(2, 3), 0),
    ],
    errors=reduction_errors,
    result="float",
    method=True,
)
def logsumexp(xp, input, /, dim, keepdim=False):
    r"""\(\log\sum_i e^{x_i}\) along `dim`, without overflow.

    The largest element is taken out first: \(m + \log\sum_i e^{x_i - m}\), so that no
    exponential exceeds 1. The result over no elements is -inf.

    >>> import tensorlab as tl
    >>> tl.logsumexp(tl.tensor([1000., 0.]), dim=0)
    tensor(1000.)
    """
    check_flag("logsumexp", keepdim)
    if dim is None:
        raise TypeError("logsumexp() missing 1 required positional argument: 'dim'")
    dims = as_dims("logsumexp", dim, input.ndim)
    if count(input.shape, dims) == 0:
        return xp.log(xp.exp(input).sum(axis=dims, keepdims=keepdim))
    top = input.max(axis=dims, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)
    out = xp.log(xp.exp(input - top).sum(axis=dims, keepdims=True)) + top
    return (
        out
        if keepdim
        else out.reshape(tuple(n for i, n in enumerate(input.shape) if i not in dims))
    )


def _logsumexp_backward(g, input, out, dim, keepdim):
    shape = tuple(input.shape)
    share = exp(input - restore(out, shape, dim, keepdim))  # softmax
    return restore(g, shape, dim, keepdim) * _conj(share)


logsumexp.vjp(input=_logsumexp_backward)


def _with_nan(r: Any) -> Any:
    x = r(2, 3)
    x[0, 1] = math.nan
    return x


@op(
    samples=lambda r: [*reduction_samples(r), Sample(r.int(3)), Sample(_with_nan(r), 1)],
    errors=reduction_errors,
    result=None,
    method=True,
)
def nansum(xp, input, /, dim=None, keepdim=False, *, dtype=None):
    """The sum with every nan counted as zero; arguments as for `sum`.

    >>> import tensorlab as tl
    >>> tl.nansum(tl.tensor([1., float("nan"), 2.]))
    tensor(3.)
    """
    kept = xp.where(xp.isnan(input), 0, input) if input.dtype.kind in "fc" else input
    return sum.op.forward(xp, kept.astype(input.dtype, copy=False), dim, keepdim, dtype)


nansum.vjp(
    input=lambda g, input, dim, keepdim: where(
        input == input,
        restore(g, tuple(input.shape), dim, keepdim),
        0.0,  # nan != nan
    )
)


@op(
    samples=lambda r: [*reduction_samples(r), Sample(_with_nan(r), 1)],
    errors=lambda r: [
        *reduction_errors(r),
        ErrorSample(r.int(3), error=RuntimeError, match="floating point or complex"),
    ],
    result=None,
    method=True,
)
def nanmean(xp, input, /, dim=None, keepdim=False, *, dtype=None):
    """The mean of the elements that aren't nan; nan where all are.

    >>> import tensorlab as tl
    >>> tl.nanmean(tl.tensor([1., float("nan"), 2.]))
    tensor(1.5000)
    """
    if dtype is None and input.dtype.kind in "biu":
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{from_numpy_dtype(input.dtype)}"
        )
    total = nansum.op.forward(xp, input, dim, keepdim, dtype)
    n = (~xp.isnan(input)).sum(axis=as_dims("nanmean", dim, input.ndim), keepdims=keepdim)
    return (total / n).astype(total.dtype)


def _nanmean_backward(g, input, dim, keepdim):
    valid = input == input  # nan != nan
    shape = tuple(input.shape)
    n = restore(sum(valid, dim, keepdim), shape, dim, keepdim)
    return where(valid, restore(g, shape, dim, keepdim) / like(n, g), 0.0)


nanmean.vjp(input=_nanmean_backward)
