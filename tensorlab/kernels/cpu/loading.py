"""Getting at compiled code when it is first needed."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from tensorlab.kernels.memory import keep_freed

_FLOAT32 = np.dtype(np.float32)
_modules: dict[str, Any] = {}


def native(name: str) -> Any:
    """The module `name` of `native`, imported on first use; None if Numba is not installed.

    Its kernels are compiled, or loaded from disk, each when it is first called.
    """
    if name not in _modules:
        if not _modules:
            keep_freed()
        try:
            _modules[name] = importlib.import_module(f"tensorlab.kernels.cpu.native.{name}")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("numba", "llvmlite"):
                raise
            _modules[name] = None
    return _modules[name]


def all_float32(*arrays: Any) -> bool:
    """Whether these are NumPy arrays of float32 as kernels take them, None not counted.

    Kernels are compiled for arrays that may be written to; a file mapped for reading is not one.
    """
    for a in arrays:  # written out: every call of an operation with kernels comes here
        if a is not None and (
            type(a) is not np.ndarray or a.dtype != _FLOAT32 or not a.flags.writeable
        ):
            return False
    return True


def alike_float32(first: Any, *others: Any) -> bool:
    """The same, and whether they are of one shape; none is None."""
    for a in others:
        if a.shape != first.shape:
            return False
    return all_float32(first, *others)
