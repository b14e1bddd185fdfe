"""Adam."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim._settings import as_number, check_settings
from tensorlab.optim.elementwise import adjusted, mean_of_squares, towards
from tensorlab.optim.fused import FusedOptimizer, Numbers, Update
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
        foreach, fused: accepted for PyTorch's sake; every step is one fused pass.
        capturable: likewise, for parameters on CUDA; a step on the CPU refuses it, as PyTorch's.
        differentiable: let autograd record the step; see `tensorlab.optim.recorded`.

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
        _check_tensors(lr, betas, foreach, capturable)
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
        check_settings(defaults, "eps", "weight_decay")
        super().__init__(params, defaults)

    def buffer_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        if group["amsgrad"]:
            return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
        return ("exp_avg", "exp_avg_sq")

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        step = numbers["step"]
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
            if decay != 0 and decoupled:
                p *= 1 - lr * decay
            g = adjusted(xp, p, g, work, work2, 0 if decoupled else decay, maximize)
            towards(xp, mean, g, 1 - beta1, work2)
            mean_of_squares(xp, square, g, beta2, work2)
            if largest is not None:
                square = xp.maximum(largest, square, out=largest)
            xp.sqrt(square, out=work)
            work += eps
            xp.multiply(mean, step_size, out=work2)
            work2 /= work
            p -= work2

        # What the compiled passes take of the decay: a factor of the parameter, and of the gradient's.
        shrink, penalty = (1 - lr * decay, 0) if decoupled else (1, decay)
        settings = (maximize, penalty, shrink, 1 - beta1, beta2, 1 - beta2, step_size, eps)
        return Update(update, "amsgrad" if group["amsgrad"] else "adam", settings)


def _check_tensors(lr: Any, betas: Any, foreach: Any, capturable: bool) -> None:
    """Refuse learning rates and betas that are tensors where PyTorch does not take them."""
    unfit = foreach and not capturable
    if isinstance(lr, Tensor) and unfit:
        raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
    tensors = [isinstance(beta, Tensor) for beta in betas]
    if not (all(tensors) or all(isinstance(beta, float) for beta in betas)):
        raise ValueError("betas must be either both floats or both Tensors")
    for i, beta in enumerate(betas):
        if isinstance(beta, Tensor):
            if unfit:
                raise ValueError(
                    f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True"
                )
            if beta.numel() != 1:
                raise ValueError(f"Tensor betas[{i}] must be 1-element")
