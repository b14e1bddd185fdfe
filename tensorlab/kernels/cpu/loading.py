"""Getting at compiled code when it is first needed."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np

from tensorlab.kernels.memory import keep_freed

_FLOAT32 = np.dtype(np.float32)
_modules: dict[str, Any] = {}


def native(name: str) -> Any:
    """The module `name` of `native`, compiled or loaded on first use; None if Numba is not installed.

    If compiling fails, a warning says so, once, and the generic path goes on.
    """
    if name not in _modules:
        if not _modules:
            keep_freed()
        try:
            _modules[name] = importlib.import_module(f"tensorlab.kernels.cpu.native.{name}")
        except ModuleNotFoundError as error:
            if error.name not in ("numba", "llvmlite"):
                raise
            _modules[name] = None
        except Exception as error:  # whatever a compiler may raise
            warnings.warn(
                f"the CPU kernels of {name!r} could not be compiled and are not used; the results "
                f"are the same, only slower ({type(error).__name__}: {error})",
                RuntimeWarning,
                stacklevel=2,
            )
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
