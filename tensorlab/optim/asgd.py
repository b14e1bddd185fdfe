"""Averaged stochastic gradient descent."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim._settings import as_number, check_settings
from tensorlab.optim.elementwise import adjusted
from tensorlab.optim.fused import FusedOptimizer, Numbers, Update
from tensorlab.optim.optimizer import ParamsT

__all__ = ["ASGD"]


class ASGD(FusedOptimizer):
    r"""Gradient descent with falling steps, and the mean of the parameters beside it.

    With step number `t`, a step size `η` that starts at `lr`, and a weight `μ` that starts at 1:

        p ← (1 - λ η) p - η g
        a ← a + μ (p - a)                 in `state[p]["ax"]`
        η ← lr / (1 + λ lr t) ^ α
        μ ← 1 / max(1, t - t₀)

    Args:
        params: parameters, or groups of parameters; see `Optimizer`.
        lr: learning rate.
        lambd: `λ`, a decay.
        alpha: `α`, how fast the steps get smaller.
        t0: `t₀`, the step after which the mean is taken; before, `a` is the parameter.
        weight_decay: an L2 penalty added to the gradient.
        maximize: go up the gradient instead of down.
        foreach: accepted for PyTorch's sake; every step is one fused pass.
        capturable: likewise, for parameters on CUDA; a step on the CPU refuses it, as PyTorch's.
        differentiable: let autograd record the step; see `tensorlab.optim.recorded`.

    Raises:
        ValueError: a setting is out of its range.

    Source: B. T. Polyak, A. B. Juditsky, "Acceleration of Stochastic Approximation by
    Averaging", SIAM Journal on Control and Optimization 30(4), 1992.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = ASGD([p], lr=0.1, lambd=0.0)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.8000, -1.6000], requires_grad=True)
    >>> optimizer.state[p]["ax"]
    tensor([ 0.8000, -1.6000])
    """

    number_names = ("step", "eta", "mu")
    buffers = ("ax",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        check_settings(defaults, "weight_decay")
        super().__init__(params, defaults)

    def first_number(self, name: str, group: dict[str, Any]) -> float:
        return {"step": 0.0, "eta": as_number(group["lr"]), "mu": 1.0}[name]

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        step = numbers["step"]
        lr, lambd, decay = as_number(group["lr"]), group["lambd"], group["weight_decay"]
        maximize = group["maximize"]
        size, weight = float(numbers["eta"]), float(numbers["mu"])
        numbers["eta"] = lr / (1 + lambd * lr * step) ** group["alpha"]
        numbers["mu"] = 1 / max(1.0, step - group["t0"])

        def update(p: Any, g: Any, work: Any, work2: Any, mean: Any) -> None:
            g = adjusted(xp, p, g, work, work2, decay, maximize)
            p *= 1 - lambd * size
            p -= xp.multiply(g, size, out=work2)
            if weight == 1:
                mean[...] = p
            else:
                xp.subtract(p, mean, out=work2)
                work2 *= weight
                mean += work2

        return Update(update, "asgd", (maximize, decay, 1 - lambd * size, size, weight))
