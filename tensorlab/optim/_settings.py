"""The settings of optimizers: what is refused, and what checkpoints of older versions lack."""

from __future__ import annotations

from typing import Any

from tensorlab._graph import mode
from tensorlab._tensor import Tensor

__all__ = ["LATER", "as_number", "check_options", "check_rate", "check_settings"]

#: Settings that came after the first checkpoints were written, and what they are if missing.
LATER: dict[str, Any] = {
    "amsgrad": False,
    "capturable": False,
    "decoupled_weight_decay": False,
    "differentiable": False,
    "foreach": None,
    "fused": None,
    "maximize": False,
    "nesterov": False,
}


def as_number(value: Any) -> Any:
    """A setting that may be a one-element tensor, as a Python number.

    In a step that is recorded, a tensor that requires grad stays one.
    """
    if not isinstance(value, Tensor):
        return value
    return value.reshape(()) if value.requires_grad and mode.grad else value.item()


def check_rate(lr: float | Tensor, message: str = "Invalid learning rate: {}") -> None:
    """Refuse a learning rate that is negative, not a number or a tensor of many."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not as_number(lr) >= 0.0:
        raise ValueError(message.format(lr))


def check_settings(settings: dict[str, Any], *non_negative: str) -> None:
    """Refuse settings that are out of range, as PyTorch does and in its words.

    Args:
        settings: all of them. `lr`, `betas`, `foreach`, `fused` and `differentiable` are always
            looked at.
        non_negative: which others must be 0 or more.
    """
    check_rate(settings["lr"])
    for setting in non_negative:
        value = settings[setting]
        if not as_number(value) >= 0.0:
            called = "epsilon" if setting == "eps" else setting
            raise ValueError(f"Invalid {called} value: {value}")
    for i, beta in enumerate(settings.get("betas", ())):
        if not 0.0 <= as_number(beta) < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
    check_options(
        settings.get("foreach"),
        settings.get("fused"),
        settings.get("differentiable", False),
    )


def check_options(foreach: Any, fused: Any, differentiable: bool) -> None:
    """Refuse ways to step that exclude each other."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
