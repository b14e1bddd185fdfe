"""Losses with PyTorch's signatures: of numbers, probabilities, classes and sequences.

The operations themselves are in `tensorlab.ops`; losses of margins and of embeddings are in
`margin`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from tensorlab._autocast import autocasts, autocasts_within
from tensorlab._dtypes import can_cast
from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.nn._reduction import reduced, resolved
from tensorlab.nn.functional.linear import linear
from tensorlab.ops import classification
from tensorlab.ops import loss as ops
from tensorlab.ops.arithmetic import xlogy
from tensorlab.ops.compare import where
from tensorlab.ops.creation import ones_like
from tensorlab.ops.ctc import ctc_losses
from tensorlab.ops.functions import exp, log

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]

# Regression -------------------------------------------------------------------------------


def _warn_of_sizes(input: Tensor, target: Tensor) -> None:
    if target._data.shape != input._data.shape:
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def _weighed(loss: Any, weight: Any, input: Tensor) -> Any:
    if weight.size() != input.size():
        raise ValueError(
            f"Weights and input must have the same size, got {weight.size()} and {input.size()}."
        )
    return loss * weight


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
    _warn_of_sizes(input, target)
    reduction = resolved(size_average, reduce, reduction)
    if weight is None:
        return ops.mse_loss(input, target, reduction)
    loss = _weighed(ops.mse_loss(input, target, "none"), weight, input)
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)  # type: ignore[attr-defined]


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute error `|x - y|`; see `mse_loss`.

    >>> import tensorlab
    >>> l1_loss(tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([0.0, 4.0]))
    tensor(1.5000)
    """
    _warn_of_sizes(input, target)
    reduction = resolved(size_average, reduce, reduction)
    if weight is None:
        return ops.l1_loss(input, target, reduction)
    loss = _weighed(ops.l1_loss(input, target, "none"), weight, input)
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)  # type: ignore[attr-defined]


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """The squared error, halved and divided by `beta`, where |x − y| < `beta`; else |x − y| − `beta`/2.

    With `beta` 0 it is `l1_loss`. Warns when the shapes differ and are broadcast.

    Raises:
        RuntimeError: a negative `beta`.

    >>> import tensorlab
    >>> smooth_l1_loss(tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([0.5, 4.0]))
    tensor(0.8125)
    """
    _warn_of_sizes(input, target)
    reduction = resolved(size_average, reduce, reduction)
    if beta == 0.0:
        return ops.l1_loss(input, target, reduction)
    return ops.smooth_l1_loss(input, target, reduction, beta)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the squared error where |x − y| ≤ `delta`; beyond that `delta` · (|x − y| − `delta`/2).

    With `weight` (of the input's shape) each loss is multiplied before it is reduced. Warns when the
    shapes differ and are broadcast.

    Raises:
        RuntimeError: `delta` is not positive.

    >>> import tensorlab
    >>> huber_loss(tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([0.5, 4.0]))
    tensor(0.8125)
    """
    _warn_of_sizes(input, target)
    reduction = resolved(None, None, reduction)
    target = as_dtype_of(input, target)
    if weight is None:
        return ops.huber_loss(input, target, reduction, delta)
    return reduced(_weighed(ops.huber_loss(input, target, "none", delta), weight, input), reduction)


def as_dtype_of(input: Tensor, target: Tensor) -> Tensor:
    """`target` in the dtype of `input`, in which some losses are computed; `RuntimeError` if it has to be."""
    if target.dtype is input.dtype:
        return target
    if not can_cast(target.dtype, input.dtype):
        raise RuntimeError(
            f"result type {target.dtype} can't be cast to the desired output type {input.dtype}: "
            "convert the input with .float()"
        )
    return target.to(input.dtype)  # type: ignore[attr-defined]


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of targets under normal distributions: ½ (log σ² + (x − y)² / σ²).

    Args:
        input: the expected values.
        target: of the same shape, or one that broadcasts.
        var: the variances σ²: of the input's shape, or of that shape without (or with 1 in) a
            dimension; or one number.
        full: whether to add the constant ½ log 2π.
        eps: least variance.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: a negative variance, or variances of another size.

    Source: D. A. Nix, A. S. Weigend, "Estimating the mean and variance of the target probability
    distribution", ICNN 1994.

    >>> import tensorlab
    >>> gaussian_nll_loss(tensorlab.tensor([1.0]), tensorlab.tensor([3.0]), 4.0)
    tensor(1.1931)
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError(f"var has negative entry/entries: {var}")
        var = ones_like(input) * var  # type: ignore[operator]
    elif not isinstance(var, Tensor):
        raise TypeError(f"var must be a Tensor or a float, got {type(var).__name__}")
    elif bool((var < 0).any()):  # type: ignore[operator]
        raise ValueError("var has negative entry/entries")
    variance: Any = _fitting(var, input)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid: expected 'mean', 'sum' or 'none'")
    with no_grad():
        raised = variance.clamp(min=eps) - variance
    variance = variance + raised  # the bound changes the value alone, and not its slope
    difference: Any = input - target  # type: ignore[operator]
    loss = 0.5 * (log(variance) + difference**2 / variance)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def _fitting(var: Any, input: Tensor) -> Any:
    """Variances in a shape that broadcasts to the input's."""
    ours, theirs = tuple(var.size()), tuple(input.size())
    if ours == theirs:
        return var
    if theirs[:-1] == ours:
        return var.unsqueeze(-1)
    differing = [b for a, b in zip(theirs, ours, strict=False) if a != b]
    if len(ours) == len(theirs) and sum(differing) == 1:
        return var
    raise ValueError(f"var is of incorrect size {list(ours)} for input of size {list(theirs)}")


@autocasts_within
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts under Poisson distributions.

    Args:
        input: the logarithms of the expected counts: exp(x) − y·x; without `log_input` the counts
            themselves: x − y·log(x + `eps`).
        target: the counts, of the same shape.
        full: whether to add log y!, in Stirling's approximation, where y > 1.
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        ValueError: another reduction.

    >>> import tensorlab
    >>> poisson_nll_loss(tensorlab.tensor([0.0]), tensorlab.tensor([2.0]))
    tensor(1.)
    """
    if reduction == "elementwise_mean":
        raise ValueError("elementwise_mean is not a valid value for reduction")
    reduction = resolved(size_average, reduce, reduction)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        stirling = target * log(target) - target + 0.5 * log(2 * math.pi * target)
        loss = loss + where(target <= 1, 0.0, stirling)
    return reduced(loss, reduction)


# Probabilities ----------------------------------------------------------------------------


@autocasts_within
def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The Kullback-Leibler divergence of `target` from `input`: y · (log y − x).

    Args:
        input: log-probabilities x.
        target: probabilities y; with `log_target` their logarithms.
        reduction: "batchmean" divides the sum by the size of the first dimension, which is what the
            definition says; "mean" by the number of elements, with a warning; "sum"; "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        RuntimeError: whole numbers.
        ValueError: another reduction.

    Source: S. Kullback, R. A. Leibler, "On information and sufficiency", 1951.

    >>> import tensorlab
    >>> x = tensorlab.log_softmax(tensorlab.tensor([[0.0, 0.0]]), 1)
    >>> kl_div(x, tensorlab.tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931)
    """
    old = size_average is not None or reduce is not None
    if not old and reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size. "
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition. "
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    by_batch = reduction == "batchmean" and not old
    how = "sum" if by_batch else resolved(size_average, reduce, reduction)
    for x in (input, target):
        if not (x.dtype.is_floating_point or x.dtype.is_complex):
            raise RuntimeError(f"kl_div: Integral inputs not supported, got {x.dtype}.")
    if log_target:
        loss = exp(target) * (target - input)
    else:
        loss = xlogy(target, target) - target * input
    total = reduced(loss, how)
    return total / input.size(0) if by_batch and input.dim() else total


@autocasts
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
        target: of the same shape and dtype.
        weight: broadcast to the input.
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        ValueError: the shapes differ.
        RuntimeError: an input or target is not a probability, another dtype, or a weight that
            requires grad.

    >>> import tensorlab
    >>> binary_cross_entropy(tensorlab.tensor([0.5, 0.9]), tensorlab.tensor([1.0, 1.0]))
    tensor(0.3993)
    """
    reduction = resolved(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype is not input.dtype:
        raise RuntimeError(
            f"Found dtype {target.dtype} but expected {input.dtype}: the target has the dtype of the input"
        )
    ops.require_no_grad("binary_cross_entropy", weight=weight)
    return ops.binary_cross_entropy(input, target, weight, reduction)


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
        RuntimeError: a weight that does not broadcast to the input, or requires grad.

    >>> import tensorlab
    >>> binary_cross_entropy_with_logits(tensorlab.tensor([0.0]), tensorlab.tensor([1.0]))
    tensor(0.6931)
    """
    reduction = resolved(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size ({input.size()})"
        )
    name = "binary_cross_entropy_with_logits"
    ops.require_no_grad(name, weight=weight, pos_weight=pos_weight)
    return ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


# Classes and sequences --------------------------------------------------------------------


@autocasts_within
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
    reduction = resolved(size_average, reduce, reduction)
    return classification.cross_entropy(
        input, target, weight, ignore_index, reduction, label_smoothing
    )


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

    >>> import tensorlab
    >>> nll_loss(tensorlab.tensor([[-0.5, -1.0]]), tensorlab.tensor([1]))
    tensor(1.)
    """
    reduction = resolved(size_average, reduce, reduction)
    ops.require_no_grad("nll_loss_forward", weight=weight)
    return classification.nll_loss(input, target, weight, ignore_index, reduction)


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: None = None,
) -> Tensor:
    """The cross-entropy of scores that a linear map gives: `cross_entropy(linear(input, …), target)`.

    Args:
        input: `(N, in_features)` or `(in_features,)`.
        linear_weight: `(C, *out_features, in_features)`.
        target: class numbers `(N, *out_features)` or `()`, or class probabilities `(N, C, *out_features)`.
        linear_bias: `(C, *out_features)`, or None.
        weight, reduction, label_smoothing: see `cross_entropy`.
        ignore_index: see there; -100 unless given.
        options: only None. (PyTorch's options trade time for memory and do not change the result.)

    Raises:
        RuntimeError: shapes that do not belong together, or `ignore_index` with probabilities.
        NotImplementedError: `options` are given.

    >>> import tensorlab
    >>> x, w = tensorlab.tensor([[1.0]]), tensorlab.tensor([[2.0], [0.0], [0.0]])
    >>> linear_cross_entropy(x, w, tensorlab.tensor([0]))
    tensor(0.2395)
    """
    if options is not None:
        raise NotImplementedError(
            "linear_cross_entropy computes all scores at once: leave options out, the result is the same"
        )
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    *batch, features = input.shape
    if features != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), "
            f"got {features} and {linear_weight.shape[-1]}, respectively"
        )
    scores_shape = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != scores_shape:
        raise RuntimeError(
            f"expected linear_bias shape {scores_shape}, got {tuple(linear_bias.shape)}"
        )
    if len(scores_shape) > 1 and not batch:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires "
            f"batched input, (N, {features}), got unbatched input with shape {tuple(input.shape)}"
        )
    shape = (*batch, *scores_shape)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    scores: Any = linear(
        input,
        linear_weight.reshape(-1, features),
        None if linear_bias is None else linear_bias.reshape(-1),
    )
    return cross_entropy(
        scores.reshape(shape),
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
    )


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification: −log of the probability of label sequences.

    Args:
        log_probs: `(T, N, C)` or `(T, C)`, log-probabilities of the classes in each frame, out of
            `log_softmax`: the gradient is right for those alone.
        targets: labels without blanks, `(N, S)` or all of them in one `(sum of lengths,)`.
        input_lengths: `(N,)` or `()`, the number of frames of each sample, at most T.
        target_lengths: `(N,)` or `()`, the number of labels of each sample.
        blank: the class that stands for no label.
        reduction: "mean" divides each loss by its target's length first, then averages; "sum";
            "none".
        zero_infinity: whether targets that cannot be reached (more labels than frames) cost
            nothing, rather than infinity.

    Raises:
        RuntimeError: shapes, lengths or labels that do not belong together.

    Source: A. Graves et al., "Connectionist temporal classification", ICML 2006.

    >>> import tensorlab
    >>> frames = tensorlab.log_softmax(tensorlab.zeros(2, 1, 2), 2)
    >>> ctc_loss(frames, tensorlab.tensor([[1]]), (2,), (1,))
    tensor(0.2877)
    """
    reduction = resolved(None, None, reduction)
    alone = log_probs.dim() == 2
    if alone:
        log_probs = log_probs.unsqueeze(1)  # type: ignore[attr-defined]
    losses, lengths = ctc_losses(
        log_probs, targets, input_lengths, target_lengths, blank, zero_infinity
    )
    if zero_infinity:
        losses = where(losses == math.inf, 0.0, losses)
    if alone:
        losses = losses.squeeze(0)  # type: ignore[attr-defined]
    if reduction != "mean":
        return reduced(losses, reduction)
    counts: Any = losses.new_tensor([max(n, 1) for n in lengths])  # type: ignore[attr-defined]
    return (losses / counts.to(losses.dtype)).mean()
