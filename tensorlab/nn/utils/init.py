"""Modules without a first draw of their parameters."""

from __future__ import annotations

import inspect
from typing import Any

from tensorlab._random import get_rng_state, set_rng_state
from tensorlab.nn.modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Any:
    """A module whose parameters hold whatever is in memory, for those who set them right after.

    The random generator stays as it was.

    Args:
        module_cls: the module's class, whose `__init__` takes a `device`.
        args, kwargs: its arguments.

    Raises:
        RuntimeError: not a class of modules, or one without the argument `device`.

    >>> from tensorlab import nn
    >>> skip_init(nn.Linear, 3, 2).weight.shape
    tensorlab.Size([2, 3])
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.pop("device", "cpu")
    before = get_rng_state()
    try:
        made = module_cls(*args, **kwargs)
    finally:
        set_rng_state(before)
    return made.to_empty(device=device)
