"""The array of the strict device: NumPy's numbers behind CuPy's doors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tensorlab.testing.strict import _rules

# What CuPy's ndarray answers by calling a function of its module: `a + b` is `cupy.add(a, b)`.
_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
_COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip
_UNARY = {"neg": "negative", "abs": "absolute", "invert": "invert", "pos": "positive"}


class StrictArray:
    """An array that can do what `cupy.ndarray` can do, and nothing else.

    Its memory is main memory, reached through `.get()` alone: NumPy's functions refuse it, and it
    refuses NumPy's arrays as operands. One element is a 0-dim array, never a NumPy scalar. What
    shows another array's memory has that array as its `base`.
    """

    __slots__ = ("__weakref__", "_base", "_device", "_memory")
    _memory: Any  # numpy.ndarray
    _device: int
    __array_ufunc__ = None  # NumPy's operators leave it to this class, NumPy's functions refuse
    __array_priority__ = 100

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        self._memory = np.empty(shape, dtype)
        _rules.spoil(self._memory)
        self._base: StrictArray | None = None
        self._device = _rules.current_device()

    @property
    def _host(self) -> Any:
        """The numbers, for something to be computed on the current device."""
        _rules.check_device(self._device)
        return self._memory

    # What it is --------------------------------------------------------------------------

    @property
    def base(self) -> StrictArray | None:
        """The array that owns the memory, or None if this one does."""
        return self._base

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of axes."""
        return self._memory.shape

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of axes in bytes."""
        return self._memory.strides

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements."""
        return self._memory.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._memory.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._memory.size

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self._memory.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._memory.nbytes

    @property
    def flags(self) -> Flags:
        """`c_contiguous`, `f_contiguous` and `owndata`."""
        return Flags(self)

    @property
    def data(self) -> Pointer:
        """Where the first element is: `data.ptr`."""
        return Pointer(self._memory.__array_interface__["data"][0])

    @property
    def device(self) -> Any:
        """The device that holds the memory: number 0, unless a test pretends that there are more."""
        return DEVICE if _rules.devices is None else _rules.devices.Device(self._device)

    @property
    def T(self) -> StrictArray:
        """The axes in reverse order."""
        return view_of(self, self._memory.T)

    @property
    def mT(self) -> StrictArray:
        """The last two axes exchanged."""
        return view_of(self, self._memory.mT)

    @property
    def real(self) -> StrictArray:
        """The real part: a view of complex numbers, and real numbers themselves."""
        return view_of(self, self._memory.real) if self.dtype.kind == "c" else self

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> StrictArray:
        """The imaginary part: a view of complex numbers, and new zeros of real ones."""
        if self.dtype.kind == "c":
            return view_of(self, self._memory.imag)
        return own(np.zeros_like(self._host))

    @imag.setter
    def imag(self, value: Any) -> None:
        if self.dtype.kind != "c":
            raise TypeError("cupy.ndarray does not have imaginary part to set")
        self.imag[...] = value

    # To the host and back ------------------------------------------------------------------

    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> np.ndarray:
        """A copy in main memory: the one way out."""
        if out is not None:
            out[...] = self._memory
            return out
        return np.array(self._memory, order=order)  # type: ignore[call-overload]

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        """Copy the numbers of a NumPy array of the same shape into this one."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError(f"expected {self.dtype}{self.shape}, got {arr.dtype}{arr.shape}")
        self._memory[...] = arr

    def item(self) -> Any:
        """The only element as a Python number; the device is waited for."""
        _rules.note_sync("item()")
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._memory.item()

    def tolist(self) -> Any:
        """The elements in nested lists; the device is waited for."""
        _rules.note_sync("tolist()")
        return self._memory.tolist()

    def tobytes(self, order: str = "C") -> bytes:
        """The elements as bytes; the device is waited for."""
        _rules.note_sync("tobytes()")
        return self._memory.tobytes(order)  # type: ignore[arg-type]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __bool__(self) -> bool:
        return bool(self._one("bool()"))

    def __int__(self) -> int:
        return int(self._one("int()"))

    def __float__(self) -> float:
        return float(self._one("float()"))

    def __complex__(self) -> complex:
        return complex(self._one("complex()"))

    def __index__(self) -> int:
        raise TypeError("cupy.ndarray has no __index__: use int(array)")

    def _one(self, what: str) -> Any:
        _rules.note_sync(what)
        if self.size != 1:
            if what == "bool()":
                raise ValueError(
                    "The truth value of an array with more than one element is ambiguous. "
                    "Use a.any() or a.all()"
                )
            raise TypeError("only size-1 arrays can be converted to Python scalars")
        return self._memory.reshape(()).item()

    def __len__(self) -> int:
        return len(self._memory)

    def __iter__(self) -> Iterator[StrictArray]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        raise TypeError("cupy.ndarray has no `in`: use (array == value).any()")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"strict{self._memory!r}"

    # Other shapes and types ------------------------------------------------------------------

    def __getitem__(self, key: Any) -> StrictArray:
        plain, places, basic = _rules.index(self.shape, key)
        if not basic:
            return own(self._host[_rules.wrapped(plain, places)])
        # With "..." a single element is a view of one element and no scalar.
        tail = () if any(k is Ellipsis for k in plain) else (Ellipsis,)
        return view_of(self, self._memory[(*plain, *tail)])

    def __setitem__(self, key: Any, value: Any) -> None:
        plain, places, basic = _rules.index(self.shape, key)
        if basic and isinstance(value, (np.ndarray, list, tuple)) and np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        if isinstance(value, StrictArray):
            host: Any = value._host
            lead = next((i for i, n in enumerate(host.shape) if n != 1), host.ndim)
            host = host.reshape(host.shape[lead:])
        else:
            host = np.asarray(value) if isinstance(value, (list, tuple)) else value
        with np.errstate(all="ignore"):
            self._host[_rules.wrapped(plain, places)] = host

    def astype(
        self,
        dtype: Any,
        order: str = "K",
        casting: Any = None,
        subok: Any = None,
        copy: bool = True,
    ) -> StrictArray:
        """The elements converted to another type; itself if nothing changes and no copy is asked for."""
        if casting is not None:
            raise TypeError("casting is not supported yet")
        if subok is not None:
            raise TypeError("subok is not supported yet")
        _rules.check_dtype(np.dtype(dtype))
        if not copy and self.dtype == dtype:
            return self
        with np.errstate(all="ignore"):
            return own(self._host.astype(dtype, order))  # type: ignore[arg-type]

    def copy(self, order: str = "C") -> StrictArray:
        """The same numbers in memory of its own, on the current device, from whichever they are on."""
        return own(self._memory.copy(order))  # type: ignore[arg-type]

    def view(self, dtype: Any = None, type: Any = None) -> StrictArray:
        """The same memory, its bytes read as another type if one is given."""
        if type is not None:
            raise TypeError("the strict device has no other array types")
        return view_of(self, self._memory.view() if dtype is None else self._memory.view(dtype))

    def _set_shape_and_strides(
        self, shape: Any, strides: Any, update_c_contiguity: bool, update_f_contiguity: bool
    ) -> None:
        """What CuPy's own code makes views with: other strides on the same memory."""
        self._memory = np.lib.stride_tricks.as_strided(self._memory, shape, strides)

    def fill(self, value: Any) -> None:
        """Set all elements to one number."""
        if isinstance(value, (np.ndarray, StrictArray)) and value.shape != ():
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._host.fill(value._host if isinstance(value, StrictArray) else value)

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> StrictArray:
        """Another shape: a view where the memory allows it, else a copy."""
        wanted = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        wanted = tuple(wanted) if not isinstance(wanted, (int, np.integer)) else (int(wanted),)
        _rules.refuse(wanted)
        return view_of(self, self._memory.reshape(wanted, order=order, copy=copy))  # type: ignore[call-overload]

    def transpose(self, *axes: Any) -> StrictArray:
        """The axes in another order."""
        return view_of(self, self._memory.transpose(*axes))

    def swapaxes(self, axis1: int, axis2: int) -> StrictArray:
        """Two axes exchanged."""
        return view_of(self, self._memory.swapaxes(axis1, axis2))

    def squeeze(self, axis: Any = None) -> StrictArray:
        """Without axes of length 1."""
        return view_of(self, self._memory.squeeze(axis))

    def ravel(self, order: str = "C") -> StrictArray:
        """One axis: a view where the memory allows it."""
        return view_of(self, self._memory.ravel(order))  # type: ignore[arg-type]

    def flatten(self, order: str = "C") -> StrictArray:
        """One axis, in memory of its own."""
        return own(self._host.flatten(order))  # type: ignore[arg-type]

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> StrictArray:
        """A view of a diagonal; NumPy's is read-only, CuPy's is not."""
        host = self._memory.diagonal(offset, axis1, axis2)
        host.flags.writeable = True
        return view_of(self, host)

    def sort(self, axis: int = -1, kind: Any = None) -> None:
        """Sort in place."""
        self._host.sort(axis, kind="stable")

    def __deepcopy__(self, memo: dict[int, Any]) -> StrictArray:
        return self.copy()

    def __copy__(self) -> StrictArray:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return own, (self._memory,)


