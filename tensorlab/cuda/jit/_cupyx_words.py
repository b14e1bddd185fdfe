"""Words of a kernel that `cupyx.jit` has not, in the form in which it has its own.

Imported with CuPy at hand alone. `cupyx.jit` makes CUDA C of a call by asking the called object:
it gets the arguments as C expressions (`Data`) or constants, and gives a C expression.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cupyx.jit import _compile, _cuda_types, _internal_types  # pyright: ignore[reportMissingImports]

__all__ = ["WORDS"]

_Data = _internal_types.Data


class _LocalArray(_cuda_types.ArrayBase):
    """The type of a thread's own array: `float best[4]`."""

    def __init__(self, child: Any, size: int) -> None:
        self._size = size
        super().__init__(child, 1)

    def declvar(self, x: str, init: Any) -> str:
        return f"{self.child_type} {x}[{self._size}]"


class _MakeLocal(_internal_types.BuiltinFunc):
    def call_const(self, env: Any, dtype: Any, size: int) -> Any:
        name = env.get_fresh_variable_name(prefix="_local")
        child = _cuda_types.Scalar(np.dtype(dtype))
        variable = _Data(name, _LocalArray(child, size))
        env.decls[name] = env.locals[name] = variable
        return _Data(name, _cuda_types.Ptr(child))


class _Vote(_internal_types.BuiltinFunc):
    def __init__(self, name: str, result: Any) -> None:
        super().__init__()
        self._name, self._result = name, result

    def call(self, env: Any, mask: Any, yes: Any) -> Any:
        yes = _Data.init(yes, env)
        code = f"{self._name}({hex(mask.obj)}, {yes.code})"
        if self._result is _cuda_types.bool_:
            code = f"({code} != 0)"
        return _Data(code, self._result)


class _Plain(_internal_types.BuiltinFunc):
    """A function of C, whose name and type are the same for all arguments."""

    def __init__(self, code: str, result: Any) -> None:
        super().__init__()
        self._code, self._result = code, result

    def call(self, env: Any, *args: Any) -> Any:
        codes = (_Data.init(each, env).code for each in args)
        return _Data(f"{self._code}({', '.join(codes)})", self._result)


class _SyncWarp(_internal_types.BuiltinFunc):
    """`cupyx.jit.syncwarp` takes no mask with the highest bit set."""

    def call_const(self, env: Any, mask: int) -> Any:
        return _Data(f"__syncwarp({mask:#x}u)", _cuda_types.void)


class _Atomic64(_internal_types.BuiltinFunc):
    """Atomic operations on int64, which C has for `long long` or, bit by bit, unsigned."""

    def __init__(self, name: str, ctype: str) -> None:
        super().__init__()
        self._name, self._ctype = name, ctype

    def call(self, env: Any, array: Any, index: Any, *values: Any) -> Any:
        array = _Data.init(array, env)
        target = _compile._indexing(array, index, env)
        codes = [f"({self._ctype})({_Data.init(each, env).code})" for each in values]
        code = f"{self._name}(({self._ctype}*)&{target.code}, {', '.join(codes)})"
        return _Data(f"(({target.ctype})({code}))", target.ctype)


_UNSIGNED = "unsigned long long"
WORDS = {
    "local_array": _MakeLocal(),
    "ballot": _Vote("__ballot_sync", _cuda_types.uint32),
    "any": _Vote("__any_sync", _cuda_types.bool_),
    "all": _Vote("__all_sync", _cuda_types.bool_),
    "active": _Plain("__activemask", _cuda_types.uint32),
    "popc": _Plain("__popc", _cuda_types.int32),
    "syncwarp": _SyncWarp(),
    "atomic_add": _Atomic64("atomicAdd", _UNSIGNED),
    "atomic_exch": _Atomic64("atomicExch", _UNSIGNED),
    "atomic_cas": _Atomic64("atomicCAS", _UNSIGNED),
    "atomic_and": _Atomic64("atomicAnd", _UNSIGNED),
    "atomic_or": _Atomic64("atomicOr", _UNSIGNED),
    "atomic_xor": _Atomic64("atomicXor", _UNSIGNED),
    "atomic_max": _Atomic64("atomicMax", "long long"),
    "atomic_min": _Atomic64("atomicMin", "long long"),
}
