"""Pooling layers; the functions are in `tensorlab.nn.functional`."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]


class _MaxPool(Module):
    dims: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"max_pool{self.dims}d")(
            input, self.kernel_size, self.stride, self.padding, self.dilation,
            ceil_mode=self.ceil_mode, return_indices=self.return_indices,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest element of every window of `(N, C, L)` or `(C, L)`; see `MaxPool2d`."""

    dims = 1


class MaxPool2d(_MaxPool):
    """The largest element of every window of `(N, C, H, W)` or `(C, H, W)`.

    Args:
        kernel_size: size of the window, one number or one per dimension.
        stride: step from window to window; `kernel_size` unless given.
        padding: −∞ added on all sides, at most half of `kernel_size`.
        dilation: step between the elements of a window.
        return_indices: also return the flat position of each maximum in its channel.
        ceil_mode: whether a window may stick out at the end.

    >>> import tensorlab
    >>> MaxPool2d(2)(tensorlab.zeros(1, 3, 8, 6)).shape
    tensorlab.Size([1, 3, 4, 3])
    """

    dims = 2


class MaxPool3d(_MaxPool):
    """The largest element of every window of `(N, C, D, H, W)` or `(C, D, H, W)`; see `MaxPool2d`."""

    dims = 3


class AvgPool1d(Module):
    """The average of every window of `(N, C, L)` or `(C, L)`.

    Args:
        kernel_size, stride, padding, ceil_mode, count_include_pad: see `AvgPool2d`.
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _single(kernel_size)
        self.stride = _single(stride if stride is not None else kernel_size)
        self.padding = _single(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def _single(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


class _AvgPool(Module):
    dims: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return getattr(F, f"avg_pool{self.dims}d")(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The average of every window of `(N, C, H, W)` or `(C, H, W)`.

    Args:
        kernel_size: size of the window, one number or one per dimension.
        stride: step from window to window; `kernel_size` unless given.
        padding: zeros added on all sides, at most half of `kernel_size`.
        ceil_mode: whether a window may stick out at the end.
        count_include_pad: whether the padding counts as elements of a window.
        divisor_override: divide the sum of a window by this number instead.

    >>> import tensorlab
    >>> AvgPool2d(2)(tensorlab.ones(1, 1, 2, 4))
    tensor([[[[1., 1.]]]])
    """

    dims = 2


class AvgPool3d(_AvgPool):
    """The average of every window of `(N, C, D, H, W)` or `(C, D, H, W)`; see `AvgPool2d`."""

    dims = 3


class _LPPool(Module):
    dims: int

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return getattr(F, f"lp_pool{self.dims}d")(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norm of every window of `(N, C, L)` or `(C, L)`; see `LPPool2d`."""

    dims = 1


class LPPool2d(_LPPool):
    """The p-norm of every window of `(N, C, H, W)` or `(C, H, W)`: `(Σ xᵖ)^(1/p)`.

    Args:
        norm_type: p, not 0: 1 gives sums, large numbers nearly the maximum.
        kernel_size: size of the window, one number or one per dimension.
        stride: step from window to window; `kernel_size` unless given.
        ceil_mode: whether a window may stick out at the end.

    >>> import tensorlab
    >>> LPPool2d(2, 2)(tensorlab.ones(1, 1, 2, 2))
    tensor([[[[2.]]]])
    """

    dims = 2


class LPPool3d(_LPPool):
    """The p-norm of every window of `(N, C, D, H, W)` or `(C, D, H, W)`; see `LPPool2d`."""

    dims = 3


class _AdaptiveAvgPool(Module):
    dims: int

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return getattr(F, f"adaptive_avg_pool{self.dims}d")(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The averages of `output_size` parts of `(N, C, L)` or `(C, L)`; see `AdaptiveAvgPool2d`."""

    dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The averages of `output_size` parts of `(N, C, H, W)` or `(C, H, W)`, whatever H and W are.

    Args:
        output_size: how many parts, one number or `(H', W')`; None keeps the input's size.

    >>> import tensorlab
    >>> AdaptiveAvgPool2d(1)(tensorlab.zeros(2, 8, 7, 9)).shape
    tensorlab.Size([2, 8, 1, 1])
    """

    dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The averages of `output_size` parts of `(N, C, D, H, W)`; see `AdaptiveAvgPool2d`."""

    dims = 3


class _AdaptiveMaxPool(Module):
    dims: int

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"adaptive_max_pool{self.dims}d")(
            input, self.output_size, self.return_indices
        )

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest element of `output_size` parts of `(N, C, L)`; see `AdaptiveMaxPool2d`."""

    dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest element of `output_size` parts of `(N, C, H, W)`, whatever H and W are.

    Args:
        output_size: how many parts, one number or `(H', W')`; None keeps the input's size.
        return_indices: also return the flat position of each maximum in its channel.

    >>> import tensorlab
    >>> AdaptiveMaxPool2d((2, None))(tensorlab.zeros(2, 8, 7, 9)).shape
    tensorlab.Size([2, 8, 2, 9])
    """

    dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest element of `output_size` parts of `(N, C, D, H, W)`; see `AdaptiveMaxPool2d`."""

    dims = 3
