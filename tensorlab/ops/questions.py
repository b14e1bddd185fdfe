"""Questions about tensors that have plain answers: is it one, of what kind, how large."""

from __future__ import annotations

from typing import Any

from tensorlab import _dtypes
from tensorlab._dtypes import dtype
from tensorlab._tensor import Tensor


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor.

    >>> import tensorlab
    >>> tensorlab.is_tensor([1, 2])
    False
    """
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is float16, bfloat16, float32 or float64.

    >>> import tensorlab
    >>> tensorlab.is_floating_point(tensorlab.tensor([1]))
    False
    """
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex64 or complex128.

    >>> import tensorlab
    >>> tensorlab.is_complex(tensorlab.tensor([1j]))
    True
    """
    return input.is_complex()


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not 0; `RuntimeError` unless there is exactly one.

    >>> import tensorlab
    >>> tensorlab.is_nonzero(tensorlab.tensor([0.0]))
    False
    """
    return bool(input)


def numel(input: Tensor) -> int:
    """The number of elements.

    >>> import tensorlab
    >>> tensorlab.numel(tensorlab.zeros(2, 3))
    6
    """
    return input.numel()


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype that arithmetic on the two, tensors or Python numbers, would give.

    >>> import tensorlab
    >>> tensorlab.result_type(tensorlab.tensor([1, 2]), 1.0)
    tensorlab.float32
    """
    dimensioned, zero_dim, numbers = [], [], []
    for x in (tensor1, tensor2):
        if isinstance(x, Tensor):
            (dimensioned if x.ndim else zero_dim).append(x.dtype)
        else:
            numbers.append(_dtypes.category_of_number(x))
    return _dtypes.result_dtype(dimensioned, zero_dim, numbers)


def typename(obj: Any) -> str:
    """The type's name: "tensorlab.FloatTensor" for a tensor.

    >>> import tensorlab
    >>> tensorlab.typename(tensorlab.ones(1))
    'tensorlab.FloatTensor'
    """
    return obj.type() if isinstance(obj, Tensor) else type(obj).__name__
