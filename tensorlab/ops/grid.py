"""Sampling images and volumes at given places, and the places that an affine map gives.

A grid holds, for every element of the result, where in the input it comes from: x, y (and z), with the
input's extent going from −1 to 1. Between the input's elements, those around count by a filter, as in
`interpolation`; beyond its edges, the padding says what there is. M. Jaderberg et al., "Spatial
transformer networks", arXiv:1506.02025.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._autocast import autocasts
from tensorlab._backend import backend_of
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops.compare import where
from tensorlab.ops.from_data import tensor
from tensorlab.ops.index import index

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")

#: Along one dimension: the elements to read, whether they exist, and their weights.
Tap = tuple[Any, Any, Any]


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """The grid of an affine map, for `grid_sample`.

    Args:
        theta: (N, 2, 3) for images, (N, 3, 4) for volumes: maps the result's places (x, y, 1), each
            coordinate from −1 to 1, to those of the input.
        size: of the result: (N, C, H, W) or (N, C, D, H, W).
        align_corners: whether −1 and 1 are the centres of the outermost elements, rather than the
            outer edges; False unless given, with a warning.

    Returns:
        (N, H, W, 2) or (N, D, H, W, 3).

    Raises:
        ValueError: a `theta` that is not floating or does not fit `size`, or a size of zero.
        NotImplementedError: other numbers of dimensions.

    >>> import tensorlab as tl
    >>> same = tl.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> tl.nn.functional.affine_grid(same, (1, 1, 1, 2), align_corners=False)
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    align = _aligned(align_corners)
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    size = [int(n) for n in size]
    if len(size) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
            f"Got size {size}."
        )
    spatial = size[2:]
    dims = len(spatial)
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size {size}. "
            f"Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if theta.shape[0] != size[0]:
        raise RuntimeError(
            f"affine_grid: expected one affine matrix for each of {size[0]} images, but theta has "
            f"{theta.shape[0]}"
        )
    if align and min(spatial) == 1:
        warnings.warn(
            "affine_grid with align_corners=True and a size of 1 is ill-defined: the single place is put "
            "at 0",
            stacklevel=2,
        )
    axes = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in spatial]
    if not align:
        axes = [axis * (n - 1) / n for axis, n in zip(axes, spatial, strict=True)]
    places = np.meshgrid(*axes, indexing="ij")[::-1]  # x, the last dimension, comes first
    rows = np.stack([*places, np.ones(spatial)], -1).reshape(-1, dims + 1)
    base = tensor(rows, dtype=theta.dtype, device=theta.device)
    return (base @ theta.transpose(1, 2)).reshape(size[0], *spatial, dims)


def _aligned(align_corners: bool | None) -> bool:
    if align_corners is None:
        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
            "Please specify align_corners=True if the old behavior is desired. See the documentation of "
            "grid_sample for details.",
            stacklevel=3,
        )
    return bool(align_corners)


@autocasts
def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """The input's values at the places of a grid.

    Args:
        input: (N, C, H, W) or (N, C, D, H, W).
        grid: (N, H', W', 2) or (N, D', H', W', 3): places (x, y[, z]), −1 to 1 in each dimension, x
            along the last one.
        mode: "bilinear" (for volumes too), "nearest" or "bicubic" (images only).
        padding_mode: what is beyond the edges: "zeros", "border" (the outermost elements) or
            "reflection".
        align_corners: whether −1 and 1 are the centres of the outermost elements, rather than the
            outer edges; False unless given, with a warning.

    Returns:
        (N, C, H', W') or (N, C, D', H', W').

    Raises:
        ValueError: an unknown mode or padding.
        RuntimeError: shapes or dtypes that do not fit.
        NotImplementedError: a dtype that is not floating.

    >>> import tensorlab as tl
    >>> x = tl.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> tl.nn.functional.grid_sample(x, tl.zeros(1, 1, 1, 2), align_corners=False)
    tensor([[[[2.5000]]]])
    """
    if mode not in _MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: "
            f"'{mode}'"
        )
    if padding_mode not in _PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', "
            f"but got: '{padding_mode}'"
        )
    align = _aligned(align_corners)
    _check(input, grid, mode)
    size = tuple(input.shape[2:])
    taps = [
        list(_taps(_unnormalised(grid[..., -1 - d], n, align), n, mode, padding_mode, align))
        for d, n in enumerate(size)
    ]
    dims = len(size)
    xp = backend_of(grid._data).xp
    images = xp.arange(input.shape[0]).reshape(-1, *[1] * dims)
    table = input.movedim(1, -1).flatten(0, dims)  # one row of channels for each place
    total: Any = 0
    for combination in itertools.product(*taps):
        rows: Any = images
        there: Any = True
        weight: Any = None
        for (at, exists, w), n in zip(combination, size, strict=True):
            rows, there = rows * n + xp.clip(at, 0, n - 1), there & exists
            weight = w if weight is None else weight * w
        values = where(wrap(there[..., None]), index(table, (rows,)), 0.0)
        total = total + values * weight[..., None]
    return total.movedim(-1, 1).contiguous()


