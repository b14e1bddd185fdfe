"""`GradScaler`: keeps the gradients of float16 from vanishing."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from typing import Any

from tensorlab import _dtypes, cuda
from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.ops.creation import full
from tensorlab.optim.optimizer import Optimizer

__all__ = ["GradScaler", "OptState"]


class OptState(Enum):
    """How far an optimizer is in this iteration.

    >>> OptState.READY.value
    0
    """

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _new_state() -> dict[str, Any]:
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler:
    """Scales the loss, so that small gradients do not become 0 in float16.

    `scale(loss).backward()` computes gradients that are too large by the scale, `step(optimizer)`
    divides them by it and steps, unless one is infinite or nan, and `update()` then halves the
    scale; after `growth_interval` steps without such it doubles it. So the scale follows the
    largest that fits.

    Args:
        device: where the loss is: `"cuda"` or `"cpu"`.
        init_scale: the first scale.
        growth_factor: what it is multiplied by after `growth_interval` good steps; above 1.
        backoff_factor: what it is multiplied by after a bad one; below 1.
        growth_interval: a number of steps.
        enabled: False makes `scale` and `update` do nothing, and `step` the optimizer's step.

    Raises:
        AssertionError: a factor is out of its range.

    Warns:
        UserWarning: `device` is `"cuda"` and there is none: it is then not enabled.

    Source: P. Micikevicius et al., "Mixed Precision Training", ICLR 2018, arXiv:1710.03740.

    >>> import tensorlab
    >>> p = tensorlab.tensor([1.0], requires_grad=True)
    >>> optimizer = tensorlab.optim.SGD([p], lr=0.1)
    >>> scaler = GradScaler("cpu", init_scale=1024.0)
    >>> scaler.scale((p * p).sum()).backward()
    >>> p.grad
    tensor([2048.])
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> p
    tensor([0.8000], requires_grad=True)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if device == "cuda" and enabled and not cuda.is_available():
            warnings.warn(
                "GradScaler is enabled for CUDA, but CUDA is not available.  Disabling. "
                'Pass "cpu" to scale there.',
                stacklevel=2,
            )
            self._enabled = False
        if self._enabled:
            if growth_factor <= 1.0:
                raise AssertionError("The growth factor must be > 1.0.")
            if backoff_factor >= 1.0:
                raise AssertionError("The backoff factor must be < 1.0.")
            self._init_scale = init_scale
            self._scale: Tensor | None = None
            self._growth_factor = growth_factor
            self._backoff_factor = backoff_factor
            self._growth_interval = growth_interval
            self._init_growth_tracker = 0
            self._growth_tracker: Tensor | None = None
            self._per_optimizer_states: defaultdict[int, Any] = defaultdict(_new_state)

    # One iteration ---------------------------------------------------------------------

    def scale(self, outputs: Any) -> Any:
        """The outputs times the scale: of a tensor, or of nested iterables of tensors.

        Raises:
            ValueError: there is something else in it.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._start(outputs.device)
            assert self._scale is not None  # just set
            return outputs * self._scale.to(outputs.device)
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, outputs)
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the optimizer's gradients by the scale, for instance to clip them before `step`.

        Raises:
            RuntimeError: it was done already in this iteration, or `step` was.
            ValueError: a gradient is float16: parameters are to be float32.
            AssertionError: nothing was scaled yet.
        """
        if not self._enabled:
            return
        scale, _ = self._check_started("unscale_")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        inverse = scale.double().reciprocal().float()
        state["found_inf_per_device"] = self._unscale_grads_(optimizer, inverse)
        state["stage"] = OptState.UNSCALED

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Unscale the gradients if that was not done, and step if all are finite.

        Args:
            optimizer: whose step.
            args, kwargs: for its step; no closure.

        Returns:
            What the step returned; None if it was left out.

        Raises:
            RuntimeError: a closure is given, or this optimizer stepped already.
            AssertionError: nothing was scaled yet, or the optimizer has no gradients.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check_started("step")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        if not state["found_inf_per_device"]:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None
        if not any(found.item() for found in state["found_inf_per_device"].values()):
            result = optimizer.step(*args, **kwargs)
        state["stage"] = OptState.STEPPED
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Make the scale larger or smaller for the next iteration; call it after all steps.

        Args:
            new_scale: a scale to use instead.

        Raises:
            AssertionError: nothing was scaled or checked yet, or `new_scale` is no number, nor a
                one-element tensor on the scaler's device that does not require grad.
        """
        if not self._enabled:
            return
        scale, tracker = self._check_started("update")
        if isinstance(new_scale, Tensor):
            if (
                new_scale.device.type != self._device
                or new_scale.numel() != 1
                or new_scale.requires_grad
            ):
                raise AssertionError(
                    "new_scale should be a float or a 1-element tensor on the device of the "
                    "scaler with requires_grad=False."
                )
            scale.copy_(new_scale.reshape(()))
        elif new_scale is not None:
            scale.fill_(new_scale)
        else:
            found = [
                value.item()
                for state in self._per_optimizer_states.values()
                for value in state["found_inf_per_device"].values()
            ]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            self._adapt(scale, tracker, bad=any(found))
        self._per_optimizer_states = defaultdict(_new_state)

    @no_grad()
    def _adapt(self, scale: Tensor, tracker: Tensor, *, bad: bool) -> None:
        """Smaller after a bad step, larger after enough good ones in a row."""
        if bad:
            scale.mul_(self._backoff_factor)
            tracker.fill_(0)
            return
        tracker.add_(1)
        if tracker.item() == self._growth_interval:
            grown = scale * self._growth_factor
            if math.isfinite(grown.item()):
                scale.copy_(grown)
            tracker.fill_(0)

    @no_grad()
    def _unscale_grads_(self, optimizer: Optimizer, inverse: Tensor) -> dict[Any, Tensor]:
        """Multiply all gradients by `inverse`; per device, 1 if one was not finite, else 0."""
        found: dict[Any, Tensor] = {}
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.dtype is _dtypes.float16:
                    raise ValueError("Attempting to unscale FP16 gradients.")
                device = p.grad.device
                if device not in found:
                    found[device] = full((), 0.0, dtype=_dtypes.float32, device=device)
                if not p.grad.isfinite().all():
                    found[device].fill_(1.0)
                p.grad.mul_(inverse.to(device))
        return found

    def _start(self, device: Any) -> None:
        self._scale = full((), self._init_scale, dtype=_dtypes.float32, device=device)
        self._growth_tracker = full(
            (), self._init_growth_tracker, dtype=_dtypes.int32, device=device
        )

    def _check_started(self, name: str) -> tuple[Tensor, Tensor]:
        for attribute in ("_scale", "_growth_tracker"):
            if getattr(self, attribute) is None:
                raise AssertionError(
                    f"Attempted {name} but {attribute} is None.  This may indicate your script "
                    "did not use scaler.scale(loss or outputs) earlier in the iteration."
                )
        return self._scale, self._growth_tracker  # type: ignore[return-value]

    # Settings --------------------------------------------------------------------------

    def get_scale(self) -> float:
        """The scale; 1.0 if the scaler is not enabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by after enough good steps."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by after enough good steps."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after a bad step."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by after a bad step."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """How many good steps in a row are enough."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set how many good steps in a row are enough."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        """How many good steps there were in a row."""
        if not self._enabled:
            return 0
        tracker = self._growth_tracker
        return self._init_growth_tracker if tracker is None else int(tracker.item())

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    # Saving ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors, interval and good steps in a row; empty if not enabled.

        Call it after `update`.
        """
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave out; nothing if not enabled.

        Raises:
            RuntimeError: it is empty, from a scaler that was not enabled.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved "
                "from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None and self._growth_tracker is not None:
            self._scale.fill_(self._init_scale)
            self._growth_tracker.fill_(self._init_growth_tracker)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._enabled:
            if self._per_optimizer_states:
                raise AssertionError(
                    "A GradScaler instance may only be pickled at the beginning "
                    "of an iteration, or at the end after scaler.update()."
                )
            state.update(
                _init_scale=self.get_scale(),
                _init_growth_tracker=self._get_growth_tracker(),
                _scale=None,
                _growth_tracker=None,
            )
        return state
