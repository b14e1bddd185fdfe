"""Where autocast can reach functions that look at dtypes before any operation runs.

Operations themselves ask `tensorlab.amp`; see `tensorlab.amp._casting`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["autocast_is_on", "autocasts"]

_F = TypeVar("_F", bound=Callable[..., Any])

#: `(name, args, kwargs) -> (args, kwargs)`; set by `tensorlab.amp`, None until that is imported.
cast_arguments: Callable[..., Any] | None = None
#: Whether autocast is on in this thread; set likewise.
is_on: Callable[[], bool] | None = None


def autocast_is_on() -> bool:
    """Whether autocast is on in this thread: what it casts need not have one dtype before."""
    return is_on is not None and is_on()


def autocasts(function: _F) -> _F:
    """Decorate a function whose tensor arguments autocast may cast, as its list says."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if cast_arguments is not None:
            args, kwargs = cast_arguments(function.__name__, args, kwargs)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]
