"""Windows of images as columns and back; the functions are in `tensorlab.nn.functional`."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.module import Module

__all__ = ["Fold", "Unfold"]


class Fold(Module):
    """Columns `(N, C · window elements, windows)` added up to images `(N, C, H, W)`; N may be left out.

    Args:
        output_size: (H, W), or one number for both.
        kernel_size, dilation, padding, stride: those of the `Unfold` that it turns back.

    Where windows overlap, their elements are added: `Fold` undoes `Unfold` up to the number of windows
    that each element is in.

    >>> import tensorlab
    >>> Fold((2, 3), 2)(tensorlab.ones(1, 4, 2))
    tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])
    """

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Unfold(Module):
    """The windows of images `(N, C, H, W)` as columns `(N, C · window elements, windows)`; N may be left out.

    Args:
        kernel_size: size of a window, one number or (height, width).
        dilation: step between the elements of a window.
        padding: zeros added on both sides.
        stride: step from window to window.

    >>> import tensorlab
    >>> Unfold(3, padding=1)(tensorlab.zeros(2, 5, 8, 8)).shape
    tensorlab.Size([2, 45, 64])
    """

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )
