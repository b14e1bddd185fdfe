"""Extremes and order statistics: max, min, argmax, median, kthvalue, mode, quantile.

With a dimension they return values and their positions. nan counts as larger than everything,
and is the extreme in both directions, as in PyTorch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab import return_types
from tensorlab._autocast import autocasts
from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops._dims import as_dim, as_dims, like, numpy_names, restore
from tensorlab.ops._out import with_out
from tensorlab.ops.compare import maximum, minimum, where
from tensorlab.ops.gathering import gather_backward
from tensorlab.ops.reduce import sum as sum_
from tensorlab.ops.shape import reshape


def _no_complex(name: str, input: Any) -> None:
    if input.dtype.kind == "c":
        raise NotImplementedError(
            f"{name}() is not implemented for {from_numpy_dtype(input.dtype)}: complex numbers have no order"
        )


def _one_dim(name: str, input: Any, dim: Any) -> int:
    """The dimension from the front, which must hold elements (a 0-dim tensor holds one)."""
    _no_complex(name, input)
    axis = as_dim(name, dim, input.ndim)
    if input.ndim and input.shape[axis] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")
    return axis


def _some(name: str, input: Any, error: type[Exception] = RuntimeError) -> None:
    _no_complex(name, input)
    if input.size == 0:
        raise error(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
            "dim with the 'dim' argument."
        )


def _picked(xp: Any, input: Any, positions: Any, axis: int, keepdim: bool) -> tuple[Any, Any]:
    """The values at positions that keep the dimension, and the positions."""
    positions = positions.astype(np.int64, copy=False)
    if (
        input.ndim == 2
    ):  # the same without asking for shapes and dimensions, which takes longer for few numbers
        across = xp.arange(positions.shape[1 - axis])
        values = input[across[:, None], positions] if axis else input[positions, across]
    else:
        values = xp.take_along_axis(input, positions, axis)
    return (values, positions) if keepdim else (values.squeeze(axis), positions.squeeze(axis))


def _value_backward(g, input_shape, out, dim, keepdim):
    """The gradient of a picked value goes where it was picked."""
    g, positions = g[0], out[1]
    if len(input_shape) == 0:
        return g
    kept = restore(g, input_shape, dim, keepdim)
    return gather_backward(
        kept, restore(positions, input_shape, dim, keepdim), tuple(input_shape), dim
    )


# Maximum and minimum ----------------------------------------------------------------------


def _dim_samples(r: Any) -> list[Sample]:
    return [
        Sample(r.distinct(2, 3), 1), Sample(r.distinct(2, 3, 4), 0, True), Sample(r.distinct(2, 3), -1, keepdim=True),
        Sample(r(), 0), Sample(r.int(3, 4), 1), Sample(r(0, 3), 1),
    ]  # fmt: skip


def _dim_errors(r: Any) -> list[ErrorSample]:
    return [
        ErrorSample(r(2, 3), 2, error=IndexError, match="Dimension out of range"),
        ErrorSample(
            r(0, 3), 0, error=IndexError, match="Expected reduction dim 0 to have non-zero size"
        ),
    ]


def _extreme_of_dim(name: str, result: Any) -> Any:
    def forward(xp, input, /, dim, keepdim=False):
        axis = _one_dim(name, input, dim)
        if input.ndim == 0:
            return input.copy(), xp.zeros((), np.int64)
        return _picked(
            xp,
            input,
            getattr(input, f"arg{name}")(axis)[(slice(None),) * axis + (None,)],
            axis,
            keepdim,
        )

    forward.__name__ = f"{name}_dim"
    forward.__doc__ = f"The {name}imum along a dimension and its position; `{name}(input, dim)` is the public form."
    made = op(
        samples=_dim_samples, errors=_dim_errors, torch=name, result=None, named_tuple=result, node_name=name.title(),
    )(forward)  # fmt: skip
    made.vjp(input=_value_backward)
    return made


_max_dim = _extreme_of_dim("max", return_types.max)
_min_dim = _extreme_of_dim("min", return_types.min)


def _extreme_of_all(name: str) -> Any:
    def forward(xp, input, /):
        _some(name, input)
        return getattr(input, name)()

    forward.__name__ = f"{name}_all"
    forward.__doc__ = f"The {name}imum of all elements; `{name}(input)` is the public form."
    made = op(
        samples=lambda r: [
            Sample(r.distinct(2, 3)), Sample(r()), Sample(r.int(3, 4)), Sample(r.int(8).astype(r.dtype) // 3).kink(),
        ],
        errors=lambda r: [ErrorSample(r(0), error=RuntimeError, match="Expected reduction dim to be specified")],
        ref=getattr(np, name), torch=name, result=None,
    )(forward)  # fmt: skip
    # PyTorch numbers its overloads; this one's node is the second.
    made.op.backward_name = f"{name.title()}Backward1"
    made.vjp(input=lambda g, input, out: _shared(g, input, out))
    return made


def _shared(g: Any, input: Any, out: Any) -> Any:
    """Elements that are the one result share the gradient; where it is nan, those that are nan."""
    winners = where(out == out, input == out, input != input)
    return where(winners, g / like(sum_(winners), g), 0.0)


_max_all = _extreme_of_all("max")
_min_all = _extreme_of_all("min")


def _dispatch(
    name: str,
    of_all: Any,
    of_dim: Any,
    of_two: Any,
    input: Any,
    dim: Any,
    keepdim: bool,
    other: Any,
    out: Any,
) -> Any:
    if other is None and hasattr(dim, "shape"):
        dim, other = None, dim
    if other is not None:
        return of_two(input, other, out=out)
    return of_all(input, out=out) if dim is None else of_dim(input, dim, keepdim, out=out)


@numpy_names
def max(
    input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None
) -> Any:
    """The largest element; along `dim`, the largest ones and their positions; with a second tensor, `maximum`.

    Returns a tensor, or for `max(input, dim)` the named tuple `(values, indices)`. Equal maxima of
    all elements share the gradient; along `dim` the first one gets it.

    Raises `RuntimeError` for an empty tensor, `IndexError` for an empty `dim`.

    >>> import tensorlab as tl
    >>> x = tl.tensor([[1., 5.], [7., 2.]])
    >>> tl.max(x)
    tensor(7.)
    >>> tl.max(x, dim=1).indices
    tensor([1, 0])
    """
    return _dispatch("max", _max_all, _max_dim, maximum, input, dim, keepdim, other, out)


@numpy_names
def min(
    input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None
) -> Any:
    """The smallest element; along `dim`, the smallest ones and their positions; with a second tensor, `minimum`.

    Arguments, results and errors as for `max`.

    >>> import tensorlab as tl
    >>> tl.min(tl.tensor([[1., 5.], [7., 2.]]), dim=1).values
    tensor([1., 2.])
    """
    return _dispatch("min", _min_all, _min_dim, minimum, input, dim, keepdim, other, out)


def _amount(name: str, word: str, numpy_name: str, example: str) -> Any:
    def forward(xp, input, /, dim=(), keepdim=False):
        _no_complex(name, input)
        dims = as_dims(name, None if dim == () else dim, input.ndim)
        if input.size == 0:
            if dim == ():
                _some(name, input)
            for d in dims:
                if input.shape[d] == 0:
                    raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
        return getattr(input, numpy_name)(axis=dims, keepdims=keepdim)

    forward.__name__ = name
    forward.__doc__ = (
        f"The {word} element, of all or along `dim` (int or tuple). Equal ones share the gradient.\n\n"
        f"    >>> import tensorlab as tl\n    >>> tl.{name}(tl.tensor([[1., 5.], [7., 2.]]), dim=1)\n    "
        f"tensor({example})\n    "
    )
    made = op(
        samples=lambda r: [
            Sample(r.distinct(2, 3)), Sample(r.distinct(2, 3, 4), 1), Sample(r.distinct(2, 3, 4), (0, -1), True),
            Sample(r()), Sample(r.int(3, 4), 0), Sample(r(0, 3), 1),
        ],
        errors=lambda r: [
            ErrorSample(r(0), error=RuntimeError, match="Expected reduction dim to be specified"),
            ErrorSample(r(0, 3), 0, error=IndexError, match="non-zero size"),
        ],
        ref=lambda x, dim=(), keepdim=False: getattr(np, numpy_name)(
            x, axis=None if dim == () else dim, keepdims=keepdim
        ),
        method=True, result=None,
    )(forward)  # fmt: skip
    made.vjp(input=lambda g, input, out, dim, keepdim: _shared_along(g, input, out, dim, keepdim))
    return made


def _shared_along(g: Any, input: Any, out: Any, dim: Any, keepdim: bool) -> Any:
    shape = tuple(input.shape)
    dims = as_dims("amax", None if dim == () else dim, len(shape))
    winners = input == restore(out, shape, dims, keepdim)
    g = restore(g, shape, dims, keepdim)
    count = restore(sum_(winners, dims, True), shape, dims, True)
    return g * winners / like(count, g)  # nan along with a nan, which no element equals


amax = _amount("amax", "largest", "max", "[5., 7.]")
amin = _amount("amin", "smallest", "min", "[1., 2.]")


@numpy_names
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest and the largest element, of all or along `dim`, as the named tuple `(min, max)`.

    >>> import tensorlab as tl
    >>> tl.aminmax(tl.tensor([3., 1., 2.])).max
    tensor(3.)
    """
    dims = () if dim is None else dim
    return return_types.aminmax(amin(input, dims, keepdim), amax(input, dims, keepdim))


