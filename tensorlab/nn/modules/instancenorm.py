"""Instance normalisation; the function is `nn.functional.instance_norm`."""

from __future__ import annotations

import warnings
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.batchnorm import _NormBase

__all__ = ["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


class _InstanceNorm(_NormBase):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        unbatched = self.accepted[0]
        dim = input.dim() - unbatched
        if input.size(dim) != self.num_features:
            found = f"input's size at dim={dim} to match num_features ({self.num_features})"
            if self.affine:
                raise ValueError(f"expected {found}, but got: {input.size(dim)}.")
            warnings.warn(
                f"input's size at dim={dim} does not match num_features. You can silence this warning by "
                "not passing in num_features, which is not used because affine=False",
                stacklevel=2,
            )
        images = input.unsqueeze(0) if input.dim() == unbatched else input
        out = F.instance_norm(
            images,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return out.squeeze(0) if images is not input else out


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of `(N, C, L)` or `(C, L)`; see `InstanceNorm2d`."""

    accepted = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Each channel of each image of `(N, C, H, W)` or `(C, H, W)` shifted and scaled to mean 0 and variance 1.

    Args:
        num_features: the number of channels, C.
        eps: added to the variance.
        momentum: how far the running statistics move towards those of each batch.
        affine: whether to learn a factor and a summand for each channel.
        track_running_stats: whether to keep running statistics and use them in evaluation.
        device, dtype: of parameters and buffers.
        bias: whether an affine layer has the summand.

    Raises:
        ValueError: input of another number of dimensions, of another number of channels than an affine
            layer's, or with a single position.

    Source: D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization: the missing ingredient for fast
    stylization", arXiv:1607.08022.

    >>> import tensorlab
    >>> InstanceNorm1d(1)(tensorlab.tensor([[[1.0, 3.0]]]))
    tensor([[[-1.0000,  1.0000]]])
    """

    accepted = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of `(N, C, D, H, W)` or `(C, D, H, W)`; see `InstanceNorm2d`."""

    accepted = (4, 5)
