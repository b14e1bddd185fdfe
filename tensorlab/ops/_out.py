"""`out=` for functions that are made of operations."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from tensorlab._calls import out_to

F = TypeVar("F", bound=Callable[..., Any])


def with_out(function: F) -> F:
    """Let a function take `out=`: a tensor (or several) to store the result in, and to return.

    An empty one is given the result's shape. `RuntimeError` if the types do not fit, or if the result
    would require grad: what is written into memory from elsewhere has no history.
    """

    @functools.wraps(function)
    def run(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return result if out is None else out_to(out, result)

    given = inspect.signature(function)
    added = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None)
    parameters = sorted([*given.parameters.values(), added], key=lambda p: p.kind)
    run.__signature__ = given.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]
