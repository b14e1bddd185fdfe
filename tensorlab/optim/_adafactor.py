"""Adafactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab._backend import backend_of, runs_there
from tensorlab._dtypes import finfo
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import no_grad
from tensorlab.optim._settings import LATER, as_number, check_rate
from tensorlab.optim.elementwise import towards
from tensorlab.optim.fused import number_dtype
from tensorlab.optim.optimizer import Optimizer, ParamsT, run_closure

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    r"""Adam without the memory: of the squares of a matrix, only means of rows and columns are kept.

    With gradient `g`, step number `t`, `β = 1 - t^τ` and `ρ = min(lr, 1 / √t)`:

        R ← β R + (1 - β) mean of g² over columns
        C ← β C + (1 - β) mean of g² over rows
        V ← R C / max(mean(R), ε₁)          (for vectors: V ← β V + (1 - β) g²)
        u ← g / max(√V, ε₁)
        p ← p - max(ε₂, rms(p)) ρ · u / max(1, rms(u) / d)

    Args:
        params: parameters, or groups of parameters; see `Optimizer`. Real ones only.
        lr: the largest relative step, and the factor of the weight decay.
        beta2_decay: `τ`, 0 or less.
        eps: `(ε₁, ε₂)`; `None` for `ε₁` is the smallest step of the parameter's dtype at 1.
        d: how much larger than 1 the root mean square of an update may be.
        weight_decay: each step shrinks the parameter by `lr · weight_decay`.
        foreach: accepted for PyTorch's sake.
        maximize: go up the gradient instead of down.

    Raises:
        ValueError: a setting is out of its range.
        RuntimeError: a parameter is complex.

    Source: N. Shazeer, M. Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory
    Cost", ICML 2018, arXiv:1804.04235, in PyTorch's variant, where `lr` bounds the step.

    >>> import tensorlab
    >>> p = tensorlab.tensor([[1.0, -2.0]], requires_grad=True)
    >>> optimizer = Adafactor([p], lr=0.1)
    >>> (p**2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([[ 0.8419, -1.8419]], requires_grad=True)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_rate(lr, "Learning rate should be >= 0 but is: {}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("foreach", LATER["foreach"])

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once; see `Optimizer.step`."""
        loss = run_closure(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.is_complex():
                    raise RuntimeError("Adafactor does not support complex parameters")
                if p.grad.is_sparse:
                    raise RuntimeError("Adafactor does not support sparse gradients")
                _update(p, self.state[p], group)
        return loss


@runs_there
def _update(p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """One step of one parameter. float16 and bfloat16 are computed in float32."""
    xp = backend_of(p._data).xp
    values, g = _widened(xp, p._data), _widened(xp, p._grad._data)  # type: ignore[union-attr]
    if group["maximize"]:
        g = -g
    if not state:
        state["step"] = wrap(np.zeros((), number_dtype()))
        if p.ndim > 1:
            shape = p._data.shape
            state["row_var"] = p.new_zeros((*shape[:-1], 1))
            state["col_var"] = p.new_zeros((*shape[:-2], 1, shape[-1]))
        else:
            state["variance"] = p.new_zeros(p._data.shape)
    state["step"] += 1
    step, lr = state["step"].item(), as_number(group["lr"])
    eps1, eps2 = group["eps"]
    if eps1 is None:
        eps1 = finfo(p.dtype).eps
    weight = step ** group["beta2_decay"]
    size = max(eps2, _rms(xp, values)) * min(lr, 1 / step**0.5)

    squares = g * g
    if p.ndim > 1:
        rows = _followed(xp, state["row_var"], squares.mean(-1, keepdims=True), weight)
        columns = _followed(xp, state["col_var"], squares.mean(-2, keepdims=True), weight)
        variance = rows * columns
        variance /= xp.maximum(rows.mean(-2, keepdims=True), eps1)
    else:
        variance = _followed(xp, state["variance"], squares, weight)
    update = g / xp.sqrt(xp.maximum(variance, eps1 * eps1))
    update *= size / max(1.0, _rms(xp, update) / group["d"])
    if group["weight_decay"] != 0:
        values = values * (1 - lr * group["weight_decay"])
    p._data[...] = values - update
    p._version_cell[0] += 1


def _widened(xp: Any, array: Any) -> Any:
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array


def _rms(xp: Any, array: Any) -> float:
    """The root mean square; nan of nothing, as in PyTorch."""
    return float(xp.sqrt((array * array).mean())) if array.size else float("nan")


def _followed(xp: Any, kept: Tensor, now: Any, weight: float) -> Any:
    """Move a running mean by `weight` of the way to `now`; the mean, widened."""
    mean = _widened(xp, kept._data)
    towards(xp, mean, now, weight, xp.empty_like(mean))
    if mean is not kept._data:
        kept._data[...] = mean
    kept._version_cell[0] += 1
    return mean
