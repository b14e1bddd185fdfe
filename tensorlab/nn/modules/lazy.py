"""Modules that learn the size of their input from the first one that they see."""

from __future__ import annotations

from itertools import chain
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn.modules.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d, _NormBase
from tensorlab.nn.modules.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    _ConvNd,
)
from tensorlab.nn.modules.instancenorm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from tensorlab.nn.modules.linear import Linear
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
    "LazyModuleMixin",
]


class LazyModuleMixin(Module):
    """What a module needs to learn its sizes from its first input.

    Derive from it and from the ordinary module: make the parameters `UninitializedParameter`s and write
    `initialize_parameters`, which gets the arguments of the first call. Make an optimizer after that call: only
    then is it known what it trains.

    Attributes:
        cls_to_become: the class that the module takes on with its first call; None to stay as it is.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> layer = nn.LazyLinear(2)
    >>> layer
    LazyLinear(in_features=0, out_features=2, bias=True)
    >>> _ = layer(tensorlab.ones(4, 3))
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    """

    cls_to_become: type[Module] | None = None
    _prepared = False

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give all parameters their sizes and first values, from the arguments of the first call."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this module has no size yet."""
        return any(map(is_lazy, chain(self._parameters.values(), self._buffers.values())))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._prepared:
            self.initialize_parameters(*args, **kwargs)
            if self.has_uninitialized_params():
                raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
            if self.cls_to_become is not None:
                self.__class__ = self.cls_to_become  # type: ignore[assignment]
                return self(*args, **kwargs)
            self._prepared = True
        return super().__call__(*args, **kwargs)

    def reset_parameters(self) -> None:
        """Draw the parameters anew; nothing while they have no size."""
        names = ("in_features", "in_channels", "num_features")
        if not self.has_uninitialized_params() and any(getattr(self, n, 0) for n in names):
            super().reset_parameters()  # type: ignore[misc]

    def _unsize(self, device: Any, dtype: Any) -> None:
        """Take the sizes from all parameters and buffers that hang on them."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._parameters[name] = UninitializedParameter(device=device, dtype=dtype)
        for name in ("running_mean", "running_var"):
            if self._buffers.get(name) is not None:
                self._buffers[name] = UninitializedBuffer(device=device, dtype=dtype)


class LazyLinear(LazyModuleMixin, Linear):
    """`Linear` that takes `in_features` from its first input.

    Args:
        out_features, bias, device, dtype: see `Linear`.
    """

    cls_to_become = Linear

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(0, out_features, bias, device, dtype)
        self._unsize(device, dtype)

    def initialize_parameters(self, input: Tensor) -> None:
        if self.has_uninitialized_params():
            self.in_features = input.shape[-1]
            self.weight.materialize((self.out_features, self.in_features))  # type: ignore[attr-defined]
            if self.bias is not None:
                self.bias.materialize((self.out_features,))  # type: ignore[attr-defined]
            self.reset_parameters()
        self.in_features = self.weight.shape[-1]


class _LazyConvNd(LazyModuleMixin, _ConvNd):
    """What lazy convolutions share; each is a convolution too, whose `__init__` and `forward` it has."""

    def __init__(
        self, out_channels: int, *args: Any, device: Any = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(0, out_channels, *args, device=device, dtype=dtype, **kwargs)
        self._unsize(device, dtype)

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        if self.has_uninitialized_params():
            self.in_channels = self._channels_of(input)
            if self.in_channels % self.groups:
                raise ValueError(
                    f"in_channels must be divisible by groups: {self.in_channels} % {self.groups}"
                )
            inputs, outputs = self.in_channels, self.out_channels
            lead = (
                (inputs, outputs // self.groups)
                if self.transposed
                else (outputs, inputs // self.groups)
            )
            self.weight.materialize((*lead, *self.kernel_size))  # type: ignore[attr-defined]
            if self.bias is not None:
                self.bias.materialize((outputs,))  # type: ignore[attr-defined]
            self.reset_parameters()
        elif self.in_channels == 0:  # the parameters were loaded
            self.in_channels = (
                self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups
            )

    def _channels_of(self, input: Tensor) -> int:
        if input.dim() not in (self.dims + 1, self.dims + 2):
            raise RuntimeError(
                f"Expected {self.dims + 1}D (unbatched) or {self.dims + 2}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {input.shape}"
            )
        return input.shape[-self.dims - 1]


class _LazyConv(_LazyConvNd):
    def __init__(
        self,
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
            out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            device=device, dtype=dtype,
        )  # fmt: skip


class LazyConv1d(_LazyConv, Conv1d):
    """`Conv1d` that takes `in_channels` from its first input.

    Args:
        out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype:
            see `Conv1d`.
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """`Conv2d` that takes `in_channels` from its first input.

    Args:
        out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype:
            see `Conv2d`.

    >>> import tensorlab
    >>> layer = LazyConv2d(8, kernel_size=3)
    >>> layer(tensorlab.zeros(1, 3, 5, 5)).shape
    tensorlab.Size([1, 8, 3, 3])
    >>> layer
    Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """`Conv3d` that takes `in_channels` from its first input.

    Args:
        out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype:
            see `Conv3d`.
    """

    cls_to_become = Conv3d


class _LazyConvTranspose(_LazyConvNd):
    def __init__(
        self,
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
        super().__init__(
            out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation,
            padding_mode, device=device, dtype=dtype,
        )  # fmt: skip


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """`ConvTranspose1d` that takes `in_channels` from its first input.

    Args:
        out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode,
            device, dtype: see `ConvTranspose1d`.
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """`ConvTranspose2d` that takes `in_channels` from its first input.

    Args:
        out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode,
            device, dtype: see `ConvTranspose2d`.
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """`ConvTranspose3d` that takes `in_channels` from its first input.

    Args:
        out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode,
            device, dtype: see `ConvTranspose3d`.
    """

    cls_to_become = ConvTranspose3d


class _LazyNorm(LazyModuleMixin, _NormBase):
    """What lazy normalisations share; each is a normalisation too."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)  # type: ignore[call-arg]
        self._unsize(device, dtype)

    def initialize_parameters(self, input: Tensor) -> None:
        if self.has_uninitialized_params():
            self._check_input_dim(input)
            unbatched = isinstance(self, (InstanceNorm1d, InstanceNorm2d, InstanceNorm3d))
            dim = input.dim() - self.accepted[0] if unbatched else 1
            self.num_features = input.shape[dim]
            for value in chain(self._parameters.values(), self._buffers.values()):
                if is_lazy(value):
                    value.materialize((self.num_features,))  # type: ignore[union-attr]
            self.reset_parameters()
        elif self.num_features == 0:  # the parameters were loaded, or there are none
            known = (v for v in (self.weight, self.running_mean) if v is not None)
            self.num_features = next((v.shape[0] for v in known), 0)


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """`BatchNorm1d` that takes `num_features` from its first input.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: see `BatchNorm2d`.
    """

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """`BatchNorm2d` that takes `num_features` from its first input.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: see `BatchNorm2d`.
    """

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """`BatchNorm3d` that takes `num_features` from its first input.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: see `BatchNorm2d`.
    """

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """`InstanceNorm1d`, affine and with running statistics, that takes `num_features` from its first input.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: see `InstanceNorm2d`.
    """

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """`InstanceNorm2d`, affine and with running statistics, that takes `num_features` from its first input.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: see `InstanceNorm2d`.
    """

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """`InstanceNorm3d`, affine and with running statistics, that takes `num_features` from its first input.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: see `InstanceNorm2d`.
    """

    cls_to_become = InstanceNorm3d
