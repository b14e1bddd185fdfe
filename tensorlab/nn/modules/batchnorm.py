"""Batch normalisation; the function is `nn.functional.batch_norm`."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn import init
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter
from tensorlab.ops.creation import empty, ones, zeros
from tensorlab.ops.from_data import tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]


class _NormBase(Module):
    """Parameters and running statistics of a normalisation with one of each per channel."""

    _version = 2
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any
    accepted: tuple[int, ...] = ()  # numbers of dimensions of an input

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            value = Parameter(empty(num_features, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, value)
        if track_running_stats:
            mean = zeros(num_features, device=device, dtype=dtype)
            var = ones(num_features, device=device, dtype=dtype)
            self.register_buffer("running_mean", mean)
            self.register_buffer("running_var", var)
            self.register_buffer("num_batches_tracked", tensor(0, device=device))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches seen: mean 0, variance 1."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget the batches seen, and set the weight to 1 and the bias to 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in self.accepted:
            wanted = " or ".join(f"{n}D" for n in self.accepted)
            raise ValueError(f"expected {wanted} input (got {input.dim()}D input)")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # Checkpoints of the first version have no count of batches: it stays as it is.
        key = f"{prefix}num_batches_tracked"
        first = (local_metadata.get("version") or 1) < 2
        if first and self.track_running_stats and key not in state_dict:
            state_dict[key] = self.num_batches_tracked
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class _BatchNorm(_NormBase):
    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        factor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain average of all batches
                factor = 1.0 / self.num_batches_tracked.item()
        noted = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if noted else None,
            self.running_var if noted else None,
            self.weight,
            self.bias,
            self.training or (self.running_mean is None and self.running_var is None),
            factor,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of `(N, C)` or `(N, C, L)`; see `BatchNorm2d`."""

    accepted = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Each channel of `(N, C, H, W)` shifted and scaled to mean 0 and variance 1, by the batch's statistics.

    In evaluation mode the running statistics, gathered while training, take their place.

    Args:
        num_features: the number of channels, C.
        eps: added to the variance.
        momentum: how far the running statistics move towards those of each batch; None for the plain
            average of all batches. (1 minus what other libraries call momentum.)
        affine: whether to learn a factor and a summand for each channel.
        track_running_stats: whether to keep running statistics; without them, evaluation too uses those
            of the batch.
        device, dtype: of parameters and buffers.
        bias: whether an affine layer has the summand.

    Attributes:
        weight, bias: `(C,)`, 1 and 0 at first; None if not `affine`.
        running_mean, running_var: `(C,)` buffers, 0 and 1 at first. The variance has n − 1 in its divisor;
            the one that batches are normalised by has n.
        num_batches_tracked: a buffer with the number of batches seen.

    Raises:
        ValueError: input of another number of dimensions, or a single value per channel in training.

    Source: S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing
    internal covariate shift", arXiv:1502.03167.

    >>> import tensorlab
    >>> layer = BatchNorm2d(3)
    >>> layer(tensorlab.rand(2, 3, 4, 4)).mean().abs().item() < 1e-5
    True
    >>> layer.num_batches_tracked
    tensor(1)
    """

    accepted = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of `(N, C, D, H, W)`; see `BatchNorm2d`."""

    accepted = (5,)
