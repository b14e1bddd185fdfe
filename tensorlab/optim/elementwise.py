"""What the updates of the elementwise optimizers have in common."""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["adjusted", "mean_of_squares", "towards"]


def adjusted(
    xp: ModuleType, p: Any, g: Any, work: Any, work2: Any, decay: float, maximize: bool
) -> Any:
    """The gradient with its sign turned and weight decay added where wanted, then in `work`."""
    if maximize:
        g = xp.negative(g, out=work)
    if decay != 0:
        xp.multiply(p, decay, out=work2)
        g = xp.add(g, work2, out=work)
    return g


def towards(xp: ModuleType, mean: Any, g: Any, weight: float, work2: Any) -> None:
    """Move `mean` by `weight` of the way to `g`, from whichever end is nearer: it rounds least."""
    xp.subtract(g, mean, out=work2)
    if weight < 0.5:
        work2 *= weight
        mean += work2
    else:
        work2 *= 1 - weight
        xp.subtract(g, work2, out=mean)


def mean_of_squares(xp: ModuleType, square: Any, g: Any, beta: float, work2: Any) -> None:
    """`square ← β square + (1 - β) g²`."""
    square *= beta
    xp.multiply(g, 1 - beta, out=work2)
    work2 *= g
    square += work2
