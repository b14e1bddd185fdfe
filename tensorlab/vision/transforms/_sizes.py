"""Other sizes: scaling, cutting out, adding a border, turning over."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._tensor import wrap
from tensorlab.nn import functional as F
from tensorlab.vision._pillow import pillow
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

__all__ = [
    "center_crop",
    "crop",
    "five_crop",
    "hflip",
    "pad",
    "resize",
    "resized_crop",
    "ten_crop",
    "vflip",
]

_PADDING = ("constant", "edge", "reflect", "symmetric")
_TENSOR_MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")


def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image scaled to another size.

    Args:
        img: a PIL image or a tensor `(..., C, H, W)`.
        size: `(height, width)`, or one number for the shorter side, which keeps the proportions.
        interpolation: how the colour between pixels is found.
        max_size: with one number, the longest that the longer side may become.
        antialias: average over all pixels that one of the result covers. PIL images always are.

    Raises:
        TypeError: `img`, `size` or `interpolation` is of another type.
        ValueError: `size` has more than two numbers, `max_size` does not fit it, or a tensor is to
            be scaled with a filter that only Pillow has.

    >>> import tensorlab
    >>> from tensorlab.vision.transforms.functional import resize
    >>> resize(tensorlab.zeros(3, 40, 60), 20).shape
    tensorlab.Size([3, 20, 30])
    """
    interpolation = as_interpolation(interpolation)
    is_tensor = check_image(img)
    _, height, width = get_dimensions(img)
    new = _scaled_size((height, width), size, max_size)
    if new == (height, width):
        return img
    if not is_tensor:
        return img.resize(new[::-1], pillow_filter(interpolation))
    mode = interpolation.value
    if mode not in _TENSOR_MODES:
        raise ValueError(f"tensors are scaled with {', '.join(_TENSOR_MODES)}, not with {mode}")
    smooth = mode in ("bilinear", "bicubic")
    batch = as_float(img).reshape(-1, 1 if img.ndim == 2 else img.shape[-3], height, width)
    out = F.interpolate(
        batch,
        size=new,
        mode=mode,
        align_corners=False if smooth else None,
        antialias=bool(antialias) and smooth,
    )
    out = out.reshape(*img.shape[:-2], *new)
    if mode == "bicubic" and not img.is_floating_point():
        out = out.clamp(0, 255)  # the curve overshoots
    return as_kind(out, img.dtype)


def _scaled_size(old: tuple[int, int], size: Any, max_size: int | None) -> tuple[int, int]:
    """Height and width after `resize`."""
    if not isinstance(size, (int, Sequence)):
        raise TypeError(f"Size should be int or sequence. Got {type(size)}")
    wanted = [size] if isinstance(size, int) else list(size)
    if len(wanted) not in (1, 2):
        raise ValueError(
            f"Size must be an int or a 1 or 2 element tuple/list, not a {len(wanted)} element tuple/list"
        )
    if len(wanted) == 2:
        if max_size is not None:
            raise ValueError(
                "max_size should only be passed if size specifies the length of the smaller edge, "
                "i.e. size should be an int or a sequence of length 1"
            )
        return int(wanted[0]), int(wanted[1])
    short, long = sorted(old)
    new_short, new_long = int(wanted[0]), int(wanted[0] * long / short)
    if max_size is not None:
        if max_size <= wanted[0]:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested size for the "
                f"smaller edge size = {size}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_short, new_long) if old[0] <= old[1] else (new_long, new_short)