def _position(name: str, word: str, example: str) -> Any:
    def forward(xp, input, /, dim=None, keepdim=False):
        if input.dtype.kind == "b":
            raise RuntimeError(f"{name}(): does not support bool input")
        if dim is None:
            _some(name, input, IndexError)
            found = xp.asarray(getattr(xp, name)(input), np.int64)
            return found.reshape((1,) * input.ndim) if keepdim else found
        axis = _one_dim(name, input, dim)
        if input.ndim == 0:
            return xp.zeros((), np.int64)
        return getattr(xp, name)(input, axis=axis, keepdims=keepdim).astype(np.int64, copy=False)

    forward.__name__ = name
    forward.__doc__ = (
        f"The position of the {word} element: in the flattened input, or along `dim`. The first one, if several "
        "are equal.\n\n"
        f"    >>> import tensorlab as tl\n    >>> tl.{name}(tl.tensor([[1., 5.], [7., 2.]]), dim=1)\n    "
        f"tensor({example})\n    "
    )
    return op(
        samples=lambda r: [
            Sample(r(2, 3)), Sample(r(2, 3), 1), Sample(r(2, 3), 0, True), Sample(r(), 0), Sample(r()),
            Sample(r.int(5)),
            Sample(r(0, 3), 1), Sample(np.array([1.0, np.nan, 3.0], r.dtype)),
        ],
        errors=lambda r: [
            ErrorSample(r(0), error=IndexError, match="Expected reduction dim to be specified"),
            ErrorSample(r(0, 3), 0, error=IndexError, match="non-zero size"),
            ErrorSample(r.bool(3), error=RuntimeError, match="does not support bool"),
        ],
        method=True, result=None,
    )(forward)  # fmt: skip


