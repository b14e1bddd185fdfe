"""Showing images: many in one picture, a picture in a file, boxes and masks drawn into it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from tensorlab._dtypes import bool_, uint8
from tensorlab._files import replacing
from tensorlab._tensor import Tensor
from tensorlab.autograd.mode import no_grad
from tensorlab.ops.creation import full
from tensorlab.ops.from_data import tensor
from tensorlab.ops.joining import stack
from tensorlab.vision._pillow import pillow

__all__ = ["draw_bounding_boxes", "draw_segmentation_masks", "make_grid", "save_image"]

Colour = str | tuple[int, ...]


@no_grad()
def make_grid(
    tensor: Tensor | list[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Many images in one: `(B, C, H, W)`, or a list of images of the same size → `(3, H', W')`.

    Args:
        tensor: the images; grey ones, `(B, 1, H, W)` or `(H, W)`, become coloured.
        nrow: how many images stand in a row.
        padding: pixels between them.
        normalize: bring the values into the range from 0 to 1.
        value_range: what becomes 0 and 1; the smallest and the largest value by default.
        scale_each: find those for each image, not for all together.
        pad_value: the colour between the images.

    Raises `TypeError` if it is neither a tensor nor a list of tensors, or `value_range` no tuple.

    >>> import tensorlab
    >>> from tensorlab.vision.utils import make_grid
    >>> make_grid(tensorlab.rand(10, 1, 28, 28), nrow=5).shape
    tensorlab.Size([3, 62, 152])
    """
    images = _batch(tensor)
    if normalize:
        images = _normalized(images, value_range, scale_each)
    if images.size(0) == 1:
        return images.squeeze(0)
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    down, across = height + padding, width + padding
    size = (channels, down * rows + padding, across * columns + padding)
    grid = full(size, pad_value, dtype=images.dtype, device=images.device)
    for k in range(count):
        top = k // columns * down + padding
        left = k % columns * across + padding
        grid[:, top : top + height, left : left + width] = images[k]
    return grid


def _batch(images: Any) -> Tensor:
    """`(B, 3, H, W)` of what `make_grid` is given."""
    if isinstance(images, list):
        for image in images:
            if not isinstance(image, Tensor):
                raise TypeError(f"tensor or list of tensors expected, got a list of {type(image)}")
        images = stack(images, 0)
    if not isinstance(images, Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(images)}")
    if images.ndim not in (2, 3, 4):
        raise ValueError(f"expected images of shape (B, C, H, W), got {tuple(images.shape)}")
    if images.ndim == 2:
        images = images.unsqueeze(0)
    if images.ndim == 3:
        images = images.unsqueeze(0)
    return images.expand(-1, 3, -1, -1) if images.size(1) == 1 else images


def _normalized(
    images: Tensor, value_range: tuple[float, float] | None, scale_each: bool
) -> Tensor:
    if value_range is not None and not isinstance(value_range, tuple):
        raise TypeError(
            "value_range has to be a tuple (min, max) if specified. min and max are numbers"
        )

    def scaled(part: Tensor) -> Tensor:
        low, high = value_range or (float(part.min()), float(part.max()))
        return (part.clamp(low, high) - low) / max(high - low, 1e-5)

    return stack([scaled(image) for image in images.unbind(0)], 0) if scale_each else scaled(images)


