"""The `reduction` argument of losses, and PyTorch's old flags for it."""

from __future__ import annotations

import warnings
from typing import Any


def legacy_reduction(
    size_average: bool | None, reduce: bool | None, reduction: str, stacklevel: int = 3
) -> str:
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
        stacklevel=stacklevel + 1,
    )
    return reduction


def resolved(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """One of "mean", "sum" and "none"; `ValueError` for anything else.

    >>> resolved(None, None, "sum")
    'sum'
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction, stacklevel=3)
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.",
            stacklevel=3,
        )
        return "mean"
    check(reduction)
    return reduction


def check(reduction: str) -> None:
    """`ValueError` for what is no reduction."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(
            f"{reduction} is not a valid value for reduction: expected 'mean', 'sum' or 'none'"
        )


def reduced(loss: Any, reduction: str) -> Any:
    """A tensor of losses as `reduction` says."""
    check(reduction)
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss
