r"""Attention: each query takes a weighted mean of the values, weighted by how well the keys fit it.

With queries Q (L, E), keys K (S, E), values V (S, D) and a mask M (L, S) of numbers to add,

    P = softmax(Q Kᵀ · scale + M)      O = P V

For the gradient neither P nor the scores are kept, only the logarithm of each row's sum of exponentials,
ℓ (one number per query): P = exp(Q Kᵀ · scale + M − ℓ) is computed again from it. Then

    by V:   Pᵀ G
    by Q:   dS K · scale       with dS = P ∘ (G Vᵀ − rows of Σ G ∘ O)
    by K:   dSᵀ Q · scale

So what is kept grows with the length of a sequence and not with its square, and the scores themselves are
computed for one part of the batch after the other where there are many. Dropout multiplies P by a mask of 0 and
1 / (1 − p) before it meets V, in both directions.

Sources: A. Vaswani et al., "Attention is all you need", arXiv:1706.03762, section 3.2.1; T. Dao et al.,
"FlashAttention", arXiv:2205.14135, section 3.1 and appendix B for the gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._backend import backend_of
from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import OPS, ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops.compare import where
from tensorlab.ops.functions import exp
from tensorlab.ops.linalg import matmul
from tensorlab.ops.reduce import sum as sum_
from tensorlab.ops.shape import sum_to, transpose
from tensorlab.ops.views import unsqueeze

# The operation ----------------------------------------------------------------------------


def _wide(array: Any) -> Any:
    """Half precision is too coarse for sums of exponentials: compute in float32."""
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array


def _with_causal(xp: Any, mask: Any, query: Any, key: Any) -> Any:
    """The mask with −inf, too, where a key stands behind its query's position."""
    causal = xp.triu(xp.full((query.shape[-2], key.shape[-2]), -math.inf, query.dtype), 1)
    return causal if mask is None else mask + causal


def _scores(xp: Any, scaled: Any, key: Any, mask: Any, is_causal: bool) -> Any:
    """Q Kᵀ · scale + M of queries that are scaled already."""
    scores = xp.matmul(scaled, key.swapaxes(-1, -2))
    if is_causal:
        mask = _with_causal(xp, mask, scaled, key)
    if mask is not None:
        scores += mask
    return scores


def _like(xp: Any, pattern: Any, shape: tuple[int, ...]) -> Any:
    """Memory for an array of `shape` with its dimensions in the order in which `pattern`'s lie.

    Heads are often a view of (N, L, heads · E): results in the same order become that again for free.
    """
    if len(shape) == pattern.ndim:
        return xp.empty_like(pattern, shape=shape)
    return xp.empty(shape, pattern.dtype)


#: How many scores a CPU's core keeps in its cache, and how many (1 GiB) a GPU may be asked to hold.
_FEW_SCORES, _MANY_SCORES = 1 << 18, 1 << 28


def _is_large(xp: Any, query: Any, key: Any, value: Any) -> bool:
    """Whether the scores are better computed for one part of the batch after the other.

    On a CPU those of a part then stay in the cache; on a GPU it bounds the memory they take.
    """
    arrays = (query, key, value)
    if any(x.ndim != query.ndim or x.ndim < 3 or len(x) != len(query) for x in arrays):
        return False
    lead = query.shape[:-2]
    if np.broadcast_shapes(*(x.shape[:-2] for x in arrays)) != lead:
        return False
    scores = query.shape[-2] * key.shape[-2] * math.prod(lead)
    return scores > (_FEW_SCORES if xp is np else _MANY_SCORES)


def _part(x: Any, i: int, ndim: int) -> Any:
    """Part `i` of an array along the first of `ndim` dimensions, along which it may be repeated."""
    if x is None or x.ndim < ndim:
        return x
    return x[0 if len(x) == 1 else i]


