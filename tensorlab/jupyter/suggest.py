"""A misspelt name of tensorlab's is answered with the closest one: `x.squeze` → `squeeze`.

Python itself does so when an error ends a program, from 3.10 on; IPython prints tracebacks of its
own and leaves it out. A `Tensor.__getattr__` would do it everywhere, but it makes every access to
an attribute several times slower: on the way of each operation that is far too much.
"""

from __future__ import annotations

import difflib
from types import ModuleType
from typing import Any

from ._exceptions import ExceptionAnswer

__all__ = ["Suggestions", "suggestion"]


def suggestion(error: BaseException) -> str | None:
    """The name that was probably meant, if an object or a module of tensorlab was asked for one."""
    name, obj = getattr(error, "name", None), getattr(error, "obj", None)
    if not isinstance(error, AttributeError) or not isinstance(name, str) or obj is None:
        return None
    if name.startswith("__") or not _is_ours(obj):
        return None
    known = [n for n in dir(obj) if not n.startswith("_") or name.startswith("_")]
    return next(iter(difflib.get_close_matches(name, known, 1)), None)


def _is_ours(obj: Any) -> bool:
    """Whether it is a module or a class of tensorlab, or an object of such a class or a subclass."""
    if isinstance(obj, ModuleType):
        return obj.__name__.partition(".")[0] == "tensorlab"
    classes = obj.__mro__ if isinstance(obj, type) else type(obj).__mro__
    return any(c.__module__.partition(".")[0] == "tensorlab" for c in classes)


class Suggestions(ExceptionAnswer):
    """Adds the suggestion to the messages that a shell shows."""

    kind = AttributeError

    def _answer(self, error: BaseException) -> bool:
        meant = suggestion(error)
        if meant is not None and "Did you mean" not in str(error):
            error.args = (f"{error}. Did you mean: {meant!r}?",)
        return False
