"""What the commands of the `tensorlab` program do; `tensorlab.cli` is the program itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["CommandError", "course_faults", "need"]


class CommandError(Exception):
    """A command cannot go on. The message is one line: what was wrong, and what to do.

    Args:
        message: the line to print.
        status: the exit status: 1 for something that failed, 2 for a wrong command line.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status


def need(package: str) -> None:
    """Raise a `CommandError` that says how to get `package` if it is not installed."""
    if importlib.util.find_spec(package) is None:
        raise CommandError(
            f'{package} is not installed: install the extra "lab", '
            'in the checkout with pip install -e ".[lab]"'
        )


@contextmanager
def course_faults() -> Iterator[None]:
    """Turn a fault of the installed course itself into one line."""
    from tensorlab.learn import CourseError

    try:
        yield
    except CourseError as error:
        raise CommandError(f"the installed course is broken: {error}") from error
