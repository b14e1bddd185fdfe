"""LU factorisation and what is solved with triangular factors; decompositions that report failure.

A matrix is P·L·U: a permutation, a unit lower triangular and an upper triangular matrix. NumPy has
no LU, so it is computed here, column by column for all matrices of a batch at once, by Gaussian
elimination with partial pivoting (G. H. Golub and C. F. Van Loan, Matrix Computations, algorithm
3.4.1). Gradient rule: S. F. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra
functions", 2010, extended to matrices that are not square.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab import return_types
from tensorlab._autocast import autocasts_within
from tensorlab._backend import backend_of
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops._out import with_out
from tensorlab.ops.compare import where
from tensorlab.ops.cutting import narrow
from tensorlab.ops.decompose import (
    LinAlgError,
    _matrices,
    _solve,
    _well,
    cholesky,
    inv,
    solve,
    solve_triangular,
)
from tensorlab.ops.joining import cat, tril, triu
from tensorlab.ops.linalg import _h, matmul


def _eliminated(xp: Any, a: Any, pivot: bool) -> tuple[Any, Any, Any]:
    """L and U in one matrix, the rows exchanged at each step (from 1), and the first zero pivot (0: none)."""
    m, n = a.shape[-2:]
    batch, k = a.shape[:-2], min(m, n)
    a = a.reshape((math.prod(batch), m, n)).copy()
    each = xp.arange(a.shape[0])
    pivots = xp.tile(xp.arange(1, k + 1, dtype=np.int32), (a.shape[0], 1))
    info = xp.zeros(a.shape[0], np.int32)
    for j in range(k):
        if pivot:
            column = a[:, j:, j]  # as LAPACK does, a complex number is measured by |Re| + |Im|
            size = xp.abs(column.real) + xp.abs(column.imag)
            best = xp.argmax(size, axis=1) + j
            pivots[:, j] = best + 1
            chosen = a[each, best].copy()
            a[each, best] = a[:, j]
            a[:, j] = chosen
        head = a[:, j, j]
        info = xp.where((head == 0) & (info == 0), j + 1, info).astype(np.int32)
        below = a[:, j + 1 :, j] / xp.where(head == 0, 1, head)[:, None]
        a[:, j + 1 :, j] = below
        a[:, j + 1 :, j + 1 :] -= below[:, :, None] * a[:, None, j, j + 1 :]
    return a.reshape((*batch, m, n)), pivots.reshape((*batch, k)), info.reshape(batch)


@op(
    samples=lambda r: [
        Sample(_well(r, 3, 3)), Sample(_well(r, 2, 2, 2)), Sample(r(4, 2)), Sample(r(2, 2, 4)),
        Sample(_well(r, 3, 3), False), Sample(r(0, 0)),
    ],
    errors=lambda r: [
        ErrorSample(r(3), error=RuntimeError, match="at least 2 dimensions"),
        ErrorSample(r.int(2, 2), error=RuntimeError, match="Expected a floating point or complex"),
    ],
    torch=lambda x, pivot=True: _through_ours("lu_factor_ex", x, pivot), result=None,
    named_tuple=return_types.linalg_lu_factor_ex, node_name="LinalgLuFactorEx", name="lu_factor_ex",
)  # fmt: skip
def _lu_factor_ex(xp, input, /, pivot=True):
    """L and U in one matrix, with pivots and info; `linalg.lu_factor_ex` is the public form."""
    _matrices("lu_factor", input, square=False)
    return _eliminated(xp, input, pivot)


def _through_ours(name: str, x: Any, pivot: bool) -> Any:
    """PyTorch's function; without pivoting, which it has on CUDA only, by a permuted identity."""
    from tensorlab.testing import _torch

    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    return getattr(_torch.module().linalg, name)(x)


def _permutation(xp: Any, pivots: Any, m: int) -> Any:
    """The order of rows that exchanging them step by step leads to: A[order] = L·U."""
    batch, k = pivots.shape[:-1], pivots.shape[-1]
    pivots = pivots.reshape(math.prod(batch), k)
    order = xp.tile(xp.arange(m), (pivots.shape[0], 1))
    each = xp.arange(pivots.shape[0])
    for j in range(k):
        with_ = pivots[:, j] - 1
        moved = order[each, with_].copy()
        order[each, with_] = order[:, j]
        order[:, j] = moved
    return order.reshape(*batch, m)


