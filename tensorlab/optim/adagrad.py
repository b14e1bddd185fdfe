"""Adagrad."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim.elementwise import adjusted, check_settings, set_missing
from tensorlab.optim.fused import FusedOptimizer, Update, as_number
from tensorlab.optim.optimizer import ParamsT

__all__ = ["Adagrad"]


class Adagrad(FusedOptimizer):
    r"""Steps that shrink with the squares of all gradients so far.

        s ← s + g²
        p ← p - lr / (1 + (t - 1) lr_decay) · g / (√s + ε)

    Args:
        params: parameters, or groups of parameters; see `Optimizer`.
        lr: learning rate.
        lr_decay: how fast the learning rate falls.
        weight_decay: an L2 penalty added to the gradient.
        initial_accumulator_value: of `s`.
        eps: `ε`.
        maximize: go up the gradient instead of down.
        foreach, fused: accepted for PyTorch's sake; every step is one fused pass.
        differentiable: not supported.

    Raises:
        ValueError: a setting is out of its range.

    Source: J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization", JMLR 12, 2011.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adagrad([p], lr=0.1)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_settings(
            "Adagrad",
            lr,
            foreach,
            fused,
            differentiable,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        set_missing(self, "fused")

    def buffer_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("sum",)

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], step: float, is_first: bool
    ) -> Update:
        eps, decay, maximize = group["eps"], group["weight_decay"], group["maximize"]
        initial = group["initial_accumulator_value"] if is_first else 0
        step_size = as_number(group["lr"]) / (1 + (step - 1) * group["lr_decay"])

        def update(p: Any, g: Any, work: Any, work2: Any, total: Any) -> None:
            g = adjusted(xp, p, g, work, work2, decay, maximize)
            if initial:
                total += initial
            xp.multiply(g, g, out=work2)
            total += work2
            xp.sqrt(total, out=work2)
            work2 += eps
            xp.divide(g, work2, out=work2)
            work2 *= step_size
            p -= work2

        return update
