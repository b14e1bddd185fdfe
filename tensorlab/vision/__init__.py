"""Images: datasets with torchvision's signatures."""

from __future__ import annotations

from tensorlab.vision import datasets

__all__ = ["datasets"]
