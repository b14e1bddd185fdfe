"""From PIL images and arrays to tensors and back; other dtypes; normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._dtypes import dtype, float32, float64, get_default_dtype, int32, int64, uint8
from tensorlab._tensor import Tensor, wrap
from tensorlab.vision._pillow import is_pil_image, pillow
from tensorlab.vision.transforms._images import get_dimensions, max_value

__all__ = [
    "convert_image_dtype",
    "normalize",
    "pil_to_tensor",
    "to_pil_image",
    "to_tensor",
]


def _planes(pixels: np.ndarray) -> Tensor:
    """`(H, W)` or `(H, W, C)` as a tensor `(C, H, W)` of its own memory."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype == np.uint16:  # a type that there are no tensors of
        pixels = pixels.astype(np.int32)
    return wrap(np.array(pixels.transpose(2, 0, 1), order="C"))


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image `(H, W)` as a tensor `(C, H, W)` of the same numbers, mostly uint8.

    Images of 16-bit numbers become int32.

    Raises `TypeError` if it is no PIL image.
    """
    if not is_pil_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    return _planes(np.asarray(pic))


def to_tensor(pic: Any) -> Tensor:
    """A PIL image or array `(H, W, C)` as a tensor `(C, H, W)`; 0 … 255 becomes 0.0 … 1.0.

    Only the numbers of 8-bit images are scaled: those of modes "I", "F" and "I;16", and of arrays
    of other dtypes, stay as they are.

    Raises:
        TypeError: it is neither.
        ValueError: an array has not two or three dimensions.

    >>> import numpy as np
    >>> from tensorlab.vision.transforms.functional import to_tensor
    >>> to_tensor(np.array([[0, 51], [102, 255]], np.uint8))
    tensor([[[0.0000, 0.2000],
             [0.4000, 1.0000]]])
    """
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        planes = _planes(pic)
    elif is_pil_image(pic):
        planes = pil_to_tensor(pic)
        if pic.mode == "1":
            planes = planes.to(uint8) * 255
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    return planes.to(get_default_dtype()).div_(255) if planes.dtype is uint8 else planes


# Which modes a tensor may be shown as, by its channels; the first one if none is named.
_MODES = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}
_GREY = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor `(C, H, W)` or array `(H, W, C)` as a PIL image; two dimensions are one channel.

    Floating-point numbers are from 0 to 1 and become 0 to 255, unless `mode` is "F".

    Args:
        mode: how the channels are to be read. Left out it follows from their number: 1 is "L" ("I",
            "F" or "I;16" for int32, float32 and int16), 2 "LA", 3 "RGB", 4 "RGBA". Others are
            "YCbCr" and "HSV" for 3 and "CMYK" and "RGBX" for 4 channels.

    Raises:
        TypeError: it is neither, or of a dtype that images don't have.
        ValueError: the shape is not that of an image, or does not fit the mode.
        ImportError: Pillow is not installed.
    """
    pixels = _pixels(pic, mode)
    channels = pixels.shape[2]
    kind = pixels.dtype.name
    if channels == 1:
        if kind not in _GREY:
            raise TypeError(f"Input type {kind} is not supported")
        expected = _GREY[kind]
        if mode not in (None, expected):
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {kind}. Should be {expected}"
            )
        mode = expected
    else:
        if mode is not None and mode not in _MODES[channels]:
            raise ValueError(f"Only modes {_MODES[channels]} are supported for {channels}D inputs")
        if kind != "uint8":
            raise TypeError(f"Input type {kind} is not supported")
        mode = mode or _MODES[channels][0]
    size = (pixels.shape[1], pixels.shape[0])
    return pillow().frombytes(mode, size, pixels.tobytes())


def _pixels(pic: Any, mode: str | None) -> np.ndarray:
    """The array `(H, W, C)`."""
    if not isinstance(pic, (Tensor, np.ndarray)):
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pic.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
    if isinstance(pic, Tensor):
        if pic.is_floating_point() and mode != "F":
            pic = (pic * 255).to(uint8)
        pixels = pic.detach().cpu().numpy()
        pixels = pixels[None] if pixels.ndim == 2 else pixels
        pixels = pixels.transpose(1, 2, 0)
    else:
        pixels = pic[:, :, None] if pic.ndim == 2 else pic
    if not 1 <= pixels.shape[2] <= 4:
        raise ValueError(f"pic should not have > 4 channels. Got {pixels.shape[2]} channels.")
    return pixels


def convert_image_dtype(image: Tensor, dtype: dtype = float32) -> Tensor:
    """The image in another dtype, where white is another number: 1.0, 255 or the largest integer.

    Raises `RuntimeError` for float32 to int32 and any floating point to int64, which have not
    enough digits for that.

    >>> import tensorlab
    >>> from tensorlab.vision.transforms.functional import convert_image_dtype
    >>> convert_image_dtype(tensorlab.tensor([0.0, 0.5, 1.0]), tensorlab.uint8)
    tensor([  0, 127, 255], dtype=tensorlab.uint8)
    """
    kind = image.dtype
    if kind is dtype:
        return image
    if kind.is_floating_point:
        if dtype.is_floating_point:
            return image.to(dtype)
        if (kind is float32 and dtype in (int32, int64)) or (kind is float64 and dtype is int64):
            raise RuntimeError(f"The cast from {kind} to {dtype} cannot be performed safely.")
        # Each integer gets an interval of the same width, and 1.0 falls into the last.
        return image.mul(max_value(dtype) + 1.0 - 1e-3).to(dtype)
    white = max_value(kind)
    if dtype.is_floating_point:
        return image.to(dtype) / white
    other = max_value(dtype)
    if white > other:
        return image.div((white + 1) // (other + 1), rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((other + 1) // (white + 1))


def normalize(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> Tensor:
    """`(tensor - mean) / std`, channel by channel, of a floating-point tensor `(..., C, H, W)`.

    Args:
        mean, std: one number for each channel, or one for all.
        inplace: change the tensor itself.

    Raises:
        TypeError: it is no tensor of floating-point numbers.
        ValueError: it has less than three dimensions, or a std is zero.

    >>> import tensorlab
    >>> from tensorlab.vision.transforms.functional import normalize
    >>> normalize(tensorlab.tensor([[[0.0, 0.5, 1.0]]]), mean=[0.5], std=[0.5])
    tensor([[[-1.,  0.,  1.]]])
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
            f"{tensor.size()}"
        )
    channels = get_dimensions(tensor)[0]
    means = _per_channel("mean", mean, tensor.dtype, channels)
    stds = _per_channel("std", std, tensor.dtype, channels)
    if not stds.all():
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero."
        )
    means, stds = (wrap(x).to(tensor.device) for x in (means, stds))
    if not inplace:
        return (tensor - means).div_(stds)
    return tensor.sub_(means).div_(stds)


def _per_channel(name: str, values: Any, kind: dtype, channels: int) -> np.ndarray:
    """`(C, 1, 1)`, or `(1, 1, 1)`."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    array = np.asarray(values, kind.numpy)
    if array.ndim > 1 or array.size not in (1, channels):
        raise RuntimeError(
            f"normalize() needs one {name} for each of the {channels} channels, got {array.size}"
        )
    return array.reshape(-1, 1, 1)
