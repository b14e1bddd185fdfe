"""Other sizes along one dimension: each element of the result is a weighted sum of a few of the input's.

Which ones, and with which weights, is a table. Adaptive average pooling is such a table, and so are
nearest, linear and cubic interpolation; the gradient is the same operation with the table turned over.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tensorlab._op import Sample, op
from tensorlab.ops.pool import parts

#: For each element of the result: which elements of the input (−1 for none), and their weights.
Table = tuple[np.ndarray, np.ndarray]


def _reference(x, dim, size, table):
    out = np.zeros((*x.shape[:dim], len(table[0]), *x.shape[dim + 1 :]))
    for o, (sources, weights) in enumerate(zip(*table, strict=True)):
        for i, w in zip(sources, weights, strict=True):
            if i >= 0:
                out[(slice(None),) * dim + (o,)] += w * x[(slice(None),) * dim + (i,)]
    return out


@op(
    samples=lambda r: [
        Sample(r(2, 4), 1, 4, (np.array([[0, 1], [3, -1], [1, 1]]), np.array([[0.5, 0.25], [2.0, 0.0], [1.0, 1.0]]))),
        Sample(r(3, 2, 2), 0, 3, (np.array([[2], [0]]), np.ones((2, 1)))),
    ],
    torch="", result=None, ref=_reference,
)  # fmt: skip
def resample(xp, input, /, dim, size, table):
    """Weighted sums along `dim`, which has this `size`, as the table of sources and weights says."""
    sources, weights = table
    ahead = (slice(None),) * dim
    shape = [1] * input.ndim
    shape[dim] = len(sources)
    out = xp.zeros((*input.shape[:dim], len(sources), *input.shape[dim + 1 :]), input.dtype)
    for t in range(sources.shape[1]):
        none = sources[:, t] < 0
        part = input[(*ahead, xp.asarray(np.where(none, 0, sources[:, t])))]
        if (weights[:, t] != 1).any():
            part = part * xp.asarray(weights[:, t].astype(input.dtype)).reshape(shape)
        if none.any():  # not by a weight of 0: nan and inf would come through
            part[(*ahead, xp.asarray(none))] = 0
        out += part
    return out


def turned(table: Table, size: int) -> Table:
    """For each of the `size` elements of the input, the elements of the result that it goes into."""
    rows: list[list[tuple[int, float]]] = [[] for _ in range(size)]
    for o, (sources, weights) in enumerate(zip(*table, strict=True)):
        for i, w in zip(sources, weights, strict=True):
            if i >= 0:
                rows[i].append((o, w))
    return filled(rows)


def filled(rows: list[list[tuple[int, float]]]) -> Table:
    """The table of these (source, weight) pairs, all rows as long as the longest."""
    width = max((len(row) for row in rows), default=0)
    sources = np.full((len(rows), width), -1)
    weights = np.zeros((len(rows), width))
    for o, row in enumerate(rows):
        for t, (i, w) in enumerate(row):
            sources[o, t], weights[o, t] = i, w
    return sources, weights


resample.vjp(input=lambda g, dim, size, table: resample(g, dim, len(table[0]), turned(table, size)))


@functools.lru_cache(maxsize=256)
def averaging(size: int, count: int) -> Table:
    """The table of the averages of `count` parts."""
    return filled([[(i, 1 / (b - a)) for i in range(a, b)] for a, b in parts(size, count)])


def along(input: Any, dims: tuple[int, ...], tables: list[Table | None]) -> Any:
    """`resample` along several dimensions in turn; None leaves one as it is."""
    for dim, table in zip(dims, tables, strict=True):
        if table is not None:
            input = resample(input, dim, input.shape[dim], table)
    return input
