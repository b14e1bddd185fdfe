"""Adadelta."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim._settings import as_number, check_settings
from tensorlab.optim.elementwise import adjusted, mean_of_squares
from tensorlab.optim.fused import FusedOptimizer, Numbers, Update
from tensorlab.optim.optimizer import ParamsT

__all__ = ["Adadelta"]


class Adadelta(FusedOptimizer):
    r"""Steps in the unit of the parameter: the ratio of two root mean squares.

        v ← ρ v + (1 - ρ) g²
        Δ = √(u + ε) / √(v + ε) · g
        u ← ρ u + (1 - ρ) Δ²
        p ← p - lr Δ

    Args:
        params: parameters, or groups of parameters; see `Optimizer`.
        lr: learning rate.
        rho: `ρ`, the memory of the two means.
        eps: `ε`, which also makes the first steps.
        weight_decay: an L2 penalty added to the gradient.
        maximize: go up the gradient instead of down.
        foreach: accepted for PyTorch's sake; every step is one fused pass.
        capturable: likewise, for parameters on CUDA; a step on the CPU refuses it, as PyTorch's.
        differentiable: let autograd record the step; see `tensorlab.optim.recorded`.

    Raises:
        ValueError: a setting is out of its range.

    Source: M. D. Zeiler, "ADADELTA: An Adaptive Learning Rate Method", arXiv:1212.5701.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adadelta([p], lr=0.1)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.9997, -1.9997], requires_grad=True)
    """

    buffers = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        check_settings(defaults, "eps", "weight_decay")
        super().__init__(params, defaults)

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        lr, rho, eps = as_number(group["lr"]), group["rho"], group["eps"]
        decay, maximize = group["weight_decay"], group["maximize"]

        def update(p: Any, g: Any, work: Any, work2: Any, square: Any, deltas: Any) -> None:
            g = adjusted(xp, p, g, work, work2, decay, maximize)
            mean_of_squares(xp, square, g, rho, work2)
            xp.add(deltas, eps, out=work2)
            xp.sqrt(work2, out=work2)
            work2 *= g
            xp.add(square, eps, out=work)
            xp.sqrt(work, out=work)
            work2 /= work
            deltas *= rho
            xp.multiply(work2, 1 - rho, out=work)
            work *= work2
            deltas += work
            work2 *= lr
            p -= work2

        return Update(update, "adadelta", (maximize, decay, lr, rho, 1 - rho, eps))
