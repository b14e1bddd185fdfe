"""Moving a module to another device or floating-point type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from tensorlab._backend import Device
from tensorlab._dtypes import dtype as DType
from tensorlab._dtypes import float16, float32, float64, load_bfloat16
from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.ops.creation import empty_like
from tensorlab.utils._names import typename

if TYPE_CHECKING:
    from tensorlab.nn.parameter import Parameter

__all__ = ["Conversion"]

Self = TypeVar("Self", bound="Conversion")


class Conversion:
    """The part of `Module` that changes where its numbers live and how they are stored."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    children: Callable[[], Iterator[Any]]

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the numbers of every parameter, its gradient and every buffer by `fn(tensor)`.

        Parameters stay the same objects, so an optimizer that holds them goes on working.
        """
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            grad = param.grad
            with no_grad():
                param.data = fn(param)
                if grad is not None:
                    grad.data = fn(grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move the module to a device, or its floating-point numbers to a dtype, in place.

        `to(device=None, dtype=None, non_blocking=False)`, `to(dtype)`, `to(tensor)`: the last
        takes both from a tensor. Integer parameters and buffers keep their dtype. `memory_format` is
        accepted for PyTorch's sake; it says how numbers lie in memory, never what they are, and here
        they stay as they are.

        Raises:
            TypeError: `dtype` is an integer type, or an argument is none of the above.

        >>> from tensorlab import nn
        >>> import tensorlab
        >>> nn.Linear(3, 2).to(tensorlab.float64).weight.dtype
        tensorlab.float64
        """
        device, dtype = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )

        def convert(tensor: Tensor) -> Tensor:
            changes: dict[str, Any] = {}
            if device is not None:
                changes["device"] = device
            if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()):
                changes["dtype"] = dtype
            return tensor.to(**changes) if changes else tensor

        return self._apply(convert)

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Move the module to a device without its numbers: they are whatever is in memory there."""
        return self._apply(lambda tensor: empty_like(tensor, device=device), recurse=recurse)

    def cpu(self: Self) -> Self:
        """Move the module to main memory."""
        return self.to(device="cpu")

    def cuda(self: Self, device: int | Device | None = None) -> Self:
        """Move the module to a CUDA device: the current one, or number `device`."""
        return self.to(device="cuda" if device is None else device)

    def bfloat16(self: Self) -> Self:
        """Make all floating-point numbers bfloat16."""
        return self.to(dtype=load_bfloat16().bfloat16)

    def half(self: Self) -> Self:
        """Make all floating-point numbers float16."""
        return self.to(dtype=float16)

    def float(self: Self) -> Self:
        """Make all floating-point numbers float32."""
        return self.to(dtype=float32)

    def double(self: Self) -> Self:
        """Make all floating-point numbers float64."""
        return self.to(dtype=float64)

    def share_memory(self: Self) -> Self:
        """Move all parameters and buffers to memory that other processes can share; see `Tensor.share_memory_`."""
        return self._apply(lambda tensor: tensor.share_memory_())

    def type(self: Self, dst_type: DType) -> Self:
        """Make all parameters and buffers `dst_type`, integers included."""
        return self._apply(lambda tensor: tensor.to(dst_type))


def _parse_to(
    *args: Any,
    device: Any = None,
    dtype: DType | None = None,
    tensor: Tensor | None = None,
    non_blocking: bool = False,
    memory_format: Any = None,
) -> tuple[Device | None, DType | None]:
    """The device and dtype that the arguments of `Module.to` ask for."""
    for arg in args:
        if isinstance(arg, Tensor):
            tensor = arg
        elif isinstance(arg, DType):
            dtype = arg
        elif isinstance(arg, (str, Device)) or (isinstance(arg, int) and not isinstance(arg, bool)):
            device = arg
        elif arg is not None and not isinstance(arg, bool):
            raise TypeError(
                "to() received an invalid combination of arguments: expected a device, a dtype or "
                f"a tensor, got {typename(arg)}"
            )
    if tensor is not None:
        device, dtype = tensor.device, tensor.dtype
    if dtype is not None and not isinstance(dtype, DType):
        raise TypeError(f"to(): dtype must be a tensorlab dtype, got {typename(dtype)}")
    return (None if device is None else Device(device)), dtype
