"""Embeddings in float32, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many numbers the generic path is as fast.
FEWEST = 1_024


def _kernels(table_or_slope: Any, indices: Any, numbers: int) -> Any:
    if not all_float32(table_or_slope) or type(indices) is not np.ndarray:
        return None
    if indices.dtype != np.int64 or not numbers or numbers < FEWEST:
        return None
    return native("embedding")


@register_kernel("embedding", "cpu")
def _embedding(
    weight: Any, indices: Any, padding_idx: Any, scale_grad_by_freq: Any, sparse: Any
) -> Any:
    if sparse or weight.ndim != 2:
        return NotImplemented
    found = _kernels(weight, indices, indices.size * weight.shape[1])
    return NotImplemented if found is None else found.pick(weight, indices)


@register_kernel("embedding_rows", "cpu")
def _rows(input: Any, indices: Any, rows: Any, padding_idx: Any, scale_grad_by_freq: Any) -> Any:
    found = None if scale_grad_by_freq else _kernels(input, indices, input.size)
    return NotImplemented if found is None else found.add(input, indices, rows, padding_idx)


@register_backward_kernel("embedding", "cpu", "weight")
def _embedding_backward(
    g: Any, indices: Any, weight_shape: Any, padding_idx: Any, scale_grad_by_freq: Any
) -> Any:
    return _rows(g, indices, weight_shape[0], padding_idx, scale_grad_by_freq)
