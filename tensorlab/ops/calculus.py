"""Numerical calculus on samples: slopes by differences, running integrals, histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab import return_types
from tensorlab._backend import backend_of
from tensorlab._dtypes import from_numpy_dtype
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops._dims import as_dim
from tensorlab.ops._out import with_out
from tensorlab.ops.cutting import narrow
from tensorlab.ops.joining import cat
from tensorlab.ops.scan import cumsum, diff


def gradient(
    input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Any, ...]:
    """The slopes of sampled values along each dimension, by second-order central differences.

    spacing: a number, one per dimension, or for each dimension a vector of the samples' coordinates.
    dim: one dimension or several; all unless given. edge_order: 1 or 2, of the one-sided differences
    at both ends. Returns a tuple with one tensor per dimension.

    Source: A. Quarteroni, R. Sacco, F. Saleri, Numerical Mathematics, section 10.10.

    >>> import tensorlab as tl
    >>> tl.gradient(tl.tensor([1., 4., 9.]))
    (tensor([3., 4., 5.]),)
    """
    if edge_order not in (1, 2):
        raise RuntimeError(
            f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}"
        )
    ndim = len(input.shape)
    dims = range(ndim) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    dims = [as_dim("gradient", d, ndim) for d in dims]
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"dim {dims} appears multiple times in the list of dims")
    if isinstance(spacing, (int, float)):
        steps: list[Any] = [spacing] * len(dims)
    elif isinstance(spacing, Sequence):
        steps = list(spacing)
        if len(steps) != len(dims):
            raise RuntimeError(
                f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to "
                f"'dims' ({len(dims)}), but got a list of length {len(steps)}"
            )
    else:
        raise TypeError(f"spacing must be a number or a sequence, not {type(spacing).__name__}")
    for d in dims:
        if input.shape[d] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1, got size "
                f"{input.shape[d]} in dimension {d}"
            )
    return tuple(_slopes(input, d, h, edge_order) for d, h in zip(dims, steps, strict=True))


def _slopes(x: Any, dim: int, spacing: Any, edge_order: int) -> Any:
    n = x.shape[dim]

    def at(i: int, length: int = 1) -> Any:
        return narrow(x, dim, i, length)

    even = not isinstance(spacing, Tensor)
    if even:
        before = after = first = last = second = second_last = spacing
        middle = (at(2, n - 2) - at(0, n - 2)) / (2 * spacing) if n > 2 else None
    else:
        shape = [1] * len(x.shape)
        shape[dim] = n - 1
        h = diff(spacing).reshape(shape)
        before, after = narrow(h, dim, 0, n - 2), narrow(h, dim, 1, n - 2)
        first, last = narrow(h, dim, 0, 1), narrow(h, dim, n - 2, 1)
        second, second_last = narrow(h, dim, min(1, n - 2), 1), narrow(h, dim, max(n - 3, 0), 1)
        # Through three points at unequal distances: the derivative of their parabola in the middle.
        middle = None
        if n > 2:
            middle = (
                at(0, n - 2) * (-after / (before * (before + after)))
                + at(1, n - 2) * ((after - before) / (before * after))
                + at(2, n - 2) * (before / (after * (before + after)))
            )
    if edge_order == 1:
        left = (at(1) - at(0)) / first
        right = (at(n - 1) - at(n - 2)) / last
    else:
        left = _parabola_edge(at(0), at(1), at(2), first, second)
        right = -_parabola_edge(at(n - 1), at(n - 2), at(n - 3), last, second_last)
    return cat([left, *([middle] if middle is not None else []), right], dim)


def _parabola_edge(end: Any, near: Any, far: Any, step: Any, next_step: Any) -> Any:
    """The slope at the first of three points, of the parabola through them."""
    both = step + next_step
    return (
        end * (-(step + both) / (step * both))
        + near * (both / (step * next_step))
        + far * (-step / (next_step * both))
    )


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """The running integral along `dim` by the trapezoidal rule, over points `x` or steps of `dx`.

    One element shorter than `y` along `dim`.

    >>> import tensorlab as tl
    >>> tl.cumulative_trapezoid(tl.tensor([1., 2., 3.]))
    tensor([1.5000, 4.0000])
    """
    dim = as_dim("cumulative_trapezoid", dim, len(y.shape))
    n = y.shape[dim]
    pairs = narrow(y, dim, min(1, n), max(n - 1, 0)) + narrow(y, dim, 0, max(n - 1, 0))
    if x is None:
        return cumsum(pairs, dim) * (dx / 2.0)
    if len(x.shape) == 1:
        shape = [1] * len(y.shape)
        shape[dim] = x.shape[0]
        x = x.reshape(shape)
    return cumsum(pairs * diff(x, dim=dim), dim) / 2.0


@with_out
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """How many elements (or how much weight) fall into each bin; a named tuple of `hist` and `bin_edges`.

    bins: how many bins of equal width, over `range` (the elements' own unless given), or a tensor of
        ascending edges. The last bin includes its right edge. density: divide by the total and the
        bins' widths, which gives a probability density.

    >>> import tensorlab as tl
    >>> tl.histogram(tl.tensor([1., 2., 1.]), bins=4, range=(0., 3.)).hist
    tensor([0., 2., 1., 0.])
    """
    array = input._data
    xp = backend_of(array).xp
    if array.dtype.kind != "f" or array.dtype.itemsize < 4:
        raise NotImplementedError(
            f"histogram() is not implemented for {from_numpy_dtype(array.dtype)}: convert with .float()"
        )
    values = array.reshape(-1)
    if isinstance(bins, Tensor):
        if range is not None:
            raise TypeError("histogram() got edges in `bins`, so it takes no `range`")
        if bins._data.dtype != array.dtype:
            raise RuntimeError(
                f"torch.histogram: input tensor and bins tensor should have same dtype, but got {input.dtype} and "
                f"{bins.dtype}"
            )
        edges = bins._data
    else:
        edges = xp.linspace(*_limits(values, bins, range), bins + 1).astype(array.dtype)
    counts = None
    if weight is not None:
        if weight.shape != input.shape:
            raise RuntimeError(
                f"torch.histogram: if weight tensor is provided it should have the same shape as the input tensor, "
                f"got {list(weight.shape)} and {list(input.shape)}"
            )
        counts = weight._data.reshape(-1)
    n = edges.shape[0] - 1
    inside = (values >= edges[0]) & (values <= edges[-1])
    place = xp.minimum(xp.searchsorted(edges, values[inside], side="right") - 1, n - 1)
    hist = xp.bincount(place, None if counts is None else counts[inside], n).astype(array.dtype)
    if density:
        hist = hist / (hist.sum() * xp.diff(edges))
    return return_types.histogram(wrap(hist), wrap(edges))


def _limits(values: Any, bins: int, given: Any) -> tuple[float, float]:
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins}")
    if given is not None:
        low, high = map(float, given)
        if not np.isfinite([low, high]).all() or low > high:
            raise RuntimeError(f"torch.histogram: min should not exceed max, got range {given}")
    else:
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


Tensor.histogram = histogram  # type: ignore[attr-defined]
