"""Image datasets with torchvision's signatures and files. `Digits` is bundled: no download, no network.

Items are PIL images, as in torchvision, whatever is installed: without Pillow an item is an error
that says how to install it, and the pixels of MNIST and CIFAR are there as `dataset.data`.
"""

from __future__ import annotations

from tensorlab.vision.datasets import utils
from tensorlab.vision.datasets.cifar import CIFAR10, CIFAR100
from tensorlab.vision.datasets.digits import Digits
from tensorlab.vision.datasets.fakedata import FakeData
from tensorlab.vision.datasets.folder import DatasetFolder, ImageFolder
from tensorlab.vision.datasets.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from tensorlab.vision.datasets.vision import StandardTransform, VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "DatasetFolder",
    "Digits",
    "EMNIST",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "KMNIST",
    "MNIST",
    "StandardTransform",
    "VisionDataset",
    "utils",
]
