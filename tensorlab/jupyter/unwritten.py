"""Cells that reach an exercise nobody has written yet stop with a friendly line, and do not fail.

In a learner's notebook later cells call functions that an exercise asks for. Until it is written,
its stub raises `NotImplementedError("exercise 01.1: replace this line by your code")`. A traceback
there teaches nothing, and a failed cell would end Run All. So that one exception, raised by a stub
in the notebook itself, becomes a message; every other `NotImplementedError` is left alone.

IPython gives two hooks. A custom exception handler decides what is shown in place of the
traceback; `post_run_cell` gets the result object before the kernel replies to the front end, and
clearing its error there is what makes the reply "ok".
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from IPython.display import display

from tensorlab.learn.attempts import stub_id

from .report import Paragraph, Report, State

__all__ = ["UnwrittenExercises", "unwritten_exercise"]

_MARK = "_tensorlab_unwritten"


def unwritten_exercise(error: BaseException, namespace: dict[str, Any]) -> str | None:
    """The id of the exercise whose stub raised `error`, or None if `error` is anything else.

    Two things must agree: the stub's own words, and that the innermost frame runs code defined in
    the notebook, whose globals are the notebook's namespace.
    """
    exercise = stub_id(str(error)) if type(error) is NotImplementedError else None
    trace = error.__traceback__
    if exercise is None or trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return exercise if trace.tb_frame.f_globals is namespace else None


class UnwrittenExercises:
    """Installs the two hooks on a shell and takes them back."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        # Another extension may have a handler of its own, even for NotImplementedError: it keeps its work.
        self._previous: tuple[type[BaseException], ...] = shell.custom_exceptions
        self._previous_handler = shell.CustomTB

    def install(self) -> None:
        self._shell.set_custom_exc((*self._previous, NotImplementedError), self._on_exception)
        self._handler = self._shell.CustomTB
        self._shell.events.register("post_run_cell", self._forgive)

    def remove(self) -> None:
        self._shell.events.unregister("post_run_cell", self._forgive)
        # Bound methods are made anew at each access: only `==` compares what they are bound to. If somebody
        # installed a handler after us, putting the old one back would take theirs away.
        if self._shell.CustomTB == self._handler:
            self._shell.custom_exceptions = self._previous
            self._shell.CustomTB = self._previous_handler

    def _on_exception(
        self,
        shell: InteractiveShell,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
        tb_offset: int | None = None,
    ) -> list[str] | None:
        exercise = unwritten_exercise(error, shell.user_global_ns)
        if exercise is not None:
            setattr(error, _MARK, exercise)
            display(_message(exercise))
        elif self._previous and issubclass(kind, self._previous):
            return self._previous_handler(kind, error, trace, tb_offset=tb_offset)
        else:
            shell.showtraceback(
                (kind, error, trace), tb_offset=tb_offset, running_compiled_code=True
            )
        return None

    def _forgive(self, result: ExecutionResult | None) -> None:
        """Let the cell count as done: `result` is what the kernel's reply is made from."""
        if result is not None and hasattr(result.error_in_exec, _MARK):
            result.error_in_exec = None
            self._shell.last_execution_succeeded = True


def _message(exercise: str) -> Report:
    return Report(
        f"Stopped here: exercise {exercise} is still to be written.",
        [Paragraph("Solve it, then run this cell again.")],
        State.OPEN,
    )
