"""Muon: momentum, with the update made orthogonal."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab._backend import backend_of, runs_there
from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.optim._settings import as_number, check_rate
from tensorlab.optim.elementwise import towards
from tensorlab.optim.optimizer import Optimizer, ParamsT, run_closure

__all__ = ["Muon"]

# A quintic that pushes all singular values towards 1 and is steep at 0, where the small ones are.
NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    r"""Momentum whose direction has all singular values near 1; for the matrices of hidden layers.

    With gradient `g` and its running mean `b` (`b ← μ b + (1 - μ) g`):

        u ← μ b + (1 - μ) g        (u ← b without nesterov)
        p ← (1 - lr λ) p - lr · c · orthogonal(u)

    `orthogonal` keeps the singular vectors of its argument and brings its singular values near 1
    by a few Newton-Schulz iterations, in bfloat16 precision. Biases, embeddings and other
    parameters that are not matrices go to another optimizer, such as `AdamW`.

    Args:
        params: matrices, or groups of them; see `Optimizer`.
        lr: learning rate.
        weight_decay: `λ`.
        momentum: `μ`.
        nesterov: look ahead along the momentum.
        ns_coefficients: `(a, b, c)` of the iteration `x ← a x + (b xxᵀ + c (xxᵀ)²) x`.
        eps: the least norm to divide by.
        ns_steps: how many iterations; below 100.
        adjust_lr_fn: the factor `c` of an `A × B` matrix. `"original"`, the default, is
            `√max(1, A / B)`; `"match_rms_adamw"` is `0.2 √max(A, B)`, with which the learning
            rate and weight decay found for AdamW can be kept.

    Raises:
        ValueError: a setting is out of its range, or a parameter is no matrix.
        RuntimeError: a parameter is complex.

    Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024;
    match_rms_adamw: J. Liu et al., "Muon is Scalable for LLM Training", arXiv:2502.16982.

    >>> import tensorlab
    >>> p = tensorlab.zeros(2, 2, requires_grad=True)
    >>> p.grad = tensorlab.tensor([[3.0, 0.0], [0.0, 4.0]])
    >>> Muon([p], lr=0.1, weight_decay=0.0).step()
    >>> abs(p.diagonal() + 0.1).max() < 0.04  # both singular values, near 1 times the rate
    tensor(True)
    """

    number_names = ()

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = NS_COEFFICIENTS,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_rate(lr, "Learning rate should be >= 0 but is: {}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with "
                        f"size: {p.size()}"
                    )

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once; see `Optimizer.step`."""
        loss = run_closure(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.is_complex():
                    raise RuntimeError("Muon does not support complex parameters")
                if p.grad.is_sparse:
                    raise RuntimeError("Muon does not support sparse gradients")
                state = self.state[p]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = p.new_zeros(p._data.shape)
                _update(p, state["momentum_buffer"], group)
        return loss


@runs_there
def _update(p: Tensor, kept: Tensor, group: dict[str, Any]) -> None:
    """One step of one matrix."""
    xp = backend_of(p._data).xp
    lr, momentum = as_number(group["lr"]), group["momentum"]
    g, mean = p._grad._data, kept._data  # type: ignore[union-attr]
    towards(xp, mean, g, 1 - momentum, xp.empty_like(mean))
    kept._version_cell[0] += 1
    direction = mean
    if group["nesterov"]:
        direction = g + momentum * (mean - g)
    direction = orthogonalized(
        xp, direction, group["ns_coefficients"], group["ns_steps"], group["eps"]
    )
    rows, columns = p._data.shape
    factor = 1.0
    if group["adjust_lr_fn"] == "match_rms_adamw":
        factor = 0.2 * math.sqrt(max(rows, columns))
    elif columns:
        factor = math.sqrt(max(1, rows / columns))
    p._data *= 1 - lr * group["weight_decay"]
    p._data -= (lr * factor * direction).astype(p._data.dtype)
    p._version_cell[0] += 1


def orthogonalized(
    xp: ModuleType,
    matrix: Any,
    coefficients: tuple[float, float, float],
    steps: int,
    eps: float,
) -> Any:
    """A matrix with the singular vectors of `matrix` and singular values near 1, in float32."""
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    x = _rounded(xp, matrix.astype(np.float32))
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T  # the smaller product
    norm = _rounded(xp, xp.sqrt((x * x).sum(keepdims=True)))
    x = _rounded(xp, x / xp.maximum(norm, eps))  # no singular value above 1
    for _ in range(steps):
        gram = _rounded(xp, x @ x.T)
        change = _rounded(xp, b * gram + c * (gram @ gram))
        x = _rounded(xp, a * x + change @ x)
    return x.T if tall else x


def _rounded(xp: ModuleType, array: Any) -> Any:
    """float32 with the precision of bfloat16: the upper half of the bits, to nearest even."""
    bits = xp.ascontiguousarray(array).view(np.uint32)
    bits = (bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)
