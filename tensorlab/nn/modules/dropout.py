"""Dropout: zeros at random while training."""

from __future__ import annotations

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.module import Module

__all__ = ["Dropout"]


class _Dropout(Module):
    """What all dropout modules share: the probability, and whether to work in place."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training mode, sets each element to zero with probability `p` and divides the others by `1 - p`.

    The division keeps the expected value, so in evaluation mode the input passes unchanged.

    Args:
        p: probability of a zero.
        inplace: change the input itself.

    Raises:
        ValueError: `p` is not a probability.

    Source: G. E. Hinton et al., "Improving neural networks by preventing co-adaptation of
    feature detectors", arXiv:1207.0580.

    >>> import tensorlab
    >>> layer = Dropout(0.5)
    >>> layer.eval()(tensorlab.ones(3))
    tensor([1., 1., 1.])
    >>> sorted(set(layer.train()(tensorlab.ones(100)).tolist()))
    [0.0, 2.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)
