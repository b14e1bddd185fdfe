"""The module of the strict device: CuPy's names and parameters, NumPy's arithmetic.

Every function is made from its entry in `cupy_api.json`. A name, a parameter or a type that CuPy
has not is refused in CuPy's way; what is left is computed by the NumPy function of that name.
"""

from __future__ import annotations

import functools
import inspect
import json
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tensorlab.testing.strict import _array, _rules
from tensorlab.testing.strict._array import StrictArray, arrays_in, host_of, own, strict_result

API: dict[str, Any] = json.loads(
    Path(__file__).with_name("cupy_api.json").read_text(encoding="utf-8")
)

#: Functions whose first argument need not be an array of the device.
_FROM_ANYTHING = {
    "arange", "array", "asanyarray", "asarray", "ascontiguousarray", "asfortranarray", "atleast_1d",
    "atleast_2d", "atleast_3d", "bartlett", "blackman", "broadcast_shapes", "can_cast", "common_type",
    "diag_indices", "einsum", "empty", "eye", "from_dlpack", "full", "hamming", "hanning", "identity",
    "indices", "isclose", "iscomplexobj", "isrealobj", "isscalar", "issubdtype", "kaiser", "linspace",
    "logspace", "min_scalar_type", "ndim", "ones", "promote_types", "ravel_multi_index", "result_type",
    "shape", "size", "tri", "tril_indices", "triu_indices", "zeros", "fftfreq", "rfftfreq", "mask_indices",
    "meshgrid", "broadcast_arrays", "get_array_module", "geomspace",
}  # fmt: skip
#: Functions that take a NumPy array over to the device.
_TAKES_OVER = {"array", "asanyarray", "asarray", "ascontiguousarray", "asfortranarray"}
#: Functions that wait for the device, because a shape or a Python number depends on values.
_WAITING = {
    "argwhere", "allclose", "array_equal", "flatnonzero", "nonzero", "unique", "bincount", "array_equiv",
    "trim_zeros", "extract", "union1d", "intersect1d", "setdiff1d", "unique_counts", "unique_values",
}  # fmt: skip
#: Indices beyond the end are wrapped around here, where NumPy raises.
_WRAPPING = {"take": "wrap"}
#: CuPy's linear algebra gives nan where NumPy raises LinAlgError (`cupyx.seterr(linalg="ignore")`).
_SILENT = {"cholesky", "inv", "solve"}
#: CuPy's parameters under NumPy's names, where the two differ.
_RENAMED = {
    "histogram": {"x": "a"}, "stack": {"tup": "arrays"}, "concatenate": {"tup": "arrays"},
    "linalg.matrix_rank": {"M": "A"}, "reshape": {"newshape": "shape"},
}  # fmt: skip
_POSITIONAL = {"concatenate", "asarray", "array", "where", "dot", "vdot", "can_cast", "copyto"}


def _signature(parameters: list[str]) -> inspect.Signature:
    """A signature from the entries of the data: `!` keyword only, `*`, `**`, `=` for a default."""
    made = []
    for text in parameters:
        name = text.strip("!*=")
        default = None if text.endswith("=") else inspect.Parameter.empty
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        if text.startswith("!"):
            kind = inspect.Parameter.KEYWORD_ONLY
        elif text.startswith("**"):
            kind, default = inspect.Parameter.VAR_KEYWORD, inspect.Parameter.empty
        elif text.startswith("*"):
            kind, default = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.empty
        made.append(inspect.Parameter(name, kind, default=default))
    return inspect.Signature(made)


