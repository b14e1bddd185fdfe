"""Dropout as a function."""

from __future__ import annotations

from tensorlab._tensor import Tensor
from tensorlab.ops.creation import ones_like
from tensorlab.ops.random import dropout as _dropout

__all__ = ["dropout"]


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeros with probability `p`, the other elements divided by `1 - p`; nothing unless `training`.

    Args:
        input: any shape.
        p: probability of a zero.
        training: whether to do anything.
        inplace: overwrite the input.

    Raises:
        ValueError: `p` is not a probability.
    """
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if inplace and training:
        # The same draw as out of place: a mask of 0 and 1 / (1 - p).
        return input.mul_(_dropout(ones_like(input), p, True))
    return _dropout(input, p, training)
