"""Softmax, its logarithm, and the loss of class numbers, in float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import alike_float32, all_float32, native

#: Below this many numbers the generic path is as fast.
FEWEST = 512
#: With fewer columns than this behind it, the dimension is moved to the end.
NARROW = 16
_INT64 = np.dtype(np.int64)


def _kernels(dim: Any, *arrays: Any) -> Any:
    """The compiled functions and the dimension, counted from the front, if they suit these arrays."""
    x = arrays[0]
    if type(dim) is not int or x.size < FEWEST or not x.size or not alike_float32(*arrays):
        return None, 0
    if not -x.ndim <= dim < x.ndim:
        return None, 0
    axis = dim % x.ndim
    wide = math.prod(x.shape[axis + 1 :]) >= NARROW
    return native("softmax_columns" if wide else "softmax"), axis


@register_kernel("softmax", "cpu", FEWEST)
def _softmax(input: Any, dim: Any, dtype: Any = None) -> Any:
    found, axis = _kernels(dim, input) if dtype is None else (None, 0)
    return NotImplemented if found is None else found.softmax(input, axis, False)


@register_kernel("log_softmax", "cpu", FEWEST)
def _log_softmax(input: Any, dim: Any, dtype: Any = None) -> Any:
    found, axis = _kernels(dim, input) if dtype is None else (None, 0)
    return NotImplemented if found is None else found.softmax(input, axis, True)


@register_backward_kernel("softmax", "cpu", "input")
def _softmax_backward(g: Any, out: Any, dim: Any) -> Any:
    found, axis = _kernels(dim, g, out)
    return NotImplemented if found is None else found.softmax_backward(g, out, axis, False)


@register_backward_kernel("log_softmax", "cpu", "input")
def _log_softmax_backward(g: Any, out: Any, dim: Any) -> Any:
    found, axis = _kernels(dim, g, out)
    return NotImplemented if found is None else found.softmax_backward(g, out, axis, True)


def _classes(shape: Any, target: Any, weight: Any, reduction: str) -> bool:
    """Whether these are rows of numbers with one class each."""
    if len(shape) != 2 or shape[0] * shape[1] < FEWEST or type(target) is not np.ndarray:
        return False
    if target.dtype != _INT64 or target.shape != shape[:1] or not target.flags.writeable:
        return False
    if weight is not None and (not all_float32(weight) or weight.shape != shape[1:]):
        return False
    return reduction in ("mean", "sum", "none")


@register_kernel("nll_loss", "cpu")
def _nll_loss(input: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    if not all_float32(input) or not _classes(input.shape, target, weight, reduction):
        return NotImplemented
    found = native("softmax")
    if found is None:
        return NotImplemented
    return found.nll_loss(input, target, weight, ignore_index, reduction)


@register_backward_kernel("nll_loss", "cpu", "input")
def _nll_loss_backward(
    g: Any, target: Any, weight: Any, input_shape: Any, ignore_index: int, reduction: str
) -> Any:
    if not all_float32(g) or not _classes(input_shape, target, weight, reduction):
        return NotImplemented
    found = native("softmax")
    if found is None:
        return NotImplemented
    return found.nll_loss_backward(g, target, weight, input_shape, ignore_index, reduction)


@register_kernel("cross_entropy", "cpu")
def _cross_entropy(input: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    if not all_float32(input) or not _classes(input.shape, target, weight, reduction):
        return NotImplemented
    found = native("cross_entropy")
    if found is None:
        return NotImplemented
    return found.cross_entropy(input, target, weight, ignore_index, reduction)


@register_backward_kernel("cross_entropy", "cpu", "input")
def _cross_entropy_backward(
    g: Any, input: Any, target: Any, weight: Any, ignore_index: int, reduction: str
) -> Any:
    if not all_float32(g, input) or not _classes(input.shape, target, weight, reduction):
        return NotImplemented
    found = native("cross_entropy")
    if found is None:
        return NotImplemented
    return found.cross_entropy_backward(g, input, target, weight, ignore_index, reduction)
