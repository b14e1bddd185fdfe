"""Norms and distances of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._autocast import autocasts_within
from tensorlab._dtypes import as_dtype, from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops._dims import as_dims, count, like, numpy_names, restore
from tensorlab.ops._out import with_out
from tensorlab.ops.arithmetic import pow, sub
from tensorlab.ops.compare import where
from tensorlab.ops.elementwise import no_slope
from tensorlab.ops.extrema import amax, amin
from tensorlab.ops.functions import abs, sgn
from tensorlab.ops.reduce import accumulator
from tensorlab.ops.reduce import sum as sum_


@op(
    samples=lambda r: [
        *(Sample(r(2, 3), ord) for ord in (2, 1, 3, 0.5, 0, math.inf, -math.inf, -1.5)),
        Sample(r(2, 3, 4), 2, (0, -1)), Sample(r(2, 3), 3, 1, True), Sample(r()), Sample(r(0, 2), 2, 0),
        Sample(r(2, 3), dim=1),
        Sample(np.zeros(3, r.dtype)).kink(), Sample(np.zeros(3, r.dtype), 1).kink(),
        Sample(np.ones(3, r.dtype), math.inf).kink(),
    ],
    errors=lambda r: [
        ErrorSample(r.int(3), error=RuntimeError, match="Expected a floating point or complex tensor"),
        ErrorSample(r(0), math.inf, error=RuntimeError, match="the operation does not have an identity"),
        ErrorSample(r(3), 2, 1, error=IndexError, match="Dimension out of range"),
    ],
    ref=lambda x, ord=2, dim=None, keepdim=False: _norm_reference(x, ord, dim, keepdim), torch="linalg.vector_norm",
    result=None, node_name="LinalgVectorNorm",
)  # fmt: skip
def vector_norm(xp, input, /, ord=2, dim=None, keepdim=False, *, dtype=None):
    r"""The p-norm of all elements, or of those along `dim`: \((\sum_i |x_i|^p)^{1/p}\) with p = `ord`.

    ord: any number; inf and -inf give the largest and smallest absolute value, 0 counts the elements
        that are not zero. Its slope at 0 is taken as 0.

    >>> import tensorlab as tl
    >>> tl.linalg.vector_norm(tl.tensor([3., 4.]))
    tensor(5.)
    """
    if dtype is not None:
        input = input.astype(as_dtype(dtype).numpy)
    if input.dtype.kind not in "fc":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{from_numpy_dtype(input.dtype)}"
        )
    dims = as_dims("vector_norm", dim, input.ndim)
    real = from_numpy_dtype(input.dtype).to_real().numpy
    size = input if ord == 2 and input.dtype == real else xp.abs(input)  # squares have no sign
    size = size.astype(accumulator(real), copy=False)
    if (ord < 0 or ord == math.inf) and count(input.shape, dims) == 0:
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because the operation does "
            "not have an identity"
        )
    if ord in (math.inf, -math.inf):
        return (size.max if ord > 0 else size.min)(axis=dims, keepdims=keepdim).astype(real)
    if ord == 0:
        return (size != 0).sum(axis=dims, keepdims=keepdim).astype(real)
    if ord == 1:
        return size.sum(axis=dims, keepdims=keepdim).astype(real)
    if ord == 2:
        return xp.sqrt((size * size).sum(axis=dims, keepdims=keepdim)).astype(real)
    return ((size**ord).sum(axis=dims, keepdims=keepdim) ** (1.0 / ord)).astype(real)


def _norm_reference(x: Any, ord: float, dim: Any, keepdim: bool) -> Any:
    axes = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else dim
    axes = tuple(a % x.ndim for a in axes)
    rest = [a for a in range(x.ndim) if a not in axes]
    rows = np.transpose(x, (*rest, *axes)).reshape(
        *(x.shape[a] for a in rest), math.prod(x.shape[a] for a in axes)
    )
    out = np.linalg.norm(rows, ord, axis=-1) if rows.shape[-1] else np.zeros(rows.shape[:-1])
    return out.reshape([1 if a in axes else n for a, n in enumerate(x.shape)]) if keepdim else out


def _vector_norm_backward(g, input, out, ord, dim, keepdim):
    shape = tuple(input.shape)
    g, out = restore(g, shape, dim, keepdim), restore(out, shape, dim, keepdim)
    if ord == 0:
        return no_slope(input)
    if ord == 1:
        return g * sgn(input)
    if ord == 2:
        flat = out == 0
        return input * where(flat, 0.0, g / where(flat, 1.0, out))
    if ord in (math.inf, -math.inf):
        winners = abs(input) == out
        return where(winners, g * sgn(input) / like(sum_(winners, dim, True), g), 0.0)
    size = abs(input)
    flat = size == 0
    safe = where(flat, 1.0, size)
    slope = sgn(input) * pow(safe, ord - 1) * pow(where(out == 0, 1.0, out), 1 - ord)
    return g * where(flat, 0.0, slope)


vector_norm.vjp(input=_vector_norm_backward)


@with_out
def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A norm of the matrices in two dimensions.

    ord: "fro" (root of the sum of squares), "nuc" (sum of the singular values), 2 and -2 (largest
        and smallest singular value), 1 and -1 (of the column sums of absolute values), inf and -inf
        (of the row sums).

    >>> import tensorlab as tl
    >>> tl.linalg.matrix_norm(tl.tensor([[3., 0.], [4., 0.]]))
    tensor(5.)
    """
    if dtype is not None:
        A = A.to(dtype)
    rows, columns = as_dims("matrix_norm", tuple(dim), len(A.shape))
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if ord in ("nuc", 2, -2):
        from tensorlab.ops.decompose import svdvals
        from tensorlab.ops.views import movedim

        values = svdvals(movedim(A, (rows, columns), (-2, -1)))
        out = sum_(values, -1) if ord == "nuc" else (amax if ord == 2 else amin)(values, -1)
        return restore(out, tuple(A.shape), (rows, columns), False) if keepdim else out
    if ord not in (1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    summed, chosen = (rows, columns) if math.fabs(ord) == 1 else (columns, rows)
    totals = sum_(abs(A), summed, True)
    out = (amax if ord > 0 else amin)(totals, chosen, True)
    return out if keepdim else out.squeeze((rows, columns))


@with_out
@numpy_names
def linalg_norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A vector or a matrix norm: of matrices if `dim` names two dimensions (or there are two and `ord` is given).

    Without `ord` the 2-norm of all elements. See `vector_norm` and `matrix_norm`.

    >>> import tensorlab as tl
    >>> tl.linalg.norm(tl.tensor([[3., 0.], [0., 4.]]))
    tensor(5.)
    """
    dims = None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if ord is None:
        return vector_norm(A, 2, dims, keepdim, dtype=dtype)
    matrices = len(dims) == 2 if dims is not None else len(A.shape) == 2
    if dims is None and len(A.shape) > 2:
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {len(A.shape)}D."
        )
    if matrices:
        return matrix_norm(A, ord, (-2, -1) if dims is None else dims, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(
            f"linalg.norm: ord={ord!r} is a norm of matrices, but there is one dimension"
        )
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


@numpy_names
def norm(
    input: Any,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    out: Any = None,
    dtype: Any = None,
) -> Any:
    """The p-norm of all elements, or of those along `dim`; "fro" is the 2-norm, "nuc" that of matrices.

    PyTorch's oldest form: a number p always means the norm of vectors, also over two dimensions.
    `linalg.vector_norm` and `linalg.matrix_norm` say which is meant.

    >>> import tensorlab as tl
    >>> tl.norm(tl.tensor([3., 4.]))
    tensor(5.)
    """
    if p == "nuc":
        return matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"linalg.matrix_norm: Order {p} not supported.")
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype, out=out)


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of `input - other`, all elements taken together.

    >>> import tensorlab as tl
    >>> tl.dist(tl.tensor([0., 0.]), tl.tensor([3., 4.]))
    tensor(5.)
    """
    return vector_norm(sub(input, other), p)


@autocasts_within
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str | None = None) -> Any:
    """The p-norm distance of every row of `x1` from every row of `x2`: (…, n, d), (…, m, d) → (…, n, m).

    `compute_mode` is accepted for PyTorch's sake; distances are always computed exactly.

    >>> import tensorlab as tl
    >>> tl.cdist(tl.tensor([[0., 0.]]), tl.tensor([[3., 4.], [0., 1.]]))
    tensor([[5., 1.]])
    """
    for name, x in (("X1", x1), ("X2", x2)):
        if len(x.shape) < 2:
            raise RuntimeError(
                f"cdist only supports at least 2D tensors, {name} got: {len(x.shape)}D"
            )
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    return vector_norm(sub(x1.unsqueeze(-2), x2.unsqueeze(-3)), p, -1)


@autocasts_within
def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distances of all pairs of rows i < j, in one vector: (n, d) → (n·(n - 1)/2).

    >>> import tensorlab as tl
    >>> tl.pdist(tl.tensor([[0., 0.], [3., 4.], [0., 1.]]))
    tensor([5.0000, 1.0000, 4.2426])
    """
    from tensorlab.ops.index import index

    if len(input.shape) != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {len(input.shape)}D")
    if p < 0:
        raise RuntimeError(f"pdist only supports non-negative p values, got {p}")
    rows, others = np.triu_indices(input.shape[0], 1)
    return vector_norm(sub(index(input, (rows,)), index(input, (others,))), p, -1)


Tensor.norm, Tensor.dist = norm, dist  # type: ignore[attr-defined]
