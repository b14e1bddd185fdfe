"""Attention a block of queries at a time: the scores of all queries are never held at once.

For BLOCK queries of one head the scores, their softmax and the product with the values are made while
they are in the cache; of each query only the logarithm of its sum of exponentials is kept. The backward
pass makes the weights again from it (T. Dao et al., "FlashAttention", arXiv:2205.14135). All products
run on the panels of `gemm`; a causal mask stops them at the last key that a block may see.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.gemm import multiply_panels, pack_columns, pack_rows
from tensorlab.kernels.cpu.native.maths import dot, exp, largest, total
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import LANES, ROWS, VECTORS
from tensorlab.kernels.threads import split, thread_count

WIDTH = LANES * VECTORS
BLOCK = 64  # queries

_HEADS = "float32[:, :, :, :]"  # (batch, head, place, feature), in any layout
_SCORES = "float32[:, :, :, ::1]"  # (batch, head, query, key), or none


@compiled(
    f"void(float32[:, ::1], int64, int64, int64, int64, {_SCORES}, int64, int64, boolean, float32)"
)
def _finish_scores(scores, first, count, keys, seen, mask, batch, head, causal, scale):
    """Scale the scores of the queries first…first + count, add the mask, hide what is ahead."""
    for i in range(count):
        row = scores[i]
        own = min(seen, first + i + 1) if causal else seen
        for j in range(own):
            row[j] = row[j] * scale
        if len(mask):
            # What the mask has one of is the same for all.
            b, h, place = batch % len(mask), head % mask.shape[1], (first + i) % mask.shape[2]
            line = mask[b, h, place]
            for j in range(own):
                row[j] = row[j] + line[j]
        for j in range(own, seen):
            row[j] = -np.inf


@compiled(
    f"void({_HEADS}, {_HEADS}, {_HEADS}, {_SCORES}, {_SCORES}, boolean, float32, {_HEADS}, float64[:, :, ::1],"
    " int64, int64)",
    limits=2,
)
def _forward(query, key, value, mask, dropout, causal, scale, out, normaliser, first, last):
    """The heads first…last, counted through all batches."""
    heads, places, width = query.shape[1:]
    keys, features = key.shape[2], value.shape[3]
    key_panels = np.empty((keys + WIDTH) * width, np.float32)
    value_panels = np.empty((features + WIDTH) * keys, np.float32)
    room = np.empty((BLOCK + ROWS) * max(width, keys), np.float32)
    scores = np.empty((BLOCK, keys), np.float32)
    found = np.empty((BLOCK, features), np.float32)
    corner = np.empty(ROWS * WIDTH, np.float32)
    for head in range(first, last):
        b, h = head // heads, head % heads
        q, k, v = query[b, h], key[b, h], value[b, h]
        pack_columns(k.T, 0, width, 0, keys, key_panels)
        pack_columns(v, 0, keys, 0, features, value_panels)
        for start in range(0, places, BLOCK):
            count = min(BLOCK, places - start)
            seen = min(keys, start + count) if causal else keys  # by the last query
            pack_rows(q, start, start + count, 0, width, room)
            multiply_panels(room, key_panels, width, scores, 0, count, 0, seen, False, corner)
            _finish_scores(scores, start, count, keys, seen, mask, b, h, causal, scale)
            # Panels of more than one tile's width stand `keys` apart: then all keys take part.
            depth = seen if features <= WIDTH else keys
            for i in range(count):
                row = scores[i, :seen]
                highest = largest(row)
                if highest == -np.inf:  # a query that sees no key: all its exponentials are 0
                    highest = np.float32(0)
                for j in range(len(row)):
                    row[j] = exp(row[j] - highest)
                amount = total(row)
                normaliser[b, h, start + i] = np.log(np.float64(amount)) + highest
                share = np.float32(1) if amount == 0 else np.float32(1) / amount
                for j in range(len(row)):
                    row[j] *= share
                if len(dropout):
                    factor = dropout[b, h, start + i]
                    for j in range(len(row)):
                        row[j] *= factor[j]
                for j in range(seen, depth):
                    scores[i, j] = 0
            pack_rows(scores, 0, count, 0, depth, room)
            multiply_panels(room, value_panels, depth, found, 0, count, 0, features, False, corner)
            for i in range(count):
                for j in range(features):
                    out[b, h, start + i, j] = found[i, j]


@compiled(
    f"void({_HEADS}, float64[:, :, ::1], {_HEADS}, {_HEADS}, {_HEADS}, {_HEADS}, float64[:, :, ::1],"
    f" {_SCORES}, {_SCORES}, boolean, float32, {_HEADS}, {_HEADS}, {_HEADS}, int64, int64)",
    limits=2,
)
def _backward(
    g, by_normaliser, query, key, value, output, normaliser, mask, dropout, causal, scale, by_query, by_key, by_value,
    first, last,
):  # fmt: skip
    """The gradients of the heads first…last."""
    heads, places, width = query.shape[1:]
    keys, features = key.shape[2], value.shape[3]
    widest = max(width, features, keys)
    # As factors on the right: the keys turned, the keys, and the values turned.
    keys_turned = np.empty((keys + WIDTH) * width, np.float32)
    key_panels = np.empty((width + WIDTH) * keys, np.float32)
    values_turned = np.empty((keys + WIDTH) * features, np.float32)
    block_panels = np.empty((max(width, features) + WIDTH) * BLOCK, np.float32)
    room = np.empty(max((BLOCK + ROWS) * widest, (keys + ROWS) * BLOCK), np.float32)
    weights, slopes = np.empty((BLOCK, keys), np.float32), np.empty((BLOCK, keys), np.float32)
    of_queries = np.empty((BLOCK, width), np.float32)
    of_keys, of_values = np.empty((keys, width), np.float32), np.empty((keys, features), np.float32)
    row_g, row_out = np.empty(features, np.float32), np.empty(features, np.float32)
    corner = np.empty(ROWS * WIDTH, np.float32)
    for head in range(first, last):
        b, h = head // heads, head % heads
        q, k, v, dout = query[b, h], key[b, h], value[b, h], g[b, h]
        pack_columns(k.T, 0, width, 0, keys, keys_turned)
        pack_columns(k, 0, keys, 0, width, key_panels)
        pack_columns(v.T, 0, features, 0, keys, values_turned)
        of_keys[:, :], of_values[:, :] = np.float32(0), np.float32(0)
        for start in range(0, places, BLOCK):
            count = min(BLOCK, places - start)
            end = start + count
            seen = min(keys, end) if causal else keys
            depth = seen if width <= WIDTH else keys
            pack_rows(q, start, end, 0, width, room)
            multiply_panels(room, keys_turned, width, weights, 0, count, 0, seen, False, corner)
            _finish_scores(weights, start, count, keys, seen, mask, b, h, causal, scale)
            pack_rows(dout, start, end, 0, features, room)
            multiply_panels(room, values_turned, features, slopes, 0, count, 0, seen, False, corner)
            for i in range(count):
                for j in range(features):
                    row_g[j], row_out[j] = dout[start + i, j], output[b, h, start + i, j]
                along = dot(row_g, row_out) - np.float32(by_normaliser[b, h, start + i])
                shift = np.float32(normaliser[b, h, start + i])
                if shift == -np.inf:  # it sees no key: its weights are 0
                    shift = np.float32(np.inf)
                weight, slope = weights[i, :seen], slopes[i, :seen]
                for j in range(len(weight)):
                    weight[j] = exp(weight[j] - shift)
                if len(dropout):
                    factor = dropout[b, h, start + i]
                    for j in range(len(slope)):
                        slope[j] = (slope[j] * factor[j] - along) * weight[j] * scale
                    for j in range(len(weight)):
                        weight[j] *= factor[j]  # as the values were weighted
                else:
                    for j in range(len(slope)):
                        slope[j] = (slope[j] - along) * weight[j] * scale
                for j in range(seen, depth):
                    slopes[i, j] = 0
            # By the queries: slopes · keys. By keys and values: what this block adds to them.
            pack_rows(slopes, 0, count, 0, depth, room)
            multiply_panels(room, key_panels, depth, of_queries, 0, count, 0, width, False, corner)
            for i in range(count):
                for j in range(width):
                    by_query[b, h, start + i, j] = of_queries[i, j]
            pack_rows(slopes.T, 0, seen, 0, count, room)
            pack_columns(q, start, count, 0, width, block_panels)
            multiply_panels(room, block_panels, count, of_keys, 0, seen, 0, width, True, corner)
            pack_rows(weights.T, 0, seen, 0, count, room)
            pack_columns(dout, start, count, 0, features, block_panels)
            multiply_panels(
                room, block_panels, count, of_values, 0, seen, 0, features, True, corner
            )
        for i in range(keys):
            for j in range(width):
                by_key[b, h, i, j] = of_keys[i, j]
            for j in range(features):
                by_value[b, h, i, j] = of_values[i, j]


_NONE = np.empty((0, 0, 0, 0), np.float32)


def _four(x: np.ndarray) -> np.ndarray:
    """(heads, place, feature) as (1, heads, place, feature)."""
    return x if x.ndim == 4 else x[None]


def _scores(x: np.ndarray | None) -> np.ndarray:
    """A mask or factors of dropout as the kernels take them."""
    return _NONE if x is None else np.ascontiguousarray(x).reshape((1,) * (4 - x.ndim) + x.shape)


def _three(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x if x.ndim == 3 else x[None])


def attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    mask: Any,
    dropout: Any,
    causal: bool,
    scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    """(Softmax(Q Kᵀ · scale + mask) ⊙ dropout) V, and the logarithm of each query's sum of exponentials."""
    out = np.empty_like(query, shape=(*query.shape[:-1], value.shape[-1]))
    normaliser = np.empty(query.shape[:-1])
    q, k, v, result = _four(query), _four(key), _four(value), _four(out)
    sums = normaliser if normaliser.ndim == 3 else normaliser[None]
    given = _scores(mask), _scores(dropout)
    number = np.float32(scale)
    parts = split(q.shape[0] * q.shape[1], thread_count(4 * query.size * key.shape[-2]))
    run_parts(_forward, parts, q, k, v, *given, causal, number, result, sums)
    return out, normaliser


def attention_backward(
    g: np.ndarray, by_normaliser: np.ndarray, query: np.ndarray, key: np.ndarray, value: np.ndarray,
    output: np.ndarray, normaliser: np.ndarray, mask: Any, dropout: Any, causal: bool, scale: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """The gradients by query, key and value."""
    found = tuple(np.empty_like(x) for x in (query, key, value))
    arrays = [_four(x) for x in (query, key, value, output)]
    results = [_four(x) for x in found]
    along, sums, grad = _three(by_normaliser), _three(normaliser), _four(g)
    given = _scores(mask), _scores(dropout)
    number = np.float32(scale)
    parts = split(grad.shape[0] * grad.shape[1], thread_count(10 * query.size * key.shape[-2]))
    run_parts(_backward, parts, grad, along, *arrays, sums, *given, causal, number, *results)
    return found  # type: ignore[return-value]
