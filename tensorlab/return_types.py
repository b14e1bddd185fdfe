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


slogdet = _named("slogdet", _Slogdet)
qr = _named("qr", _Qr)
svd = _named("svd", _Svd)
eigh = _named("eigh", _Eig)
eig = _named("eig", _Eig)
lstsq = _named("lstsq", _Lstsq)
