"""Rectified Adam."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim._settings import as_number, check_settings
from tensorlab.optim.elementwise import adjusted, mean_of_squares, towards
from tensorlab.optim.fused import FusedOptimizer, Numbers, Update
from tensorlab.optim.optimizer import ParamsT

__all__ = ["RAdam"]


class RAdam(FusedOptimizer):
    r"""Adam whose first steps are momentum only, until the mean of squares rests on enough of them.

    With `m`, `v` as in Adam and step number `t`:

        ρ∞ = 2 / (1 - β₂) - 1    ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)
        r = √((ρ - 4)(ρ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρ))
        p ← p - lr m̂ r √(1 - β₂ᵗ) / (√v + ε)    where ρ > 5, else p ← p - lr m̂

    Args:
        params: parameters, or groups of parameters; see `Optimizer`.
        lr: learning rate.
        betas: `(β₁, β₂)`.
        eps: `ε`.
        weight_decay: an L2 penalty added to the gradient.
        decoupled_weight_decay: shrink the parameter by `lr · weight_decay` instead, as AdamW does.
        maximize: go up the gradient instead of down.
        foreach: accepted for PyTorch's sake; every step is one fused pass.
        capturable: likewise, for parameters on CUDA; a step on the CPU refuses it, as PyTorch's.
        differentiable: let autograd record the step; see `tensorlab.optim.recorded`.

    Raises:
        ValueError: a setting is out of its range.

    Source: L. Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020,
    arXiv:1908.03265.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = RAdam([p], lr=0.1)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.8000, -1.6000], requires_grad=True)
    """

    buffers = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        check_settings(defaults, "eps", "weight_decay")
        super().__init__(params, defaults)

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        step = numbers["step"]
        beta1, beta2 = group["betas"]
        lr, eps, decay = as_number(group["lr"]), group["eps"], group["weight_decay"]
        maximize, decoupled = group["maximize"], group["decoupled_weight_decay"]
        correction2 = 1 - beta2**step
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * step * beta2**step / correction2
        step_size = lr / (1 - beta1**step)
        if length > 5:
            rectified = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
            step_size *= (correction2 * rectified) ** 0.5

        def update(p: Any, g: Any, work: Any, work2: Any, mean: Any, square: Any) -> None:
            if decay != 0 and decoupled:
                p *= 1 - lr * decay
            g = adjusted(xp, p, g, work, work2, 0 if decoupled else decay, maximize)
            towards(xp, mean, g, 1 - beta1, work2)
            mean_of_squares(xp, square, g, beta2, work2)
            xp.multiply(mean, step_size, out=work2)
            if length > 5:
                xp.sqrt(square, out=work)
                work += eps
                work2 /= work
            p -= work2

        # What the compiled passes take of the decay: a factor of the parameter, and of the gradient's.
        shrink, penalty = (1 - lr * decay, 0) if decoupled else (1, decay)
        settings = (
            maximize,
            penalty,
            shrink,
            1 - beta1,
            beta2,
            1 - beta2,
            step_size,
            eps,
            length > 5,
        )
        return Update(update, "radam", settings)
