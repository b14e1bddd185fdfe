"""Copies of views: transposed, repeated, reversed, in steps; and of triangles; of numbers of 4 and 8 bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.loading import native
from tensorlab.kernels.threads import get_num_threads

#: NumPy is as fast for fewer numbers than this, for shorter rows, and for transposed matrices with fewer rows or
#: columns. Rows that differ it copies as fast as one thread can, but from their ends.
FEWEST, SHORTEST, NARROWEST = 32_768, 64, 16
FEWEST_IN_ROWS = 262_144
#: Dimensions that are left when neighbours are merged.
MOST = 4

#: Of matrices of which triangles are asked for, NumPy is as fast for so many numbers. A diagonal farther away than
#: this is left to it: here it becomes a number of 64 bits.
FEW_IN_TRIANGLES, FARTHEST = 1_024, 2**48


def _merged(x: np.ndarray) -> list[tuple[int, int]]:
    """(size, stride) of each dimension that is stepped along, neighbours that go on like one being one."""
    found: list[tuple[int, int]] = []
    for size, stride in zip(x.shape, x.strides, strict=True):
        if size == 1:
            continue
        if found and found[-1][1] == stride * size:
            found[-1] = found[-1][0] * size, stride
        else:
            found.append((size, stride))
    return found


@register_kernel("clone", "cpu")
def _clone(input: Any, memory_format: Any = None) -> Any:
    if type(input) is not np.ndarray or input.size < FEWEST or input.flags.c_contiguous:
        return NotImplemented
    if input.itemsize not in (4, 8) or input.dtype.kind not in "iufc" or not input.flags.writeable:
        return NotImplemented
    dims = _merged(input)
    size, stride = dims[-1]
    if len(dims) > MOST or any(s % input.itemsize for _, s in dims):
        return NotImplemented
    turns = len(dims) in (2, 3) and dims[-2][1] == input.itemsize and stride > 0 and dims[0][1] > 0
    if min(size, dims[-2][0]) < NARROWEST if turns else size < SHORTEST:
        return NotImplemented
    # Whole rows, one behind the other, each from its end.
    reverse = stride == -input.itemsize and [n for _, n in dims[:-1]] in ([], [-size * stride])
    few = input.size < FEWEST_IN_ROWS or get_num_threads() == 1
    if few and stride and not turns and not reverse:
        return NotImplemented
    copying = native("copying")
    if copying is None:
        return NotImplemented
    if turns:  # rows that lie along columns: of one matrix, or of several at equal distances
        out = copying.turned(input.reshape(-1, dims[-2][0], size))
    elif stride == 0:
        first = input[(..., *(0 for _ in _trailing(input)))]
        out = copying.filled(np.ascontiguousarray(first).reshape(-1), size)
    else:
        sizes = [1] * (MOST - len(dims)) + [n for n, _ in dims]
        out = copying.rows(input.reshape(sizes))
    return out.reshape(input.shape)


def _triangles(input: Any, diagonal: Any, lower: bool) -> Any:
    if type(input) is not np.ndarray or input.size <= FEW_IN_TRIANGLES or input.ndim < 2:
        return NotImplemented
    if input.itemsize not in (4, 8) or input.dtype.kind not in "iufc" or not input.flags.writeable:
        return NotImplemented
    if not input.flags.c_contiguous or type(diagonal) is not int or abs(diagonal) > FARTHEST:
        return NotImplemented
    copying = native("copying")
    return NotImplemented if copying is None else copying.triangles(input, diagonal, lower)


@register_kernel("tril", "cpu", small=FEW_IN_TRIANGLES)
def _tril(input: Any, diagonal: Any) -> Any:
    return _triangles(input, diagonal, lower=True)


@register_kernel("triu", "cpu", small=FEW_IN_TRIANGLES)
def _triu(input: Any, diagonal: Any) -> Any:
    return _triangles(input, diagonal, lower=False)


def row_major(x: np.ndarray) -> np.ndarray:
    """An array whose numbers lie one behind the other in memory: x itself, or a copy."""
    if x.flags.c_contiguous:
        return x
    copied = _clone(x)
    return np.ascontiguousarray(x) if copied is NotImplemented else copied


@register_kernel("flip", "cpu")
def _flip(input: Any, dims: Any) -> Any:
    # Where the numbers in a row stay in order, NumPy copies as fast.
    if type(input) is not np.ndarray or not input.ndim or dims not in ((-1,), (input.ndim - 1,)):
        return NotImplemented
    return _clone(input[..., ::-1])


def _trailing(x: np.ndarray) -> list[int]:
    """The last dimensions, along which all numbers are one."""
    found = []
    for d in reversed(range(x.ndim)):
        if x.shape[d] != 1 and x.strides[d] != 0:
            break
        found.append(d)
    return found
