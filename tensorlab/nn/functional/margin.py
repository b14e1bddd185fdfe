"""Losses that ask for a margin: of scores, of labels, and of distances between embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorlab._autocast import autocasts_within
from tensorlab._tensor import Tensor
from tensorlab.nn._reduction import check, reduced, resolved
from tensorlab.nn.functional.loss import as_dtype_of
from tensorlab.ops import classification
from tensorlab.ops import loss as ops
from tensorlab.ops.activation import log_sigmoid
from tensorlab.ops.compare import minimum, where
from tensorlab.ops.distance import pairwise_distance

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

# Scores -----------------------------------------------------------------------------------


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`log(1 + exp(-target · input))` for targets -1 and 1.

    Args:
        input: scores, any shape.
        target: -1 and 1, of a shape that broadcasts.
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        RuntimeError: shapes that do not broadcast, or a target that requires grad.

    >>> import tensorlab
    >>> soft_margin_loss(tensorlab.tensor([0.0]), tensorlab.tensor([1.0]))
    tensor(0.6931)
    """
    reduction = resolved(size_average, reduce, reduction)
    ops.require_no_grad("soft_margin_loss", target=target)
    return ops.soft_margin_loss(input, as_dtype_of(input, target), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The hinge loss of classes: the mean over classes j ≠ y of max(0, margin − x_y + x_j)ᵖ.

    Args:
        input: scores `(N, C)` or `(C,)`.
        target: class numbers `(N,)` or `()` (int64).
        p: 1 or 2.
        margin: by how much the right class should lead.
        weight: `(C,)`, a factor for each right class.
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        ValueError: another p, or weights of more than one dimension.
        RuntimeError: shapes that do not belong together, or a class out of range.

    >>> import tensorlab
    >>> multi_margin_loss(tensorlab.tensor([[0.1, 0.2, 0.4, 0.8]]), tensorlab.tensor([3]))
    tensor(0.3250)
    """
    reduction = resolved(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError(f"only p == 1 and p == 2 supported, got {p}")
    if weight is not None and weight.dim() != 1:
        raise ValueError(f"weight must be one-dimensional, got {weight.dim()} dimensions")
    ops.require_no_grad("multi_margin_loss", weight=weight)
    return classification.multi_margin_loss(input, target, weight, p, margin, reduction)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The hinge loss of several labels: max(0, 1 − x_k + x_j) of wanted classes k and all others j, over C.

    Args:
        input: scores `(N, C)` or `(C,)`.
        target: numbers of the wanted classes (int64), of the same shape; -1 ends them.
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        RuntimeError: shapes that differ, or a class out of range.

    >>> import tensorlab
    >>> x, y = tensorlab.tensor([[0.1, 0.2, 0.4, 0.8]]), tensorlab.tensor([[3, 0, -1, 1]])
    >>> multilabel_margin_loss(x, y)
    tensor(0.8500)
    """
    reduction = resolved(size_average, reduce, reduction)
    return classification.multilabel_margin_loss(input, target, reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The binary cross-entropy of each class's score, averaged over the classes.

    Args:
        input: scores `(*, C)`.
        target: 0 or 1 for every class, of the same shape.
        weight: broadcast to the input.
        reduction: of one loss for each of `(*,)`: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        ValueError: another reduction.

    >>> import tensorlab
    >>> multilabel_soft_margin_loss(tensorlab.tensor([[0.0, 0.0]]), tensorlab.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    reduction = resolved(size_average, reduce, reduction)
    loss = -(target * log_sigmoid(input) + (1 - target) * log_sigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.sum(-1) / input.size(-1), reduction)


@autocasts_within
def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The distance itself where the target is 1, and what it lacks to `margin` where it is -1.

    Args:
        input: distances, any shape.
        target: 1 for what is alike and -1 for what is not, of the same shape.
        margin: how far apart what is not alike should be.
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    >>> import tensorlab
    >>> x, y = tensorlab.tensor([0.3, 0.3]), tensorlab.tensor([1.0, -1.0])
    >>> hinge_embedding_loss(x, y, reduction="none")
    tensor([0.3000, 0.7000])
    """
    reduction = resolved(size_average, reduce, reduction)
    lacking = (margin - input).clamp(min=0)
    return reduced(where(target != 1, lacking, 0.0) + where(target != -1, input, 0.0), reduction)


@autocasts_within
def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, −y · (x₁ − x₂) + margin): x₁ should be the larger one where y is 1, x₂ where it is -1.

    Args:
        input1, input2: scores with equally many dimensions.
        target: 1 and -1, with equally many dimensions.
        margin: by how much the larger one should lead.
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        RuntimeError: different numbers of dimensions.

    >>> import tensorlab
    >>> one, other = tensorlab.tensor([1.0]), tensorlab.tensor([3.0])
    >>> margin_ranking_loss(one, other, tensorlab.tensor([1.0]))
    tensor(2.)
    """
    reduction = resolved(size_average, reduce, reduction)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()}"
        )
    return reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


# Embeddings -------------------------------------------------------------------------------


@autocasts_within
def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 − cos(x₁, x₂) where the target is 1, and max(0, cos(x₁, x₂) − margin) where it is -1.

    Args:
        input1, input2: `(N, D)` or `(D,)`.
        target: `(N,)` or `()`, of 1 and -1.
        margin: the largest cosine that costs nothing for what is not alike.
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        RuntimeError: shapes that do not belong together.

    >>> import tensorlab
    >>> x, y = tensorlab.tensor([[1.0, 0.0]]), tensorlab.tensor([[0.0, 1.0]])
    >>> cosine_embedding_loss(x, y, tensorlab.tensor([1]))
    tensor(1.)
    """
    reduction = resolved(size_average, reduce, reduction)
    ndim = target.dim()
    if ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input1.dim() != ndim + 1 or input2.dim() != ndim + 1:
        raise RuntimeError(
            f"{ndim}D target tensor expects {ndim + 1}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    tiny = 1e-12  # keeps the root's slope finite
    first = (input1 * input1).sum(ndim) + tiny
    second = (input2 * input2).sum(ndim) + tiny
    cosine = (input1 * input2).sum(ndim) / (first * second).sqrt()
    alike = where(target == 1, 1 - cosine, 0.0)
    return reduced(alike + where(target == -1, (cosine - margin).clamp(min=0), 0.0), reduction)


def _check_triplet(margin: float, anchor: Any, positive: Any, negative: Any) -> None:
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    dims = [x.dim() for x in (anchor, positive, negative)]
    if len(set(dims)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {dims[0]}D, positive {dims[1]}D, and negative {dims[2]}D inputs"
        )


def _triplet(
    distance: Callable[..., Any], anchor: Any, positive: Any, negative: Any, margin: float, swap: bool
) -> Any:  # fmt: skip
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return (margin + near - far).clamp(min=0)


@autocasts_within
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) − d(anchor, negative) + margin), with the p-norm distance d.

    Args:
        anchor, positive, negative: `(N, D)` or `(D,)`: the positive is like the anchor, the negative
            is not.
        margin: how much farther away the negative should be; above 0.
        p, eps: see `pairwise_distance`.
        swap: whether the positive takes the anchor's part where it is nearer to the negative
            (V. Balntas et al., "Learning local feature descriptors with triplets", BMVC 2016).
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old spelling of `reduction`.

    Raises:
        ValueError: the margin is not positive.
        RuntimeError: different numbers of dimensions.

    >>> import tensorlab
    >>> a, p, n = (tensorlab.tensor([[x]]) for x in (0.0, 2.0, 1.5))
    >>> triplet_margin_loss(a, p, n)
    tensor(1.5000)
    """
    reduction = resolved(size_average, reduce, reduction)
    _check_triplet(margin, anchor, positive, negative)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return pairwise_distance(x, y, p, eps)

    return reduced(_triplet(distance, anchor, positive, negative, margin, swap), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any distance: a function of two tensors, `pairwise_distance` by default.

    Raises:
        ValueError: the margin is not positive, or another reduction.
        RuntimeError: different numbers of dimensions.

    >>> import tensorlab
    >>> a, p, n = (tensorlab.tensor([[x]]) for x in (0.0, 2.0, 1.5))
    >>> squared = lambda x, y: ((x - y) ** 2).sum(-1)
    >>> triplet_margin_with_distance_loss(a, p, n, distance_function=squared)
    tensor(2.7500)
    """
    check(reduction)
    _check_triplet(margin, anchor, positive, negative)
    distance = pairwise_distance if distance_function is None else distance_function
    return reduced(_triplet(distance, anchor, positive, negative, margin, swap), reduction)
