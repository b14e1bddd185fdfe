"""Where autocast can reach functions that look at dtypes before any operation runs, or are made of several.

Operations themselves ask `tensorlab.amp`; see `tensorlab.amp._casting`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from tensorlab import _apply

__all__ = ["autocast_is_on", "autocasts", "autocasts_within", "within"]

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


class _Within(threading.local):
    """The marked functions that run in this thread, by name, the outermost first."""

    names: tuple[str, ...] = ()


within = _Within()
#: All functions marked with `autocasts_within`.
MARKED: set[str] = set()


def autocasts_within(function: _F) -> _F:
    """Decorate a function made of several operations that autocast treats all alike, as its list says."""
    name = function.__name__
    MARKED.add(name)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not _apply.observers:  # autocast is off
            return function(*args, **kwargs)
        outer = within.names
        within.names = (*outer, name)
        try:
            return function(*args, **kwargs)
        finally:
            within.names = outer

    return call  # type: ignore[return-value]
