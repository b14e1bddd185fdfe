"""Padding layers; the function is `nn.functional.pad`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.module import Module

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d",
    "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d",
    "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d",
    "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    """Elements added on both sides of the last `dims` dimensions."""

    dims: int
    mode = "constant"
    value: float = 0.0

    def __init__(self, padding: Any) -> None:
        super().__init__()
        many = isinstance(padding, Iterable)
        self.padding = tuple(padding) if many else (padding,) * (2 * self.dims)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        least = self.dims + 1
        if input.dim() not in (least, least + 1):
            raise ValueError(f"expected {least}D or {least + 1}D input (got {input.dim()}D input)")
        return super().forward(input)


class ConstantPad1d(_ConstantPad):
    """`value` added on both sides of the last dimension.

    Args:
        padding: (left, right), or one number for both; negative numbers cut off.
        value: what is added.

    >>> import tensorlab
    >>> ConstantPad1d((1, 2), 7.0)(tensorlab.zeros(1, 2))
    tensor([[7., 0., 0., 7., 7.]])
    """

    dims = 1


class ConstantPad2d(_ConstantPad):
    """`value` added around images, `(*, H, W)`.

    Args:
        padding: (left, right, top, bottom), or one number for all; negative numbers cut off.
        value: what is added.
    """

    dims = 2


class ConstantPad3d(_ConstantPad):
    """`value` added around volumes, `(*, D, H, W)`.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.
        value: what is added.
    """

    dims = 3


class ZeroPad1d(_ZeroPad, ConstantPad1d):
    """Zeros added on both sides of the last dimension.

    Args:
        padding: (left, right), or one number for both; negative numbers cut off.

    >>> import tensorlab
    >>> ZeroPad1d(1)(tensorlab.ones(1, 2))
    tensor([[0., 1., 1., 0.]])
    """

    dims = 1


class ZeroPad2d(_ZeroPad, ConstantPad2d):
    """Zeros added around images, `(*, H, W)`.

    Args:
        padding: (left, right, top, bottom), or one number for all; negative numbers cut off.
    """

    dims = 2


class ZeroPad3d(_ZeroPad, ConstantPad3d):
    """Zeros added around volumes, `(*, D, H, W)`.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all; negative numbers cut off.
    """

    dims = 3


class ReflectionPad1d(_ReflectionPad):
    """The elements mirrored at the edges, which are not repeated, added on both sides of the last dimension.

    Args:
        padding: (left, right), or one number for both, less than the size.

    >>> import tensorlab
    >>> ReflectionPad1d(1)(tensorlab.tensor([[1, 2, 3]]))
    tensor([[2, 1, 2, 3, 2]])
    """

    dims = 1


class ReflectionPad2d(_ReflectionPad):
    """The elements mirrored at the edges, which are not repeated, added around images, `(*, H, W)`.

    Args:
        padding: (left, right, top, bottom), or one number for all, less than the size.
    """

    dims = 2


class ReflectionPad3d(_ReflectionPad):
    """The elements mirrored at the edges, which are not repeated, added around volumes, `(*, D, H, W)`.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all, less than the size.
    """

    dims = 3


class ReplicationPad1d(_ReplicationPad):
    """The elements at the edges repeated on both sides of the last dimension.

    Args:
        padding: (left, right), or one number for both.

    >>> import tensorlab
    >>> ReplicationPad1d(1)(tensorlab.tensor([[1, 2, 3]]))
    tensor([[1, 1, 2, 3, 3]])
    """

    dims = 1


class ReplicationPad2d(_ReplicationPad):
    """The elements at the edges repeated around images, `(*, H, W)`.

    Args:
        padding: (left, right, top, bottom), or one number for all.
    """

    dims = 2


class ReplicationPad3d(_ReplicationPad):
    """The elements at the edges repeated around volumes, `(*, D, H, W)`.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.
    """

    dims = 3


class CircularPad1d(_CircularPad):
    """The elements of the other end added on both sides of the last dimension.

    Args:
        padding: (left, right), or one number for both, at most the size.

    >>> import tensorlab
    >>> CircularPad1d(1)(tensorlab.tensor([[1, 2, 3]]))
    tensor([[3, 1, 2, 3, 1]])
    """

    dims = 1


class CircularPad2d(_CircularPad):
    """The elements of the other end added around images, `(*, H, W)`.

    Args:
        padding: (left, right, top, bottom), or one number for all, at most the size.

    Raises:
        ValueError: input of another number of dimensions than 3 or 4.
    """

    dims = 2


class CircularPad3d(_CircularPad):
    """The elements of the other end added around volumes, `(*, D, H, W)`.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all, at most the size.

    Raises:
        ValueError: input of another number of dimensions than 4 or 5.
    """

    dims = 3
