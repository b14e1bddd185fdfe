"""What a program chooses once for all that follows: default device, determinism, precision of products."""

from __future__ import annotations

import warnings
from typing import Any

from tensorlab import _backend, _gpu
from tensorlab._backend import Device, backend_for

default_device: Device | None = None  # None is the CPU, without asking
_deterministic = _warn_only = False
_precision = "highest"
_PRECISIONS = ("highest", "high", "medium")


def set_default_device(device: Any) -> None:
    """Where tensors are made from now on, unless `device=` says otherwise; None for the CPU.

    Raises `RuntimeError` for a device that this machine has not.

    >>> import tensorlab
    >>> tensorlab.set_default_device("cpu")
    >>> tensorlab.get_default_device()
    device(type='cpu')
    """
    global default_device
    chosen = None if device is None else Device(device)
    if chosen is not None:
        backend_for(chosen)
    default_device = None if chosen is None or chosen.type == "cpu" else chosen


def get_default_device() -> Device:
    """Where tensors are made unless `device=` says otherwise.

    >>> import tensorlab
    >>> tensorlab.get_default_device()
    device(type='cpu')
    """
    return Device("cpu") if default_device is None else default_device


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for operations that give the same bits every time.

    On the CPU all of them do, whether asked or not. On a GPU, sums of elements that are scattered to one
    place (`index_add`, the gradient of `gather` and of indexing) are made in any order, and their last
    digits vary; `mode` is remembered for `are_deterministic_algorithms_enabled` and changes nothing there.

    >>> import tensorlab
    >>> tensorlab.use_deterministic_algorithms(True)
    >>> tensorlab.are_deterministic_algorithms_enabled()
    True
    >>> tensorlab.use_deterministic_algorithms(False)
    """
    global _deterministic, _warn_only
    _deterministic, _warn_only = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """Whether `use_deterministic_algorithms(True)` was called last.

    >>> import tensorlab
    >>> tensorlab.are_deterministic_algorithms_enabled()
    False
    """
    return _deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether `use_deterministic_algorithms` was last called with `warn_only`.

    >>> import tensorlab
    >>> tensorlab.is_deterministic_algorithms_warn_only_enabled()
    False
    """
    return _warn_only


def set_float32_matmul_precision(precision: str) -> None:
    """How exactly products of float32 matrices must be computed: "highest", "high" or "medium".

    On the CPU they are always computed in full float32, which satisfies all three; on CUDA the latter two
    allow TF32: inputs with 10 bits of precision, several times as fast. Any other word is warned of.

    >>> import tensorlab
    >>> tensorlab.set_float32_matmul_precision("high")
    >>> tensorlab.get_float32_matmul_precision()
    'high'
    >>> tensorlab.set_float32_matmul_precision("highest")
    """
    global _precision
    if precision not in _PRECISIONS:
        warnings.warn(
            f"set_float32_matmul_precision: expected one of {', '.join(_PRECISIONS)}, got {precision!r}; "
            "the call has no effect",
            stacklevel=2,
        )
        return
    _precision = precision
    cuda = _backend._by_kind.get("cuda")
    if cuda is not None:
        _carry_over(cuda.xp)


def _carry_over(cupy: Any) -> None:
    """Tell CuPy what was set, also before it was loaded."""
    _gpu.allow_tf32(cupy, _precision != "highest")


_backend.on_load.append(_carry_over)


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told last.

    >>> import tensorlab
    >>> tensorlab.get_float32_matmul_precision()
    'highest'
    """
    return _precision


# `with device("cuda"):` ---------------------------------------------------------------------

_outer: list[Device | None] = []


def _enter(self: Device) -> Device:
    """Make this the device of new tensors within a block, as `set_default_device` does for good."""
    _outer.append(default_device)
    try:
        set_default_device(self)
    except RuntimeError:
        _outer.pop()
        raise
    return self


def _exit(self: Device, *exception: Any) -> None:
    set_default_device(_outer.pop())


Device.__enter__ = _enter  # type: ignore[attr-defined]
Device.__exit__ = _exit  # type: ignore[attr-defined]
