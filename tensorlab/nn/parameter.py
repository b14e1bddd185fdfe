"""Tensors that a module owns: `Parameter` is trained, `Buffer` is only kept and saved."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tensorlab._dtypes import get_default_dtype
from tensorlab._tensor import Tensor, wrap
from tensorlab.utils._names import typename

__all__ = ["Buffer", "Parameter"]


class Parameter(Tensor):
    """A tensor that is a parameter of the module it is assigned to.

    Assigning a `Parameter` as an attribute of a `Module` registers it: it shows up in
    `parameters()`, in `state_dict()`, and moves with the module. A plain tensor does not, so
    that a module can keep a temporary (the last hidden state of an RNN) without training it.

    It shares memory with `data` and requires grad even when it is made under `no_grad`.

    Args:
        data: the values; an empty tensor if omitted.
        requires_grad: whether gradients are recorded; for integer data pass `False`.

    Raises:
        TypeError: `data` is not a tensor.
        RuntimeError: `requires_grad` and `data` is not floating point or complex.

    >>> import tensorlab
    >>> Parameter(tensorlab.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            array = np.empty(0, get_default_dtype().numpy)
        elif isinstance(data, Tensor):
            array = data._data
        else:
            raise TypeError(
                f"{cls.__name__} expected a tensorlab.Tensor as data, got {typename(data)}: "
                "make one with tensorlab.tensor(...) first"
            )
        out = wrap(array, cls)
        if data is not None:
            out._version_cell = (
                data._version_cell
            )  # same memory: one in-place write is seen by both
        out.requires_grad_(requires_grad)
        return out  # type: ignore[return-value]

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            out = wrap(self._data.copy(), type(self))
            memo[id(self)] = out
            out._requires_grad = self._requires_grad
            # As in PyTorch, a copied parameter starts without a gradient.
            out.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return memo[id(self)]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class _BufferMeta(type(Tensor)):
    """`isinstance(t, Buffer)` asks for the mark, not the class: a buffer is a plain tensor."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.__dict__.get("_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that is a buffer of the module it is assigned to: kept and saved, not trained.

    The running mean of a batch norm is one. Calling `Buffer` returns a plain tensor on the
    same memory, marked so that `Module.__setattr__` registers it.

    Args:
        data: the values; an empty tensor if omitted.
        persistent: whether it is part of the module's `state_dict`.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> m = nn.Module()
    >>> m.mean = Buffer(tensorlab.zeros(2), persistent=False)
    >>> list(m.named_buffers()), m.state_dict()
    ([('mean', tensor([0., 0.]))], OrderedDict())
    """

    __slots__ = ()

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Tensor:
        if data is None:
            data = wrap(np.empty(0, get_default_dtype().numpy))
        out = data.detach().requires_grad_(data.requires_grad)
        out.__dict__["persistent"] = persistent
        out.__dict__["_is_buffer"] = True
        return out
