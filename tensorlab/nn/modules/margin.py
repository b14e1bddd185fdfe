"""Losses that ask for a margin, as modules; the functions are in `tensorlab.nn.functional.margin`."""

from __future__ import annotations

from collections.abc import Callable

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules._losses import _Loss, _WeightedLoss
from tensorlab.nn.modules.distance import PairwiseDistance

__all__ = [
    "CosineEmbeddingLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class SoftMarginLoss(_Loss):
    """`log(1 + exp(-target · input))` for targets -1 and 1; see `functional.soft_margin_loss`.

    >>> import tensorlab
    >>> SoftMarginLoss()(tensorlab.tensor([0.0]), tensorlab.tensor([1.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """The hinge loss of classes; see `functional.multi_margin_loss`.

    Args:
        p: 1, or 2 for squares.
        margin: by how much the right class should lead.
        weight: `(C,)`, a factor for each right class.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: another p, or weights of more than one dimension.

    >>> import tensorlab
    >>> MultiMarginLoss()(tensorlab.tensor([[0.1, 0.2, 0.4, 0.8]]), tensorlab.tensor([3]))
    tensor(0.3250)
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError(f"only p == 1 and p == 2 supported, got {p}")
        if weight is not None and weight.dim() != 1:
            raise ValueError(
                f"MultiMarginLoss: expected weight to be None or 1D tensor, got {weight.dim()}D instead"
            )
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(
            input,
            target,
            p=self.p,
            margin=self.margin,
            weight=self.weight,
            reduction=self.reduction,
        )


class MultiLabelMarginLoss(_Loss):
    """The hinge loss of several labels; see `functional.multilabel_margin_loss`.

    >>> import tensorlab
    >>> x, y = tensorlab.tensor([[0.1, 0.2, 0.4, 0.8]]), tensorlab.tensor([[3, 0, -1, 1]])
    >>> MultiLabelMarginLoss()(x, y)
    tensor(0.8500)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The binary cross-entropy of each class's score, averaged over classes.

    Args:
        weight: broadcast to the input.
        reduction: "mean", "sum" or "none".

    >>> import tensorlab
    >>> MultiLabelSoftMarginLoss()(tensorlab.tensor([[0.0, 0.0]]), tensorlab.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(
            input, target, weight=self.weight, reduction=self.reduction
        )


class _MarginLoss(_Loss):
    """A loss with a margin, 0 unless given."""

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class MarginRankingLoss(_MarginLoss):
    """max(0, −y · (x₁ − x₂) + margin) for targets y of 1 and -1; see `functional.margin_ranking_loss`.

    >>> import tensorlab
    >>> one, other = tensorlab.tensor([1.0]), tensorlab.tensor([3.0])
    >>> MarginRankingLoss()(one, other, tensorlab.tensor([1.0]))
    tensor(2.)
    """

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class HingeEmbeddingLoss(_MarginLoss):
    """Distances of what is alike (target 1), and what they lack to `margin` of what is not (target -1).

    See `functional.hinge_embedding_loss`.

    >>> import tensorlab
    >>> x, y = tensorlab.tensor([0.3, 0.3]), tensorlab.tensor([1.0, -1.0])
    >>> HingeEmbeddingLoss(reduction="none")(x, y)
    tensor([0.3000, 0.7000])
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """1 − cos of what is alike (target 1), and cos above `margin` of what is not (target -1).

    See `functional.cosine_embedding_loss`.

    >>> import tensorlab
    >>> x, y = tensorlab.tensor([[1.0, 0.0]]), tensorlab.tensor([[0.0, 1.0]])
    >>> CosineEmbeddingLoss()(x, y, tensorlab.tensor([1]))
    tensor(1.)
    """

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


def _check_margin(loss: _Loss, margin: float) -> None:
    if margin <= 0:
        raise ValueError(
            f"{type(loss).__name__}: expected margin to be greater than 0, got {margin} instead"
        )


class TripletMarginLoss(_Loss):
    """max(0, d(anchor, positive) − d(anchor, negative) + margin); see `functional.triplet_margin_loss`.

    Args:
        margin: how much farther away the negative should be.
        p, eps: of the distance; see `PairwiseDistance`.
        swap: whether the positive takes the anchor's part where it is nearer to the negative.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: the margin is not positive.

    >>> import tensorlab
    >>> a, p, n = (tensorlab.tensor([[x]]) for x in (0.0, 2.0, 1.5))
    >>> TripletMarginLoss()(a, p, n)
    tensor(1.5000)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        _check_margin(self, margin)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with any distance.

    Args:
        distance_function: of two tensors; `PairwiseDistance` unless given. A module is a part of
            this one.
        margin, swap, reduction: see `TripletMarginLoss`.

    Raises:
        ValueError: the margin is not positive.

    >>> import tensorlab
    >>> a, p, n = (tensorlab.tensor([[x]]) for x in (0.0, 2.0, 1.5))
    >>> squared = lambda x, y: ((x - y) ** 2).sum(-1)
    >>> TripletMarginWithDistanceLoss(distance_function=squared)(a, p, n)
    tensor(2.7500)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        _check_margin(self, margin)
        self.distance_function = (
            PairwiseDistance() if distance_function is None else distance_function
        )
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