def _quiet(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a NumPy function; a GPU says nothing about overflow and division by zero."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **kwargs)


class StrictUfunc:
    """A ufunc as CuPy has it: `out`, `dtype` and `casting`, the types of its loops, and few methods."""

    def __init__(self, name: str, entry: dict[str, Any], host: Callable[..., Any]) -> None:
        self.__name__ = self.name = name
        self.nin, self.nout, self.types = entry["nin"], entry["nout"], entry["types"]
        self._at = entry.get("at")
        self._host = host

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        dtype = kwargs.pop("dtype", None)
        casting = kwargs.pop("casting", "same_kind")
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if not self.nin <= len(args) <= self.nin + self.nout:
            raise TypeError(f"Wrong number of arguments for 'cupy_{self.name}': got {len(args)}")
        ins, outs = list(args[: self.nin]), args[self.nin :]
        if out is not None:
            outs = out if isinstance(out, tuple) else (out,)
        for value in (*ins, *outs):
            _operand(value)
        ins = [own(np.asarray(v)) if isinstance(v, np.generic) else v for v in ins]
        chosen = _rules.loop(self.types, ins, dtype)
        if chosen is None:
            kinds = ", ".join(str(getattr(v, "dtype", type(v).__name__)) for v in ins)
            raise TypeError(f"Wrong type ({kinds}) of arguments for cupy_{self.name}")
        found = _quiet(self._host, *self._cast(ins, chosen[0]))
        results = found if isinstance(found, tuple) else (found,)
        results = [
            np.asarray(r).astype(_rules.dtype_of_char(c), copy=False)
            for r, c in zip(results, chosen[1], strict=True)
        ]
        if not outs:
            made = [own(r) for r in results]
            return made[0] if self.nout == 1 else tuple(made)
        return self._store(results, outs, casting)

    @staticmethod
    def _cast(ins: list[Any], types: str) -> list[Any]:
        """The operands in the loop's types: CuPy computes in those and no wider ones."""
        cast = []
        for value, char in zip(ins, types, strict=True):
            to = _rules.dtype_of_char(char)
            if isinstance(value, StrictArray):
                cast.append(value._host.astype(to, copy=False))
            else:
                with np.errstate(all="ignore"):
                    cast.append(np.asarray(value).astype(to))
        return cast

    @staticmethod
    def _store(results: list[np.ndarray], outs: Any, casting: str) -> Any:
        for result, target in zip(results, outs, strict=True):
            if not np.can_cast(result.dtype, target.dtype, casting):  # type: ignore[arg-type]
                raise TypeError(
                    f"output (typecode '{result.dtype.char}') could not be coerced to provided output "
                    f"parameter (typecode '{target.dtype.char}') according to the casting rule '{casting}'"
                )
            if result.shape != target.shape and np.broadcast_shapes(result.shape, target.shape) != (
                target.shape
            ):
                raise ValueError("Out shape is mismatched")
            with np.errstate(all="ignore"):
                target._host[...] = result
        return outs[0] if len(outs) == 1 else tuple(outs)

    def at(self, a: StrictArray, indices: Any, b: Any = None) -> None:
        """Apply in place at indices, also where one comes twice; few types can."""
        if self._at is None:
            raise NotImplementedError(f"`cupy_{self.name}.at` is not supported yet")
        if a.dtype.name not in _rules.SCATTER[self._at]:
            allowed = ", ".join(_rules.SCATTER[self._at])
            raise TypeError(f"cupy.{self.name}.at only supports {allowed}, as data type")
        plain, places, basic = _rules.index(a.shape, indices)
        if isinstance(b, np.ndarray):
            _rules.refuse((b,))
        value = b._host.astype(a.dtype) if isinstance(b, StrictArray) else b
        key = tuple(plain) if basic else _rules.wrapped(plain, places)
        _quiet(self._host.at, a._host, key, value)  # type: ignore[attr-defined]

    def reduce(
        self,
        array: StrictArray,
        axis: Any = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
    ) -> StrictArray:
        """Sums and products; CuPy has no other reductions of ufuncs."""
        if self.name not in _rules.REDUCING:
            raise NotImplementedError(f"`cupy_{self.name}.reduce` is not supported yet")
        return getattr(array, _rules.REDUCING[self.name])(axis, dtype, out, keepdims)

    def accumulate(
        self, array: StrictArray, axis: int = 0, dtype: Any = None, out: Any = None
    ) -> StrictArray:
        """Running sums and products; CuPy has no others."""
        if self.name not in _rules.ACCUMULATING:
            raise NotImplementedError(f"`cupy_{self.name}.accumulate` is not supported yet")
        return getattr(array, _rules.ACCUMULATING[self.name])(axis, dtype, out)

    def reduceat(
        self,
        array: StrictArray,
        indices: StrictArray,
        axis: int = 0,
        dtype: Any = None,
        out: Any = None,
    ) -> StrictArray:
        """Sums of slices; CuPy has no other."""
        if self.name != "add":
            raise NotImplementedError(f"`cupy_{self.name}.reduceat` is not supported yet")
        return own(np.add.reduceat(array._host, indices._host, axis, dtype))

    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:
        """The ufunc of all pairs."""
        return self(A.reshape(A.shape + (1,) * B.ndim), B, **kwargs)

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.name}'>"


