"""Images, signals and volumes at another size: nearest, linear, cubic, with and without anti-aliasing.

Along each dimension, where element o of the result lies among the input's elements 0 … n − 1 is

    (o + ½) · scale − ½                  with scale = n / size (pixels are squares that cover the same extent)
    o · (n − 1) / (size − 1)             with `align_corners` (pixels are points, the outermost ones coincide)

and a filter around this place says which elements count how much. Dimensions are resampled one after
another: bilinear and bicubic filters are products of filters of one dimension. The cubic filter is that of
R. Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = −¾, or −½ when it
guards against aliasing, as in Pillow; that guard widens a filter when an image shrinks, so that every
pixel of it counts.
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab.ops.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from tensorlab.ops.resample import Table, along

#: The modes, and of how many spatial dimensions (None for any).
MODES = {
    "nearest": None, "nearest-exact": None, "area": None, "linear": 1, "bilinear": 2, "trilinear": 3,
    "bicubic": 2, "lanczos": 2,
}  # fmt: skip
_LINEAR = ("linear", "bilinear", "trilinear")
_GUARDED = ("bilinear", "bicubic", "lanczos")
_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
_AXES = {1: "W", 2: "HW", 3: "DHW"}

# Filters: the weight of an element by its distance ---------------------------------------


def _triangle(x: Any) -> Any:
    return np.maximum(1 - np.abs(x), 0)


def _cubic(x: Any, a: float) -> Any:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x: Any) -> Any:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


#: For each mode with a guard against aliasing: its filter, and how far that reaches.
_FILTERS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "bilinear": (_triangle, 1),
    "bicubic": (lambda x: _cubic(x, -0.5), 2),
    "lanczos": (_lanczos, 3),
}

# Tables: which elements, with which weights ----------------------------------------------


@functools.lru_cache(maxsize=256)
def table(
    mode: str, n: int, size: int, factor: float | None, align_corners: bool, antialias: bool, kind: str
) -> Table:  # fmt: skip
    """The table that makes `size` elements of `n`.

    Positions are computed in the floating-point type `kind`, since where they round to decides on the
    elements: a table made for float64 is not always the one of float32.
    """
    real = np.dtype(kind).type
    if align_corners:
        scale = real(n - 1) / real(size - 1) if size > 1 else real(0)
    else:
        scale = real(1.0 / factor) if factor is not None and factor > 0 else real(n) / real(size)
    places = np.arange(size).astype(kind)
    if mode in ("nearest", "nearest-exact"):
        shift = real(0.5 if mode == "nearest-exact" else 0)
        return np.minimum(((places + shift) * scale).astype(int), n - 1)[:, None], np.ones(
            (size, 1)
        )
    if antialias:
        return _guarded(mode, n, places, scale)
    at = places * scale if align_corners else (places + real(0.5)) * scale - real(0.5)
    if mode != "bicubic":
        at = np.maximum(at, 0)
    first = np.minimum(np.floor(at).astype(int), n - 1)
    rest = np.clip(at - first, 0, 1)
    if mode != "bicubic":
        second = np.minimum(first + 1, n - 1)
        return np.stack([first, second], 1), np.stack([1 - rest, rest], 1)
    offsets = np.arange(-1, 3)
    weights = _cubic(rest[:, None] - offsets.astype(kind), real(-0.75))
    return np.clip(first[:, None] + offsets, 0, n - 1), weights


def _guarded(mode: str, n: int, places: np.ndarray, scale: Any) -> Table:
    """A filter as wide as a pixel of the result, its weights made to add up to 1 at the edges too."""
    weigh, reach = _FILTERS[mode]
    stretch = max(scale, type(scale)(1))
    centre = (places + type(scale)(0.5)) * scale
    low = np.maximum((centre - reach * stretch + 0.5).astype(int), 0)
    high = np.minimum((centre + reach * stretch + 0.5).astype(int), n)
    sources = low[:, None] + np.arange((high - low).max())
    there = sources < high[:, None]
    weights = weigh((sources - centre[:, None] + 0.5) / stretch) * there
    return np.where(there, sources, -1), weights / weights.sum(1, keepdims=True)


# The function ----------------------------------------------------------------------------


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """A signal, image or volume made larger or smaller.

    Args:
        input: (N, C, W), (N, C, H, W) or (N, C, D, H, W).
        size: sizes of the result's spatial dimensions, one int or one per dimension; or
        scale_factor: how many times as large they shall be, rounded down.
        mode: "nearest" (the element that a place falls on; it is half a pixel off where
            "nearest-exact" is not), "linear", "bilinear" or "trilinear" (for 1, 2 or 3 spatial
            dimensions), "bicubic" or "lanczos" (2), "area" (averages: `adaptive_avg_pool`).
        align_corners: for linear and cubic modes, whether the outermost elements' centres keep their
            places, instead of the whole extent; False unless given.
        recompute_scale_factor: whether places follow from the sizes, rounded as they are, rather than
            from `scale_factor`.
        antialias: for "bilinear" and "bicubic", whether a smaller image is smoothed first, so that no
            pixel of the larger one is left out; "lanczos" needs it.

    Raises:
        ValueError: not exactly one of `size` and `scale_factor`, a wrong number of them, or options that
            the mode does not have.
        NotImplementedError: a mode for another number of dimensions, or a dtype that is not floating.
        RuntimeError: sizes of zero or less.

    >>> import tensorlab as tl
    >>> tl.nn.functional.interpolate(tl.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    >>> tl.nn.functional.interpolate(tl.tensor([[[1.0, 2.0]]]), 4, mode="linear")
    tensor([[[1.0000, 1.2500, 1.7500, 2.0000]]])
    """
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | "
            "bicubic | trilinear"
        )
    dims = len(input.shape) - 2
    sizes, factors = _sizes(input, size, scale_factor, dims, bool(recompute_scale_factor))
    if antialias and not (mode in _GUARDED and dims == 2):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D "
            f"tensor as input, but got mode {mode} and a {dims + 2}-D tensor"
        )
    _check_mode(mode, dims, align_corners, antialias)
    if mode == "area":
        _check_dtype(input, mode)
        return _AREA[dims](input, sizes)
    _check_sizes(input, sizes, dims)
    _check_dtype(input, mode)
    kind = "float64" if input.dtype is _dtypes.float64 and "nearest" not in mode else "float32"
    # As in PyTorch, a guarded filter leaves a dimension of the same size alone.
    tables: list[Table | None] = [
        None
        if antialias and n == m
        else table(mode, n, m, _kept(f, mode, dims, n, m), bool(align_corners), antialias, kind)
        for n, m, f in zip(input.shape[2:], sizes, factors, strict=True)
    ]
    axes = tuple(range(2, 2 + dims))
    if mode.startswith("nearest") or input.dtype.itemsize > 2:
        out = along(input, axes, tables)
        return out.clone() if out is input else out
    # Half precision is computed in float32 and rounded once; bytes are rounded at every step.
    x = input.to(_dtypes.float32)
    if input.dtype is _dtypes.uint8:
        for axis, t in reversed(list(zip(axes, tables, strict=True))):
            x = along(x, (axis,), [t]).round().clamp(0, 255)
    else:
        x = along(x, axes, tables)
    return x.to(input.dtype)


def _kept(factor: float | None, mode: str, dims: int, n: int, size: int) -> float | None:
    """The factor that places follow from; like PyTorch's, some modes leave it for the sizes in some cases."""
    as_sized = (mode in _LINEAR and size == n) or (
        mode == "nearest" and dims == 2 and size in (n, 2 * n)
    )
    return None if as_sized else factor


def _sizes(
    input: Any, size: Any, scale_factor: Any, dims: int, recompute: bool
) -> tuple[tuple[int, ...], list[float | None]]:
    """The sizes of the result, and the factors that its places follow from (None: from the sizes)."""
    if (size is None) == (scale_factor is None):
        given = (
            "either size or scale_factor" if size is None else "only one of size or scale_factor"
        )
        raise ValueError(f"{given} should be defined")
    name, value = ("size", size) if scale_factor is None else ("scale_factor", scale_factor)
    values: list[Any] = (
        list(value)
        if isinstance(value, Sequence) and not isinstance(value, str)
        else [value] * dims
    )
    if len(values) != dims:
        raise ValueError(
            f"Input and {'output' if size is not None else name} must have the same number of spatial "
            f"dimensions, but got input with spatial dimensions of {list(input.shape[2:])} and {name} of "
            f"{value}. Give one number, or one for each of the dimensions after (N, C)"
        )
    if scale_factor is None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        try:
            return tuple(operator.index(v) for v in values), [None] * dims
        except TypeError:
            raise TypeError(
                "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], "
                f"but got size with types {[type(v) for v in values]}"
            ) from None
    if not all(isinstance(v, (int, float, np.number)) for v in values):
        raise TypeError(
            f"expected scale_factor to be one number or one per dimension, but got {value!r}"
        )
    found = tuple(int(n * float(v)) for n, v in zip(input.shape[2:], values, strict=True))
    return found, [None if recompute else float(v) for v in values]


def _check_mode(mode: str, dims: int, align_corners: bool | None, antialias: bool) -> None:
    wanted = MODES.get(mode, dims)
    if mode not in MODES or dims not in (1, 2, 3):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {dims + 2}D) for the modes: "
            f"{' | '.join(MODES)} (got {mode})"
        )
    if wanted not in (None, dims):
        raise NotImplementedError(
            f"Got {dims + 2}D input, but {mode} mode needs {wanted + 2}D input"
        )
    if mode == "lanczos" and align_corners:
        raise ValueError("Lanczos mode does not support align_corners=True")
    if mode == "lanczos" and not antialias:
        raise ValueError("Lanczos mode requires antialias=True")


def _check_sizes(input: Any, sizes: tuple[int, ...], dims: int) -> None:
    if min(*input.shape[2:], *sizes) <= 0:
        before, after = (
            ", ".join(f"{a}: {n}" for a, n in zip(_AXES[dims], of, strict=True))
            for of in (input.shape[2:], sizes)
        )
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({before}) and output ({after})"
        )
    if input.shape[1] == 0:
        raise RuntimeError(
            f"Non-empty {dims + 2}D data tensor expected but got a tensor with sizes {list(input.shape)}"
        )


def _check_dtype(input: Any, mode: str) -> None:
    bytes_too = mode.startswith("nearest") or mode in _GUARDED
    if not input.dtype.is_floating_point and not (bytes_too and input.dtype is _dtypes.uint8):
        raise NotImplementedError(
            f"interpolate() in mode {mode} is not implemented for {input.dtype}: convert to a floating "
            "type with .float()"
        )


# The names before `interpolate` ----------------------------------------------------------


def _deprecated(name: str, instead: str = "interpolate") -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.{instead}` instead.",
        stacklevel=3,
    )


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """Deprecated: `interpolate`."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Deprecated: `interpolate` with mode "nearest"."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Deprecated: `interpolate` with mode "bilinear" and `align_corners=True`."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
