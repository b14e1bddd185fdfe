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
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


def _each(value: Any, dims: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims


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


class _MaxUnpool(Module):
    dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = _each(kernel_size, self.dims)
        self.stride = _each(stride if stride is not None else kernel_size, self.dims)
        self.padding = _each(padding, self.dims)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return getattr(F, f"max_unpool{self.dims}d")(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Undoes `MaxPool1d` of `(N, C, L)` or `(C, L)`; see `MaxUnpool2d`."""

    dims = 1


class MaxUnpool2d(_MaxUnpool):
    """What `MaxPool2d` took, put back to where it was; zeros elsewhere.

    Args:
        kernel_size, stride, padding: those of the pooling.

    `forward(input, indices, output_size=None)` takes the largest elements, `(N, C, H, W)` or `(C, H, W)`,
    their positions as `MaxPool2d(return_indices=True)` gives them, and the size of what was pooled where
    several sizes give the same.

    >>> import tensorlab
    >>> x = tensorlab.tensor([[[1.0, 2.0], [4.0, 3.0]]])
    >>> MaxUnpool2d(2)(*MaxPool2d(2, return_indices=True)(x))
    tensor([[[0., 0.],
             [4., 0.]]])
    """

    dims = 2


class MaxUnpool3d(_MaxUnpool):
    """Undoes `MaxPool3d` of `(N, C, D, H, W)` or `(C, D, H, W)`; see `MaxUnpool2d`."""

    dims = 3


class _FractionalMaxPool(Module):
    dims: int
    _random_samples: Any

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        self.kernel_size = _each(kernel_size, self.dims)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else _each(output_size, self.dims)
        self.output_ratio = None if output_ratio is None else _each(output_ratio, self.dims)
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{type(self).__name__} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"fractional_max_pool{self.dims}d")(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
            self._random_samples,
        )  # fmt: skip


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest element of windows at random steps of `(N, C, H, W)` or `(C, H, W)`.

    Args:
        kernel_size: size of the windows, one number or (height, width).
        output_size: how many windows, one number or (H', W'); or
        output_ratio: how many for each element of the input, between 0 and 1.
        return_indices: also return the flat position of each maximum in its channel.

    Raises:
        ValueError: not exactly one of `output_size` and `output_ratio`, or a ratio out of range.

    Source: B. Graham, "Fractional max-pooling", arXiv:1412.6071.

    >>> import tensorlab
    >>> FractionalMaxPool2d(2, output_ratio=0.7)(tensorlab.zeros(1, 3, 10, 10)).shape
    tensorlab.Size([1, 3, 7, 7])
    """

    dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest element of windows at random steps of `(N, C, D, H, W)`; see `FractionalMaxPool2d`."""

    dims = 3

    def __init__(self, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
        if not all(k > 0 for k in _each(kernel_size, self.dims)):
            raise ValueError(f"kernel_size must be greater than 0, but got {kernel_size}")
        super().__init__(kernel_size, *args, **kwargs)


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
        self.kernel_size = _each(kernel_size, 1)
        self.stride = _each(stride if stride is not None else kernel_size, 1)
        self.padding = _each(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


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
