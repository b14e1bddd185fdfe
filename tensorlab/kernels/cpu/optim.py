"""The steps of the elementwise optimizers on float32 parameters."""

from __future__ import annotations

from typing import Any

from tensorlab._apply import KernelUnavailable, instead
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many numbers the generic path is as fast.
FEWEST = 8_192


def advance(name: str, settings: tuple[float, ...], arrays: list[Any]) -> bool:
    """Take the step of the update `name`, if a kernel is made for it; whether it was taken.

    Args:
        name: of the update, one of `native.optim.NAMES`; "" for an update without a kernel.
        settings: its numbers.
        arrays: flat arrays of one length: the parameters, the gradients and the buffers.
    """
    if not name or arrays[0].size < FEWEST or not all_float32(*arrays):
        return False
    if not all(a.flags.c_contiguous for a in arrays):
        return False
    optim = native("optim")
    if optim is None:
        return False
    try:
        optim.advance(name, settings, arrays)
    except KernelUnavailable as error:  # before anything is written
        instead(error)
        return False
    return True
