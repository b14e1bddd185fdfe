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

from tensorlab.vision.transforms import functional, transforms
from tensorlab.vision.transforms.transforms import *  # noqa: F403  (the names stand in its __all__, once)

__all__ = ["functional"]
__all__ += transforms.__all__
