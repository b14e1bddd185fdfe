"""The accelerator of this machine, whatever it is: code that asks here names no kind of device.

>>> import tensorlab
>>> found = tensorlab.accelerator.is_available()
>>> device = tensorlab.accelerator.current_accelerator().type if found else "cpu"

The only kind that this library knows is CUDA.
"""

from __future__ import annotations

from tensorlab import cuda
from tensorlab._backend import Device

__all__ = [
    "current_accelerator",
    "current_device_index",
    "device_count",
    "empty_cache",
    "is_available",
    "synchronize",
]


def is_available() -> bool:
    """Whether there is an accelerator that tensors can be put on.

    >>> import tensorlab
    >>> tensorlab.accelerator.is_available() == tensorlab.cuda.is_available()
    True
    """
    return cuda.is_available()


def device_count() -> int:
    """How many devices the accelerator has; 0 without one.

    >>> import tensorlab
    >>> tensorlab.accelerator.device_count() == tensorlab.cuda.device_count()
    True
    """
    return cuda.device_count()


def current_accelerator(check_available: bool = False) -> Device | None:
    """The kind of accelerator, `device("cuda")`, or None without one.

    check_available: accepted for PyTorch's sake, which otherwise answers for what it was built for; here
    the answer is always about what is there.
    """
    return Device("cuda") if cuda.is_available() else None


def current_device_index() -> int:
    """The index of the device that new tensors on the accelerator go to; `RuntimeError` without one."""
    _require()
    return cuda.current_device()


def synchronize(device: int | str | Device | None = None, /) -> None:
    """Wait until all that was asked of the accelerator is done; `RuntimeError` without one."""
    _require()
    cuda.synchronize(device)


def empty_cache() -> None:
    """Give memory that no tensor uses back to the accelerator; nothing happens without one."""
    cuda.empty_cache()


def _require() -> None:
    if not cuda.is_available():
        raise RuntimeError(
            "Cannot access accelerator device when none is available: ask accelerator.is_available() first"
        )
