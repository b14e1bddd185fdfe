"""Scaled dot-product attention in float32, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many scores the generic path is as fast.
FEWEST = 1_024


def _suits(query: Any, key: Any, value: Any, mask: Any, dropout: Any) -> bool:
    """Whole heads, each with keys and values of its own, and at most one mask for all of them."""
    if dropout is not None or not all_float32(query, key, value, mask):
        return False
    if query.ndim not in (3, 4) or not query.ndim == key.ndim == value.ndim:
        return False
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        return False
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        return False
    scores = (query.shape[-2], key.shape[-2])
    if mask is not None and mask.shape != scores:
        return False
    return min(query.size, key.size, value.size) > 0 and int(np.prod(scores)) >= FEWEST


@register_kernel("scaled_dot_product_attention", "cpu")
def _attention(
    query: Any, key: Any, value: Any, mask: Any, dropout: Any, is_causal: bool, scale: float
) -> Any:
    found = native("attention") if _suits(query, key, value, mask, dropout) else None
    if found is None:
        return NotImplemented
    return found.attention(query, key, value, mask, is_causal, scale)


@register_kernel("scaled_dot_product_attention_backward", "cpu")
def _attention_backward(
    input: Any, by_normaliser: Any, query: Any, key: Any, value: Any, output: Any, normaliser: Any,
    mask: Any, dropout: Any, is_causal: bool, scale: float,
) -> Any:  # fmt: skip
    suits = _suits(query, key, value, mask, dropout) and all_float32(input, output)
    if not suits or by_normaliser.dtype != np.float64 or normaliser.dtype != np.float64:
        return NotImplemented
    found = native("attention")
    if found is None:
        return NotImplemented
    return found.attention_backward(
        input, by_normaliser, query, key, value, output, normaliser, mask, is_causal, scale
    )
