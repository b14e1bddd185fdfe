"""Losses that compare scores of classes with the right classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops.compare import where
from tensorlab.ops.functions import _reject
from tensorlab.ops.gathering import gather, scatter, scatter_add
from tensorlab.ops.loss import reduced, require_no_grad, share
from tensorlab.ops.reduce import sum as sum_
from tensorlab.ops.softmax import log_softmax, softmax

# Likelihood -------------------------------------------------------------------------------


def _classes_last(xp: Any, x: Any) -> Any:
    """(N, C, d₁, …) as rows of C classes, one per prediction; (C) as one row."""
    if x.ndim == 2:
        return x
    return x.reshape(1, -1) if x.ndim == 1 else xp.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def _check_target(
    input_shape: Any, target: Any, weight: Any, ignore_index: int, dtype: Any
) -> None:
    shape: tuple[int, ...] = tuple(input_shape)
    if len(shape) == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {len(shape)})")
    wanted = shape[:1] + shape[2:] if len(shape) > 1 else ()
    classes = shape[1] if len(shape) > 1 else shape[0]
    if target.dtype not in (np.int64, np.uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {target.dtype.name}: class targets are integers; "
            "convert with .long(), or give class probabilities of the input's shape to cross_entropy"
        )
    if len(shape) == 1 and target.ndim:
        if target.shape != (1,):
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target.size}"
            )
    elif tuple(target.shape) != wanted:
        if len(shape) > 1 and target.ndim and target.shape[0] != shape[0]:
            raise ValueError(
                f"Expected input batch_size ({shape[0]}) to match target batch_size ({target.shape[0]})."
            )
        raise RuntimeError(f"Expected target size {list(wanted)}, got {list(target.shape)}")
    bad = target[(target != ignore_index) & ((target < 0) | (target >= classes))]
    if bad.size:
        raise IndexError(
            f"Target {int(bad.reshape(-1)[0])} is out of bounds: there are {classes} classes, 0 to {classes - 1}."
        )
    _check_class_weights(weight, classes)
    if weight is not None and weight.dtype != dtype:
        raise RuntimeError(
            f"expected scalar type {np.dtype(dtype).name} but found {weight.dtype.name}: "
            "the weights have the dtype of the input"
        )


def _check_class_weights(weight: Any, classes: int) -> None:
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes "
            f"but got weight tensor of shape: {list(weight.shape)}"
        )


def _picked(xp: Any, dtype: Any, target: Any, weight: Any, ignore_index: int) -> tuple[Any, Any]:
    """For each prediction: a class that is safe to index with, and its weight (0 where ignored)."""
    flat = target.reshape(-1)
    valid = flat != ignore_index
    safe = xp.where(valid, flat, 0)
    scale = valid.astype(dtype)
    return safe, scale if weight is None else scale * weight[safe]


def _nll_samples(r: Any) -> list[Sample]:
    return [
        Sample(r(3, 4), np.array([0, 3, 1])),
        Sample(r(3, 4), np.array([0, 3, 1]), np.array([1.0, 2.0, 0.5, 3.0])),
        Sample(r(3, 4), np.array([0, -100, 1]), reduction="sum"),
        Sample(r(2, 3, 2), np.array([[0, 2], [1, 1]]), reduction="none"),
        Sample(r(4), np.array(2)),
    ]


def _nll_errors(r: Any) -> list[ErrorSample]:
    return [
        ErrorSample(
            r(3, 4), np.array([0, 4, 1]), error=IndexError, match="Target 4 is out of bounds"
        ),
        ErrorSample(r(3, 4), np.array([0, 1]), error=ValueError, match="batch_size"),
        ErrorSample(r(3, 4), r(3), error=RuntimeError, match="target dtype to be Long or Byte"),
        ErrorSample(
            r(2, 3, 4), np.array([[0], [1]]), error=RuntimeError, match="Expected target size"
        ),
        ErrorSample(r(4), np.array([0, 1]), error=ValueError, match="1D target must have size 1"),
        ErrorSample(r(), np.array(0), error=ValueError, match="Expected 1 or more dimensions"),
        ErrorSample(
            r(2, 3),
            np.array([0, 1]),
            r(2),
            error=RuntimeError,
            match="for all 3 classes or no classes",
        ),
        ErrorSample(
            r.int(2, 3), np.array([0, 1]), error=NotImplementedError, match="nll_loss.*int64"
        ),
        ErrorSample(
            r(3, 4), np.array([0, 1, 1]), reduction="avg", error=ValueError, match="reduction"
        ),
    ]


@op(
    samples=_nll_samples, errors=_nll_errors, torch="nn.functional.nll_loss", result=None, node_name="NllLoss",
)  # fmt: skip
def nll_loss(xp, input, target, weight=None, /, ignore_index=-100, reduction="mean"):
    """The negative log-likelihood: −weight[target] · input[target], for log-probabilities `input`.

    Shapes: input (N, C), (N, C, d₁, …) or (C), target the same without C, of class numbers.
    "mean" divides by the sum of the weights used. Targets equal to `ignore_index` do not count.

    >>> import tensorlab
    >>> log_p = tensorlab.log_softmax(tensorlab.tensor([[0.0, 0.0]]), dim=1)
    >>> tensorlab.nn.functional.nll_loss(log_p, tensorlab.tensor([1]))
    tensor(0.6931)
    """
    _reject("nll_loss", input, "biuc")
    _check_target(input.shape, target, weight, ignore_index, input.dtype)
    safe, scale = _picked(xp, input.dtype, target, weight, ignore_index)
    loss = -_classes_last(xp, input)[xp.arange(safe.size), safe] * scale
    if reduction == "mean":
        total = scale.sum()
        empty = total == 0
        mean = xp.where(empty, np.nan, loss.sum() / (total + empty))
        return xp.asarray(mean, dtype=input.dtype)
    return reduced(xp, loss.reshape(target.shape if input.ndim > 1 else ()), reduction)


@op(
    samples=lambda r: [Sample(r(), np.array([0, 3, 1]), None, (3, 4), -100, "mean")],
    torch="", result=None, ref=lambda g, t, w, shape, i, red: -g / 3 * np.eye(4)[t],
)  # fmt: skip
def nll_loss_backward(
    xp, input, target, weight=None, /, shape=(), ignore_index=-100, reduction="mean"
):
    """The gradient of `nll_loss` by its input: −weight · g at each target class, 0 elsewhere."""
    safe, scale = _picked(xp, input.dtype, target, weight, ignore_index)
    total = 1
    if reduction == "mean":
        total = scale.sum()
        total = total + (total == 0)  # where nothing counts there is no slope
    g = input.reshape(-1) if reduction == "none" else input
    rows = xp.zeros((safe.size, shape[1] if len(shape) > 1 else shape[0]), input.dtype)
    rows[xp.arange(safe.size), safe] = (-g * scale / total).astype(input.dtype)
    if len(shape) <= 2:
        return rows.reshape(shape)
    return xp.moveaxis(rows.reshape(shape[:1] + shape[2:] + shape[1:2]), -1, 1)


nll_loss.vjp(
    input=lambda g, target, weight, input_shape, ignore_index, reduction: nll_loss_backward(
        g, target, weight, tuple(input_shape), ignore_index, reduction
    )
)
nll_loss_backward.vjp(
    input=lambda g, target, weight, ignore_index, reduction: nll_loss(
        g, target, weight, ignore_index, reduction
    )
)


@op(
    samples=_nll_samples, torch="nn.functional.cross_entropy", result=None, name="cross_entropy", node_name="NllLoss",
)  # fmt: skip
def fused_cross_entropy(xp, input, target, weight=None, /, ignore_index=-100, reduction="mean"):
    """`cross_entropy` of class numbers as one operation, which kernels compute in one pass.

    Here it is the two steps that it stands for.
    """
    log_p = log_softmax(input, 0 if input.ndim == 1 else 1)
    return nll_loss(log_p, target, weight, ignore_index, reduction)


def _fused_backward(g, input, target, weight, ignore_index, reduction):
    dim, shape = (0 if input.ndim == 1 else 1), tuple(input.shape)
    by_log_p = nll_loss_backward(g, target, weight, shape, ignore_index, reduction)
    return by_log_p - softmax(input, dim) * sum_(by_log_p, dim, True)


fused_cross_entropy.vjp(input=_fused_backward)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy between raw scores and their targets: −log softmax(input)[target].

    Shapes: input (N, C), (N, C, d₁, …) or (C). target: class numbers, of that shape without C;
    or class probabilities, of the input's shape. weight: one factor per class.
    label_smoothing ε mixes the target with the uniform distribution: (1 − ε) · target + ε / C
    (C. Szegedy et al., 2016, arXiv:1512.00567).

    Raises `IndexError` for a class number out of range, `ValueError` and `RuntimeError` for
    shapes that do not belong together.

    >>> import tensorlab
    >>> scores = tensorlab.tensor([[2.0, 0.0, 0.0]])
    >>> tensorlab.nn.functional.cross_entropy(scores, tensorlab.tensor([0]))
    tensor(0.2395)
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = 0 if input.ndim == 1 else 1
    if target.shape == input.shape:
        _check_probabilities(input, target, weight, ignore_index, dim)
        log_p = log_softmax(input, dim)
        return _probability_loss(log_p, target, weight, reduction, label_smoothing, dim)
    if weight is not None:
        require_no_grad("nll_loss_forward", weight=weight)
    if input.ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if label_smoothing == 0.0 and (input.ndim == 2 or input.device.type == "cuda"):
        return fused_cross_entropy(input, target, weight, ignore_index, reduction)
    log_p = log_softmax(input, dim)
    hard = nll_loss(log_p, target, weight, ignore_index, reduction)
    if label_smoothing == 0.0:
        return hard
    weighted = _times_classes(log_p, weight, dim)
    valid = target != ignore_index
    smooth = where(valid, -sum_(weighted, dim), 0.0)
    if reduction == "sum":
        smooth = sum_(smooth)
    elif reduction == "mean":
        count = (
            sum_(valid)
            if weight is None
            else sum_(where(valid, weight[where(valid, target, 0)], 0.0))
        )
        smooth = sum_(smooth) / count
    return (1 - label_smoothing) * hard + label_smoothing / input.shape[dim] * smooth


def _check_probabilities(
    input: Tensor, target: Tensor, weight: Any, ignore_index: int, dim: int
) -> None:
    if not target.dtype.is_floating_point:
        raise RuntimeError(
            f"Expected floating point type for target with class probabilities, got {target.dtype}"
        )
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    if input.ndim:
        _check_class_weights(weight, input.shape[dim])


def _times_classes(log_p: Any, weight: Any, dim: int) -> Any:
    """Each class times its weight, if there are weights."""
    return log_p if weight is None else log_p * weight.reshape([-1] + [1] * (log_p.ndim - dim - 1))


def _probability_loss(
    log_p: Tensor, target: Tensor, weight: Any, reduction: str, smoothing: float, dim: int
) -> Tensor:
    classes = log_p.shape[dim]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    log_p = _times_classes(log_p, weight, dim)
    loss = -sum_(log_p * target, dim)
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError(
            f"{reduction} is not a valid value for reduction: expected 'mean', 'sum' or 'none'"
        )
    return sum_(loss) / loss.numel() if reduction == "mean" else sum_(loss)


# Margins ----------------------------------------------------------------------------------


def _rows(name: str, input: Any) -> tuple[int, int]:
    """How many predictions there are, and how many classes."""
    shape = tuple(input.shape)
    if len(shape) > 2 or (shape and shape[-1] == 0):
        raise RuntimeError(
            f"{name}: Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(shape)}"
        )
    return (shape[0] if len(shape) == 2 else 1), (shape[-1] if shape else 1)


def _require_classes(name: str, target: Any) -> None:
    if target.dtype != np.int64:
        raise RuntimeError(
            f"{name}: expected scalar type Long but found {target.dtype.name}: convert with .long()"
        )


def _reduced_rows(xp: Any, loss: Any, reduction: str, alone: bool) -> Any:
    """The losses of the rows; of a single prediction without batch dimension, a number."""
    return reduced(xp, loss.reshape(()) if alone and reduction == "none" else loss, reduction)


def _of_rows(g: Any, count: int, reduction: str) -> Any:
    """The gradient of each row's loss, as a column."""
    return share(g, count, reduction) if reduction != "none" else g.reshape((count, 1))


