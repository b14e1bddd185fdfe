"""Adagrad."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from tensorlab._backend import backend_of, on_device_of
from tensorlab._tensor import Tensor, wrap
from tensorlab.optim._settings import as_number, check_settings
from tensorlab.optim.elementwise import adjusted
from tensorlab.optim.fused import FusedOptimizer, Numbers, Update, number_dtype
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
        differentiable: let autograd record the step; see `tensorlab.optim.recorded`.

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

    buffers = ("sum",)

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
        check_settings(defaults, "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters; see `Optimizer`. Their sums begin here, as PyTorch's do."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        start = group["initial_accumulator_value"]
        for p in group["params"]:
            with on_device_of(p._data):
                sums = backend_of(p._data).xp.empty_like(p._data)
                sums[...] = complex(start, start) if p.is_complex() else start
            self.state[p].update(step=wrap(np.zeros((), number_dtype())), sum=wrap(sums))

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        eps, decay, maximize = group["eps"], group["weight_decay"], group["maximize"]
        step_size = as_number(group["lr"]) / (1 + (numbers["step"] - 1) * group["lr_decay"])

        def update(p: Any, g: Any, work: Any, work2: Any, total: Any) -> None:
            g = adjusted(xp, p, g, work, work2, decay, maximize)
            xp.multiply(g, g, out=work2)
            total += work2
            xp.sqrt(total, out=work2)
            work2 += eps
            xp.divide(g, work2, out=work2)
            work2 *= step_size
            p -= work2

        return Update(update, "adagrad", (maximize, decay, step_size, eps))
