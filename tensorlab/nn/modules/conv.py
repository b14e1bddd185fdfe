"""Convolutions and transposed convolutions; the functions are in `tensorlab.nn.functional`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn import init
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter
from tensorlab.ops.creation import empty

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]

_MODES = ("zeros", "reflect", "replicate", "circular")


def _each(value: Any, dims: int) -> tuple[int, ...]:
    """One number for every dimension, given as one or as a sequence."""
    return tuple(value) if isinstance(value, Sequence) else (value,) * dims


class _ConvNd(Module):
    """What all convolutions share: parameters, their draws, and the printed form."""

    dims: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        transposed: bool,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError(f"groups must be a positive integer, got {groups}")
        if in_channels % groups:
            raise ValueError(f"in_channels must be divisible by groups: {in_channels} % {groups}")
        if out_channels % groups:
            raise ValueError(f"out_channels must be divisible by groups: {out_channels} % {groups}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _each(kernel_size, self.dims)
        self.stride = _each(stride, self.dims)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(
                    f"Invalid padding string {padding!r}, should be one of {{'same', 'valid'}}"
                )
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in _MODES:
            raise ValueError(
                f"padding_mode must be one of {_MODES}, but got padding_mode={padding_mode!r}"
            )
        self.padding = padding if isinstance(padding, str) else _each(padding, self.dims)
        self.dilation = _each(dilation, self.dims)
        self.transposed = transposed
        self.output_padding = _each(output_padding, self.dims)
        self.groups = groups
        self.padding_mode = padding_mode
        channels = (
            (in_channels, out_channels // groups)
            if transposed
            else (out_channels, in_channels // groups)
        )
        shape = (*channels, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        # a=√5 makes Kaiming's bound √(6 / ((1 + a²) fan_in)) equal 1/√fan_in.
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            if fan_in:
                init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def extra_repr(self) -> str:
        none, ones = (0,) * self.dims, (1,) * self.dims
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        shown.append(f"stride={self.stride}")
        shown += [f"padding={self.padding}"] * (self.padding != none)
        shown += [f"dilation={self.dilation}"] * (self.dilation != ones)
        shown += [f"output_padding={self.output_padding}"] * (self.output_padding != none)
        shown += [f"groups={self.groups}"] * (self.groups != 1)
        shown += ["bias=False"] * (self.bias is None)
        shown += [f"padding_mode={self.padding_mode}"] * (self.padding_mode != "zeros")
        return ", ".join(shown)


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: str | int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, False, 0, groups,
            bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _sides(self) -> list[int]:
        """The padding as `F.pad` takes it: both sides, last dimension first."""
        if self.padding == "valid":
            return [0] * 2 * self.dims
        if isinstance(self.padding, str):
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [n for t in reversed(totals) for n in (t // 2, t - t // 2)]
        return [p for p in reversed(self.padding) for _ in range(2)]

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._sides(), mode=self.padding_mode)
            padding = 0
        conv = getattr(F, f"conv{self.dims}d")
        return conv(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    r"""A convolution of signals, `(N, C_in, L)` or `(C_in, L)`: see `functional.conv1d`.

    Args:
        in_channels, out_channels: numbers of channels.
        kernel_size, stride, padding, dilation: see `Conv2d`, for one dimension.
        groups, bias, padding_mode, device, dtype: see `Conv2d`.

    >>> import tensorlab
    >>> Conv1d(2, 4, kernel_size=3)(tensorlab.zeros(1, 2, 10)).shape
    tensorlab.Size([1, 4, 8])
    """

    dims = 1


class Conv2d(_Conv):
    r"""A convolution of images: each output channel is a filter's match with every window.

    Args:
        in_channels: channels of the input, `C_in`.
        out_channels: channels of the output, `C_out`: the number of filters.
        kernel_size: height and width of a filter, one number for both or a tuple.
        stride: step from window to window.
        padding: what is added on all sides, "same" (the output has the input's size; stride 1 only)
            or "valid" (nothing).
        dilation: step between the elements of a window.
        groups: the channels are split into so many groups, which do not see each other; with
            `groups=in_channels` every channel has its own filters ("depthwise").
        bias: whether to add a number per output channel.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device, dtype: of the parameters.

    Shapes:
        input `(N, C_in, H, W)` or `(C_in, H, W)`, output `(N, C_out, H', W')` or `(C_out, H', W')`
        with `H' = ⌊(H + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1`.

    Attributes:
        weight: `(C_out, C_in / groups, *kernel_size)`, uniform in ±1/√fan_in, where fan_in is the
            number of weights of one filter.
        bias: `(C_out,)`, from the same range; None if `bias=False`.

    Raises:
        ValueError: parameters that do not fit each other.

    Source: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    >>> import tensorlab
    >>> layer = Conv2d(1, 8, kernel_size=3, padding=1)
    >>> layer(tensorlab.zeros(5, 1, 28, 28)).shape
    tensorlab.Size([5, 8, 28, 28])
    >>> layer
    Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    """

    dims = 2


class Conv3d(_Conv):
    r"""A convolution of volumes, `(N, C_in, D, H, W)` or `(C_in, D, H, W)`: see `functional.conv3d`.

    Args:
        in_channels, out_channels: numbers of channels.
        kernel_size, stride, padding, dilation: see `Conv2d`, for three dimensions.
        groups, bias, padding_mode, device, dtype: see `Conv2d`.
    """

    dims = 3


class _ConvTranspose(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, True,
            output_padding, groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            extra = self._output_padding(input, list(output_size))
        conv = getattr(F, f"conv_transpose{self.dims}d")
        return conv(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
            self.dilation,
        )  # fmt: skip

    def _output_padding(self, input: Tensor, size: list[int]) -> tuple[int, ...]:
        """The output padding that gives this size, which several sizes of a strided convolution share."""
        lead = input.dim() - self.dims
        if len(size) == input.dim():
            size = size[lead:]
        if len(size) != self.dims:
            raise ValueError(
                f"ConvTranspose{self.dims}D: for {input.dim()}D input, output_size must have {self.dims} "
                f"or {input.dim()} elements (got {len(size)})"
            )
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, k, d in zip(
                input.shape[lead:],
                self.stride,
                _each(self.padding, self.dims),
                self.kernel_size,
                self.dilation,
                strict=True,
            )
        ]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
        if any(not a <= n <= b for n, a, b in zip(size, least, most, strict=True)):
            raise ValueError(
                f"requested an output size of {tuple(size)}, but valid sizes range from {least} to {most} "
                f"(for an input of {input.shape[lead:]})"
            )
        return tuple(n - a for n, a in zip(size, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    r"""The transposed convolution of signals: see `ConvTranspose2d`.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias,
        dilation, padding_mode, device, dtype: as there, for one dimension.
    """

    dims = 1


class ConvTranspose2d(_ConvTranspose):
    r"""The transposed convolution of images, which makes them larger where a convolution makes them smaller.

    Args:
        in_channels, out_channels: numbers of channels, `C_in` and `C_out`.
        kernel_size, stride, padding, dilation: those of the convolution that this is the transpose of.
        output_padding: added to the output's size on one side; smaller than stride or dilation.
        groups: the channels are split into so many groups, which do not see each other.
        bias: whether to add a number per output channel.
        padding_mode: only "zeros".
        device, dtype: of the parameters.

    `forward(input, output_size)` chooses the output padding that gives this size.

    Shapes:
        input `(N, C_in, H, W)` or `(C_in, H, W)`, output `(N, C_out, H', W')` or `(C_out, H', W')` with
        `H' = (H − 1)·stride − 2·padding + dilation·(kernel_size − 1) + output_padding + 1`.

    Attributes:
        weight: `(C_in, C_out / groups, *kernel_size)`, uniform in ±1/√n for n elements of `weight[0]`.
        bias: `(C_out,)`, from the same range; None if `bias=False`.

    Raises:
        ValueError: parameters that do not fit each other, or an output size out of reach.

    >>> import tensorlab
    >>> ConvTranspose2d(8, 1, kernel_size=2, stride=2)(tensorlab.zeros(5, 8, 14, 14)).shape
    tensorlab.Size([5, 1, 28, 28])
    """

    dims = 2


class ConvTranspose3d(_ConvTranspose):
    r"""The transposed convolution of volumes: see `ConvTranspose2d`.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias,
        dilation, padding_mode, device, dtype: as there, for three dimensions.
    """

    dims = 3