def _multi_margin_samples(r: Any) -> list[Sample]:
    target = np.array([0, 3, 1])
    return [
        Sample(r(3, 4), target),
        Sample(r(3, 4), target, p=2, margin=0.5, reduction="sum"),
        Sample(r(3, 4), target, weight=r(4, low=0.5, high=2.0), reduction="none"),
        Sample(r(4), np.array(2)),
        Sample(r(4), np.array([2]), p=2, reduction="none"),
    ]


@op(
    samples=_multi_margin_samples,
    errors=lambda r: [
        ErrorSample(r(3, 4), np.array([0, 4, 1]), error=RuntimeError, match="target out of range"),
        ErrorSample(r(3, 4), np.array([0, 1]), error=RuntimeError, match=r"Expected target size \[3\], but got \[2\]"),
        ErrorSample(r(3, 4), r(3), error=RuntimeError, match="expected scalar type Long"),
        ErrorSample(r(2, 3, 4), np.array([0, 1]), error=RuntimeError, match="vector or matrix"),
        ErrorSample(r(2, 3), np.array([0, 1]), r(2), error=RuntimeError, match="expected 3 but got"),
        ErrorSample(r.int(2, 3), np.array([0, 1]), error=NotImplementedError, match="multi_margin_loss.*int64"),
    ],
    torch="nn.functional.multi_margin_loss", result=None,
)  # fmt: skip
def multi_margin_loss(xp, input, target, weight=None, /, p=1, margin=1.0, reduction="mean"):
    r"""\(\frac{1}{C} \sum_{j \ne y} \max(0, margin - x_y + x_j)^p\), times `weight[y]`.

    Shapes: input (N, C) or (C), target (N) or () of class numbers.

    >>> import tensorlab as tl
    >>> tl.nn.functional.multi_margin_loss(tl.tensor([[0.1, 0.2, 0.4, 0.8]]), tl.tensor([3]))
    tensor(0.3250)
    """
    _reject("multi_margin_loss", input, "biuc")
    count, classes = _rows("multi_margin_loss", input)
    _require_classes("multi_margin_loss", target)
    if target.ndim > 1 or target.size != count:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples "
            f"(batch size). Expected target size [{count}], but got {list(target.shape)}. "
            f"Input has shape {list(input.shape)}."
        )
    if ((target < 0) | (target >= classes)).any():
        raise RuntimeError(
            f"multi_margin_loss: target out of range: there are {classes} classes, 0 to {classes - 1}"
        )
    if weight is not None and weight.size != classes:
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    rows, right = input.reshape(count, classes), target.reshape(count, 1)
    short = xp.maximum(margin - xp.take_along_axis(rows, right, 1) + rows, 0)
    short = xp.where(xp.arange(classes) == right, 0, short if p == 1 else short * short)
    loss = short.sum(axis=1) / classes
    if weight is not None:
        loss = loss * weight[right[:, 0]]
    return _reduced_rows(xp, loss, reduction, target.ndim == 0)


