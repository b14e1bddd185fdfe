"""Normalisation functions with PyTorch's signatures; the operations are in `tensorlab.ops.normalization`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tensorlab._dtypes import finfo
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import no_grad
from tensorlab.ops import normalization as ops
from tensorlab.ops.functions import rsqrt
from tensorlab.ops.padding import pad
from tensorlab.ops.pool import avg_pool

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "rms_norm",
]


def _check_channels(count: int, **tensors: Any) -> None:
    for name, t in tensors.items():
        if t is not None and t.numel() != count:
            raise RuntimeError(f"{name} should contain {count} elements not {t.numel()}")


@no_grad()
def _keep_running(
    running_mean: Any, running_var: Any, mean: Any, var: Any, momentum: float
) -> None:
    """Move the running statistics towards these (the variance with n − 1)."""
    for running, value in ((running_mean, mean), (running_var, var)):
        if running is not None:
            running.mul_(1 - momentum).add_(value.to(running.dtype), alpha=momentum)


def _by_statistics(input: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Normalised by given statistics, in one multiplication and one addition per element."""
    scale = rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    shape = ops.channels(tuple(input.shape))
    return (input * scale.reshape(shape) + shift.reshape(shape)).to(input.dtype)


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel shifted and scaled to mean 0 and variance 1, then scaled by `weight`, shifted by `bias`.

    Args:
        input: `(N, C, *)`.
        running_mean, running_var: `(C,)`, changed in place while training and used otherwise; or None.
        weight, bias: `(C,)` or None.
        training: whether to use (and note) the statistics of this batch.
        momentum: how far the running statistics move towards those of the batch.
        eps: added to the variance.

    Raises:
        ValueError: training with a single value per channel.
        RuntimeError: a parameter of another size than C, or no running statistics in evaluation.

    Source: S. Ioffe, C. Szegedy, "Batch normalization", arXiv:1502.03167.

    >>> import tensorlab
    >>> batch_norm(tensorlab.tensor([[1.0], [3.0]]), None, None, training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    shape = tuple(input.shape)
    if len(shape) < 2:
        raise RuntimeError(f"batch_norm expects input (N, C, …), got shape {list(shape)}")
    _check_channels(
        shape[1], running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if training:
        if input.numel() == shape[1]:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {input.shape}"
            )
        known = ops.batch_moments(input._data)
        if running_mean is not None or running_var is not None:
            count = input.numel() // max(shape[1], 1)
            mean, var = (wrap(m.reshape(-1)) for m in known)
            unbiased = var * (count / max(count - 1, 1))
            _keep_running(running_mean, running_var, mean, unbiased, momentum)
        return ops.native_batch_norm(input, weight, bias, None, eps, known)
    for name, t in (("running_mean", running_mean), ("running_var", running_var)):
        if t is None:
            raise RuntimeError(f"{name} must be defined in evaluation mode")
    return _by_statistics(input, running_mean, running_var, weight, bias, eps)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each image shifted and scaled to mean 0 and variance 1.

    Args:
        input: `(N, C, *)`.
        running_mean, running_var: `(C,)`, averages over the batch of the images' statistics; or None.
        weight, bias: `(C,)` or None.
        use_input_stats: whether to use (and note) each image's own statistics.
        momentum, eps: see `batch_norm`.

    Raises:
        ValueError: a single position.
        RuntimeError: a parameter of another size than C, or no running statistics where they are used.

    Source: D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization", arXiv:1607.08022.
    """
    shape = tuple(input.shape)
    if len(shape) < 2:
        raise RuntimeError(f"instance_norm expects input (N, C, …), got shape {list(shape)}")
    _check_channels(
        shape[1], running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined")
        return _by_statistics(input, running_mean, running_var, weight, bias, eps)
    if math.prod(shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    if running_mean is not None or running_var is not None:
        dims = tuple(range(2, len(shape)))
        mean, var = (m.mean(0) for m in (input.detach().mean(dims), input.detach().var(dims)))
        _keep_running(running_mean, running_var, mean, var, momentum)
    return ops.native_group_norm(input, weight, bias, shape[1], eps)


def _normalized_shape(input: Any, normalized_shape: Any, **tensors: Any) -> tuple[int, ...]:
    shape = (
        tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    )
    if not shape:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional")
    for name, t in tensors.items():
        if t is not None and tuple(t.shape) != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(t.shape)} and normalized_shape = {list(shape)}"
            )
    if tuple(input.shape[-len(shape) :]) != shape or input.ndim < len(shape):
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    return shape


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """The last dimensions shifted and scaled, together, to mean 0 and variance 1.

    Args:
        input: `(*, *normalized_shape)`.
        normalized_shape: sizes of the dimensions that are normalised together.
        weight, bias: of this shape, or None: a factor and a summand of each element.
        eps: added to the variance.

    Raises:
        RuntimeError: shapes that do not fit.

    Source: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", arXiv:1607.06450.

    >>> import tensorlab
    >>> layer_norm(tensorlab.tensor([[1.0, 3.0]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    shape = _normalized_shape(input, normalized_shape, weight=weight, bias=bias)
    return ops.native_layer_norm(input, weight, bias, shape, eps)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """The channels in groups, each shifted and scaled to mean 0 and variance 1 in each image.

    Args:
        input: `(N, C, *)`.
        num_groups: number of groups; divides C.
        weight, bias: `(C,)` or None.
        eps: added to the variance.

    Raises:
        RuntimeError: sizes that do not fit.
        ValueError: a single value per group.

    Source: Y. Wu, K. He, "Group normalization", arXiv:1803.08494.

    >>> import tensorlab
    >>> group_norm(tensorlab.tensor([[1.0, 3.0, 0.0, 4.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    shape = tuple(input.shape)
    if len(shape) < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {len(shape)}"
        )
    if num_groups <= 0 or shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(shape)} and num_groups={num_groups}"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != shape[1:2]:
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got "
                f"{name} of shape {list(t.shape)} and input of shape {list(shape)}"
            )
    if shape[0] * shape[1] // num_groups * math.prod(shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {list(shape)}"
        )
    return ops.native_group_norm(input, weight, bias, num_groups, eps)


def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Tensor:
    """The last dimensions divided by the root of the mean of their squares, then multiplied by `weight`.

    Args:
        input: `(*, *normalized_shape)`.
        normalized_shape: sizes of the dimensions that are normalised together.
        weight: of this shape, or None.
        eps: added to the mean of squares; the dtype's machine epsilon unless given.

    Raises:
        RuntimeError: shapes that do not fit.

    Source: B. Zhang, R. Sennrich, "Root mean square layer normalization", arXiv:1910.07467.

    >>> import tensorlab
    >>> rms_norm(tensorlab.tensor([[3.0, 4.0, 0.0, 0.0]]), (4,))
    tensor([[1.2000, 1.6000, 0.0000, 0.0000]])
    """
    shape = _normalized_shape(input, normalized_shape, weight=weight)
    return ops.fused_rms_norm(input, weight, shape, finfo(input.dtype).eps if eps is None else eps)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Each element divided by (k + alpha · mean of squares of the `size` channels around)ᵝ.

    Args:
        input: `(N, C, *)` with at least one more dimension.
        size: number of neighbouring channels.
        alpha, beta, k: see the formula.

    Raises:
        ValueError: fewer than 3 dimensions.

    Source: A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet classification with deep
    convolutional neural networks", 2012, section 3.3.
    """
    if input.dim() < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)"
        )
    if input.numel() == 0:
        return input
    means = sums_of_squares(input, size // 2, (size - 1) // 2) / size
    return input / (means * alpha + k) ** beta


def sums_of_squares(input: Any, before: int, after: int) -> Any:
    """For each element of `(N, C, *)`, the sum of squares of the channels around it, so many on each side."""
    shape = tuple(input.shape)
    squares = (input * input).reshape(shape[0], shape[1], math.prod(shape[2:]))
    squares = pad(squares, (0, 0, before, after))
    window = (before + 1 + after, 1)
    return avg_pool(squares, window, (1, 1), (0, 0), False, True, 1).reshape(shape)
