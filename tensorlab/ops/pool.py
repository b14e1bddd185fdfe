"""Pooling: the largest element, or the average, of every window of a signal, image or volume.

Both walk over the few places of a window and treat all windows at once, so that a slice with steps of
the input is all that is read. What is no public name here serves the functions of `ops.pooling`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops._scatter import combine_at
from tensorlab.ops.convolution import Ints, inside, product


def _name(kind: str, kernel: Ints) -> str:
    return f"{kind}_pool{len(kernel)}d"


def output_size(
    size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Ints:  # fmt: skip
    """How many windows there are along each dimension.

    With `ceil_mode` one that sticks out at the end counts too, if it starts inside or in the padding before.
    """
    found = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        found.append(count)
    return tuple(found)


def _check(
    kind: str, x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Ints:
    """The output's size; raises for what does not fit."""
    dims = len(kernel)
    name = _name(kind, kernel)
    if x.ndim not in (dims + 1, dims + 2) or 0 in x.shape[-dims - 1 :]:
        raise RuntimeError(
            f"{name}(): non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected for input, "
            f"got shape {list(x.shape)}"
        )
    if any(k <= 0 for k in kernel):
        raise RuntimeError(f"{name}(): kernel size should be greater than zero, got {list(kernel)}")
    if any(s <= 0 for s in stride):
        raise RuntimeError(f"{name}(): stride should not be zero, got {list(stride)}")
    if any(d <= 0 for d in dilation):
        raise RuntimeError(f"{name}(): dilation should be greater than zero, got {list(dilation)}")
    for p, k, d in zip(padding, kernel, dilation, strict=True):
        if p < 0 or p > (d * (k - 1) + 1) // 2:
            raise RuntimeError(
                "pad should be non-negative and at most half of effective kernel size, but got "
                f"pad={p}, kernel_size={k} and dilation={d}"
            )
    count = output_size(x.shape[-dims:], kernel, stride, padding, dilation, ceil_mode)
    if any(n < 1 for n in count):
        raise RuntimeError(
            f"Given input size: ({'x'.join(map(str, x.shape[-dims - 1 :]))}). Calculated output size: "
            f"({'x'.join(map(str, (x.shape[-dims - 1], *count)))}). Output size is too small"
        )
    return count


def _around(
    xp: Any, x: Any, count: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, value: Any
) -> Any:  # fmt: skip
    """`x` with as much of `value` around it as the windows reach."""
    dims = len(kernel)
    size = tuple(
        max(p + n, (c - 1) * s + d * (k - 1) + 1)
        for n, c, k, s, p, d in zip(
            x.shape[-dims:], count, kernel, stride, padding, dilation, strict=True
        )
    )
    if size == x.shape[-dims:]:
        return x
    out = xp.full((*x.shape[:-dims], *size), value, x.dtype)
    out[(..., *inside(x.shape[-dims:], padding))] = x
    return out


def _places(
    count: Ints, kernel: Ints, stride: Ints, dilation: Ints
) -> Iterator[tuple[Ints, tuple[Any, ...]]]:
    """Each place in the window, and the slice that has all windows' elements there."""
    for k in itertools.product(*map(range, kernel)):
        cut = tuple(
            slice(i * d, i * d + s * (n - 1) + 1, s)
            for i, d, s, n in zip(k, dilation, stride, count, strict=True)
        )
        yield k, (..., *cut)


def _positions(xp: Any, size: Ints, axes: list[np.ndarray]) -> Any:
    """The flat positions in an array of `size` of the grid whose coordinates are `axes`."""
    total: Any = 0
    for axis, n in zip(axes, size, strict=True):
        total = np.expand_dims(np.asarray(total) * n, -1) + axis
    return xp.asarray(total)


# The largest ------------------------------------------------------------------------------