argmax = _position("argmax", "largest", "[1, 0]")
argmin = _position("argmin", "smallest", "[0, 1]")

# Order statistics -------------------------------------------------------------------------


@op(
    samples=lambda r: [
        Sample(r.distinct(5), 2), Sample(r.distinct(3, 4), 1, 0), Sample(r.distinct(3, 4), 4, -1, True),
        Sample(r(), 1, 0),
    ],
    errors=lambda r: [ErrorSample(r(3), 4, error=RuntimeError, match="selected number k out of range for dimension 0")],
    result=None, method=True, named_tuple=return_types.kthvalue,
)  # fmt: skip
def kthvalue(xp, input, /, k, dim=-1, keepdim=False):
    """The k-th smallest element along `dim` (k from 1) and its position.

    >>> import tensorlab as tl
    >>> tl.kthvalue(tl.tensor([3., 1., 2.]), 2).values
    tensor(2.)
    """
    axis = as_dim("kthvalue", dim, input.ndim)
    if not 1 <= k <= (input.shape[axis] if input.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {axis}")
    if input.ndim == 0:
        return input.copy(), xp.zeros((), np.int64)
    order = xp.argsort(input, axis=axis, kind="stable")
    return _picked(xp, input, xp.take(order, xp.asarray([k - 1]), axis), axis, keepdim)


kthvalue.vjp(input=_value_backward)


def _median_of_dim(name: str, result: Any) -> Any:
    def forward(xp, input, /, dim, keepdim=False):
        axis = _one_dim(name, input, dim)
        if input.ndim == 0:
            return input.copy(), xp.zeros((), np.int64)
        n = input.shape[axis]
        order = xp.argsort(input, axis=axis, kind="stable")
        at = xp.full([1 if d == axis else m for d, m in enumerate(input.shape)], (n - 1) // 2)
        if input.dtype.kind == "f":
            nans = xp.isnan(input).sum(axis=axis, keepdims=True)
            # nan sorts last: it is the median where there is one, or is not counted.
            at = (
                xp.where(nans > 0, n - nans, at)
                if name == "median"
                else xp.maximum((n - nans - 1) // 2, 0)
            )
        return _picked(xp, input, xp.take_along_axis(order, at, axis), axis, keepdim)

    forward.__name__ = f"{name}_dim"
    forward.__doc__ = (
        f"The {name} along a dimension and its position; `{name}(input, dim)` is the public form."
    )
    made = op(
        samples=lambda r: [
            Sample(r.distinct(5), 0), Sample(r.distinct(3, 4), 1), Sample(r.distinct(3, 4), 0, True), Sample(r(), 0),
            Sample(np.array([[1.0, np.nan, 3.0, 2.0]], r.dtype), 1).kink(),
        ],
        errors=_dim_errors, torch=name, result=None, named_tuple=result, node_name=name.title(),
    )(forward)  # fmt: skip
    made.op.backward_name = f"{name.title()}Backward1"
    made.vjp(input=_value_backward)
    return made


_median_dim = _median_of_dim("median", return_types.median)
_nanmedian_dim = _median_of_dim("nanmedian", return_types.nanmedian)


def _median_of_all(name: str, of_dim: Any) -> Any:
    def forward(xp, input, /):
        if input.size == 0:
            with np.errstate(
                invalid="ignore"
            ):  # an integer is what the machine makes of nan, as in PyTorch
                return xp.full((), math.nan, input.dtype)
        return of_dim.op.forward(xp, input.reshape(-1), 0)[0]

    forward.__name__ = f"{name}_all"
    forward.__doc__ = f"The {name} of all elements; `{name}(input)` is the public form."
    made = op(
        samples=lambda r: [
            Sample(r.distinct(2, 3)), Sample(r.distinct(5)), Sample(r()), Sample(r.int(3, 4)), Sample(r(0)),
            Sample(np.array([1.0, 1.0, 3.0, 1.0], r.dtype)).kink(),
        ],
        torch=name, result=None, node_name=name.title(),
    )(forward)  # fmt: skip
    made.vjp(input=lambda g, input, out: _shared(g, input, out))
    return made


_median_all = _median_of_all("median", _median_dim)
_nanmedian_all = _median_of_all("nanmedian", _nanmedian_dim)


@numpy_names
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element in order, of all; along `dim`, the middle ones and their positions.

    Of an even number of elements it is the lower one of the middle two (`quantile(0.5)` takes
    their mean). It is nan where an element is. Elements that equal the median of all share its gradient.

    >>> import tensorlab as tl
    >>> tl.median(tl.tensor([3., 1., 2., 9.]))
    tensor(2.)
    """
    return _median_all(input) if dim is None else _median_dim(input, dim, keepdim)


@numpy_names
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """As `median`, not counting nan.

    >>> import tensorlab as tl
    >>> tl.nanmedian(tl.tensor([3., float("nan"), 2.]))
    tensor(2.)
    """
    return _nanmedian_all(input) if dim is None else _nanmedian_dim(input, dim, keepdim)


@op(
    samples=lambda r: [
        Sample(r.int(3, 6, low=0, high=3).astype(r.dtype)).kink(), Sample(r.distinct(3, 4), 0, True),
        Sample(r.int(7, low=0, high=3)), Sample(r()),
    ],
    errors=_dim_errors, result=None, method=True, named_tuple=return_types.mode,
)  # fmt: skip
def mode(xp, input, /, dim=-1, keepdim=False):
    """The most frequent element along `dim`, the smallest of them if several are, and a position of it.

    >>> import tensorlab as tl
    >>> tl.mode(tl.tensor([1, 2, 2, 3, 3])).values
    tensor(2)
    """
    axis = _one_dim("mode", input, dim)
    if input.ndim == 0:
        return input.copy(), xp.zeros((), np.int64)
    rows = xp.moveaxis(input, axis, -1)
    # How often each element occurs in its row, by comparing all with all.
    frequency = (rows[..., :, None] == rows[..., None, :]).sum(-1)
    best = frequency == frequency.max(-1, keepdims=True)
    order = xp.argsort(rows, axis=-1, kind="stable")
    first = xp.take_along_axis(best, order, -1).argmax(-1)[..., None]
    smallest = xp.take_along_axis(rows, xp.take_along_axis(order, first, -1), -1)
    n = rows.shape[-1]
    last = n - 1 - (rows == smallest)[..., ::-1].argmax(-1)
    return _picked(xp, input, xp.moveaxis(last[..., None], -1, axis), axis, keepdim)


mode.vjp(input=_value_backward)


def _quantile(
    name: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str
) -> Any:
    from tensorlab.ops.sorting import sort

    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if not input.is_floating_point() or input.dtype.itemsize < 4:
        raise RuntimeError(
            f"{name}() input tensor must be either float or double dtype, got {input.dtype}"
        )
    fractions = np.asarray(q._data if isinstance(q, Tensor) else q, np.float64)
    if ((fractions < 0) | (fractions > 1)).any():
        raise RuntimeError(
            f"{name}() q must be in the range [0, 1] but got {fractions.reshape(-1).tolist()}"
        )
    ndim = input.ndim
    flat = dim is None
    x = reshape(input, (-1,)) if flat else input.movedim(dim, -1)
    if x.shape[-1] == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    ordered = sort(x, -1)[0]
    valid = (~ordered.isnan()).sum(-1, keepdim=True)._data
    n = x.shape[-1]
    columns = []
    for fraction in fractions.reshape(-1):
        # nan sorts last; in quantile() it makes the result nan, in nanquantile() it is not counted.
        size = np.maximum(valid, 1) if name == "nanquantile" else np.full_like(valid, n)
        rank = fraction * (size - 1)
        low, high = np.floor(rank).astype(np.int64), np.ceil(rank).astype(np.int64)
        weight = {"linear": rank - low, "lower": 0 * rank, "higher": 1 + 0 * rank, "midpoint": 0.5 + 0 * rank,
                  "nearest": (np.round(rank) > low) * 1.0}[interpolation]  # fmt: skip
        value = ordered.gather(-1, wrap(low)).lerp(
            ordered.gather(-1, wrap(high)), wrap(weight.astype(x._data.dtype))
        )
        bad = wrap((valid < n) if name == "quantile" else (valid == 0))
        columns.append(where(bad, math.nan, value).squeeze(-1))
    out = columns[0]
    if fractions.ndim:
        from tensorlab.ops.joining import stack

        out = stack(columns, 0)
    if keepdim:
        shape = (
            [1] * ndim if flat else [1 if d == dim % ndim else m for d, m in enumerate(input.shape)]
        )
        out = out.reshape(([len(columns)] if fractions.ndim else []) + shape)
    return out


@autocasts
@with_out
@numpy_names
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The value below which a fraction `q` of the elements lies, of all or along `dim`.

    q: a number in [0, 1], or a tensor of them, which makes a new first dimension.
    interpolation: between the two nearest elements: "linear", "lower", "higher", "midpoint", "nearest".

    >>> import tensorlab as tl
    >>> tl.quantile(tl.tensor([0., 1., 2., 3.]), 0.5)
    tensor(1.5000)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation)


@autocasts
@with_out
@numpy_names
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """As `quantile`, not counting nan.

    >>> import tensorlab as tl
    >>> tl.nanquantile(tl.tensor([0., float("nan"), 2.]), 0.5)
    tensor(1.)
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation)


for _name, _method in {
    "max": max, "min": min, "aminmax": aminmax, "median": median, "nanmedian": nanmedian, "quantile": quantile,
    "nanquantile": nanquantile,
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
