"""The k largest or smallest of each row, in order, and where they stand.

Numbers are compared as whole numbers that are in the same order, with the place behind them: of equal ones the
first is the better. The best so far lie in order, the worst of them in front. Few numbers of a row are better
than that one, so most of the work is to compare whole vectors with it; one that is better is put among the best
in one pass over them, without a branch.
"""

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.maths import inlined
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import pass_threads, split

#: So many numbers are compared with the worst of the best before any is looked at by itself.
BLOCK = 64
#: What looking at a number costs, in operations.
_LOOKING = 4

#: The bits of float32: all but the sign, infinity, and the highest place a number can have.
_SIZE, _INFINITY, _PLACES = 0x7FFFFFFF, 0x7F800000, 0xFFFFFFFF


@inlined
def _rank(bits, smallest):
    """A whole number of 32 bits, larger the better a float32 of these bits is; nan is the largest number."""
    size = bits & np.int32(_SIZE)
    # Below zero, the larger number is the one with smaller bits; both zeros are 0.
    rank = bits if bits >= 0 else np.int32(-size)
    rank = np.int32(_SIZE) if size > np.int32(_INFINITY) else rank
    return ~rank if smallest else rank


@inlined
def _key(rank, place):
    """A whole number of 64 bits, larger the better the rank, and of equal ranks the lower the place."""
    return (np.int64(rank) << 32) | (_PLACES - place)


@inlined
def _put(keys, key):
    """Put a key into its place among ascending ones, of which the first leaves."""
    last = len(keys) - 1
    for j in range(last):
        keys[j] = min(keys[j + 1], max(keys[j], key))
    keys[last] = max(keys[last], key)


@compiled(
    "void(int32[:, ::1], boolean, int32[:, ::1], int64[:, ::1], int64, int64)",
    limits=2,
)
def _best(x, smallest, values, places, first, last):
    """The best of the rows first…last: as many as `values` and `places` have columns."""
    n, k = x.shape[1], places.shape[1]
    for r in range(first, last):
        row, keys = x[r], places[r]
        for j in range(k):  # those so far are behind
            key = _key(_rank(row[j], smallest), j)
            keys[k - 1 - j] = key
            _put(keys[k - 1 - j :], key)
        for start in range(k, n, BLOCK):
            block = row[start : min(start + BLOCK, n)]
            worst = np.int32(keys[0] >> 32)
            better = np.int32(0)
            for j in range(len(block)):
                better |= np.int32(_rank(block[j], smallest) > worst)
            if better:
                for j in range(len(block)):
                    rank = _rank(block[j], smallest)
                    if rank > worst:
                        _put(keys, _key(rank, start + j))
                        worst = np.int32(keys[0] >> 32)
        for j in range(k // 2):
            keys[j], keys[k - 1 - j] = keys[k - 1 - j], keys[j]
        for j in range(k):
            place = _PLACES - (keys[j] & _PLACES)
            places[r, j], values[r, j] = place, row[place]


def best(x: np.ndarray, k: int, largest: bool) -> tuple[np.ndarray, np.ndarray]:
    """The k best of each row of contiguous x (rows, n), the best in front, and their places."""
    values = np.empty((len(x), k), np.float32)
    places = np.empty((len(x), k), np.int64)
    parts = split(len(x), pass_threads(_LOOKING * x.size))
    run_parts(_best, parts, x.view(np.int32), not largest, values.view(np.int32), places)
    return values, places