def _max_reference(x, kernel, stride, padding, dilation, ceil_mode):
    dims = len(kernel)
    size = x.shape[-dims:]
    count = output_size(size, kernel, stride, padding, dilation, ceil_mode)
    out = np.zeros((*x.shape[:-dims], *count), x.dtype)
    at = np.zeros(out.shape, np.int64)
    for p in np.ndindex(*out.shape):
        lead, place = p[:-dims], p[-dims:]
        best = None
        for k in np.ndindex(*kernel):
            where = tuple(
                i * s + j * d - q
                for i, s, j, d, q in zip(place, stride, k, dilation, padding, strict=True)
            )
            if all(0 <= w < n for w, n in zip(where, size, strict=True)):
                value = x[(*lead, *where)]
                if best is None or value > best:
                    best = value
                    at[p] = np.ravel_multi_index(where, size)
        out[p] = best
    return out, at


def _max_samples(r: Any) -> list[Sample]:
    return [
        Sample(r.distinct(2, 2, 7), (3,), (2,), (1,), (1,), False),
        Sample(r.distinct(2, 1, 5, 6), (2, 3), (2, 2), (0, 1), (1, 1), True),
        Sample(r.distinct(2, 6, 5), (2, 2), (1, 3), (1, 0), (2, 1), False),
        Sample(r.distinct(1, 2, 3, 4, 3), (2, 2, 1), (2, 1, 2), (0, 1, 0), (1, 1, 1), True),
        Sample(r.int(1, 2, 6), (2,), (2,), (0,), (1,), False),
    ]


def _lowest(dtype: Any) -> Any:
    kind = dtype.kind
    return False if kind == "b" else np.iinfo(dtype).min if kind in "iu" else -np.inf


@op(
    samples=_max_samples,
    errors=lambda r: [
        ErrorSample(r(1, 2, 5), (3,), (3,), (2,), (1,), False, error=RuntimeError, match="pad should be"),
        ErrorSample(r(1, 2, 2), (3,), (3,), (0,), (1,), False, error=RuntimeError, match="Output size is too small"),
        ErrorSample(r(5), (3,), (3,), (0,), (1,), False, error=RuntimeError, match="non-empty 2D or 3D"),
        ErrorSample(r(1, 2, 5), (2,), (0,), (0,), (1,), False, error=RuntimeError, match="stride should not be zero"),
        ErrorSample(r(1, 2, 5), (2,), (1,), (0,), (0,), False, error=RuntimeError, match="dilation should be"),
        ErrorSample(r(1, 2, 5), (0,), (1,), (0,), (1,), False, error=RuntimeError, match="kernel size should be"),
    ],
    ref=lambda *args: _max_reference(*args)[0], torch="", result=None,
)  # fmt: skip
def max_pool(xp, input, /, kernel_size, stride, padding, dilation, ceil_mode):
    """The largest element of every window; nan is the largest. See `nn.functional.max_pool2d`."""
    count = _check("max", input, kernel_size, stride, padding, dilation, ceil_mode)
    low = _lowest(input.dtype)
    around = _around(xp, input, count, kernel_size, stride, padding, dilation, low)
    best = xp.full((*input.shape[: -len(count)], *count), low, input.dtype)
    for _, cut in _places(count, kernel_size, stride, dilation):
        xp.maximum(best, around[cut], out=best)
    return best


@op(
    samples=lambda r: [
        Sample(s.args[0], _max_reference(*s.args)[0].astype(s.args[0].dtype), *s.args[1:]) for s in _max_samples(r)
    ],
    ref=lambda x, out, *how: _max_reference(x, *how)[1], torch="", result=None,
)  # fmt: skip
def max_pool_positions(
    xp, input, output, /, kernel_size, stride, padding, dilation, ceil_mode
):  # fmt: skip
    """The flat position in the image of the largest element of every window, given these (`output`).

    Of equals it is the first one, but of nans the last.
    """
    dims = len(kernel_size)
    size, count = input.shape[-dims:], output.shape[-dims:]
    low = _lowest(input.dtype)
    around = _around(xp, input, count, kernel_size, stride, padding, dilation, low)
    places = [cut for _, cut in _places(count, kernel_size, stride, dilation)]
    total = len(places)
    kind = np.min_scalar_type(
        total
    ).type  # choosing by products of small numbers is fast, `where` is not
    back = xp.zeros(
        output.shape, kind
    )  # places from the end of the window: the first one counts most
    for i, cut in enumerate(places):
        xp.maximum(back, (around[cut] == output) * kind(total - i), out=back)
    missing = output != output
    if xp is not np or missing.any():  # to look whether there is any, a device would be waited for
        last = xp.zeros(output.shape, kind)
        for i, cut in enumerate(places):
            values = around[cut]
            xp.maximum(last, (values != values) * kind(i + 1), out=last)
        back = xp.where(missing, kind(total + 1) - last, back)
    starts = [np.arange(n) * s - p for n, s, p in zip(count, stride, padding, strict=True)]
    steps = [np.arange(k) * d for k, d in zip(kernel_size, dilation, strict=True)]
    offsets = _positions(xp, size, steps).reshape(-1)
    found = xp.take(offsets, xp.asarray(total, back.dtype) - back)
    found += _positions(xp, size, starts)
    if not any(padding):
        return found
    # Where all elements are the lowest there are, PyTorch names the first that is no padding.
    first = [
        a + (np.maximum(-a, 0) + d - 1) // d * d for a, d in zip(starts, dilation, strict=True)
    ]
    return xp.where(output == low, _positions(xp, size, first), found)


