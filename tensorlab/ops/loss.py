"""Softmax and loss functions: how far a prediction is from its target, as one number.

Every loss takes `reduction`: "mean" (default), "sum", or "none" for one value per element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, normalize_dim
from tensorlab.ops.compare import where
from tensorlab.ops.functions import exp, log, sgn, sigmoid
from tensorlab.ops.reduce import sum as sum_

# Softmax ----------------------------------------------------------------------------------


def _axis(name: str, input: Any, dim: Any) -> int:
    if dim is None:
        raise TypeError(
            f"{name}() missing 1 required positional argument: 'dim': the dimension that sums to 1"
        )
    if input.dtype.kind not in "fc":
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{input.dtype.name}': convert with .float() first"
        )
    return normalize_dim(dim, input.ndim)


def _softmax_samples(r: Any) -> list[Sample]:
    return [
        Sample(r(2, 3), 1),
        Sample(r(2, 3, 4), -2),
        Sample(r(), 0),
        Sample(r(0, 3), 1),
        Sample(r(2, 3) * 1e3, 0),
    ]


def _softmax_errors(r: Any) -> list[ErrorSample]:
    return [
        ErrorSample(r(2), 1, error=IndexError, match="Dimension out of range"),
        ErrorSample(
            np.arange(3), 0, error=NotImplementedError, match="not implemented for 'int64'"
        ),
    ]


def _softmax_reference(x: Any, dim: int) -> np.ndarray:
    from scipy.special import softmax as reference

    return reference(x, axis=dim if np.ndim(x) else None)


@op(
    samples=_softmax_samples,
    errors=_softmax_errors,
    ref=_softmax_reference,
    result=None,
    method=True,
)
def softmax(xp, input, /, dim, dtype=None):
    """exp(xᵢ) / Σⱼ exp(xⱼ) over dimension `dim`: positive numbers that sum to 1.

    The largest element is subtracted first, which changes nothing but avoids overflow.

    >>> import tensorlab
    >>> tensorlab.softmax(tensorlab.tensor([1000.0, 1000.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    input = input if dtype is None else input.astype(dtype.numpy)
    axis = _axis("softmax", input, dim)
    if input.ndim == 0:
        return xp.ones_like(input)
    if input.size == 0:
        return input.copy()
    out = xp.exp(input - input.max(axis=axis, keepdims=True))
    out /= out.sum(axis=axis, keepdims=True)
    return out


softmax.vjp(input=lambda g, out, dim: (g - sum_(g * out, dim, True)) * out)


@op(
    samples=_softmax_samples, errors=_softmax_errors, result=None, method=True,
    ref=lambda x, dim: x - np.logaddexp.reduce(x, axis=dim, keepdims=True) if np.ndim(x) else np.zeros(()),
)  # fmt: skip
def log_softmax(xp, input, /, dim, dtype=None):
    """The logarithm of `softmax`, exact also where softmax itself would round to 0.

    log softmax(x)ᵢ = xᵢ − max − log Σⱼ exp(xⱼ − max).

    >>> import tensorlab
    >>> tensorlab.log_softmax(tensorlab.tensor([0.0, -1000.0]), dim=0)
    tensor([    0., -1000.])
    """
    input = input if dtype is None else input.astype(dtype.numpy)
    axis = _axis("log_softmax", input, dim)
    if input.ndim == 0:
        return xp.zeros_like(input)
    if input.size == 0:
        return input.copy()
    out = input - input.max(axis=axis, keepdims=True)
    out -= xp.log(xp.exp(out).sum(axis=axis, keepdims=True))
    return out


log_softmax.vjp(input=lambda g, out, dim: g - exp(out) * sum_(g, dim, True))


# Reductions -------------------------------------------------------------------------------


def _reduced(xp: Any, value: Any, reduction: str) -> Any:
    if reduction == "mean":
        return value.mean() if value.size else xp.asarray(np.nan, dtype=value.dtype)
    if reduction == "sum":
        # Small integers are added in int64, as everywhere.
        return value.sum(dtype=np.int64 if value.dtype.kind in "iub" else value.dtype)
    if reduction == "none":
        return value
    raise ValueError(
        f"{reduction} is not a valid value for reduction: expected 'mean', 'sum' or 'none'"
    )


def _share(g: Any, like: Any, reduction: str) -> Any:
    """The gradient of each element's loss, from that of the reduced loss."""
    if reduction != "mean":
        return g
    count = 1
    for n in like.shape:
        count *= n
    return g / max(count, 1)


# Classification ---------------------------------------------------------------------------


def _classes_last(xp: Any, x: Any) -> Any:
    """(N, C, d₁, …) as rows of C classes, one per prediction; (C) as one row."""
    return x.reshape(1, -1) if x.ndim == 1 else xp.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def _check_target(input_shape: Any, target: Any, weight: Any, ignore_index: int) -> None:
    shape: tuple[int, ...] = tuple(input_shape)
    if len(shape) == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {len(shape)})")
    wanted = shape[:1] + shape[2:] if len(shape) > 1 else ()
    classes = shape[1] if len(shape) > 1 else shape[0]
    if target.dtype.kind not in "iu":
        raise RuntimeError(
            f"expected scalar type Long but found {target.dtype.name}: class targets are integers; "
            "convert with .long(), or give class probabilities of the input's shape to cross_entropy"
        )
    if tuple(target.shape) != wanted:
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
    if weight is not None and weight.shape != (classes,):
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
    _check_target(input.shape, target, weight, ignore_index)
    safe, scale = _picked(xp, input.dtype, target, weight, ignore_index)
    loss = -_classes_last(xp, input)[xp.arange(safe.size), safe] * scale
    if reduction == "mean":
        total = scale.sum()
        return xp.asarray(loss.sum() / total if total else np.nan, dtype=input.dtype)
    return _reduced(xp, loss.reshape(target.shape), reduction)


@op(
    samples=lambda r: [Sample(r(), np.array([0, 3, 1]), None, (3, 4), -100, "mean")],
    torch="", result=None, ref=lambda g, t, w, shape, i, red: -g / 3 * np.eye(4)[t],
)  # fmt: skip
def nll_loss_backward(
    xp, input, target, weight=None, /, shape=(), ignore_index=-100, reduction="mean"
):
    """The gradient of `nll_loss` by its input: −weight · g at each target class, 0 elsewhere."""
    safe, scale = _picked(xp, input.dtype, target, weight, ignore_index)
    total = scale.sum() if reduction == "mean" else 1
    g = input.reshape(-1) if reduction == "none" else input
    rows = xp.zeros((safe.size, shape[1] if len(shape) > 1 else shape[0]), input.dtype)
    rows[xp.arange(safe.size), safe] = -g * scale / total
    if len(shape) == 1:
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
    log_p = log_softmax(input, dim)
    if target.shape == input.shape and target.dtype.category >= 2:
        return _probability_loss(log_p, target, weight, reduction, label_smoothing, dim)
    hard = nll_loss(log_p, target, weight, ignore_index, reduction)
    if label_smoothing == 0.0:
        return hard
    weighted = (
        log_p if weight is None else log_p * weight.reshape([-1] + [1] * (input.ndim - dim - 1))
    )  # type: ignore[attr-defined]
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


def _probability_loss(
    log_p: Tensor, target: Tensor, weight: Any, reduction: str, smoothing: float, dim: int
) -> Tensor:
    classes = log_p.shape[dim]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    if weight is not None:
        log_p = log_p * weight.reshape([-1] + [1] * (log_p.ndim - dim - 1))
    loss = -sum_(log_p * target, dim)
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError(
            f"{reduction} is not a valid value for reduction: expected 'mean', 'sum' or 'none'"
        )
    return sum_(loss) / (max(loss.numel(), 1) if reduction == "mean" else 1)


# Elementwise losses -----------------------------------------------------------------------


def _loss(
    name: str,
    summary: str,
    value: Callable[..., Any],
    by_input: Callable[..., Any],
    by_target: Callable[..., Any] | None,
    example: tuple[str, str, str],
    *,
    low: float = -3.0,
    high: float = 3.0,
    node_name: str | None = None,
) -> Any:
    """Declare a loss of each element: its value on arrays, and its derivatives by either side.

    The derivatives are written with operations that take arrays and tensors alike.
    """

    def forward(xp, input, target, /, reduction="mean"):
        if input.shape != target.shape:
            try:
                np.broadcast_shapes(input.shape, target.shape)
            except ValueError:
                raise RuntimeError(
                    f"{name}: input of shape {list(input.shape)} and target of shape {list(target.shape)} "
                    "must match or broadcast to each other"
                ) from None
        return _reduced(xp, value(xp, input, target), reduction)

    x, y, printed = example
    forward.__name__ = name
    forward.__doc__ = (
        f"{summary}\n\n    >>> import tensorlab as tl\n"
        f"    >>> tl.nn.functional.{name}(tl.tensor([{x}]), tl.tensor([{y}]))\n    {printed}\n    "
    )

    def draw(r: Any, *shape: int) -> Any:
        return r(*shape, low=low, high=high)

    def reference(x: Any, y: Any, reduction: str = "mean") -> Any:
        each = np.asarray(value(np, np.asarray(x), np.asarray(y)))
        return each if reduction == "none" else each.sum() if reduction == "sum" else each.mean()

    declared = op(
        samples=lambda r: [
            Sample(draw(r, 2, 3), draw(r, 2, 3)), Sample(draw(r, 3), draw(r, 3), reduction="sum"),
            Sample(draw(r, 2, 3), draw(r, 2, 3), reduction="none"), Sample(draw(r), draw(r)),
        ],
        errors=lambda r: [
            ErrorSample(draw(r, 2), draw(r, 3), error=RuntimeError, match="must match"),
            ErrorSample(draw(r, 2), draw(r, 2), reduction="average", error=ValueError, match="reduction"),
        ],
        ref=reference, torch=f"nn.functional.{name}", node_name=node_name,
    )(forward)  # fmt: skip
    rules = {
        "input": lambda g, input, target, reduction: (
            _share(g, input - target, reduction) * by_input(input, target)
        )
    }
    if by_target is not None:
        rules["target"] = lambda g, input, target, reduction: (
            _share(g, input - target, reduction) * by_target(input, target)
        )
    declared.vjp(**rules)
    return declared


mse_loss = _loss(
    "mse_loss", "The mean squared error: (input − target)².",
    lambda xp, x, y: xp.square(x - y),
    lambda x, y: 2 * (x - y), lambda x, y: 2 * (y - x),
    ("1.0, 2.0", "0.0, 4.0", "tensor(2.5000)"),
)  # fmt: skip
l1_loss = _loss(
    "l1_loss", "The mean absolute error: |input − target|.",
    lambda xp, x, y: xp.abs(x - y),
    lambda x, y: sgn(x - y), lambda x, y: sgn(y - x),
    ("1.0, 2.0", "0.0, 4.0", "tensor(1.5000)"), node_name="Mean",
)  # fmt: skip
soft_margin_loss = _loss(
    "soft_margin_loss", "log(1 + exp(−target · input)) for targets −1 and 1.",
    lambda xp, x, y: xp.logaddexp(0, -x * y),
    lambda x, y: -y * sigmoid(-x * y), None,
    ("0.0", "1.0", "tensor(0.6931)"),
)  # fmt: skip


def _clamped_log(xp: Any, x: Any) -> Any:
    """log x, but at least −100, so that a confident mistake costs much and not infinity."""
    with np.errstate(divide="ignore"):
        return xp.maximum(xp.log(x), -100)


def _bce(xp: Any, x: Any, y: Any) -> Any:
    if x.size and not ((x >= 0) & (x <= 1)).all():
        raise RuntimeError(
            "all elements of input should be between 0 and 1: apply sigmoid first, "
            "or use binary_cross_entropy_with_logits"
        )
    return -(y * _clamped_log(xp, x) + (1 - y) * _clamped_log(xp, 1 - x))


binary_cross_entropy = _loss(
    "binary_cross_entropy",
    "−(y·log x + (1 − y)·log(1 − x)) for probabilities x and targets y in [0, 1].",
    _bce,
    # As in PyTorch, the denominator is kept from 0, where the loss itself is clamped.
    lambda x, y: (x - y) / _at_least(x * (1 - x), 1e-12),
    lambda x, y: _bounded_log(1 - x) - _bounded_log(x),
    ("0.5, 0.9", "1.0, 1.0", "tensor(0.3993)"), low=0.05, high=0.95,
)  # fmt: skip
binary_cross_entropy_with_logits = _loss(
    "binary_cross_entropy_with_logits",
    "Binary cross-entropy of sigmoid(x), from x itself: max(x, 0) − x·y + log(1 + exp(−|x|)).",
    lambda xp, x, y: xp.maximum(x, 0) - x * y + xp.log1p(xp.exp(-xp.abs(x))),
    lambda x, y: sigmoid(x) - y, lambda x, y: -x,
    ("0.0, 100.0", "1.0, 1.0", "tensor(0.3466)"),
)  # fmt: skip


def _at_least(x: Any, bound: float) -> Any:
    return where(x > bound, x, bound)


def _bounded_log(x: Any) -> Any:
    return log(_at_least(x, 3.720075976020836e-44))  # log of it is −100
