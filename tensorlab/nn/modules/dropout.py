"""Dropout: zeros at random while training."""

from __future__ import annotations

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.module import Module

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _DropoutNd(Module):
    """What all dropout modules share: the probability, and whether to work in place."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
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


class Dropout1d(_DropoutNd):
    """`Dropout` of whole channels of `(N, C, L)` or `(C, L)`.

    Neighbours in a channel are so alike that zeroing single ones would hide nothing: J. Tompson et
    al., "Efficient object localization using convolutional networks", arXiv:1411.4280.

    >>> import tensorlab
    >>> out = Dropout1d(0.5)(tensorlab.ones(8, 4))
    >>> bool((out == out[:, :1]).all())
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """`Dropout` of whole channels of `(N, C, H, W)`; see `Dropout1d`.

    As in PyTorch, 3 dimensions are taken for `(N, C, L)`, with a warning.

    >>> import tensorlab
    >>> out = Dropout2d()(tensorlab.ones(2, 3, 4, 4))
    >>> bool((out == out[:, :, :1, :1]).all())
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """`Dropout` of whole channels of `(N, C, D, H, W)` or `(C, D, H, W)`; see `Dropout1d`.

    >>> import tensorlab
    >>> out = Dropout3d()(tensorlab.ones(2, 3, 4, 4, 4))
    >>> bool((out == out[:, :, :1, :1, :1]).all())
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout for networks of `SELU`: in training mode it keeps mean 0 and variance 1.

    Dropped elements take the value that SELU has far below zero; then all are scaled and shifted.
    (`inplace` is only shown, as in PyTorch.)

    Source: G. Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515.

    >>> import tensorlab
    >>> AlphaDropout(0.5).eval()(tensorlab.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """`AlphaDropout` of whole channels of `(N, C, …)`.

    >>> import tensorlab
    >>> FeatureAlphaDropout().eval()(tensorlab.ones(1, 2))
    tensor([[1., 1.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training)
