"""Datasets in their published formats, made here: MNIST's idx, CIFAR's pickles, folders of images."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import sys
import tarfile
import zipfile
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.utils.data import DataLoader
from tensorlab.vision import datasets, transforms
from tensorlab.vision.datasets import (
    CIFAR10,
    CIFAR100,
    EMNIST,
    KMNIST,
    MNIST,
    FakeData,
    FashionMNIST,
)
from tensorlab.vision.datasets.folder import find_classes, has_file_allowed_extension, make_dataset

Image = pytest.importorskip("PIL.Image", reason="images are PIL images")


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    """An array in the format of MNIST's files."""
    header = struct.pack(">HBB", 0, code, array.ndim)
    big = array.astype(array.dtype.newbyteorder(">"))
    return header + struct.pack(f">{array.ndim}I", *array.shape) + big.tobytes()


def python2_pickle(batch: dict[str, Any]) -> bytes:
    """What Python 2's cPickle and NumPy wrote: all text, and the pixels too, as byte strings."""
    out = io.BytesIO()
    numbers = iter(range(1_000_000))

    def put() -> None:
        number = next(numbers)
        if number < 256:
            out.write(b"q" + bytes([number]))
        else:
            out.write(b"r" + struct.pack("<I", number))

    def text(data: bytes) -> None:
        if len(data) < 256:
            out.write(b"U" + bytes([len(data)]) + data)
        else:
            out.write(b"T" + struct.pack("<i", len(data)) + data)
        put()

    def dump(value: Any) -> None:
        if isinstance(value, str):
            text(value.encode("latin-1"))
        elif isinstance(value, int):
            out.write(b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value))
        elif isinstance(value, list):
            out.write(b"]")
            put()
            for begin in range(0, len(value), 1000):
                out.write(b"(")
                for item in value[begin : begin + 1000]:
                    dump(item)
                out.write(b"e")
        else:
            array(value)

    def array(value: np.ndarray) -> None:
        out.write(b"cnumpy.core.multiarray\n_reconstruct\n")
        put()
        out.write(b"cnumpy\nndarray\n")
        put()
        out.write(b"K\x00\x85")
        put()
        text(b"b")
        out.write(b"\x87")
        put()
        out.write(b"R")
        put()
        out.write(b"(K\x01")
        for size in value.shape:
            dump(size)
        out.write(b"\x86")
        put()
        out.write(b"cnumpy\ndtype\n")
        put()
        text(b"u1")
        out.write(b"K\x00K\x01\x87")
        put()
        out.write(b"R")
        put()
        out.write(b"(K\x03")
        text(b"|")
        out.write(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t")
        put()
        out.write(b"b\x89")
        text(value.tobytes())
        out.write(b"t")
        put()
        out.write(b"b")

    out.write(b"\x80\x02}")
    put()
    out.write(b"(")
    for key, value in batch.items():
        text(key.encode())
        dump(value)
    out.write(b"u.")
    data = out.getvalue()
    loaded = pickle.loads(data, encoding="latin1")  # it is what it claims to be
    assert list(loaded) == list(batch)
    return data


# MNIST ----------------------------------------------------------------------------------------

COUNTS = {"train": 30, "t10k": 12}


@pytest.fixture
def mnist(rng):
    """The four files, name → bytes, and what is in them."""
    arrays = {}
    for part, count in COUNTS.items():
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, count).astype(np.uint8)
    return {name: idx(array) for name, array in arrays.items()}, arrays


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, KMNIST])
def test_mnist(mnist, tmp_path, packed, kind):
    files, arrays = mnist
    if packed:
        files = {f"{name}.gz": gzip.compress(data) for name, data in files.items()}
    put(tmp_path / kind.__name__ / "raw", files)
    for train, part in ((True, "train"), (False, "t10k")):
        data = kind(str(tmp_path), train=train)
        pixels, labels = (arrays[f"{part}-{what}-ubyte"] for what in ("images-idx3", "labels-idx1"))
        assert data.data.dtype is tl.uint8
        assert data.targets.dtype is tl.int64
        np.testing.assert_array_equal(data.data.numpy(), pixels)
        np.testing.assert_array_equal(data.targets.numpy(), labels)
        assert len(data) == COUNTS[part]
        image, target = data[3]
        assert isinstance(image, Image.Image)
        assert (image.mode, image.size) == ("L", (28, 28))
        np.testing.assert_array_equal(np.asarray(image), pixels[3])
        assert type(target) is int
        assert target == labels[3]
        with pytest.raises(IndexError):
            data[COUNTS[part]]
    assert len(data.classes) == 10
    assert data.class_to_idx[data.classes[7]] == 7
    with pytest.warns(UserWarning, match="has been renamed targets"):
        assert data.test_labels is data.targets


