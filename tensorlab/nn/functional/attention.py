"""Attention: the operation with masks, dropout and grouped heads, and with several heads and projections."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tensorlab._autocast import autocasts
from tensorlab._backend import backend_of, runs_there
from tensorlab._tensor import Tensor, wrap
from tensorlab.nn.functional.activation import softmax
from tensorlab.nn.functional.dropout import dropout
from tensorlab.ops.attention import _attention
from tensorlab.ops.creation import ones, zeros
from tensorlab.ops.joining import cat
from tensorlab.ops.linalg import linear
from tensorlab.ops.padding import pad

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]

# One head, or many side by side -----------------------------------------------------------


@runs_there
def _minus_infinity_where(mask: Tensor, dtype: Any) -> Tensor:
    """Booleans as numbers to add to scores: −inf where the mask is true, else 0."""
    xp = backend_of(mask._data).xp
    return wrap(xp.where(mask._data, -math.inf, 0.0)).to(dtype)


def _additive(mask: Any, query: Tensor) -> Tensor:
    """A mask of numbers to add: one of booleans as 0 where it is true and −inf elsewhere."""
    kind = query._data.dtype
    if mask._data.dtype.kind == "b":
        return _minus_infinity_where(~mask, query.dtype)
    if mask._data.dtype not in (kind, np.float32):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {mask.dtype} and query.dtype: {query.dtype} instead."
        )
    return mask


def _kept(p: float, query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """The factors 0 and 1 / (1 − p) of a dropout of the weights, drawn as `dropout` draws them."""
    batches = [query.shape[:-2], key.shape[:-2], () if mask is None else mask.shape[:-2]]
    shape = (*np.broadcast_shapes(*batches), query.shape[-2], key.shape[-2])
    return dropout(ones(shape, dtype=query.dtype, device=query.device), p, True)


def _grouped(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Heads of queries that share a key, side by side in a dimension of their own: keys are not copied."""
    if min(query.dim(), key.dim(), value.dim()) < 3:
        raise IndexError(
            "enable_gqa: expected query, key and value (…, heads, length, E), of 3 dimensions or more, but "
            f"got {list(query.shape)}, {list(key.shape)} and {list(value.shape)}"
        )
    heads, shared, of_values = query.shape[-3], key.shape[-3], value.shape[-3]
    if heads % shared or heads % of_values:
        raise RuntimeError(
            "Number of heads in key and value must divide the number of heads in query, but got "
            f"{shared} and {of_values} for {heads}"
        )
    if shared != of_values:
        key = key.repeat_interleave(heads // shared, -3)
        value = value.repeat_interleave(heads // of_values, -3)
        shared = heads
    if mask is not None and mask.dim() > 2:
        one = mask.shape[-3] == 1
        mask = mask.unsqueeze(-3) if one else mask.unflatten(-3, (shared, heads // shared))
    query = query.unflatten(-3, (shared, heads // shared))
    return query, key.unsqueeze(-3), value.unsqueeze(-3), mask


@autocasts
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    r"""softmax(Q Kᵀ · scale + mask) V: for each query a mean of the values, by how well their keys fit.

    Args:
        query: (…, L, E), as a rule (N, heads, L, E).
        key: (…, S, E). The leading dimensions broadcast.
        value: (…, S, D).
        attn_mask: broadcastable to (…, L, S): booleans, true where a query may look (the opposite of
            `nn.MultiheadAttention`'s masks), or numbers that are added to the scores.
        dropout_p: probability with which each weight becomes 0, the others being divided by 1 − p. It is
            applied whenever it is above 0: in evaluation give 0.
        is_causal: query i sees the keys 0 … i only; in place of a mask.
        scale: factor of the scores; 1/√E unless given.
        enable_gqa: let groups of consecutive heads of the query share one head of key and value, whose
            numbers of heads (dimension −3) divide the query's.

    Returns:
        (…, L, D). A query that may look nowhere gets zeros.

    Raises:
        RuntimeError: both a mask and `is_causal`, shapes or dtypes that do not fit, a `dropout_p` above 1.

    Source: A. Vaswani et al., "Attention is all you need", arXiv:1706.03762, section 3.2.1; for grouped queries
    J. Ainslie et al., "GQA", arXiv:2305.13245.

    >>> import tensorlab
    >>> q, k = tensorlab.tensor([[100.0, 0.0]]), tensorlab.eye(2)
    >>> scaled_dot_product_attention(q, k, tensorlab.tensor([[1.0], [2.0]]))
    tensor([[1.]])
    """
    for position, (name, x) in enumerate((("query", query), ("key", key), ("value", value)), 1):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"scaled_dot_product_attention(): argument '{name}' (position {position}) must be Tensor, not "
                f"{type(x).__name__}"
            )
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
        )
    if dropout_p > 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")
    mask = None if attn_mask is None else _additive(attn_mask, query)
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    kind = query.dtype
    if mask is not None and query.element_size() < mask.element_size():
        query, key, value = (x.to(mask.dtype) for x in (query, key, value))
    if enable_gqa:
        query, key, value, mask = _grouped(query, key, value, mask)
    factors = _kept(dropout_p, query, key, mask) if dropout_p > 0.0 else None
    out, _ = _attention(query, key, value, mask, factors, is_causal, scale)
    return (out.flatten(-4, -3) if enable_gqa else out).to(kind)


# Several heads with their projections -----------------------------------------------------


def canonical_mask(
    mask: Any, name: str, dtype: Any, other: Any = None, other_name: str = ""
) -> Any:
    """A mask of `nn.MultiheadAttention` as numbers to add: booleans are true where nobody may look."""
    if mask is None:
        return None
    is_bool = mask._data.dtype.kind == "b"
    if not is_bool and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if other is not None and mask.dtype != other.dtype:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=3,
        )
    return _minus_infinity_where(mask, dtype) if is_bool else mask


def _check_dims(
    query: Tensor, key: Tensor, value: Tensor, padding: Any, mask: Any, num_heads: int
) -> bool:
    """Whether the input is a batch; `AssertionError` for dimensions that do not go together."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor"
        )
    batched = query.dim() == 3
    dims = query.dim()
    whose = f"For {'batched (3-D)' if batched else 'unbatched (2-D)'} `query`, expected"
    if key.dim() != dims or value.dim() != dims:
        raise AssertionError(
            f"{whose} `key` and `value` to be {dims}-D but found {key.dim()}-D and {value.dim()}-D tensors "
            "respectively"
        )
    if padding is not None and padding.dim() != dims - 1:
        raise AssertionError(
            f"{whose} `key_padding_mask` to be `None` or {dims - 1}-D but found {padding.dim()}-D tensor instead"
        )
    if mask is not None and mask.dim() not in (2, 3):
        raise AssertionError(
            f"{whose} `attn_mask` to be `None`, 2-D or 3-D but found {mask.dim()}-D tensor instead"
        )
    if not batched and mask is not None and mask.dim() == 3:
        wanted = (num_heads, query.shape[0], key.shape[0])
        if tuple(mask.shape) != wanted:
            raise AssertionError(
                f"Expected `attn_mask` shape to be {wanted} but got {tuple(mask.shape)}"
            )
    return batched


def _project(
    query: Tensor, key: Tensor, value: Tensor, packed: Any, separate: tuple[Any, Any, Any] | None, bias: Any
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Queries, keys and values through their projections: in one product where they are one tensor."""
    if separate is None and query is key and key is value:
        return linear(query, packed, bias).chunk(3, -1)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    weights = packed.chunk(3) if separate is None else separate
    q, k, v = (
        linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    return q, k, v


def _mask_of_heads(mask: Tensor, batch: int, heads: int, length: int, keys: int) -> Tensor:
    """A mask (L, S) or (N · heads, L, S) as (1, 1, L, S) or (N, heads, L, S)."""
    wanted = (length, keys) if mask.dim() == 2 else (batch * heads, length, keys)
    if tuple(mask.shape) != wanted:
        raise RuntimeError(
            f"The shape of the {mask.dim()}D attn_mask is {tuple(mask.shape)}, but should be {wanted}."
        )
    return mask.reshape(*((1, 1) if mask.dim() == 2 else (batch, heads)), length, keys)


def _static(name: str, given: Tensor, batch: int, heads: int, head_dim: int) -> Tensor:
    """Keys or values that are given ready (N · heads, S, E / heads), as (N, heads, S, E / heads)."""
    if given.size(0) != batch * heads:
        raise AssertionError(
            f"expecting {name}.size(0) of {batch * heads}, but got {given.size(0)}"
        )
    if given.size(2) != head_dim:
        raise AssertionError(f"expecting {name}.size(2) of {head_dim}, but got {given.size(2)}")
    return given.reshape(batch, heads, given.size(1), head_dim)


def _weighted(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float
) -> tuple[Tensor, Tensor]:
    """Attention that shows its weights."""
    scores = (q * math.sqrt(1.0 / q.shape[-1])) @ k.transpose(-2, -1)
    weights = softmax(scores if mask is None else scores + mask, -1)
    weights = dropout(weights, dropout_p, True)
    return weights @ v, weights


def attend(
    query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_heads: int, packed: Any,
    separate: tuple[Any, Any, Any] | None, in_proj_bias: Any, bias_k: Any, bias_v: Any, add_zero_attn: bool,
    dropout_p: float, out_proj_weight: Any, out_proj_bias: Any, padding: Any, need_weights: bool, mask: Any,
    static_k: Any, static_v: Any, average: bool, is_causal: bool, batch_first: bool,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """`multi_head_attention_forward` of inputs (L, N, E) or, with `batch_first`, (N, L, E).

    Only the way from there to (N, heads, L, E / heads) and back depends on the order: nothing is copied for it.
    """
    batched = _check_dims(query, key, value, padding, mask, num_heads)
    if is_causal and mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    batch_dim = 0 if batch_first and batched else 1
    length_dim = 1 - batch_dim

    padding = canonical_mask(padding, "key_padding_mask", query.dtype, mask, "attn_mask")
    is_causal = is_causal and padding is None and not need_weights
    mask = None if is_causal else canonical_mask(mask, "attn_mask", query.dtype)

    if query.shape[-1] != embed_dim:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim}, but got {query.shape[-1]}"
        )
    head_dim = embed_dim // num_heads
    if head_dim * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if separate is None and key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
    if key.shape[:-1] != value.shape[:-1]:
        raise AssertionError(
            f"key's sequence and batch dims {key.shape[:-1]} do not match value's {value.shape[:-1]}"
        )
    q, k, v = _project(query, key, value, packed, separate, in_proj_bias)
    if not batched:
        q, k, v = (x.unsqueeze(batch_dim) for x in (q, k, v))
        padding = None if padding is None else padding.unsqueeze(0)
    batch, length, keys = q.shape[batch_dim], q.shape[length_dim], k.shape[length_dim]
    if mask is not None:
        mask = _mask_of_heads(mask, batch, num_heads, length, keys)

    extra = 0  # keys that no mask speaks of
    if (bias_k is None) != (bias_v is None):
        raise AssertionError("bias_k and bias_v must be given together")
    if bias_k is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key and value.")
        one = (batch, 1, embed_dim) if batch_dim == 0 else (1, batch, embed_dim)
        k = cat([k, bias_k.expand(one)], length_dim)
        v = cat([v, bias_v.expand(one)], length_dim)
        extra += 1

    order = (0, 2, 1, 3) if batch_dim == 0 else (1, 2, 0, 3)
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).permute(order) for x in (q, k, v))
    k = k if static_k is None else _static("static_k", static_k, batch, num_heads, head_dim)
    v = v if static_v is None else _static("static_v", static_v, batch, num_heads, head_dim)
    if add_zero_attn:
        nothing = zeros((batch, num_heads, 1, head_dim), dtype=k.dtype, device=k.device)
        k, v = cat([k, nothing], 2), cat([v, nothing], 2)
        extra += 1
    if extra:
        mask = None if mask is None else pad(mask, (0, extra))
        padding = None if padding is None else pad(padding, (0, extra))
    if padding is not None:
        for dim, size in enumerate((batch, k.shape[2])):
            if padding.shape[dim] != size:
                raise AssertionError(
                    f"Expected key_padded_mask.shape[{dim}] to be {size - dim * extra}, but got "
                    f"{padding.shape[dim] - dim * extra}"
                )
        padding = padding.reshape(batch, 1, 1, k.shape[2])
        mask = padding if mask is None else mask + padding

    weights = None
    if need_weights:
        out, weights = _weighted(q, k, v, mask, dropout_p)
        weights = weights.mean(1) if average else weights
        weights = weights if batched else weights.squeeze(0)
    else:
        out = scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal)
    # The length is the outer dimension in memory, as in PyTorch: dropout draws in the order of memory.
    out = linear(out.permute(2, 0, 1, 3).flatten(-2), out_proj_weight, out_proj_bias)
    out = out.transpose(0, 1) if batch_dim == 0 else out
    return out if batched else out.squeeze(batch_dim), weights


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What `nn.MultiheadAttention` computes, with all of its parameters as arguments.

    Args:
        query: `(L, N, E)`, or `(L, E)` without a batch.
        key, value: `(S, N, …)` or `(S, …)`.
        embed_dim_to_check: E.
        num_heads: number of heads; divides E.
        in_proj_weight: `(3E, E)`, the projections of query, key and value one below the other.
        in_proj_bias: `(3E,)` or None.
        bias_k, bias_v: `(1, 1, E)`, a key and a value for everybody, or None.
        add_zero_attn: add a key and a value of zeros.
        dropout_p: probability with which a weight becomes 0, while `training`.
        out_proj_weight, out_proj_bias: `(E, E)` and `(E,)` or None.
        key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal: see
            `nn.MultiheadAttention`.
        use_separate_proj_weight: take `q_proj_weight` (E, E), `k_proj_weight` (E, size of keys) and
            `v_proj_weight` (E, size of values) in place of `in_proj_weight`.
        static_k, static_v: `(N · num_heads, S, E / num_heads)`, used in place of projected keys and values.

    Returns:
        The output, of the shape of the query, and the weights, or None.

    Raises:
        AssertionError, RuntimeError: shapes, masks or weights that do not fit.
    """
    separate = None
    if use_separate_proj_weight:
        separate = (q_proj_weight, k_proj_weight, v_proj_weight)
        for name, weight in zip("qkv", separate, strict=True):
            if weight is None:
                raise AssertionError(
                    f"use_separate_proj_weight is True but {name}_proj_weight is None"
                )
    elif in_proj_weight is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    return attend(
        query, key, value, embed_dim_to_check, num_heads, in_proj_weight, separate, in_proj_bias, bias_k,
        bias_v, add_zero_attn, dropout_p if training else 0.0, out_proj_weight, out_proj_bias,
        key_padding_mask, need_weights, attn_mask, static_k, static_v, average_attn_weights, is_causal, False,
    )  # fmt: skip