def _multi_margin_backward(g, input, target, weight, p, margin, reduction):
    count, classes = _rows("multi_margin_loss", input)
    rows, right = input.reshape((count, classes)), target.reshape((count, 1))
    short = margin - gather(rows, 1, right) + rows
    slope = where(short > 0, 1.0 if p == 1 else 2 * short, 0.0 * rows)
    slope = scatter(slope, 1, right, 0.0)
    slope = scatter_add(slope, 1, right, -sum_(slope, 1, True)) * (1.0 / classes)
    if weight is not None:
        slope = slope * gather(weight, 0, right.reshape((count,))).reshape((count, 1))
    return (_of_rows(g, count, reduction) * slope).reshape(tuple(input.shape))


multi_margin_loss.vjp(input=_multi_margin_backward)


def _label_samples(r: Any) -> list[Sample]:
    target = np.array([[3, 0, -1, 1], [2, 2, -1, -1], [-1, 0, 1, 2]])
    return [
        Sample(r(3, 4), target),
        Sample(r(3, 4), target, reduction="sum"),
        Sample(r(3, 4), target, reduction="none"),
        Sample(r(4), target[0]),
        Sample(r(4), target[1], reduction="none"),
    ]


def _pairs(xp: Any, input: Any, target: Any) -> tuple[Any, Any, Any]:
    """How far each wanted class k is short of each other class j: (N, k, j), with both as masks.

    The first counts a class as often as it is named, up to the first -1.
    """
    count, classes = _rows("multilabel_margin_loss", input)
    rows, labels = input.reshape(count, classes), target.reshape(count, classes)
    named = xp.cumsum(labels < 0, axis=1) == 0
    hits = (labels[:, :, None] == xp.arange(classes)) & named[:, :, None]
    times = hits.sum(axis=1).astype(input.dtype)
    short = 1 - rows[:, :, None] + rows[:, None, :]
    return short, times[:, :, None], (times == 0)[:, None, :].astype(input.dtype)


