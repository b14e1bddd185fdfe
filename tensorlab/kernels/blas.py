"""The threads of the linear algebra library that NumPy calls, which has no function of NumPy's to set them."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import glob
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["in_one_thread", "limit_threads"]

_Functions = list[tuple[Callable[[], int], Callable[[int], Any]]]

# How many threads there may be, asked and said; the first pair that a library has is its own.
_NAMES = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
)
_OPENMP_NAMES = ("omp_get_max_threads", "omp_set_num_threads")
_LIBRARIES = ("openblas", "mkl_rt")
_OPENMP_LIBRARIES = ("libgomp", "libiomp", "libomp")


def limit_threads(
    count: int = 1, *, openmp: bool = False
) -> list[tuple[Callable[[int], Any], int]]:
    """Have the linear algebra of this process run in `count` threads; returns what to call, and with what, to undo it.

    openmp: have all of OpenMP do so, whoever uses it in this process.
    """
    names = (*_NAMES, _OPENMP_NAMES) if openmp else _NAMES
    libraries = (*_LIBRARIES, *_OPENMP_LIBRARIES) if openmp else _LIBRARIES
    return _limit(_functions(libraries, names), count)


def in_one_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, whose linear algebra runs in one thread.

    The threads of a library look for more work for long after each call (OpenBLAS's for 26 ms of a processor
    that counts 2.6 GHz), on processors that kernels' helpers need meanwhile. So what takes place between
    kernels, as a product too narrow for them does, is better done by the caller alone.

    The number is one for the whole process. Where several Python threads are here at once, what was before holds
    again when the last one leaves.
    """
    _callers.enter()
    try:
        return function(*arguments)
    finally:
        _callers.leave()


class _Callers:
    """How many callers `in_one_thread` has, and what to call with what once there is none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._undo: list[tuple[Callable[[int], Any], int]] = []

    def enter(self) -> None:
        with self._lock:
            if not self._count:
                self._undo = _limit(_of_numpy(), 1)
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                for set_count, before in self._undo:
                    set_count(before)


_callers = _Callers()


def _new_callers() -> None:
    """In a forked child: the others, one of whom perhaps held the lock, have stayed with the parent."""
    global _callers
    _callers = _Callers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_callers)


@functools.cache
def _of_numpy() -> _Functions:
    """Those of the library that NumPy calls: it is loaded by now, and stays."""
    return _functions(_LIBRARIES, _NAMES)


def _limit(functions: _Functions, count: int) -> list[tuple[Callable[[int], Any], int]]:
    undo = []
    for get_count, set_count in functions:
        before = get_count()
        if before != count:  # OpenBLAS starts its threads even to be told to use one
            set_count(count)
            undo.append((set_count, before))
    return undo


def _functions(libraries: tuple[str, ...], names: tuple[tuple[str, str], ...]) -> _Functions:
    """What asks for the number of threads and what sets it, of each of these libraries that is loaded."""
    found = []
    for path in _loaded(libraries):
        with contextlib.suppress(OSError):  # gone from the disk since it was loaded
            library = ctypes.CDLL(path)
            for getter, setter in names:
                if hasattr(library, getter) and hasattr(library, setter):
                    found.append((getattr(library, getter), getattr(library, setter)))
                    break
    return found


def _loaded(libraries: tuple[str, ...]) -> list[str]:
    """The files of these libraries that are loaded in this process."""
    if sys.platform == "linux":
        with open("/proc/self/maps") as maps:
            paths = {line.split(maxsplit=5)[-1].strip() for line in maps if ".so" in line}
    else:  # those that come with NumPy: on the side of it on Windows, within it on macOS
        package = os.path.dirname(np.__file__)
        folders = (f"{package}.libs", os.path.join(package, ".dylibs"))
        paths = {path for folder in folders for path in glob.glob(os.path.join(folder, "*"))}
    return [p for p in paths if any(name in os.path.basename(p) for name in libraries)]