@no_grad()
def save_image(
    tensor: Tensor | list[Tensor],
    fp: str | os.PathLike[str] | Any,
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Write an image, or several as a grid, to a file. Values are from 0 to 1.

    Args:
        tensor: one image or several, as for `make_grid`.
        fp: a path, whose file is replaced at once when all is written, or a file open for binary
            writing.
        format: "png", "jpeg" …; by default what the path ends in. A file needs it.
        **kwargs: those of `make_grid`.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: the format is unknown, or left out for a file.
        OSError: the file can't be written.

    >>> import os, tempfile, tensorlab
    >>> from tensorlab.vision.utils import save_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_image(tensorlab.rand(4, 3, 16, 16), os.path.join(folder, "grid.png"), nrow=2)
    ...     os.listdir(folder)
    ['grid.png']
    """
    module = pillow()
    grid = make_grid(tensor, **kwargs)
    # 0.5 is added to round to the nearest.
    pixels = (grid * 255 + 0.5).clamp(0, 255).permute(1, 2, 0).cpu().to(uint8).numpy()
    image = module.fromarray(pixels)
    if not isinstance(fp, (str, os.PathLike)):
        image.save(fp, format=format)
        return
    if format is None:
        ending = os.path.splitext(os.fspath(fp))[1].lower()
        module.init()
        if ending not in module.EXTENSION:
            raise ValueError(f"unknown file extension: {ending!r}; name a format, like 'png'")
        format = module.EXTENSION[ending]
    with replacing(fp) as file:
        image.save(file, format=format)


def _checked(image: Any) -> Tensor:
    if not isinstance(image, Tensor):
        raise TypeError(f"Tensor expected, got {type(image)}")
    if not (image.dtype is uint8 or image.is_floating_point()):
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError("Pass individual images, not batches")
    if image.size(0) not in (1, 3):
        raise ValueError("Only grayscale and RGB images are supported")
    return image


# Colours that are far from each other for as long as possible: around the circle of hues in steps
# of the golden ratio.
def _palette(count: int) -> list[tuple[int, int, int]]:
    import colorsys

    hues = [(k * 0.618033988749895) % 1.0 for k in range(count)]
    colours = [colorsys.hsv_to_rgb(hue, 0.85, 1.0) for hue in hues]
    return [(round(r * 255), round(g * 255), round(b * 255)) for r, g, b in colours]


def _colours(colors: Any, count: int) -> list[tuple[int, ...]]:
    """A colour for each of `count` objects."""
    from PIL import ImageColor

    if colors is None:
        return list(_palette(count))
    chosen = list(colors) if isinstance(colors, list) else [colors] * count
    if len(chosen) < count:
        raise ValueError(f"Number of colors must be equal or larger than the number of objects, "
                         f"got {len(chosen)} < {count}")  # fmt: skip
    if not all(isinstance(c, (str, tuple)) for c in chosen):
        raise ValueError("colors must be a tuple or a string, or a list thereof")
    return [ImageColor.getrgb(c)[:3] if isinstance(c, str) else c for c in chosen[:count]]


@no_grad()
def draw_bounding_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: Sequence[str | None] | None = None,
    colors: list[Colour] | Colour | None = None,
    fill: bool | None = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
) -> Tensor:
    """An image with boxes drawn into it.

    Args:
        image: `(3 or 1, H, W)`, uint8 or floating point from 0 to 1; it is not changed.
        boxes: `(N, 4)`: left, top, right and bottom of each, in pixels.
        labels: a text for each box.
        colors: one for all boxes or a list: names, "#rrggbb" or (red, green, blue). Colours that
            differ by default.
        fill: tint the inside.
        width: of the lines, in pixels.
        font, font_size: a TrueType file, and the size of the labels in points.

    Returns `(3, H, W)` of the image's dtype.

    Raises:
        TypeError: `image` is no tensor.
        ValueError: a shape, dtype or length is another, or a box ends before it begins.
        ImportError: Pillow is not installed.
    """
    from tensorlab.vision.transforms.functional import (
        convert_image_dtype,
        pil_to_tensor,
        to_pil_image,
    )

    pillow()
    from PIL import ImageDraw, ImageFont

    image = _checked(image)
    count = boxes.shape[0]
    if boxes.numel() and (boxes.ndim != 2 or boxes.shape[1] != 4):
        raise ValueError(f"boxes should have shape (N, 4), got {tuple(boxes.shape)}")
    if bool((boxes[:, 0] > boxes[:, 2]).any()) or bool((boxes[:, 1] > boxes[:, 3]).any()):
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. Use "
            "tensorlab.vision.ops.box_convert to convert them"
        )
    if labels is not None and len(labels) != count:
        raise ValueError(
            f"The number of boxes ({count}) and labels ({len(labels)}) mismatch. Please specify "
            "labels for each box."
        )
    chosen = _colours(colors, count)
    picture = to_pil_image(convert_image_dtype(image, uint8).expand(3, -1, -1))
    draw = ImageDraw.Draw(picture, "RGBA" if fill else None)
    letters = (
        ImageFont.truetype(font, font_size or 10) if font else ImageFont.load_default(font_size)
    )
    for box, colour, label in zip(boxes.tolist(), chosen, labels or [None] * count, strict=True):
        draw.rectangle(box, fill=(*colour, 100) if fill else None, outline=colour, width=width)
        if label is not None:
            draw.text((box[0] + width + 1, box[1] + width + 1), label, fill=colour, font=letters)
    return convert_image_dtype(pil_to_tensor(picture), image.dtype)


@no_grad()
def draw_segmentation_masks(
    image: Tensor,
    masks: Tensor,
    alpha: float = 0.8,
    colors: list[Colour] | Colour | None = None,
) -> Tensor:
    """An image with regions tinted.

    Args:
        image: `(3, H, W)`, uint8 or floating point from 0 to 1; it is not changed.
        masks: `(N, H, W)` or `(H, W)` of bool.
        alpha: 0 leaves the image, 1 hides it.
        colors: one for all masks or a list: names, "#rrggbb" or (red, green, blue). Colours that
            differ by default.

    Raises `TypeError` or `ValueError` if a type, shape or dtype is another.
    """
    image = _checked(image)
    if masks.ndim == 2:
        masks = masks[None]
    if masks.ndim != 3 or masks.dtype is not bool_:
        raise ValueError("masks must be boolean and of shape (H, W) or (num_masks, H, W)")
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError("The image and the masks must have the same height and width")
    white = 255 if image.dtype is uint8 else 1.0
    values = image.expand(3, -1, -1).to(
        image.dtype if image.is_floating_point() else tensor(0.0).dtype
    )
    painted = values.clone()
    for mask, colour in zip(masks.unbind(0), _colours(colors, len(masks)), strict=True):
        for channel, amount in enumerate(colour):
            painted[channel, mask] = amount / 255 * white
    return (values * (1 - alpha) + painted * alpha).to(image.dtype)