def test_mnist_as_everybody_writes_it(mnist, tmp_path):
    files, arrays = mnist
    put(tmp_path / "MNIST" / "raw", files)
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    )
    data = MNIST(tmp_path, train=True, transform=transform, target_transform=lambda t: -t)
    x, y = next(iter(DataLoader(data, batch_size=30)))
    pixels = arrays["train-images-idx3-ubyte"].astype(np.float32)
    np.testing.assert_allclose(
        x.numpy()[:, 0], (pixels / 255 - 0.1307) / 0.3081, rtol=1e-5, atol=1e-6
    )
    assert x.dtype is tl.float32
    np.testing.assert_array_equal(y.numpy(), -arrays["train-labels-idx1-ubyte"].astype(int))
    assert repr(data) == (
        f"Dataset MNIST\n    Number of datapoints: 30\n    Root location: {tmp_path}\n    Split: Train\n"
        "    StandardTransform\nTransform: Compose(\n               ToTensor()\n"
        "               Normalize(mean=(0.1307,), std=(0.3081,))\n           )\n"
        f"Target transform: {data.target_transform!r}"
    )


def test_mnist_is_downloaded_once(server, mnist, tmp_path, monkeypatch):
    files, _ = mnist
    packed = {f"{name}.gz": gzip.compress(data) for name, data in files.items()}
    server.files = {f"good/{name}": data for name, data in packed.items()}
    monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}/bad/", f"{server.url}/good/"])
    monkeypatch.setattr(MNIST, "resources", [(name, md5(data)) for name, data in packed.items()])
    with pytest.raises(RuntimeError, match="Dataset not found. You can use download=True"):
        MNIST(tmp_path)
    server.cut_after = [100]
    for _ in range(2):
        assert len(MNIST(tmp_path, download=True)) == 30
    asked = len(server.seen)
    assert sorted(os.listdir(tmp_path / "MNIST" / "raw")) == sorted([*files, *packed])
    assert len(MNIST(tmp_path, train=False)) == 12
    assert len(server.seen) == asked

    monkeypatch.setattr(MNIST, "resources", [(name, "0" * 32) for name in packed])
    with pytest.raises(RuntimeError, match="train-images-idx3-ubyte.gz could not be downloaded"):
        MNIST(tmp_path / "new", download=True)
    with pytest.raises(RuntimeError, match="Dataset not found"):
        MNIST(tmp_path / "new")


def test_damaged_idx_files(mnist, tmp_path):
    files, _ = mnist
    folder = tmp_path / "MNIST" / "raw"
    name = "train-images-idx3-ubyte"
    good = files[name]
    whole = gzip.compress(good)
    for broken, message in [
        (good[:-1], "damaged or incomplete"),
        (good + b"!", "damaged or incomplete"),
        (good[:9], "damaged or incomplete"),
        (whole[: len(whole) // 2], "damaged or incomplete"),
        (b"<html>not found</html>", "is not an idx file: it begins with 3c 68 74 6d"),
        (b"", "is not an idx file"),
        (files["train-labels-idx1-ubyte"], "should hold images"),
        (idx(np.zeros((29, 28, 28), np.uint8)), "one number for each of 29 images"),
        (idx(np.zeros((30, 28, 28), np.int32), 0x0C), "should hold images"),
    ]:
        put(folder, {**files, name: broken})
        with pytest.raises(ValueError, match=message):
            MNIST(tmp_path)


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")]
)
def test_idx_of_all_types(code, dtype, rng, tmp_path):
    from tensorlab.vision.datasets._idx import read_idx

    array = (rng.standard_normal((2, 3, 4)) * 100).astype(dtype)
    (tmp_path / "x").write_bytes(idx(array, code))
    found = read_idx(tmp_path / "x")
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, array)


def test_emnist(server, rng, tmp_path, monkeypatch):
    pixels = rng.integers(0, 256, (5, 28, 28), np.uint8)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for split in EMNIST.splits:
            for part in ("train", "test"):
                images, labels = (
                    gzip.compress(idx(pixels)),
                    gzip.compress(idx(np.arange(5, dtype=np.uint8))),
                )
                archive.writestr(f"gzip/emnist-{split}-{part}-images-idx3-ubyte.gz", images)
                archive.writestr(f"gzip/emnist-{split}-{part}-labels-idx1-ubyte.gz", labels)
    server.files["gzip.zip"] = out.getvalue()
    monkeypatch.setattr(EMNIST, "url", f"{server.url}/gzip.zip")
    monkeypatch.setattr(EMNIST, "md5", md5(out.getvalue()))
    counts = {
        "byclass": 62,
        "bymerge": 47,
        "balanced": 47,
        "letters": 27,
        "digits": 10,
        "mnist": 10,
    }
    for split, count in counts.items():
        data = EMNIST(tmp_path, split, train=False, download=True)
        assert len(data.classes) == count
        np.testing.assert_array_equal(data.data.numpy(), pixels)
    assert len(server.seen) == 1
    assert "Splitting: mnist" in repr(data)
    with pytest.raises(ValueError, match="Unknown value 'capitals' for argument split"):
        EMNIST(tmp_path, "capitals")


def test_without_pillow(mnist, tmp_path, monkeypatch):
    put(tmp_path / "MNIST" / "raw", mnist[0])
    monkeypatch.setitem(sys.modules, "PIL", None)
    data = MNIST(tmp_path)
    assert data.data.shape == (30, 28, 28)
    with pytest.raises(ImportError, match=r'pip install "tensorlab-course\[vision\]"'):
        data[0]


# CIFAR ----------------------------------------------------------------------------------------


def cifar_files(kind, rng):
    """The files of a small CIFAR, name → bytes, and the training pixels and labels."""
    files, pixels, labels = {}, [], []
    for name, _ in kind.train_list + kind.test_list:
        data = rng.integers(0, 256, (7, 3072), np.uint8)
        targets = rng.integers(0, 10, 7).tolist()
        names = [f"picture_s_{i}.png" for i in range(7)]
        batch: dict[str, Any] = {"batch_label": f"training batch {name}", "filenames": names}
        if kind is CIFAR10:
            batch["labels"] = targets
        else:
            batch |= {"coarse_labels": [0] * 7, "fine_labels": targets}
        batch["data"] = data
        files[name] = python2_pickle(batch)
        if [name] in [entry[:1] for entry in kind.train_list]:
            pixels.append(data)
            labels += targets
    classes = [f"class {i}" for i in range(10 if kind is CIFAR10 else 100)]
    files[kind.meta["filename"]] = python2_pickle({kind.meta["key"]: classes, "num_vis": 3072})
    return files, np.concatenate(pixels), labels, classes


@pytest.fixture(params=[CIFAR10, CIFAR100])
def cifar(request, rng, server, monkeypatch):
    """A CIFAR whose checksums are those of small files on the server."""
    kind = request.param
    files, pixels, labels, classes = cifar_files(kind, rng)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{kind.base_folder}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    server.files["x.tar.gz"] = out.getvalue()
    monkeypatch.setattr(kind, "url", f"{server.url}/x.tar.gz")
    monkeypatch.setattr(kind, "tgz_md5", md5(out.getvalue()))
    for entries in ("train_list", "test_list"):
        monkeypatch.setattr(kind, entries, [[n, md5(files[n])] for n, _ in getattr(kind, entries)])
    name = kind.meta["filename"]
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(files[name])})
    return kind, files, pixels, labels, classes


def test_cifar(cifar, server, tmp_path):
    kind, _, pixels, labels, classes = cifar
    with pytest.raises(
        RuntimeError, match="Dataset not found or corrupted. You can use download=True"
    ):
        kind(tmp_path)
    for _ in range(2):
        data = kind(tmp_path, download=True)
    assert len(server.seen) == 1
    assert data.data.shape == (len(pixels), 32, 32, 3)
    assert data.data.dtype == np.uint8
    assert data.targets == labels
    assert data.classes == classes
    assert data.class_to_idx["class 3"] == 3
    image, target = data[2]
    assert (image.mode, image.size, target) == ("RGB", (32, 32), labels[2])
    planes = transforms.PILToTensor()(image).numpy()
    np.testing.assert_array_equal(planes.reshape(-1), pixels[2])
    assert len(kind(tmp_path, train=False)) == 7
    assert "Split: Test" in repr(kind(tmp_path, train=False))
    flipped = kind(tmp_path, transform=transforms.ToTensor(), target_transform=str)[2]
    assert flipped[0].shape == (3, 32, 32)
    assert flipped[1] == str(labels[2])

    (tmp_path / kind.base_folder / kind.test_list[0][0]).write_bytes(b"something else")
    with pytest.raises(RuntimeError, match="Dataset not found or corrupted"):
        kind(tmp_path)
    assert len(kind(tmp_path, download=True)) == len(pixels)