def _permutation_matrix(pivots: Any, m: int, dtype: np.dtype) -> Any:
    """P with A = P·L·U."""
    xp = backend_of(pivots).xp
    order = _permutation(xp, pivots, m)
    return (xp.arange(m)[:, None] == order[..., None, :]).astype(dtype)


def _lu_backward(g, out):
    lu, pivots = out[0], out[1]
    g = g[0]
    m, n = lu.shape[-2:]
    k = min(m, n)
    raw = getattr(lu, "_data", lu)
    p: Any = _permutation_matrix(getattr(pivots, "_data", pivots), m, raw.dtype)
    one: Any = backend_of(raw).xp.eye(k, dtype=raw.dtype)
    if isinstance(lu, Tensor):
        p, one = wrap(p), wrap(one)
    gl, gu = tril(narrow(g, -1, 0, k), -1), triu(narrow(g, -2, 0, k))
    lower = tril(narrow(lu, -1, 0, k), -1)
    l1 = narrow(lower, -2, 0, k) + one
    upper = triu(narrow(lu, -2, 0, k))
    u1 = narrow(upper, -1, 0, k)
    below = matmul(_h(l1), narrow(gl, -2, 0, k))
    above = matmul(narrow(gu, -1, 0, k), _h(u1))
    right, low = narrow(gu, -1, k, n - k), narrow(gl, -2, k, m - k)
    if n > k:  # the columns on the right: A2 = P·L·U2
        below = below - matmul(right, _h(narrow(upper, -1, k, n - k)))
    if m > k:  # the rows below: A2 = L2·U
        above = above - matmul(_h(narrow(lower, -2, k, m - k)), low)
    inner = _solve(_h(l1), tril(below, -1) + triu(above))
    total = _h(_solve(u1, _h(inner)))
    if n > k:
        total = cat([total, _solve(_h(l1), right)], -1)
    if m > k:
        total = cat([total, _h(_solve(u1, _h(low)))], -2)
    return matmul(p, total)


_lu_factor_ex.vjp(input=_lu_backward)


@with_out
def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """As `lu_factor`, with `info`: which pivot was the first to be zero (from 1), or 0.

    check_errors: raise `RuntimeError` where `info` is not 0.

    >>> import tensorlab as tl
    >>> tl.linalg.lu_factor_ex(tl.tensor([[1., 2.], [1., 2.]])).info
    tensor(2, dtype=tensorlab.int32)
    """
    found = _lu_factor_ex(A, pivot)
    if check_errors:
        _raise_if_singular("lu_factor_ex", found.info)
    return found


