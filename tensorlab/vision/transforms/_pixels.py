"""Transforms of dtype, colour and sharpness."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

from tensorlab._dtypes import dtype, float32
from tensorlab._tensor import Tensor
from tensorlab.nn.modules.module import Module
from tensorlab.ops.creation import empty
from tensorlab.ops.from_data import tensor
from tensorlab.ops.random import randperm
from tensorlab.vision.transforms import functional as F
from tensorlab.vision.transforms._arguments import happens, two_sizes, uniform, whole

__all__ = [
    "ColorJitter",
    "ConvertImageDtype",
    "GaussianBlur",
    "Grayscale",
    "Normalize",
    "PILToTensor",
    "RandomAdjustSharpness",
    "RandomAutocontrast",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
    "ToPILImage",
    "ToTensor",
]


class ToTensor:
    """A PIL image or array `(H, W, C)` as a tensor `(C, H, W)`; 0 … 255 becomes 0.0 … 1.0.

    See `functional.to_tensor`.
    """

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PILToTensor:
    """A PIL image as a tensor `(C, H, W)` of the same numbers. See `functional.pil_to_tensor`."""

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ConvertImageDtype(Module):
    """A tensor in another dtype, where white is another number. See `functional.convert_image_dtype`."""

    def __init__(self, dtype: dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        return F.convert_image_dtype(image, self.dtype)


class ToPILImage:
    """A tensor `(C, H, W)` or array `(H, W, C)` as a PIL image. See `functional.to_pil_image`."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        inner = "" if self.mode is None else f"mode={self.mode}"
        return f"{type(self).__name__}({inner})"


