"""RMSprop."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim._settings import as_number, check_settings
from tensorlab.optim.elementwise import adjusted, mean_of_squares, towards
from tensorlab.optim.fused import FusedOptimizer, Numbers, Update
from tensorlab.optim.optimizer import ParamsT

__all__ = ["RMSprop"]


class RMSprop(FusedOptimizer):
    r"""Gradients divided by their root mean square.

        v ← α v + (1 - α) g²
        d = √v + ε             (√(v - m²) + ε if centered, with m ← α m + (1 - α) g)
        p ← p - lr g / d       (b ← μ b + g / d, p ← p - lr b with momentum)

    Args:
        params: parameters, or groups of parameters; see `Optimizer`.
        lr: learning rate.
        alpha: `α`.
        eps: `ε`, added after the root.
        weight_decay: an L2 penalty added to the gradient.
        momentum: `μ`; 0 keeps no buffer.
        centered: divide by the standard deviation instead.
        maximize: go up the gradient instead of down.
        foreach: accepted for PyTorch's sake; every step is one fused pass.
        capturable: likewise, for parameters on CUDA; a step on the CPU refuses it, as PyTorch's.
        differentiable: let autograd record the step; see `tensorlab.optim.recorded`.

    Raises:
        ValueError: a setting is out of its range.

    Source: G. Hinton, "Neural Networks for Machine Learning", lecture 6e; centered: A. Graves,
    arXiv:1308.0850.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = RMSprop([p], lr=0.01)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        check_settings(defaults, "eps", "momentum", "weight_decay", "alpha")
        super().__init__(params, defaults)

    def buffer_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        momentum = ("momentum_buffer",) if group["momentum"] > 0 else ()
        return ("square_avg", *momentum, *(("grad_avg",) if group["centered"] else ()))

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        lr, alpha, eps = as_number(group["lr"]), group["alpha"], group["eps"]
        decay, maximize = group["weight_decay"], group["maximize"]
        momentum, centered = group["momentum"], group["centered"]

        def update(p: Any, g: Any, work: Any, work2: Any, square: Any, *more: Any) -> None:
            g = adjusted(xp, p, g, work, work2, decay, maximize)
            mean_of_squares(xp, square, g, alpha, work2)
            if centered:
                mean = more[-1]
                towards(xp, mean, g, 1 - alpha, work2)
                xp.multiply(mean, mean, out=work2)
                xp.subtract(square, work2, out=work2)
                xp.sqrt(work2, out=work2)
            else:
                xp.sqrt(square, out=work2)
            work2 += eps
            xp.divide(g, work2, out=work2)
            if momentum > 0:
                buffer = more[0]
                buffer *= momentum
                buffer += work2
                xp.multiply(buffer, lr, out=work2)
            else:
                work2 *= lr
            p -= work2

        kernel = "rmsprop" + "_centered" * centered + "_momentum" * (momentum > 0)
        return Update(update, kernel, (maximize, decay, lr, alpha, 1 - alpha, eps, momentum))
