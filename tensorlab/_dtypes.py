"""Data types, the default dtype, and PyTorch's rule of type promotion.

NumPy and PyTorch agree on what each type holds but not on what happens when types meet:
NumPy turns int64 + float32 into float64, PyTorch into float32. The rule here is PyTorch's
(https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

# The four categories, ordered: a higher category always wins a promotion.
BOOL, INTEGER, FLOATING, COMPLEX = range(4)
# "V" is what NumPy says of bfloat16, which is not its own; no other type of that kind gets into a
# tensor. So `array.dtype.kind in "fcV"` asks whether an array can have a gradient.
_CATEGORY = {"b": BOOL, "i": INTEGER, "u": INTEGER, "f": FLOATING, "c": COMPLEX, "V": FLOATING}
_CATEGORY_OF_NUMBER = {bool: BOOL, int: INTEGER, float: FLOATING, complex: COMPLEX}


class dtype:
    """A tensor's element type, such as `tensorlab.float32`.

    Attributes: `name` ("float32"), `numpy` (the NumPy dtype), `itemsize` (bytes per element),
    `is_floating_point`, `is_complex`, `is_signed`. There is one object per type: compare with
    `==` or `is`.

    >>> import tensorlab
    >>> tensorlab.float32.itemsize
    4
    """

    __slots__ = (
        "category",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "name",
        "numpy",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.numpy = np.dtype(name)
        self.itemsize = self.numpy.itemsize
        self.category = _CATEGORY[self.numpy.kind]
        self.is_floating_point = self.category == FLOATING
        self.is_complex = self.category == COMPLEX
        self.is_signed = self.numpy.kind in "ifcV"

    def to_complex(self) -> dtype:
        """The complex type of the same precision: float64 → complex128, others → complex64."""
        return complex128 if self in (float64, complex128) else complex64

    def to_real(self) -> dtype:
        """The real type of the same precision: complex128 → float64; a real type is itself."""
        return {complex64: float32, complex128: float64}.get(self, self)

    def __repr__(self) -> str:
        return f"tensorlab.{self.name}"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return _named, (self.name,)


def _named(name: str) -> dtype:
    return load_bfloat16().bfloat16 if name == "bfloat16" else _BY_NUMPY[np.dtype(name)]


float16 = half = dtype("float16")
float32 = float_ = dtype("float32")
float64 = double = dtype("float64")
complex64 = cfloat = dtype("complex64")
complex128 = cdouble = dtype("complex128")
uint8 = dtype("uint8")
int8 = dtype("int8")
int16 = short = dtype("int16")
int32 = int_ = dtype("int32")
int64 = long = dtype("int64")
bool_ = dtype("bool")

DTYPES = (float16, float32, float64, complex64, complex128, uint8, int8, int16, int32, int64, bool_)
_BY_NUMPY = {d.numpy: d for d in DTYPES}
# As a dtype argument Python's types name what Python computes in: `zeros(2, dtype=float)` is float64.
_BY_PYTHON: dict[Any, dtype] = {float: float64, int: int64, bool: bool_, complex: complex128}

_default = float32

#: The module `tensorlab._bfloat16` once bfloat16 is in use; None spares everybody else its work.
narrow: ModuleType | None = None


def load_bfloat16() -> ModuleType:
    """The module `tensorlab._bfloat16`, imported on first use."""
    global narrow
    if narrow is None:
        from tensorlab import _bfloat16

        d = _bfloat16.bfloat16
        _BY_NUMPY[d.numpy] = d
        # Neither holds all numbers of the other, and NumPy does not know what to do.
        _promotions[d, float16] = _promotions[float16, d] = float32
        narrow = _bfloat16
    return narrow


def held(array: Any) -> Any:
    """A new array as tensors hold it: bfloat16 in a class of its own, the others as they are."""
    return array if array.dtype.kind != "V" else load_bfloat16().tagged(array)


def set_default_dtype(d: dtype) -> None:
    """Make `d` the type of new floating-point tensors; `TypeError` unless it is a float type.

    >>> import tensorlab
    >>> tensorlab.set_default_dtype(tensorlab.float64)
    >>> tensorlab.tensor(1.5).dtype
    tensorlab.float64
    >>> tensorlab.set_default_dtype(tensorlab.float32)
    """
    global _default
    if not (isinstance(d, dtype) and d.is_floating_point):
        raise TypeError(f"only floating-point types are supported as the default type, got {d}")
    _default = d


def get_default_dtype() -> dtype:
    """The type of new floating-point tensors; float32 unless changed.

    >>> import tensorlab
    >>> tensorlab.get_default_dtype()
    tensorlab.float32
    """
    return _default


def from_numpy_dtype(d: np.dtype) -> dtype:
    """tensorlab's name for a NumPy dtype; `TypeError` names the supported ones."""
    found = _BY_NUMPY.get(d)
    if found is None and d.name == "bfloat16":
        return load_bfloat16().bfloat16
    if found is None:
        supported = ", ".join(x.name for x in DTYPES)
        raise TypeError(
            f"can't convert an array of type numpy.{d}. The only supported types are: {supported}."
        )
    return found


def as_dtype(d: Any) -> dtype:
    """Accept a dtype, a Python number type or anything NumPy reads as a dtype."""
    if isinstance(d, dtype):
        return d
    if d in _BY_PYTHON:
        return _BY_PYTHON[d]
    if isinstance(d, str) and d == "bfloat16":
        return load_bfloat16().bfloat16
    try:
        return from_numpy_dtype(np.dtype(d))
    except TypeError:
        raise TypeError(f"expected a dtype such as tensorlab.float32, got {d!r}") from None


def category_of_number(value: bool | int | float | complex) -> int:
    """The category of a Python number; `KeyError` if it is none."""
    return _CATEGORY_OF_NUMBER[type(value)]


def default_of_category(category: int) -> dtype:
    """The type a bare Python number of this category takes."""
    return (bool_, int64, _default, _default.to_complex())[category]


_promotions: dict[tuple[dtype, dtype], dtype] = {}


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest type that a value of either type promotes to.

    >>> import tensorlab
    >>> tensorlab.promote_types(tensorlab.int64, tensorlab.float16)
    tensorlab.float16
    """
    if type1 is type2:
        return type1
    found = _promotions.get((type1, type2))
    if found is None:
        low, high = sorted((type1, type2), key=lambda d: d.category)
        if low.category < high.category and low.category < FLOATING:
            found = high  # an integer or bool never widens a float: where NumPy and PyTorch differ
        else:
            found = _BY_NUMPY[np.promote_types(type1.numpy, type2.numpy)]
        _promotions[type1, type2] = found
    return found


def result_dtype(dimensioned: list[dtype], zero_dim: list[dtype], numbers: list[int]) -> dtype:
    """PyTorch's three tiers: tensors with dimensions, then 0-dim tensors, then Python numbers.

    A lower tier changes the result only if its category (bool < int < float < complex) is
    higher than that of all tiers above it; `numbers` holds categories.
    """
    result: dtype | None = None
    for tier in (dimensioned, zero_dim):
        if not tier:
            continue
        best = tier[0]
        for d in tier[1:]:
            best = promote_types(best, d)
        result = _combine(result, best)
    if numbers:
        result = _combine(result, default_of_category(max(numbers)))
    if result is None:
        raise ValueError("at least one tensor or number is needed")
    return result


def _combine(higher: dtype | None, lower: dtype) -> dtype:
    if higher is None:
        return lower
    if lower.category <= higher.category:
        return higher
    if lower.is_complex and higher.is_floating_point:
        return higher.to_complex()  # float64 with 1j is complex128
    return lower


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether an in-place result of type `from_` may be stored in `to`.

    >>> import tensorlab
    >>> tensorlab.can_cast(tensorlab.float32, tensorlab.int64)
    False
    """
    if from_.category > to.category:
        return False
    return not (from_.category > BOOL and to.category == BOOL)


class finfo:
    """Limits of a floating-point type: `eps`, `max`, `min`, `tiny`, `smallest_normal`, `resolution`, `bits`.

    >>> import tensorlab
    >>> tensorlab.finfo(tensorlab.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type: Any = None) -> None:
        d = _default if type is None else as_dtype(type)
        if d.category < FLOATING:
            raise TypeError(
                f"finfo() needs a floating-point type, got {d}; use iinfo for integer types"
            )
        info: Any = (
            np.finfo(d.numpy) if d.numpy.kind != "V" else load_bfloat16().ml_dtypes.finfo(d.numpy)
        )
        self.dtype = d.to_real().name
        self.bits = info.bits
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(info.resolution) if d.numpy.kind != "V" else 10.0**-info.precision

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer type: `min`, `max`, `bits`.

    >>> import tensorlab
    >>> tensorlab.iinfo(tensorlab.int8).max
    127
    """

    def __init__(self, type: dtype) -> None:
        d = as_dtype(type)
        if d.category != INTEGER:
            raise TypeError(f"iinfo() needs an integer type, got {d}; use finfo for float types")
        info = np.iinfo(d.numpy)
        self.dtype = d.name
        self.bits, self.min, self.max = info.bits, int(info.min), int(info.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
