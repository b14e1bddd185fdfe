"""Losses: how far predictions are from targets, as one number to minimise."""

from __future__ import annotations

import math
import warnings
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules._losses import _Loss, _WeightedLoss
from tensorlab.nn.modules.linear import Linear
from tensorlab.nn.modules.margin import (
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    SoftMarginLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LinearCrossEntropyLoss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "NLLLoss2d",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class L1Loss(_Loss):
    """The mean absolute error `|x - y|`; see `functional.l1_loss`.

    >>> import tensorlab
    >>> L1Loss()(tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([0.0, 4.0]))
    tensor(1.5000)
    """

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


class SmoothL1Loss(_Loss):
    """Squared where the error is below `beta`, absolute beyond; see `functional.smooth_l1_loss`.

    >>> import tensorlab
    >>> SmoothL1Loss()(tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([0.5, 4.0]))
    tensor(0.8125)
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Squared where the error is at most `delta`, absolute beyond; see `functional.huber_loss`.

    Raises:
        TypeError: `delta` is no number.

    >>> import tensorlab
    >>> HuberLoss()(tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([0.5, 4.0]))
    tensor(0.8125)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        if not isinstance(delta, (float, int)):
            raise TypeError(f"delta must be a float or int, got: {type(delta)}")
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class PoissonNLLLoss(_Loss):
    """The negative log-likelihood of counts; see `functional.poisson_nll_loss`.

    Args:
        log_input: whether predictions are logarithms of expected counts.
        full: whether to add log y!, approximately.
        eps: added under the logarithm without `log_input`.
        reduction: "mean", "sum" or "none".

    >>> import tensorlab
    >>> PoissonNLLLoss()(tensorlab.tensor([0.0]), tensorlab.tensor([2.0]))
    tensor(1.)
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(
            log_input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(_Loss):
    """The negative log-likelihood of targets under normal distributions; see `functional.gaussian_nll_loss`.

    Args:
        full: whether to add the constant ½ log 2π.
        eps: least variance.
        reduction: "mean", "sum" or "none".

    >>> import tensorlab
    >>> x, y, var = (tensorlab.tensor([v]) for v in (1.0, 3.0, 4.0))
    >>> GaussianNLLLoss()(x, y, var)
    tensor(1.1931)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(None, None, reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence of targets from log-probabilities; see `functional.kl_div`.

    Use `reduction="batchmean"`: "mean" divides by the number of classes, too, and warns.

    Args:
        reduction: "batchmean", "mean", "sum" or "none".
        log_target: whether targets are log-probabilities as well.

    >>> import tensorlab
    >>> x = tensorlab.log_softmax(tensorlab.tensor([[0.0, 0.0]]), 1)
    >>> KLDivLoss(reduction="batchmean")(x, tensorlab.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class NLLLoss(_WeightedLoss):
    """The negative log-likelihood of the right classes, from log-probabilities.

    Args:
        weight: `(C,)`, a weight per class.
        ignore_index: targets with this value count for nothing.
        reduction: "mean" (weighted by the targets' weights), "sum" or "none".

    Shapes:
        input `(N, C, *)` or `(C,)`, target `(N, *)` or `()` with class numbers (int64).

    >>> import tensorlab
    >>> NLLLoss()(tensorlab.tensor([[-0.5, -1.0]]), tensorlab.tensor([1]))
    tensor(1.)
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


class NLLLoss2d(NLLLoss):
    """PyTorch's old name of `NLLLoss`, which takes any number of dimensions; it warns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            "`NLLLoss2d` has been deprecated. Please use `NLLLoss` instead as a drop-in replacement.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(*args, **kwargs)


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

    >>> import tensorlab
    >>> BCELoss()(tensorlab.tensor([0.5, 0.9]), tensorlab.tensor([1.0, 1.0]))
    tensor(0.3993)
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

    >>> import tensorlab
    >>> BCEWithLogitsLoss()(tensorlab.tensor([0.0]), tensorlab.tensor([1.0]))
    tensor(0.6931)
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


class LinearCrossEntropyLoss(_WeightedLoss):
    """A linear layer and the cross-entropy of its scores; see `functional.linear_cross_entropy`.

    Args:
        in_features: size of the last dimension of the input.
        num_classes: C, how many classes there are.
        out_features: further dimensions of the scores and targets.
        bias: whether the layer has a bias.
        device, dtype: of the layer's parameters.
        reduction, weight, ignore_index, label_smoothing: see `CrossEntropyLoss`.
        options: only None; see `functional.linear_cross_entropy`.

    Shapes:
        input `(N, in_features)` or `(in_features,)`; target `(N, *out_features)` or `()` of class
        numbers, or class probabilities `(N, C, *out_features)`.

    Attributes:
        linear: the layer.

    Raises:
        RuntimeError: weights of another shape than `(C,)`, or a label smoothing outside [0, 1].

    >>> import tensorlab
    >>> head = LinearCrossEntropyLoss(8, 10)
    >>> head(tensorlab.zeros(4, 8), tensorlab.tensor([1, 2, 3, 4])).item()  # log 10
    2.302...
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: None = None,
    ) -> None:
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(
                f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}"
            )
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(
                f"expected label_smoothing to be in range [0, 1], got {label_smoothing}"
            )
        super().__init__(weight=weight, reduction=reduction)
        self.num_classes = num_classes
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.linear = Linear(
            in_features, math.prod(out_features, start=num_classes), bias, device, dtype
        )
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        shape = (self.num_classes, *self.out_features)
        bias: Any = self.linear.bias
        weight: Any = self.linear.weight
        return F.linear_cross_entropy(
            input,
            weight.reshape(*shape, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, "
            f"reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )


class CTCLoss(_Loss):
    """Connectionist temporal classification; see `functional.ctc_loss`.

    Args:
        blank: the class that stands for no label.
        reduction: "mean" (each loss divided by its target's length first), "sum" or "none".
        zero_infinity: whether targets that cannot be reached cost nothing, rather than infinity.

    Shapes:
        log_probs `(T, N, C)` or `(T, C)`; targets `(N, S)` or `(sum of lengths,)`; lengths `(N,)`.

    >>> import tensorlab
    >>> frames = tensorlab.log_softmax(tensorlab.zeros(2, 1, 2), 2)
    >>> CTCLoss()(frames, tensorlab.tensor([[1]]), (2,), (1,))
    tensor(0.2877)
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Tensor:
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
