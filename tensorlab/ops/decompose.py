"""Solving and decomposing matrices: inv, solve, det, Cholesky, QR, SVD, eigenvalues, least squares.

All take batches: (…, n, n). Forward is LAPACK's through NumPy (cuSOLVER's through CuPy).

Sources of the gradient rules: M. Giles, "An extended collection of matrix derivative results for
forward and reverse mode algorithmic differentiation", Oxford 2008; for QR and SVD also J. Townsend,
"Differentiating the singular value decomposition", 2016, and S. Walter and L. Lehmann, 2018.
Decompositions are unique only up to signs (or phases): a gradient that depends on those, or that
meets equal singular values or eigenvalues, is not defined.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab import return_types
from tensorlab._autocast import autocasts_within
from tensorlab._backend import backend_of, linalg_errors
from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops._out import with_out
from tensorlab.ops.compare import where
from tensorlab.ops.cutting import narrow
from tensorlab.ops.elementwise import _conj, conj, imag, real
from tensorlab.ops.joining import diag_embed, tril, triu
from tensorlab.ops.linalg import _h, matmul
from tensorlab.ops.reduce import sum as sum_
from tensorlab.ops.strided import diagonal
from tensorlab.ops.views import unsqueeze


class LinAlgError(RuntimeError):
    """A matrix that has no inverse or decomposition of the kind that was asked for."""


def _matrices(name: str, x: Any, square: bool = True, half: bool = False) -> None:
    if x.ndim < 2:
        raise RuntimeError(f"linalg.{name}: The input tensor A must have at least 2 dimensions.")
    if square and x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"linalg.{name}: A must be batches of square matrices, but they are {x.shape[-2]} by {x.shape[-1]} matrices"
        )
    if x.dtype.kind not in "fcV" or (x.dtype.itemsize == 2 and not half):
        raise RuntimeError(
            f"linalg.{name}: Expected a floating point or complex tensor as input. Got {from_numpy_dtype(x.dtype)}"
        )


def _well(r: Any, *shape: int) -> Any:
    """Square matrices far from singular, with distinct singular values."""
    return r(*shape) * 0.3 + np.diag(np.arange(2, 2 + shape[-1])).astype(r.dtype)


def _errors(r: Any) -> list[ErrorSample]:
    return [
        ErrorSample(
            r(2, 3), error=RuntimeError, match="batches of square matrices, but they are 2 by 3"
        ),
        ErrorSample(r(3), error=RuntimeError, match="at least 2 dimensions"),
        ErrorSample(r.int(2, 2), error=RuntimeError, match="Expected a floating point or complex"),
    ]


# Inverse, determinant, linear systems -----------------------------------------------------


@op(
    samples=lambda r: [Sample(_well(r, 3, 3)), Sample(_well(r, 2, 2, 2)), Sample(r(0, 0))],
    errors=lambda r: [*_errors(r), ErrorSample(np.zeros((2, 2), r.dtype), error=LinAlgError, match="singular")],
    ref=lambda x: np.linalg.solve(x, np.broadcast_to(np.eye(x.shape[-1]), x.shape)), torch="linalg.inv", result=None,
    node_name="LinalgInvEx",
)  # fmt: skip
def inv(xp, A, /):
    """The inverse of square matrices. Raises `linalg.LinAlgError` if one is singular.

    >>> import tensorlab as tl
    >>> tl.linalg.inv(tl.tensor([[2., 0.], [0., 4.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    _matrices("inv", A)
    try:
        with linalg_errors(xp):
            return xp.linalg.inv(A)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.inv: The inversion could not be completed because the input matrix is singular."
        ) from None


inv.vjp(A=lambda g, out: -matmul(matmul(_h(out), g), _h(out)))


@op(
    samples=lambda r: [Sample(_well(r, 3, 3)), Sample(_well(r, 2, 2, 2)), Sample(r(1, 1))],
    errors=_errors, ref=lambda x: np.prod(np.linalg.eigvals(x), axis=-1).real, torch="linalg.det", result=None,
    method=True,
    node_name="LinalgDet",
)  # fmt: skip
def det(xp, A, /):
    """The determinant of square matrices. Its gradient needs them to be invertible.

    >>> import tensorlab as tl
    >>> tl.det(tl.tensor([[2., 0.], [0., 4.]]))
    tensor(8.)
    """
    _matrices("det", A)
    return xp.linalg.det(A)


det.vjp(A=lambda g, A, out: unsqueeze(unsqueeze(g * _conj(out), -1), -1) * _h(inv(A)))


@op(
    samples=lambda r: [Sample(_well(r, 3, 3)), Sample(_well(r, 2, 2, 2)), Sample(-_well(r, 3, 3))],
    errors=_errors, ref=np.linalg.slogdet, torch="linalg.slogdet", result=None, method=True,
    named_tuple=return_types.slogdet,
    node_name="LinalgSlogdet",
)  # fmt: skip
def slogdet(xp, A, /):
    """The sign of the determinant and the logarithm of its size, which does not overflow.

    >>> import tensorlab as tl
    >>> tl.slogdet(tl.tensor([[1., 2.], [3., 4.]])).logabsdet
    tensor(0.6931)
    """
    _matrices("slogdet", A)
    sign, size = xp.linalg.slogdet(A)
    return xp.asarray(sign), xp.asarray(size)


def _slogdet_backward(g, A, out):
    slope = g[1]
    sign = out[0]
    if getattr(sign, "_data", sign).dtype.kind == "c":
        # The sign of a complex determinant is a phase, which turns as the matrix changes.
        slope = slope + 1j * imag(g[0] * conj(sign))
    return unsqueeze(unsqueeze(slope, -1), -1) * _h(inv(A))


slogdet.vjp(A=_slogdet_backward)


def logdet(input: Any) -> Any:
    """The logarithm of the determinant; nan where that is negative.

    >>> import tensorlab as tl
    >>> tl.logdet(tl.tensor([[2., 0.], [0., 2.]]))
    tensor(1.3863)
    """
    sign, size = slogdet(input)
    return where(sign < 0, math.nan, size)


@op(
    samples=lambda r: [
        Sample(_well(r, 3, 3), r(3, 2)), Sample(_well(r, 2, 3, 3), r(2, 3, 1)), Sample(_well(r, 3, 3), r(2, 3, 2)),
    ],
    errors=lambda r: [
        ErrorSample(r(2, 3), r(2, 1), error=RuntimeError, match="batches of square matrices"),
        ErrorSample(r(2, 2), r(3, 1), error=RuntimeError, match="Incompatible shapes"),
        ErrorSample(np.zeros((2, 2), r.dtype), r(2, 1), error=LinAlgError, match="singular"),
    ],
    ref=lambda a, b: np.linalg.inv(a) @ b, torch="linalg.solve", node_name="LinalgSolveEx", name="linalg_solve",
)  # fmt: skip
def _solve(xp, A, B, /):
    """The matrices X with A X = B; `linalg.solve` is the public form."""
    _matrices("solve", A)
    if A.shape[-1] != B.shape[-2]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({A.shape[-2]}x{A.shape[-1]} "
            f"and {B.shape[-2]}x{B.shape[-1]})"
        )
    try:
        with linalg_errors(xp):
            return xp.linalg.solve(A, B)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.solve: The solver failed because the input matrix is singular."
        ) from None


def _solve_backward(g, A, out, needs):
    by_b = _solve(_h(A), g)
    return (-matmul(by_b, _h(out)) if needs[0] else None), by_b


_solve.vjp(_solve_backward)


@with_out
def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """The X with A X = B (X A = B unless `left`): (…, n, n), (…, n, k) → (…, n, k); B may be a vector.

    Raises `linalg.LinAlgError` if A is singular. Better than `inv(A) @ B`: half the work, fewer errors.

    >>> import tensorlab as tl
    >>> tl.linalg.solve(tl.tensor([[2., 0.], [0., 4.]]), tl.tensor([2., 4.]))
    tensor([1., 1.])
    """
    vector = len(B.shape) == 1 or (
        len(B.shape) == len(A.shape) - 1 and tuple(B.shape) == tuple(A.shape[:-1])
    )
    if vector:
        return _solve(A, unsqueeze(B, -1)).squeeze(-1)
    return _solve(A, B) if left else _solve(A.mT, B.mT).mT


@with_out
def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """The X with A X = B for a triangular A, of which only that triangle is read.

    >>> import tensorlab as tl
    >>> tl.linalg.solve_triangular(tl.tensor([[1., 9.], [1., 2.]]), tl.tensor([[1.], [5.]]), upper=False)
    tensor([[1.],
            [2.]])
    """
    part = triu(A) if upper else tril(A)
    if unitriangular:
        one = wrap(backend_of(A._data).xp.eye(A.shape[-1], dtype=A._data.dtype))
        part = part - diag_embed(diagonal(part, 0, -2, -1)) + one
    return solve(part, B, left=left)


# Cholesky and QR --------------------------------------------------------------------------


def _positive(r: Any, *shape: int) -> Any:
    x = r(*shape)
    return x @ np.swapaxes(x, -1, -2) + 2 * np.eye(shape[-1], dtype=r.dtype)


@op(
    samples=lambda r: [Sample(_positive(r, 3, 3)), Sample(_positive(r, 2, 2, 2))],
    errors=lambda r: [
        *_errors(r), ErrorSample(-np.eye(2, dtype=r.dtype), error=LinAlgError, match="not positive-definite"),
    ],
    ref=np.linalg.cholesky, torch=lambda x: _through_symmetric("cholesky")(x), result=None,
    node_name="LinalgCholeskyEx", name="cholesky",
)  # fmt: skip
def _cholesky(xp, input, /):
    """The lower triangular L with L Lᴴ = A; `linalg.cholesky` is the public form."""
    _matrices("cholesky", input)
    # Read as symmetric, so that the gradient is a symmetric one.
    input = (input + xp.swapaxes(input, -1, -2).conj()) / 2
    try:
        with linalg_errors(xp):
            return xp.linalg.cholesky(input)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.cholesky: The factorization could not be completed because the input is not positive-definite."
        ) from None


def _through_symmetric(name: str) -> Any:
    """PyTorch's function after making its argument Hermitian, for comparing gradients."""

    def function(x: Any) -> Any:
        from tensorlab.testing import _torch

        linalg = _torch.module().linalg
        return getattr(linalg, name)((x + x.mH) / 2 if x.is_floating_point() else x)

    return function


def _half_lower(x: Any) -> Any:
    """The lower triangle with its diagonal halved: it and its conjugate transpose add up to x."""
    return tril(x) - diag_embed(diagonal(x, 0, -2, -1)) / 2


def _cholesky_backward(g, out):
    inner = _half_lower(matmul(_h(out), g))
    middle = (inner + _h(inner)) / 2
    return _solve(_h(out), matmul(middle, inv(out)))


_cholesky.vjp(input=_cholesky_backward)


@with_out
def cholesky(A: Any, *, upper: bool = False) -> Any:
    """The lower triangular L with L Lᴴ = A (or the upper Lᴴ), of a positive-definite Hermitian A.

    Raises `linalg.LinAlgError` if A isn't positive-definite.

    >>> import tensorlab as tl
    >>> tl.linalg.cholesky(tl.tensor([[4., 2.], [2., 5.]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    found = _cholesky(A)
    return found.mH if upper else found


@op(
    samples=lambda r: [Sample(_well(r, 3, 3)), Sample(r(4, 2)), Sample(r(2, 3, 2))],
    errors=lambda r: [ErrorSample(r(3), error=RuntimeError, match="at least 2 dimensions")],
    torch="linalg.qr", result=None, named_tuple=return_types.linalg_qr, node_name="LinalgQr", name="qr",
)  # fmt: skip
def _qr(xp, input, /, mode="reduced"):
    """Q with orthonormal columns and upper triangular R, Q R = A; `linalg.qr` is the public form."""
    _matrices("qr", input, square=False)
    if mode == "r":
        return xp.zeros(0, input.dtype), xp.linalg.qr(input, "r")
    if mode not in ("reduced", "complete"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    q, r = xp.linalg.qr(input, mode)
    return q, r


def _qr_backward(g, out, mode):
    (gq, gr), (q, r) = g, out
    m, n = q.shape[-2], r.shape[-1]
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'"
        )
    if m < n or (mode == "complete" and m > n):
        raise RuntimeError(
            "linalg.qr is differentiable for mode='reduced' and matrices with at least as many rows as columns"
        )
    # M = R·gRᴴ - gQᴴ·Q; the gradient is (gQ + Q·(M's lower triangle, mirrored))·R⁻ᴴ.
    inner = matmul(r, _h(gr)) - matmul(_h(gq), q)
    mirrored = _half_lower(inner) + _h(_half_lower(inner))
    return _h(_solve(r, _h(gq + matmul(q, mirrored))))


_qr.vjp(input=_qr_backward)


@with_out
def qr(A: Any, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and upper triangular R, with Q R = A.

    mode: "reduced" (Q of A's shape), "complete" (square Q) or "r" (R only).

    >>> import tensorlab as tl
    >>> q, r = tl.linalg.qr(tl.tensor([[3., 1.], [4., 2.]]))
    >>> tl.allclose(q @ r, tl.tensor([[3., 1.], [4., 2.]]))
    True
    """
    return _qr(A, mode)


# Singular values and eigenvalues ----------------------------------------------------------


def _differences(values: Any) -> Any:
    """1 / (v_j - v_i) off the diagonal, 0 on it."""
    gaps = unsqueeze(values, -2) - unsqueeze(values, -1)
    same = gaps == 0
    return where(same, 0.0, 1.0 / where(same, 1.0, gaps))


@op(
    samples=lambda r: [Sample(_well(r, 3, 3)), Sample(r(4, 2)), Sample(r(2, 2, 3))],
    errors=lambda r: [ErrorSample(r(3), error=RuntimeError, match="at least 2 dimensions")],
    torch="", result=None, named_tuple=return_types.linalg_svd, node_name="LinalgSvd", name="linalg_svd",
)  # fmt: skip
def _svd(xp, input, /, full_matrices=False):
    """U, S, Vᴴ with U diag(S) Vᴴ = A; `linalg.svd` is the public form."""
    _matrices("svd", input, square=False)
    u, s, vh = xp.linalg.svd(input, full_matrices=full_matrices)
    return u, s, vh


def _svd_backward(g, out, full_matrices):
    (gu, gs, gvh), (u, s, vh) = g, out
    m, n, k = u.shape[-2], vh.shape[-1], s.shape[-1]
    if full_matrices and m != n:
        u, gu = narrow(u, -1, 0, k), narrow(gu, -1, 0, k)
        vh, gvh = narrow(vh, -2, 0, k), narrow(gvh, -2, 0, k)
    v, gv = _h(vh), _h(gvh)
    gaps = _differences(s * s)
    wide = unsqueeze(s, -2)

    def skew(x: Any) -> Any:
        return x - _h(x)

    # The parts of the gradient inside the spaces that U and V span …
    inner = (
        diag_embed(gs)
        + (skew(matmul(_h(u), gu)) * gaps) * wide
        + unsqueeze(s, -1) * (skew(matmul(vh, gv)) * gaps)
    )
    total = matmul(matmul(u, inner), vh)
    # … and what leads out of them, where A is not square.
    if m > k:
        outside = gu / wide
        total = total + matmul(outside - matmul(u, matmul(_h(u), outside)), vh)
    if n > k:
        outside = _h(gv / wide)
        total = total + matmul(u, outside - matmul(matmul(outside, v), vh))
    return total


_svd.vjp(input=_svd_backward)


@with_out
def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """The singular value decomposition: U, S, Vᴴ with U diag(S) Vᴴ = A, S in descending order.

    full_matrices: whether U and Vᴴ are square, or only have as many columns (rows) as S.
    driver: accepted for PyTorch's sake, which has several on GPUs.

    >>> import tensorlab as tl
    >>> tl.linalg.svd(tl.tensor([[3., 0.], [0., 4.]])).S
    tensor([4., 3.])
    """
    return _svd(A, full_matrices)


@with_out
def svdvals(A: Any, *, driver: str | None = None) -> Any:
    """The singular values, in descending order.

    >>> import tensorlab as tl
    >>> tl.linalg.svdvals(tl.tensor([[3., 0.], [0., 4.]]))
    tensor([4., 3.])
    """
    return _svd(A, False)[1]


@op(
    # Only one triangle is read: finite differences by single elements mean nothing.
    samples=lambda r: [Sample(_positive(r, 3, 3)).kink(), Sample(_positive(r, 2, 2, 2)).kink()],
    errors=_errors, torch="", result=None, named_tuple=return_types.linalg_eigh, node_name="LinalgEigh", name="eigh",
)  # fmt: skip
def _eigh(xp, input, /, UPLO="L"):
    """Eigenvalues and eigenvectors of Hermitian matrices; `linalg.eigh` is the public form."""
    _matrices("eigh", input)
    values, vectors = xp.linalg.eigh(input, UPLO)
    return values, vectors


def _eigh_backward(g, out):
    (by_values, by_vectors), (values, vectors) = g, out
    inner = diag_embed(by_values) + matmul(_h(vectors), by_vectors) * _differences(values)
    total = matmul(matmul(vectors, inner), _h(vectors))
    # Only one triangle was read, as the whole of a Hermitian matrix.
    return (total + _h(total)) / 2


_eigh.vjp(input=_eigh_backward)


@with_out
def eigh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues (ascending) and eigenvectors (columns) of Hermitian matrices; only one triangle is read.

    >>> import tensorlab as tl
    >>> tl.linalg.eigh(tl.tensor([[2., 0.], [0., 1.]])).eigenvalues
    tensor([1., 2.])
    """
    return _eigh(A, UPLO)


@with_out
def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of Hermitian matrices, ascending.

    >>> import tensorlab as tl
    >>> tl.linalg.eigvalsh(tl.tensor([[2., 0.], [0., 1.]]))
    tensor([1., 2.])
    """
    return _eigh(A, UPLO)[0]


@op(
    samples=lambda r: [Sample(_apart(r, 3, 3)).kink(), Sample(_apart(r, 2, 2, 2)).kink()],
    errors=_errors, torch="", result=None, named_tuple=return_types.linalg_eig, node_name="LinalgEig", name="eig",
)  # fmt: skip
def _eig(xp, input, /):
    """Eigenvalues and eigenvectors of square matrices; `linalg.eig` is the public form."""
    _matrices("eig", input)
    kind = from_numpy_dtype(input.dtype).to_complex().numpy
    values, vectors = xp.linalg.eig(input)
    return values.astype(kind), vectors.astype(kind)


def _apart(r: Any, *shape: int) -> Any:
    """Square matrices with eigenvalues far from one another, none of them in conjugate pairs."""
    return r(*shape) * 0.1 + np.diag(np.arange(2, 2 + shape[-1])).astype(r.dtype)


def _eig_backward(g, input, out):
    (by_values, by_vectors), (values, vectors) = g, out
    adjoint = _h(vectors)
    gram = matmul(adjoint, by_vectors)
    # Columns have length 1, so what would change their length does not count.
    along = unsqueeze(real(diagonal(gram, 0, -2, -1)), -2)
    inner = (gram - matmul(adjoint, vectors) * along) * _conj(_differences(values))
    total = matmul(_solve(adjoint, inner + diag_embed(by_values)), adjoint)
    return total if getattr(input, "_data", input).dtype.kind == "c" else real(total)


_eig.vjp(input=_eig_backward)


@with_out
def eig(A: Any) -> Any:
    """The complex eigenvalues and eigenvectors (columns, of length 1) of square matrices, in no particular order.

    Its gradient needs eigenvalues that all differ. Eigenvectors are unique only up to their phase: what
    depends on it has no gradient.

    >>> import tensorlab as tl
    >>> tl.linalg.eig(tl.tensor([[0., 1.], [-1., 0.]])).eigenvalues.abs()
    tensor([1., 1.])
    """
    return _eig(A)


@with_out
def eigvals(A: Any) -> Any:
    """The complex eigenvalues of square matrices, in no particular order.

    >>> import tensorlab as tl
    >>> tl.linalg.eigvals(tl.tensor([[2., 0.], [0., 2.]]))
    tensor([2.+0.j, 2.+0.j])
    """
    return _eig(A)[0]


# What is built on them --------------------------------------------------------------------


@with_out
def pinv(
    A: Any,
    rcond: float | None = None,
    hermitian: bool = False,
    *,
    atol: float | None = None,
    rtol: float | None = None,
) -> Any:
    """The Moore–Penrose pseudo-inverse: singular values up to `max(atol, rtol · largest)` count as 0.

    rtol: machine epsilon times the larger size unless given (or unless `atol` is); `rcond` is its older name.

    >>> import tensorlab as tl
    >>> tl.linalg.pinv(tl.tensor([[2.], [0.]]))
    tensor([[0.5000, 0.0000]])
    """
    u, s, vh = _svd(A, False)
    keep = s > _threshold(A, s, atol, rcond if rtol is None else rtol)
    inverse = where(keep, 1.0 / where(keep, s, 1.0), 0.0)
    return matmul(_h(vh) * unsqueeze(inverse, -2), _h(u))


def _threshold(A: Any, s: Any, atol: float | None, rtol: float | None) -> Any:
    if rtol is None:
        rtol = 0.0 if atol else float(np.finfo(A._data.dtype).eps) * max(A.shape[-2:])
    largest = narrow(s, -1, 0, min(1, s.shape[-1])).detach()
    return (largest * rtol).clamp(min=0.0 if atol is None else atol)


@with_out
def matrix_rank(
    A: Any,
    tol: float | None = None,
    hermitian: bool = False,
    *,
    atol: float | None = None,
    rtol: float | None = None,
) -> Any:
    """How many singular values exceed `max(atol, rtol · largest)`, or `tol`; int64.

    >>> import tensorlab as tl
    >>> tl.linalg.matrix_rank(tl.ones(3, 3))
    tensor(1)
    """
    s = svdvals(A.detach())
    limit = _threshold(A, s, atol if tol is None else tol, rtol if tol is None else 0.0)
    return sum_(s > limit, -1)


@autocasts_within
def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """The X that makes ‖A X - B‖ least, with residuals, rank and singular values as a named tuple.

    `driver` is accepted for PyTorch's sake; the solution is that of the singular value decomposition.

    >>> import tensorlab as tl
    >>> tl.linalg.lstsq(tl.tensor([[1.], [0.]]), tl.tensor([[3.], [9.]])).solution
    tensor([[3.]])
    """
    solution = matmul(pinv(A, rtol=rcond), B)
    rank = matrix_rank(A, rtol=rcond)
    m, n = A.shape[-2:]
    off = matmul(A, solution) - B
    residuals = (
        sum_(off * off, -2)
        if m > n and bool((rank == n).all())
        else wrap(np.zeros(0, A._data.dtype))
    )
    return return_types.linalg_lstsq(solution, residuals, rank, svdvals(A.detach()))


@with_out
@autocasts_within
def cond(A: Any, p: Any = None) -> Any:
    """The condition number ‖A‖·‖A⁻¹‖: how much solving with A may amplify errors.

    >>> import tensorlab as tl
    >>> tl.linalg.cond(tl.tensor([[4., 0.], [0., 2.]]))
    tensor(2.)
    """
    if p in (None, 2, -2):
        s = svdvals(A)
        first, last = s.select(-1, 0), s.select(-1, s.shape[-1] - 1)
        return last / first if p == -2 else first / last
    from tensorlab.ops.norms import matrix_norm

    return matrix_norm(A, p) * matrix_norm(inv(A), p)


inverse, pinverse = inv, pinv
Tensor.inverse, Tensor.logdet, Tensor.pinverse = inv, logdet, pinv  # type: ignore[attr-defined]
