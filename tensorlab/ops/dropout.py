"""Dropout: zeros at random while training, of single elements or of whole channels.

On the CPU the draws are PyTorch's for the same seed. For a CUDA tensor the default generator is asked for
one 64-bit key, and the device makes the numbers of that key itself: `philox_dropout`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab import _capturing, _random
from tensorlab._backend import NUMPY, backend_of, to_device
from tensorlab._op import Sample, op
from tensorlab._random import default_generator
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops.random import in_memory_order

# The limit −scale·alpha of `selu` for large negative numbers, which alpha dropout puts for zero.
_SELU_LIMIT = 1.7580993408473766


# On the device ----------------------------------------------------------------------------

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(xp: Any, key: Any, count: int) -> Any:
    """`count` random 32-bit words, in uint64: a function of their positions and of the 64-bit `key`.

    Philox4x32-10: ten rounds turn each counter, four words, into four random words.
    J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.2.

    >>> import numpy
    >>> [hex(word) for word in philox(numpy, 0, 4)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    key = np.uint64(key) if isinstance(key, int) else key
    key0, key1 = key & _WORD, key >> _HALF
    counters = xp.arange((count + 3) // 4, dtype=np.uint64)
    a, b = counters & _WORD, counters >> _HALF
    c = d = xp.zeros_like(counters)
    for _ in range(10):
        left, right = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b = (right >> _HALF) ^ b ^ key0, right & _WORD
        c, d = (left >> _HALF) ^ d ^ key1, left & _WORD
        key0 = (key0 + np.uint64(0x9E3779B9)) & _WORD
        key1 = (key1 + np.uint64(0xBB67AE85)) & _WORD
    return xp.stack([a, b, c, d], axis=1).reshape(-1)[:count]


def threshold(keep: float) -> int:
    """Words below this number are as likely as `keep`, of all 32-bit words.

    >>> threshold(0.5) == 2**31
    True
    """
    return round(keep * 2**32)


@op(
    samples=lambda r: [
        Sample(r(2, 3), 0.5, 2.0, 7), Sample(r(), 0.9, 1.0, 0), Sample(r(0, 2), 0.5, 2.0, 1), Sample(r(9), 0.0, 1.0, 2),
    ],
    torch="", result=None, node_name="NativeDropout",
)  # fmt: skip
def philox_dropout(xp, input, /, keep, scale, key):
    """Each element times `scale` with probability `keep`, else 0, by the random words of `key`.

    key: 64 bits; or an array of one uint64, for graphs that are captured.
    """
    kept = (philox(xp, key, input.size) < np.uint64(threshold(keep))).reshape(input.shape)
    wide = input.astype(np.float32) if input.dtype.itemsize < 4 else input
    return xp.where(kept, wide * wide.dtype.type(scale), wide.dtype.type(0)).astype(input.dtype)


# The same elements are dropped from the gradient: the words are made again, not kept.
philox_dropout.vjp(input=lambda g, keep, scale, key: philox_dropout(g, keep, scale, key))


def _key() -> Any:
    """The key of the next draw; of a graph that is being captured, where each replay finds a new one."""
    if _capturing.current is None:
        return _fresh_key()
    return _capturing.current.feed(np.uint64, 1, lambda: (_fresh_key(),))


def _fresh_key() -> int:
    return int(default_generator.words64(1)[0])


# Everywhere -------------------------------------------------------------------------------


def _drawn_shape(input: Tensor, features: bool) -> tuple[int, ...]:
    shape = input._data.shape
    if not features:
        return shape
    if len(shape) < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return shape[:2] + (1,) * (len(shape) - 2)


def _draw(input: Tensor, p: float, features: bool) -> np.ndarray:
    """What to keep: one draw for each element, or for each channel of each sample."""
    shape = _drawn_shape(input, features)
    kept = _random.bernoulli(default_generator, math.prod(shape), 1.0 - p)
    return kept.reshape(shape) if features else in_memory_order(kept, input._data)


def _noise(input: Tensor, p: float, features: bool) -> Tensor:
    """What to multiply by: 1 for elements that are kept, else 0."""
    if input.device.type == "cuda":
        shape = _drawn_shape(input, features)
        ones = backend_of(input._data).xp.ones(shape, input._data.dtype)
        return philox_dropout(wrap(ones), 1.0 - p, 1.0, _key())
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
    if input.device.type == "cuda" and not (inplace or features or alpha or input.is_complex()):
        return philox_dropout(input, 1.0 - p, 1.0 / (1.0 - p), _key())
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