def _operand(value: Any) -> None:
    """Refuse what no CuPy kernel takes: NumPy's arrays, lists, None."""
    if not isinstance(value, (StrictArray, bool, int, float, complex, np.generic)):
        raise TypeError(f"Unsupported type {type(value)}")


def _function(name: str, parameters: list[str], host: Callable[..., Any]) -> Callable[..., Any]:
    """A function with these parameters on strict arrays, computed by `host`."""
    signature = _signature(parameters)
    short = name.rpartition(".")[2]
    renamed = _RENAMED.get(name, {})

    @functools.wraps(host)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"cupy.{name}() {error}") from None
        if short not in _TAKES_OVER:
            _rules.refuse(args)
            _rules.refuse(kwargs.values())
        if short not in _FROM_ANYTHING:
            _first_is_array(name, next(iter(bound.arguments.values()), None))
        if short in _WAITING or (short == "where" and len(bound.arguments) == 1):
            _rules.note_sync(f"{name}()")
        sources = list(arrays_in(bound.arguments.values()))
        out = bound.arguments.get("out")
        given = {k: host_of(v) for k, v in kwargs.items() if k not in ("blocking", "stream")}
        given = {renamed.get(k, k): v for k, v in given.items()}
        if short in _WRAPPING and "mode" not in given:
            given["mode"] = _WRAPPING[short]
        try:
            found = _quiet(host, *map(host_of, args), **given)
        except np.linalg.LinAlgError:
            if short not in _SILENT or not _rules.silent():
                raise
            like = sources[-1]
            return own(np.full(like.shape, np.nan, like.dtype))
        return out if out is not None else strict_result(found, sources)

    call.__name__ = call.__qualname__ = short
    return call


def _first_is_array(name: str, value: Any) -> None:
    if (
        isinstance(value, (list, tuple))
        and value
        and all(isinstance(v, StrictArray) for v in value)
    ):
        return
    if not isinstance(value, StrictArray):
        raise TypeError(
            f"cupy.{name}() needs an array of the device (or a sequence of them), got {type(value).__name__}"
        )


# Functions that NumPy has otherwise, or not at all -------------------------------------------


def _asarray(
    a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False
) -> StrictArray:
    if isinstance(a, StrictArray):
        if (dtype is None or np.dtype(dtype) == a.dtype) and copy is not True:
            return a
        return a.astype(a.dtype if dtype is None else dtype)
    if isinstance(a, (list, tuple)) and any(True for _ in arrays_in(a)):
        _rules.refuse(a)
        stacked = np.stack([np.asarray(host_of(v)) for v in a])
        return own(stacked if dtype is None else stacked.astype(dtype))
    made = np.array(host_of(a), dtype=dtype, order=order or "C")
    _rules.check_dtype(made.dtype)
    return own(made)


def _array_function(
    obj: Any, dtype: Any = None, copy: bool = True, order: Any = "K", subok: bool = False, ndmin: int = 0,
    *, blocking: bool = False,
) -> StrictArray:  # fmt: skip
    made = _asarray(obj, dtype)
    made = made.copy() if made is obj and copy else made
    return made.reshape((1,) * (ndmin - made.ndim) + made.shape) if made.ndim < ndmin else made


def _ascontiguousarray(a: Any, dtype: Any = None) -> StrictArray:
    made = _asarray(a, dtype)
    if made.ndim == 0:
        return made.reshape(1)
    return made if made.flags.c_contiguous else made.copy()