class Normalize(Module):
    """`(tensor - mean) / std`, channel by channel. See `functional.normalize`.

    >>> from tensorlab.vision import transforms
    >>> transforms.Normalize(mean=(0.1307,), std=(0.3081,))
    Normalize(mean=(0.1307,), std=(0.3081,))
    """

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: Tensor) -> Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class ColorJitter(Module):
    """Brightness, contrast, saturation and hue changed at random, in random order.

    Args:
        brightness, contrast, saturation: a factor from and to, or one number x for `max(0, 1 - x)`
            to `1 + x`.
        hue: from and to, within -0.5 and 0.5, or one number for both directions.

    Raises `TypeError` or `ValueError` for anything else.
    """

    def __init__(
        self,
        brightness: float | tuple[float, float] = 0,
        contrast: float | tuple[float, float] = 0,
        saturation: float | tuple[float, float] = 0,
        hue: float | tuple[float, float] = 0,
    ) -> None:
        super().__init__()
        self.brightness = _around(brightness, "brightness")
        self.contrast = _around(contrast, "contrast")
        self.saturation = _around(saturation, "saturation")
        self.hue = _around(hue, "hue", 0, (-0.5, 0.5), cut=False)

    @staticmethod
    def get_params(
        brightness: Sequence[float] | None,
        contrast: Sequence[float] | None,
        saturation: Sequence[float] | None,
        hue: Sequence[float] | None,
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:
        """A random order of the four, and a random amount of each."""
        order = randperm(4)
        b, c, s, h = (
            None if bounds is None else uniform(bounds[0], bounds[1])
            for bounds in (brightness, contrast, saturation, hue)
        )
        return order, b, c, s, h

    def forward(self, img: Any) -> Any:
        order, *amounts = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        functions = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for index in order.tolist():
            amount = amounts[index]
            if amount is not None:
                img = functions[index](img, amount)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


def _around(
    value: Any,
    name: str,
    center: float = 1,
    bound: tuple[float, float] = (0, float("inf")),
    cut: bool = True,
) -> tuple[float, float] | None:
    """A range given as from and to, or as a distance from `center`; None if nothing is to change."""
    if isinstance(value, numbers.Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        low, high = center - value, center + value  # type: ignore[operator]
        low = max(low, 0.0) if cut else low
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        low, high = float(value[0]), float(value[1])
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
    if not bound[0] <= low <= high <= bound[1]:
        raise ValueError(f"{name} values should be between {bound}, but got {[low, high]}.")
    return None if low == high == center else (low, high)  # type: ignore[return-value]


class Grayscale(Module):
    """The image in grey, with 1 channel or 3 equal ones."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


class _Randomly(Module):
    """What is done with probability `p`."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def change(self, img: Any) -> Any:
        raise NotImplementedError

    def forward(self, img: Any) -> Any:
        return self.change(img) if happens(self.p) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomGrayscale(_Randomly):
    """The image in grey, with as many channels as it had, with probability `p`."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, num_output_channels=F.get_dimensions(img)[0])


class RandomInvert(_Randomly):
    """The negative of the image with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        return F.invert(img)


class RandomPosterize(_Randomly):
    """The image with only `bits` bits for each channel, with probability `p`."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def change(self, img: Any) -> Any:
        return F.posterize(img, self.bits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bits={self.bits},p={self.p})"


class RandomSolarize(_Randomly):
    """The image with all values from `threshold` on inverted, with probability `p`."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold},p={self.p})"


class RandomAdjustSharpness(_Randomly):
    """The image blurred or sharpened, with probability `p`."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sharpness_factor={self.sharpness_factor},p={self.p})"


class RandomAutocontrast(_Randomly):
    """The image with its darkest values made black and its brightest white, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(_Randomly):
    """The image with its values made about equally frequent, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        return F.equalize(img)


class RandomErasing(Module):
    """Replace a random rectangle of a tensor with probability `p`.

    Args:
        p: a probability.
        scale: the rectangle's area, from and to, as a share of the image's.
        ratio: its height divided by its width, from and to.
        value: a number, one for each channel, or "random" for normally distributed ones.
        inplace: change the tensor itself.

    Source: Z. Zhong and others, "Random Erasing Data Augmentation" (2017),
    https://arxiv.org/abs/1708.04896.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(value, (numbers.Number, str, tuple, list)):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        for name, pair in (("Scale", scale), ("Ratio", ratio)):
            if not isinstance(pair, Sequence):
                raise TypeError(f"{name} should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor,
        scale: Sequence[float],
        ratio: Sequence[float],
        value: list[float] | None = None,
    ) -> tuple[int, int, int, int, Tensor]:
        """Top, left, height and width of a random rectangle, and what to put there.

        After ten rectangles that do not fit into the image it is the image itself.
        """
        channels, height, width = img.shape[-3:]
        low, high = tensor(list(ratio)).log().tolist()
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            proportion = tensor([uniform(low, high)]).exp().item()
            h = round(math.sqrt(area * proportion))
            w = round(math.sqrt(area / proportion))
            if h < height and w < width:
                if value is None:
                    new = empty((channels, h, w), dtype=float32).normal_()
                else:
                    new = tensor(value)[:, None, None]
                top = whole(0, height - h + 1)
                return top, whole(0, width - w + 1), h, w, new
        return 0, 0, height, width, img

    def forward(self, img: Tensor) -> Tensor:
        if not happens(self.p):
            return img
        if isinstance(self.value, numbers.Number):
            value: Any = [float(self.value)]  # type: ignore[arg-type]
        elif isinstance(self.value, str):
            value = None
        else:
            value = [float(v) for v in self.value]
        if value is not None and len(value) not in (1, img.shape[-3]):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{img.shape[-3]} (number of input channels)"
            )
        top, left, h, w, new = self.get_params(img, self.scale, self.ratio, value)
        return F.erase(img, top, left, h, w, new, self.inplace)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )


class GaussianBlur(Module):
    """Blur with a bell curve of random width.

    Args:
        kernel_size: how many pixels the curve has: an odd number, or one for y and one for x.
        sigma: its width in pixels, from and to, or one number.

    Raises `ValueError` for numbers that are not positive or, for sizes, not odd.
    """

    def __init__(
        self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)
    ) -> None:
        super().__init__()
        self.kernel_size = two_sizes(
            kernel_size, "Kernel size should be a tuple/list of two integers"
        )
        for size in self.kernel_size:
            if size <= 0 or size % 2 == 0:
                raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, numbers.Number):
            if sigma <= 0:  # type: ignore[operator]
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)  # type: ignore[assignment]
        elif isinstance(sigma, Sequence) and len(sigma) == 2:
            if not 0.0 < sigma[0] <= sigma[1]:
                raise ValueError(
                    f"sigma values should be positive and of the form (min, max). Got {sigma}"
                )
        else:
            raise TypeError(
                "sigma should be a single number or a list/tuple with length 2, got "
                f"{type(sigma).__name__}"
            )
        self.sigma: Any = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A random width."""
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, list(self.kernel_size), [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"
