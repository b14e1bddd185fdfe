"""Max pooling undone, and max pooling with windows at random steps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops.convolution import Ints, product
from tensorlab.ops.pool import flat_positions, pool_gather, pool_scatter
from tensorlab.ops.pooling import as_window, documented
from tensorlab.ops.random import rand

_SHAPES = {1: "L", 2: "H, W", 3: "D, H, W"}

# Undoing ----------------------------------------------------------------------------------


def _unpool_reference(x, indices, size):
    out = np.zeros((*x.shape[: x.ndim - len(size)], *size), x.dtype)
    for p in np.ndindex(*x.shape):
        out[(*p[: x.ndim - len(size)], *np.unravel_index(indices[p], size))] = x[p]
    return out


@op(
    samples=lambda r: [
        Sample(r(2, 1, 3), np.array([[[0, 2, 3]], [[3, 1, 0]]]), (4,)),
        Sample(r(1, 2, 2), np.array([[[0, 5], [4, 1]]]), (2, 3)),
    ],
    errors=lambda r: [
        ErrorSample(r(1, 2), np.array([[0, 4]]), (4,), error=RuntimeError, match="invalid max index: 4"),
        ErrorSample(r(1, 2), np.array([[0]]), (4,), error=RuntimeError, match="Expected shape of indices"),
        ErrorSample(r(1, 1), np.array([[0.5]]), (4,), error=RuntimeError, match="type int64 but got: float64"),
    ],
    torch="", result=None, promote=(), ref=_unpool_reference, node_name="MaxUnpool",
)  # fmt: skip
def max_unpool(xp, input, indices, /, size):
    """Images of `size`, zero but for every element at its flat position; see `max_unpool2d`."""
    if indices.dtype != np.int64:
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {indices.dtype.name}"
        )
    if indices.shape != input.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got "
            f"indices tensor with shape: {list(indices.shape)}"
        )
    wrong = (indices < 0) | (indices >= product(size))
    if wrong.any():
        raise RuntimeError(
            f"Found an invalid max index: {int(indices[wrong][0])} (output volumes are of size "
            f"{'x'.join(map(str, size))})"
        )
    out = xp.zeros((*input.shape[: input.ndim - len(size)], *size), input.dtype)
    out.reshape(-1)[flat_positions(xp, indices, size)] = input.reshape(-1)
    return out


max_unpool.vjp(input=lambda g, indices, size: pool_gather(g, indices, len(size)))


def _whole_size(input: Any, kernel: Ints, stride: Ints, padding: Ints, output_size: Any) -> Ints:
    """The size of what was pooled: the least one, or the one that was asked for."""
    dims = len(kernel)
    least = tuple(
        (n - 1) * s + k - 2 * p
        for n, k, s, p in zip(input.shape[-dims:], kernel, stride, padding, strict=True)
    )
    if output_size is None:
        size = least
    else:
        size = tuple(int(n) for n in output_size)
        size = size[2:] if len(size) == dims + 2 else size
        if len(size) != dims:
            raise ValueError(
                f"output_size should be a sequence containing {dims} or {dims + 2} elements, but it has a "
                f"length of '{len(size)}'"
            )
        for d, (n, m, s) in enumerate(zip(size, least, stride, strict=True)):
            if not m - s < n < m + s:
                raise ValueError(
                    f'invalid output_size "{size}" (dim {d} must be between {m - s} and {m + s})'
                )
    for d, n in enumerate(size):
        if n < 0:
            raise ValueError(
                "max_unpooling: output_size must contain non-negative spatial dimensions, but got "
                f"output_size[{d}]={n}"
            )
    return size


def _max_unpool(dims: int) -> Any:
    name = f"max_unpool{dims}d"

    def max_unpool_of_images(
        input: Any,
        indices: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Any:
        kernel, step = as_window(name, kernel_size, stride, dims)
        _, sides = as_window(name, kernel_size, padding, dims)
        shape = list(input.shape)
        if len(shape) not in (dims + 1, dims + 2):
            raise RuntimeError(
                f"Input to max_unpooling{dims}d should be a {dims + 1}d or {dims + 2}d Tensor, but got a "
                f"tensor with {len(shape)} dimensions."
            )
        if 0 in shape[-dims - 1 :]:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but got {shape}"
            )
        if min(step) <= 0:
            raise RuntimeError(f"strides should be greater than zero, but got stride: {list(step)}")
        return max_unpool(input, indices, _whole_size(input, kernel, step, sides, output_size))

    return documented(
        max_unpool_of_images,
        name,
        f"""What `max_pool{dims}d` took, put back to where it was; zeros elsewhere.

    Args:
        input: (N, C, {_SHAPES[dims]}) or (C, {_SHAPES[dims]}): the largest elements.
        indices: of this shape, int64: their flat positions, as `max_pool{dims}d` returns them.
        kernel_size, stride, padding: those of the pooling.
        output_size: the size of what was pooled, where several sizes give the same; the least one
            unless given.

    Raises:
        ValueError: an output size out of reach.
        RuntimeError: shapes, dtypes or positions that do not fit.

    Source: M. D. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks",
    arXiv:1311.2901, section 2.1.

    >>> import tensorlab as tl
    >>> F = tl.nn.functional
    >>> x = tl.tensor([1.0, 4.0, 3.0, 2.0]).reshape({", ".join(["1"] * dims + ["4"])})
    >>> kernel = {"2" if dims == 1 else (1,) * (dims - 1) + (2,)}
    >>> F.{name}(*F.max_pool{dims}d(x, kernel, return_indices=True), kernel).flatten()
    tensor([0., 4., 3., 0.])
    """,
    )


max_unpool1d, max_unpool2d, max_unpool3d = _max_unpool(1), _max_unpool(2), _max_unpool(3)

# Random steps -----------------------------------------------------------------------------


def _starts(xp: Any, samples: Any, n: int, count: int, kernel: int) -> Any:
    """(N, C, count): where windows start, at steps that differ by one, for samples (N, C) in [0, 1)."""
    if count == 1:
        return xp.full((*samples.shape, 1), n - kernel, np.int64)
    step = samples.dtype.type((n - kernel) / (count - 1))
    at = ((xp.arange(count).astype(samples.dtype) + samples[..., None]) * step).astype(np.int64)
    at = at - (samples[..., None] * step).astype(np.int64)
    at[..., -1] = n - kernel
    return at


def _fractional_reference(x, samples, kernel, count):
    dims = len(kernel)
    whole = x.shape[2:]
    out = np.zeros((*x.shape[:2], *count), x.dtype)
    indices = np.zeros(out.shape, np.int64)
    for n, c in np.ndindex(*x.shape[:2]):
        starts = []
        for d in range(dims):
            u = samples[n, c, dims - 1 - d if dims == 2 else d]
            if count[d] > 1:
                step = np.asarray((whole[d] - kernel[d]) / (count[d] - 1), x.dtype)
                at = [int((i + u) * step) - int(u * step) for i in range(count[d] - 1)]
            else:
                at = []
            starts.append([*at, whole[d] - kernel[d]])
        for p in np.ndindex(*count):
            begin = [s[i] for s, i in zip(starts, p, strict=True)]
            places = itertools.product(
                *(range(b, b + k) for b, k in zip(begin, kernel, strict=True))
            )
            best = max(places, key=lambda w: x[(n, c, *w)])
            out[(n, c, *p)] = x[(n, c, *best)]
            indices[(n, c, *p)] = np.ravel_multi_index(best, whole)
    return out, indices


@op(
    samples=lambda r: [
        Sample(r.distinct(2, 2, 6, 7), r(2, 2, 2, low=0.0, high=1.0), (2, 3), (3, 2)),
        Sample(r.distinct(1, 2, 5, 4, 6), r(1, 2, 3, low=0.0, high=1.0), (2, 1, 2), (3, 4, 1)),
    ],
    torch="", result=None, ref=_fractional_reference,
)  # fmt: skip
def fractional_max_pool_with_indices(xp, input, samples, /, kernel_size, size):
    """The largest element of each window at random steps; see `nn.functional.fractional_max_pool2d`."""
    dims = len(kernel_size)
    whole = input.shape[2:]
    # PyTorch's samples come in the order (x, y) for images, but (t, h, w) for volumes.
    order = [1, 0] if dims == 2 else [0, 1, 2]
    starts = [
        _starts(xp, samples[..., order[d]], whole[d], size[d], kernel_size[d]).reshape(
            *input.shape[:2], *(size[d] if e == d else 1 for e in range(dims))
        )
        for d in range(dims)
    ]
    best = indices = None
    for offsets in itertools.product(*map(range, kernel_size)):
        at: Any = 0
        for start, offset, n in zip(starts, offsets, whole, strict=True):
            at = at * n + start + offset
        value = input.reshape(-1)[flat_positions(xp, at, whole)].reshape(at.shape)
        if best is None:
            best, indices = value, at
        else:
            better = (value > best) | (value != value)  # nan is the largest
            best, indices = xp.where(better, value, best), xp.where(better, at, indices)
    return best, indices


fractional_max_pool_with_indices.vjp(
    input=lambda g, out, input_shape: pool_scatter(g[0], out[1], tuple(input_shape[2:]))
)


def _size_by_ratio(name: str, input: Any, output_size: Any, output_ratio: Any, dims: int) -> Ints:
    if output_size is not None:
        return as_window(name, output_size, None, dims)[0]
    if output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    ratios = output_ratio if isinstance(output_ratio, Sequence) else (output_ratio,) * dims
    if len(ratios) != dims:
        raise ValueError(
            f"{name} requires output_ratio to either be a single Int or tuple of Ints."
        )
    return tuple(int(n * r) for n, r in zip(input.shape[-dims:], ratios, strict=True))


def _fractional(dims: int) -> Any:
    name = f"fractional_max_pool{dims}d"
    axes = ("time", "height", "width")[-dims:]

    def fractional_max_pool(
        input: Any,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> Any:
        shape = list(input.shape)
        if len(shape) not in (dims + 1, dims + 2):
            raise RuntimeError(
                f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got: {shape}"
            )
        kernel, _ = as_window(name, kernel_size, None, dims)
        size = _size_by_ratio(name, input, output_size, output_ratio, dims)
        if 0 in shape[-dims - 1 :]:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but got {shape}"
            )
        for n, k, m, axis in zip(shape[-dims:], kernel, size, axes, strict=True):
            if m + k - 1 + (dims == 3) > n:  # PyTorch's volumes need one element more
                raise RuntimeError(
                    f"{name}(): pool {axis} {k} too large relative to input {axis} {n} for {m} windows"
                )
        images = input if len(shape) == dims + 2 else input.unsqueeze(0)
        samples = _random_samples
        if samples is None:
            samples = rand(*images.shape[:2], dims, dtype=input.dtype, device=input.device)
        _check_samples(name, samples, images, dims)
        values, indices = fractional_max_pool_with_indices(images, samples.detach(), kernel, size)
        if images is not input:
            values, indices = values.squeeze(0), indices.squeeze(0)
        return (values, indices) if return_indices else values

    return documented(
        fractional_max_pool,
        name,
        f"""The largest element of windows whose steps are random: sizes shrink by any factor.

    Args:
        input: (N, C, {_SHAPES[dims]}) or (C, {_SHAPES[dims]}).
        kernel_size: size of the windows, an int or one per dimension.
        output_size: how many windows, an int or one per dimension; or
        output_ratio: how many for each element of the input, between 0 and 1.
        return_indices: whether to return the flat positions in each channel too.
        _random_samples: (N, C, {dims}), from 0 to 1: what the steps follow from; drawn unless given.

    Raises:
        ValueError: neither `output_size` nor `output_ratio`.
        RuntimeError: sizes that do not fit, saying which.

    Source: B. Graham, "Fractional max-pooling", arXiv:1412.6071.

    >>> import tensorlab as tl
    >>> tl.nn.functional.{name}(tl.ones(1, {", ".join(["5"] * dims)}), 2, 3).shape
    tensorlab.Size([1, {", ".join(["3"] * dims)}])
    """,
    )


def _check_samples(name: str, samples: Any, input: Any, dims: int) -> None:
    if samples.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}(): Expect _random_samples to have the same dtype as input, {input.dtype}, but got "
            f"{samples.dtype}"
        )
    if tuple(samples.shape) != (*input.shape[:2], dims):
        raise RuntimeError(
            f"{name}(): Expect _random_samples of shape {[*input.shape[:2], dims]} for input of shape "
            f"{list(input.shape)}, but got {list(samples.shape)}"
        )


fractional_max_pool2d, fractional_max_pool3d = _fractional(2), _fractional(3)
