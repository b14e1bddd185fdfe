"""What all transforms ask about an image: is it one, how large, of which colours."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from enum import Enum
from typing import Any

from tensorlab._dtypes import bool_, dtype, float32, iinfo
from tensorlab._tensor import Tensor
from tensorlab.vision._pillow import is_pil_image

__all__ = ["InterpolationMode", "get_dimensions", "get_image_num_channels", "get_image_size"]


class InterpolationMode(Enum):
    """How the colour between pixels is found; box, hamming and lanczos are for PIL images only."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's own numbers for its filters, which are accepted too, as in old programs.
_PILLOW = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}


def pillow_filter(mode: InterpolationMode) -> int:
    """Pillow's number of a filter."""
    return _PILLOW[InterpolationMode.NEAREST if mode is InterpolationMode.NEAREST_EXACT else mode]


def as_interpolation(mode: Any) -> InterpolationMode:
    """The mode, also if it is given as Pillow's number; `TypeError` for anything else."""
    if isinstance(mode, int):
        mode = next((m for m, number in _PILLOW.items() if number == mode), mode)
    if not isinstance(mode, InterpolationMode):
        raise TypeError(
            "Argument interpolation should be a InterpolationMode or a corresponding Pillow "
            f"integer constant, got {mode!r}"
        )
    return mode


def check_image(img: Any) -> bool:
    """Whether it is a tensor (True) or a PIL image (False).

    Raises `TypeError` for anything else, and for tensors without height and width.
    """
    if isinstance(img, Tensor):
        if img.ndim < 2:
            raise TypeError(
                f"Tensor is not a torch image: expected shape (..., H, W), got {tuple(img.shape)}"
            )
        return True
    if is_pil_image(img):
        return False
    raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")


def get_dimensions(img: Any) -> list[int]:
    """Channels, height and width of a PIL image or a tensor `(..., C, H, W)`.

    >>> import tensorlab
    >>> from tensorlab.vision.transforms.functional import get_dimensions
    >>> get_dimensions(tensorlab.zeros(3, 20, 30))
    [3, 20, 30]
    """
    if check_image(img):
        return [1 if img.ndim == 2 else img.shape[-3], img.shape[-2], img.shape[-1]]
    return [len(img.getbands()), img.height, img.width]


def get_image_size(img: Any) -> list[int]:
    """Width and height."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img: Any) -> int:
    """How many channels."""
    return get_dimensions(img)[0]


def as_list(value: Any) -> list[Any]:
    """What is given as one number or several, as a list."""
    return [value] if isinstance(value, numbers.Number) else list(value)


def max_value(kind: dtype) -> int:
    """What white is: 1 for floating point, the largest number for integers."""
    return 1 if kind.is_floating_point or kind is bool_ else iinfo(kind).max


def require_channels(img: Tensor, permitted: Sequence[int]) -> None:
    """Raise `TypeError` unless the tensor has so many channels."""
    channels = get_dimensions(img)[0]
    if channels not in permitted:
        raise TypeError(
            f"Input image tensor permitted channel values are {list(permitted)}, but found {channels}"
        )


def as_float(img: Tensor) -> Tensor:
    """The image in floating point, for computing; the values stay."""
    return img if img.is_floating_point() else img.to(float32)


def as_kind(img: Tensor, kind: dtype) -> Tensor:
    """What was computed in floating point, rounded if the image was of integers."""
    if kind.is_floating_point:
        return img.to(kind)
    return img.round().to(kind)
