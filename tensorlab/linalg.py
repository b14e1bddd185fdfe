"""Linear algebra: norms, solving, decompositions, products of many matrices.

>>> import tensorlab as tl
>>> tl.linalg.norm(tl.tensor([3., 4.]))
tensor(5.)
"""

from __future__ import annotations

from typing import Any

from tensorlab.ops.decompose import (
    LinAlgError,
    cholesky,
    cond,
    det,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    inv,
    lstsq,
    matrix_rank,
    pinv,
    qr,
    slogdet,
    solve,
    solve_triangular,
    svd,
    svdvals,
)
from tensorlab.ops.einsum import cross as _cross
from tensorlab.ops.einsum import matrix_power, multi_dot, vecdot
from tensorlab.ops.linalg import matmul
from tensorlab.ops.lu import (
    cholesky_ex,
    inv_ex,
    lu,
    lu_factor,
    lu_factor_ex,
    lu_solve,
    solve_ex,
)
from tensorlab.ops.matrix_functions import linalg_vander as vander
from tensorlab.ops.matrix_functions import matrix_exp, tensorinv, tensorsolve
from tensorlab.ops.norms import linalg_norm as norm
from tensorlab.ops.norms import matrix_norm, vector_norm
from tensorlab.ops.strided import diagonal as _diagonal

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The cross product of vectors of three elements along `dim`.

    >>> import tensorlab as tl
    >>> tl.linalg.cross(tl.tensor([1., 0., 0.]), tl.tensor([0., 1., 0.]))
    tensor([0., 0., 1.])
    """
    if len(input.shape) != len(other.shape):
        raise RuntimeError(
            "linalg.cross: inputs must have the same number of dimensions, got "
            f"{len(input.shape)} and {len(other.shape)}"
        )
    return _cross(input, other, dim)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonals of matrices, by default of the last two dimensions; see `tensorlab.diagonal`.

    >>> import tensorlab as tl
    >>> tl.linalg.diagonal(tl.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return _diagonal(A, offset, dim1, dim2)
