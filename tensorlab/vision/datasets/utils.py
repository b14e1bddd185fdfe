"""Files of datasets: downloading, checking and unpacking, with torchvision's names."""

from __future__ import annotations

import os
from collections.abc import Collection

from tensorlab.vision.datasets._download import DownloadError, checksum, download
from tensorlab.vision.datasets._extract import extract_archive

__all__ = [
    "DownloadError",
    "calculate_md5",
    "check_integrity",
    "check_md5",
    "download_and_extract_archive",
    "download_url",
    "extract_archive",
    "list_dir",
    "list_files",
    "verify_str_arg",
]

Path = str | os.PathLike[str]


def calculate_md5(fpath: Path, chunk_size: int = 1024 * 1024) -> str:
    """The MD5 checksum of a file, in hexadecimal digits. `chunk_size` is not needed any more."""
    return checksum(fpath)


def check_md5(fpath: Path, md5: str) -> bool:
    """Whether the file has this MD5 checksum."""
    return calculate_md5(fpath) == md5.lower()


def check_integrity(fpath: Path, md5: str | None = None) -> bool:
    """Whether the file is there and, if one is given, has this MD5 checksum."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


def download_url(
    url: str,
    root: Path,
    filename: str | os.PathLike[str] | None = None,
    md5: str | None = None,
    max_redirect_hops: int = 3,
) -> None:
    """Download a file into the folder `root`, if it is not there already.

    A download that was cut short goes on where it ended, and a file is only given its name when it
    is complete and its checksum right.

    Args:
        url: https, or http on this computer.
        root: the folder; made if need be.
        filename: the name of the file; by default the end of the URL.
        md5: the checksum that it must have.
        max_redirect_hops: not needed any more: each address that the server sends on to is checked.

    Raises:
        ValueError: the URL is neither https nor on this computer.
        DownloadError: a `RuntimeError` that says why: no network, not found, wrong checksum.
        OSError: it can't be written.
    """
    folder = os.path.expanduser(root)
    path = os.path.join(folder, filename or os.path.basename(url))
    if not check_integrity(path, md5):
        download([url], path, md5=md5)


def download_and_extract_archive(
    url: str,
    download_root: Path,
    extract_root: Path | None = None,
    filename: str | os.PathLike[str] | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """`download_url` and then `extract_archive`.

    Args:
        url, filename, md5: of the archive, as for `download_url`.
        download_root: the folder for the archive.
        extract_root: the folder for what is in it; by default the same.
        remove_finished: delete the archive afterwards.
    """
    folder = os.path.expanduser(download_root)
    name = os.fspath(filename) if filename else os.path.basename(url)
    download_url(url, folder, name, md5)
    into = os.path.expanduser(extract_root) if extract_root is not None else folder
    extract_archive(os.path.join(folder, name), into, remove_finished)


def list_dir(root: Path, prefix: bool = False) -> list[str]:
    """The names of the folders in `root`; with `prefix`, their paths."""
    folder = os.path.expanduser(root)
    names = [n for n in os.listdir(folder) if os.path.isdir(os.path.join(folder, n))]
    return [os.path.join(folder, n) for n in names] if prefix else names


def list_files(root: Path, suffix: str | tuple[str, ...], prefix: bool = False) -> list[str]:
    """The names of the files in `root` that end in `suffix`; with `prefix`, their paths."""
    folder = os.path.expanduser(root)
    names = [
        n for n in os.listdir(folder)
        if n.endswith(suffix) and os.path.isfile(os.path.join(folder, n))
    ]  # fmt: skip
    return [os.path.join(folder, n) for n in names] if prefix else names


def verify_str_arg(
    value: str,
    arg: str | None = None,
    valid_values: Collection[str] | None = None,
    custom_msg: str | None = None,
) -> str:
    """`value`, if it is one of these strings.

    Raises `ValueError` if it is not; the message names the argument `arg`, or is `custom_msg`.

    >>> verify_str_arg("train", "split", ("train", "test"))
    'train'
    """
    if not isinstance(value, str):
        of = "" if arg is None else f" for argument {arg}"
        raise ValueError(f"Expected type str{of}, but got type {type(value).__name__}.")
    if valid_values is not None and value not in valid_values:
        of = "" if arg is None else f" for argument {arg}"
        raise ValueError(
            custom_msg
            or f"Unknown value '{value}'{of}. Valid values are {{{', '.join(valid_values)}}}."
        )
    return value
