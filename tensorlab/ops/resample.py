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
    out = None
    for t in range(sources.shape[1]):
        none = sources[:, t] < 0
        part = xp.take(input, xp.asarray(np.where(none, 0, sources[:, t])), axis=dim)
        if (weights[:, t] != 1).any():
            part *= xp.asarray(weights[:, t].astype(input.dtype)).reshape(shape)
        if none.any():  # not by a weight of 0: nan and inf would come through
            part[(*ahead, xp.asarray(none))] = 0
        out = part if out is None else xp.add(out, part, out=out)
    if out is None:  # no element has any source
        return xp.zeros((*input.shape[:dim], len(sources), *input.shape[dim + 1 :]), input.dtype)
    return out


def turned(table: Table, size: int) -> Table:
    """For each of the `size` elements of the input, the elements of the result that it goes into."""
    sources, weights = table
    there = sources >= 0
    return _grouped(sources[there], np.nonzero(there)[0], weights[there], size)


def _grouped(rows: np.ndarray, sources: np.ndarray, weights: np.ndarray, count: int) -> Table:
    """The table of `count` rows of these triples, all rows as long as the longest."""
    order = np.argsort(rows, kind="stable")
    sizes = np.bincount(rows, minlength=count)
    width = int(sizes.max(initial=0))
    place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    at = (rows[order], place)
    table = np.full((count, width), -1), np.zeros((count, width))
    table[0][at], table[1][at] = sources[order], weights[order]
    return table


resample.vjp(input=lambda g, dim, size, table: resample(g, dim, len(table[0]), turned(table, size)))


@functools.lru_cache(maxsize=256)
def averaging(size: int, count: int) -> Table:
    """The table of the averages of `count` parts."""
    cuts = parts(size, count)
    rows = np.repeat(np.arange(count), [b - a for a, b in cuts])
    sources = np.concatenate([np.arange(a, b) for a, b in cuts] or [np.zeros(0, int)])
    weights = np.repeat([1 / (b - a) for a, b in cuts], [b - a for a, b in cuts])
    return _grouped(rows, sources, weights, count)


def along(input: Any, dims: tuple[int, ...], tables: list[Table | None]) -> Any:
    """`resample` along several dimensions in turn; None leaves one as it is."""
    for dim, table in zip(dims, tables, strict=True):
        if table is not None:
            input = resample(input, dim, input.shape[dim], table)
    return input
