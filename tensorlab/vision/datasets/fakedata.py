"""Random pictures, for trying a program out before the real data are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorlab._random import Generator
from tensorlab.ops.random import randint, randn
from tensorlab.vision.datasets.vision import VisionDataset

__all__ = ["FakeData"]


class FakeData(VisionDataset):
    """Random pictures with random targets; the same index always gives the same item.

    An item is `(image, target)`: a PIL image and an `int`.

    Args:
        size: how many items.
        image_size: channels, height and width.
        num_classes: targets are from 0 to one less.
        transform: a function of the image.
        target_transform: a function of the target.
        random_offset: another number gives other pictures.

    Raises `IndexError` for an index that is not below `size`, `ImportError` without Pillow.

    >>> from tensorlab.vision.datasets import FakeData
    >>> image, target = FakeData(size=10, image_size=(3, 20, 30))[0]
    >>> image.size
    (30, 20)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from tensorlab.vision.transforms.functional import to_pil_image

        if not 0 <= index < self.size:
            raise IndexError(f"FakeData has {self.size} items, index {index} is out of range")
        # torchvision seeds the global generator for each item and puts its state back; the draws
        # of a generator of their own are the same, and nobody else's state is touched.
        generator = Generator().manual_seed(index + self.random_offset)
        pixels = randn(*self.image_size, generator=generator)
        target: Any = int(randint(0, self.num_classes, size=(1,), generator=generator))
        image: Any = to_pil_image(pixels)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return self.size
