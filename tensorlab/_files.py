"""Writing a file so that a reader, or a crash, never finds half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["replacing", "write_text"]


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` as UTF-8 to `path`, replacing what is there at once; returns the path.

    Raises `OSError` if the folder does not exist or may not be written to.
    """
    target = Path(path)
    with _beside(target, sync=False) as file:
        file.write(text.encode("utf-8"))
    return target


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends, and only if it ends well.

    What is written is on the disk before the old file goes. A link stays one: the file that it
    names is replaced. A pipe or a device cannot be replaced and is written to.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with open(target, "wb") as file:
            yield file
    else:
        with _beside(target, sync=True) as file:
            yield file


@contextmanager
def _beside(target: Path, *, sync: bool) -> Iterator[BinaryIO]:
    """A temporary file in the folder of `target` that is given its name at the end."""
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(handle, "w+b") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes it readable for its owner only
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    """The process's umask; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
