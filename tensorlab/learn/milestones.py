"""Check a milestone: one function of the lesson's that looks at everything the learner has."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from tensorlab.learn.attempts import stub_id
from tensorlab.learn.lesson import Milestone, MilestoneResult
from tensorlab.learn.results import CheckResult, Outcome
from tensorlab.learn.session import course_files, guarded, working
from tensorlab.learn.wording import exception_text, format_frames, time_limit_text
from tensorlab.learn.worker import Ended, FrameFilter

__all__ = ["check_milestone"]


class _MissingName(KeyError):
    """A milestone asked for a name that the learner has not defined."""


class _Names(dict):
    def __missing__(self, name: str) -> Any:
        raise _MissingName(name)


def check_milestone(
    milestone: Milestone, namespace: MutableMapping[str, Any], seed: int, limit: float
) -> CheckResult:
    result = CheckResult(milestone.id, milestone.title, Outcome.PASSED)
    absent = next((name for name in milestone.names if name not in namespace), None)
    if absent is not None:
        result.outcome = Outcome.UNATTEMPTED
        result.message = f"There is no `{absent}` yet: run the lesson's cells up to here."
        return result
    own = FrameFilter(namespace, not_own=course_files(milestone))
    with guarded(namespace, result) as guard:
        names = _Names(namespace)
        guard.seed(seed)
        with working(limit, own, result) as worker:
            ended = worker.run(lambda: milestone.check(names))
        result.notes += guard.restore()
    result.stdout, result.stdout_note = worker.output.text, worker.output.note
    result.seconds = worker.seconds
    _conclude_milestone(result, milestone, ended, limit, worker.abandoned)
    return result


def _conclude_milestone(
    result: CheckResult, milestone: Milestone, ended: Ended, limit: float, abandoned: bool
) -> None:
    raised = ended.raised
    if ended.timed_out:
        result.outcome, result.message = (
            Outcome.ERROR,
            time_limit_text(limit, ended.frames, abandoned),
        )
        result.traceback = format_frames(ended.frames)
    elif raised is None and isinstance(ended.value, MilestoneResult):
        found = ended.value
        result.outcome = Outcome.PASSED if found.passed else Outcome.FAILED
        result.message, result.number = found.text, found.number
    elif raised is None:
        result.outcome, result.course_error = Outcome.ERROR, True
        result.message = (
            "The check itself is broken, your code is not to blame: it returned "
            f"{type(ended.value).__name__}, no MilestoneResult"
        )
    elif raised.type is _MissingName:
        result.outcome = Outcome.UNATTEMPTED
        result.message = f"There is no `{raised.message.strip(chr(39))}` yet: run the cells above."
    elif issubclass(raised.type, NotImplementedError) and (raised.own or stub_id(raised.message)):
        result.outcome = Outcome.UNATTEMPTED
        stub = stub_id(raised.message)
        what = f"exercise {stub}" if stub else "something that it needs"
        result.message = f"Not yet: {what} is still to be written."
    else:
        result.outcome, result.message = Outcome.ERROR, exception_text(raised)
        result.raised = raised.type.__name__
        result.traceback = format_frames(raised.frames)
