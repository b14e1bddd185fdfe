"""Pillow, imported when an image is made or read, and not before."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__all__ = ["is_pil_image", "pillow"]


def pillow() -> ModuleType:
    """The module `PIL.Image`.

    Raises `ImportError` that says how to install it.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "images are PIL images here, as in torchvision, and Pillow is not installed: "
            'pip install "tensorlab-course[vision]"'
        ) from error
    return Image


def is_pil_image(image: Any) -> bool:
    """Whether it is a PIL image; Pillow is not imported to find out."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)
