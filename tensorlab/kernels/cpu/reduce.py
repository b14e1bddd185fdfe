"""Sums, means and norms in float32 over dimensions beside each other; sums over earlier ones besides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many numbers, or for sums of so few, or in columns of so few side by side, the generic
#: path is as fast.
FEWEST, SHORTEST, NARROWEST = 4_096, 8, 16


def _dims(dim: Any, ndim: int) -> list[int] | None:
    """The dimensions, counted from the front and in order; None where the generic path shall look."""
    if dim is None:
        return list(range(ndim))
    given = [dim] if type(dim) is int else list(dim) if type(dim) in (tuple, list) else []
    if not given or not all(type(d) is int and -ndim <= d < ndim for d in given):
        return None
    found = sorted(d % ndim for d in given)
    return found if len(set(found)) == len(found) else None


def _sum(x: Any, dim: Any, keepdim: Any, dtype: Any, mean: bool) -> Any:
    if dtype is not None or type(keepdim) is not bool or not all_float32(x):
        return NotImplemented
    if x.size < FEWEST or not x.size or not x.flags.c_contiguous:
        return NotImplemented
    dims = _dims(dim, x.ndim)
    if not dims:
        return NotImplemented
    share = 1.0 / math.prod(x.shape[d] for d in dims) if mean else 1.0
    out = _summed(x, dims, share)
    if out is NotImplemented or not keepdim:
        return out
    return out.reshape([1 if d in dims else s for d, s in enumerate(x.shape)])


def _summed(x: Any, dims: list[int], share: float) -> Any:
    """The sums over the dimensions, times `share`; those before the last neighbours by NumPy."""
    first, after = dims[-1], dims[-1] + 1
    while first - 1 in dims:
        first -= 1
    n, inner = math.prod(x.shape[first:after]), math.prod(x.shape[after:])
    found = native("reduce") if n >= SHORTEST and (inner == 1 or inner >= NARROWEST) else None
    if found is None:
        return NotImplemented
    if inner == 1:
        out = found.row_sums(x, n, share)
    else:
        out = found.column_sums(x.reshape(-1, n, inner), share)
    out = out.reshape(x.shape[:first] + x.shape[after:])
    earlier = tuple(d for d in dims if d < first)
    return np.add.reduce(out, earlier) if earlier else out


@register_kernel("sum", "cpu")
def _sum_kernel(input: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    return _sum(input, dim, keepdim, dtype, mean=False)


@register_kernel("mean", "cpu")
def _mean_kernel(input: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    return _sum(input, dim, keepdim, dtype, mean=True)


@register_kernel("sum_to", "cpu")
def _sum_to(input: Any, shape: Any) -> Any:
    """Sums over the dimensions that stretching `shape` to the input's had repeated."""
    lead = input.ndim - len(shape)
    dims = [d for d, n in enumerate(input.shape) if d < lead or shape[d - lead] != n]
    if lead < 0 or any(d >= lead and shape[d - lead] != 1 for d in dims):
        return NotImplemented
    found = _sum(input, dims, False, None, mean=False)
    return found if found is NotImplemented else found.reshape(shape)


# Norms ------------------------------------------------------------------------------------


def _row(x: Any, ord: Any, dim: Any) -> int:
    """How many neighbours a Euclidean norm is over, the last dimensions; 0 where the generic path shall look."""
    if ord != 2 or not all_float32(x) or x.size < FEWEST or not x.size or not x.flags.c_contiguous:
        return 0
    dims = _dims(dim, x.ndim)
    if not dims or dims != list(range(dims[0], x.ndim)):
        return 0
    n = math.prod(x.shape[dims[0] :])
    return n if n >= SHORTEST else 0


@register_kernel("vector_norm", "cpu")
def _vector_norm(input: Any, ord: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    n = _row(input, ord, dim) if dtype is None and type(keepdim) is bool else 0
    found = native("reduce") if n else None
    if found is None:
        return NotImplemented
    left = input.ndim - len(_dims(dim, input.ndim) or ())
    shape = input.shape[:left] + (1,) * ((input.ndim - left) * keepdim)
    return found.row_norms(input, n).reshape(shape)


@register_backward_kernel("vector_norm", "cpu", "input")
def _vector_norm_backward(g: Any, input: Any, out: Any, ord: Any, dim: Any, keepdim: Any) -> Any:
    n = _row(input, ord, dim) if all_float32(out) and g.dtype == out.dtype else 0
    found = native("reduce") if n else None
    if found is None:
        return NotImplemented
    slopes = np.divide(g, out, out=np.zeros_like(out), where=out != 0)  # at 0 it is taken as 0
    return found.scaled_rows(input, slopes.ravel(), n)
