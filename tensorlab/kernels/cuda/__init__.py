"""CUDA kernels: text in `.cu` files, and for each a module that registers it and says when it is used.

Nothing is compiled, and CuPy is not imported, before an operation meets a CUDA array. The files are meant
to be read: `softmax.cu` first, `common.cuh` beside it.
"""

from __future__ import annotations

from tensorlab.kernels.cuda import (
    attention,
    chains,
    conv,
    dropout,
    embedding,
    loss,
    norm,
    optim,
    recurrent,
    softmax,
)

__all__ = [
    "attention",
    "chains",
    "conv",
    "dropout",
    "embedding",
    "loss",
    "norm",
    "optim",
    "recurrent",
    "softmax",
]
