"""Nonlinear functions as modules; the functions themselves are in `tensorlab.nn.functional`.

(Those that are the identity above zero are made in `rectifiers`.)
"""

from __future__ import annotations

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.attention import MultiheadAttention
from tensorlab.nn.modules.module import Module
from tensorlab.nn.modules.rectifiers import (
    CELU,
    ELU,
    SELU,
    Hardtanh,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Threshold,
    _InPlace,
)

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class SiLU(_InPlace):
    """`x · sigmoid(x)`, also called swish.

    >>> import tensorlab
    >>> SiLU()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.2384,  0.3112,  3.9281])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, inplace=self.inplace)


class Mish(_InPlace):
    """`x · tanh(softplus(x))`: Misra, arXiv:1908.08681.

    >>> import tensorlab
    >>> Mish()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.2525,  0.3752,  3.9974])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, inplace=self.inplace)


class Hardsigmoid(_InPlace):
    """`x / 6 + 1 / 2` limited to [0, 1], a cheap sigmoid.

    >>> import tensorlab
    >>> Hardsigmoid()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([0.1667, 0.5833, 1.0000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Hardswish(_InPlace):
    """`x · hardsigmoid(x)`, a cheap swish: Howard et al., arXiv:1905.02244.

    >>> import tensorlab
    >>> Hardswish()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.3333,  0.2917,  4.0000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class GELU(Module):
    """`x · Φ(x)` with the normal distribution function Φ: Hendrycks, Gimpel, arXiv:1606.08415.

    Args:
        approximate: "none", or "tanh" for the cheaper formula with a hyperbolic tangent.

    >>> import tensorlab
    >>> GELU()(tensorlab.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Tanh(Module):
    """The hyperbolic tangent, from -1 to 1.

    >>> import tensorlab
    >>> Tanh()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.9640,  0.4621,  0.9993])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Sigmoid(Module):
    """The logistic function `1 / (1 + exp(-x))`, from 0 to 1.

    >>> import tensorlab
    >>> Sigmoid()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([0.1192, 0.6225, 0.9820])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class LogSigmoid(Module):
    """The logarithm of the sigmoid, without overflow.

    >>> import tensorlab
    >>> LogSigmoid()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-2.1269, -0.4741, -0.0181])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Softplus(Module):
    """`log(1 + exp(beta · x)) / beta`, a smooth ReLU; `x` itself where `beta · x > threshold`.

    >>> import tensorlab
    >>> Softplus()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([0.1269, 0.9741, 4.0181])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class _Shrink(Module):
    """What the shrinking activations share: the half width of the interval that gives 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    """0 from `-lambd` to `lambd`, and `x` itself outside.

    >>> import tensorlab
    >>> Hardshrink()(tensorlab.tensor([-1.0, 0.3, 2.0]))
    tensor([-1.,  0.,  2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """`x` moved towards 0 by `lambd`, and 0 where that would pass it.

    >>> import tensorlab
    >>> Softshrink()(tensorlab.tensor([-1.0, 0.3, 2.0]))
    tensor([-0.5000,  0.0000,  1.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)


class Softsign(Module):
    """`x / (1 + |x|)`, from -1 to 1.

    >>> import tensorlab
    >>> Softsign()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-0.6667,  0.3333,  0.8000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(Module):
    """`x - tanh(x)`.

    >>> import tensorlab
    >>> Tanhshrink()(tensorlab.tensor([-2.0, 0.5, 4.0]))
    tensor([-1.0360,  0.0379,  3.0007])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class GLU(Module):
    """The first half of `x` along `dim`, times the sigmoid of the second: Dauphin et al., arXiv:1612.08083.

    >>> import tensorlab
    >>> GLU()(tensorlab.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5000, 1.0000])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class _AlongDim(Module):
    """A function of the numbers along one dimension."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """`exp(x)` divided by its sum along `dim`: positive numbers that add up to 1.

    Give `dim`: without it a guess is made, with a warning, as in PyTorch.

    >>> import tensorlab
    >>> Softmax(dim=-1)(tensorlab.tensor([0.0, 0.0]))
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmin(_AlongDim):
    """The softmax of `-x`.

    >>> import tensorlab
    >>> Softmin(dim=0)(tensorlab.tensor([1.0, 2.0, 3.0]))
    tensor([0.6652, 0.2447, 0.0900])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim, _stacklevel=5)


class LogSoftmax(_AlongDim):
    """The logarithm of the softmax, more exact than the two in turn.

    >>> import tensorlab
    >>> LogSoftmax(dim=0)(tensorlab.tensor([0.0, -1000.0]))
    tensor([    0., -1000.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """The softmax over the channels at every position of `(N, C, H, W)` or `(C, H, W)`.

    >>> import tensorlab
    >>> Softmax2d()(tensorlab.zeros(1, 4, 2, 2)).sum(1)
    tensor([[[1., 1.],
             [1., 1.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() not in (3, 4):
            raise ValueError(
                f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead"
            )
        return F.softmax(input, -3)
