"""Scaled dot-product attention in float32, and its gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many scores the generic path is as fast.
FEWEST = 1_024


def _suits(query: Any, key: Any, value: Any, mask: Any, dropout: Any) -> bool:
    """Whole heads, each with keys and values of its own, and masks that have a number for each key."""
    if not all_float32(query, key, value, mask, dropout):
        return False
    if query.ndim not in (3, 4) or not query.ndim == key.ndim == value.ndim:
        return False
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        return False
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        return False
    scores = (*query.shape[:-1], key.shape[-2])
    if dropout is not None and dropout.shape != scores:
        return False
    if mask is not None:
        if not mask.ndim or mask.ndim > len(scores) or mask.shape[-1] != scores[-1]:
            return False
        if any(n not in (1, whole) for n, whole in zip(mask.shape[::-1], scores[::-1], strict=False)):  # fmt: skip
            return False
    return min(query.size, key.size, value.size) > 0 and math.prod(scores) >= FEWEST


# Groups of heads that share keys and values: (batch, key head, head of the group, place, feature).


def _shares_keys(query: Any, key: Any, value: Any, mask: Any) -> bool:
    if query.ndim != 5 or not key.ndim == value.ndim == 5 or (mask is not None and mask.ndim > 2):
        return False
    return key.shape[:3] == value.shape[:3] == (*query.shape[:2], 1)


def _merged(x: Any, group: int) -> Any:
    """All heads in one dimension, those of keys and values repeated for each head of the group."""
    if x is None or x.ndim != 5:
        return x
    whole = x if x.shape[2] == group else np.repeat(x, group, 2)
    return whole.reshape(x.shape[0], x.shape[1] * group, *x.shape[3:])


@register_kernel("scaled_dot_product_attention", "cpu")
def _attention(
    query: Any, key: Any, value: Any, mask: Any, dropout: Any, is_causal: bool, scale: float
) -> Any:
    if _shares_keys(query, key, value, mask):
        merged = (_merged(x, query.shape[2]) for x in (query, key, value, mask, dropout))
        found = _attention(*merged, is_causal, scale)
        if found is NotImplemented:
            return found
        return tuple(x.reshape(*query.shape[:3], *x.shape[2:]) for x in found)
    found = native("attention") if _suits(query, key, value, mask, dropout) else None
    if found is None:
        return NotImplemented
    return found.attention(query, key, value, mask, dropout, is_causal, scale)


@register_kernel("scaled_dot_product_attention_backward", "cpu")
def _attention_backward(
    input: Any, by_normaliser: Any, query: Any, key: Any, value: Any, output: Any, normaliser: Any,
    mask: Any, dropout: Any, is_causal: bool, scale: float,
) -> Any:  # fmt: skip
    if _shares_keys(query, key, value, mask):
        group = query.shape[2]
        given = (query, key, value, output)
        sums = [x.reshape(x.shape[0], -1, x.shape[-1]) for x in (by_normaliser, normaliser)]
        q, k, v, out = (_merged(x, group) for x in given)
        found = _attention_backward(
            _merged(input, group), sums[0], q, k, v, out, sums[1], mask, _merged(dropout, group), is_causal, scale
        )  # fmt: skip
        if found is NotImplemented:
            return found
        by_query, by_key, by_value = (x.reshape(*query.shape[:3], *x.shape[2:]) for x in found)
        return by_query, by_key.sum(2, keepdims=True), by_value.sum(2, keepdims=True)
    suits = _suits(query, key, value, mask, dropout) and all_float32(input, output)
    if not suits or by_normaliser.dtype != np.float64 or normaliser.dtype != np.float64:
        return NotImplemented
    found = native("attention")
    if found is None:
        return NotImplemented
    return found.attention_backward(
        input, by_normaliser, query, key, value, output, normaliser, mask, dropout, is_causal, scale
    )
