"""Functions of whole matrices: the exponential, Vandermonde matrices, tensors solved as matrices.

Also linear algebra under PyTorch's older names: `tensorlab.svd`, `qr`, `cholesky`, `triangular_solve`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab import return_types
from tensorlab._autocast import autocasts_within
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops import decompose
from tensorlab.ops._out import with_out
from tensorlab.ops.cutting import narrow
from tensorlab.ops.decompose import _matrices, inv, solve, solve_triangular
from tensorlab.ops.elementwise import _conj
from tensorlab.ops.joining import cat, flip
from tensorlab.ops.linalg import _h
from tensorlab.ops.scan import cumprod
from tensorlab.ops.shape import reshape
from tensorlab.ops.views import movedim, unsqueeze

# Coefficients of the Padé approximant of degree 13, and the norm up to which it is exact to 53 bits:
# N. J. Higham, "The scaling and squaring method for the matrix exponential revisited", 2005, table 2.3.
_PADE = (64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0,
         129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0,
         40840800.0, 960960.0, 16380.0, 182.0, 1.0)  # fmt: skip
_PADE_REACH = 5.4


@op(
    samples=lambda r: [
        Sample(r(3, 3)), Sample(r(2, 2, 2)), Sample(r(2, 2) * 8), Sample(np.zeros((2, 2), r.dtype)), Sample(r(0, 0)),
    ],
    errors=lambda r: [
        ErrorSample(r(2, 3), error=RuntimeError, match="batches of square matrices"),
        ErrorSample(r(3), error=RuntimeError, match="at least 2 dimensions"),
    ],
    torch="linalg.matrix_exp", result=None, method=True, node_name="LinalgMatrixExp",
)  # fmt: skip
def matrix_exp(xp, A, /):
    r"""The matrix exponential \(\sum_k A^k / k!\) of square matrices (…, n, n).

    By scaling, a Padé approximant of degree 13 and squaring (Higham 2005).

    >>> import tensorlab as tl
    >>> tl.linalg.matrix_exp(tl.tensor([[0., 1.], [0., 0.]]))
    tensor([[1., 1.],
            [0., 1.]])
    """
    _matrices("matrix_exp", A, half=True)
    if A.size == 0:
        return A.copy()
    wide = A.astype(np.complex128 if A.dtype.kind == "c" else np.float64)
    norm = float(xp.abs(wide).sum(-2).max())
    squarings = max(0, math.ceil(math.log2(norm / _PADE_REACH))) if 0 < norm < math.inf else 0
    a = wide / 2**squarings
    b, one = _PADE, xp.eye(A.shape[-1])
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (
        a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one
    )
    even = (
        a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    )
    out = xp.linalg.solve(even - odd, even + odd)
    for _ in range(squarings):
        out = out @ out
    return out.astype(A.dtype)


def _matrix_exp_backward(g, A):
    # exp of [[Aᴴ, G], [0, Aᴴ]] has the derivative in direction G in its upper right corner.
    a, n = _h(A), A.shape[-1]
    whole = cat([cat([a, g], -1), cat([g * 0.0, a], -1)], -2)
    return narrow(narrow(matrix_exp(whole), -2, 0, n), -1, n, n)


matrix_exp.vjp(A=_matrix_exp_backward)


def linalg_vander(x: Any, *, N: int | None = None) -> Any:
    """Vandermonde matrices: the powers 0 to N - 1 (as many as elements, unless given) of vectors (…, n), (…, n, N).

    >>> import tensorlab as tl
    >>> tl.linalg.vander(tl.tensor([2, 3]), N=3)
    tensor([[1, 2, 4],
            [1, 3, 9]])
    """
    if len(x.shape) == 0 or x.shape[-1] == 0:
        raise RuntimeError(f"Expected dim with size n to be non-zero, got shape {list(x.shape)}")
    columns = x.shape[-1] if N is None else N
    if columns <= 1 and N is not None:
        raise RuntimeError(f"N must be greater than 1, got {N}")
    return _powers(x, columns)


def _powers(x: Any, count: int) -> Any:
    """Powers 0 to count - 1, along a new last dimension."""
    column = unsqueeze(x, -1)
    if x.dtype.name in ("bool", "uint8", "int8", "int16", "int32"):
        column = column.long()
    first = column.new_ones(column.shape)
    if count < 2:
        return narrow(first, -1, 0, count)
    return cat([first, cumprod(column.expand(*x.shape, count - 1), -1)], -1)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix of a vector: its powers from N - 1 down to 0, or up if `increasing`.

    >>> import tensorlab as tl
    >>> tl.vander(tl.tensor([2, 3]))
    tensor([[2, 1],
            [3, 1]])
    """
    if len(x.shape) != 1:
        raise RuntimeError(f"x must be a one-dimensional tensor, got shape {list(x.shape)}")
    columns = x.shape[0] if N is None else N
    if columns < 0:
        raise RuntimeError(f"N must be non-negative, got {N}")
    found = _powers(x, columns)
    return found if increasing else flip(found, (-1,))


