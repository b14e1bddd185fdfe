"""Adam."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim.fused import (
    FusedOptimizer,
    Update,
    as_number,
    check_options,
    check_sequence,
)
from tensorlab.optim.optimizer import ParamsT

__all__ = ["Adam"]


class Adam(FusedOptimizer):
    r"""Adam: steps of about `lr` per parameter, whatever the size of its gradients.

    With gradient `g`, step number `t`, running means `m` of `g` and `v` of `g²`:

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        p ← p - lr · m̂ / (√v̂ + ε)    with m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ)

    The divisions undo the bias towards the zeros that `m` and `v` start from: the first step
    is `lr · sign(g)`.

    Args:
        params: parameters, or groups of parameters; see `Optimizer`.
        lr: learning rate.
        betas: `(β₁, β₂)`.
        eps: `ε`, which keeps the quotient finite.
        weight_decay: an L2 penalty added to the gradient (or, with `decoupled_weight_decay`,
            a shrinking of the parameter by `lr · weight_decay`).
        amsgrad: divide by the largest `v` so far, so that steps never grow again.
        maximize: go up the gradient instead of down.
        decoupled_weight_decay: decay as AdamW does.
        foreach, fused, capturable: accepted for PyTorch's sake; every step is one fused pass.
        differentiable: not supported.

    Raises:
        ValueError: a setting is out of its range.

    Source: D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015,
    arXiv:1412.6980; amsgrad: S. Reddi, S. Kale, S. Kumar, "On the Convergence of Adam and
    Beyond", ICLR 2018.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adam([p], lr=0.1)
    >>> (1000 * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.9000, -2.1000], requires_grad=True)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not as_number(lr) >= 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps >= 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for i, beta in enumerate(betas):
            if not 0.0 <= as_number(beta) < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        if not weight_decay >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        check_sequence(betas, "betas")
        check_options(type(self).__name__, foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("amsgrad", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)
            group.setdefault("differentiable", False)
            group.setdefault("decoupled_weight_decay", False)
            group.setdefault("fused", None)

    def buffer_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        if group["amsgrad"]:
            return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
        return ("exp_avg", "exp_avg_sq")

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], step: float, is_first: bool
    ) -> Update:
        beta1, beta2 = map(as_number, group["betas"])
        lr = as_number(group["lr"])
        decay, eps = group["weight_decay"], group["eps"]
        maximize, decoupled = group["maximize"], group["decoupled_weight_decay"]
        # lr · m̂ / (√v̂ + ε) with one factor taken out of numerator and denominator: a pass less.
        correction2_sqrt = (1 - beta2**step) ** 0.5
        step_size = lr / (1 - beta1**step) * correction2_sqrt
        eps = eps * correction2_sqrt

        def update(
            p: Any, g: Any, work: Any, work2: Any, mean: Any, square: Any, largest: Any = None
        ) -> None:
            if maximize:
                g = xp.negative(g, out=work)
            if decay != 0:
                if decoupled:
                    p *= 1 - lr * decay
                else:
                    xp.multiply(p, decay, out=work2)
                    g = xp.add(g, work2, out=work)
            # The mean, from whichever end is nearer: this way it rounds least.
            xp.subtract(g, mean, out=work2)
            if beta1 > 0.5:
                work2 *= 1 - beta1
                mean += work2
            else:
                work2 *= beta1
                xp.subtract(g, work2, out=mean)
            square *= beta2
            xp.multiply(g, 1 - beta2, out=work2)
            work2 *= g
            square += work2
            if largest is not None:
                square = xp.maximum(largest, square, out=largest)
            xp.sqrt(square, out=work)
            work += eps
            xp.multiply(mean, step_size, out=work2)
            work2 /= work
            p -= work2

        return update
