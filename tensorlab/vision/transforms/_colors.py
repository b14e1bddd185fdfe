"""Brightness, contrast, colour, sharpness; blurring and erasing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._dtypes import float32, uint8
from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.ops.compare import where
from tensorlab.ops.creation import linspace, zeros_like
from tensorlab.ops.joining import stack
from tensorlab.vision._pillow import pillow
from tensorlab.vision.transforms._conversion import (
    convert_image_dtype,
    pil_to_tensor,
    to_pil_image,
)
from tensorlab.vision.transforms._images import (
    as_float,
    as_kind,
    check_image,
    get_dimensions,
    max_value,
    require_channels,
)
from tensorlab.vision.transforms._sizes import pad

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "autocontrast",
    "equalize",
    "erase",
    "gaussian_blur",
    "invert",
    "posterize",
    "rgb_to_grayscale",
    "solarize",
    "to_grayscale",
]

# How bright red, green and blue are: ITU-R BT.601, as Pillow and torchvision weigh them.
_RED, _GREEN, _BLUE = 0.2989, 0.587, 0.114


def _enhanced(img: Any, kind: str, factor: float) -> Any:
    from PIL import ImageEnhance

    return getattr(ImageEnhance, kind)(img).enhance(factor)


def _blended(img: Tensor, other: Tensor, factor: float) -> Tensor:
    """`factor` of the image and the rest of the other one, within what the dtype can show."""
    mixed = as_float(img) * factor + as_float(other) * (1.0 - factor)
    return mixed.clamp(0, max_value(img.dtype)).to(img.dtype)


def _not_negative(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """The image darker or brighter: 0 is black, 1 the image, 2 twice as bright.

    Args:
        img: a PIL image or a tensor `(..., 1 or 3, H, W)`.
        brightness_factor: at least 0.

    Raises:
        TypeError: `img` is neither, or has other channels.
        ValueError: the factor is negative.
    """
    if not check_image(img):
        return _enhanced(img, "Brightness", brightness_factor)
    _not_negative("brightness_factor", brightness_factor)
    require_channels(img, [1, 3])
    return _blended(img, zeros_like(img), brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """The image with less or more contrast: 0 is its mean grey, 1 the image.

    Arguments and errors as those of `adjust_brightness`.
    """
    if not check_image(img):
        return _enhanced(img, "Contrast", contrast_factor)
    _not_negative("contrast_factor", contrast_factor)
    require_channels(img, [1, 3])
    grey = rgb_to_grayscale(img) if get_dimensions(img)[0] == 3 else img
    mean = as_float(grey).mean(dim=(-3, -2, -1), keepdim=True)
    return _blended(img, mean, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """The image with paler or stronger colours: 0 is grey, 1 the image.

    Arguments and errors as those of `adjust_brightness`.
    """
    if not check_image(img):
        return _enhanced(img, "Color", saturation_factor)
    _not_negative("saturation_factor", saturation_factor)
    require_channels(img, [1, 3])
    if get_dimensions(img)[0] == 1:
        return img
    return _blended(img, rgb_to_grayscale(img), saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The image with its colours moved around the circle of hues.

    Args:
        img: a PIL image or a tensor `(..., 1 or 3, H, W)`. Grey images stay as they are.
        hue_factor: from -0.5 to 0.5, which are both the opposite colours.

    Raises:
        TypeError: `img` is neither, or has other channels.
        ValueError: the factor is outside of that.
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if not check_image(img):
        if img.mode in ("L", "1", "I", "F"):
            return img
        hue, saturation, value = img.convert("HSV").split()
        moved = np.asarray(hue) + np.array(int(hue_factor * 255)).astype(np.uint8)
        turned = pillow().fromarray(moved)
        return pillow().merge("HSV", (turned, saturation, value)).convert(img.mode)
    require_channels(img, [1, 3])
    if get_dimensions(img)[0] == 1:
        return img
    hsv = _rgb_to_hsv(convert_image_dtype(img, float32) if not img.is_floating_point() else img)
    hue, saturation, value = hsv.unbind(-3)
    rgb = _hsv_to_rgb((hue + hue_factor) % 1.0, saturation, value)
    return convert_image_dtype(rgb, img.dtype)


def _rgb_to_hsv(img: Tensor) -> Tensor:
    """Hue, saturation and value from 0 to 1. Source: A. R. Smith, "Color gamut transform pairs" (1978)."""
    red, green, blue = img.unbind(-3)
    high, low = img.amax(-3), img.amin(-3)
    spread = high - low
    grey = spread == 0
    saturation = spread / where(grey, 1.0, high)
    divisor = where(grey, 1.0, spread)
    # How far each colour is below the strongest; the two that are not it decide the hue.
    r, g, b = ((high - c) / divisor for c in (red, green, blue))
    is_red = high == red
    is_green = (high == green) & ~is_red
    hue = where(is_red, b - g, where(is_green, 2.0 + r - b, 4.0 + g - r))
    hue = where(grey, 0.0, hue)
    return stack([(hue / 6.0) % 1.0, saturation, high], -3)


def _hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    sector = (hue * 6.0).floor()
    rest = hue * 6.0 - sector
    sector = sector % 6
    low = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    falling = (value * (1.0 - saturation * rest)).clamp(0.0, 1.0)
    rising = (value * (1.0 - saturation * (1.0 - rest))).clamp(0.0, 1.0)
    channels = [
        [value, falling, low, low, rising, value],
        [rising, value, value, falling, low, low],
        [low, low, rising, value, value, falling],
    ]
    out = []
    for choices in channels:
        picked = choices[0]
        for number in range(1, 6):
            picked = where(sector == number, choices[number], picked)
        out.append(picked)
    return stack(out, -3)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """Each value v, from 0 to 1, becomes `gain * v ** gamma`: below 1 makes shadows lighter.

    Raises:
        TypeError: `img` is neither a PIL image nor a tensor with 1 or 3 channels.
        ValueError: gamma is negative.
    """
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    if not check_image(img):
        values = [int((256 - 1e-3) * gain * (v / 255.0) ** gamma) for v in range(256)]
        return img.convert("RGB").point(values * 3).convert(img.mode)
    require_channels(img, [1, 3])
    floats = img if img.is_floating_point() else convert_image_dtype(img, float32)
    return convert_image_dtype((gain * floats**gamma).clamp(0, 1), img.dtype)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A PIL image in grey, of mode "L", or of mode "RGB" for 3 channels.

    Raises `TypeError` if it is none, `ValueError` for another number of channels.
    """
    if check_image(img):
        raise TypeError("Input should be PIL Image")
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = img.convert("L")
    return grey if num_output_channels == 1 else pillow().merge("RGB", (grey, grey, grey))


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The image in grey, with 1 channel or 3 equal ones; a tensor is `(..., 3, H, W)`.

    Raises:
        TypeError: `img` is neither a PIL image nor such a tensor.
        ValueError: another number of channels is asked for.
    """
    if not check_image(img):
        return to_grayscale(img, num_output_channels)
    if img.ndim < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {img.ndim}"
        )
    require_channels(img, [1, 3])
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = img
    if img.shape[-3] == 3:
        red, green, blue = img.unbind(-3)
        grey = (_RED * red + _GREEN * green + _BLUE * blue).to(img.dtype).unsqueeze(-3)
    return grey.expand(img.shape) if num_output_channels == 3 else grey


def _pillow_ops(name: str, img: Any, *args: Any) -> Any:
    from PIL import ImageOps

    return getattr(ImageOps, name)(img, *args)


def invert(img: Any) -> Any:
    """The negative of the image."""
    if not check_image(img):
        return _pillow_ops("invert", img)
    require_channels(img, [1, 3])
    return max_value(img.dtype) - img


def posterize(img: Any, bits: int) -> Any:
    """The image with only so many bits, 0 to 8, for each channel; a tensor is uint8."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    if not check_image(img):
        return _pillow_ops("posterize", img, bits)
    if img.dtype is not uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    require_channels(img, [1, 3])
    return img & (256 - 2 ** (8 - bits))


