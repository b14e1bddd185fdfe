"""Check an exercise: run the learner's code on fresh random cases and say what it does.

All cases are run, the small ones first. Of those that fail, the smallest is shown. What the
code did on every case, wrong values and exceptions included, is its behaviour; a mutant with
the same behaviour is the mistake that was made, and its hint is the one to give.
"""

from __future__ import annotations

import difflib
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab.learn.attempts import Attempt, CourseError, Runner, same_behaviour
from tensorlab.learn.declare import Case, Exercise, Mutant
from tensorlab.learn.lesson import Milestone, Prediction
from tensorlab.learn.milestones import check_milestone
from tensorlab.learn.rendering import render, render_arguments
from tensorlab.learn.results import CheckResult, Outcome
from tensorlab.learn.sandbox import Guard
from tensorlab.learn.session import code_of, course_files, guarded, working
from tensorlab.learn.wording import exception_text, format_frames, time_limit_text
from tensorlab.learn.worker import FrameFilter

if TYPE_CHECKING:
    from tensorlab.learn.progress import Progress

__all__ = ["CheckInterrupted", "check"]

_MATCHING = 10.0  # seconds for trying all mutants on a failed exercise
_one_at_a_time = threading.Lock()


class CheckInterrupted(KeyboardInterrupt):
    """Stop was pressed during a check. The learner's code was stopped, everything put back."""


def check(
    item: Exercise | Milestone,
    namespace: MutableMapping[str, Any],
    *,
    seed: int | None = None,
    time_limit: float | None = None,
    progress: Progress | None = None,
    reference: Callable[[Exercise], Mapping[str, Any]] | None = None,
) -> CheckResult:
    """Check an exercise or a milestone on the learner's live namespace.

    Args:
        item: as `Course.exercise` finds it by id.
        namespace: the learner's names; afterwards they are what they were before.
        seed: of the cases; fresh each time by default. A failure shows it.
        time_limit: seconds for the learner's code over all cases; default the item's own.
        progress: a log to add the result to.
        reference: gives the reference solution's names, which mutants of exercises with
            several names stand on; by default it is read from the lesson's notebook, and only
            when a check has failed.

    Raises:
        CheckInterrupted: the user interrupted the check (a KeyboardInterrupt).
        RuntimeError: a check is running already, for example the learner's function itself
            calls ``check``.

    >>> from tensorlab.learn import Lesson, Exercise, Case
    >>> lesson = Lesson("90", "example", title="An example")
    >>> @lesson.exercise("90.1", names=["double"], title="Twice as much")
    ... class Double(Exercise):
    ...     def cases(self, rng):
    ...         yield Case(args=(rng.integers(5, 9),), label="a number")
    ...     def expected(self, x):
    ...         return 2 * x
    >>> print(check(lesson.exercises["90.1"], {}))
    ○ 90.1 Twice as much: unattempted
      There is no `double` yet: write it, run its cell, then check again.
    """
    if isinstance(item, Prediction):
        raise TypeError(f"{item.id} is a prediction: it is not checked but revealed")
    if not _one_at_a_time.acquire(blocking=False):
        raise RuntimeError("a check is running already; wait until it ends")
    try:
        seed = secrets.randbits(31) if seed is None else int(seed)
        limit = item.time_limit if time_limit is None else float(time_limit)
        if isinstance(item, Milestone):
            result = check_milestone(item, namespace, seed, limit)
        else:
            result = _check_exercise(item, namespace, seed, limit, reference)
    except KeyboardInterrupt:
        raise CheckInterrupted(f"the check of {item.id} was stopped; nothing changed") from None
    finally:
        _one_at_a_time.release()
    if progress is not None:
        progress.checked(result)
    return result


# -- exercises -----------------------------------------------------------------------------