def _check(query: Any, key: Any, value: Any, mask: Any) -> None:
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be at least 2 dimensional, but got query.dim: "
            f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    names = [from_numpy_dtype(x.dtype) for x in (query, key, value)]
    if len(set(names)) > 1:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{names[0]} key.dtype: {names[1]} and value.dtype: {names[2]} instead."
        )
    if query.dtype.kind != "f":
        raise NotImplementedError(
            f"\"scaled_dot_product_attention\" not implemented for '{query.dtype.name}': it needs "
            "floating-point tensors"
        )
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise RuntimeError(
            "scaled_dot_product_attention: expected query (…, L, E), key (…, S, E) and value (…, S, D), but "
            f"got {list(query.shape)}, {list(key.shape)} and {list(value.shape)}"
        )
    if mask is not None and mask.ndim > max(query.ndim, key.ndim):
        raise RuntimeError(
            f"scaled_dot_product_attention: a mask of shape {list(mask.shape)} has more dimensions than the "
            f"scores of query {list(query.shape)} and key {list(key.shape)}"
        )


def _reference(q, k, v, mask=None, dropout=None, is_causal=False, scale=1.0):
    scores = np.einsum("...le,...se->...ls", q, k).astype(np.float64) * scale
    if mask is not None:
        scores = scores + mask
    if is_causal:
        scores[..., ~np.tri(*scores.shape[-2:], dtype=bool)] = -np.inf
    normaliser = np.logaddexp.reduce(scores, axis=-1)
    weights = np.nan_to_num(np.exp(scores - normaliser[..., None]))
    weights = weights if dropout is None else weights * dropout
    return np.einsum("...ls,...sd->...ld", weights, v), normaliser


def _torch_forward(q, k, v, mask=None, dropout=None, is_causal=False, scale=1.0):
    from tensorlab.testing import _torch

    torch = _torch.module()
    scores = q @ k.transpose(-1, -2) * scale
    if is_causal:
        mask = torch.full(scores.shape[-2:], -math.inf, dtype=q.dtype).triu(1)
    scores = scores if mask is None else scores + mask
    weights = torch.softmax(scores, -1)
    out = (weights if dropout is None else weights * dropout) @ v
    return out, torch.logsumexp(scores.double(), -1)


def _samples(r: Any) -> list[Sample]:
    dropped = np.where(r(2, 3, 4, low=0, high=1) < 0.3, 0, 1 / 0.7).astype(r.dtype)
    return [
        Sample(r(3, 4), r(5, 4), r(5, 2), None, None, False, 0.5),
        Sample(r(2, 3, 4), r(2, 5, 4), r(2, 5, 4), r(3, 5), None, False, 0.5),
        Sample(r(2, 2, 3, 2), r(2, 2, 3, 2), r(2, 2, 3, 2), None, None, True, 0.7),
        Sample(r(2, 3, 2), r(2, 4, 2), r(2, 4, 3), r(2, 1, 4), dropped, False, 1.0),
        Sample(r(2, 1, 3, 2), r(1, 3, 4, 2), r(3, 4, 2), None, None, True, 1.0),
        Sample(r(1, 0, 2), r(1, 3, 2), r(1, 3, 2), None, None, False, 1.0),
    ]


def _errors(r: Any) -> list[ErrorSample]:
    def bad(match: str, *arrays: Any, error: Any = RuntimeError) -> ErrorSample:
        return ErrorSample(*arrays, error=error, match=match)

    return [
        bad("at least 2 dimensional", r(3), r(2, 3), r(2, 3)),
        bad("the same dtype", r(2, 3).astype(np.float64), r(2, 3), r(2, 3)),
        bad("expected query", r(2, 3), r(2, 4), r(2, 3)),
        bad("expected query", r(2, 3), r(2, 3), r(4, 3)),
        bad("size of tensor", r(2, 2, 3), r(3, 2, 3), r(3, 2, 3)),
        bad("size of tensor", r(2, 3), r(4, 3), r(4, 3), r(3, 4)),
        bad("more dimensions", r(2, 3), r(4, 3), r(4, 3), r(1, 2, 4)),
        bad("not implemented for", *[np.ones((2, 3), int)] * 3, error=NotImplementedError),
    ]


