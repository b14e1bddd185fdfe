"""Tensors whose shape is that of images: as bytes of red, green, blue and opacity."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.inspect import Description

from ._tensor_source import Source

__all__ = ["images_of"]

#: At most so many images, of so many pixels altogether, go to the browser.
MOST_IMAGES, MOST_PIXELS = 64, 65_536
#: What is not finite; the words beside the images count it.
BAD = (255, 0, 255, 255)


def images_of(source: Source, found: Description) -> dict[str, Any] | None:
    """The images of a tensor [H, W], [C, H, W], [N, H, W] or [N, C, H, W] with 1 or 3 channels.

    As a dict: count, height, width, `pixels` (RGBA), and `words` that say how values became colours
    and what is left out. None if the shape is not one of images.
    """
    shape = source.shape
    if not source.elements or len(shape) not in (2, 3, 4) or min(shape[-2:]) < 2:
        return None
    colour = shape[-3] if len(shape) > 2 else 1
    if len(shape) == 4 and colour not in (1, 3):
        return None
    if len(shape) == 3 and colour not in (1, 3):
        colour, total = 1, shape[0]  # a batch of grey images
        batch: tuple[int, ...] = (total,)
    else:
        total = shape[0] if len(shape) == 4 else 1
        batch = (total,)
    count = min(batch[0], MOST_IMAGES)
    height, width = source.shape[len(shape) - 2 :]
    step = 1
    while count * -(-height // step) * -(-width // step) > MOST_PIXELS:
        step += 1
    key: tuple[Any, ...] = (slice(None, None, step), slice(None, None, step))
    if len(shape) == 4 or (len(shape) == 3 and total > 1):
        key = (slice(0, count), *([slice(None)] if len(shape) == 4 else []), *key)
    elif len(shape) == 3:
        key = (slice(None), *key)
    values = source.part(key)
    values = values.reshape(count, colour, *values.shape[-2:]).transpose(0, 2, 3, 1)
    low, high, scale = _range(source.dtype, found)
    finite = np.isfinite(values)
    shares = (np.where(finite, values, low) / 2 - low / 2) / (high / 2 - low / 2)
    pixels = np.full((*values.shape[:3], 4), 255, np.uint8)
    pixels[..., :3] = np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)
    bad = ~finite.all(axis=-1)
    pixels[bad] = BAD
    words = [scale]
    if count < total:
        words.append(f"the first {count} of {total:,} images")
    if step > 1:
        words.append(f"one pixel of each {step} × {step}")
    if bad.any():
        words.append(f"{int(bad.sum()):,} pixels that are not finite in magenta")
    return {
        "count": count,
        "height": values.shape[1],
        "width": values.shape[2],
        "pixels": pixels.tobytes(),
        "words": "; ".join(words),
    }


def _range(dtype: str, found: Description) -> tuple[float, float, str]:
    """Which values are black and white, and how to say it."""
    if dtype == "uint8":
        return 0.0, 255.0, "0 is black, 255 is white"
    low, high = found.minimum, found.maximum
    if low is None or high is None or (low >= 0 and high <= 1):
        return 0.0, 1.0, "0 is black, 1 is white"
    if low == high:
        high = low + 1.0
    return low, high, f"{low:.4g} is black, {high:.4g} is white"
