"""Compiling all kernels beforehand: `tensorlab doctor --warm`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tensorlab._apply import KernelUnavailable
from tensorlab.kernels.cpu.loading import native

__all__ = ["names", "warm"]

#: Modules of `native` that the kernels are made with.
_TOOLS = {
    "__init__",
    "cache",
    "compile",
    "gathered_tables",
    "lanes",
    "layout",
    "maths",
    "objects",
    "sliding",
    "tables",
    "tile",
}


def names() -> list[str]:
    """The modules of kernels, in order.

    >>> "gemm" in names()
    True
    """
    files = (Path(__file__).parent / "native").glob("*.py")
    return sorted(file.stem for file in files if file.stem not in _TOOLS)


def warm() -> Iterator[tuple[str, list[Exception]]]:
    """Compile all kernels, or load those that are kept on disk: each module's name, and what failed there.

    A module that makes kernels only when each is asked for has a function `warm` that asks for all.
    """
    from tensorlab.kernels.cpu.native.compile import KERNELS
    from tensorlab.kernels.cpu.native.team import entry_of

    for name in names():
        try:
            module = native(name)
            getattr(module, "warm", lambda: None)()
        except Exception as error:  # a module that cannot even be imported
            yield name, [error]
            continue
        failures: list[Exception] = []
        for kernel in KERNELS:
            if kernel.module == name:
                try:
                    kernel.ready()
                    if kernel.runs_in_parts:
                        entry_of(kernel)
                except KernelUnavailable as error:
                    failures.append(error)
        yield name, failures
