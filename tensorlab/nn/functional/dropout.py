"""Dropout as a function: of elements, of whole channels, and for self-normalising networks."""

from __future__ import annotations

import warnings
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.ops import dropout as ops

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeros with probability `p`, the other elements divided by `1 - p`; nothing unless `training`.

    Args:
        input: any shape.
        p: probability of a zero.
        training: whether to do anything.
        inplace: overwrite the input.

    Raises:
        ValueError: `p` is not a probability.

    >>> import tensorlab
    >>> dropout(tensorlab.ones(2), training=False)
    tensor([1., 1.])
    """
    _check(p)
    return (ops.dropout_ if inplace else ops.dropout)(input, p, training)


def _channels(
    name: str, input: Any, p: float, training: bool, inplace: bool, batched: int | None
) -> Tensor:
    """Dropout of channels; with `batched` dimensions there is a batch, with one less there is none."""
    alone = batched is not None and input.dim() != batched
    if alone:
        input = input.unsqueeze_(0) if inplace else input.unsqueeze(0)
    out: Any = (ops.feature_dropout_ if inplace else ops.feature_dropout)(input, p, training)
    if alone:
        out = out.squeeze_(0) if inplace else out.squeeze(0)
    return out


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of `(N, C, L)` or `(C, L)` with probability `p`, and scales the others.

    Args, errors: see `dropout`; `RuntimeError` for another number of dimensions.

    >>> import tensorlab
    >>> out = dropout1d(tensorlab.ones(2, 3, 4))
    >>> bool((out == out[:, :, :1]).all())  # each channel is zero or not
    True
    """
    _check(p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _channels("dropout1d", input, p, training, inplace, 3)


def _warn(name: str, got: int, spatial: int) -> None:
    dims = f"{spatial + 1}D or {spatial + 2}D"
    warnings.warn(
        f"{name}: Received a {got}-D input to {name}, which is deprecated and will result in an error "
        "in a future release. To retain the behavior and silence this warning, please use dropout "
        f"instead. Note that {name} exists to provide channel-wise dropout on inputs with {spatial} "
        f"spatial dimensions, a channel dimension, and an optional batch dimension (i.e. {dims} inputs).",
        stacklevel=3,
    )


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of `(N, C, H, W)` with probability `p`, and scales the others.

    A trap kept from PyTorch: an input with 3 dimensions is taken for `(N, C, L)`, with a warning,
    and not for a single image. Other numbers of dimensions give a warning, too.

    Args, errors: see `dropout`.

    >>> import tensorlab
    >>> out = dropout2d(tensorlab.ones(2, 3, 4, 4))
    >>> bool((out == out[:, :, :1, :1]).all())
    True
    """
    _check(p)
    if input.dim() not in (3, 4):
        _warn("dropout2d", input.dim(), 2)
    if input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one without "
            "a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise dropout "
            "behavior, please switch to using dropout1d instead.",
            stacklevel=2,
        )
    return _channels("dropout2d", input, p, training, inplace, None)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of `(N, C, D, H, W)` or `(C, D, H, W)` with probability `p`, and scales the others.

    Other numbers of dimensions give a warning. Args, errors: see `dropout`.

    >>> import tensorlab
    >>> out = dropout3d(tensorlab.ones(2, 3, 4, 4, 4))
    >>> bool((out == out[:, :, :1, :1, :1]).all())
    True
    """
    _check(p)
    if input.dim() not in (4, 5):
        _warn("dropout3d", input.dim(), 3)
    return _channels("dropout3d", input, p, training, inplace, 5)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean 0 and variance 1 in networks of `selu`: Klambauer et al., arXiv:1706.02515.

    Args, errors: see `dropout`; `training` is False unless given.

    >>> import tensorlab
    >>> alpha_dropout(tensorlab.ones(2), training=False)
    tensor([1., 1.])
    """
    _check(p)
    return (ops.alpha_dropout_ if inplace else ops.alpha_dropout)(input, p, training)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels of `(N, C, …)`.

    >>> import tensorlab
    >>> feature_alpha_dropout(tensorlab.ones(1, 2), training=False)
    tensor([[1., 1.]])
    """
    _check(p)
    dropped = ops.feature_alpha_dropout_ if inplace else ops.feature_alpha_dropout
    return dropped(input, p, training)
