"""The bundled data: 1797 small pictures of handwritten digits."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, ClassVar

import numpy as np

from tensorlab._tensor import Tensor, wrap
from tensorlab.vision.datasets.vision import VisionDataset

__all__ = ["Digits"]

_SIDE = 8  # pixels
_BRIGHTEST = 16  # a pixel counts the inked dots in a 4 by 4 cell of the scanned bitmap
_EVERY = 5  # every fifth picture of a class is a test picture


class Digits(VisionDataset):
    """Handwritten digits, 8 by 8 pixels, ten classes: real data that comes with the package.

    The 1797 pictures are split once and for all, class by class: of every five pictures of a
    digit, in the order of the original file, the first four are for training and the fifth is
    for testing. That gives 1442 training and 355 test pictures with all classes alike in size.
    (The same 13 people wrote both parts, so the test measures new pictures, not new writers.)

    An item is `(image, target)`: the image a float32 tensor of shape `(1, 8, 8)` with values
    from 0 (paper) to 1 (ink), the target an `int` from 0 to 9. `transform` gets that tensor.

    Args:
        root: not needed, as the data is bundled; shown in the printed form if given.
        train: the training part (`True`, default) or the test part.
        transform: a function of the image tensor.
        target_transform: a function of the target.

    Attributes:
        data: uint8 tensor `(N, 8, 8)`, the pixels as in the original file, 0 to 16.
        targets: int64 tensor `(N,)`, the digit each picture shows.
        classes: the ten class names.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits" (1998), UCI
    Machine Learning Repository, https://doi.org/10.24432/C50P49, licence CC BY 4.0: its test
    set, the same pictures in the same order as scikit-learn's `load_digits`, stored as integers.

    >>> from tensorlab.vision.datasets import Digits
    >>> test = Digits(train=False)
    >>> image, target = test[0]
    >>> image.shape, target
    (tensorlab.Size([1, 8, 8]), 5)
    >>> len(Digits()), len(test)
    (1442, 355)
    """

    classes: ClassVar[list[str]] = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ]

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        pixels, labels = _read()
        part = _is_test(labels) != bool(train)
        self.data: Tensor = wrap(pixels[part])
        self.targets: Tensor = wrap(labels[part])

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Class name → target."""
        return {name: index for index, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = _to_image(self.data[index]).unsqueeze(0), int(self.targets[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def _collated(self, indices: Sequence[int]) -> list[Tensor] | None:
        """The batch that collating `self[i] for i in indices` would give, read in one go."""
        if self.transforms is not None or type(self).__getitem__ is not Digits.__getitem__:
            return None
        picked = list(indices)
        return [_to_image(self.data[picked]).unsqueeze(1), self.targets[picked]]

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


def _to_image(pixels: Tensor) -> Tensor:
    return pixels.float() / _BRIGHTEST


def _read() -> tuple[np.ndarray, np.ndarray]:
    """All pictures `(1797, 8, 8)` uint8 and their digits `(1797,)` int64, in the file's order."""
    packed = resources.files("tensorlab.vision.datasets").joinpath("digits.csv.gz").read_bytes()
    lines = gzip.decompress(packed).decode("ascii").splitlines()
    table = np.loadtxt(lines, dtype=np.uint8, delimiter=",")
    return table[:, :-1].reshape(-1, _SIDE, _SIDE), table[:, -1].astype(np.int64)


def _is_test(labels: np.ndarray) -> np.ndarray:
    """Mark every fifth picture of each class."""
    seen_before = np.empty_like(labels)
    for digit in range(len(Digits.classes)):
        mine = labels == digit
        seen_before[mine] = np.arange(mine.sum())
    return seen_before % _EVERY == _EVERY - 1
