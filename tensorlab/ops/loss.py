"""Losses of each element: how far a prediction is from its target, as one number.

Every loss takes `reduction`: "mean" (default), "sum", or "none" for one value per element. (Losses
that compare scores with classes are in `classification`, that of sequences in `ctc`.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab._graph import mode
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops.activation import log_sigmoid
from tensorlab.ops.compare import where
from tensorlab.ops.functions import _reject, abs, log, sgn, sigmoid
from tensorlab.ops.reduce import accumulator, floating

# Reductions -------------------------------------------------------------------------------


def reduced(xp: Any, value: Any, reduction: str) -> Any:
    """The losses of the elements as `reduction` says."""
    if reduction == "mean":
        value = floating("mean", value, None)
        return value.mean() if value.size else xp.asarray(np.nan, dtype=value.dtype)
    if reduction == "sum":
        # Half precision is added in single, and small integers in int64, as everywhere.
        total = value.sum(dtype=accumulator(value.dtype))
        return total.astype(value.dtype) if value.dtype.kind == "f" else total
    if reduction == "none":
        return value
    raise ValueError(
        f"{reduction} is not a valid value for reduction: expected 'mean', 'sum' or 'none'"
    )


def share(g: Any, count: int, reduction: str) -> Any:
    """The gradient of each of `count` losses, from that of the reduced loss."""
    return g / max(count, 1) if reduction == "mean" else g


def require_no_grad(function: str, **arguments: Any) -> None:
    """`RuntimeError` for arguments that require grad, where there is none by them."""
    for name, x in arguments.items():
        if isinstance(x, Tensor) and x.requires_grad and mode.grad:
            raise RuntimeError(
                f"The function '{function}' is not differentiable with respect to argument '{name}'. "
                "This input cannot have requires_grad True."
            )


def _share(g: Any, x: Any, y: Any, reduction: str) -> Any:
    if reduction != "mean":
        return g
    count = 1
    for n in np.broadcast_shapes(tuple(x.shape), tuple(y.shape)):
        count *= n
    return share(g, count, reduction)


def _check_shapes(name: str, input: Any, target: Any) -> None:
    if input.shape != target.shape:
        try:
            np.broadcast_shapes(input.shape, target.shape)
        except ValueError:
            raise RuntimeError(
                f"{name}: input of shape {list(input.shape)} and target of shape {list(target.shape)} "
                "must match or broadcast to each other"
            ) from None


# Declaring --------------------------------------------------------------------------------


def _samples(low: float, high: float, *more: dict[str, Any]) -> Callable[[Any], list[Sample]]:
    """Pairs drawn from [low, high) with every reduction, and with each of the options in `more`."""

    def samples(r: Any) -> list[Sample]:
        def pair(*shape: int, **options: Any) -> Sample:
            return Sample(r(*shape, low=low, high=high), r(*shape, low=low, high=high), **options)

        made = [pair(2, 3), pair(3, reduction="sum"), pair(2, 3, reduction="none"), pair()]
        return [*made, *(pair(2, 3, **options) for options in more)]

    return samples


def _errors(*more: Callable[[Any], ErrorSample]) -> Callable[[Any], list[ErrorSample]]:
    def errors(r: Any) -> list[ErrorSample]:
        return [
            ErrorSample(r(2, low=0), r(3, low=0), error=RuntimeError, match="must match"),
            ErrorSample(r(2, low=0), r(2, low=0), reduction="average", error=ValueError, match="reduction"),
            *(sample(r) for sample in more),
        ]  # fmt: skip

    return errors


def _reference(each: Callable[..., Any]) -> Callable[..., Any]:
    """The reduction of an independent formula for each element."""

    def reference(x: Any, y: Any, *weights: Any, reduction: str = "mean", **options: Any) -> Any:
        value = np.asarray(each(np.asarray(x), np.asarray(y), *weights, **options))
        return value if reduction == "none" else value.sum() if reduction == "sum" else value.mean()

    return reference


def _no_integers(name: str) -> Callable[[Any], ErrorSample]:
    return lambda r: ErrorSample(
        r.int(2), r.int(2), error=NotImplementedError, match=f"{name}.*int64"
    )


# Regression -------------------------------------------------------------------------------


@op(
    samples=_samples(-3.0, 3.0), errors=_errors(_no_integers("mse_loss")),
    ref=_reference(lambda x, y: (x - y) ** 2), torch="nn.functional.mse_loss",
)  # fmt: skip
def mse_loss(xp, input, target, /, reduction="mean"):
    """The mean squared error: (input − target)².

    >>> import tensorlab as tl
    >>> tl.nn.functional.mse_loss(tl.tensor([1.0, 2.0]), tl.tensor([0.0, 4.0]))
    tensor(2.5000)
    """
    _reject("mse_loss", input, "biuc")
    _check_shapes("mse_loss", input, target)
    return reduced(xp, xp.square(input - target), reduction)


mse_loss.vjp(
    input=lambda g, input, target, reduction: (
        _share(g, input, target, reduction) * (2 * (input - target))
    ),
    target=lambda g, input, target, reduction: (
        _share(g, input, target, reduction) * (2 * (target - input))
    ),
)


@op(
    samples=_samples(-3.0, 3.0), ref=_reference(lambda x, y: np.abs(x - y)),
    errors=_errors(
        lambda r: ErrorSample(r.int(2), r.int(2), error=RuntimeError, match="could not infer output dtype")
    ),
    torch="nn.functional.l1_loss", node_name="Mean",
)  # fmt: skip
def l1_loss(xp, input, target, /, reduction="mean"):
    """The mean absolute error: |input − target|.

    >>> import tensorlab as tl
    >>> tl.nn.functional.l1_loss(tl.tensor([1.0, 2.0]), tl.tensor([0.0, 4.0]))
    tensor(1.5000)
    """
    _check_shapes("l1_loss", input, target)
    return reduced(xp, xp.abs(input - target), reduction)


l1_loss.vjp(
    input=lambda g, input, target, reduction: (
        _share(g, input, target, reduction) * sgn(input - target)
    ),
    target=lambda g, input, target, reduction: (
        _share(g, input, target, reduction) * sgn(target - input)
    ),
)


def _smooth_l1_reference(x: Any, y: Any, beta: float = 1.0) -> Any:
    z = np.abs(x - y)
    return np.where(z < beta, z * z / (2 * beta), z - beta / 2)


@op(
    samples=_samples(-3.0, 3.0, {"beta": 0.3}, {"beta": 4.0, "reduction": "sum"}),
    errors=_errors(
        _no_integers("smooth_l1_loss"),
        lambda r: ErrorSample(r(2), r(2), beta=-1.0, error=RuntimeError, match="negative values for beta"),
    ),
    ref=_reference(_smooth_l1_reference), torch="nn.functional.smooth_l1_loss",
)  # fmt: skip
def smooth_l1_loss(xp, input, target, /, reduction="mean", beta=1.0):
    r"""With \(z = |input − target|\): \(z^2 / 2\beta\) below `beta`, and \(z - \beta/2\) from there on.

    Source: R. Girshick, "Fast R-CNN", ICCV 2015, arXiv:1504.08083, equation 3.

    >>> import tensorlab as tl
    >>> tl.nn.functional.smooth_l1_loss(tl.tensor([1.0, 2.0]), tl.tensor([0.5, 4.0]))
    tensor(0.8125)
    """
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    _reject("smooth_l1_loss", input, "biuc")
    _check_shapes("smooth_l1_loss", input, target)
    size = xp.abs(input - target)
    value = xp.where(size < beta, size * size * (0.5 / (beta or 1.0)), size - 0.5 * beta)
    return reduced(xp, value, reduction)


def _smooth_l1_slope(difference: Any, beta: float) -> Any:
    outside = abs(difference) >= beta
    return where(outside, sgn(difference), difference / (beta or 1.0))  # nan stays


smooth_l1_loss.vjp(
    input=lambda g, input, target, reduction, beta: (
        _share(g, input, target, reduction) * _smooth_l1_slope(input - target, beta)
    ),
    target=lambda g, input, target, reduction, beta: (
        _share(g, input, target, reduction) * _smooth_l1_slope(target - input, beta)
    ),
)


def _huber_reference(x: Any, y: Any, delta: float = 1.0) -> Any:
    z = np.abs(x - y)
    return np.where(z <= delta, z * z / 2, delta * (z - delta / 2))


@op(
    samples=_samples(-3.0, 3.0, {"delta": 0.3}, {"delta": 4.0, "reduction": "sum"}),
    errors=_errors(
        _no_integers("huber_loss"),
        lambda r: ErrorSample(r(2), r(2), delta=0.0, error=RuntimeError, match="non-positive values for delta"),
    ),
    ref=_reference(_huber_reference), torch="nn.functional.huber_loss",
)  # fmt: skip
def huber_loss(xp, input, target, /, reduction="mean", delta=1.0):
    r"""With \(z = |input − target|\): \(z^2 / 2\) up to `delta`, and \(\delta (z - \delta/2)\) beyond.

    Source: P. J. Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35,
    1964.

    >>> import tensorlab as tl
    >>> tl.nn.functional.huber_loss(tl.tensor([1.0, 2.0]), tl.tensor([0.5, 4.0]))
    tensor(0.8125)
    """
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    _reject("huber_loss", input, "biuc")
    _check_shapes("huber_loss", input, target)
    size = xp.abs(input - target)
    value = xp.where(size <= delta, size * size * 0.5, (size - 0.5 * delta) * delta)
    return reduced(xp, value, reduction)


def _huber_slope(difference: Any, delta: float) -> Any:
    return where(abs(difference) > delta, sgn(difference) * delta, difference)  # nan stays


huber_loss.vjp(
    input=lambda g, input, target, reduction, delta: (
        _share(g, input, target, reduction) * _huber_slope(input - target, delta)
    ),
    target=lambda g, input, target, reduction, delta: (
        _share(g, input, target, reduction) * _huber_slope(target - input, delta)
    ),
)


@op(
    samples=_samples(-3.0, 3.0), errors=_errors(_no_integers("soft_margin_loss")),
    ref=_reference(lambda x, y: np.log(1 + np.exp(-x * y))), torch="nn.functional.soft_margin_loss",
)  # fmt: skip
def soft_margin_loss(xp, input, target, /, reduction="mean"):
    """log(1 + exp(−target · input)) for targets −1 and 1.

    >>> import tensorlab as tl
    >>> tl.nn.functional.soft_margin_loss(tl.tensor([0.0]), tl.tensor([1.0]))
    tensor(0.6931)
    """
    _reject("soft_margin_loss", input, "biuc")
    _check_shapes("soft_margin_loss", input, target)
    return reduced(xp, xp.logaddexp(0, -input * target), reduction)


soft_margin_loss.vjp(
    input=lambda g, input, target, reduction: (
        _share(g, input, target, reduction) * (-target * sigmoid(-input * target))
    ),
)

# Binary classification --------------------------------------------------------------------


def _binary_samples(low: float, high: float, *more: str) -> Callable[[Any], list[Sample]]:
    """Pairs with every reduction and with weights, by name, that broadcast."""

    def samples(r: Any) -> list[Sample]:
        made = _samples(low, high)(r)
        for count, reduction in enumerate(("mean", "sum", "none"), 1):
            weights = {name: r(3, low=0.5, high=2.0) for name in more[:count]}
            x, y = r(2, 3, low=low, high=high), r(2, 3, low=0.1, high=0.9)
            made.append(Sample(x, y, **weights, reduction=reduction))
        return made

    return samples


def _times(weight: Any, value: Any) -> Any:
    return value if weight is None else value * weight


def _weighed(name: str, value: Any, weight: Any, shape: tuple[int, ...]) -> Any:
    if weight is None:
        return value
    value = value * weight
    if value.shape != shape:
        raise RuntimeError(
            f"{name}: output with shape {list(shape)} doesn't match the broadcast shape {list(value.shape)}: "
            "a weight must broadcast to the input"
        )
    return value


def _clamped_log(xp: Any, x: Any) -> Any:
    """log x, but at least −100, so that a confident mistake costs much and not infinity."""
    with np.errstate(divide="ignore"):
        return xp.maximum(xp.log(x), -100)


def _check_probabilities(name: str, x: Any, advice: str = "") -> None:
    if x.size and not ((x >= 0) & (x <= 1)).all():
        raise RuntimeError(f"all elements of {name} should be between 0 and 1{advice}")


@op(
    samples=_binary_samples(0.05, 0.95, "weight"),
    errors=_errors(
        lambda r: ErrorSample(r(2) * 0 + 2, r(2, low=0), error=RuntimeError, match="input should be between 0 and 1"),
        lambda r: ErrorSample(r(2, low=0), r(2) * 0 + 2, error=RuntimeError, match="target should be between 0"),
        lambda r: ErrorSample(
            r(2, low=0), r(2, low=0), r(3, 2), error=RuntimeError, match="doesn't match the broadcast shape"
        ),
    ),
    ref=_reference(
        lambda x, y, weight=1.0: -weight * (y * np.log(x) + (1 - y) * np.log(1 - x))
    ),
    torch="nn.functional.binary_cross_entropy",
)  # fmt: skip
def binary_cross_entropy(xp, input, target, weight=None, /, reduction="mean"):
    """−(y·log x + (1 − y)·log(1 − x)) for probabilities x and targets y in [0, 1], times `weight`.

    >>> import tensorlab as tl
    >>> tl.nn.functional.binary_cross_entropy(tl.tensor([0.5, 0.9]), tl.tensor([1.0, 1.0]))
    tensor(0.3993)
    """
    _check_shapes("binary_cross_entropy", input, target)
    _check_probabilities(
        "input", input, ": apply sigmoid first, or use binary_cross_entropy_with_logits"
    )
    _check_probabilities("target", target)
    value = -(target * _clamped_log(xp, input) + (1 - target) * _clamped_log(xp, 1 - input))
    return reduced(xp, _weighed("binary_cross_entropy", value, weight, value.shape), reduction)


def _bce_by_input(g, input, target, weight, reduction):
    # As in PyTorch, the denominator is kept from 0, where the loss itself is clamped.
    slope = (input - target) / _at_least(input * (1 - input), 1e-12)
    return _share(g, input, target, reduction) * _times(weight, slope)


def _bce_by_target(g, input, target, weight, reduction):
    slope = _bounded_log(1 - input) - _bounded_log(input)
    return _share(g, input, target, reduction) * _times(weight, slope)


def _at_least(x: Any, bound: float) -> Any:
    return where(x > bound, x, bound)


def _bounded_log(x: Any) -> Any:
    return log(_at_least(x, 3.720075976020836e-44))  # log of it is −100


binary_cross_entropy.vjp(input=_bce_by_input, target=_bce_by_target)


def _logits_reference(x: Any, y: Any, weight: Any = 1.0, pos_weight: Any = 1.0) -> Any:
    p = 1 / (1 + np.exp(-x))
    return -weight * (pos_weight * y * np.log(p) + (1 - y) * np.log(1 - p))


@op(
    samples=_binary_samples(-3.0, 3.0, "weight", "pos_weight"),
    errors=_errors(
        _no_integers("binary_cross_entropy_with_logits"),
        lambda r: ErrorSample(r(2), r(2), r(3, 2), error=RuntimeError, match="doesn't match the broadcast shape"),
    ),
    ref=_reference(_logits_reference), torch="nn.functional.binary_cross_entropy_with_logits",
)  # fmt: skip
def binary_cross_entropy_with_logits(
    xp, input, target, weight=None, pos_weight=None, /, reduction="mean"
):
    r"""`binary_cross_entropy` of sigmoid(x), computed from x itself without overflow.

    \((1 - y) x + (1 + (p - 1) y) \ln(1 + e^{-x})\), times `weight`; p is `pos_weight`, the weight of
    positive targets.

    >>> import tensorlab as tl
    >>> binary_cross_entropy_with_logits(tl.tensor([0.0, 100.0]), tl.tensor([1.0, 1.0]))
    tensor(0.3466)
    """
    name = "binary_cross_entropy_with_logits"
    _reject(name, input, "biuc")
    _check_shapes(name, input, target)
    softplus = xp.maximum(-input, 0) + xp.log1p(xp.exp(-xp.abs(input)))  # of −x
    if pos_weight is not None:
        softplus = softplus * ((pos_weight - 1) * target + 1)
    value = (1 - target) * input + softplus
    shape = np.broadcast_shapes(input.shape, target.shape)
    return reduced(xp, _weighed(name, value, weight, shape), reduction)


def _logits_by_input(g, input, target, weight, pos_weight, reduction):
    if pos_weight is None:
        slope = sigmoid(input) - target
    else:
        slope = 1 - target - ((pos_weight - 1) * target + 1) * sigmoid(-input)
    return _share(g, input, target, reduction) * _times(weight, slope)


def _logits_by_target(g, input, target, weight, pos_weight, reduction):
    slope = -input
    if pos_weight is not None:
        slope = slope - (pos_weight - 1) * log_sigmoid(input)
    return _share(g, input, target, reduction) * _times(weight, slope)


binary_cross_entropy_with_logits.vjp(input=_logits_by_input, target=_logits_by_target)
