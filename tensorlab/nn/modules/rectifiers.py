"""Rectifiers as modules: the identity above zero, something flatter below."""

from __future__ import annotations

import warnings
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.init import constant_
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter
from tensorlab.ops.creation import empty

__all__ = [
    "CELU",
    "ELU",
    "Hardtanh",
    "LeakyReLU",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "Threshold",
]


class _InPlace(Module):
    """An activation that can overwrite its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def _settings(self) -> list[str]:
        return []

    def extra_repr(self) -> str:
        return ", ".join(self._settings() + ["inplace=True"] * self.inplace)


class ReLU(_InPlace):
    """The rectified linear unit `max(0, x)`.

    >>> import tensorlab
    >>> ReLU()(tensorlab.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, inplace=self.inplace)


class Threshold(_InPlace):
    """`x` above `threshold`, `value` in place of the others.

    >>> import tensorlab
    >>> Threshold(1.0, 20.0)(tensorlab.tensor([0.5, 2.0]))
    tensor([20.,  2.])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def _settings(self) -> list[str]:
        return [f"threshold={self.threshold}", f"value={self.value}"]


class Hardtanh(_InPlace):
    """`x` cut off below `min_val` and above `max_val`.

    (`min_value` and `max_value` are PyTorch's old names of them, with a warning.)

    >>> import tensorlab
    >>> Hardtanh()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__(inplace)
        for old, new, given in (
            ("min_value", "min_val", min_value),
            ("max_value", "max_val", max_value),
        ):
            if given is not None:
                warnings.warn(
                    f"keyword argument `{old}` is deprecated and renamed to `{new}`",
                    FutureWarning,
                    stacklevel=2,
                )
        min_val = min_val if min_value is None else min_value
        max_val = max_val if max_value is None else max_value
        if min_val >= max_val:
            raise AssertionError(f"min_val must be below max_val, got {min_val} and {max_val}")
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def _settings(self) -> list[str]:
        return [f"min_val={self.min_val}", f"max_val={self.max_val}"]


class ReLU6(Hardtanh):
    """`min(max(0, x), 6)`.

    >>> import tensorlab
    >>> ReLU6()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([0.0000, 0.5000, 4.0000])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def _settings(self) -> list[str]:
        return []


class LeakyReLU(_InPlace):
    """`x` above zero, `negative_slope · x` below.

    >>> import tensorlab
    >>> LeakyReLU(0.1)(tensorlab.tensor([-1.0, 2.0]))
    tensor([-0.1000,  2.0000])
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def _settings(self) -> list[str]:
        return [f"negative_slope={self.negative_slope}"]


class RReLU(_InPlace):
    """`x` above zero, and below it times a slope that is drawn anew for each element while training.

    In evaluation mode the slope is the mean of `lower` and `upper`.

    Args:
        lower, upper: bounds of the slope.
        inplace: overwrite the input.

    Source: B. Xu et al., "Empirical evaluation of rectified activations in convolutional
    network", arXiv:1505.00853.

    >>> import tensorlab
    >>> RReLU(0.25, 0.75).eval()(tensorlab.tensor([-4.0, 2.0]))
    tensor([-2.,  2.])
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__(inplace)
        self.lower = lower
        self.upper = upper

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def _settings(self) -> list[str]:
        return [f"lower={self.lower}", f"upper={self.upper}"]


class PReLU(Module):
    """`x` above zero, `weight · x` below, with weights that are learned: He et al., arXiv:1502.01852.

    Args:
        num_parameters: 1, or the number of channels (dimension 1 of the input).
        init: the weights at first.
        device, dtype: of the weights.

    >>> import tensorlab
    >>> PReLU()(tensorlab.tensor([-4.0, 2.0]))
    tensor([-1.,  2.], grad_fn=<PreluKernelBackward0>)
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weights to `init`."""
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(_InPlace):
    """`x` above zero, `alpha · (exp(x) - 1)` below: Clevert et al., arXiv:1511.07289.

    >>> import tensorlab
    >>> ELU()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.8647,  0.5000,  4.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def _settings(self) -> list[str]:
        return [f"alpha={self.alpha}"]


class CELU(_InPlace):
    """`x` above zero, `alpha · (exp(x / alpha) - 1)` below: Barron, arXiv:1704.07483.

    >>> import tensorlab
    >>> CELU()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.8647,  0.5000,  4.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)

    def _settings(self) -> list[str]:
        return [f"alpha={self.alpha}"]


class SELU(_InPlace):
    """`ELU` with the constants that keep mean 0 and variance 1: Klambauer et al., arXiv:1706.02515.

    Initialise the layers before it with `kaiming_normal_(nonlinearity="linear")`, and use
    `AlphaDropout` for dropout.

    >>> import tensorlab
    >>> SELU()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-1.5202,  0.5254,  4.2028])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)
