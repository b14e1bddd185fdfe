"""Dropout: zeros at random while training, of single elements or of whole channels.

The draws are PyTorch's for the same seed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab import _random
from tensorlab._backend import NUMPY, to_device
from tensorlab._random import default_generator
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops.random import in_memory_order

# The limit −scale·alpha of `selu` for large negative numbers, which alpha dropout puts for zero.
_SELU_LIMIT = 1.7580993408473766


def _draw(input: Tensor, p: float, features: bool) -> np.ndarray:
    """What to keep: one draw for each element, or for each channel of each sample."""
    shape = input._data.shape
    if features:
        if len(shape) < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        shape = shape[:2] + (1,) * (len(shape) - 2)
    kept = _random.bernoulli(default_generator, math.prod(shape), 1.0 - p)
    return kept.reshape(shape) if features else in_memory_order(kept, input._data)


def _noise(input: Tensor, p: float, features: bool) -> Tensor:
    kept = _draw(input, p, features).astype(input._data.dtype)
    return wrap(kept if input.device.type == NUMPY.kind else to_device(kept, input.device))


def _dropped(
    input: Any, p: float, train: bool, inplace: bool, features: bool, alpha: bool
) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    if p == 0.0 or not train or input.numel() == 0:
        return input
    times = input.mul_ if inplace else input.mul
    if p == 1.0:
        return times(0.0)
    if not input.dtype.is_floating_point and not input.dtype.is_complex:
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {input.dtype}: "
            "dropout is for floating-point tensors, convert with .float()"
        )
    noise: Any = _noise(input, p, features)
    if not alpha:
        return times(noise.div_(1.0 - p))
    # Dropped elements become the limit of selu; then a line brings mean and variance back.
    scale = 1.0 / math.sqrt((_SELU_LIMIT**2 * p + 1) * (1 - p))
    shift = noise.add(-1).mul_(_SELU_LIMIT * scale).add_(_SELU_LIMIT * scale * p)
    return times(noise.mul_(scale)).add_(shift)


def dropout(input: Tensor, p: float = 0.5, train: bool = True) -> Tensor:
    """Zero each element with probability `p` and divide the rest by 1 − p, if `train`; else `input` itself.

    The division keeps the expectation, so evaluation needs no change (N. Srivastava et al.,
    "Dropout", JMLR 15, 2014, in the inverted form).

    >>> import tensorlab
    >>> tensorlab.dropout(tensorlab.ones(2), p=0.5, train=False)
    tensor([1., 1.])
    """
    return _dropped(input, p, train, False, features=False, alpha=False)


def dropout_(input: Tensor, p: float = 0.5, train: bool = True) -> Tensor:
    """`dropout` in place."""
    return _dropped(input, p, train, True, features=False, alpha=False)


def feature_dropout(input: Tensor, p: float = 0.5, train: bool = True) -> Tensor:
    """`dropout` of whole channels: (N, C, …) is zeroed or kept for each sample and channel.

    Source: J. Tompson et al., "Efficient object localization using convolutional networks",
    arXiv:1411.4280.

    >>> import tensorlab
    >>> out = feature_dropout(tensorlab.ones(1, 1, 2), 0.5)
    >>> bool((out[0, 0, 0] == out[0, 0, 1]).all())
    True
    """
    return _dropped(input, p, train, False, features=True, alpha=False)


def feature_dropout_(input: Tensor, p: float = 0.5, train: bool = True) -> Tensor:
    """`feature_dropout` in place."""
    return _dropped(input, p, train, True, features=True, alpha=False)


def alpha_dropout(input: Tensor, p: float = 0.5, train: bool = False) -> Tensor:
    """Dropout for `selu` networks: keeps mean 0 and variance 1, if `train`; else `input` itself.

    Dropped elements take the value that selu has far below zero.

    Source: G. Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515.

    >>> import tensorlab
    >>> alpha_dropout(tensorlab.ones(2), 0.5)
    tensor([1., 1.])
    """
    return _dropped(input, p, train, False, features=False, alpha=True)


def alpha_dropout_(input: Tensor, p: float = 0.5, train: bool = False) -> Tensor:
    """`alpha_dropout` in place."""
    return _dropped(input, p, train, True, features=False, alpha=True)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, train: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, …).

    >>> import tensorlab
    >>> feature_alpha_dropout(tensorlab.ones(1, 2), 0.5)
    tensor([[1., 1.]])
    """
    return _dropped(input, p, train, False, features=True, alpha=True)


def feature_alpha_dropout_(input: Tensor, p: float = 0.5, train: bool = False) -> Tensor:
    """`feature_alpha_dropout` in place."""
    return _dropped(input, p, train, True, features=True, alpha=True)
