"""Covariance and correlation, and index lists: combinations and triangles."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from tensorlab._backend import backend_of
from tensorlab._dtypes import as_dtype
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops.elementwise import conj
from tensorlab.ops.functions import sqrt
from tensorlab.ops.index import index
from tensorlab.ops.linalg import matmul
from tensorlab.ops.reduce import sum as sum_
from tensorlab.ops.strided import diagonal


def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """The covariance matrix of variables in rows, observed in columns.

    correction: subtracted from the number of observations. fweights: how often each was seen.
    aweights: how much each counts.

    >>> import tensorlab as tl
    >>> tl.cov(tl.tensor([[0., 1., 2.], [2., 1., 0.]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    x = input.reshape(1, -1) if input.ndim < 2 else input
    if not (x.is_floating_point() or x.is_complex()):
        x = x * 1.0
    weights: Any = None
    for w in (fweights, aweights):
        if w is not None:
            weights = w * 1.0 if weights is None else weights * w
    if weights is None:
        total: Any = x.shape[1]
        center = x.mean(1, keepdim=True)
        norm = total - correction
    else:
        total = sum_(weights)
        center = sum_(x * weights, 1, True) / total
        extra = sum_(weights * aweights) / total if aweights is not None else 1.0
        norm = total - correction * extra
    away = x - center
    scaled = away if weights is None else away * weights
    if isinstance(norm, (int, float)):
        norm = float(max(norm, 0)) or math.nan
    out = matmul(scaled, conj(away).mT) / norm
    return out.squeeze()


def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlation coefficients of variables in rows, observed in columns.

    >>> import tensorlab as tl
    >>> tl.corrcoef(tl.tensor([[0., 1., 2.], [2., 1., 0.]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    c = cov(input)
    if c.ndim == 0:
        return c / c
    spread = sqrt(diagonal(c))
    return (c / spread.unsqueeze(1) / spread.unsqueeze(0)).clamp(-1, 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, in order, as rows.

    >>> import tensorlab as tl
    >>> tl.combinations(tl.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input[:0]
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(input.shape[0]), r)), np.int64).reshape(-1, r)
    return index(input, (rows,))


def _triangle_indices(function: Any, row: int, col: int, offset: int, dtype: Any) -> Tensor:
    found = np.stack(function(row, offset, col))
    return wrap(found.astype(np.int64 if dtype is None else as_dtype(dtype).numpy))


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = "cpu"
) -> Tensor:
    """The rows and columns of the lower triangle of a matrix, as two rows of indices.

    >>> import tensorlab as tl
    >>> tl.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _triangle_indices(np.tril_indices, row, col, offset, dtype).to(device)  # type: ignore[attr-defined]


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = "cpu"
) -> Tensor:
    """The rows and columns of the upper triangle of a matrix, as two rows of indices.

    >>> import tensorlab as tl
    >>> tl.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return _triangle_indices(np.triu_indices, row, col, offset, dtype).to(device)  # type: ignore[attr-defined]


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Positions in a flattened tensor as positions along each dimension of `shape`.

    Negative ones count from the end, larger ones start again: indices are taken modulo the size.

    >>> import tensorlab as tl
    >>> tl.unravel_index(tl.tensor([5, 2]), (2, 3))
    (tensor([1, 0]), tensor([2, 2]))
    """
    if indices.is_floating_point() or indices.is_complex() or indices.dtype.name == "bool":
        raise TypeError(f"expected 'indices' to be an integer tensor, but got {indices.dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    rest, found = indices._data, []
    xp = backend_of(rest).xp
    for n in reversed(sizes):
        found.append(wrap(xp.asarray(rest % n)))
        rest = rest // n
    return tuple(reversed(found))


def atleast_1d(*tensors: Any) -> Any:
    """Tensors with at least one dimension.

    >>> import tensorlab as tl
    >>> tl.atleast_1d(tl.tensor(3))
    tensor([3])
    """
    return _each_at_least(1, tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Tensors with at least two dimensions: a vector becomes a row.

    >>> import tensorlab as tl
    >>> tl.atleast_2d(tl.tensor([3, 4]))
    tensor([[3, 4]])
    """
    return _each_at_least(2, tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Tensors with at least three dimensions: a matrix gets a last one, a vector one on each side.

    >>> import tensorlab as tl
    >>> tl.atleast_3d(tl.zeros(2, 3)).shape
    tensorlab.Size([2, 3, 1])
    """
    return _each_at_least(3, tensors)


def _each_at_least(n: int, tensors: tuple[Any, ...]) -> Any:
    from tensorlab.ops.joining import _at_least

    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return _at_least(n, tensors[0])
    given = tensors[0] if len(tensors) == 1 else tensors
    return tuple(_at_least(n, x) for x in given)


Tensor.cov, Tensor.corrcoef = cov, corrcoef  # type: ignore[attr-defined]
