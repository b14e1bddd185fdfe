"""The named results of operations that return several tensors, such as `values, indices`.

They are tuples with names, and print as PyTorch's `torch.return_types` do:

>>> import tensorlab as tl
>>> tl.max(tl.tensor([1., 3.]), dim=0)
tensorlab.return_types.max(
values=tensor(3.),
indices=tensor(1))
"""

from __future__ import annotations

from typing import Any, NamedTuple


class _Values(NamedTuple):
    values: Any
    indices: Any


class _MinMax(NamedTuple):
    min: Any
    max: Any


def _shown(self: Any) -> str:
    fields = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
    return f"tensorlab.return_types.{type(self).__name__}(\n{fields})"


def _named(name: str, base: type) -> Any:
    made = type(name, (base,), {"__slots__": (), "__repr__": _shown, "__module__": __name__})
    made.__doc__ = f"The result of `{name}`: {', '.join(base._fields)}."  # type: ignore[attr-defined]
    return made


max = _named("max", _Values)
min = _named("min", _Values)
median = _named("median", _Values)
nanmedian = _named("nanmedian", _Values)
mode = _named("mode", _Values)
kthvalue = _named("kthvalue", _Values)
sort = _named("sort", _Values)
topk = _named("topk", _Values)
cummax = _named("cummax", _Values)
cummin = _named("cummin", _Values)
aminmax = _named("aminmax", _MinMax)


class _Slogdet(NamedTuple):
    sign: Any
    logabsdet: Any


class _Qr(NamedTuple):
    Q: Any
    R: Any


class _Svd(NamedTuple):
    U: Any
    S: Any
    Vh: Any


class _Eig(NamedTuple):
    eigenvalues: Any
    eigenvectors: Any


class _Lstsq(NamedTuple):
    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


class _OldSvd(NamedTuple):
    U: Any
    S: Any
    V: Any


class _LuFactor(NamedTuple):
    LU: Any
    pivots: Any


class _LuFactorEx(NamedTuple):
    LU: Any
    pivots: Any
    info: Any


class _Lu(NamedTuple):
    P: Any
    L: Any
    U: Any


class _CholeskyEx(NamedTuple):
    L: Any
    info: Any


class _InvEx(NamedTuple):
    inverse: Any
    info: Any


class _SolveEx(NamedTuple):
    result: Any
    info: Any


class _TriangularSolve(NamedTuple):
    solution: Any
    cloned_coefficient: Any


class _Frexp(NamedTuple):
    mantissa: Any
    exponent: Any


class _Histogram(NamedTuple):
    hist: Any
    bin_edges: Any


slogdet = _named("slogdet", _Slogdet)
linalg_slogdet = _named("linalg_slogdet", _Slogdet)
qr = _named("qr", _Qr)
linalg_qr = _named("linalg_qr", _Qr)
svd = _named("svd", _OldSvd)
linalg_svd = _named("linalg_svd", _Svd)
linalg_eigh = _named("linalg_eigh", _Eig)
linalg_eig = _named("linalg_eig", _Eig)
linalg_lstsq = _named("linalg_lstsq", _Lstsq)
linalg_lu_factor = _named("linalg_lu_factor", _LuFactor)
linalg_lu_factor_ex = _named("linalg_lu_factor_ex", _LuFactorEx)
linalg_lu = _named("linalg_lu", _Lu)
lu_unpack = _named("lu_unpack", _Lu)
linalg_cholesky_ex = _named("linalg_cholesky_ex", _CholeskyEx)
linalg_inv_ex = _named("linalg_inv_ex", _InvEx)
linalg_solve_ex = _named("linalg_solve_ex", _SolveEx)
triangular_solve = _named("triangular_solve", _TriangularSolve)
frexp = _named("frexp", _Frexp)
histogram = _named("histogram", _Histogram)