class Device:
    """What `array.device` tells."""

    id = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device)

    __hash__ = object.__hash__


DEVICE = Device()


class Flags:
    """How the memory is laid out, as far as CuPy says."""

    __slots__ = ("c_contiguous", "f_contiguous", "owndata")

    def __init__(self, array: StrictArray) -> None:
        self.c_contiguous = array._memory.flags.c_contiguous
        self.f_contiguous = array._memory.flags.f_contiguous
        self.owndata = array._base is None


class Pointer:
    """The address that stands for `cupy.cuda.MemoryPointer`."""

    __slots__ = ("ptr",)

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


def own(host: Any) -> StrictArray:
    """A new array on `host`, which becomes an array of its own if it was a view or a scalar."""
    array = object.__new__(StrictArray)
    host = np.asarray(host)
    array._memory = host if host.base is None else host.copy("K")
    array._base = None
    array._device = _rules.current_device()
    return array


def view_of(source: StrictArray, host: Any) -> StrictArray:
    """An array on `host`, which shows `source`'s memory, or is a copy where there was no other way."""
    if host is source._memory:
        return source
    array = object.__new__(StrictArray)
    array._memory = host
    array._base = None
    array._device = source._device
    shows = host.base is not None and (np.may_share_memory(host, source._memory) or not host.size)
    if shows:
        array._base = source._base if source._base is not None else source
    else:
        _rules.check_device(source._device)
        if host.base is not None:
            array._memory = host.copy("K")
    return array


