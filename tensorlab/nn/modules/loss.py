"""Losses: how far predictions are from targets, as one number to minimise."""

from __future__ import annotations

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn._reduction import legacy_reduction
from tensorlab.nn.modules.module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
]


class _Loss(Module):
    """What all losses share: how the losses of the elements are reduced.

    `reduction` is "mean", "sum" or "none". (`size_average` and `reduce` are PyTorch's old
    spelling of it, with a warning.)
    """

    reduction: str

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.reduction = legacy_reduction(size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    """A loss with a weight per class, which is a buffer: it moves and is saved with the module."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """The mean absolute error `|x - y|`; see `functional.l1_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """The mean squared error `(x - y)²`; see `functional.mse_loss`.

    >>> import tensorlab
    >>> MSELoss()(tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class NLLLoss(_WeightedLoss):
    """The negative log-likelihood of the right classes, from log-probabilities.

    Args:
        weight: `(C,)`, a weight per class.
        ignore_index: targets with this value count for nothing.
        reduction: "mean" (weighted by the targets' weights), "sum" or "none".

    Shapes:
        input `(N, C, *)` or `(C,)`, target `(N, *)` or `()` with class numbers (int64).
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class CrossEntropyLoss(_WeightedLoss):
    """The cross-entropy of raw scores (logits) against classes: softmax and `NLLLoss` in one.

    Args:
        weight: `(C,)`, a weight per class.
        ignore_index: targets with this value count for nothing; only for class numbers.
        reduction: "mean" (weighted by the targets' weights), "sum" or "none".
        label_smoothing: share of the target spread evenly over all classes, from 0 to 1.

    Shapes:
        input `(N, C, *)` or `(C,)`. Target: class numbers `(N, *)` or `()` (int64), or class
        probabilities of the input's shape.

    >>> import tensorlab
    >>> scores = tensorlab.zeros(2, 10)
    >>> CrossEntropyLoss()(scores, tensorlab.tensor([3, 7]))  # log 10
    tensor(2.3026)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class BCELoss(_WeightedLoss):
    """The binary cross-entropy of probabilities against targets from 0 to 1.

    Args:
        weight: a weight per element, broadcast to the input.
        reduction: "mean", "sum" or "none".
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """The binary cross-entropy of raw scores: sigmoid and `BCELoss` in one, without overflow.

    Args:
        weight: a weight per element, broadcast to the input.
        reduction: "mean", "sum" or "none".
        pos_weight: a weight of positive targets, broadcast to the input: above 1 it raises
            recall, below 1 precision.
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )
