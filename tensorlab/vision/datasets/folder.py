"""Pictures in folders, one folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tensorlab.vision._pillow import pillow
from tensorlab.vision.datasets.vision import VisionDataset

__all__ = [
    "DatasetFolder",
    "IMG_EXTENSIONS",
    "ImageFolder",
    "default_loader",
    "find_classes",
    "has_file_allowed_extension",
    "is_image_file",
    "make_dataset",
    "pil_loader",
]

Path = str | os.PathLike[str]
IMG_EXTENSIONS = (
    ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp",
)  # fmt: skip


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Whether the name ends in one of these, in capitals or not."""
    wanted = extensions if isinstance(extensions, str) else tuple(extensions)
    return filename.lower().endswith(wanted)


def is_image_file(filename: str) -> bool:
    """Whether the name ends as those of images do."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: Path) -> tuple[list[str], dict[str, int]]:
    """The names of the folders in `directory`, sorted, and their numbers.

    Raises `FileNotFoundError` if there is none.
    """
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {os.fspath(directory)}.")
    return classes, {name: index for index, name in enumerate(classes)}


def make_dataset(
    directory: Path,
    class_to_idx: dict[str, int] | None = None,
    extensions: str | tuple[str, ...] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """The `(path, number of its class)` of all files, at any depth, sorted.

    Args:
        directory: has a folder for each class.
        class_to_idx: the numbers of the classes; `find_classes` if left out.
        extensions: what the names of the files end in; this or `is_valid_file` is given.
        is_valid_file: tells of a path whether the file belongs to the dataset.
        allow_empty: a class without files is no error.

    Raises:
        ValueError: both or none of `extensions` and `is_valid_file` are given, or no classes.
        FileNotFoundError: a class has no files.
    """
    directory = os.path.expanduser(directory)
    if class_to_idx is None:
        _, class_to_idx = find_classes(directory)
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError(
            "Both extensions and is_valid_file cannot be None or not None at the same time"
        )
    if extensions is not None:
        endings = extensions
        is_valid_file = lambda path: has_file_allowed_extension(path, endings)
    assert is_valid_file is not None
    samples: list[tuple[str, int]] = []
    empty: list[str] = []
    for name in sorted(class_to_idx):
        files: list[str] = []
        folder = os.path.join(directory, name)
        if os.path.isdir(folder):
            for place, _, names in sorted(os.walk(folder, followlinks=True)):
                files += [
                    path for n in sorted(names) if is_valid_file(path := os.path.join(place, n))
                ]
        samples += [(path, class_to_idx[name]) for path in files]
        if not files:
            empty.append(name)
    if empty and not allow_empty:
        message = f"Found no valid file for the classes {', '.join(empty)}."
        if extensions is not None:
            endings = extensions if isinstance(extensions, str) else ", ".join(extensions)
            message += f" Supported extensions are: {endings}"
        raise FileNotFoundError(message)
    return samples


def pil_loader(path: Path) -> Any:
    """The image in a file, as a PIL image of mode "RGB"."""
    with pillow().open(path) as image:
        return image.convert("RGB")


def default_loader(path: Path) -> Any:
    """`pil_loader`."""
    return pil_loader(path)


class DatasetFolder(VisionDataset):
    """Files in folders, one folder for each class: `root/cat/1.npy`, `root/dog/more/2.npy`.

    An item is `(loader(path), number of the class)`.

    Args:
        root: the folder of the folders.
        loader: reads a file, given its path.
        extensions: what the names of the files end in; this or `is_valid_file` is given.
        transform: a function of what the loader returns.
        target_transform: a function of the target.
        is_valid_file: tells of a path whether the file belongs to the dataset.
        allow_empty: a class without files is no error.

    Attributes:
        classes: the names of the classes, sorted; `class_to_idx` is their numbers.
        samples: list of `(path, target)`.
        targets: list of targets.

    Raises `FileNotFoundError` if there are no classes, or one has no files.
    """

    def __init__(
        self,
        root: Path,
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        folder = self.root or ""
        self.classes, self.class_to_idx = self.find_classes(folder)
        self.loader = loader
        self.extensions = extensions
        self.samples = self.make_dataset(
            folder, self.class_to_idx, extensions, is_valid_file, allow_empty
        )
        self.targets = [target for _, target in self.samples]

    @staticmethod
    def make_dataset(
        directory: Path,
        class_to_idx: dict[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """The samples; a subclass may find them in another way. See `make_dataset`."""
        if class_to_idx is None:
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: Path) -> tuple[list[str], dict[str, int]]:
        """The classes and their numbers; a subclass may find them in another way."""
        return find_classes(directory)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        item = self.loader(path)
        return (item, target) if self.transforms is None else self.transforms(item, target)

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Images in folders, one folder for each class: `root/cat/1.png`, `root/dog/more/2.jpg`.

    An item is `(image, number of the class)`: the image a PIL image of mode "RGB", the classes in
    the order of their names.

    Args:
        root: the folder of the folders.
        transform: a function of the image, like `transforms.ToTensor()`.
        target_transform: a function of the target.
        loader: reads a file, given its path.
        is_valid_file: tells of a path whether the file is an image; by its ending if left out.
        allow_empty: a class without images is no error.

    Attributes:
        classes, class_to_idx, samples, targets: as those of `DatasetFolder`.
        imgs: `samples`.

    Raises `FileNotFoundError` if there are no classes, or one has no images.
    """

    def __init__(
        self,
        root: Path,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(
            root,
            loader,
            IMG_EXTENSIONS if is_valid_file is None else None,
            transform=transform,
            target_transform=target_transform,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.imgs = self.samples
