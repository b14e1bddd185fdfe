"""How autocast casts: it looks at each operation's inputs before they are computed with.

Only while autocast is on in some thread are operations looked at (see `_state`): when it is off,
it costs nothing. A cast is an operation of its own, so gradients come back in the dtype of what
was cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab import _apply, _autocast
from tensorlab._dtypes import dtype, float32, float64
from tensorlab._graph import mode
from tensorlab._tensor import Tensor
from tensorlab.amp import _policies
from tensorlab.amp._state import get_autocast_dtype, state

__all__ = ["cast_arguments", "cast_inputs"]


def cast_inputs(op: Any, inputs: Sequence[Any], params: tuple[Any, ...]) -> Sequence[Any]:
    """The inputs of a call as autocast wants them; `inputs` itself where it wants nothing."""
    device_type = _device_type(inputs)
    if not state.enabled[device_type]:
        return inputs
    wanted = _wanted(op, params, device_type)
    if wanted is None:
        return inputs
    # Casts are operations too: they are not to be looked at again.
    state.enabled[device_type] = False
    try:
        return [_cast(x, wanted, device_type) for x in inputs]
    finally:
        state.enabled[device_type] = True


def cast_arguments(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a function marked `autocasts` as autocast wants them."""
    device_type = _device_type((*args, *kwargs.values()))
    policy = _policies.ARGUMENTS[device_type].get(name)
    if policy is None or not state.enabled[device_type]:
        return args, kwargs
    wanted = float32 if policy == "full" else get_autocast_dtype(device_type)
    state.enabled[device_type] = False
    try:
        args = tuple(_cast(x, wanted, device_type) for x in args)
        return args, {k: _cast(x, wanted, device_type) for k, x in kwargs.items()}
    finally:
        state.enabled[device_type] = True


def _device_type(inputs: Sequence[Any]) -> str:
    for x in inputs:
        if isinstance(x, Tensor):
            return "cpu" if isinstance(x._data, np.ndarray) else "cuda"
    return "cpu"


def _wanted(op: Any, params: tuple[Any, ...], device_type: str) -> dtype | None:
    """What to compute an operation in; None for "what comes"."""
    for function in reversed(_autocast.within.names):  # the innermost one that has a say
        if function in _policies.FULL_WITHIN[device_type]:
            return float32
        if function in _policies.NEUTRAL_WITHIN:
            return None
    if op.name in _policies.LOWER[device_type]:
        return get_autocast_dtype(device_type)
    if op.name in _policies.FULL[device_type]:
        return float32
    if device_type == "cuda" and op.name in _policies.BANNED:
        raise RuntimeError(
            f"{op.name} is unsafe to autocast: use binary_cross_entropy_with_logits, which is "
            "safe, on the numbers before the sigmoid"
        )
    volume = op.name == "max_unpool" or any(isinstance(p, tuple) and len(p) == 3 for p in params)
    if device_type == "cpu" and op.name in _policies.VOLUMES and volume:
        return float32
    return None


def _cast(x: Any, wanted: dtype, device_type: str) -> Any:
    """An input as `wanted`; what is no floating-point tensor, or is float64, stays as it is."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        return x
    if x.dtype is wanted or x.dtype is float64 or x.device.type != device_type:
        return x
    parameter = x.requires_grad and x.is_leaf and x._view is None
    if not (parameter and x.dtype is float32 and state.cache_enabled and mode.grad):
        return x.to(wanted)
    kept = state.cache.get((id(x), wanted))
    if kept is None or kept[1] != x._version:
        kept = state.cache[id(x), wanted] = (x, x._version, x.to(wanted))
    return kept[2]


_apply.casting = cast_inputs
_autocast.cast_arguments = cast_arguments
_autocast.is_on = lambda: any(state.enabled.values())