def _asnumpy(
    a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True
) -> np.ndarray:
    return a.get(order=order, out=out) if isinstance(a, StrictArray) else np.asarray(a)


def _empty(shape: Any, dtype: Any = float, order: str = "C") -> StrictArray:
    _rules.refuse((shape,))
    _rules.check_dtype(np.dtype(dtype))
    return StrictArray(shape, dtype)


def _empty_like(
    prototype: StrictArray,
    dtype: Any = None,
    order: str = "K",
    subok: Any = None,
    shape: Any = None,
) -> StrictArray:
    _first_is_array("empty_like", prototype)
    made = own(np.empty_like(prototype._host, dtype, order, shape=shape))  # type: ignore[call-overload]
    _rules.spoil(made._host)
    return made


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    missing = (x is None, y is None).count(True)
    if missing == 1:
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    _first_is_array("where", condition)
    if missing:
        _rules.note_sync("where()")
        return strict_result(np.nonzero(condition._host), ())
    _operand(x)
    _operand(y)
    return own(np.where(condition._host, host_of(x), host_of(y)))


def _clip(a: StrictArray, a_min: Any, a_max: Any, out: Any = None) -> StrictArray:
    _first_is_array("clip", a)
    for bound in (a_min, a_max):
        if bound is not None:
            _operand(bound)
    found = own(_quiet(np.clip, a._host, host_of(a_min), host_of(a_max)))
    if out is None:
        return found
    out[...] = found
    return out


def _along_axis(a: StrictArray, indices: StrictArray, axis: int | None) -> StrictArray:
    _first_is_array("take_along_axis", a)
    _first_is_array("take_along_axis", indices)
    size = a.size if axis is None else a.shape[axis]
    places = indices._host % size if size else indices._host
    return own(np.take_along_axis(a._host, places, axis))


def _isscalar(element: Any) -> bool:
    return np.isscalar(element)


def _shape(a: Any) -> tuple[int, ...]:
    return a.shape if isinstance(a, StrictArray) else np.shape(a)


def _ndim(a: Any) -> int:
    return a.ndim if isinstance(a, StrictArray) else np.ndim(a)


def _result_type(*operands: Any) -> np.dtype:
    return np.result_type(*(v.dtype if isinstance(v, StrictArray) else v for v in operands))


def _as_strided(x: StrictArray, shape: Any = None, strides: Any = None) -> StrictArray:
    shown = x.view()
    shown._set_shape_and_strides(shape, strides, True, True)
    shown._base = None  # as in CuPy, though the memory is another array's
    return shown


def _broadcast_to(array: StrictArray, shape: Any) -> StrictArray:
    _first_is_array("broadcast_to", array)
    host = np.lib.stride_tricks.as_strided(
        array._memory, *_stretched(np.broadcast_to(array._memory, shape))
    )
    return array if host.shape == array.shape else _array.view_of(array, host)


def _stretched(host: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return host.shape, host.strides  # NumPy's own result is read-only, CuPy's is not


def _copyto(dst: StrictArray, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    if isinstance(src, np.ndarray):
        _rules.refuse((src,))
    mask = True if where is None else host_of(where)
    np.copyto(dst._host, host_of(src), casting, where=mask)  # type: ignore[arg-type]


def _nonzero(a: StrictArray) -> tuple[StrictArray, ...]:
    _first_is_array("nonzero", a)
    _rules.note_sync("nonzero()")
    return tuple(map(own, np.nonzero(a._host)))


def _histogram(
    x: StrictArray, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> tuple[StrictArray, StrictArray]:
    _first_is_array("histogram", x)
    _rules.note_sync("histogram()")
    if x.dtype.kind == "c":
        raise NotImplementedError("complex number is not supported")
    counts, edges = np.histogram(x._host, host_of(bins), range, density, host_of(weights))
    return own(counts), own(edges)


def _diagonal(a: StrictArray, offset: int = 0, axis1: int = 0, axis2: int = 1) -> StrictArray:
    _first_is_array("diagonal", a)
    return a.diagonal(offset, axis1, axis2)


_OWN: dict[str, Callable[..., Any]] = {
    "diagonal": _diagonal,
    "array": _array_function, "asanyarray": _asarray, "asarray": _asarray,
    "ascontiguousarray": _ascontiguousarray, "asnumpy": _asnumpy, "empty": _empty, "empty_like": _empty_like,
    "where": _where, "clip": _clip, "take_along_axis": _along_axis, "isscalar": _isscalar, "shape": _shape,
    "ndim": _ndim, "result_type": _result_type, "lib.stride_tricks.as_strided": _as_strided,
    "broadcast_to": _broadcast_to, "copyto": _copyto, "nonzero": _nonzero, "histogram": _histogram,
}  # fmt: skip


def _numpy_function(module: str, name: str) -> Callable[..., Any] | None:
    found: Any = np
    for part in filter(None, f"{module}.{name}".split(".")):
        found = getattr(found, part, None)
        if found is None:
            return None
    return found


def _unknown(module: str) -> Callable[[str], Any]:
    def missing(name: str) -> Any:
        dotted = f"cupy.{module}" if module else "cupy"
        raise AttributeError(f"module '{dotted}' has no attribute '{name}'")

    return missing


def _member(module: str, name: str, entry: dict[str, Any]) -> Any:
    """One name of a module, or NotImplemented if NumPy has nothing to compute it with."""
    dotted = f"{module}.{name}" if module else name
    if "constant" in entry:
        return None if entry["constant"] is None else float(entry["constant"])
    if "scalar" in entry:
        return getattr(np, entry["scalar"])
    if dotted in _OWN:
        return _OWN[dotted]
    host = _numpy_function(module, name)
    if host is None or not callable(host):
        return NotImplemented
    if "nin" in entry:
        return StrictUfunc(name, entry, host)
    return _function(dotted, entry["parameters"], host)


def build() -> types.ModuleType:
    """The module `xp` of the strict device."""
    modules: dict[str, types.ModuleType] = {}
    for name, names in API["modules"].items():
        module = types.ModuleType(f"strict.{name}" if name else "strict", __doc__)
        for member, entry in names.items():
            made = _member(name, member, entry)
            if made is not NotImplemented:
                setattr(module, member, made)
        module.__getattr__ = _unknown(name)  # type: ignore[method-assign]
        modules[name] = module
    top = modules[""]
    library = types.ModuleType("strict.lib")
    library.stride_tricks = modules["lib.stride_tricks"]  # type: ignore[attr-defined]
    top.lib, top.linalg, top.fft = library, modules["linalg"], modules["fft"]  # type: ignore[attr-defined]
    top.linalg.LinAlgError = np.linalg.LinAlgError  # type: ignore[attr-defined]
    top.ndarray, top.dtype = StrictArray, np.dtype  # type: ignore[attr-defined]
    top.finfo, top.iinfo = np.finfo, np.iinfo  # type: ignore[attr-defined]
    _array._functions.update(vars(top))
    _methods()
    return top


# The methods that StrictArray does not write out ---------------------------------------------


def _methods() -> None:
    """Give `StrictArray` the rest of CuPy's methods, with CuPy's parameters."""
    for name, parameters in API["ndarray"].items():
        if hasattr(StrictArray, name) or parameters is None:
            continue
        host = getattr(np.ndarray, name, None)
        if host is not None:
            setattr(StrictArray, name, _method(name, parameters, host))


def _method(name: str, parameters: list[str], host: Callable[..., Any]) -> Callable[..., Any]:
    signature = _signature(parameters)

    def call(self: StrictArray, *args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"ndarray.{name}() {error}") from None
        _rules.refuse(args)
        _rules.refuse(kwargs.values())
        if name == "nonzero":
            _rules.note_sync("nonzero()")
        given = {k: host_of(v) for k, v in kwargs.items()}
        if name == "take":
            given["mode"] = "wrap"
        found = _quiet(host, self._host, *map(host_of, args), **given)
        out = bound.arguments.get("out")
        return out if out is not None else strict_result(found, [self, *arrays_in(args)])

    call.__name__ = name
    call.__doc__ = host.__doc__
    return call
