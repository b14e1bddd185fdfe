"""Limited-memory BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.autograd import enable_grad, no_grad
from tensorlab.ops.complexes import view_as_real
from tensorlab.ops.joining import cat
from tensorlab.optim._line_search import strong_wolfe
from tensorlab.optim._settings import as_number, check_rate
from tensorlab.optim.optimizer import Optimizer, ParamsT

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    r"""A quasi-Newton method: curvature is learned from the last changes of the gradient.

    The direction is `-H g`, where the inverse Hessian `H` is built from the last
    `history_size` pairs of steps `s` and changes of the gradient `y` by the two-loop recursion.
    For smooth losses on full batches; it evaluates the loss several times per step, so `step`
    needs a closure. It takes one group of parameters.

    Args:
        params: the parameters; see `Optimizer`.
        lr: length of a step in units of the direction; with a line search, of its first try.
        max_iter: iterations per `step`.
        max_eval: evaluations of the closure per `step`; 1.25 times `max_iter` by default.
        tolerance_grad: stop when no number of the gradient is larger.
        tolerance_change: stop when neither loss nor parameters change by more.
        history_size: how many changes to remember.
        line_search_fn: `"strong_wolfe"`, or None for steps of length `lr`.

    Raises:
        ValueError: `lr` is negative, or there are several groups.
        RuntimeError: from `step`, for an unknown line search.

    Source: J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd edition, algorithms 7.4
    and 7.5; the stopping rules are PyTorch's.

    >>> import tensorlab
    >>> p = tensorlab.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = LBFGS([p], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((p - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure)
    tensor(13., grad_fn=<SumBackward0>)
    >>> p
    tensor([1.0000, 1.0000], requires_grad=True)
    """

    number_names = ()

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_rate(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Iterate until a limit or a tolerance is reached.

        Args:
            closure: a function that computes the loss anew, with its gradients, and returns it.

        Returns:
            The loss before the step.
        """
        if len(self.param_groups) != 1:
            raise AssertionError(
                f"Expected exactly one param_group, but got {len(self.param_groups)}"
            )
        closure = enable_grad()(closure)
        group = self.param_groups[0]
        lr = as_number(group["lr"])
        # There is one state for all parameters, kept with the first.
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        gradient = self._flat_gradient()
        if self._is_flat(gradient):
            return first_loss

        kept = {name: state.get(name) for name in _KEPT}
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                kept.update(d=gradient.neg(), old_dirs=[], old_stps=[], ro=[], H_diag=1)
                kept["t"] = min(1.0, 1.0 / gradient.abs().sum()) * lr
            else:
                self._remember(kept, gradient)
                kept["d"] = self._direction(kept, gradient)
                kept["t"] = lr
            kept["prev_flat_grad"] = gradient.clone()
            kept["prev_loss"] = before = loss
            direction = kept["d"]
            slope = gradient.dot(direction)
            if slope > -group["tolerance_change"]:
                break

            calls = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                loss, gradient, kept["t"], calls = strong_wolfe(
                    self._evaluator(closure, direction),
                    kept["t"],
                    direction,
                    (loss, gradient, slope),
                    max_ls=group["max_eval"] - evaluations,
                )
                self._move(kept["t"], direction)
            else:
                self._move(kept["t"], direction)
                # What the loss is after the last iteration, the next step's first call will say.
                if iteration != group["max_iter"]:
                    loss = float(closure())
                    gradient = self._flat_gradient()
                    calls = 1
            evaluations += calls
            state["func_evals"] += calls
            if (
                evaluations >= group["max_eval"]
                or self._is_flat(gradient)
                or direction.mul(kept["t"]).abs().max() <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        state.update(kept)
        return first_loss

    def _is_flat(self, gradient: Tensor) -> bool:
        return bool(gradient.abs().max() <= self.param_groups[0]["tolerance_grad"])

    def _remember(self, kept: dict[str, Any], gradient: Tensor) -> None:
        """Note the last step and how the gradient changed over it."""
        change = gradient.sub(kept["prev_flat_grad"])
        step = kept["d"].mul(kept["t"])
        curvature = change.dot(step)
        if curvature > 1e-10:
            if len(kept["old_dirs"]) == self.param_groups[0]["history_size"]:
                for name in ("old_dirs", "old_stps", "ro"):
                    kept[name].pop(0)
            kept["old_dirs"].append(change)
            kept["old_stps"].append(step)
            kept["ro"].append(1.0 / curvature)
            kept["H_diag"] = curvature / change.dot(change)

    def _direction(self, kept: dict[str, Any], gradient: Tensor) -> Tensor:
        """`-H g` by the two-loop recursion."""
        group = self.param_groups[0]
        state = self.state[group["params"][0]]
        along = state.setdefault("al", [None] * group["history_size"])
        changes, steps, ro = kept["old_dirs"], kept["old_stps"], kept["ro"]
        direction = gradient.neg()
        for i in reversed(range(len(changes))):
            along[i] = steps[i].dot(direction) * ro[i]
            direction.add_(changes[i], alpha=-along[i].item())
        direction = direction.mul(kept["H_diag"])
        for i in range(len(changes)):
            across = changes[i].dot(direction) * ro[i]
            direction.add_(steps[i], alpha=(along[i] - across).item())
        return direction

    # The parameters as one vector ------------------------------------------------------

    def _params(self) -> list[Tensor]:
        """The parameters; complex ones as pairs of real numbers, on the same memory."""
        params = self.param_groups[0]["params"]
        return [view_as_real(p) if p.is_complex() else p for p in params]

    def _flat_gradient(self) -> Tensor:
        """All gradients in one vector; zeros where there is none."""
        parts = []
        for p in self.param_groups[0]["params"]:
            part = p.new_zeros(p.shape) if p.grad is None else p.grad
            parts.append((view_as_real(part) if part.is_complex() else part).reshape(-1))
        return cat(parts, 0)

    def _move(self, size: Any, direction: Tensor) -> None:
        """Go `size` times `direction`."""
        start = 0
        size = as_number(size)
        for p in self._params():
            p.add_(direction[start : start + p.numel()].view(p.shape), alpha=size)
            start += p.numel()

    def _evaluator(
        self, closure: Callable[[], Any], direction: Tensor
    ) -> Callable[[Any], tuple[float, Tensor]]:
        """Loss and gradient as a function of how far to go; the parameters stay where they are."""
        params = self._params()
        start = [p.clone() for p in params]

        def evaluate(size: Any) -> tuple[float, Tensor]:
            self._move(size, direction)
            loss = float(closure())
            gradient = self._flat_gradient()
            for p, values in zip(params, start, strict=True):
                p.copy_(values)
            return loss, gradient

        return evaluate


_KEPT = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")
