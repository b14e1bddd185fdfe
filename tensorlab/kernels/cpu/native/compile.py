"""How kernels are compiled, and where the machine code is kept.

Each kernel is compiled once for its one signature, when its module is first imported, and kept on disk
for later starts: in `$TENSORLAB_CACHE`, or the user's cache directory. The folder's name says what the
code was made by and for (the text of all kernels, Numba's version, the processor), so another machine
that shares the disk, or a newer tensorlab, makes its own and leaves this one alone. Where nothing can
be written, code is kept in the temporary directory, or for this process only.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding
from numba.core import config

__all__ = ["cache_folder", "compiled"]

# A product and a sum may become one instruction. NaN, infinities, signed zeros and the order of sums
# stay what they are; kernels that may reorder a sum say so.
_FAST = {"contract"}


def _fingerprint() -> str:
    """What the machine code depends on."""
    text = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        text.update(file.read_bytes())
    for fact in (numba.__version__, sys.version, binding.get_host_cpu_name()):
        text.update(fact.encode())
    text.update(binding.get_host_cpu_features().flatten().encode())
    text.update(os.environ.get("TENSORLAB_LANES", "").encode())  # see `tile`
    return text.hexdigest()[:16]


def _base_folders() -> list[Path]:
    """Where to keep code, the best place first."""
    chosen = os.environ.get("TENSORLAB_CACHE")
    if chosen:
        return [Path(chosen).expanduser(), Path(tempfile.gettempdir()) / f"tensorlab-{_user()}"]
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local")).expanduser()
    elif sys.platform == "darwin":
        home = Path("~/Library/Caches").expanduser()
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return [home / "tensorlab", Path(tempfile.gettempdir()) / f"tensorlab-{_user()}"]


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def _usable(folder: Path) -> bool:
    """Whether files can be made in `folder`, which is made if need be, and it is this user's own.

    Machine code is run as it is found: a folder in the temporary directory that somebody else has
    made is not used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
        return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    except OSError:
        return False


def cache_folder() -> Path | None:
    """Where compiled kernels are kept; None if nowhere."""
    for base in _base_folders():
        folder = base / f"kernels-{_fingerprint()}"
        if _usable(base) and _usable(folder):
            return folder
    return None


_folder = cache_folder()


@functools.cache
def _announce() -> None:
    """One line when kernels have to be compiled: the first use takes seconds, later ones do not."""
    if _folder is not None and any(_folder.rglob("*.nbi")):
        return
    if os.environ.get("TENSORLAB_LIVE") != "0":
        kept = "for this process" if _folder is None else f"kept in {_folder}"
        print(f"tensorlab: compiling CPU kernels for this machine, once ({kept})", file=sys.stderr)


def compiled(
    signature: str, *, reorder: bool = False, inline: bool = False
) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function for one signature, to run without Python's lock.

    reorder: sums may be added in another order, as vectors do it.
    inline: put the code into each caller.
    """
    fast = _FAST | {"reassoc"} if reorder else set(_FAST)

    def decorate(function: Callable[..., Any]) -> Any:
        _announce()
        # Numba asks its configuration where to keep code; the user's own functions must not move.
        before = config.CACHE_DIR  # type: ignore[attr-defined]
        config.CACHE_DIR = "" if _folder is None else str(_folder)  # type: ignore[attr-defined]
        try:
            return numba.njit(
                signature,
                nogil=True,
                cache=_folder is not None,
                error_model="numpy",
                fastmath=fast,
                inline="always" if inline else "never",
            )(function)
        finally:
            config.CACHE_DIR = before  # type: ignore[attr-defined]

    return decorate
