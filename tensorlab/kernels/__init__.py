"""Optional speed: kernels that stand in for the generic forward of an operation.

The generic path, NumPy or CuPy, is what every operation means. A kernel computes the same faster for
the cases it is made for, and declines all others (`NotImplemented`). Delete this folder, or set the
environment variable TENSORLAB_KERNELS=off, and everything still works, only slower.

    threads.py    how many threads kernels use, and how a computation is cut into parts for them
    blas.py       the threads of the library that NumPy calls
    memory.py     freed memory is kept for the next step
    cpu/          which cases the CPU kernels take; nothing here imports Numba
    cpu/native/   the kernels themselves, compiled by Numba when the first of them is needed
    cuda/         the CUDA kernels (*.cu), and which cases they take; nothing here imports CuPy

Kernels take part in `import tensorlab` by name only: what they need is imported at their first use.
"""

from __future__ import annotations

import os

from tensorlab.kernels.threads import get_num_threads, set_num_threads

__all__ = ["enabled", "get_num_threads", "set_num_threads"]


def enabled() -> bool:
    """Whether kernels may be used: yes, unless TENSORLAB_KERNELS is "off".

    >>> enabled() in (True, False)
    True
    """
    return os.environ.get("TENSORLAB_KERNELS", "").lower() not in ("off", "0", "no")


if enabled():
    from tensorlab.kernels import cpu, cuda  # noqa: F401 (registers the kernels)
