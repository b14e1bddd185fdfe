"""Convolution in any number of dimensions, its transpose, and the gradients of both.

A convolution is linear in its input x, in its weight w and in what it gives, y:

    Σ over n, o, i, k, p of  y[n, o, p] · w[o, i, k] · x[n, i, stride·p + dilation·k − padding]

Leaving out y, x or w gives three operations, and the derivative of each is made of the other two:

    `convolution`         y from x and w
    `convolution_input`   x from y and w: the gradient by x, and the transposed convolution
    `convolution_weight`  w from x and y: the gradient by w

Each is one matrix product per group. The windows of x are a view with strides (no element is copied
to find them); laid out as the columns of a matrix they meet the weight, whose rows are the filters.
Source: K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks for
document processing", 2006. The numbers of dimensions are all served by the same code.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops.elementwise import conj
from tensorlab.ops.index import getitem
from tensorlab.ops.reduce import sum as sum_

Ints = tuple[int, ...]

# Windows ----------------------------------------------------------------------------------


def as_ints(name: str, value: Any, dims: int) -> Ints:
    """An int or a sequence of one or `dims` ints, as `dims` ints; `RuntimeError` for another number."""
    if not isinstance(value, Sequence):
        return (int(value),) * dims
    if len(value) == 1:
        return (int(value[0]),) * dims
    if len(value) != dims:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {dims} values to match the "
            f"convolution dimensions, but got {name}={list(value)}"
        )
    return tuple(int(v) for v in value)


def padded(xp: Any, x: Any, padding: Ints, value: Any = 0) -> Any:
    """`x` with `value` on both sides of its last dimensions; `x` itself if there is nothing to add."""
    if not any(padding):
        return x
    lead = x.ndim - len(padding)
    shape = tuple(n + 2 * p for n, p in zip(x.shape[lead:], padding, strict=True))
    out = xp.full((*x.shape[:lead], *shape), value, x.dtype)
    out[(..., *inside(x.shape[lead:], padding))] = x
    return out


def inside(size: Ints, padding: Ints) -> tuple[slice, ...]:
    """Where an array of this size lies in the padded one."""
    return tuple(slice(p, p + n) for n, p in zip(size, padding, strict=True))


def window_count(size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Ints:
    """How many windows fit along each dimension."""
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )


def windows(xp: Any, x: Any, kernel: Ints, count: Ints, stride: Ints, dilation: Ints) -> Any:
    """A view (N, C, *kernel, *count) of x (N, C, *size): every window, nothing copied."""
    step = x.strides[2:]
    within = tuple(b * d for b, d in zip(step, dilation, strict=True))
    between = tuple(b * s for b, s in zip(step, stride, strict=True))
    return xp.lib.stride_tricks.as_strided(
        x, (*x.shape[:2], *kernel, *count), (*x.strides[:2], *within, *between)
    )


def columns(
    xp: Any, x: Any, kernel: Ints, count: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int = 1
) -> Any:  # fmt: skip
    """The windows as columns: (groups, C / groups · kernel elements, N · windows)."""
    found = windows(xp, padded(xp, x, padding), kernel, count, stride, dilation)
    # (N, C, *kernel, *count) to (C, *kernel, N, *count): here the elements are copied, in rows.
    rest = range(2, 2 + len(kernel))
    ahead = range(2 + len(kernel), found.ndim)
    ordered = found.transpose(1, *rest, 0, *ahead)
    rows = x.shape[1] // groups * product(kernel)
    return ordered.reshape(groups, rows, x.shape[0] * product(count))


def from_columns(
    xp: Any, cols: Any, shape: Ints, kernel: Ints, count: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> Any:  # fmt: skip
    """The sum of all columns at the places that `columns` took them from, as an array of `shape`."""
    cols = cols.reshape(shape[1], *kernel, shape[0], *count)
    size = tuple(n + 2 * p for n, p in zip(shape[2:], padding, strict=True))
    out = xp.zeros((shape[1], shape[0], *size), cols.dtype)
    for k in itertools.product(*map(range, kernel)):
        places = tuple(
            slice(i * d, i * d + s * (n - 1) + 1, s)
            for i, d, s, n in zip(k, dilation, stride, count, strict=True)
        )
        out[(slice(None), slice(None), *places)] += cols[(slice(None), *k)]
    return out[(slice(None), slice(None), *inside(shape[2:], padding))].swapaxes(0, 1)


def product(numbers: Sequence[int]) -> int:
    """All of them multiplied."""
    total = 1
    for n in numbers:
        total *= n
    return total


# The three products -----------------------------------------------------------------------

#: Columns made at a time, in bytes: what a processor's cache holds, or a graphics card has to spare.
_ROOM = {"numpy": 1 << 22, "cupy": 1 << 28}


def _portions(xp: Any, x: Any, w: Any, count: Ints) -> Iterator[slice]:
    """The batch in portions whose columns fit the cache: what is made is used before it is forgotten."""
    image = x.shape[1] * product(w.shape[2:]) * product(count) * x.dtype.itemsize
    step = max(1, _ROOM.get(xp.__name__, _ROOM["numpy"]) // max(image, 1))
    for start in range(0, x.shape[0], step):
        yield slice(start, start + step)


def _forward(
    xp: Any, x: Any, w: Any, bias: Any, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    kernel = w.shape[2:]
    count = window_count(x.shape[2:], kernel, stride, padding, dilation)
    filters = w.reshape(groups, w.shape[0] // groups, product(w.shape[1:]))
    out = xp.empty((x.shape[0], w.shape[0], *count), x.dtype)
    for part in _portions(xp, x, w, count):
        cols = columns(xp, x[part], kernel, count, stride, padding, dilation, groups)
        found = xp.matmul(filters, cols).reshape(w.shape[0], -1, *count)
        if bias is not None:
            found += bias.reshape(-1, *[1] * (x.ndim - 1))
        out[part] = found.swapaxes(0, 1)
    return out


def _to_rows(y: Any, groups: int) -> Any:
    """(N, O, *count) as (groups, O / groups, N · windows)."""
    return y.swapaxes(0, 1).reshape(groups, y.shape[1] // groups, y.shape[0] * product(y.shape[2:]))


def _by_input(
    xp: Any, y: Any, w: Any, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    filters = w.reshape(groups, w.shape[0] // groups, product(w.shape[1:])).swapaxes(1, 2)
    out = xp.empty((y.shape[0], w.shape[1] * groups, *size), y.dtype)
    for part in _portions(xp, out, w, y.shape[2:]):
        rows = _to_rows(y[part], groups)
        # With one filter in a group each product has one term, for which BLAS is slow.
        cols = filters * rows if rows.shape[1] == 1 else xp.matmul(filters, rows)
        shape = out[part].shape
        out[part] = from_columns(
            xp, cols, shape, w.shape[2:], y.shape[2:], stride, padding, dilation
        )
    return out


def _by_weight(
    xp: Any, x: Any, y: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    out = xp.zeros((y.shape[1], x.shape[1] // groups, *kernel), x.dtype)
    total = out.reshape(groups, y.shape[1] // groups, product(out.shape[1:]))
    for part in _portions(xp, x, out, y.shape[2:]):
        cols = columns(xp, x[part], kernel, y.shape[2:], stride, padding, dilation, groups)
        total += xp.matmul(_to_rows(y[part], groups), cols.swapaxes(1, 2))
    return out


def _check_dtypes(**arrays: Any) -> None:
    (first, a), *others = ((n, x) for n, x in arrays.items() if x is not None)
    for name, x in others:
        if x.dtype != a.dtype:
            raise RuntimeError(
                f"{first.capitalize()} type ({from_numpy_dtype(a.dtype)}) and {name} type "
                f"({from_numpy_dtype(x.dtype)}) should be the same"
            )


def _check(
    x: Any, w: Any, bias: Any, stride: Ints, padding: Ints, dilation: Ints, transposed: bool, groups: int
) -> None:  # fmt: skip
    _check_dtypes(input=x, weight=w, bias=bias)
    if w.ndim != x.ndim or w.ndim < 3:
        raise RuntimeError(
            f"convolution: expected input (N, C, …) and a weight of as many dimensions, at least 3, but got "
            f"input of shape {list(x.shape)} and weight of shape {list(w.shape)}"
        )
    if any(s <= 0 for s in stride):
        raise RuntimeError(f"non-positive stride is not supported, got {list(stride)}")
    if any(p < 0 for p in padding):
        raise RuntimeError(f"negative padding is not supported, got {list(padding)}")
    if any(d <= 0 for d in dilation):
        raise RuntimeError(f"dilation should be greater than zero, but got {list(dilation)}")
    if groups <= 0:
        raise RuntimeError(f"non-positive groups is not supported, got {groups}")
    shape = list(w.shape)
    if w.shape[0] % groups or w.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got "
            f"weight of size {shape} instead"
        )
    channels = w.shape[0] if transposed else w.shape[1] * groups
    if x.shape[1] != channels:
        what = f"transposed={int(transposed)}" if transposed else f"groups={groups}"
        raise RuntimeError(
            f"Given {what}, weight of size {shape}, expected input{list(x.shape)} to have {channels} "
            f"channels, but got {x.shape[1]} channels instead"
        )
    outputs = w.shape[1] * groups if transposed else w.shape[0]
    if bias is not None and bias.shape != (outputs,):
        raise RuntimeError(
            f"Given {'transposed=1, ' * transposed}weight of size {shape}, expected bias to be 1-dimensional "
            f"with {outputs} elements, but got bias of size {list(bias.shape)} instead"
        )


def _by(sizes: Sequence[int]) -> str:
    return f"({' x '.join(map(str, sizes))})"


def input_size(
    x: Any, w: Any, stride: Ints, padding: Ints, dilation: Ints, output_padding: Ints
) -> Ints:
    """The size that a transposed convolution gives: that of the input of which `x` is the result."""
    if any(o >= max(s, d) for o, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise RuntimeError(
            f"output padding must be smaller than either stride or dilation, but got output_padding "
            f"{list(output_padding)}, stride {list(stride)} and dilation {list(dilation)}"
        )
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + o + 1
        for n, k, s, p, d, o in zip(
            x.shape[2:], w.shape[2:], stride, padding, dilation, output_padding, strict=True
        )
    )
    if any(n < 1 for n in size):
        raise RuntimeError(
            f"Given input size per channel: {_by(x.shape[2:])}. Calculated output size per channel: "
            f"{_by(size)}. Output size is too small"
        )
    return size


# Operations -------------------------------------------------------------------------------


def _samples(r: Any) -> list[Sample]:
    one, none = (1,), (0,)
    return [
        Sample(r(2, 2, 5), r(3, 2, 3), r(3), one, none, one, False, none, 1),
        Sample(r(2, 4, 6), r(2, 2, 2), None, (2,), (1,), (2,), False, none, 2),
        Sample(r(1, 2, 4, 5), r(4, 1, 3, 2), r(4), (2, 1), (1, 0), (1, 2), False, (0, 0), 2),
        Sample(r(2, 1, 2, 3, 3), r(2, 1, 2, 1, 2), None, (1, 2, 1), (1, 0, 1), (1,) * 3, False, (0,) * 3, 1),
        Sample(r(2, 2, 3), r(2, 3, 2), r(3), one, none, one, True, none, 1),
        Sample(r(1, 4, 2, 3), r(4, 1, 3, 2), r(2), (2, 3), (1, 0), (1, 2), True, (1, 2), 2),
        Sample(r(1, 1, 2, 1, 2), r(1, 2, 1, 2, 2), None, (2, 1, 1), (0, 0, 1), (1,) * 3, True, (1, 0, 0), 1),
        Sample(r(0, 2, 4), r(3, 2, 3), r(3), one, none, one, False, none, 1),
    ]  # fmt: skip


def _errors(r: Any) -> list[ErrorSample]:
    def bad(match: str, *arrays: Any, error: Any = RuntimeError, **changed: Any) -> ErrorSample:
        options = {
            "stride": (1,), "padding": (0,), "dilation": (1,), "transposed": False,
            "output_padding": (0,), "groups": 1, **changed,
        }  # fmt: skip
        x, w, b = (*arrays, None)[:3]
        return ErrorSample(x, w, b, error=error, match=match, **options)

    return [
        bad("expected input.* to have 3 channels, but got 2", r(1, 2, 5), r(4, 3, 3)),
        bad("Kernel size can't be greater", r(1, 2, 2), r(4, 2, 3)),
        bad("should be the same", r(1, 2, 5), r(4, 2, 3).astype(np.float64)),
        bad("bias to be 1-dimensional with 4 elements", r(1, 2, 5), r(4, 2, 3), r(3)),
        bad("non-positive stride", r(1, 2, 5), r(4, 2, 3), stride=(0,)),
        bad("negative padding", r(1, 2, 5), r(4, 2, 3), padding=(-1,)),
        bad("dilation should be", r(1, 2, 5), r(4, 2, 3), dilation=(0,)),
        bad("divisible by 2 at dimension 0", r(1, 4, 5), r(3, 2, 3), groups=2),
        bad("non-positive groups", r(1, 4, 5), r(3, 2, 3), groups=0),
        bad("Output size is too small", r(1, 3, 1), r(3, 2, 1), transposed=True, padding=(2,)),
        bad("output padding must be", r(1, 3, 1), r(3, 2, 1), transposed=True, output_padding=(1,)),
        bad("of as many dimensions", r(1, 3, 1), r(3, 2, 1, 1)),
    ]


def _reference(x, w, b, stride, padding, dilation, transposed, output_padding, groups):
    """Straight from the definition: every product of an input element with a weight element."""
    dims = x.ndim - 2
    per = w.shape[0] // groups
    rows = w.shape[1]
    if transposed:
        size = tuple(
            (x.shape[2 + i] - 1) * stride[i]
            - 2 * padding[i]
            + dilation[i] * (w.shape[2 + i] - 1)
            + output_padding[i]
            + 1
            for i in range(dims)
        )
        out = np.zeros((x.shape[0], rows * groups, *size))
    else:
        size = window_count(x.shape[2:], w.shape[2:], stride, padding, dilation)
        out = np.zeros((x.shape[0], w.shape[0], *size))
    small = x.shape[2:] if transposed else size
    for p in np.ndindex(*small):
        for k in np.ndindex(*w.shape[2:]):
            at = tuple(p[i] * stride[i] + k[i] * dilation[i] - padding[i] for i in range(dims))
            big = size if transposed else x.shape[2:]
            if any(not 0 <= a < n for a, n in zip(at, big, strict=True)):
                continue
            for o in range(w.shape[0]):
                for i in range(rows):
                    channel = o // per * rows + i
                    if transposed:
                        out[(slice(None), channel, *at)] += x[(slice(None), o, *p)] * w[(o, i, *k)]
                    else:
                        out[(slice(None), o, *p)] += x[(slice(None), channel, *at)] * w[(o, i, *k)]
    return out if b is None else out + b.reshape(-1, *[1] * dims)


@op(samples=_samples, errors=_errors, ref=_reference, result=None)
def convolution(
    xp, input, weight, bias=None, /, stride=(1,), padding=(0,), dilation=(1,), transposed=False,
    output_padding=(0,), groups=1,
):  # fmt: skip
    """Any convolution, transposed or not, of one to three dimensions or more.

    The others (`conv2d`, `conv_transpose1d` …) come here with all parameters as tuples.

    >>> import tensorlab as tl
    >>> x, w = tl.tensor([[[1., 2., 4.]]]), tl.tensor([[[1., -1.]]])
    >>> tl.convolution(x, w, None, (1,), (0,), (1,), False, (0,), 1)
    tensor([[[-1., -2.]]])
    """
    _check(input, weight, bias, stride, padding, dilation, transposed, groups)
    if transposed:
        size = input_size(input, weight, stride, padding, dilation, output_padding)
        out = _by_input(xp, input, weight, size, stride, padding, dilation, groups)
    else:
        kernel = weight.shape[2:]
        if any(n < 1 for n in window_count(input.shape[2:], kernel, stride, padding, dilation)):
            around = [n + 2 * p for n, p in zip(input.shape[2:], padding, strict=True)]
            reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
            raise RuntimeError(
                f"Calculated padded input size per channel: {_by(around)}. Kernel size: {_by(reach)}. "
                "Kernel size can't be greater than actual input size"
            )
        return _forward(xp, input, weight, bias, stride, padding, dilation, groups)
    if bias is not None:
        out += bias.reshape(-1, *[1] * (input.ndim - 2))  # the product is new: add in place
    return out


@op(
    samples=lambda r: [
        Sample(r(2, 3, 2), r(3, 2, 2), (5,), (2,), (0,), (2,), 1),
        Sample(r(1, 4, 2, 2), r(4, 1, 3, 2), (4, 5), (2, 2), (1, 0), (1, 2), 2),
    ],
    torch="", result=None, node_name="Convolution",
    ref=lambda y, w, size, stride, padding, dilation, groups: _reference(
        y, w, None, stride, padding, dilation, True,
        tuple(
            n - ((m - 1) * s - 2 * p + d * (k - 1) + 1)
            for n, m, k, s, p, d in zip(
                size, y.shape[2:], w.shape[2:], stride, padding, dilation, strict=True
            )
        ), groups,
    ),
)  # fmt: skip
def convolution_input(xp, input, weight, /, size, stride, padding, dilation, groups):
    """The gradient of a convolution by its input of this `size`, given that of its output (`input`)."""
    return _by_input(xp, input, weight, size, stride, padding, dilation, groups)


def _weight_reference(x, y, kernel, stride, padding, dilation, groups):
    """One element at a time: the convolution is linear in the weight."""
    shape = (y.shape[1], x.shape[1] // groups, *kernel)
    out = np.zeros(shape)
    for at in np.ndindex(*shape):
        unit = np.zeros(shape)
        unit[at] = 1
        out[at] = (
            _reference(x, unit, None, stride, padding, dilation, False, (), groups) * y
        ).sum()
    return out


@op(
    samples=lambda r: [
        Sample(r(2, 2, 6), r(2, 3, 2), (2,), (2,), (0,), (2,), 1),
        Sample(r(1, 2, 4, 5), r(1, 4, 2, 2), (3, 2), (2, 2), (1, 0), (1, 2), 2),
    ],
    torch="", result=None, node_name="Convolution", ref=_weight_reference,
)  # fmt: skip
def convolution_weight(xp, input, output, /, kernel_size, stride, padding, dilation, groups):
    """The gradient of a convolution by its weight of this `kernel_size`, given that of its `output`."""
    return _by_weight(xp, input, output, kernel_size, stride, padding, dilation, groups)


def _convolve(
    x: Any, w: Any, count: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    """The first `count` results of a convolution."""
    none = (0,) * len(stride)
    out = convolution(x, w, None, stride, padding, dilation, False, none, groups)
    if tuple(out.shape[2:]) == tuple(count):
        return out
    # An output padding beyond the stride has room for more windows than there were.
    return getitem(out, (slice(None), slice(None), *(slice(n) for n in count)))


def _convolution_backward(
    g, input, weight, stride, padding, dilation, transposed, groups, needs
):  # fmt: skip
    how = (stride, padding, dilation, groups)
    kernel, size = tuple(weight.shape[2:]), tuple(input.shape[2:])
    by_input = by_weight = by_bias = None
    if needs[0]:
        by_input = (
            _convolve(g, conj(weight), size, *how)
            if transposed
            else convolution_input(g, conj(weight), size, *how)
        )
    if needs[1]:
        by_weight = (
            convolution_weight(g, conj(input), kernel, *how)
            if transposed
            else convolution_weight(conj(input), g, kernel, *how)
        )
    if needs[2]:
        by_bias = sum_(g, (0, *range(2, len(g.shape))))
    return by_input, by_weight, by_bias


convolution.vjp(_convolution_backward)
convolution_input.vjp(
    input=lambda g, weight, input_shape, stride, padding, dilation, groups: _convolve(
        g, conj(weight), input_shape[2:], stride, padding, dilation, groups
    ),
    weight=lambda g, input, weight_shape, stride, padding, dilation, groups: convolution_weight(
        g, conj(input), tuple(weight_shape[2:]), stride, padding, dilation, groups
    ),
)
convolution_weight.vjp(
    input=lambda g, input_shape, output, stride, padding, dilation, groups: convolution_input(
        conj(output), g, tuple(input_shape[2:]), stride, padding, dilation, groups
    ),
    output=lambda g, input, output_shape, stride, padding, dilation, groups: _convolve(
        conj(input), g, output_shape[2:], stride, padding, dilation, groups
    ),
)
