"""Where compiled kernels are kept, and how they are found again.

They are kept in `$TENSORLAB_CACHE`, or the user's cache directory, in a folder whose name says what the
code was made by and for: the text of all kernels, the versions of Numba and Python, the processor. So
another machine that shares the disk, or a newer tensorlab, makes its own and leaves this one alone.

- A folder that cannot be written to is read all the same: one that a teacher has filled for a class, say.
  What is missing there is kept in the next place, the temporary directory.
- Machine code is run as it is found. So a folder is used only if it belongs to this user, or to whom the
  folder above it belongs, and nobody else may write to it.
- A file is put in its place when it is complete, so any number of processes may compile at once. It begins
  with a checksum: a damaged one is made anew.
- Where nothing can be kept, because the disk is full, say, a warning says so, once, and code is compiled in
  every process.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import stat
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from tensorlab._files import replacing

__all__ = ["Kept", "cache_folder", "folders"]

_CHECKSUM = hashlib.sha256


def _fingerprint() -> str:
    """What the machine code depends on."""
    text = _CHECKSUM()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        text.update(file.read_bytes())
    for fact in (
        numba.__version__,
        sys.version,
        binding.get_process_triple(),
        binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(),
        os.environ.get("TENSORLAB_LANES", ""),  # see `lanes`
    ):
        text.update(f"{fact}\n".encode())
    return text.hexdigest()[:16]


def _bases() -> list[Path]:
    """Where to keep code, the best place first."""
    temporary = Path(tempfile.gettempdir()) / f"tensorlab-{_user()}"
    chosen = os.environ.get("TENSORLAB_CACHE")
    if chosen:
        return [Path(chosen).expanduser(), temporary]
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local")).expanduser()
    elif sys.platform == "darwin":
        home = Path("~/Library/Caches").expanduser()
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return [home / "tensorlab", temporary]


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def _trusted(folder: Path) -> bool:
    """Whether nobody but this user, or the owner of the folder above, can have put code there."""
    if not hasattr(os, "getuid"):  # on Windows, folders of users are their own
        return True
    found = folder.stat()
    owners = {os.getuid(), folder.parent.stat().st_uid}
    return found.st_uid in owners and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def folders() -> tuple[list[Path], Path | None]:
    """Where to look for code, in order; and where to keep what is new, None if nowhere."""
    name = f"kernels-{_fingerprint()}"
    found: list[Path] = []
    for base in _bases():
        # Where somebody else has the folder of that name, in a place for all, this user has another.
        for folder in (base / name, base / f"{name}-{_user()}"):
            writable = _writable(folder)
            try:
                if not folder.is_dir() or not _trusted(folder):
                    continue
            except OSError:
                continue
            found.append(folder)
            if writable:
                return found, folder
    return found, None


def cache_folder() -> Path | None:
    """Where new compiled kernels are kept; None if nowhere."""
    return folders()[1]


class _Store:
    """The folders of this process; found once, and written to until that fails."""

    def __init__(self) -> None:
        self.read, self.write = folders()

    def load(self, name: str) -> bytes | None:
        for folder in self.read:
            try:
                content = (folder / name).read_bytes()
            except OSError:
                continue
            size = _CHECKSUM().digest_size
            if _CHECKSUM(content[size:]).digest() == content[:size]:
                return content[size:]
        return None

    def save(self, name: str, content: bytes) -> None:
        if self.write is None:
            return
        try:
            with replacing(self.write / name) as file:
                file.write(_CHECKSUM(content).digest() + content)
        except OSError as error:
            warnings.warn(
                f"compiled CPU kernels cannot be kept in {self.write} ({error.strerror or error}) and are "
                "compiled again in the next process; TENSORLAB_CACHE names another folder for them",
                RuntimeWarning,
                stacklevel=2,
            )
            self.write = None


@functools.cache
def _store() -> _Store:
    return _Store()


@functools.cache
def _announce() -> None:
    """One line when kernels have to be compiled: the first use takes seconds, later ones do not."""
    if os.environ.get("TENSORLAB_LIVE") != "0":
        folder = _store().write
        kept = "for this process" if folder is None else f"kept in {folder}"
        print(f"tensorlab: compiling CPU kernels for this machine, once ({kept})", file=sys.stderr)


class Kept:
    """The compiled code of one kernel on disk, as Numba's dispatchers ask for it.

    Numba has a cache of its own. It goes by the time stamps of source files, stops at a damaged file or a
    full disk, and its place can be set for all functions of a process only.
    """

    def __init__(self, function: Any, signature: Any) -> None:
        code = function.__code__
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        cells = [getattr(content, "__qualname__", content) for content in cells]  # of functions
        what = _CHECKSUM(f"{function.__qualname__} {signature} {cells}".encode() + code.co_code)
        module = function.__module__.rpartition(".")[2]
        self.name = f"{module}.{function.__name__}-{what.hexdigest()[:16]}.code"
        self.cache_path = ""

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The compiled code; None, and a line says that it takes a while, if there is none yet."""
        target.refresh()
        content = _store().load(self.name)
        if content is None:
            _announce()
            return None
        return CompileResult._rebuild(target, *pickle.loads(content))

    def save_overload(self, signature: Any, found: CompileResult) -> None:
        _store().save(self.name, dumps(found._reduce()))
