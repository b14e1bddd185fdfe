"""The bundled digits: the real pictures, split as documented, with torchvision's manners."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.utils.data import DataLoader, Subset
from tensorlab.vision.datasets import Digits, VisionDataset


def test_sizes_dtypes_and_range():
    train, test = Digits(), Digits(train=False)
    assert (len(train), len(test)) == (1442, 355)
    assert train.data.shape == (1442, 8, 8)
    assert train.data.dtype is tl.uint8
    assert train.targets.shape == (1442,)
    assert train.targets.dtype is tl.int64
    assert (int(train.data.min()), int(train.data.max())) == (0, 16)
    assert len(train.classes) == 10
    assert train.class_to_idx["3 - three"] == 3


def test_both_parts_together_are_the_original_pictures():
    """Put back in the file's order they are, byte for byte, the 1797 pictures of the UCI test set."""
    parts = [Digits(train=True), Digits(train=False)]
    by_class = {}
    for d in range(10):
        train, test = (p.data.numpy()[p.targets.numpy() == d] for p in parts)
        merged = []
        for i in range(len(train) + len(test)):
            merged.append(test[i // 5] if i % 5 == 4 else train[i - i // 5])
        by_class[d] = np.stack(merged)
    counts = [len(by_class[d]) for d in range(10)]
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # Computed from scikit-learn's copy of the data, class by class in the file's order.
    sums = [int(by_class[d].astype(int).sum()) for d in range(10)]
    digest = hashlib.sha256(b"".join(by_class[d].tobytes() for d in range(10))).hexdigest()
    assert sum(sums) == 561718
    assert digest == "3c5ac39e561738e0c959930a99bd11e4fc9f7944ff26898fa795b4e4644f34b4"


def test_the_first_pictures_show_0_1_2():
    train = Digits()
    assert train.targets[:10].tolist() == list(range(10))
    assert train.data[0].tolist()[0] == [0, 0, 5, 13, 9, 1, 0, 0]


def test_classes_are_balanced_in_the_test_part():
    counts = np.bincount(Digits(train=False).targets.numpy())
    assert counts.min() >= 34
    assert counts.max() <= 36


def test_items():
    image, target = Digits()[0]
    assert image.shape == (1, 8, 8)
    assert image.dtype is tl.float32
    assert float(image.max()) <= 1.0
    assert float(image[0, 0, 3]) == 13 / 16
    assert target == 0
    assert type(target) is int
    assert Digits()[-1][1] == int(Digits().targets[-1])
    with pytest.raises(IndexError):
        Digits()[1442]


def test_transforms():
    data = Digits(transform=lambda x: x.flatten(), target_transform=lambda t: t + 100)
    image, target = data[1]
    assert image.shape == (64,)
    assert target == 101


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, range(0, 100, 7))])
def test_batches_are_the_items_collated(wrap):
    fast = DataLoader(wrap(Digits(train=False)), batch_size=50)
    slow = DataLoader(wrap(Digits(train=False, transform=lambda x: x)), batch_size=50)
    for (x, y), (u, v) in zip(fast, slow, strict=True):
        assert x.dtype is u.dtype
        assert y.dtype is v.dtype
        assert x.shape == u.shape
        assert bool((x == u).all())
        assert bool((y == v).all())


def test_repr_is_torchvisions():
    class Flat:
        def __repr__(self):
            return "Flat()"

        def __call__(self, x):
            return x

    assert repr(Digits()) == "Dataset Digits\n    Number of datapoints: 1442\n    Split: Train"
    assert repr(Digits("data", train=False, transform=Flat())) == (
        "Dataset Digits\n"
        "    Number of datapoints: 355\n"
        "    Root location: data\n"
        "    Split: Test\n"
        "    StandardTransform\n"
        "Transform: Flat()"
    )


def test_vision_dataset_is_for_subclasses():
    base = VisionDataset()
    with pytest.raises(NotImplementedError, match="must define __getitem__"):
        base[0]
    with pytest.raises(NotImplementedError, match="must define __len__"):
        len(base)
    with pytest.raises(ValueError, match="Only transforms or transform"):
        VisionDataset(transforms=lambda a, b: (a, b), transform=lambda a: a)
