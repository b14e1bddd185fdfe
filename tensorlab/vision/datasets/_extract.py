"""Unpacking archives that somebody else made: nothing lands outside of the folder."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorlab._files import replacing

__all__ = ["extract_archive"]

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz")
_SINGLE: dict[str, Callable[[str], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def extract_archive(
    from_path: str | os.PathLike[str],
    to_path: str | os.PathLike[str] | None = None,
    remove_finished: bool = False,
) -> str:
    """Unpack a tar or zip archive, or a single compressed file; returns where it went.

    Nothing of an archive that is damaged, or that wants to write elsewhere, is left.

    Args:
        from_path: its ending says what it is: `.tar` (also `.gz`, `.bz2`, `.xz`, `.tgz` …),
            `.zip`, or `.gz`, `.bz2` and `.xz` of one file.
        to_path: the folder, or the name of the file for a single one; by default beside it.
        remove_finished: delete the archive afterwards.

    Raises:
        RuntimeError: the ending is none of those.
        ValueError: the archive is damaged, or a name in it leads out of the folder.
    """
    source = os.fspath(from_path)
    lower = source.lower()
    ending = os.path.splitext(lower)[1]
    if lower.endswith((*_TAR, ".zip")):
        target = os.fspath(to_path) if to_path is not None else os.path.dirname(source) or "."
        _unpack(source, target, _read_zip if ending == ".zip" else _read_tar)
    elif ending in _SINGLE:
        target = os.fspath(to_path) if to_path is not None else source[: -len(ending)]
        _decompress(source, target, _SINGLE[ending])
    else:
        raise RuntimeError(
            f"Unknown compression or archive type of {os.path.basename(source)!r}: known are "
            f"{', '.join([*_TAR, '.zip', *_SINGLE])}"
        )
    if remove_finished:
        os.remove(source)
    return target


_DAMAGED = (EOFError, gzip.BadGzipFile, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)


def _damaged(source: str, error: Exception) -> ValueError:
    return ValueError(f"{source} is damaged or incomplete ({error}): download it again")


def _decompress(source: str, target: str, opener: Callable[[str], Any]) -> None:
    import zlib

    try:
        with opener(source) as packed, replacing(target) as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except (*_DAMAGED, zlib.error) as error:
        raise _damaged(source, error) from error


def _unpack(source: str, target: str, read: Callable[[str, str], None]) -> None:
    """Unpack into a folder beside the place, then move all there."""
    import zlib

    os.makedirs(target, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".extracting-", dir=target) as aside:
        try:
            read(source, aside)
        except (*_DAMAGED, zlib.error) as error:
            raise _damaged(source, error) from error
        for folder, _, files in os.walk(aside):
            place = os.path.join(target, os.path.relpath(folder, aside))
            os.makedirs(place, exist_ok=True)
            for name in files:
                os.replace(os.path.join(folder, name), os.path.join(place, name))


def _read_tar(source: str, folder: str) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise RuntimeError(
            "this Python can't unpack tar files safely: Python 3.11.4 and newer can, update it"
        )
    with tarfile.open(source) as archive:
        try:
            archive.extractall(folder, filter="data")
        except tarfile.FilterError as error:
            raise ValueError(f"{source} is not unpacked, as it is not safe: {error}") from error


def _read_zip(source: str, folder: str) -> None:
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            name = entry.filename
            parts = Path(name.replace("\\", "/")).parts
            if ".." in parts or Path(name).is_absolute() or name[:1] in "/\\" or name[1:2] == ":":
                raise ValueError(
                    f"{source} is not unpacked, as it is not safe: {name!r} leads out of the folder"
                )
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise ValueError(f"{source} is not unpacked, as it is not safe: {name!r} is a link")
        archive.extractall(folder)
