"""The steps of optimizers for many parameters at once: see `optim.cu`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cuda.launch import (
    blocks,
    launch,
    pointer,
    suits,
    type_of,
    wide_variants,
)

#: The constants of optim.cu, and threads of a block.
TABLE, CHUNK, NUMBERS, THREADS = 64, 4096, 9, 256

#: The kernels by the names of updates (see `tensorlab.optim.fused.Update`), and their buffers.
ALGORITHMS = {
    "sgd": ("SGD", 0),
    "sgd_momentum": ("Momentum", 1),
    "adam": ("Adam", 2),
    "amsgrad": ("AMSGrad", 3),
    "nadam": ("NAdam", 2),
    "radam": ("RAdam", 2),
    "adamax": ("Adamax", 2),
    "adagrad": ("Adagrad", 1),
    "adadelta": ("Adadelta", 2),
    "rmsprop": ("RMSprop", 1),
    "rmsprop_momentum": ("RMSpropMomentum", 2),
    "rmsprop_centered": ("RMSpropCentred", 2),
    "rmsprop_centered_momentum": ("RMSpropCentredMomentum", 3),
    "asgd": ("ASGD", 1),
    "rprop": ("Rprop", 2),
}
INSTANCES = [
    f"optimizer_step<{name}, {kind[:-1].partition('<')[2]}>"
    for name, _ in ALGORITHMS.values()
    for kind in wide_variants("of")
]

#: `Tensors` and `Settings` of optim.cu, laid out as C++ does.
_TENSORS = np.dtype(
    [
        ("parameter", np.uint64, TABLE), ("gradient", np.uint64, TABLE), ("start", np.int64, TABLE),
        ("size", np.int64, TABLE), ("first_block", np.int32, TABLE + 1), ("count", np.int32),
    ],
    align=True,
)  # fmt: skip
_SETTINGS = np.dtype([("number", np.float64, NUMBERS), ("elsewhere", np.uint64)], align=True)


def takes(name: str, parameters: list[Any], gradients: list[Any]) -> bool:
    """Whether there is a kernel of the update `name` for these arrays."""
    arrays = (*parameters, *gradients)
    return name in ALGORITHMS and suits(*arrays) and all(a.flags.c_contiguous for a in arrays)


def advance(
    name: str, settings: Any, parameters: list[Any], gradients: list[Any], buffers: list[Any]
) -> bool:
    """Take the step of the update `name`, if a kernel is made for it; whether it was taken.

    Args:
        name: of the update.
        settings: its numbers; or an array of NUMBERS float64 on the device, which holds them when it runs.
        parameters, gradients: arrays in pairs. The parameters are changed.
        buffers: flat arrays, with the numbers of each parameter after those of the one before. Changed.
    """
    if not takes(name, parameters, gradients) or not suits(parameters[0], *buffers):
        return False
    algorithm, count = ALGORITHMS[name]
    if len(buffers) != count:
        return False
    given = np.zeros((), _SETTINGS)
    if isinstance(settings, tuple):
        given["number"][: len(settings)] = settings
    else:
        given["elsewhere"] = pointer(settings)
    start = 0
    for first in range(0, len(parameters), TABLE):
        some = slice(first, first + TABLE)
        table, start, grid = _table(parameters[some], gradients[some], start)
        kind = parameters[0]
        launch(
            "optim", f"optimizer_step<{algorithm}, {type_of(kind)}, {16 // kind.dtype.itemsize}>", (grid,),
            (THREADS,), table, given, *[*buffers, None, None, None][:3], on=kind,
        )  # fmt: skip
    return True


def _table(parameters: list[Any], gradients: list[Any], start: int) -> tuple[Any, int, int]:
    """The table of some parameters, where the next ones' buffers start, and how many blocks these take."""
    table = np.zeros((), _TENSORS)
    table["count"] = len(parameters)
    block = 0
    for i, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
        size = int(p.size)
        table["parameter"][i], table["gradient"][i] = pointer(p), pointer(g)
        table["start"][i], table["size"][i], table["first_block"][i] = start, size, block
        start += size
        block += blocks(size, CHUNK)
    table["first_block"][len(parameters) :] = block
    return table, start, block