def _sides(padding: Any) -> list[int]:
    """Left, top, right and bottom of what is given as one, two or four numbers."""
    if not isinstance(padding, (numbers.Number, tuple, list)):
        raise TypeError(f"Got inappropriate padding arg: {type(padding)}")
    given = as_list(padding)
    if len(given) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(given)} element tuple"
        )
    return [int(x) for x in (given * (4 // len(given)))]


def pad(
    img: Any,
    padding: int | Sequence[int],
    fill: Any = 0,
    padding_mode: str = "constant",
) -> Any:
    """The image with a border; negative numbers cut off.

    Args:
        img: a PIL image or a tensor `(..., H, W)`.
        padding: one number for all sides, `(left and right, top and bottom)` or
            `(left, top, right, bottom)`.
        fill: the colour of a constant border: a number, or for PIL images one for each channel.
        padding_mode: "constant", "edge" (the last pixel repeated), "reflect" (mirrored at the last
            pixel) or "symmetric" (mirrored with it).

    Raises:
        TypeError: an argument is of another type.
        ValueError: `padding` has another length, the mode is unknown, or the border is wider than
            what it mirrors.
    """
    is_tensor = check_image(img)
    left, top, right, bottom = _sides(padding)
    if not isinstance(fill, (numbers.Number, tuple, list, type(None))):
        raise TypeError(f"Got inappropriate fill arg: {type(fill)}")
    if not isinstance(padding_mode, str):
        raise TypeError(f"Got inappropriate padding_mode arg: {type(padding_mode)}")
    if padding_mode not in _PADDING:
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    _, height, width = get_dimensions(img)
    if padding_mode == "constant":
        if is_tensor:
            value = _single(fill)
            return F.pad(img, [left, right, top, bottom], value=value)
        size = (width + left + right, height + top + bottom)
        return _on_canvas(img, size, (left, top), fill)
    rows = _border(height, top, bottom, padding_mode)
    columns = _border(width, left, right, padding_mode)
    if is_tensor:
        return img[..., wrap(rows)[:, None], wrap(columns)]
    pixels = np.asarray(img)[rows[:, None], columns]
    if img.mode == "1":  # one bit per pixel, eight to a byte
        return pillow().fromarray(pixels)
    out = pillow().frombytes(img.mode, (len(columns), len(rows)), pixels.tobytes())
    if img.mode == "P":
        out.putpalette(img.getpalette())
    return out


def _single(fill: Any) -> float:
    if isinstance(fill, (tuple, list)):
        if len(fill) != 1:
            raise TypeError(
                f"the border of a tensor is filled with one number, got {len(fill)}: {fill}"
            )
        fill = fill[0]
    return 0.0 if fill is None else float(fill)


def _on_canvas(img: Any, size: tuple[int, int], place: tuple[int, int], fill: Any) -> Any:
    """A new PIL image of one colour with this one on it."""
    colour = pillow_colour(img, fill)
    canvas = pillow().new(img.mode, size, colour)
    if img.mode == "P":
        canvas.putpalette(img.getpalette())
    canvas.paste(img, place)
    return canvas


def pillow_colour(img: Any, fill: Any) -> Any:
    """A colour as Pillow wants it: a number for one channel, else a tuple."""
    bands = len(img.getbands())
    number = float if img.mode == "F" else int
    if fill is None:
        fill = 0
    if not isinstance(fill, (tuple, list)):
        return number(fill) if bands == 1 else (int(fill),) * bands
    if len(fill) not in (1, bands):
        raise ValueError(
            "The number of elements in 'fill' does not match the number of channels of the image "
            f"({len(fill)} != {bands})"
        )
    values = tuple(number(x) for x in fill)
    return values[0] if bands == 1 else values * (bands // len(values))


def _border(count: int, before: int, after: int, mode: str) -> np.ndarray:
    """Which of `count` pixels stand where, with `before` and `after` more (or less)."""
    index = np.arange(count)
    index = index[max(-before, 0) : count - max(-after, 0)]
    wide = (max(before, 0), max(after, 0))
    limit = len(index) - (1 if mode == "reflect" else 0)
    if mode != "edge" and max(wide) > limit:
        raise ValueError(
            f"a border of {max(wide)} pixels can't mirror {limit}: use a smaller one, or "
            "padding_mode='edge'"
        )
    return np.pad(index, wide, mode=mode)  # type: ignore[call-overload]


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part of the image from row `top` and column `left`; what is outside of it is black."""
    if not check_image(img):
        return img.crop((left, top, left + width, top + height))
    _, h, w = get_dimensions(img)
    right, bottom = left + width, top + height
    inside = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left < 0 or top < 0 or right > w or bottom > h:
        sides = [
            min(max(-left, 0), width),
            max(right - max(w, left), 0),
            min(max(-top, 0), height),
            max(bottom - max(h, top), 0),
        ]
        return F.pad(inside, sides)
    return inside


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle of the image, `(height, width)` or a square; what is outside of it is black."""
    wanted = as_list(output_size)
    crop_height, crop_width = (int(x) for x in (wanted * 2)[:2])
    _, height, width = get_dimensions(img)
    if crop_width > width or crop_height > height:
        dx, dy = max(crop_width - width, 0), max(crop_height - height, 0)
        img = pad(img, [dx // 2, dy // 2, (dx + 1) // 2, (dy + 1) // 2])
        _, height, width = get_dimensions(img)
        if (crop_width, crop_height) == (width, height):
            return img
    top = round((height - crop_height) / 2.0)
    left = round((width - crop_width) / 2.0)
    return crop(img, top, left, crop_height, crop_width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A part of the image, as `crop` cuts it out, scaled as `resize` does."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def hflip(img: Any) -> Any:
    """The image with left and right exchanged."""
    return img.flip(-1) if check_image(img) else img.transpose(0)


def vflip(img: Any) -> Any:
    """The image upside down."""
    return img.flip(-2) if check_image(img) else img.transpose(1)


def _pair(size: Any) -> tuple[int, int]:
    wanted = as_list(size)
    if len(wanted) not in (1, 2):
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    return int(wanted[0]), int(wanted[-1])


def five_crop(img: Any, size: int | Sequence[int]) -> tuple[Any, Any, Any, Any, Any]:
    """The four corners and the middle: top left, top right, bottom left, bottom right, centre.

    Raises `ValueError` if the image is smaller than `size`, `(height, width)`.
    """
    h, w = _pair(size)
    _, height, width = get_dimensions(img)
    if w > width or h > height:
        raise ValueError(
            f"Requested crop size {(h, w)} is bigger than input size {(height, width)}"
        )
    corners = [(0, 0), (0, width - w), (height - h, 0), (height - h, width - w)]
    a, b, c, d = (crop(img, top, left, h, w) for top, left in corners)
    return a, b, c, d, center_crop(img, [h, w])


def ten_crop(img: Any, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image (or the one upside down)."""
    h, w = _pair(size)
    other = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, [h, w]) + five_crop(other, [h, w])
