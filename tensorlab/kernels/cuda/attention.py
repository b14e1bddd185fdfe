"""Which attention kernel runs: see `attention.cu` and, for short numbers, `attention_cores.cu`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tensorlab.kernels.cuda import attention_cores as cores
from tensorlab.kernels.cuda.launch import (
    aligned,
    blocks,
    contiguous,
    launch,
    like,
    ours,
    runtime,
    suits,
    type_of,
    xp,
)

#: R and W of attention.cu: tiles, and the longest rows of Q, K and V that they take.
TILES = ((64, 64), (32, 128))
_TYPES = ("float", "float16", "bfloat16")
INSTANCES = [
    *[f"{name}<{t}, {r}, {w}>" for name in ("attention", "attention_by_query", "attention_by_key")
      for t in _TYPES for r, w in TILES],
    *[f"attention_delta<{t}>" for t in _TYPES],
]  # fmt: skip
#: Below this many queries and keys the generic path, whose products are cuBLAS's, is as fast.
SHORTEST = 16

_SIZES = np.dtype(
    [
        *[(name, np.int32) for name in ("queries", "keys", "depth", "width", "heads")],
        *[(f"mask_{name}", np.int64) for name in ("batch", "head", "query", "key")],
    ],
    align=True,
)


class _Engine(NamedTuple):
    """The kernels for some arrays: on tensor cores where these take them, else on the others."""

    file: str  # and how their names begin
    suffix: str  # the numbers of the tile
    rows: int  # of a block
    threads: int
    rooms: tuple[int, int, int]  # bytes of shared memory of forward, by query and by key

    def start(self, part: str, grid: int, heads: int, *arguments: Any) -> None:
        """Run "attention", "attention_by_query" or "attention_by_key" for so many rows of each head."""
        name = f"{self.file}{part}<{type_of(arguments[0])}, {self.suffix}>"
        room = self.rooms[("", "_by_query", "_by_key").index(part)]
        size = (blocks(grid, self.rows), heads)
        launch(self.file, name, size, (self.threads,), *arguments, shared=room)


def _engine(query: Any, value: Any) -> _Engine:
    tile = cores.tile(query, value)
    if tile is not None:
        rooms = cores.rooms(tile)
        suffix = f"{tile[0]}, {tile[1]}"
        return _Engine("attention_cores", suffix, cores.ROWS, cores.THREADS, rooms)
    longest = max(query.shape[-1], value.shape[-1])
    r, w = next(tile for tile in TILES if longest <= tile[1])
    # Shared memory for so many tiles of rows, and one of scores.
    forward, backward = (4 * (rows * r * (w + 4) + r * (r + 4)) for rows in (2, 4))
    return _Engine("attention", f"{r}, {w}", r, 256, (forward, backward, backward))


def _suits(query: Any, key: Any, value: Any, mask: Any, dropout: Any, *others: Any) -> bool:
    """Whole heads, each with keys and values of its own, of a size that tiles take."""
    found = runtime()
    if dropout is not None or found is None or not suits(query, key, value, mask, *others):
        return False
    if query.dtype.itemsize == 8 or query.ndim not in (3, 4):
        return False
    if not query.ndim == key.ndim == value.ndim:
        return False
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        return False
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        return False
    if mask is not None and not _broadcasts(mask.shape, (*query.shape[:-1], key.shape[-2])):
        return False
    longest = max(query.shape[-1], value.shape[-1])
    if min(query.size, key.size, value.size) == 0 or longest > TILES[-1][1]:
        return False
    if min(query.shape[-2], key.shape[-2]) < SHORTEST or math.prod(query.shape[:-2]) > 65535:
        return False
    return max(_engine(query, value).rooms) + 1024 <= found.shared_limit


def _broadcasts(shape: Any, to: Any) -> bool:
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(n in (1, m) for n, m in pairs)


def _sizes(query: Any, key: Any, value: Any, mask: Any) -> Any:
    found = np.zeros((), _SIZES)
    found["queries"], found["keys"] = query.shape[-2], key.shape[-2]
    found["depth"], found["width"] = query.shape[-1], value.shape[-1]
    found["heads"] = query.shape[1] if query.ndim == 4 else 1
    if mask is not None:
        lead = (1,) * (query.ndim - mask.ndim) + tuple(mask.shape)
        lead = lead if query.ndim == 4 else (lead[0], 1, *lead[1:])
        step = 1
        for name, n in zip(("key", "query", "head", "batch"), reversed(lead), strict=True):
            found[f"mask_{name}"] = step if n > 1 else 0
            step *= n
    return found


def attention(
    query: Any, key: Any, value: Any, mask: Any, dropout: Any, is_causal: bool, scale: float
) -> Any:
    if not _suits(query, key, value, mask, dropout):
        return NotImplemented
    query, key, value = map(aligned, (query, key, value))
    mask, lead = contiguous(mask), query.shape[:-1]
    out, normaliser = like(query, (*lead, value.shape[-1])), xp().empty(lead, np.float64)
    how = (_sizes(query, key, value, mask), bool(is_causal), float(scale))
    heads = math.prod(query.shape[:-2])
    _engine(query, value).start(
        "", query.shape[-2], heads, query, key, value, mask, out, normaliser, *how
    )
    return out, normaliser


def attention_backward(
    input: Any, by_normaliser: Any, query: Any, key: Any, value: Any, output: Any, normaliser: Any, mask: Any,
    dropout: Any, is_causal: bool, scale: float,
) -> Any:  # fmt: skip
    if not _suits(query, key, value, mask, dropout, input, output):
        return NotImplemented
    of_rows = (by_normaliser, normaliser)
    if not ours(*of_rows) or any(a.dtype != np.float64 or a.shape != query.shape[:-1] for a in of_rows):  # fmt: skip
        return NotImplemented
    if input.shape != output.shape:
        return NotImplemented
    g, query, key, value = map(aligned, (input, query, key, value))
    mask, output, by_normaliser, normaliser = map(
        contiguous, (mask, output, by_normaliser, normaliser)
    )
    rows = int(normaliser.size)
    delta = xp().empty((rows,), np.float32)
    launch(
        "attention", f"attention_delta<{type_of(query)}>", (blocks(rows, 8),), (32, 8), g, output, by_normaliser,
        delta, rows, np.int32(value.shape[-1]),
    )  # fmt: skip
    by_query, by_key, by_value = like(query), like(key), like(value)
    given = (query, key, value, mask, g, normaliser, delta)
    how = (_sizes(query, key, value, mask), bool(is_causal), float(scale))
    engine, heads = _engine(query, value), math.prod(query.shape[:-2])
    engine.start("_by_query", query.shape[-2], heads, *given, by_query, *how)
    engine.start("_by_key", key.shape[-2], heads, *given, by_key, by_value, *how)
    return by_query, by_key, by_value
