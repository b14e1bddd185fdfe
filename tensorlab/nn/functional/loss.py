"""Losses with PyTorch's signatures: the operations themselves are in `tensorlab.ops.loss`."""

from __future__ import annotations

import warnings
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.ops import loss as ops

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "l1_loss",
    "legacy_reduction",
    "mse_loss",
    "nll_loss",
    "soft_margin_loss",
]


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """What PyTorch's old flags say about the reduction, with a warning if they are used.

    >>> legacy_reduction(None, None, "sum")
    'sum'
    """
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        reduction = "none"
    else:
        reduction = "sum" if size_average is False else "mean"
    warnings.warn(
        "size_average and reduce args will be deprecated, please use "
        f"reduction='{reduction}' instead.",
        stacklevel=3,
    )
    return reduction


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy of raw scores (logits) against classes.

    Args:
        input: `(N, C, *)` or `(C,)`.
        target: class numbers `(N, *)` or `()` (int64), or probabilities of the input's shape.
        weight: `(C,)`, a weight per class.
        ignore_index: class numbers with this value count for nothing.
        reduction: "mean" (weighted by the targets' weights), "sum" or "none".
        label_smoothing: share of the target spread evenly over all classes, from 0 to 1.
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        ValueError, RuntimeError: shapes that do not belong together.
        IndexError: a class number out of range.

    >>> import tensorlab
    >>> cross_entropy(tensorlab.tensor([[2.0, 0.0, 0.0]]), tensorlab.tensor([0]))
    tensor(0.2395)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of the right classes, from log-probabilities.

    Args, shapes and errors are those of `cross_entropy` with class numbers as target.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.nll_loss(input, target, weight, ignore_index, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared error `(x - y)²`; with `weight` (of the input's shape), a weighted mean or sum.

    Warns when the shapes differ and are broadcast: with `(N, 1)` against `(N,)` that is N² errors.

    >>> import tensorlab
    >>> mse_loss(tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([0.0, 4.0]))
    tensor(2.5000)
    """
    return _elementwise(ops.mse_loss, input, target, size_average, reduce, reduction, weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute error `|x - y|`; see `mse_loss`."""
    return _elementwise(ops.l1_loss, input, target, size_average, reduce, reduction, weight)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`log(1 + exp(-target · input))` for targets -1 and 1; see `mse_loss`."""
    return _elementwise(ops.soft_margin_loss, input, target, size_average, reduce, reduction, None)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The binary cross-entropy of probabilities against targets from 0 to 1.

    Args:
        input: probabilities, any shape.
        target: of the same shape.
        weight: broadcast to the input.
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        ValueError: the shapes differ.
        RuntimeError: an input is not a probability.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}) is deprecated. Please ensure they have the same size."
        )
    if weight is None:
        return ops.binary_cross_entropy(input, target, reduction)
    return _reduced(ops.binary_cross_entropy(input, target, "none") * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Tensor:
    """The binary cross-entropy of raw scores: sigmoid and `binary_cross_entropy` in one.

    Args:
        input: raw scores, any shape.
        target: of the same shape, from 0 to 1.
        weight: broadcast to the input.
        pos_weight: a weight of positive targets, broadcast to the input.
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        ValueError: the shapes differ.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size ({input.size()})"
        )
    if weight is None and pos_weight is None:
        return ops.binary_cross_entropy_with_logits(input, target, reduction)
    if pos_weight is None:
        loss = ops.binary_cross_entropy_with_logits(input, target, "none")
    else:
        # y·p·softplus(-x) + (1 - y)·softplus(x), where softplus(x) = softplus(-x) + x.
        log_weight = (pos_weight - 1) * target + 1
        at_one = ops.binary_cross_entropy_with_logits(input, target * 0 + 1, "none")
        loss = (1 - target) * input + log_weight * at_one
    return _reduced(loss if weight is None else loss * weight, reduction)


def _elementwise(
    operation: Any,
    input: Tensor,
    target: Tensor,
    size_average: bool | None,
    reduce: bool | None,
    reduction: str,
    weight: Any,
) -> Tensor:
    if target._data.shape != input._data.shape:
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
    reduction = legacy_reduction(size_average, reduce, reduction)
    if weight is None:
        return operation(input, target, reduction)
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    weighted = operation(input, target, "none") * weight
    return weighted.sum() / weight.sum() if reduction == "mean" else _reduced(weighted, reduction)


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(
        f"{reduction} is not a valid value for reduction: expected 'mean', 'sum' or 'none'"
    )