# Operators ---------------------------------------------------------------------------------

_functions: dict[str, Callable[..., Any]] = {}  # of the module, which `_functions` fills in


def _operator(name: str, swapped: bool = False) -> Callable[..., Any]:
    def operate(self: StrictArray, other: Any) -> Any:
        if not isinstance(other, (StrictArray, bool, int, float, complex, np.generic)):
            if isinstance(other, np.ndarray):
                _rules.refuse((other,))
            return NotImplemented
        function = _functions[name]
        return function(other, self) if swapped else function(self, other)

    return operate


def _in_place(name: str) -> Callable[..., Any]:
    def operate(self: StrictArray, other: Any) -> Any:
        return _functions[name](self, other, self)

    return operate


for _name, _ufunc in _BINARY.items():
    setattr(StrictArray, f"__{_name}__", _operator(_ufunc))
    setattr(StrictArray, f"__r{_name}__", _operator(_ufunc, swapped=True))
    if _name != "matmul":  # which CuPy's class has not
        setattr(StrictArray, f"__i{_name}__", _in_place(_ufunc))
for _name, _ufunc in _COMPARISONS.items():
    setattr(StrictArray, f"__{_name}__", _operator(_ufunc))
for _name, _ufunc in _UNARY.items():
    setattr(StrictArray, f"__{_name}__", lambda self, _function=_ufunc: _functions[_function](self))


def arrays_in(values: Any) -> Iterator[StrictArray]:
    """The strict arrays among arguments, in lists and tuples too."""
    for value in values:
        if isinstance(value, StrictArray):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from arrays_in(value)


def host_of(value: Any) -> Any:
    """A value with NumPy's arrays in the place of strict ones, in lists and tuples too."""
    if isinstance(value, StrictArray):
        return value._host
    if isinstance(value, (list, tuple)):
        inner = [host_of(v) for v in value]
        return inner if isinstance(value, list) else tuple(inner)
    return value


def strict_result(found: Any, sources: Any) -> Any:
    """NumPy's result as CuPy's: scalars are 0-dim arrays, and views have a base."""
    if isinstance(found, (list, tuple)):
        inner = [strict_result(v, sources) for v in found]
        if isinstance(found, list):
            return inner
        return type(found)(*inner) if hasattr(found, "_fields") else tuple(inner)
    if isinstance(found, np.generic):
        return own(np.asarray(found))
    if not isinstance(found, np.ndarray):
        return found
    for source in sources:
        if found is source._memory:
            return source
    if found.base is not None:
        for source in itertools.chain(sources):
            if np.may_share_memory(found, source._memory):
                return view_of(source, found)
    return own(found)
