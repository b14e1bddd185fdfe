"""Which normalisation kernel runs: see `norm.cu`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab.kernels.cuda.launch import (
    blocks,
    contiguous,
    i32,
    launch,
    like,
    runtime,
    suits,
    type_of,
    variants,
    width,
    xp,
)

#: `ITEMS` of norm.cu; the largest block; threads that a block should have at least.
ITEMS, MOST_THREADS, THREADS = 8, 1024, 256
INSTANCES = variants(
    "norm_rows<{T}, {N}>", "norm_rows_backward<{T}, {N}>", "add_rows<{T}>", "plane_moments<{T}, {N}>",
    "group_moments<{T}>", "plane_norm<{T}, {N}>", "plane_sums<{T}, {N}>", "group_sums<{T}>",
    "plane_norm_backward<{T}, {N}>",
)  # fmt: skip


def _wide(x: Any) -> Any:
    """The dtype that sums of such numbers are made in."""
    return np.dtype(np.float64 if x.dtype.itemsize == 8 else np.float32)


def row_block(n: int, items: int) -> tuple[int, int]:
    """Threads for a row of which each takes `items` numbers, and how many rows a block has.

    >>> row_block(10, 8), row_block(768, 8), row_block(8192, 8)
    ((32, 8), (96, 2), (1024, 1))
    """
    threads = min(blocks(blocks(n, items), 32) * 32, MOST_THREADS)
    return threads, max(1, THREADS // threads)


# Rows -------------------------------------------------------------------------------------


def _row_length(x: Any, shape: Any, *parameters: Any) -> int:
    """How many numbers are normalised together, if the kernels are made for it; else 0."""
    shape = tuple(shape)
    n = math.prod(shape)
    if not shape or shape != x.shape[x.ndim - len(shape) :] or not suits(x, *parameters):
        return 0
    if any(p is not None and p.size != n for p in parameters) or not x.size:
        return 0
    return n if n <= ITEMS * MOST_THREADS else 0


def _rows(x: Any, n: int, weight: Any, bias: Any, eps: float, centred: bool) -> Any:
    x, weight, bias = map(contiguous, (x, weight, bias))
    out, rows = like(x), x.size // n
    threads, group = row_block(n, ITEMS)
    wide = width(n, x, weight, bias)
    # Weight and bias are read once by a thread that takes several rows; one row each hides latency.
    grid = (min(blocks(rows, group), 2**31 - 1),)
    name = f"norm_rows<{type_of(x)}, {wide}>"
    launch("norm", name, grid, (threads, group), x, weight, bias, out, rows, i32(n), centred, eps)
    return out


def _rows_backward(
    g: Any, x: Any, n: int, weight: Any, eps: float, centred: bool, needs: tuple[bool, ...]
) -> tuple[Any, Any, Any]:
    g, x, weight = map(contiguous, (g, x, weight))
    out, rows = like(x), x.size // n
    threads, group = row_block(n, ITEMS)
    found = runtime()
    count = min(blocks(rows, group), 4 * (1 if found is None else found.processors))
    parts = [xp().empty((count * group, n), _wide(x)) if need else None for need in needs[1:]]
    name = f"norm_rows_backward<{type_of(x)}, {width(n, g, x, weight)}>"
    launch(
        "norm", name, (count,), (threads, group), g, x, weight, out, *parts, rows, i32(n), centred, eps
    )  # fmt: skip
    return out, *[None if p is None else _added(p, x) for p in parts]


def _added(parts: Any, kind: Any) -> Any:
    """The sum of the rows of `parts`, as an array like `kind`."""
    count, n = parts.shape
    out = like(kind, (n,))
    grid, block = (blocks(n, 32),), (32, 8)
    launch("norm", f"add_rows<{type_of(kind)}>", grid, block, parts, out, i32(count), i32(n))
    return out


def _chosen(gradients: Any, needs: Any, *shapes: Any) -> Any:
    """Of the gradients those that are needed, in the shapes of what they belong to."""
    return tuple(
        found.reshape(shape) if needed else None
        for found, needed, shape in zip(gradients, needs, shapes, strict=True)
    )


def layer_norm(input: Any, weight: Any, bias: Any, parameter: Any, eps: Any, known: Any) -> Any:
    n = 0 if known is not None else _row_length(input, parameter, weight, bias)
    return _rows(input, n, weight, bias, float(eps), True) if n else NotImplemented


def layer_norm_backward(
    g: Any, input: Any, weight: Any, weight_shape: Any, bias_shape: Any, parameter: Any, eps: Any, known: Any,
    needs: Any,
) -> Any:  # fmt: skip
    n = 0 if known is not None or not suits(input, g) else _row_length(input, parameter, weight)
    if not n:
        return NotImplemented
    wanted = (*needs, False, False)[:3]
    gradients = _rows_backward(g, input, n, weight, float(eps), True, wanted)
    return _chosen(gradients, wanted, input.shape, weight_shape, bias_shape)[: len(needs)]


def rms_norm(input: Any, weight: Any, normalized_shape: Any, eps: Any) -> Any:
    n = _row_length(input, normalized_shape, weight)
    return _rows(input, n, weight, None, float(eps), False) if n else NotImplemented


def rms_norm_backward(
    g: Any, input: Any, weight: Any, weight_shape: Any, normalized_shape: Any, eps: Any, needs: Any
) -> Any:
    n = _row_length(input, normalized_shape, weight) if suits(input, g) else 0
    if not n:
        return NotImplemented
    wanted = (*needs, False, False)[:3]
    gradients = _rows_backward(g, input, n, weight, float(eps), False, wanted)
    return _chosen(gradients, wanted, input.shape, weight_shape, None)[: len(needs)]


# Planes -----------------------------------------------------------------------------------


class _Planes:
    """(N, C, …) as planes of neighbours, of which either a channel's or a group's are normalised together.

    Of (N, C) a plane is one number.
    """

    def __init__(self, x: Any, groups: Any) -> None:
        self.x = contiguous(x)
        self.kind, self.channels = type_of(x), x.shape[1]
        self.planes, self.length = x.shape[0] * x.shape[1], math.prod(x.shape[2:])
        self.together = 0 if groups is None else self.channels // groups
        self.groups = self.channels if groups is None else self.planes // self.together
        self.how = (self.planes, self.length, i32(self.channels), i32(self.together))

    def run(self, name: str, *arguments: Any) -> None:
        """A kernel with threads for each plane; arrays come first in `arguments`."""
        arrays = [a for a in arguments if isinstance(a, type(self.x)) and a.size == self.x.size]
        wide = width(self.length, *arrays)
        threads, group = row_block(self.length, 8 * wide)
        grid = (blocks(self.planes, group),)
        launch("norm", f"{name}<{self.kind}, {wide}>", grid, (threads, group), *arguments)

    def finish(self, name: str, groups: int, *arguments: Any) -> None:
        """A kernel with a warp for each group."""
        launch("norm", f"{name}<{self.kind}>", (blocks(groups, 4),), (32, 4), *arguments)

    def moments(self) -> tuple[Any, Any]:
        sums = xp().empty((self.planes, 2), _wide(self.x))
        mean, variance = (xp().empty((self.groups, 1), sums.dtype) for _ in range(2))
        self.run("plane_moments", self.x, sums, *self.how)
        self.finish(
            "group_moments", self.groups, self.x, sums, mean, variance, self.groups, *self.how
        )
        return mean, variance


def _planes(x: Any, groups: Any, known: Any, *parameters: Any) -> _Planes | None:
    """The planes of `x`, if the kernels are made for them."""
    if not suits(x, *parameters) or x.ndim < 2 or not x.size:
        return None
    if groups is not None and (type(groups) is not int or groups < 1 or x.shape[1] % groups):
        return None
    if any(p is not None and p.shape != x.shape[1:2] for p in parameters):
        return None
    found = _Planes(x, groups)
    if known is not None and not all(
        suits(k) and k.dtype == _wide(x) and k.size == found.groups for k in known
    ):
        return None
    return found


def batch_moments(input: Any) -> Any:
    planes = _planes(input, None, None)
    return NotImplemented if planes is None else planes.moments()


def plane_norm(input: Any, weight: Any, bias: Any, parameter: Any, eps: Any, known: Any) -> Any:
    planes = _planes(input, parameter, known, weight, bias)
    if planes is None:
        return NotImplemented
    weight, bias = contiguous(weight), contiguous(bias)
    mean, variance = map(contiguous, known or planes.moments())
    out = like(planes.x)
    planes.run("plane_norm", planes.x, mean, variance, weight, bias, out, *planes.how, float(eps))
    return out


def plane_norm_backward(
    g: Any, input: Any, weight: Any, weight_shape: Any, bias_shape: Any, parameter: Any, eps: Any, known: Any,
    needs: Any,
) -> Any:  # fmt: skip
    planes = _planes(input, parameter, known, weight) if suits(input, g) else None
    if planes is None:
        return NotImplemented
    g, x, weight, eps = contiguous(g), planes.x, contiguous(weight), float(eps)
    mean, variance = map(contiguous, known or planes.moments())
    sums = xp().empty((planes.planes, 2), mean.dtype)
    planes.run("plane_sums", g, x, mean, variance, sums, *planes.how, eps)

    def added(groups: int, factor: Any, together: int) -> Any:
        total, along = (xp().empty((groups,), mean.dtype) for _ in range(2))
        sizes = (groups, planes.planes, i32(planes.channels), i32(together))
        planes.finish("group_sums", groups, sums, factor, total, along, *sizes)
        return total, along

    wanted = (*needs, False, False)[:3]
    by_input = by_weight = by_bias = None
    if wanted[0]:
        # A channel's weight is one number: it can be multiplied in before or after the sum.
        total, along = added(planes.groups, weight, planes.together)
        by_input = like(x)
        planes.run(
            "plane_norm_backward", g, x, mean, variance, total, along, weight, by_input, *planes.how, eps
        )  # fmt: skip
    if wanted[1] or wanted[2]:
        by_bias, by_weight = (s.astype(x.dtype) for s in added(planes.channels, None, 0))
    gradients = (by_input, by_weight, by_bias)
    return _chosen(gradients, wanted, input.shape, weight_shape, bias_shape)[: len(needs)]