@op(
    name="scaled_dot_product_attention", node_name="ScaledDotProductAttention", samples=_samples,
    errors=_errors, ref=_reference, torch=_torch_forward, result=None,
)  # fmt: skip
def _attention(
    xp, query, key, value, mask=None, dropout=None, /, is_causal=False, scale=1.0
):  # fmt: skip
    """Attention of `query` (…, L, E) to `key` (…, S, E) and `value` (…, S, D), and each query's normaliser.

    mask: numbers added to the scores, broadcastable to (…, L, S). dropout: factors of the weights, of just
    this shape. The result is (…, L, D) and the logarithm of the sum of exponentials, (…, L): in float64, so
    that no dtype of the inputs rounds what the weights are computed from again.
    """
    _check(query, key, value, mask)
    kind = query.dtype
    if _is_large(xp, query, key, value):
        out = _like(xp, query, (*query.shape[:-1], value.shape[-1]))
        normaliser = xp.empty(query.shape[:-1])
        if is_causal:  # once for all parts
            mask, is_causal = _with_causal(xp, mask, _wide(query), key), False
        for i in range(len(query)):
            parts = (_part(x, i, query.ndim) for x in (query, key, value, mask, dropout))
            out[i], normaliser[i] = _attention(*parts, is_causal, scale)
        return out, normaliser
    query, key, value = _wide(query), _wide(key), _wide(value)
    scores = _scores(xp, query * query.dtype.type(scale), key, mask, is_causal)
    if scores.shape[-1] == 0:  # no key: nothing to take the mean of
        batch = np.broadcast_shapes(scores.shape[:-2], value.shape[:-2])
        rows = scores.shape[:-1]
        return xp.zeros((*batch, rows[-1], value.shape[-1]), kind), xp.full(rows, -math.inf)
    highest = scores.max(axis=-1, keepdims=True)
    # A query that sees no key: all its exponentials are 0.
    highest = xp.where(highest == -math.inf, 0, highest)
    scores -= highest
    weights = xp.exp(scores, out=scores)
    # A product with ones sums rows several times faster than `sum` does.
    total = xp.matmul(weights, xp.ones((weights.shape[-1], 1), weights.dtype))
    normaliser = xp.log(total.astype(np.float64)) + highest
    total = xp.where(total == 0, 1, total)
    if dropout is not None:
        weights *= dropout
    shape = (*np.broadcast_shapes(weights.shape[:-2], value.shape[:-2]), weights.shape[-2])
    out = xp.matmul(weights, value, out=_like(xp, query, (*shape, value.shape[-1])))
    out /= total
    return out.astype(kind, copy=False), normaliser[..., 0]


def _weights(xp: Any, scaled: Any, key: Any, mask: Any, is_causal: bool, normaliser: Any) -> Any:
    """P again, from the scores and their rows' normalisers."""
    weights = _scores(xp, scaled, key, mask, is_causal)
    # −inf marks a query that sees no key: +inf makes all its weights 0.
    weights -= xp.where(normaliser == -math.inf, math.inf, normaliser).astype(weights.dtype)[
        ..., None
    ]
    return xp.exp(weights, out=weights)


# Its gradient -----------------------------------------------------------------------------


def _gradient_reference(
    g, by_normaliser, q, k, v, out, normaliser, mask=None, dropout=None, is_causal=False, scale=1.0
):
    scores = np.einsum("...le,...se->...ls", q, k) * scale + (0 if mask is None else mask)
    if is_causal:
        scores[..., ~np.tri(*scores.shape[-2:], dtype=bool)] = -np.inf
    p = np.exp(scores - normaliser[..., None])
    factor = 1 if dropout is None else dropout
    by_v = np.einsum("...ls,...ld->...sd", p * factor, g)
    by_p = np.einsum("...ld,...sd->...ls", g, v) * factor
    by_scores = p * (by_p - (g * out).sum(-1, keepdims=True) + by_normaliser[..., None]) * scale
    by_q = np.einsum("...ls,...se->...le", by_scores, k)
    return by_q, np.einsum("...ls,...le->...se", by_scores, q), by_v


def _product(xp: Any, a: Any, b: Any, target: Any) -> Any:
    """a · b as a gradient of `target`: of its shape and dtype, and lying in memory as it does."""
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    found = xp.matmul(a, b, out=_like(xp, target.astype(a.dtype, copy=False), shape))
    return sum_to(found, target.shape).astype(target.dtype, copy=False)


