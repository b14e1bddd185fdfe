"""The steps of the elementwise optimizers on float32 parameters."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from tensorlab._apply import KernelUnavailable, instead
from tensorlab.kernels.cpu.loading import native

#: Of fewer numbers in all parameters the generic path is as fast.
FEWEST = 8_192
#: A complex number is updated as two.
_WIDTHS = {np.dtype(np.float32): 1, np.dtype(np.complex64): 2}


def starts(arrays: list[Any]) -> np.ndarray | None:
    """Where each parameter begins among the float32 numbers of all, and the end of the last.

    None if they are not for these kernels. All arrays are of one dtype.
    """
    width = _WIDTHS.get(arrays[0].dtype)
    if width is None or type(arrays[0]) is not np.ndarray:
        return None
    found = np.array([0, *itertools.accumulate(a.size * width for a in arrays)], np.int64)
    return None if found[-1] < FEWEST or native("optim") is None else found


def advance(
    starts: np.ndarray,
    name: str,
    settings: tuple[float, ...],
    parameters: list[Any],
    gradients: list[Any],
    buffers: list[Any],
) -> bool:
    """Take the step of the update `name`, if a kernel is made for it; whether it was taken.

    Args:
        starts: of the parameters; see `starts`.
        name: of the update, one of `native.optim.NAMES`; "" for an update without a kernel.
        settings: its numbers.
        parameters, gradients: arrays in pairs. The parameters, which are contiguous, are changed.
        buffers: flat arrays, with the numbers of each parameter after those of the one before. Changed.
    """
    if not name:
        return False
    optim = native("optim")
    try:
        if optim.advance(name, settings, starts, [*parameters, *gradients, *buffers]):
            return True
        dtype = parameters[0].dtype
        lying = [np.asarray(g, dtype, order="C") for g in gradients]
        # Else the generic path says what is wrong.
        return optim.advance(name, settings, starts, [*parameters, *lying, *buffers])
    except KernelUnavailable as error:  # before anything is written
        instead(error)
        return False
