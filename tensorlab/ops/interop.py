"""Numbers in and out: NumPy's protocols, DLPack, buffers, and Python's unary operators.

NumPy may stand on either side of an operator, and its functions of each element (`np.exp(x)`)
give tensors. There is no `__array_interface__`, as there is none in PyTorch: NumPy would keep the
tensor alive but read an address, and the tensor may have got other memory since (`x.data = …`).
`__array__` hands out an array, which keeps its memory alive itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab._backend import Device, backend_for
from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import OPS
from tensorlab._storage import UntypedStorage
from tensorlab._tensor import Tensor, wrap

__all__ = ["UntypedStorage", "from_dlpack", "frombuffer", "to_dlpack"]

_CUDA = 2  # DLPack's number of the device type


def _array_wrap(
    self: Tensor, array: Any, context: Any = None, return_scalar: bool = False
) -> Tensor:
    """What NumPy calls with the result of a function of arrays: `np.exp(x)` is a tensor.

    Questions such as `np.isnan(x)` give bool, where PyTorch gives uint8.
    """
    array = np.asarray(array)
    from_numpy_dtype(array.dtype)
    return wrap(array)


class _Capsule:
    """A bare DLPack capsule with the methods that NumPy asks for."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the memory of any array that speaks DLPack: PyTorch's, JAX's, CuPy's, NumPy's.

    source: an object with `__dlpack__`, or a capsule on the CPU (each can be used once).

    Raises `RuntimeError` for anything else, and `BufferError` where the other library refuses.

    >>> import numpy, tensorlab
    >>> tensorlab.from_dlpack(numpy.ones(2))
    tensor([1., 1.], dtype=tensorlab.float64)
    """
    if type(source).__name__ == "PyCapsule":
        source = _Capsule(source)
    if not hasattr(source, "__dlpack__"):
        raise RuntimeError(
            "from_dlpack() expected an object with __dlpack__ or a DLPack capsule, "
            f"got {type(source).__name__}"
        )
    kind, index = source.__dlpack_device__()
    xp = backend_for(Device("cuda", int(index))).xp if int(kind) == _CUDA else np
    array = xp.from_dlpack(source)
    from_numpy_dtype(array.dtype)
    return wrap(array)


def to_dlpack(tensor: Tensor) -> Any:
    """The memory of `tensor` as a DLPack capsule, for libraries that want one."""
    return tensor.__dlpack__()


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-dim tensor on the memory of a `bytearray`, `array.array`, `mmap` or other buffer.

    dtype: of the elements, in the machine's byte order. count: how many; -1 for all there are.
    offset: where to begin, in bytes.

    Raises `ValueError` if the buffer is empty, or too short, or no whole number of elements.

    >>> import tensorlab
    >>> tensorlab.frombuffer(bytearray([1, 0, 2, 0]), dtype=tensorlab.int16)
    tensor([1, 2], dtype=tensorlab.int16)
    """
    to = _dtypes.as_dtype(dtype)
    try:
        size = memoryview(buffer).nbytes
    except TypeError:
        raise ValueError(
            f"object does not implement Python buffer protocol: got {type(buffer).__name__}"
        ) from None
    if size == 0 or count == 0:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({size} bytes) minus 1"
        )
    if count < 0 and (size - offset) % to.itemsize:
        raise ValueError(
            f"buffer length ({size - offset} bytes) after offset ({offset} bytes) must be a multiple "
            f"of element size ({to.itemsize})"
        )
    if count > 0 and offset + count * to.itemsize > size:
        raise ValueError(
            f"requested buffer length ({count} * {to.itemsize} bytes) after offset ({offset} bytes) must "
            f"not be greater than actual buffer length ({size} bytes)"
        )
    out = wrap(np.frombuffer(buffer, to.numpy, count, offset))
    return out.requires_grad_() if requires_grad else out


def _positive(self: Tensor) -> Tensor:
    """`+x`: x itself, which must hold numbers."""
    if self._data.dtype == np.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return self


def _reversed(self: Tensor) -> Tensor:
    """`reversed(x)`: x with its first dimension in reverse order; a 0-dim tensor is itself."""
    return OPS["flip"].call(self, (0,)) if self.ndim else self


Tensor.__array_wrap__ = _array_wrap  # type: ignore[attr-defined]
Tensor.__pos__ = _positive  # type: ignore[attr-defined]
Tensor.__reversed__ = _reversed  # type: ignore[attr-defined]
