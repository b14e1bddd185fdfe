"""Tensors that a module owns: `Parameter` is trained, `Buffer` is only kept and saved.

Both have a form that has no size yet, for modules that learn their sizes from their first input.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tensorlab._backend import on_device_of
from tensorlab._dtypes import get_default_dtype
from tensorlab._tensor import Size, Tensor, wrap
from tensorlab.ops.creation import empty
from tensorlab.utils._names import typename

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


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
            with on_device_of(self._data):
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


class UninitializedTensorMixin:
    """A tensor without a size: only its dtype and device are known, in an empty `_sample`.

    It has no `_data`, so that whatever an operation wants of it ends in `__getattr__`.
    """

    __slots__ = ()
    cls_to_become: type[Tensor]
    requires_grad: bool
    _sample: Tensor

    def _start(self, requires_grad: bool, device: Any, dtype: Any) -> None:
        tensor: Any = self
        del tensor._data
        tensor._requires_grad = requires_grad
        tensor._sample = empty(0, device=device, dtype=dtype)

    def __getattr__(self, name: str) -> Any:
        if name == "_data":
            raise ValueError(
                f"Attempted to use an uninitialized parameter ({type(self).__name__}). This error happens when "
                "you are using a `LazyModule` or explicitly manipulating such objects. When using LazyModules "
                "Call `forward` with a dummy batch to initialize the parameters before using them"
            )
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or tensor of this shape, in place; its numbers are not set.

        Args:
            shape: its sizes.
            device, dtype: of the numbers; as they are unless given.
        """
        tensor: Any = self
        sample = self._sample
        del self._sample
        made = empty(
            tuple(shape),
            device=device or sample.device,
            dtype=sample.dtype if dtype is None else dtype,
        )
        tensor._data = made._data
        tensor.__class__ = self.cls_to_become

    @property
    def shape(self) -> Size:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call "
            "`forward` to initialize the parameters before accessing their attributes."
        )

    @property
    def dtype(self) -> Any:
        return self._sample.dtype

    @property
    def device(self) -> Any:
        return self._sample.device

    @property
    def data(self) -> Any:
        return self

    @data.setter
    def data(self, value: Any) -> None:
        self._sample = value._sample

    def is_floating_point(self) -> bool:
        return self._sample.is_floating_point()

    def is_complex(self) -> bool:
        return self._sample.is_complex()

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """One of another dtype or device, without a size too."""
        sample = self._sample.to(*args, **kwargs)
        return self._again(sample.device, sample.dtype)

    def _again(self, device: Any, dtype: Any) -> Any:
        return type(self)(self.requires_grad, device, dtype)  # type: ignore[call-arg]

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the "
            "parameters before calling `module.share_memory()`."
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = self._again(self.device, self.dtype)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.requires_grad, str(self.device), self.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def is_lazy(param: Any) -> bool:
    """Whether this is an `UninitializedParameter` or `UninitializedBuffer`."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]
    """A parameter whose size is not known yet; see `nn.LazyLinear`.

    It can be converted, moved, and made an ordinary parameter by `materialize`; nothing else.

    Args:
        requires_grad: whether gradients are recorded.
        device, dtype: of the numbers that it will have.

    Raises:
        ValueError: any use in an operation. RuntimeError: asked for its shape.

    >>> p = UninitializedParameter()
    >>> p
    <UninitializedParameter>
    >>> p.materialize((2, 3))
    >>> type(p).__name__, p.shape
    ('Parameter', tensorlab.Size([2, 3]))
    """

    __slots__ = ()
    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        out: Any = wrap(np.empty(0), cls)
        out._start(requires_grad, device, dtype)
        return out


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[misc]
    """A buffer whose size is not known yet; see `UninitializedParameter`.

    Args:
        requires_grad: whether gradients are recorded.
        device, dtype: of the numbers that it will have.
        persistent: whether it is part of the module's `state_dict`.
    """

    __slots__ = ()
    cls_to_become = Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        out: Any = wrap(np.empty(0), cls)
        out._start(requires_grad, device, dtype)
        out.__dict__["persistent"] = persistent
        out.__dict__["_is_buffer"] = True
        return out