def _check_exercise(
    exercise: Exercise,
    namespace: MutableMapping[str, Any],
    seed: int,
    limit: float,
    reference: Callable[[Exercise], Mapping[str, Any]] | None,
) -> CheckResult:
    result = CheckResult(exercise.id, exercise.title, Outcome.PASSED)
    missing = _missing(exercise, namespace) or _wrong_kind(exercise, namespace)
    if missing:
        result.outcome, result.message = missing
        return result
    objects = {name: namespace[name] for name in [*exercise.names, *exercise.uses]}
    own = FrameFilter(namespace, map(code_of, objects.values()), course_files(exercise))
    attempts: list[Attempt] = []
    worker = None
    try:
        with guarded(namespace, result) as guard:
            cases = _cases(exercise, seed)
            with working(limit, own, result) as worker:
                runner = Runner(exercise, objects, worker, guard, seed)
                for case in cases:
                    attempts.append(runner.attempt(case))
                    if attempts[-1].timed_out:
                        break
            result.seconds = worker.seconds
            _conclude(result, exercise, attempts, seed, limit, worker.abandoned)
            if result.outcome in (Outcome.FAILED, Outcome.ERROR) and not result.course_error:
                _match(result, exercise, objects, attempts, guard, seed, limit, reference)
            result.notes += _unique(note for attempt in attempts for note in attempt.changes)
    except CourseError as error:
        result.outcome, result.course_error = Outcome.ERROR, True
        result.message = f"The check itself is broken, your code is not to blame: {error}"
    return result


def _missing(exercise: Exercise, namespace: Mapping[str, Any]) -> tuple[Outcome, str] | None:
    absent = [name for name in exercise.names if name not in namespace]
    if absent:
        name = absent[0]
        close = difflib.get_close_matches(
            name, [n for n, v in namespace.items() if callable(v) and not n.startswith("_")], 1, 0.8
        )
        guess = f" Is `{close[0]}` meant to be it?" if close else ""
        return (
            Outcome.UNATTEMPTED,
            f"There is no `{name}` yet: write it, run its cell, then check again.{guess}",
        )
    absent = [name for name in exercise.uses if name not in namespace]
    if absent:
        return (
            Outcome.UNATTEMPTED,
            f"There is no `{absent[0]}` yet, which this exercise builds on: run the cells above.",
        )
    return None


def _wrong_kind(exercise: Exercise, namespace: Mapping[str, Any]) -> tuple[Outcome, str] | None:
    for name in exercise.names:
        value, kind = namespace[name], exercise.kind_of(name)
        if kind == "function" and isinstance(value, type):
            return Outcome.FAILED, f"`{name}` is a class; the exercise asks for a function (`def`)."
        if kind == "function" and not callable(value):
            return (
                Outcome.FAILED,
                f"`{name}` is no function but {render(value)}: "
                "was the name used for something else? Run the exercise's cell again.",
            )
        if kind == "class" and not isinstance(value, type):
            what = "a function" if callable(value) else render(value)
            return Outcome.FAILED, f"`{name}` must be a class (`class {name}:`), it is {what}."
    return None


def _cases(exercise: Exercise, seed: int) -> list[Case]:
    """The cases of a seed, smallest first."""
    try:
        cases = list(exercise.cases(np.random.default_rng(seed)))
    except Exception as error:
        raise CourseError(f"its cases can't be made (seed {seed}): {error!r}") from error
    if not cases:
        raise CourseError("it has no cases")
    return sorted(cases, key=lambda case: case.size or 0)


