"""Which cases the CPU kernels take. Nothing is compiled, or imported from Numba, before one is taken.

A module here registers its kernels on operations by name. Each looks at its arguments, returns
`NotImplemented` for what it is not made for, and else calls the compiled code of `native`.
"""

from __future__ import annotations

from tensorlab.kernels.cpu import (
    activation,
    arithmetic,
    attention,
    conv,
    copying,
    elementwise,
    embedding,
    loss,
    matmul,
    norm,
    pool,
    powers,
    recurrent,
    reduce,
    resample,
    scan,
    scatter,
    softmax,
    topk,
)

__all__ = [
    "activation",
    "arithmetic",
    "attention",
    "conv",
    "copying",
    "elementwise",
    "embedding",
    "loss",
    "matmul",
    "norm",
    "pool",
    "powers",
    "recurrent",
    "reduce",
    "resample",
    "scan",
    "scatter",
    "softmax",
    "topk",
]
