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

from typing import Any

from IPython.core.interactiveshell import ExecutionResult
from IPython.display import display

from tensorlab.learn.attempts import stub_id

from ._exceptions import ExceptionAnswer
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


class UnwrittenExercises(ExceptionAnswer):
    """Installs the two hooks on a shell and takes them back."""

    kind = NotImplementedError

    def install(self) -> None:
        super().install()
        self._shell.events.register("post_run_cell", self._forgive)

    def remove(self) -> None:
        self._shell.events.unregister("post_run_cell", self._forgive)
        super().remove()

    def _answer(self, error: BaseException) -> bool:
        exercise = unwritten_exercise(error, self._shell.user_global_ns)
        if exercise is None:
            return False
        setattr(error, _MARK, exercise)
        display(_message(exercise))
        return True

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
