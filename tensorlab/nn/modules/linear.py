"""Affine maps."""

from __future__ import annotations

import math
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn import init
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter
from tensorlab.ops.creation import empty

__all__ = ["Bilinear", "Identity", "Linear"]


class Identity(Module):
    """Returns its input; a stand-in for a layer that is left out. Any arguments are ignored.

    >>> import tensorlab
    >>> Identity(54, unused="yes")(tensorlab.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    r"""The affine map `y = x Wᵀ + b`.

    Args:
        in_features: size of the last dimension of the input.
        out_features: size of the last dimension of the output.
        bias: whether to add `b`.
        device, dtype: of the parameters.

    Shapes:
        input `(*, in_features)`, output `(*, out_features)`, with any leading dimensions.

    Attributes:
        weight: `(out_features, in_features)`, drawn uniformly from ±1/√in_features.
        bias: `(out_features,)`, from the same range; None if `bias=False`.

    >>> import tensorlab
    >>> layer = Linear(3, 2)
    >>> layer(tensorlab.zeros(5, 3)).shape
    tensorlab.Size([5, 2])
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty((out_features, in_features), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        # a=√5 makes Kaiming's bound √(6 / ((1 + a²) fan_in)) equal 1/√fan_in.
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class NonDynamicallyQuantizableLinear(Linear):
    """`Linear` under the name that PyTorch prints for the output projection of `MultiheadAttention`."""


class Bilinear(Module):
    r"""The bilinear map `yₖ = x₁ᵀ Aₖ x₂ + bₖ`.

    Args:
        in1_features, in2_features: sizes of the last dimensions of the two inputs.
        out_features: size of the last dimension of the output.
        bias: whether to add `b`.
        device, dtype: of the parameters.

    Shapes:
        inputs `(*, in1_features)` and `(*, in2_features)` with the same leading dimensions,
        output `(*, out_features)`.

    Attributes:
        weight: `(out_features, in1_features, in2_features)`, uniform in ±1/√in1_features.
        bias: `(out_features,)`, from the same range; None if `bias=False`.

    >>> import tensorlab
    >>> Bilinear(3, 4, 2)(tensorlab.zeros(5, 3), tensorlab.zeros(5, 4)).shape
    tensorlab.Size([5, 2])
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.weight.size(1))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
