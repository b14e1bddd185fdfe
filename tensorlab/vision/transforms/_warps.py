"""Turning, moving, shearing and other maps of the plane."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._tensor import Tensor, wrap
from tensorlab.nn import functional as F
from tensorlab.ops.creation import ones
from tensorlab.ops.from_data import tensor
from tensorlab.ops.joining import cat
from tensorlab.vision.transforms._images import (
    InterpolationMode,
    as_float,
    as_interpolation,
    as_kind,
    as_list,
    check_image,
    get_dimensions,
    pillow_filter,
)
from tensorlab.vision.transforms._sizes import pillow_colour

__all__ = ["affine", "perspective", "rotate"]

_MODES = ("nearest", "bilinear")


def rotate(
    img: Any,
    angle: float,
    interpolation: InterpolationMode = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Any = None,
) -> Any:
    """The image turned counter-clockwise.

    Args:
        img: a PIL image or a tensor `(..., C, H, W)`.
        angle: degrees.
        interpolation: nearest or bilinear, for PIL images also bicubic.
        expand: make the result large enough for all of the turned image.
        center: the point to turn about, `(x, y)` from the top left corner; the middle by default.
        fill: the colour of what comes from outside: a number, or one for each channel.

    Raises:
        TypeError: an argument is of another type.
        ValueError: `center` has not two numbers, or `fill` not one for each channel.
    """
    interpolation = as_interpolation(interpolation)
    if not isinstance(angle, numbers.Number):
        raise TypeError("Argument angle should be float or int")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    if not check_image(img):
        return img.rotate(
            angle, pillow_filter(interpolation), expand, center, fillcolor=pillow_colour(img, fill)
        )
    _, height, width = get_dimensions(img)
    matrix = _inverse(_from_middle(center, height, width), -angle, (0, 0), 1.0, (0, 0))
    size = _covering(matrix, height, width) if expand else (height, width)
    return _sample(img, _pulled(matrix, size), interpolation, fill)


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Sequence[float] | None = None,
) -> Any:
    """The image sheared, scaled, turned clockwise and moved, in this order.

    Args:
        img: a PIL image or a tensor `(..., C, H, W)`.
        angle: degrees.
        translate: pixels to the right and down.
        scale: a factor greater than 0.
        shear: degrees along x, or along x and y.
        interpolation: nearest or bilinear, for PIL images also bicubic.
        fill: the colour of what comes from outside: a number, or one for each channel.
        center: the point that stays, `(x, y)` from the top left corner; the middle by default.

    Raises:
        TypeError: an argument is of another type.
        ValueError: `scale` is not positive, or a sequence has not two numbers.
    """
    interpolation = as_interpolation(interpolation)
    if not isinstance(angle, numbers.Number):
        raise TypeError("Argument angle should be int or float")
    for name, value in (("translate", translate), ("center", center)):
        if not isinstance(value, (list, tuple)) and not (name == "center" and value is None):
            raise TypeError(f"Argument {name} should be a sequence")
    if not isinstance(shear, (numbers.Number, list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    shears = as_list(shear)
    shears = [*shears, 0.0] if len(shears) == 1 else shears
    if len(shears) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    _, height, width = get_dimensions(img)
    middle = _from_middle(center, height, width)
    if check_image(img):
        matrix = _inverse(middle, angle, translate, scale, shears)
        return _sample(img, _pulled(matrix, (height, width)), interpolation, fill)
    # Pillow counts from the corner.
    corner = (middle[0] + width * 0.5, middle[1] + height * 0.5)
    matrix = _inverse(corner, angle, translate, scale, shears)
    return img.transform(
        (width, height),
        0,
        tuple(matrix[:2].ravel()),
        pillow_filter(interpolation),
        fillcolor=pillow_colour(img, fill),
    )


def perspective(
    img: Any,
    startpoints: Sequence[Sequence[int]],
    endpoints: Sequence[Sequence[int]],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """The image as seen from elsewhere: four points of it come to four other places.

    Args:
        img: a PIL image or a tensor `(..., C, H, W)`.
        startpoints, endpoints: four points `(x, y)`: of the image, and where they go.
        interpolation: nearest or bilinear, for PIL images also bicubic.
        fill: the colour of what comes from outside: a number, or one for each channel.

    Raises:
        TypeError: `img` or `interpolation` is of another type.
        ValueError: there are not four points, or three of them on a line.
    """
    interpolation = as_interpolation(interpolation)
    is_tensor = check_image(img)
    coefficients = _projection(startpoints, endpoints)
    _, height, width = get_dimensions(img)
    if not is_tensor:
        return img.transform(
            (width, height),
            2,
            tuple(coefficients),
            pillow_filter(interpolation),
            fillcolor=pillow_colour(img, fill),
        )
    matrix = np.append(coefficients, 1.0).reshape(3, 3)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    source = np.stack([x, y, np.ones_like(x)], -1) @ matrix.T
    points = source[..., :2] / source[..., 2:] - np.array([width, height]) * 0.5
    return _sample(img, points, interpolation, fill)


def _projection(startpoints: Any, endpoints: Any) -> np.ndarray:
    """The eight numbers a … h of (ax + by + c, dx + ey + f) / (gx + hy + 1), from end to start."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"expected four points and where they go, got {len(startpoints)} and {len(endpoints)}"
        )
    rows, values = [], []
    for (u, v), (x, y) in zip(startpoints, endpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        values += [u, v]
    try:
        return np.linalg.solve(np.array(rows, float), np.array(values, float))
    except np.linalg.LinAlgError:
        raise ValueError("three of the points lie on a line: no perspective does that") from None


def _from_middle(center: Any, height: int, width: int) -> tuple[float, float]:
    """A point counted from the middle of the image."""
    if center is None:
        return 0.0, 0.0
    if len(center) != 2:
        raise ValueError(f"center should be two numbers, got {center}")
    return center[0] - width * 0.5, center[1] - height * 0.5


def _inverse(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> np.ndarray:
    """Where each point of the result comes from, as a matrix `(3, 3)`.

    The map itself is move · move center back · turn · scale · shear y · shear x · move center to 0.
    """
    turn, x, y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    turned = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    sheared = np.array([[1, 0], [-math.tan(y), 1]]) @ np.array([[1, -math.tan(x)], [0, 1]])
    linear = scale * turned @ sheared
    back = np.linalg.inv(linear)
    matrix = np.eye(3)
    matrix[:2, :2] = back
    matrix[:2, 2] = np.array(center) - back @ (np.array(center) + np.array(translate))
    return matrix


def _covering(matrix: np.ndarray, height: int, width: int) -> tuple[int, int]:
    """The size that holds all of the image after the map that `matrix` turns back."""
    corners = np.array([[-width, -height], [-width, height], [width, height], [width, -height]])
    moved = corners * 0.5 @ np.linalg.inv(matrix[:2, :2]).T + np.array([width, height]) * 0.5
    # A corner that is on a pixel's edge but for rounding is on the edge.
    low, high = (np.round(x, 4) for x in (moved.min(0), moved.max(0)))
    size = np.ceil(high) - np.floor(low)
    return int(size[1]), int(size[0])


def _pulled(matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """For each pixel of the result, where it comes from, in pixels from the middle: `(H, W, 2)`."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    from_middle = np.stack([x + 0.5 - width * 0.5, y + 0.5 - height * 0.5], -1)
    return from_middle @ matrix[:2, :2].T + matrix[:2, 2]


def _sample(img: Tensor, points: np.ndarray, mode: InterpolationMode, fill: Any) -> Tensor:
    """The image at these points, `(H, W, 2)` in pixels from its middle."""
    if mode.value not in _MODES:
        raise ValueError(f"tensors are mapped with {' or '.join(_MODES)}, not with {mode.value}")
    channels, height, width = get_dimensions(img)
    colour = _colour(img, fill, channels)
    batch = as_float(img).reshape(-1, channels, height, width)
    scaled = wrap(points / (np.array([width, height]) * 0.5))
    grid = scaled.to(img.device, batch.dtype).expand(len(batch), *scaled.shape)
    if colour is not None:  # a channel that says how much of a pixel comes from inside
        inside = ones((len(batch), 1, height, width), dtype=batch.dtype, device=img.device)
        batch = cat([batch, inside], 1)
    out = F.grid_sample(batch, grid, mode=mode.value, padding_mode="zeros", align_corners=False)
    if colour is not None:
        inside = out[:, -1:]
        if mode is InterpolationMode.NEAREST:
            inside = (inside >= 0.5).to(out.dtype)
        # At the edge, where a pixel is partly inside, this darkens it twice: torchvision's way.
        out = out[:, :-1] * inside + (1.0 - inside) * colour
    return as_kind(out.reshape(*img.shape[:-2], *points.shape[:2]), img.dtype)


def _colour(img: Tensor, fill: Any, channels: int) -> Tensor | None:
    """The fill colour as `(1, C, 1, 1)`, or None for black."""
    if fill is None:
        return None
    values = list(fill) if isinstance(fill, (list, tuple)) else [fill]
    if len(values) not in (1, channels):
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of "
            f"the image ({len(values)} != {channels})"
        )
    colour = tensor([float(v) for v in values], dtype=as_float(img).dtype, device=img.device)
    return colour.reshape(1, -1, 1, 1)
