"""What answers certain exceptions in a shell: put on top of the handler that is there, and taken off again."""

from __future__ import annotations

from types import TracebackType
from typing import ClassVar

from IPython.core.interactiveshell import InteractiveShell

__all__ = ["ExceptionAnswer"]


class ExceptionAnswer:
    """A custom exception handler of IPython's that passes on what it has no answer to.

    IPython has one handler at a time, and a tuple of the classes that it gets. Another extension may
    have one of its own, even for the same class: it keeps its work.

    A subclass sets `kind` and gives `_answer`.
    """

    #: The class of exceptions that is looked at.
    kind: ClassVar[type[BaseException]]

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._previous: tuple[type[BaseException], ...] = shell.custom_exceptions
        self._previous_handler = shell.CustomTB

    def install(self) -> None:
        self._shell.set_custom_exc((*self._previous, self.kind), self._on_exception)
        self._handler = self._shell.CustomTB

    def remove(self) -> None:
        # Bound methods are made anew at each access: only `==` compares what they are bound to. If somebody
        # installed a handler after us, putting the old one back would take theirs away.
        if self._shell.CustomTB == self._handler:
            self._shell.custom_exceptions = self._previous
            self._shell.CustomTB = self._previous_handler

    def _answer(self, error: BaseException) -> bool:
        """Look at an error, and change it if need be. True if all is said, and no traceback is wanted."""
        raise NotImplementedError

    def _on_exception(
        self,
        shell: InteractiveShell,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
        tb_offset: int | None = None,
    ) -> list[str] | None:
        if self._answer(error):
            return None
        if self._previous and issubclass(kind, self._previous):
            return self._previous_handler(kind, error, trace, tb_offset=tb_offset)
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)
        return None
