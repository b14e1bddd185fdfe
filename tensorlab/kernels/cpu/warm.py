"""Compiling all kernels beforehand: `tensorlab doctor --warm`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tensorlab.kernels.cpu.loading import native

__all__ = ["names", "warm"]

#: Modules of `native` that the kernels are made with.
_TOOLS = {"__init__", "compile", "maths", "tables", "tile"}


def names() -> list[str]:
    """The modules of kernels, in order.

    >>> "gemm" in names()
    True
    """
    files = (Path(__file__).parent / "native").glob("*.py")
    return sorted(file.stem for file in files if file.stem not in _TOOLS)


def warm() -> Iterator[str]:
    """Compile all kernels, or load those that are kept on disk; yields each module's name when it is ready.

    A module whose kernels are compiled one by one, when each is needed, has a function `warm` for it.
    """
    for name in names():
        module = native(name)
        if module is not None:
            getattr(module, "warm", lambda: None)()
            yield name