@op(
    name="scaled_dot_product_attention_backward", torch="", result=None, ref=_gradient_reference,
    samples=lambda r: [
        Sample(r(2, 3, 2), r(2, 3), r(2, 3, 4), r(2, 5, 4), r(2, 5, 2), r(2, 3, 2), 2 + r(2, 3)),
        Sample(
            r(3, 2), r(3), r(3, 4), r(3, 4), r(3, 2), r(3, 2), 2 + r(3), r(3, 3), r(3, 3), True, 0.5
        ),
    ],
)  # fmt: skip
def _attention_backward(
    xp, input, by_normaliser, query, key, value, output, normaliser, mask=None, dropout=None, /,
    is_causal=False, scale=1.0,
):  # fmt: skip
    """The gradients of attention by query, key and value, given those of its results.

    `input` is the gradient of `output`. A kernel that takes this operation's place makes the backward pass fast;
    gradients of gradients, and those by mask and dropout, are made of other operations.
    """
    if _is_large(xp, query, key, value):
        found = tuple(_like(xp, x, x.shape) for x in (query, key, value))
        if is_causal:
            mask, is_causal = _with_causal(xp, mask, _wide(query), key), False
        given = (input, by_normaliser, query, key, value, output, normaliser, mask, dropout)
        for i in range(len(query)):
            parts = [_part(x, i, query.ndim) for x in given]
            parts[1], parts[6] = by_normaliser[i], normaliser[i]  # of one dimension less
            for whole, part in zip(
                found, _attention_backward(*parts, is_causal, scale), strict=True
            ):
                whole[i] = part
        return found
    g, wide_key = _wide(input), _wide(key)
    scaled = _wide(query)
    scaled = scaled * scaled.dtype.type(scale)
    weights = _weights(xp, scaled, wide_key, mask, is_causal, normaliser)
    dropped = weights if dropout is None else weights * dropout
    by_value = _product(xp, dropped.swapaxes(-1, -2), g, value)
    by_scores = xp.matmul(g, _wide(value).swapaxes(-1, -2))
    if dropout is not None:
        by_scores *= dropout
    along = xp.einsum("...ld,...ld->...l", g, output) - by_normaliser.astype(g.dtype)
    by_scores -= along[..., None]
    by_scores *= weights
    by_key = _product(xp, by_scores.swapaxes(-1, -2), scaled, key)
    by_query = _product(xp, by_scores, wide_key, query)
    by_query *= query.dtype.type(scale)
    return by_query, by_key, by_value


def _by_operations(
    g: Any, by_normaliser: Any, query: Any, key: Any, value: Any, output: Any, normaliser: Any, mask: Any,
    dropout: Any, is_causal: bool, scale: float, needs: Any,
) -> tuple[Any, ...]:  # fmt: skip
    """The gradients by every input, made of operations that have gradients themselves."""
    kind = query.dtype if isinstance(query.dtype, np.dtype) else query.dtype.numpy
    cast = OPS["cast"].call
    scores = matmul(query * scale, transpose(key, -2, -1))
    scores = scores if mask is None else scores + mask
    if is_causal:
        array = query._data if isinstance(query, Tensor) else query
        scores = scores + _with_causal(backend_of(array).xp, None, array, key)
    normaliser = where(normaliser == -math.inf, math.inf, normaliser)
    weights = exp(scores - cast(unsqueeze(normaliser, -1), kind))
    dropped = weights if dropout is None else weights * dropout
    by_dropped = matmul(g, transpose(value, -2, -1))
    by_weights = by_dropped if dropout is None else by_dropped * dropout
    along = sum_(g * output, -1, True) - cast(unsqueeze(by_normaliser, -1), kind)
    by_scores = weights * (by_weights - along)
    found = (
        lambda: matmul(by_scores, key) * scale,
        lambda: matmul(transpose(by_scores, -2, -1), query) * scale,
        lambda: matmul(transpose(dropped, -2, -1), g),
        lambda: by_scores,
        lambda: weights * by_dropped,
    )
    of: tuple[Any, ...] = (query, key, value, mask, dropout)
    return tuple(
        sum_to(make(), tuple(x.shape)) if need else None
        for make, x, need in zip(found, of, needs, strict=True)
    )


def _attention_rule(
    g, query, key, value, out, mask, dropout, is_causal, scale, needs
):  # fmt: skip
    values: Any = (*g, query, key, value, *out, mask, dropout, is_causal, scale)
    if isinstance(g[0], Tensor) or needs[3] or needs[4]:
        return _by_operations(*values, needs=needs)
    return (*_attention_backward(*values), None, None)


_attention.vjp(_attention_rule)