class Evil:
    def __reduce__(self):
        return os.system, ("echo this must not run",)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (pickle.dumps(Evil(), 2), pickle.UnpicklingError, "refused: the file wants .*system"),
        (pickle.dumps({"data": np.zeros((1, 3072), "O")}, 2), pickle.UnpicklingError, "array of 'O8'"),
        (pickle.dumps({"data": np.zeros((1, 3072), "f4")}, 2), pickle.UnpicklingError, "expected uint8"),
        (pickle.dumps([1, 2], 2), RuntimeError, "it holds a list"),
        (pickle.dumps({"data": np.zeros((3, 3072), "u1"), "labels": [1]}, 2), RuntimeError, "no batch"),
        (pickle.dumps({"labels": [1]}, 2), RuntimeError, "no batch"),
        (b"", RuntimeError, "damaged"),
        (b"\x80\x02}q\x00(U\x06labels", RuntimeError, "damaged"),
        (b"\x80\x02cnumpy\ndtype\nU\x02u1\x85R}b.", RuntimeError, "holds a _Dtype"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R(K\x01tb.", RuntimeError, "damaged"),
        (b"\x80\x02cnumpy\nndarray\n}b.", pickle.UnpicklingError, "sets attributes of a Global"),
    ],
)  # fmt: skip
def test_hostile_and_damaged_pickles(content, error, message, tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "train_list", [["x", md5(content)]])
    monkeypatch.setattr(CIFAR10, "test_list", [])
    meta = python2_pickle({"label_names": ["a"]})
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(meta)})
    put(tmp_path / CIFAR10.base_folder, {"x": content, "batches.meta": meta})
    with pytest.raises(error, match=message):
        CIFAR10(tmp_path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_written_by_todays_python_are_read_too(protocol, rng, tmp_path):
    from tensorlab.vision.datasets.cifar import read_batch

    batch = {"data": rng.integers(0, 256, (3, 3072), np.uint8), "labels": [1, 2, 300]}
    (tmp_path / "x").write_bytes(pickle.dumps(batch, protocol))
    if protocol == 5:  # arrays are kept another way, which these files do not use
        with pytest.raises(pickle.UnpicklingError, match="refused"):
            read_batch(str(tmp_path / "x"))
        return
    found = read_batch(str(tmp_path / "x"))
    np.testing.assert_array_equal(found["data"], batch["data"])
    assert found["labels"] == batch["labels"]


# Folders --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, rng):
    for name in ("dog/b.png", "dog/deep/a.JPG", "cat/2.bmp", "cat/1.png", "cat/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            Image.fromarray(rng.integers(0, 256, (5, 6), np.uint8)).save(path)
    (tmp_path / "file.txt").write_text("no class")
    return tmp_path


def relative(samples, folder):
    return [
        (os.path.relpath(path, folder).replace(os.sep, "/"), target) for path, target in samples
    ]


def test_image_folder(folder):
    data = datasets.ImageFolder(folder, transform=transforms.PILToTensor(), target_transform=str)
    assert data.classes == ["cat", "dog"]
    assert data.class_to_idx == {"cat": 0, "dog": 1}
    assert relative(data.samples, folder) == [
        ("cat/1.png", 0), ("cat/2.bmp", 0), ("dog/b.png", 1), ("dog/deep/a.JPG", 1),
    ]  # fmt: skip
    assert data.imgs is data.samples
    assert data.targets == [0, 0, 1, 1]
    image, target = data[2]
    assert (image.shape, target) == ((3, 5, 6), "1")  # RGB, although the file is grey
    assert len(data) == 4
    assert isinstance(datasets.ImageFolder(str(folder))[0][0], Image.Image)
    assert repr(data).startswith(
        "Dataset ImageFolder\n    Number of datapoints: 4\n    Root location: "
    )


def test_image_folder_in_worker_processes(folder):
    data = datasets.ImageFolder(folder, transform=transforms.ToTensor())
    here = [x for x, _ in DataLoader(data, batch_size=3)]
    there = [x for x, _ in DataLoader(data, batch_size=3, num_workers=2)]
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_dataset_folder(folder):
    data = datasets.DatasetFolder(folder, os.path.basename, (".png",))
    assert list(data) == [("1.png", 0), ("b.png", 1)]
    odd = datasets.ImageFolder(folder, is_valid_file=lambda path: path.endswith((".txt", "a.JPG")))
    assert relative(odd.samples, folder) == [("cat/notes.txt", 0), ("dog/deep/a.JPG", 1)]
    with pytest.raises(OSError, match="cannot identify image file"):
        odd[0]


def test_folders_without_files(folder):
    (folder / "bird").mkdir()
    with pytest.raises(
        FileNotFoundError, match="no valid file for the classes bird. Supported ext.*: .jpg,"
    ):
        datasets.ImageFolder(folder)
    data = datasets.ImageFolder(folder, allow_empty=True)
    assert data.classes == ["bird", "cat", "dog"]
    assert data.targets == [1, 1, 2, 2]
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder in"):
        datasets.ImageFolder(folder / "bird")
    with pytest.raises(FileNotFoundError):
        datasets.ImageFolder(folder / "fish")


def test_folder_functions(folder):
    assert find_classes(folder) == (["cat", "dog"], {"cat": 0, "dog": 1})
    assert has_file_allowed_extension("A.PNG", (".png",))
    for both in ({}, {"extensions": (".png",), "is_valid_file": bool}):
        with pytest.raises(ValueError, match="Both extensions and is_valid_file cannot be None"):
            make_dataset(folder, **both)
    with pytest.raises(ValueError, match="must have at least one entry"):
        make_dataset(folder, {}, (".png",))
    backwards = make_dataset(folder, {"dog": 0, "cat": 1}, ".png")
    assert relative(backwards, folder) == [("cat/1.png", 1), ("dog/b.png", 0)]
    assert relative(make_dataset(folder, {"dog": 5}, ".png"), folder) == [("dog/b.png", 5)]


# FakeData -------------------------------------------------------------------------------------


def test_fake_data(seed):
    data = FakeData(20, (3, 8, 9), num_classes=4, transform=transforms.PILToTensor())
    tl.manual_seed(seed)
    image, target = data[3]
    again = tl.rand(1)
    tl.manual_seed(seed)
    assert float(again) == float(tl.rand(1))  # nobody else's numbers are used up
    assert image.shape == (3, 8, 9)
    assert image.dtype is tl.uint8
    assert 0 <= target < 4
    assert bool((data[3][0] == image).all())
    assert not bool((data[4][0] == image).all())
    assert len({data[i][1] for i in range(20)}) == 4
    other = FakeData(20, (3, 8, 9), 4, transforms.PILToTensor(), random_offset=3)
    assert bool((other[0][0] == image).all())
    for index in (20, -1):
        with pytest.raises(IndexError):
            data[index]


def test_fake_data_draws_as_torchvision(seed):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of the numbers drawn")
    torch.manual_seed(5)
    pixels, target = torch.randn(3, 8, 9), torch.randint(0, 10, size=(1,)).item()
    image, found = FakeData(20, (3, 8, 9), transform=transforms.PILToTensor())[5]
    assert found == target
    np.testing.assert_array_equal(image.numpy(), pixels.mul(255).byte().numpy())
