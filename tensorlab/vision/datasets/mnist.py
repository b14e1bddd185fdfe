"""MNIST and the datasets in its format: 28 by 28 pixels of grey, in idx files."""

from __future__ import annotations

import os
import string
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tensorlab._tensor import Tensor, wrap
from tensorlab.vision._pillow import pillow
from tensorlab.vision.datasets._download import download
from tensorlab.vision.datasets._extract import extract_archive
from tensorlab.vision.datasets._idx import read_idx
from tensorlab.vision.datasets.utils import (
    check_integrity,
    download_and_extract_archive,
    verify_str_arg,
)
from tensorlab.vision.datasets.vision import VisionDataset

__all__ = ["EMNIST", "FashionMNIST", "KMNIST", "MNIST"]


class MNIST(VisionDataset):
    """Handwritten digits: 60,000 pictures for training and 10,000 for testing, 28 by 28 pixels.

    An item is `(image, target)`: a PIL image of mode "L", and an `int` from 0 to 9. The files are
    those of torchvision, in `root/MNIST/raw`, as they come (`.gz`) or unpacked.

    Args:
        root: the folder that has, or gets, the folder `MNIST`.
        train: the training part (`True`, default) or the test part.
        transform: a function of the image, like `transforms.ToTensor()`.
        target_transform: a function of the target.
        download: get what is not there from one of `mirrors`, with its checksum verified.

    Attributes:
        data: uint8 tensor `(N, 28, 28)`, 0 is paper and 255 ink.
        targets: int64 tensor `(N,)`.
        classes: the names of the classes.

    Raises:
        RuntimeError: the files are not there, or could not be downloaded.
        ValueError: a file is damaged.
        ImportError: an item is asked for and Pillow is not installed; `data` needs none.

    Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits",
    http://yann.lecun.com/exdb/mnist/.
    """

    mirrors: ClassVar[list[str]] = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ]
    #: The files and their MD5 checksums, as published.
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes: list[str] = [  # noqa: RUF012 - the variants have their own
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
        if not self._check_exists():
            raise RuntimeError(
                "Dataset not found. You can use download=True to download it: "
                f"{self.raw_folder} should have {', '.join(self._file_names())}"
            )
        self.data, self.targets = self._load_data()

    @property
    def raw_folder(self) -> str:
        """The folder of the files: `root/MNIST/raw`."""
        return os.path.join(self.root or "", type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Class name → target."""
        return {name: index for index, name in enumerate(self.classes)}

    @property
    def train_data(self) -> Tensor:
        warnings.warn("train_data has been renamed data", UserWarning, stacklevel=2)
        return self.data

    @property
    def test_data(self) -> Tensor:
        warnings.warn("test_data has been renamed data", UserWarning, stacklevel=2)
        return self.data

    @property
    def train_labels(self) -> Tensor:
        warnings.warn("train_labels has been renamed targets", UserWarning, stacklevel=2)
        return self.targets

    @property
    def test_labels(self) -> Tensor:
        warnings.warn("test_labels has been renamed targets", UserWarning, stacklevel=2)
        return self.targets

    def _file_names(self) -> list[str]:
        """The files of all parts, unpacked."""
        return [name.removesuffix(".gz") for name, _ in self.resources]

    def _path(self, name: str) -> str | None:
        """Where the file of this name is, unpacked or not; None if it is not there."""
        path = os.path.join(self.raw_folder, name)
        return next((p for p in (path, f"{path}.gz") if os.path.isfile(p)), None)

    def _check_exists(self) -> bool:
        return all(self._path(name) for name in self._file_names())

    def _load_data(self) -> tuple[Tensor, Tensor]:
        part = "train" if self.train else "t10k"
        return self._read(f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")

    def _read(self, images_file: str, labels_file: str) -> tuple[Tensor, Tensor]:
        images, labels = (read_idx(self._path(name) or name) for name in (images_file, labels_file))
        if images.dtype != np.uint8 or images.ndim != 3:
            raise ValueError(f"{images_file} should hold images, has {images.shape} {images.dtype}")
        if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{labels_file} should hold one number for each of {len(images)} images, has "
                f"{labels.shape} {labels.dtype}"
            )
        return wrap(images), wrap(labels.astype(np.int64))

    def download(self) -> None:
        """Get the files that are not there.

        Raises `DownloadError`, a `RuntimeError`, that says why it could not be done.
        """
        if self._check_exists():
            return
        for name, md5 in self.resources:
            path = os.path.join(self.raw_folder, name)
            if not check_integrity(path, md5):
                download([mirror + name for mirror in self.mirrors], path, md5=md5)
            extract_archive(path)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image: Any = pillow().fromarray(self.data[index].numpy())
        target = int(self.targets[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class FashionMNIST(MNIST):
    """Pictures of clothes, 28 by 28 pixels, in ten classes, as many as `MNIST` has; arguments as there.

    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
    Machine Learning Algorithms" (2017), https://arxiv.org/abs/1708.07747.
    """

    mirrors: ClassVar[list[str]] = [
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ]
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [  # noqa: RUF012
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]


class KMNIST(MNIST):
    """Handwritten Japanese characters, 28 by 28 pixels, in ten classes, as many as `MNIST` has.

    Arguments as there. Source: T. Clanuwat and others, "Deep Learning for Classical Japanese
    Literature" (2018), https://arxiv.org/abs/1812.01718.
    """

    mirrors: ClassVar[list[str]] = ["https://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]  # noqa: RUF012


class EMNIST(MNIST):
    """Handwritten letters and digits, 28 by 28 pixels, in six selections.

    Args:
        root: the folder that has, or gets, the folder `EMNIST`.
        split: "byclass", "bymerge" (letters that look alike in capital and small are one class),
            "balanced", "letters", "digits" or "mnist".
        **kwargs: those of `MNIST`.

    The pictures are transposed in these files, as torchvision returns them too: rows are columns.

    Raises `ValueError` for another split, and what `MNIST` raises.

    Source: G. Cohen, S. Afshar, J. Tapson, A. van Schaik, "EMNIST: an extension of MNIST to
    handwritten letters" (2017), https://arxiv.org/abs/1702.05373.
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    _merged: ClassVar[set[str]] = set("cijklmopsuvwxyz")
    _all: ClassVar[set[str]] = set(string.digits + string.ascii_letters)
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": sorted(_all),
        "bymerge": sorted(_all - _merged),
        "balanced": sorted(_all - _merged),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: str | os.PathLike[str], split: str, **kwargs: Any) -> None:
        self.split = verify_str_arg(split, "split", self.splits)
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[self.split]

    def _part(self, what: str) -> str:
        return f"emnist-{self.split}-{'train' if self.train else 'test'}-{what}-ubyte"

    def _file_names(self) -> list[str]:
        return [self._part("images-idx3"), self._part("labels-idx1")]

    def _load_data(self) -> tuple[Tensor, Tensor]:
        return self._read(*self._file_names())

    def download(self) -> None:
        """Get the files of all splits, which come in one archive of 560 MB."""
        if not self._check_exists():
            folder = self.raw_folder
            download_and_extract_archive(self.url, folder, md5=self.md5, remove_finished=True)
            inner = os.path.join(folder, "gzip")
            for name in os.listdir(inner):
                os.replace(os.path.join(inner, name), os.path.join(folder, name))
            os.rmdir(inner)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}\nSplitting: {self.split}"
