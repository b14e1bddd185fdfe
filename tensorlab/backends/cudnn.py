"""Settings of cuDNN, which tensorlab does not use: CuPy and its own kernels do the work on a GPU.

They are remembered, so that a program can set and read them, and change nothing: convolutions choose
no algorithm by trial, and `tensorlab.use_deterministic_algorithms` says which operations vary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["flags", "is_available", "version"]

enabled = True
benchmark = False
benchmark_limit: int | None = 10
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """Whether cuDNN computes something here: never.

    >>> is_available()
    False
    """
    return False


def version() -> int | None:
    """The version of cuDNN; None, as it is not used.

    >>> version() is None
    True
    """
    return None


@contextmanager
def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int | None = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
) -> Iterator[None]:
    """Settings for the statements of a `with`; those before come back after it.

    >>> import tensorlab
    >>> with tensorlab.backends.cudnn.flags(deterministic=True):
    ...     tensorlab.backends.cudnn.deterministic
    True
    >>> tensorlab.backends.cudnn.deterministic
    False
    """
    new = {
        "enabled": enabled,
        "benchmark": benchmark,
        "benchmark_limit": benchmark_limit,
        "deterministic": deterministic,
        "allow_tf32": allow_tf32,
    }
    here = globals()
    old = {name: here[name] for name in new}
    here.update(new)
    try:
        yield
    finally:
        here.update(old)