def solarize(img: Any, threshold: float) -> Any:
    """The image with all values from `threshold` on inverted."""
    if not check_image(img):
        return _pillow_ops("solarize", img, threshold)
    require_channels(img, [1, 3])
    if threshold > max_value(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return where(img >= threshold, invert(img), img)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """The image blurred or sharpened: 0 is blurred, 1 the image, 2 sharper.

    Arguments and errors as those of `adjust_brightness`.
    """
    if not check_image(img):
        return _enhanced(img, "Sharpness", sharpness_factor)
    _not_negative("sharpness_factor", sharpness_factor)
    require_channels(img, [1, 3])
    if img.shape[-1] <= 2 or img.shape[-2] <= 2:
        return img
    return _blended(img, _smoothed(img), sharpness_factor)


def _smoothed(img: Tensor) -> Tensor:
    """The average with the neighbours, the pixel itself counting five times; the border stays."""
    channels, height, width = get_dimensions(img)
    batch = as_float(img).reshape(-1, channels, height, width)
    kernel = zeros_like(batch[0, 0, :3, :3]) + 1.0 / 13.0
    kernel[1, 1] = 5.0 / 13.0
    inner = F.conv2d(batch, kernel.expand(channels, 1, 3, 3), groups=channels)
    out = batch.clone()
    out[..., 1:-1, 1:-1] = inner
    return as_kind(out.reshape(img.shape), img.dtype)


def autocontrast(img: Any) -> Any:
    """The image with its darkest value, in each channel, made black and its brightest white."""
    if not check_image(img):
        return _pillow_ops("autocontrast", img)
    require_channels(img, [1, 3])
    white = max_value(img.dtype)
    values = as_float(img)
    low = values.amin(dim=(-2, -1), keepdim=True)
    high = values.amax(dim=(-2, -1), keepdim=True)
    flat = low == high
    scale = where(flat, 1.0, white / where(flat, 1.0, high - low))
    return ((values - where(flat, 0.0, low)) * scale).clamp(0, white).to(img.dtype)


def equalize(img: Any) -> Any:
    """The image with its values spread so that all are about equally frequent; a tensor is uint8."""
    if not check_image(img):
        return _pillow_ops("equalize", img)
    if img.dtype is not uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    require_channels(img, [1, 3])
    planes = [_equalized(plane) for plane in img.reshape(-1, *img.shape[-2:]).unbind(0)]
    return stack(planes, 0).reshape(img.shape)


def _equalized(plane: Tensor) -> Tensor:
    counts = plane.flatten().bincount(minlength=256)
    used = counts[counts != 0]
    step = int(used[:-1].sum()) // 255
    if step == 0:
        return plane
    table = ((counts.cumsum(0) + step // 2) // step).clamp(0, 255)
    shifted = F.pad(table, [1, 0])[:-1]  # the first value is black
    return shifted[plane.long()].to(uint8)


def gaussian_blur(
    img: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Any:
    """The image blurred with a bell curve; the border is mirrored.

    Args:
        img: a PIL image or a tensor `(..., C, H, W)`.
        kernel_size: how many pixels the curve has, one odd number or `(along x, along y)`.
        sigma: its width in pixels, one number or two; `0.15 * kernel_size + 0.35` by default.

    Raises:
        TypeError: an argument is of another type.
        ValueError: a number is not positive, or a kernel size not odd.
    """
    if not isinstance(kernel_size, (int, list, tuple)):
        raise TypeError(
            f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}"
        )
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any(k % 2 == 0 or k < 0 for k in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {kernel_size}")
    if sigma is None:
        sigmas = [k * 0.15 + 0.35 for k in sizes]
    elif isinstance(sigma, (int, float)):
        sigmas = [float(sigma)] * 2
    elif isinstance(sigma, (list, tuple)):
        sigmas = [float(s) for s in (list(sigma) * 2)[: max(2, len(sigma))]]
    else:
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    if len(sigmas) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigmas)}")
    if any(s <= 0.0 for s in sigmas):
        raise ValueError(f"sigma should have positive values. Got {sigma}")
    if not check_image(img):
        return to_pil_image(gaussian_blur(pil_to_tensor(img), sizes, sigmas), img.mode)
    channels, height, width = get_dimensions(img)
    batch = as_float(img).reshape(-1, channels, height, width)
    x, y = (_bell(k, s, batch) for k, s in zip(sizes, sigmas, strict=True))
    padded = pad(batch, [sizes[0] // 2, sizes[1] // 2], padding_mode="reflect")
    # The bell curve of the plane is the product of two: one pass along each side.
    out = F.conv2d(padded, x.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    out = F.conv2d(out, y.reshape(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return as_kind(out.reshape(img.shape), img.dtype)


def _bell(count: int, sigma: float, like: Tensor) -> Tensor:
    """`count` weights, in the middle the largest, that sum to 1."""
    half = (count - 1) * 0.5
    x = linspace(-half, half, count, dtype=like.dtype, device=like.device)
    weights = (-0.5 * (x / sigma) ** 2).exp()
    return weights / weights.sum()


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """The tensor `(..., C, H, W)` with `h` rows from `i` and `w` columns from `j` replaced by `v`.

    Raises `TypeError` for PIL images.
    """
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    out = img if inplace else img.clone()
    out[..., i : i + h, j : j + w] = v
    return out
