"""Which cross-entropy kernel runs: see `loss.cu`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cuda.launch import (
    blocks,
    checks_on_host,
    contiguous,
    i32,
    launch,
    like,
    ours,
    suits,
    type_of,
    variants,
    width,
    xp,
)

INSTANCES = variants(
    "cross_entropy<{T}, {N}>", "cross_entropy_backward<{T}, {N}>", "add_losses<{T}>", "count_targets<{T}>"
)  # fmt: skip


def _suits(input: Any, target: Any, weight: Any, reduction: Any, *slopes: Any) -> bool:
    """Rows of scores with one class number each."""
    if not suits(input, weight, *slopes) or input.ndim != 2 or not input.size:
        return False
    if not ours(target) or target.dtype != np.int64 or target.shape != input.shape[:1]:
        return False
    if weight is not None and weight.shape != input.shape[1:]:
        return False
    return reduction in ("mean", "sum", "none") and max(input.shape) < 2**31


def _sums(x: Any) -> np.dtype:
    return np.dtype(np.float64 if x.dtype.itemsize == 8 else np.float32)


def _threads(n: int, wide: int) -> tuple[int]:
    """For a row of n scores: enough to have them all under way, and not more."""
    return (min(max(blocks(n, 4 * wide), 1), 32) * 32 if n > 128 else 32,)


def cross_entropy(input: Any, target: Any, weight: Any, ignore_index: Any, reduction: Any) -> Any:
    if not _suits(input, target, weight, reduction) or checks_on_host(target):
        return NotImplemented
    input, target, weight = map(contiguous, (input, target, weight))
    rows, n = input.shape
    losses, counts = (xp().empty((rows,), _sums(input)) for _ in range(2))
    wide, kind = width(n, input), type_of(input)
    launch(
        "loss", f"cross_entropy<{kind}, {wide}>", (rows,), _threads(n, wide), input, target, weight,
        losses, counts, i32(n), ignore_index,
    )  # fmt: skip
    if reduction == "none":
        return losses.astype(input.dtype)
    loss, total = like(input, ()), xp().empty((), losses.dtype)
    mean = reduction == "mean"
    launch("loss", f"add_losses<{kind}>", (1,), (1024,), losses, counts, loss, total, rows, mean)
    return loss


def cross_entropy_backward(
    g: Any, input: Any, target: Any, weight: Any, ignore_index: Any, reduction: Any
) -> Any:
    if not _suits(input, target, weight, reduction, g):
        return NotImplemented
    each = reduction == "none"
    if g.shape != (target.shape if each else ()):
        return NotImplemented
    g, input, target, weight = map(contiguous, (g, input, target, weight))
    rows, n = input.shape
    wide, kind, out = width(n, input), type_of(input), like(input)
    total = None
    if reduction == "mean":
        total = xp().empty((), _sums(input))
        launch(
            "loss", f"count_targets<{kind}>", (1,), (1024,), target, weight, total, rows, ignore_index, i32(n)
        )  # fmt: skip
    launch(
        "loss", f"cross_entropy_backward<{kind}, {wide}>", (rows,), _threads(n, wide), input, target, weight,
        g, each, total, out, i32(n), ignore_index,
    )  # fmt: skip
    return out
