"""The preprocessing that pre-trained weights were made with."""

from __future__ import annotations

from typing import Any

from tensorlab._dtypes import float32
from tensorlab._tensor import Tensor
from tensorlab.nn.modules.module import Module
from tensorlab.vision.transforms import functional as F
from tensorlab.vision.transforms._images import InterpolationMode

__all__ = ["ImageClassification"]


class ImageClassification(Module):
    """Scale, cut out the middle and normalise, as models trained on ImageNet want it.

    Args:
        crop_size: height and width of the result.
        resize_size: the shorter side of the image before that.
        mean, std: of the channels, which run from 0 to 1.
        interpolation, antialias: as for `functional.resize`.

    >>> import tensorlab
    >>> from tensorlab.vision.models import ResNet18_Weights
    >>> prepare = ResNet18_Weights.DEFAULT.transforms()
    >>> prepare(tensorlab.zeros(3, 300, 400, dtype=tensorlab.uint8)).shape
    tensorlab.Size([3, 224, 224])
    """

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Tensor:
        img = F.resize(img, self.resize_size, self.interpolation, antialias=self.antialias)
        img = F.center_crop(img, self.crop_size)
        if not isinstance(img, Tensor):
            img = F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(img, float32), self.mean, self.std)

    def __repr__(self) -> str:
        lines = [
            f"crop_size={self.crop_size}",
            f"resize_size={self.resize_size}",
            f"mean={self.mean}",
            f"std={self.std}",
            f"interpolation={self.interpolation}",
        ]
        return "\n    ".join([f"{type(self).__name__}(", *lines]) + "\n)"