def flat_positions(xp: Any, indices: Any, size: Ints) -> Any:
    """Positions within each image as positions in the whole array."""
    area = product(size)
    images = indices.reshape(-1, product(indices.shape[indices.ndim - len(size) :]))
    return (images + xp.arange(images.shape[0])[:, None] * area).reshape(-1)


def _scatter_reference(x, indices, size):
    lead = x.shape[: x.ndim - len(size)]
    out = np.zeros((*lead, *size), x.dtype)
    for p in np.ndindex(*x.shape):
        out[(*p[: len(lead)], *np.unravel_index(indices[p], size))] += x[p]
    return out


@op(
    samples=lambda r: [
        Sample(r(2, 1, 3), np.array([[[0, 2, 2]], [[3, 1, 0]]]), (4,)),
        Sample(r(1, 2, 2), np.array([[[0, 5], [5, 1]]]), (2, 3)),
    ],
    torch="", result=None, promote=(), ref=_scatter_reference, node_name="MaxPoolBackward",
)  # fmt: skip
def pool_scatter(xp, input, indices, /, size):
    """Images of `size` with every element added at its flat position: the gradient of max pooling."""
    out = xp.zeros((*input.shape[: input.ndim - len(size)], *size), input.dtype)
    places = flat_positions(xp, indices, size)
    combine_at(xp, "add", out.reshape(-1), places, input.reshape(-1))
    return out


@op(
    samples=lambda r: [
        Sample(r(2, 1, 4), np.array([[[0, 2, 2]], [[3, 1, 0]]]), 1),
        Sample(r(1, 2, 3), np.array([[[0, 5], [5, 1]]]), 2),
    ],
    torch="", result=None, promote=(), node_name="Gather",
    ref=lambda x, indices, dims: np.take_along_axis(
        x.reshape(*x.shape[: x.ndim - dims], -1), indices.reshape(*x.shape[: x.ndim - dims], -1), -1
    ).reshape(indices.shape),
)  # fmt: skip
def pool_gather(xp, input, indices, /, dims):
    """The elements at flat positions within each image of `dims` dimensions."""
    size = input.shape[input.ndim - dims :]
    return input.reshape(-1)[flat_positions(xp, indices, size)].reshape(indices.shape)


def _max_backward(g, input, how):
    # The output is computed again, not kept: it may be changed in place, as in PyTorch.
    positions = max_pool_positions(input, max_pool(input, *how), *how)
    return pool_scatter(g, positions, tuple(input.shape[-len(how[0]) :]))


max_pool.vjp(
    input=lambda g, input, kernel_size, stride, padding, dilation, ceil_mode: _max_backward(
        g, input, (kernel_size, stride, padding, dilation, ceil_mode)
    )
)
pool_scatter.vjp(input=lambda g, indices, size: pool_gather(g, indices, len(size)))
pool_gather.vjp(
    input=lambda g, indices, input_shape, dims: pool_scatter(
        g, indices, tuple(input_shape[len(input_shape) - dims :])
    )
)

# The average ------------------------------------------------------------------------------


