"""Transforms of images, for PIL images and tensors `(..., C, H, W)`, with torchvision's names (v1).

Random ones draw from tensorlab's generator, which `tensorlab.manual_seed` seeds, in torchvision's
order: the same seed gives the same crops and flips. `transforms.functional` has them as functions.

>>> import tensorlab
>>> from tensorlab.vision import transforms
>>> augment = transforms.Compose([
...     transforms.RandomCrop(32, padding=4),
...     transforms.RandomHorizontalFlip(),
...     transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
... ])
>>> augment(tensorlab.rand(3, 32, 32)).shape
tensorlab.Size([3, 32, 32])
"""

from __future__ import annotations

from tensorlab.vision.transforms import functional
from tensorlab.vision.transforms._compose import (
    Compose,
    Lambda,
    RandomApply,
    RandomChoice,
    RandomOrder,
)
from tensorlab.vision.transforms._geometry import (
    CenterCrop,
    FiveCrop,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomPerspective,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
    TenCrop,
)
from tensorlab.vision.transforms._images import InterpolationMode
from tensorlab.vision.transforms._pixels import (
    ColorJitter,
    ConvertImageDtype,
    GaussianBlur,
    Grayscale,
    Normalize,
    PILToTensor,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
    ToPILImage,
    ToTensor,
)

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "FiveCrop",
    "GaussianBlur",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomOrder",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToPILImage",
    "ToTensor",
    "functional",
]