def _conclude(
    result: CheckResult,
    exercise: Exercise,
    attempts: list[Attempt],
    seed: int,
    limit: float,
    abandoned: bool,
) -> None:
    result.cases = len(attempts)
    result.stdout, result.stdout_note = attempts[0].printed, attempts[0].printed_note
    wrong = [attempt for attempt in attempts if not attempt.passed]
    if not wrong:
        return
    unwritten = next((a for a in wrong if a.unwritten), None)
    if unwritten is not None and (unwritten is attempts[0] or unwritten.stub):
        result.outcome, result.message = Outcome.UNATTEMPTED, _unwritten(exercise, unwritten)
        result.cases = 0
        return
    attempt = wrong[0]
    result.seed, result.case = seed, attempt.case.label or f"case {attempts.index(attempt) + 1}"
    result.inputs = render_arguments(
        exercise.argument_names(), attempt.case.args, attempt.case.kwargs
    )
    result.expected, result.got = attempt.want, attempt.got
    result.stdout, result.stdout_note = attempt.printed, attempt.printed_note
    if attempt.timed_out:
        result.outcome, result.message = (
            Outcome.ERROR,
            time_limit_text(limit, attempt.frames, abandoned),
        )
        result.traceback = format_frames(attempt.frames)
    elif attempt.raised is not None and attempt.failure is None:
        result.outcome, result.message = Outcome.ERROR, exception_text(attempt.raised)
        result.raised = attempt.raised.type.__name__
        result.traceback = format_frames(attempt.raised.frames)
    else:
        result.outcome = Outcome.FAILED
        failure = attempt.failure
        if failure is not None:
            result.message, result.hint = failure.message, failure.hint
            result.expected_text = attempt.want_text
            result.got_text = attempt.got_text
        if attempt.modified is not None:
            result.message = f"{result.message}\n{attempt.modified}".lstrip()
    if attempt.wrong_value and _always_the_same(attempts):
        result.hint = (
            "Your code gives the same answer for every input: is an example's answer written "
            "into it?"
        )


def _unwritten(exercise: Exercise, attempt: Attempt) -> str:
    stub = attempt.stub
    if stub is not None and stub != exercise.id:
        return f"Exercise {stub} comes first: this one uses it, and it is still to be written."
    return (
        "Still to be written: put your code in the place of `raise NotImplementedError(...)`, "
        "run the cell, then check again."
    )


def _always_the_same(attempts: list[Attempt]) -> bool:
    texts = {attempt.got_text for attempt in attempts}
    wants = {attempt.want_text for attempt in attempts}
    return len(attempts) >= 3 and len(texts) == 1 and "" not in texts and len(wants) > 2


def _match(
    result: CheckResult,
    exercise: Exercise,
    objects: Mapping[str, Any],
    attempts: list[Attempt],
    guard: Guard,
    seed: int,
    limit: float,
    reference: Callable[[Exercise], Mapping[str, Any]] | None,
) -> None:
    """Find the mutant that behaves like the learner's code on every case that was run."""
    base: dict[str, Any] | None = None
    left = _MATCHING
    for mutant in exercise.mutants:
        if left <= 0:
            return
        try:
            if base is None and (mutant.bundle or len(exercise.names) > 1):
                base = _reference(exercise, reference)
            stand_in = _objects_of(mutant, exercise, objects, base or {})
        except Exception as error:  # the course's fault: the result stands, without this hint
            result.notes.append(f"The course's mutant {mutant.label} is broken: {error}.")
            continue
        # What timed out for the learner is endless in the mutant too: a second shows it. What ended
        # ends in the mutant as well, if later where a busy machine holds it up for a moment.
        allowed = min(limit, left, 1.0 if attempts[-1].timed_out else 3.0 + 3 * result.seconds)
        own = FrameFilter({}, map(code_of, stand_in.values()))
        with working(allowed, own) as worker:
            runner = Runner(exercise, stand_in, worker, guard, seed)
            if all(same_behaviour(attempt, runner.attempt(attempt.case)) for attempt in attempts):
                result.mutant, result.hint = mutant, mutant.text
                return
        left -= worker.seconds


def _objects_of(
    mutant: Mutant, exercise: Exercise, objects: Mapping[str, Any], base: Mapping[str, Any]
) -> dict[str, Any]:
    own = {name: base[name] for name in exercise.names if name in base}
    # What the exercise builds on is the learner's: a mutant that used the reference's would,
    # for example, turn a switch of a class that the case never looks at.
    used = {name: objects[name] for name in exercise.uses if name in objects}
    return {**objects, **own, **mutant.objects(exercise.names[0], {**base, **used})}


def _reference(
    exercise: Exercise, given: Callable[[Exercise], Mapping[str, Any]] | None
) -> dict[str, Any]:
    if given is not None:
        return dict(given(exercise))
    if exercise.lesson.path is None:
        return {}
    from tensorlab.learn.references import reference_namespace

    names = [*exercise.names, *exercise.uses]
    return reference_namespace(exercise.lesson, names, exercise.id)


def _unique(notes: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(notes))
