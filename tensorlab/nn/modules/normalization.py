"""Layer, group, root mean square and local response normalisation; functions: `nn.functional`."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn import init
from tensorlab.nn.functional.normalization import sums_of_squares
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter
from tensorlab.ops.creation import empty
from tensorlab.ops.joining import cat

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class _Affine(Module):
    """A normalisation with a factor and perhaps a summand, 1 and 0 at first."""

    weight: Parameter | None
    bias: Parameter | None

    def _make(self, shape: Any, weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        for name, wanted in (("weight", weight), ("bias", bias)):
            value = Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


def _shape(normalized_shape: Any) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class LayerNorm(_Affine):
    """The last dimensions of `(*, *normalized_shape)` shifted and scaled to mean 0 and variance 1.

    Args:
        normalized_shape: sizes of the dimensions that are normalised together; one number for the last.
        eps: added to the variance.
        elementwise_affine: whether to learn a factor and a summand for each element.
        bias: whether an affine layer has the summand.
        device, dtype: of the parameters.

    Source: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", arXiv:1607.06450.

    >>> import tensorlab
    >>> LayerNorm(2)(tensorlab.tensor([[1.0, 3.0]])).tolist()[0][1] > 0.9999
    True
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        with_bias = elementwise_affine and bias
        self._make(self.normalized_shape, elementwise_affine, with_bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(_Affine):
    """The channels of `(N, C, *)` in groups, each shifted and scaled to mean 0 and variance 1 in each image.

    Args:
        num_groups: number of groups; divides `num_channels`.
        num_channels: C.
        eps: added to the variance.
        affine: whether to learn a factor and a summand for each channel.
        device, dtype: of the parameters.
        bias: whether an affine layer has the summand.

    Raises:
        ValueError: `num_channels` is no multiple of `num_groups`.

    Source: Y. Wu, K. He, "Group normalization", arXiv:1803.08494.

    >>> import tensorlab
    >>> GroupNorm(3, 6)(tensorlab.zeros(2, 6, 4, 4)).shape
    tensorlab.Size([2, 6, 4, 4])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._make(num_channels, affine, affine and bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """The last dimensions of `(*, *normalized_shape)` divided by the root of the mean of their squares.

    Args:
        normalized_shape: sizes of the dimensions that are normalised together; one number for the last.
        eps: added to the mean of squares; the dtype's machine epsilon unless given.
        elementwise_affine: whether to learn a factor for each element.
        device, dtype: of the parameter.

    Source: B. Zhang, R. Sennrich, "Root mean square layer normalization", arXiv:1910.07467.

    >>> import tensorlab
    >>> RMSNorm(4, eps=0.0)(tensorlab.tensor([3.0, 4.0, 0.0, 0.0])).detach()
    tensor([1.2000, 1.6000, 0.0000, 0.0000])
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = empty(self.normalized_shape, device=device, dtype=dtype)
        self.register_parameter("weight", Parameter(weight) if elementwise_affine else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LocalResponseNorm(Module):
    """Each element of `(N, C, *)` divided by (k + alpha · mean of squares of the `size` channels around)ᵝ.

    Args:
        size: number of neighbouring channels.
        alpha, beta, k: see the formula.

    Source: A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet classification with deep
    convolutional neural networks", 2012, section 3.3.

    >>> import tensorlab
    >>> LocalResponseNorm(1, alpha=3.0, beta=0.5)(tensorlab.ones(1, 1, 1))
    tensor([[[0.5000]]])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(Module):
    """`LocalResponseNorm` of images `(N, C, H, W)` as Torch 7 had it; for models that were trained with it.

    It differs from `LocalResponseNorm` in two ways, which are PyTorch's: an even `size` counts one channel
    less, and the first channel counts for all channels behind its neighbours.

    Args:
        size: number of neighbouring channels.
        alpha, beta, k: see `LocalResponseNorm`.

    Raises:
        ValueError: input that is not 4-D.

    >>> import tensorlab
    >>> CrossMapLRN2d(1, alpha=3.0, beta=0.5)(tensorlab.ones(1, 1, 1, 1))
    tensor([[[[0.5000]]]])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Any) -> Tensor:
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        reach = (self.size - 1) // 2
        sums = sums_of_squares(input, reach, reach)
        if input.shape[1] > reach + 1:
            near, far = sums[:, : reach + 1], sums[:, reach + 1 :]
            sums = cat([near, far + input[:, :1] ** 2], 1)
        return input * (sums * (self.alpha / self.size) + self.k) ** -self.beta

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
