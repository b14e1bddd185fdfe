"""Image datasets with torchvision's signatures. `Digits` is bundled: no download, no network."""

from __future__ import annotations

from tensorlab.vision.datasets.digits import Digits
from tensorlab.vision.datasets.vision import StandardTransform, VisionDataset

__all__ = ["Digits", "StandardTransform", "VisionDataset"]
