"""Losses of each element in float32."""

from __future__ import annotations

from typing import Any

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many numbers the generic path is as fast.
FEWEST = 2_048


def _kernels(input: Any, target: Any, reduction: Any, numbers: tuple[Any, ...]) -> Any:
    """The compiled losses, if they are made for these."""
    if not all_float32(input, target) or input.size < FEWEST or input.shape != target.shape:
        return None
    if not input.size or reduction not in ("mean", "sum", "none"):
        return None
    return native("loss") if all(type(n) in (int, float) and n >= 0 for n in numbers) else None


def _forward(name: str, input: Any, target: Any, reduction: Any, *numbers: Any) -> Any:
    if name == "huber_loss" and not numbers[0] > 0:
        return NotImplemented
    found = _kernels(input, target, reduction, numbers)
    return NotImplemented if found is None else found.loss(name, input, target, reduction, *numbers)


def _backward(name: str, g: Any, input: Any, target: Any, reduction: Any, *numbers: Any) -> Any:
    wanted = input.shape if reduction == "none" else ()
    found = _kernels(input, target, reduction, numbers)
    if found is None or not all_float32(g) or g.shape != wanted:
        return NotImplemented
    return found.loss_backward(name, g, input, target, reduction, *numbers)


def _register(name: str, symmetric: bool) -> None:
    register_kernel(name, "cpu")(lambda *given: _forward(name, *given))
    register_backward_kernel(name, "cpu", "input")(lambda *given: _backward(name, *given))
    if symmetric:
        register_backward_kernel(name, "cpu", "target")(
            lambda g, input, target, *how: _backward(name, g, target, input, *how)
        )


for _name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
    _register(_name, symmetric=True)
_register("soft_margin_loss", symmetric=False)

_LOGITS = "binary_cross_entropy_with_logits"


@register_kernel(_LOGITS, "cpu")
def _with_logits(input: Any, target: Any, weight: Any, pos_weight: Any, reduction: Any) -> Any:
    if weight is not None or pos_weight is not None:
        return NotImplemented
    return _forward(_LOGITS, input, target, reduction)


@register_backward_kernel(_LOGITS, "cpu", "input")
def _with_logits_backward(
    g: Any, input: Any, target: Any, weight: Any, pos_weight: Any, reduction: Any
) -> Any:
    if weight is not None or pos_weight is not None:
        return NotImplemented
    return _backward(_LOGITS, g, input, target, reduction)