def _raise_if_singular(name: str, info: Any) -> None:
    worst = int(info._data.max()) if info._data.size else 0
    if worst:
        raise RuntimeError(
            f"linalg.{name}: U[{worst},{worst}] is zero and using it on lu_solve would result in a division by zero: "
            "the input matrix is singular. If you still want to perform the factorization, consider calling "
            "linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        )


@with_out
def lu_factor(A: Any, *, pivot: bool = True) -> Any:
    """The compact LU factorisation: L below and U above the diagonal of `LU`, and the exchanged rows.

    A: (…, m, n). pivots: int32, (…, min(m, n)): at step i row i was exchanged with row pivots[i],
    counted from 1. pivot: whether rows are exchanged at all; without it zeros on the way make inf.

    Raises `RuntimeError` if a square matrix is singular.

    >>> import tensorlab as tl
    >>> tl.linalg.lu_factor(tl.tensor([[1., 2.], [2., 2.]]))
    tensorlab.return_types.linalg_lu_factor(
    LU=tensor([[2.0000, 2.0000],
            [0.5000, 1.0000]]),
    pivots=tensor([2, 2], dtype=tensorlab.int32))
    """
    lu_and_pivots = _lu_factor_ex(A, pivot)
    if A.shape[-1] == A.shape[-2]:
        _raise_if_singular("lu_factor", lu_and_pivots.info)
    return return_types.linalg_lu_factor(*lu_and_pivots[:2])


def lu_unpack(
    LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    """P, L and U out of what `lu_factor` returns; empty tensors for what is not wanted.

    >>> import tensorlab as tl
    >>> P, L, U = tl.lu_unpack(*tl.linalg.lu_factor(tl.tensor([[1., 2.], [2., 2.]])))
    >>> P @ L @ U
    tensor([[1., 2.],
            [2., 2.]])
    """
    m, n = LU_data.shape[-2:]
    k = min(m, n)
    xp, dtype = backend_of(LU_data._data).xp, LU_data._data.dtype
    P: Any = wrap(xp.zeros(0, dtype))
    L = U = P
    if unpack_pivots:
        P = wrap(_permutation_matrix(LU_pivots._data, m, dtype))
    if unpack_data:
        L = tril(narrow(LU_data, -1, 0, k), -1) + wrap(xp.eye(m, k, dtype=dtype))
        U = triu(narrow(LU_data, -2, 0, k))
    return return_types.lu_unpack(P, L, U)


@with_out
def lu(A: Any, *, pivot: bool = True) -> Any:
    """The LU factorisation: A = P·L·U with a permutation P, unit lower triangular L and upper triangular U.

    A: (…, m, n), P: (…, m, m), L: (…, m, k), U: (…, k, n) for k = min(m, n). Without `pivot` P is empty.

    >>> import tensorlab as tl
    >>> tl.linalg.lu(tl.tensor([[1., 2.], [2., 2.]])).U
    tensor([[2., 2.],
            [0., 1.]])
    """
    found = _lu_factor_ex(A, pivot)
    return return_types.linalg_lu(*lu_unpack(found.LU, found.pivots, unpack_pivots=pivot))


@with_out
def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """The X with A X = B (X A = B unless `left`; Aᴴ for A if `adjoint`), given what `lu_factor` returned for A.

    >>> import tensorlab as tl
    >>> A = tl.tensor([[1., 2.], [2., 2.]])
    >>> tl.linalg.lu_solve(*tl.linalg.lu_factor(A), A @ tl.ones(2, 1))
    tensor([[1.],
            [1.]])
    """
    if not left:  # X·A = B is Aᴴ·Xᴴ = Bᴴ
        return lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH
    P, L, U = lu_unpack(LU, pivots)
    if adjoint:
        inner = solve_triangular(U.mH, B, upper=False)
        return matmul(P, solve_triangular(L.mH, inner, upper=True, unitriangular=True))
    inner = solve_triangular(L, matmul(P.mT, B), upper=False, unitriangular=True)
    return solve_triangular(U, inner, upper=True)


@with_out
@autocasts_within
def cholesky_solve(input: Any, L: Any, upper: bool = False) -> Any:
    """The X with A X = `input`, given the Cholesky factor L of A (its conjugate transpose if `upper`).

    >>> import tensorlab as tl
    >>> A = tl.tensor([[4., 2.], [2., 5.]])
    >>> tl.cholesky_solve(A @ tl.ones(2, 1), tl.linalg.cholesky(A))
    tensor([[1.],
            [1.]])
    """
    lower = L.mH if upper else L
    inner = solve_triangular(lower, input, upper=False)
    return solve_triangular(lower.mH, inner, upper=True)


@with_out
@autocasts_within
def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """The inverse of A, given its Cholesky factor L (its conjugate transpose if `upper`).

    >>> import tensorlab as tl
    >>> tl.cholesky_inverse(tl.tensor([[2., 0.], [0., 4.]]))
    tensor([[0.2500, 0.0000],
            [0.0000, 0.0625]])
    """
    _matrices("cholesky_inverse", L._data)
    half = inv(triu(L) if upper else tril(L))
    return matmul(half, _h(half)) if upper else matmul(_h(half), half)


# Reporting failure instead of raising -----------------------------------------------------


def _each_apart(function: Any, fallback: Any, A: Any) -> tuple[Any, Any]:
    """`function` of each matrix of a batch where it works, `fallback` of it and its code where it fails."""
    flat = A.reshape(-1, *A.shape[-2:])
    found, codes = [], []
    for i in range(flat.shape[0]):
        try:
            found.append(function(flat[i]))
            codes.append(0)
        except LinAlgError:
            other, code = fallback(flat[i])
            found.append(other)
            codes.append(code)
    from tensorlab.ops.joining import stack

    out = stack(found).reshape(*A.shape[:-2], *found[0].shape)
    info = np.array(codes, np.int32).reshape(A.shape[:-2])
    return out, wrap(backend_of(A._data).xp.asarray(info))


def _or_info(name: str, function: Any, fallback: Any, A: Any, check_errors: bool) -> Any:
    try:
        out = function(A)
    except LinAlgError:
        if check_errors:
            raise
        return _each_apart(function, fallback, A)
    return out, wrap(backend_of(A._data).xp.zeros(A.shape[:-2], np.int32))


@with_out
def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """As `cholesky`, with `info` instead of an error: the order of the first minor that isn't positive, or 0.

    >>> import tensorlab as tl
    >>> tl.linalg.cholesky_ex(tl.tensor([[1., 2.], [2., 1.]])).info
    tensor(2, dtype=tensorlab.int32)
    """

    def failed(x: Any) -> tuple[Any, int]:
        for k in range(1, x.shape[-1] + 1):
            try:
                cholesky(x[:k, :k])
            except LinAlgError:
                return x.detach().clone(), k
        raise AssertionError("cholesky failed, but not for any leading minor")

    return return_types.linalg_cholesky_ex(
        *_or_info("cholesky_ex", lambda x: cholesky(x, upper=upper), failed, A, check_errors)
    )


@with_out
@autocasts_within
def inv_ex(A: Any, *, check_errors: bool = False) -> Any:
    """As `inv`, with `info` instead of an error: which pivot of the LU factorisation is zero, or 0.

    >>> import tensorlab as tl
    >>> tl.linalg.inv_ex(tl.tensor([[2., 0.], [0., 4.]])).info
    tensor(0, dtype=tensorlab.int32)
    """

    def failed(x: Any) -> tuple[Any, int]:
        found = _lu_factor_ex(x.detach())
        return found.LU, int(found.info) or x.shape[-1]

    return return_types.linalg_inv_ex(*_or_info("inv_ex", inv, failed, A, check_errors))


@with_out
def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    """As `solve`, with `info` instead of an error: which pivot of the LU factorisation is zero, or 0.

    Where it isn't 0, the result is not a number.

    >>> import tensorlab as tl
    >>> tl.linalg.solve_ex(tl.eye(2), tl.tensor([1., 2.])).result
    tensor([1., 2.])
    """
    info = _lu_factor_ex(A.detach()).info
    if check_errors or not bool(info._data.any()):
        return return_types.linalg_solve_ex(solve(A, B, left=left), info)
    one = wrap(backend_of(A._data).xp.eye(A.shape[-1], dtype=A._data.dtype))
    bad = (info != 0).reshape(*info.shape, 1, 1)
    found = solve(where(bad, one, A), B, left=left)
    bad = bad.reshape(*info.shape, *(1,) * (found.ndim - info.ndim))
    return return_types.linalg_solve_ex(found.masked_fill(bad, float("nan")), info)


def lu_in_parts(A: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """`linalg.lu_factor` under its older name, with the infos if asked; it does not raise then.

    >>> import tensorlab as tl
    >>> LU, pivots = tl.lu(tl.eye(2))
    >>> pivots
    tensor([1, 2], dtype=tensorlab.int32)
    """
    return tuple(_lu_factor_ex(A, pivot)) if get_infos else tuple(lu_factor(A, pivot=pivot))


@with_out
@autocasts_within
def lu_solve_in_parts(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """`linalg.lu_solve` under its older name, with the right-hand side first.

    >>> import tensorlab as tl
    >>> tl.lu_solve(tl.ones(2, 1), *tl.lu(tl.eye(2)))
    tensor([[1.],
            [1.]])
    """
    return lu_solve(LU_data, LU_pivots, b)


Tensor.lu, Tensor.lu_solve = lu_in_parts, lu_solve_in_parts  # type: ignore[attr-defined]
Tensor.cholesky_solve = cholesky_solve  # type: ignore[attr-defined]
Tensor.cholesky_inverse = cholesky_inverse  # type: ignore[attr-defined]