def _check(input: Any, grid: Any, mode: str) -> None:
    shapes = f"got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
    dims = len(input.shape) - 2
    if dims not in (2, 3) or grid.ndim != dims + 2:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            + shapes
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            f"grid_sampler(): expected grid and input to have same batch size, but {shapes}"
        )
    if grid.shape[-1] != dims:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {dims} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    for d, n in enumerate(input.shape[2:], 2):
        if n == 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                f"{list(input.shape)} with dimension {d} being empty"
            )
    if mode == "bicubic" and dims == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if input.dtype is not grid.dtype:
        raise RuntimeError(
            f"grid_sampler(): expected input and grid to have same dtype, but input has {input.dtype} and "
            f"grid has {grid.dtype}"
        )
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"grid_sampler() is not implemented for {input.dtype}: convert to a floating type with .float()"
        )


# Along one dimension ----------------------------------------------------------------------


def _unnormalised(x: Any, n: int, align: bool) -> Any:
    """Coordinates from −1 to 1 as positions among n elements."""
    return (x + 1) / 2 * (n - 1) if align else ((x + 1) * n - 1) / 2


def _taps(x: Any, n: int, mode: str, padding: str, align: bool) -> Any:
    """What to read for places x: one element, two or four."""
    xp = backend_of(x._data).xp
    if mode == "bicubic":
        first = xp.floor(x._data)
        for offset, weight in zip((-1, 0, 1, 2), _cubic(x - wrap(first)), strict=True):
            at, _ = _inside(xp, first + offset, n, padding, align)
            yield *_element(xp, at, n), weight
        return
    value, slope = _inside(xp, x._data, n, padding, align)
    if mode == "nearest":
        flat = xp.zeros_like(value)
        yield *_element(xp, xp.rint(value), n), _bent(x, xp.ones_like(value), flat)
        return
    x = x if padding == "zeros" else _bent(x, value, slope)
    first = xp.floor(value)
    rest = x - wrap(first)
    yield *_element(xp, first, n), 1 - rest
    yield *_element(xp, first + 1, n), rest


def _element(xp: Any, at: Any, n: int) -> tuple[Any, Any]:
    """The elements at whole numbers, and whether there are such elements (nan is none)."""
    exists = (at >= 0) & (at < n)
    return xp.where(exists, at, 0).astype(np.int64), exists


def _bent(x: Any, value: Any, slope: Any) -> Tensor:
    """`value` as a function of x with this derivative, which may be 0 and is constant in between."""
    return where(wrap(slope != 0), (x - x.detach()) * wrap(slope) + wrap(value), wrap(value))


def _inside(xp: Any, x: Any, n: int, padding: str, align: bool) -> tuple[Any, Any]:
    """Where a place beyond the edges takes its value from, and the derivative of that by the place."""
    slope = xp.ones_like(x)
    if padding == "zeros":
        return x, slope
    if padding == "reflection":
        low, span = (0, n - 1) if align else (-0.5, n)
        if span == 0:
            return xp.zeros_like(x), xp.zeros_like(x)
        distance = xp.abs(x - low)
        odd = xp.floor(distance / span) % 2 == 1
        rest = xp.fmod(distance, span)
        slope = xp.where((x < low) ^ odd, -slope, slope)
        x = xp.where(odd, span - rest, rest) + low
    slope = xp.where((x > 0) & (x < n - 1), slope, 0)
    return xp.where(x > 0, xp.minimum(x, n - 1), 0).astype(slope.dtype), slope  # nan becomes 0


def _cubic(t: Any) -> list[Any]:
    """The weights of the four elements around, `t` behind the second: R. Keys' filter with a = −¾."""
    a = -0.75

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]
