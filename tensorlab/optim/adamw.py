"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.optim.adam import Adam
from tensorlab.optim.optimizer import ParamsT

__all__ = ["AdamW"]


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters and stays out of the running means.

    Each step first does `p ← p - lr · weight_decay · p`, then Adam's step.

    Args:
        weight_decay: the decay, 0.01 by default; the others are as for `Adam`.

    Source: I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019,
    arXiv:1711.05101.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0], requires_grad=True)
    >>> p.grad = tensorlab.zeros(1)
    >>> AdamW([p], lr=0.1, weight_decay=0.5).step()
    >>> p
    tensor([0.9500], requires_grad=True)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
