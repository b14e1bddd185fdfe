"""What all losses share."""

from __future__ import annotations

from tensorlab._tensor import Tensor
from tensorlab.nn._reduction import legacy_reduction
from tensorlab.nn.modules.module import Module


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
