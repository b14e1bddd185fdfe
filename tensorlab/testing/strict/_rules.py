"""What CuPy does otherwise than NumPy, as far as a program can notice.

Sources: the code of CuPy 14 (`cupy/_core/_kernel.pyx`, `_routines_indexing.pyx`, `core.pyx`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

#: What `ufunc.at` can add to, and take the larger or smaller of, in place (`_scatter_op_single`).
SCATTER = {
    "add": ("int32", "float16", "float32", "float64", "uint32", "uint64"),
    "sub": ("int32", "uint32"),
    "max": ("int32", "float32", "float64", "uint32", "uint64"),
    "min": ("int32", "float32", "float64", "uint32", "uint64"),
    "and": ("int32", "int64", "uint32", "uint64"),
    "or": ("int32", "int64", "uint32", "uint64"),
    "xor": ("int32", "int64", "uint32", "uint64"),
}

#: The ufuncs that can reduce and accumulate; all others raise.
REDUCING = {"add": "sum", "multiply": "prod"}
ACCUMULATING = {"add": "cumsum", "multiply": "cumprod"}

#: What has a class `Device` whose `current` is the number of the current device, where a test pretends that
#: there are several; None where there is one.
devices: Any = None

_forbidden: list[str] = []
_raising: list[bool] = []


@contextlib.contextmanager
def linalg_errors() -> Iterator[None]:
    """`cupyx.errstate(linalg="raise")`: within it, singular matrices raise, and the device is waited for."""
    note_sync("linear algebra that may raise")
    _raising.append(True)
    try:
        yield
    finally:
        _raising.pop()


def silent() -> bool:
    """Whether singular matrices give nan, as they do unless `linalg_errors` says otherwise."""
    return not _raising


@contextlib.contextmanager
def no_sync() -> Iterator[None]:
    """Within it, what waits for the device raises: `item()`, `bool()`, `float()`, `nonzero` and the like.

    >>> from tensorlab.testing import strict
    >>> x = strict.xp.ones(2)
    >>> with strict.no_sync():
    ...     float(x.sum())
    Traceback (most recent call last):
        ...
    RuntimeError: float() waits for the device, within no_sync()
    """
    _forbidden.append("no_sync()")
    try:
        yield
    finally:
        _forbidden.pop()


def note_sync(what: str) -> None:
    """Say that the device is waited for, which `no_sync` forbids."""
    if _forbidden:
        raise RuntimeError(f"{what} waits for the device, within {_forbidden[-1]}")


def current_device() -> int:
    """The number of the device that new arrays are on."""
    return 0 if devices is None else devices.Device.current


def check_device(index: int) -> None:
    """Refuse to compute with memory of another device than the current one.

    CuPy would try to reach it from there, and the result would be on the wrong device.
    """
    if devices is not None and index != devices.Device.current:
        raise RuntimeError(
            f"an array of device {index} is computed with while the current device is {devices.Device.current}"
        )


def refuse(values: Any) -> None:
    """Raise CuPy's error for NumPy arrays where an operand, or a part of a shape, is expected."""
    for value in values:
        if isinstance(value, np.ndarray):
            raise TypeError(
                f"Unsupported type {type(value)}: an array of NumPy was mixed with one of the device"
            )
        if isinstance(value, (list, tuple)):
            refuse(value)


def check_dtype(dtype: np.dtype) -> None:
    """Raise for types that no array on a device has."""
    if dtype.kind not in "biufc" and dtype.name != "bfloat16":
        raise ValueError(f"Unsupported dtype {dtype}")


def spoil(host: np.ndarray) -> None:
    """Fill new memory with what nobody should read: nan, or large numbers."""
    if not host.size:
        return
    if host.dtype.kind in "fc" or host.dtype.name == "bfloat16":
        host.fill(np.nan)
    else:
        host.reshape(-1).view(np.uint8).fill(0x5B if host.dtype.kind != "b" else 1)


def index(shape: tuple[int, ...], key: Any) -> tuple[list[Any], list[int], bool]:
    """A key for NumPy, the axis that each part of it stands at, and whether it is a basic one."""
    from tensorlab.testing.strict._array import StrictArray

    parts = list(key) if isinstance(key, tuple) else [key]
    plain: list[Any] = []
    basic = True
    for part in parts:
        if isinstance(part, StrictArray):
            part = part._host
            basic = False
            if part.dtype.kind not in "biu":
                raise IndexError(
                    f"arrays used as indices must be of integer or boolean type. (actual: {part.dtype.type})"
                )
        elif isinstance(part, (list, tuple, np.ndarray, bool, np.bool_)):
            part = np.asarray(part)
            if not part.size:
                part = part.astype(np.int32)
            basic = False
        elif not (part is None or part is Ellipsis or isinstance(part, slice)):
            part = int(part)
        plain.append(part)
    if basic:
        return plain, [], True
    if any(isinstance(p, np.ndarray) and p.dtype.kind == "b" and p.ndim for p in plain):
        note_sync("indexing with a mask")
    used = sum(_axes(p) for p in plain)
    places = []
    axis = 0
    for part in plain:
        places.append(axis)
        axis += len(shape) - used if part is Ellipsis else _axes(part)
    return plain, [shape[a] if a < len(shape) else 0 for a in places], False


def _axes(part: Any) -> int:
    """How many axes one part of a key stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1


def wrapped(plain: list[Any], sizes: list[int]) -> tuple[Any, ...]:
    """The key with indices beyond the end wrapped around, as CuPy does instead of raising."""
    if not sizes:
        return tuple(plain)
    return tuple(
        part % size if isinstance(part, np.ndarray) and part.dtype.kind in "iu" and size else part
        for part, size in zip(plain, sizes, strict=True)
    )


def loop(types: list[str], args: list[Any], dtype: Any) -> tuple[str, str] | None:
    """The first of a ufunc's loops that takes the operands (or gives `dtype`), as CuPy chooses it."""
    for entry in types:
        ins, outs = entry.split("->")
        if dtype is not None:
            if outs == np.dtype(dtype).char * len(outs):
                return ins, outs
            continue
        if all(_fits(a, t) for a, t in zip(args, ins, strict=True)):
            return ins, outs
    return None


_RANK = {"b": 0, "i": 1, "u": 1, "f": 2, "V": 2, "c": 3}
_DTYPES: dict[str, np.dtype] = {}


def dtype_of_char(char: str) -> np.dtype:
    """The dtype that one letter of a ufunc's types stands for; "E" is bfloat16."""
    found = _DTYPES.get(char)
    if found is None:
        if char == "E":
            import ml_dtypes  # pyright: ignore[reportMissingImports]

            found = np.dtype(ml_dtypes.bfloat16)
        else:
            found = np.dtype(char)
        _DTYPES[char] = found
    return found


def _fits(value: Any, char: str) -> bool:
    """Whether an operand can go into a loop of this type: arrays safely, Python numbers by their kind."""
    to = _RANK["f"] if char == "E" else _RANK[np.dtype(char).kind]
    if isinstance(value, bool):
        return True
    if isinstance(value, (int, float, complex)) and not isinstance(value, np.generic):
        return to >= (1 if isinstance(value, int) else 2 if isinstance(value, float) else 3)
    kind = value.dtype
    if char == "E" and kind.name != "bfloat16" and kind.name not in ("bool", "int8", "uint8"):
        return False
    return np.can_cast(kind, dtype_of_char(char), "safe")
