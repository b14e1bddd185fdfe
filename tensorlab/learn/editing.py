"""Variants of one function that differ in a line or two: only the difference is written down."""

from __future__ import annotations

import inspect
import linecache
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["edited"]

_F = TypeVar("_F", bound=Callable[..., Any])


def edited(function: _F, edits: Mapping[str, str]) -> _F:
    """The function that one gets by editing another one's text.

    For mutants of a long solution: they then say what is wrong with them, and nothing else.

    Args:
        function: a function or kernel (its decorators are applied anew) that uses no variables of
            a function around it.
        edits: pieces of its text and what to write instead. Each stands there once; a comment tells
            a line from others like it. A replacement of several lines is indented as the line that
            it goes to.

    Raises:
        ValueError: a piece is not in the text, or more than once, or overlaps with another one; or
            the function uses variables of a function around it.

    >>> def total(numbers):
    ...     s = 0.0
    ...     for x in numbers:
    ...         s += x  # one more
    ...     return s
    >>> edited(total, {"s += x  # one more": "if x > 0:\\n    s += x"})([1.0, -2.0])
    1.0
    >>> edited(total, {"s = 1": "s = 0"})
    Traceback (most recent call last):
        ...
    ValueError: 's = 1' stands 0 times in the text of total, and must stand there once
    """
    inner: Any = inspect.unwrap(function)
    name = inner.__name__
    if inner.__code__.co_freevars:
        raise ValueError(f"{name} uses variables of a function around it, and can't be edited")
    text = textwrap.dedent(inspect.getsource(inner))
    for piece in edits:
        if text.count(piece) != 1:
            raise ValueError(
                f"{piece!r} stands {text.count(piece)} times in the text of {name}, and must stand "
                "there once"
            )
    parts, end = [], 0
    for start, piece in sorted((text.index(piece), piece) for piece in edits):
        if start < end:
            raise ValueError(f"{piece!r} overlaps with another piece of the text of {name}")
        line = text[text.rfind("\n", 0, start) + 1 :]
        indent = line[: len(line) - len(line.lstrip())]
        parts += [text[end:start], edits[piece].replace("\n", f"\n{indent}")]
        end = start + len(piece)
    text = "".join(parts) + text[end:]
    made: dict[str, Any] = {}
    code = inner.__code__
    file = f"<{name}, line {code.co_firstlineno} of {code.co_filename}, edited: {dict(edits)}>"
    # As a file of its own: a kernel is made from its text, and a traceback shows it.
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), inner.__globals__, made)
    return made[name]
