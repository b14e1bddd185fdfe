"""Adam with Nesterov's momentum."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim._settings import as_number, check_settings
from tensorlab.optim.elementwise import adjusted, mean_of_squares, towards
from tensorlab.optim.fused import FusedOptimizer, Numbers, Update
from tensorlab.optim.optimizer import ParamsT

__all__ = ["NAdam"]


class NAdam(FusedOptimizer):
    r"""Adam that looks one step of its momentum ahead.

    With `m`, `v` as in Adam, step number `t` and a momentum `μₜ = β₁ (1 - ½ · 0.96^(t ψ))` that
    warms up to `β₁`:

        m̂ ← μₜ₊₁ m / (1 - μ₁ ⋯ μₜ₊₁) + (1 - μₜ) g / (1 - μ₁ ⋯ μₜ)
        p ← p - lr · m̂ / (√(v / (1 - β₂ᵗ)) + ε)

    Args:
        params: parameters, or groups of parameters; see `Optimizer`.
        lr: learning rate.
        betas: `(β₁, β₂)`.
        eps: `ε`.
        weight_decay: an L2 penalty added to the gradient.
        momentum_decay: `ψ`, how fast the momentum warms up.
        decoupled_weight_decay: shrink the parameter by `lr · weight_decay` instead, as AdamW does.
        maximize: go up the gradient instead of down.
        foreach: accepted for PyTorch's sake; every step is one fused pass.
        capturable: likewise, for parameters on CUDA; a step on the CPU refuses it, as PyTorch's.
        differentiable: let autograd record the step; see `tensorlab.optim.recorded`.

    Raises:
        ValueError: a setting is out of its range.

    Source: T. Dozat, "Incorporating Nesterov Momentum into Adam", ICLR 2016 workshop.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = NAdam([p], lr=0.1)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.8944, -1.8944], requires_grad=True)
    """

    number_names = ("step", "mu_product")
    buffers = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        check_settings(defaults, "eps", "weight_decay", "momentum_decay")
        super().__init__(params, defaults)

    def first_number(self, name: str, group: dict[str, Any]) -> float:
        return 1.0 if name == "mu_product" else 0.0

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        step = numbers["step"]
        beta1, beta2 = group["betas"]
        lr, eps, decay = as_number(group["lr"]), group["eps"], group["weight_decay"]
        maximize, decoupled = group["maximize"], group["decoupled_weight_decay"]
        now, then = (
            beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1)
        )
        numbers["mu_product"] = numbers["mu_product"] * now
        product = float(numbers["mu_product"])
        of_gradient = lr * (1 - now) / (1 - product)
        of_mean = lr * then / (1 - product * then)
        correction2_sqrt = (1 - beta2**step) ** 0.5
        # As in Adam: one factor out of numerator and denominator.
        of_gradient, of_mean = of_gradient * correction2_sqrt, of_mean * correction2_sqrt
        eps = eps * correction2_sqrt

        def update(p: Any, g: Any, work: Any, work2: Any, mean: Any, square: Any) -> None:
            if decay != 0 and decoupled:
                p *= 1 - lr * decay
            g = adjusted(xp, p, g, work, work2, 0 if decoupled else decay, maximize)
            towards(xp, mean, g, 1 - beta1, work2)
            mean_of_squares(xp, square, g, beta2, work2)
            xp.multiply(g, of_gradient, out=work)
            xp.multiply(mean, of_mean, out=work2)
            work += work2
            xp.sqrt(square, out=work2)
            work2 += eps
            work /= work2
            p -= work

        # What the compiled passes take of the decay: a factor of the parameter, and of the gradient's.
        shrink, penalty = (1 - lr * decay, 0) if decoupled else (1, decay)
        settings = (
            maximize,
            penalty,
            shrink,
            1 - beta1,
            beta2,
            1 - beta2,
            of_gradient,
            of_mean,
            eps,
        )
        return Update(update, "nadam", settings)