def _check_labels(name: str, input: Any, target: Any) -> None:
    _reject(name, input, "biuc")
    _, classes = _rows(name, input)
    _require_classes(name, target)
    if tuple(target.shape) != tuple(input.shape):
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    if ((target < -1) | (target >= classes)).any():
        raise RuntimeError(
            f"{name}: argument #2 'target' is out of range: labels go from 0 to {classes - 1}, and -1 ends them"
        )


@op(
    samples=_label_samples,
    errors=lambda r: [
        ErrorSample(r(2, 3), np.array([[0, 3, -1]] * 2), error=RuntimeError, match="'target' is out of range"),
        ErrorSample(r(2, 3), np.array([[0, 1]] * 2), error=RuntimeError, match="inconsistent target size"),
        ErrorSample(r(2, 3), r(2, 3), error=RuntimeError, match="expected scalar type Long"),
        ErrorSample(r(2, 3, 4), np.zeros((2, 3, 4), np.int64), error=RuntimeError, match="vector or matrix"),
    ],
    torch="nn.functional.multilabel_margin_loss", result=None,
)  # fmt: skip
def multilabel_margin_loss(xp, input, target, /, reduction="mean"):
    r"""\(\frac{1}{C} \sum_{k} \sum_{j} \max(0, 1 - x_k + x_j)\) over wanted classes k and all others j.

    Shapes: input (N, C) or (C), target the same: the numbers of the wanted classes, ended by -1.

    >>> import tensorlab as tl
    >>> x, y = tl.tensor([[0.1, 0.2, 0.4, 0.8]]), tl.tensor([[3, 0, -1, 1]])
    >>> tl.nn.functional.multilabel_margin_loss(x, y)
    tensor(0.8500)
    """
    _check_labels("multilabel_margin_loss", input, target)
    short, times, others = _pairs(xp, input, target)
    loss = (xp.maximum(short, 0) * times * others).sum(axis=(1, 2)) / short.shape[-1]
    return _reduced_rows(xp, loss, reduction, input.ndim < 2)


@op(
    samples=lambda r: [Sample(*s.args) for s in _label_samples(r)[::3]], torch="", result=None,
)  # fmt: skip
def multilabel_margin_slope(xp, input, target, /):
    """The gradient of each row's `multilabel_margin_loss` by its scores: constant in pieces."""
    short, times, others = _pairs(xp, input, target)
    active = (short > 0) * times * others
    return ((active.sum(axis=1) - active.sum(axis=2)) / short.shape[-1]).reshape(input.shape)


multilabel_margin_loss.vjp(
    input=lambda g, input, target, reduction: (
        _of_rows(g, _rows("multilabel_margin_loss", input)[0], reduction).reshape((-1, 1))
        * multilabel_margin_slope(input, target)
    ).reshape(tuple(input.shape))
)
