"""Adam with the largest gradient instead of the mean square."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim._settings import as_number, check_settings
from tensorlab.optim.elementwise import adjusted, towards
from tensorlab.optim.fused import FusedOptimizer, Numbers, Update
from tensorlab.optim.optimizer import ParamsT

__all__ = ["Adamax"]


class Adamax(FusedOptimizer):
    r"""Adam with the largest recent gradient `u` in place of the root mean square.

        m ← β₁ m + (1 - β₁) g
        u ← max(β₂ u, |g| + ε)
        p ← p - lr / (1 - β₁ᵗ) · m / u

    Args:
        params: parameters, or groups of parameters; see `Optimizer`.
        lr: learning rate.
        betas: `(β₁, β₂)`.
        eps: `ε`.
        weight_decay: an L2 penalty added to the gradient.
        maximize: go up the gradient instead of down.
        foreach: accepted for PyTorch's sake; every step is one fused pass.
        capturable: likewise, for parameters on CUDA; a step on the CPU refuses it, as PyTorch's.
        differentiable: let autograd record the step; see `tensorlab.optim.recorded`.

    Raises:
        ValueError: a setting is out of its range.

    Source: D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015,
    arXiv:1412.6980, section 7.1.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adamax([p], lr=0.1)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    buffers = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        check_settings(defaults, "eps", "weight_decay")
        super().__init__(params, defaults)

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        beta1, beta2 = group["betas"]
        eps, decay, maximize = group["eps"], group["weight_decay"], group["maximize"]
        step_size = as_number(group["lr"]) / (1 - beta1 ** numbers["step"])

        def update(p: Any, g: Any, work: Any, work2: Any, mean: Any, largest: Any) -> None:
            g = adjusted(xp, p, g, work, work2, decay, maximize)
            towards(xp, mean, g, 1 - beta1, work2)
            largest *= beta2
            xp.abs(g, out=work2)
            work2 += eps
            xp.maximum(largest, work2, out=largest)
            xp.multiply(mean, step_size, out=work2)
            work2 /= largest
            p -= work2

        settings = (maximize, decay, 1 - beta1, beta2, step_size, eps)
        return Update(update, "adamax", settings)