@with_out
@autocasts_within
def tensorinv(A: Any, ind: int = 2) -> Any:
    """The inverse of `tensordot` with A over its last dimensions: A's first `ind` sizes multiply up to the others'.

    >>> import tensorlab as tl
    >>> A = tl.eye(4).reshape(4, 2, 2)
    >>> tl.linalg.tensorinv(A, ind=1).shape
    tensorlab.Size([2, 2, 4])
    """
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', got {ind}")
    shape = tuple(A.shape)
    rows, columns = math.prod(shape[:ind]), math.prod(shape[ind:])
    if rows != columns:
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{columns} != {rows}"
        )
    return reshape(inv(reshape(A, (rows, columns))), (*shape[ind:], *shape[:ind]))


@with_out
@autocasts_within
def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """The X with tensordot(A, X, X.ndim) = B; `dims` of A are moved to its end first.

    >>> import tensorlab as tl
    >>> A = tl.eye(4).reshape(2, 2, 4)
    >>> tl.linalg.tensorsolve(A, tl.tensor([[1., 2.], [3., 4.]]))
    tensor([1., 2., 3., 4.])
    """
    if dims is not None:
        dims = tuple(dims)
        A = movedim(A, dims, tuple(range(len(A.shape) - len(dims), len(A.shape))))
    shape = tuple(A.shape[len(B.shape) :])
    columns, rows = math.prod(shape), math.prod(B.shape)
    if math.prod(A.shape[: len(B.shape)]) != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {columns} != {math.prod(A.shape[: len(B.shape)])}"
        )
    return reshape(solve(reshape(A, (rows, columns)), reshape(B, (-1,))), shape)


# Older names ------------------------------------------------------------------------------


def qr(input: Any, some: bool = True) -> Any:
    """The QR decomposition under its older name; see `linalg.qr`. some=False makes Q square.

    >>> import tensorlab as tl
    >>> tl.qr(tl.eye(2)).R.abs()
    tensor([[1., 0.],
            [0., 1.]])
    """
    return return_types.qr(*decompose.qr(input, "reduced" if some else "complete"))


def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """The singular value decomposition under its older name: with V, not its conjugate transpose.

    some=False makes U and V square; compute_uv=False makes them zero. See `linalg.svd`.

    >>> import tensorlab as tl
    >>> tl.svd(tl.tensor([[3., 0.], [0., 4.]])).S
    tensor([4., 3.])
    """
    if not compute_uv:
        m, n = input.shape[-2:]
        zeros = [input.new_zeros((*input.shape[:-2], k, k)) for k in (m, n)]
        return return_types.svd(zeros[0], decompose.svdvals(input), zeros[1])
    u, s, vh = decompose.svd(input, not some)
    return return_types.svd(u, s, _conj(vh).mT)


@with_out
def cholesky(input: Any, upper: bool = False) -> Any:
    """The Cholesky factor under its older name; see `linalg.cholesky`.

    >>> import tensorlab as tl
    >>> tl.cholesky(tl.tensor([[4.]]))
    tensor([[2.]])
    """
    return decompose.cholesky(input, upper=upper)


@autocasts_within
def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """`linalg.solve_triangular` under its older name: the X with A X = b, and a copy of A.

    >>> import tensorlab as tl
    >>> tl.triangular_solve(tl.tensor([[2.]]), tl.tensor([[4.]])).solution
    tensor([[0.5000]])
    """
    matrix, high = (A.mT, not upper) if transpose else (A, upper)
    found = solve_triangular(matrix, b, upper=high, unitriangular=unitriangular)
    return return_types.triangular_solve(found, A.clone())


for _old in (qr, svd, cholesky, triangular_solve):
    setattr(Tensor, _old.__name__, _old)
