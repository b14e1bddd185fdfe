"""In-place forms of operations whose result has another type, or that are made of others.

`x.lt_(y)` stores the answers in x as numbers, `x.addmv_(a, b)` what several operations computed. Each
computes its result and copies it into the tensor, so autograd follows as it does for `copy_`: old values
get no gradient but through the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorlab import _dtypes
from tensorlab._graph import mode
from tensorlab._tensor import Tensor
from tensorlab.autograd.inplace import _type_name, apply_inplace
from tensorlab.ops import arithmetic, compare, complexes, einsum, scaling, selecting, special
from tensorlab.ops.convert import clone
from tensorlab.ops.index import copy


def store(name: str, target: Any, result: Tensor) -> Tensor:
    """Overwrite `target` with `result` of the same shape; `RuntimeError` if shape or type do not fit."""
    if not isinstance(target, Tensor):
        raise TypeError(
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(target).__name__}"
        )
    if result.shape != target.shape:
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(result.shape)}: "
            f"{name}() cannot change the shape of the tensor it writes to"
        )
    if not _dtypes.can_cast(result.dtype, target.dtype):
        raise RuntimeError(
            f"result type {_type_name(result.dtype)} can't be cast to the desired output type "
            f"{_type_name(target.dtype)}"
        )
    return apply_inplace(copy.op, (target, result), ())


def _as_it_is(x: Tensor) -> Tensor:
    """The tensor, or a copy where gradients may need its values from before the write."""
    return clone(x) if mode.grad and x.requires_grad else x


def _in_place(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return store(method.__name__, self, function(_as_it_is(self), *args, **kwargs))

    method.__name__ = f"{name}_"
    method.__qualname__ = f"Tensor.{name}_"
    method.__doc__ = f"In-place version of `{name}`."
    return method


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": compare.eq, "ne": compare.ne, "lt": compare.lt, "le": compare.le, "gt": compare.gt, "ge": compare.ge,
    "not_equal": compare.ne, "less": compare.lt, "less_equal": compare.le, "greater": compare.gt,
    "greater_equal": compare.ge,
    "logical_and": compare.logical_and, "logical_or": compare.logical_or, "logical_xor": compare.logical_xor,
    "logical_not": compare.logical_not,
    "clamp_min": compare.clamp_min, "clamp_max": compare.clamp_max, "conj_physical": complexes.conj_physical,
    "heaviside": arithmetic.heaviside, "ldexp": scaling.ldexp, "renorm": scaling.renorm,
    "addmv": einsum.addmv, "addr": einsum.addr, "addbmm": einsum.addbmm,
    "put": selecting.put, "mvlgamma": special.mvlgamma,
}  # fmt: skip
for _name, _function in _FUNCTIONS.items():
    setattr(Tensor, f"{_name}_", _in_place(_name, _function))


def _float_power_in_place(self: Tensor, exponent: Any) -> Tensor:
    """In-place version of `float_power`; the tensor must be float64 (complex128)."""
    result = arithmetic.float_power(_as_it_is(self), exponent)
    if result.dtype is not self.dtype:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {_type_name(self.dtype)} but the operation's result requires "
            f"dtype {_type_name(result.dtype)}"
        )
    return store("float_power_", self, result)


def _polygamma_in_place(self: Tensor, n: int) -> Tensor:
    """In-place version of `polygamma`."""
    return store("polygamma_", self, special.polygamma(n, _as_it_is(self)))


def _polygamma_method(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of `digamma` at each element."""
    return special.polygamma(n, self)


Tensor.float_power_ = _float_power_in_place  # type: ignore[attr-defined]
Tensor.polygamma_, Tensor.polygamma = _polygamma_in_place, _polygamma_method  # type: ignore[attr-defined]
Tensor.mvlgamma = special.mvlgamma  # type: ignore[attr-defined]
Tensor.clamp_min, Tensor.clamp_max = compare.clamp_min, compare.clamp_max  # type: ignore[attr-defined]
