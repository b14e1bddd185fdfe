"""What the elementwise optimizers have in common: checks of settings, and parts of updates."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim.fused import as_number, check_options
from tensorlab.optim.optimizer import Optimizer

__all__ = ["adjusted", "check_settings", "set_missing", "towards"]


def check_settings(
    name: str,
    lr: float | Tensor,
    foreach: Any,
    fused: Any,
    differentiable: bool,
    /,
    betas: tuple[float, float] | None = None,
    **settings: float,
) -> None:
    """Refuse settings that are negative, and betas that are no averaging weights."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not as_number(lr) >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")
    for i, beta in enumerate(betas or ()):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
    for setting, value in settings.items():
        if not value >= 0.0:
            called = "epsilon" if setting == "eps" else setting
            raise ValueError(f"Invalid {called} value: {value}")
    check_options(name, foreach, fused, differentiable)


def set_missing(optimizer: Optimizer, *more: str) -> None:
    """Give groups from checkpoints of older versions the settings that did not exist then."""
    for group in optimizer.param_groups:
        group.setdefault("foreach", None)
        group.setdefault("maximize", False)
        group.setdefault("differentiable", False)
        for name in more:
            group.setdefault(name, None if name == "fused" else False)


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
