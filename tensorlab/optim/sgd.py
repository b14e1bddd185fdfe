"""Stochastic gradient descent."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim._settings import as_number, check_settings
from tensorlab.optim.elementwise import adjusted
from tensorlab.optim.fused import FusedOptimizer, Numbers, Update
from tensorlab.optim.optimizer import ParamsT

__all__ = ["SGD"]


class SGD(FusedOptimizer):
    r"""Stochastic gradient descent, with momentum if wanted.

    With gradient `g`, velocity `v`, momentum `μ`, dampening `τ` and weight decay `λ`:

        g ← g + λ p
        v ← μ v + (1 - τ) g        (v ← g at the first step)
        p ← p - lr v               (p ← p - lr (g + μ v) with nesterov)

    Args:
        params: parameters, or groups of parameters; see `Optimizer`.
        lr: learning rate.
        momentum: `μ`; 0 keeps no velocity.
        dampening: `τ`.
        weight_decay: `λ`, an L2 penalty.
        nesterov: look ahead along the velocity; needs momentum and no dampening.
        maximize: go up the gradient instead of down.
        foreach, fused: accepted for PyTorch's sake; every step is one fused pass.
        differentiable: let autograd record the step; see `tensorlab.optim.recorded`.

    Raises:
        ValueError: a setting is negative, or `nesterov` without momentum or with dampening.

    Source: I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization
    and momentum in deep learning", ICML 2013, in PyTorch's variant, where the velocity does not
    contain the learning rate.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([p], lr=0.1)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.8000], requires_grad=True)
    """

    number_names = ()

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        check_settings(defaults, "momentum", "weight_decay")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, defaults)

    def buffer_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        lr = as_number(group["lr"])
        decay = as_number(group["weight_decay"])
        momentum, dampening = group["momentum"], group["dampening"]
        nesterov, maximize = group["nesterov"], group["maximize"]

        def update(p: Any, g: Any, work: Any, work2: Any, velocity: Any = None) -> None:
            g = adjusted(xp, p, g, work, work2, decay, maximize)
            if momentum != 0:
                if is_first:
                    velocity[...] = g
                else:
                    velocity *= momentum
                    velocity += g if dampening == 0 else xp.multiply(g, 1 - dampening, out=work2)
                if nesterov:
                    xp.multiply(velocity, momentum, out=work2)
                    g = xp.add(g, work2, out=work)
                else:
                    g = velocity
            p -= xp.multiply(g, lr, out=work2)

        if momentum == 0:
            return Update(update, "sgd", (maximize, decay, lr))
        settings = (maximize, decay, lr, momentum, 1 - dampening, nesterov, is_first)
        return Update(update, "sgd_momentum", settings)
