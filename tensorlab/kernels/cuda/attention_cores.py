"""Which of the attention kernels on tensor cores run: see `attention_cores.cu`. `attention.py` starts them."""

from __future__ import annotations

from typing import Any

#: W and R of attention_cores.cu: the longest rows of Q, K and V, and the rows of a tile.
TILES = ((32, 64), (64, 64), (128, 32))
#: Rows that a block has of its own, and its threads.
ROWS, THREADS = 64, 128
INSTANCES = [
    f"attention_cores{part}<{kind}, {w}, {r}>"
    for part in ("", "_by_query", "_by_key")
    for kind in ("float16", "bfloat16")
    for w, r in TILES
]


def tile(query: Any, value: Any) -> tuple[int, int] | None:
    """The tile for these arrays; None if tensor cores do not take them."""
    sizes = query.shape[-1], value.shape[-1]
    if query.dtype.itemsize != 2 or any(size % 8 for size in sizes):
        return None
    return next((found for found in TILES if max(sizes) <= found[0]), None)


def _room(w: int, own: int, tiles: int, turned: int, r: int) -> int:
    """Bytes of shared memory: blocks of a block's own rows, tiles of rows, and tiles of columns."""
    return 2 * ((own * ROWS + tiles * r) * (w + 8) + turned * w * (r + 8))


def rooms(found: tuple[int, int]) -> tuple[int, int, int]:
    """Of forward, by query and by key: bytes of shared memory."""
    w, r = found
    # V, turned, has columns of its own in forward; backward has rows and columns of what it goes over.
    return _room(w, 1, 1, 1, r), _room(w, 2, 2, 1, r), _room(w, 2, 2, 2, r)
