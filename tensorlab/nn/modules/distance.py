"""Distances and angles between vectors, as modules."""

from __future__ import annotations

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class PairwiseDistance(Module):
    """The p-norm of `x1 - x2 + eps` over the last dimension; see `functional.pairwise_distance`.

    Args:
        p: which norm.
        eps: added to each difference.
        keepdim: whether the last dimension stays, with size 1.

    >>> import tensorlab
    >>> PairwiseDistance()(tensorlab.tensor([[3.0, 0.0]]), tensorlab.tensor([[0.0, -4.0]]))
    tensor([5.0000])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along `dim`; see `functional.cosine_similarity`.

    Args:
        dim: the dimension in which the vectors lie.
        eps: least length, against division by zero.

    >>> import tensorlab
    >>> CosineSimilarity()(tensorlab.tensor([[1.0, 0.0]]), tensorlab.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
