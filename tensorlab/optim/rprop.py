"""Resilient backpropagation."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim._settings import as_number, check_settings
from tensorlab.optim.elementwise import adjusted
from tensorlab.optim.fused import FusedOptimizer, Numbers, Update
from tensorlab.optim.optimizer import ParamsT

__all__ = ["Rprop"]


class Rprop(FusedOptimizer):
    r"""Steps from the signs of the gradient alone; for full batches.

    Each number has a step size. It grows by `η₊` while the gradient keeps its sign and shrinks by `η₋`
    when that changes, in which case the number stays where it is:

        p ← p - sign(g) · size

    Args:
        params: parameters, or groups of parameters; see `Optimizer`.
        lr: the first step size.
        etas: `(η₋, η₊)`.
        step_sizes: the smallest and the largest step size.
        maximize: go up the gradient instead of down.
        foreach: accepted for PyTorch's sake; every step is one fused pass.
        capturable: likewise, for parameters on CUDA; a step on the CPU refuses it, as PyTorch's.
        differentiable: let autograd record the step; see `tensorlab.optim.recorded`.

    Raises:
        ValueError: a setting is out of its range.

    Source: M. Riedmiller, H. Braun, "A direct adaptive method for faster backpropagation learning: the
    RPROP algorithm", ICNN 1993.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Rprop([p], lr=0.1)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    buffers = ("prev", "step_size")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        check_settings(defaults)
        super().__init__(params, defaults)

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        shrink, grow = group["etas"]
        smallest, largest = group["step_sizes"]
        lr, maximize = as_number(group["lr"]), group["maximize"]

        def update(p: Any, g: Any, work: Any, work2: Any, before: Any, size: Any) -> None:
            if is_first:
                size[...] = lr
            g = adjusted(xp, p, g, work, work2, 0, maximize)
            xp.multiply(g, before, out=work2)
            turned = work2 < 0
            size *= xp.where(turned, shrink, xp.where(work2 > 0, grow, 1)).astype(size.dtype)
            xp.clip(size, smallest, largest, out=size)
            before[...] = g
            before[turned] = 0
            xp.sign(before, out=work2)
            work2 *= size
            p -= work2

        settings = (maximize, lr, is_first, shrink, grow, smallest, largest)
        return Update(update, "rprop", settings)
