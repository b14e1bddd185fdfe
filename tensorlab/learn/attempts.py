"""One attempt: the learner's code, or a mutant's, on one case; and whether two behave alike."""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorlab.learn.declare import Answer, Case, Exercise, Failure, Raises
from tensorlab.learn.judging import compare
from tensorlab.learn.rendering import render
from tensorlab.learn.sandbox import Guard
from tensorlab.learn.values import freeze, is_array_like, private_copy, unchanged
from tensorlab.learn.worker import Raised, Worker

__all__ = ["Attempt", "CourseError", "Runner", "same_behaviour", "stub_id"]

#: What the line that replaces a solution raises; `tensorlab.learn.notebooks` writes it.
STUB_MESSAGE = "exercise {id}: replace this line by your code"
_STUB = re.compile(re.escape(STUB_MESSAGE).replace(r"\{id\}", r"(\d\d\.\w+)"))


class CourseError(Exception):
    """A lesson's ``checks.py`` or notebook is broken: a bug in the course, not the learner's."""


def stub_id(message: str) -> str | None:
    """The exercise whose stub raised a message, if one did.

    >>> stub_id("exercise 01.1: replace this line by your code")
    '01.1'
    """
    found = _STUB.search(message)
    return found[1] if found else None


@dataclass(slots=True)
class Attempt:
    """What code did with one case."""

    case: Case
    want: Any = None
    got: Any = None
    failure: Failure | None = None
    #: A sentence about arguments that were changed.
    modified: str | None = None
    raised: Raised | None = None
    timed_out: bool = False
    frames: list[traceback.FrameSummary] = field(default_factory=list)
    want_text: str = ""
    got_text: str = ""
    #: What the code printed (its beginning), and how much that was if it is not all.
    printed: str = ""
    printed_note: str = ""
    #: What was put back after it.
    changes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        wrong = self.failure is not None or self.modified is not None or self.timed_out
        return not wrong and (self.raised is None or isinstance(self.want, Raises))

    @property
    def wrong_value(self) -> bool:
        return self.failure is not None and self.raised is None

    @property
    def stub(self) -> str | None:
        """The id of the exercise whose stub was reached."""
        return stub_id(self.raised.message) if self.unwritten and self.raised else None

    @property
    def unwritten(self) -> bool:
        """The learner's own code says that it is not written yet."""
        raised = self.raised
        if raised is None or not issubclass(raised.type, NotImplementedError):
            return False
        return raised.own or stub_id(raised.message) is not None


class Runner:
    """Runs one exercise's code, given by its objects, on cases."""

    def __init__(
        self,
        exercise: Exercise,
        objects: Mapping[str, Any],
        worker: Worker,
        guard: Guard,
        seed: int,
    ) -> None:
        self._exercise = exercise
        self._objects = dict(objects)
        self._worker = worker
        self._guard = guard
        self._seed = seed

    def attempt(self, case: Case) -> Attempt:
        """Run the code on one case, judge the answer, and put everything back."""
        made = Attempt(case)
        self._worker.output.clear()
        try:
            self._run(made)
        finally:
            made.changes += self._guard.restore()
        made.printed, made.printed_note = self._worker.output.text, self._worker.output.note
        return made

    def _run(self, made: Attempt) -> None:
        exercise, case = self._exercise, made.case
        made.want = self._expected(case)
        memo: dict[int, Any] = {}
        own = Case(
            private_copy(case.args, memo),
            private_copy(case.kwargs, memo),
            case.label,
            case.size,
            private_copy(case.data, memo),
        )
        self._guard.seed(self._seed)
        ended = self._worker.run(lambda: exercise.call(self._objects, own))
        made.timed_out, made.frames, made.raised = ended.timed_out, ended.frames, ended.raised
        if made.timed_out:
            return
        # Whatever was patched must not have a say in the verdict.
        made.changes = self._guard.restore()
        if exercise.unmodified:
            made.modified = self._modified(case, own)
        if made.raised is not None:
            self._judge_exception(made)
            return
        got = ended.value
        judged = self._worker.run(lambda: self._judge(made, got))
        if judged.timed_out:
            made.timed_out, made.frames = True, judged.frames
        elif judged.raised is not None:
            # The learner's object broke while it was looked at, or the judge itself did.
            made.raised = judged.raised
            if not judged.raised.frames and not _foreign(got):
                raise CourseError(f"judge() raised {judged.raised} for {case.label!r}")

    def _expected(self, case: Case) -> Any:
        memo: dict[int, Any] = {}
        args, kwargs = private_copy(case.args, memo), private_copy(case.kwargs, memo)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                return self._exercise.expected(*args, **kwargs)
        except Exception as error:
            raise CourseError(
                f"expected() raised {error!r} for the case {case.label!r} (seed {self._seed})"
            ) from error

    def _judge(self, made: Attempt, got: Any) -> None:
        """Judge, and keep what is shown. Runs as the learner's code: it may call into it."""
        if isinstance(made.want, Raises):
            made.failure = compare(got, made.want)
        else:
            made.failure = self._exercise.judge(made.case, got, made.want)
        made.got = freeze(got)
        failure = made.failure
        if failure is not None:
            want = made.want if failure.expected is None else failure.expected
            made.want_text = render(want, failure.index)
            made.got_text = render(got if failure.got is None else failure.got, failure.index)

    def _judge_exception(self, made: Attempt) -> None:
        raised, want = made.raised, made.want
        assert raised is not None
        if isinstance(want, Raises) and not issubclass(raised.type, want.types):
            made.failure = Failure(f"This should raise {want.names}, but it raised {raised}.")

    def _modified(self, case: Case, after: Case) -> str | None:
        names = self._exercise.argument_names()
        pairs = [
            (names[i] if i < len(names) else f"argument {i + 1}", before, now)
            for i, (before, now) in enumerate(zip(case.args, after.args, strict=False))
        ]
        pairs += [(name, case.kwargs[name], after.kwargs.get(name)) for name in case.kwargs]
        for name, before, now in pairs:
            if not unchanged(before, now):
                return (
                    f"Your code changed its argument `{name}` in place; the caller still needs it. "
                    "Work on a new array (x = x - 1, not x -= 1)."
                )
        return None


def _foreign(value: Any) -> bool:
    """Is this (or does it contain) an object of a class that the learner may have written?"""
    if isinstance(value, (list, tuple)):
        return any(map(_foreign, value))
    if isinstance(value, dict):
        return any(map(_foreign, value.values()))
    plain = (np.ndarray, str, int, float, complex, bool, bytes, type(None))
    return type(value) not in plain and not isinstance(value, (np.generic, Answer))


def same_behaviour(a: Attempt, b: Attempt) -> bool:
    """Did two attempts at the same case end alike: same exception, same verdict, same value?"""
    if a.timed_out or b.timed_out:
        return a.timed_out and b.timed_out
    if (a.raised is None) != (b.raised is None):
        return False
    if a.raised is not None and b.raised is not None:
        return a.raised.type.__name__ == b.raised.type.__name__
    if (a.modified is None) != (b.modified is None):
        return False
    if (a.failure is None) != (b.failure is None):
        return False
    if a.failure is None or b.failure is None:
        return True
    if _foreign(a.got) or _foreign(b.got):
        return a.failure.message == b.failure.message
    if is_array_like(a.got) and is_array_like(b.got):
        return compare(b.got, a.got) is None
    return type(a.got) is type(b.got) and compare(b.got, a.got) is None