def _divisor(
    xp: Any, size: Ints, count: Ints, kernel: Ints, stride: Ints, padding: Ints, include: bool, dtype: Any
) -> Any:  # fmt: skip
    """What the sum of each window is divided by: how many elements it has, with or without padding."""
    total = np.ones(())
    for n, c, k, s, p in zip(size, count, kernel, stride, padding, strict=True):
        start = np.arange(c) * s - p
        end = np.minimum(start + k, n + p)
        along = end - start if include else np.minimum(end, n) - np.maximum(start, 0)
        total = total[..., None] * along
    return xp.asarray(total.astype(dtype))


def _avg_reference(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    dims = len(kernel)
    size = x.shape[-dims:]
    count = output_size(size, kernel, stride, padding, (1,) * dims, ceil_mode)
    out = np.zeros((*x.shape[:-dims], *count))
    for p in np.ndindex(*count):
        start = [i * s - q for i, s, q in zip(p, stride, padding, strict=True)]
        end = [min(a + k, n + q) for a, k, n, q in zip(start, kernel, size, padding, strict=True)]
        within = tuple(
            slice(max(a, 0), min(b, n)) for a, b, n in zip(start, end, size, strict=True)
        )
        values = x[(..., *within)].reshape(*x.shape[:-dims], -1)
        n = np.prod(np.subtract(end, start)) if count_include_pad else values.shape[-1]
        out[(..., *p)] = values.sum(-1) / (divisor_override or n)
    return out


def _avg_samples(r: Any) -> list[Sample]:
    return [
        Sample(r(2, 2, 7), (3,), (2,), (1,), False, True, None),
        Sample(r(2, 1, 5, 6), (2, 3), (2, 2), (0, 1), True, True, None),
        Sample(r(2, 5, 6), (3, 2), (2, 3), (1, 1), True, False, None),
        Sample(r(1, 2, 3, 4, 3), (2, 2, 1), (2, 1, 2), (0, 1, 0), True, False, 3),
    ]


@op(
    samples=_avg_samples,
    errors=lambda r: [
        ErrorSample(r(1, 2, 5), (3,), (3,), (2,), False, True, None, error=RuntimeError, match="pad should be"),
        ErrorSample(r(1, 2, 5), (3,), (3,), (0,), False, True, 0, error=RuntimeError, match="divisor must be not zero"),
    ],
    ref=_avg_reference, torch="", result=None,
)  # fmt: skip
def avg_pool(
    xp, input, /, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
):  # fmt: skip
    """The average of every window; see `nn.functional.avg_pool2d`."""
    ones = (1,) * len(kernel_size)
    count = _check("avg", input, kernel_size, stride, padding, ones, ceil_mode)
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    around = _around(xp, input, count, kernel_size, stride, padding, ones, 0)
    out = xp.zeros((*input.shape[: -len(count)], *count), input.dtype)
    for _, cut in _places(count, kernel_size, stride, ones):
        out += around[cut]
    size = input.shape[-len(count) :]
    by = divisor_override or _divisor(
        xp, size, count, kernel_size, stride, padding, count_include_pad, input.dtype
    )
    return out / by if input.dtype.kind == "f" else xp.trunc(out / by).astype(input.dtype)


@op(
    samples=lambda r: [
        Sample(r(2, 2, 4), (7,), (3,), (2,), (1,), True, None),
        Sample(r(2, 3, 3), (5, 6), (3, 2), (2, 3), (1, 1), False, None),
    ],
    torch="", result=None,
    ref=lambda g, size, kernel, stride, padding, include, override: _spread_reference(
        g, size, kernel, stride, padding, include, override
    ),
)  # fmt: skip
def avg_pool_spread(
    xp, input, /, size, kernel_size, stride, padding, count_include_pad, divisor_override
):  # fmt: skip
    """The gradient of `avg_pool` by its input of this `size`: each window's shared among its elements."""
    dims = len(kernel_size)
    count, ones = input.shape[-dims:], (1,) * dims
    by = divisor_override or _divisor(
        xp, size, count, kernel_size, stride, padding, count_include_pad, input.dtype
    )
    share = input / by
    empty = xp.zeros((*input.shape[:-dims], *size), input.dtype)
    out = _around(xp, empty, count, kernel_size, stride, padding, ones, 0)
    for _, cut in _places(count, kernel_size, stride, ones):
        out[cut] += share
    return xp.ascontiguousarray(out[(..., *inside(size, padding))])


def _spread_reference(g, size, kernel, stride, padding, include, override):
    """Element by element: the average is linear."""
    lead = g.shape[: -len(kernel)]
    out = np.zeros((*lead, *size))
    ceil = output_size(size, kernel, stride, padding, (1,) * len(kernel), False)
    for at in np.ndindex(*size):
        unit = np.zeros((1, *size))
        unit[(0, *at)] = 1
        means = _avg_reference(
            unit, kernel, stride, padding, ceil != g.shape[-len(kernel) :], include, override
        )
        out[(..., *at)] = (g * means).sum(tuple(range(-len(kernel), 0)))
    return out


avg_pool.vjp(
    input=lambda g, input_shape, kernel_size, stride, padding, count_include_pad, divisor_override: (
        avg_pool_spread(
            g, tuple(input_shape[-len(kernel_size) :]), kernel_size, stride, padding, count_include_pad,
            divisor_override,
        )
    )
)  # fmt: skip
avg_pool_spread.vjp(
    input=lambda g, input_shape, size, kernel_size, stride, padding, count_include_pad, divisor_override: (
        avg_pool(
            g, kernel_size, stride, padding,
            output_size(size, kernel_size, stride, padding, (1,) * len(kernel_size), False)
            != tuple(input_shape[-len(kernel_size) :]),
            count_include_pad, divisor_override,
        )
    )
)  # fmt: skip

# The largest of each part -----------------------------------------------------------------


def parts(n: int, count: int) -> list[tuple[int, int]]:
    """`count` parts, as equal as can be, of n places: ⌊i·n / count⌋ to ⌈(i + 1)·n / count⌉."""
    return [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]


def _adaptive_reference(x, size):
    lead = x.shape[: x.ndim - len(size)]
    out, at = np.zeros((*lead, *size)), np.zeros((*lead, *size), np.int64)
    whole = x.shape[len(lead) :]
    for p in np.ndindex(*lead, *size):
        cut = [parts(n, m)[i] for n, m, i in zip(whole, size, p[len(lead) :], strict=True)]
        places = itertools.product(*(range(a, b) for a, b in cut))
        best = max(places, key=lambda w: x[(*p[: len(lead)], *w)])
        out[p] = x[(*p[: len(lead)], *best)]
        at[p] = np.ravel_multi_index(best, whole)
    return out, at


@op(
    samples=lambda r: [
        Sample(r.distinct(2, 2, 7), (3,)), Sample(r.distinct(2, 5, 4), (2, 3)),
        Sample(r.distinct(1, 1, 2, 3, 4), (2, 1, 5)),
    ],
    ref=_adaptive_reference, torch="", result=None,
)  # fmt: skip
def adaptive_max_pool_with_indices(xp, input, /, size):
    """The largest element of each of `size` parts, and its flat position; see `adaptive_max_pool2d`."""
    lead = input.ndim - len(size)
    whole = input.shape[lead:]
    out = xp.empty((*input.shape[:lead], *size), input.dtype)
    indices = xp.empty(out.shape, np.int64)
    cuts = [parts(n, m) for n, m in zip(whole, size, strict=True)]
    for p in np.ndindex(*size):
        cut = [c[i] for c, i in zip(cuts, p, strict=True)]
        part = input[(..., *(slice(a, b) for a, b in cut))]
        at = part.reshape(*input.shape[:lead], -1).argmax(axis=-1)
        grid = _positions(xp, whole, [np.arange(a, b) for a, b in cut])
        indices[(..., *p)] = grid.reshape(-1)[at]
        out[(..., *p)] = xp.take_along_axis(
            part.reshape(*input.shape[:lead], -1), xp.expand_dims(at, -1), -1
        )[..., 0]
    return out, indices


adaptive_max_pool_with_indices.vjp(
    input=lambda g, out, input_shape, size: pool_scatter(
        g[0], out[1], tuple(input_shape[-len(size) :])
    )
)
