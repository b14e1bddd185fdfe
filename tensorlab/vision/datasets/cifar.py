"""CIFAR-10 and CIFAR-100: small colour photographs, in the pickles that they are published in."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tensorlab._pickle_reader import DAMAGED, PLAIN, Global, Stateful, load_pickle
from tensorlab.vision._pillow import pillow
from tensorlab.vision.datasets.utils import check_integrity, download_and_extract_archive
from tensorlab.vision.datasets.vision import VisionDataset

__all__ = ["CIFAR10", "CIFAR100"]

_SHAPE = (3, 32, 32)  # of an image in the files: red, green and blue planes


class CIFAR10(VisionDataset):
    """Photographs of ten kinds of things: 50,000 for training, 10,000 for testing, 32 by 32 pixels.

    An item is `(image, target)`: a PIL image of mode "RGB", and an `int` from 0 to 9. The files are
    those of torchvision, in `root/cifar-10-batches-py`. They are pickles, of which only arrays,
    numbers, strings and lists are read: nothing in them is run.

    Args:
        root: the folder that has, or gets, the folder of the files.
        train: the training part (`True`, default) or the test part.
        transform: a function of the image, like `transforms.ToTensor()`.
        target_transform: a function of the target.
        download: get the archive if the files are not there, with its checksum verified.

    Attributes:
        data: NumPy array `(N, 32, 32, 3)` of uint8.
        targets: list of N ints.
        classes: the names of the classes; `class_to_idx` is their numbers.

    Raises:
        RuntimeError: the files are not there or not the published ones, or could not be downloaded.
        ImportError: an item is asked for and Pillow is not installed; `data` needs none.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
    https://www.cs.toronto.edu/~kriz/cifar.html.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list: ClassVar[list[list[str]]] = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list: ClassVar[list[list[str]]] = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta: ClassVar[dict[str, str]] = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_integrity():
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it: "
                f"{self._folder} should have the files of {self.filename}"
            )
        batches = [self._load(name) for name, _ in (self.train_list if train else self.test_list)]
        images = np.concatenate([pixels for pixels, _ in batches])
        self.data: np.ndarray = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.targets: list[int] = [target for _, targets in batches for target in targets]
        self.classes: list[str] = list(self._unpickled(self.meta["filename"])[self.meta["key"]])
        self.class_to_idx = {name: index for index, name in enumerate(self.classes)}

    @property
    def _folder(self) -> str:
        return os.path.join(self.root or "", self.base_folder)

    def _unpickled(self, name: str) -> Any:
        return read_batch(os.path.join(self._folder, name))

    def _load(self, name: str) -> tuple[np.ndarray, list[int]]:
        """Pixels `(n, 3, 32, 32)` and targets of one file."""
        batch = self._unpickled(name)
        pixels, targets = batch.get("data"), batch.get("labels", batch.get("fine_labels"))
        count = len(targets) if isinstance(targets, list) else -1
        if not isinstance(pixels, np.ndarray) or pixels.shape != (count, 3 * 32 * 32):
            raise RuntimeError(
                f"{os.path.join(self._folder, name)} is no batch of CIFAR: it has no array of "
                "3072 pixels for each of its labels"
            )
        return pixels.reshape(count, *_SHAPE), targets

    def _check_integrity(self) -> bool:
        files = [*self.train_list, *self.test_list, [self.meta["filename"], self.meta["md5"]]]
        return all(check_integrity(os.path.join(self._folder, name), md5) for name, md5 in files)

    def download(self) -> None:
        """Get and unpack the archive, unless the files are there.

        Raises `DownloadError`, a `RuntimeError`, that says why it could not be done.
        """
        if not self._check_integrity():
            download_and_extract_archive(
                self.url, self.root or "", filename=self.filename, md5=self.tgz_md5
            )

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = pillow().fromarray(self.data[index]), self.targets[index]
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """Photographs of a hundred kinds of things; otherwise like `CIFAR10`.

    The targets are the fine labels, from 0 to 99.
    """

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list: ClassVar[list[list[str]]] = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list: ClassVar[list[list[str]]] = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta: ClassVar[dict[str, str]] = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }


# Reading the pickles --------------------------------------------------------------------------


class _Dtype(Stateful):
    """Stands for `numpy.dtype("u1", …)`, the only one that these files have."""

    def __init__(self, code: Any, *more: Any) -> None:
        if code != "u1":
            raise pickle.UnpicklingError(f"refused: an array of {code!r}, expected uint8")

    def set_state(self, state: Any) -> None:
        pass


class _Array(Stateful):
    """Stands for the array that its state describes."""

    pixels: np.ndarray

    def __init__(self, *of: Any) -> None:
        pass

    def set_state(self, state: Any) -> None:
        _, shape, kind, fortran_order, raw = state
        if not (isinstance(kind, _Dtype) and isinstance(shape, tuple) and len(shape) == 2):
            raise ValueError("an array is not as it should be")
        if isinstance(raw, str):  # Python 2 did not tell bytes from text
            raw = raw.encode("latin-1")
        flat = np.frombuffer(raw, np.uint8)
        self.pixels = flat.reshape(shape, order="F" if fortran_order else "C")


_NDARRAY = Global("numpy.ndarray", None)
_NAMES = {
    f"{package}.multiarray._reconstruct": Global("numpy's _reconstruct", _Array)
    for package in ("numpy.core", "numpy._core")
} | {"numpy.ndarray": _NDARRAY, "numpy.dtype": Global("numpy.dtype", _Dtype)}


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def read_batch(path: str) -> dict[str, Any]:
    """The dict in a file of CIFAR: strings, lists of numbers, and arrays of bytes.

    Raises `pickle.UnpicklingError` if the file wants anything else, `RuntimeError` if it is
    damaged.
    """
    try:
        with open(path, "rb") as file:
            found = load_pickle(file, {**PLAIN, **_NAMES}, strings=_text)
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(f"{path}: {error}") from None
    except DAMAGED as error:
        raise RuntimeError(f"{path} is damaged or no file of CIFAR ({error})") from error
    return {key: v.pixels if isinstance(v, _Array) else v for key, v in found.items()}
