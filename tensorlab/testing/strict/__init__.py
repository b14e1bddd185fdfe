"""A look-alike of a CUDA device, for machines without one: what fails on a GPU fails here.

    >>> import tensorlab as tl
    >>> from tensorlab.testing import strict
    >>> x = tl.ones(3, device="strict")
    >>> (x * 2).sum()
    tensor(6., device='strict')

Importing this module makes the device type "strict" known; `tensor.to("strict")`, `device="strict"`
and `model.to("strict")` then work. Its arrays live in main memory and are computed by NumPy, but
they can be reached only as those of CuPy can: the functions, parameters, types of ufuncs and methods
are those of CuPy 14 (`cupy_api.json`, written by `python -m tensorlab.testing.strict.names`), NumPy's
arrays are refused as operands, nothing is converted implicitly, one element is a 0-dim array, indices
beyond the end wrap around, and new memory holds nan. So an operation that passes `opcheck(op,
device="strict")` uses nothing that CuPy has not.

`xp` is the module that stands for `cupy`; `no_sync()` makes everything raise that would wait for a GPU.
What it cannot show is what only kernels do: speed, rounding in another order, races, exhausted memory.
"""

from __future__ import annotations

from tensorlab._backend import Backend, register_backend
from tensorlab.testing.strict._array import StrictArray
from tensorlab.testing.strict._functions import API, build
from tensorlab.testing.strict._rules import linalg_errors, no_sync

__all__ = ["CUPY_VERSION", "StrictArray", "no_sync", "xp"]

CUPY_VERSION: str = API["version"]
xp = build()

register_backend(Backend("strict", xp, StrictArray, linalg_errors))
