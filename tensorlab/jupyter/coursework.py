"""The course's commands: `%tensorlab` alone, `check`, `hint`, `solution`, `predict`, `progress`, `reset`.

What they do is `tensorlab.learn`'s; here are only the notebook's ends: its namespace goes in, and
what comes back is shown.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator

import numpy as np
from IPython.core.error import UsageError

import tensorlab
from tensorlab import learn
from tensorlab.learn import Course, Exercise, ItemProgress, Milestone, Progress, regions

from .notebook import Notebook
from .report import Code, Paragraph, Report, State, Table

__all__ = [
    "check",
    "exercise_and_lesson_ids",
    "exercise_ids",
    "hint",
    "lesson_ids",
    "predict",
    "prediction_ids",
    "progress",
    "reset",
    "solution",
    "status",
]


def status(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """Where the learner stands, and the next step."""
    course, log = learn.find_course(), Progress()
    summary = log.summary(course)
    done, total = sum(each.done for each in summary), sum(each.total for each in summary)
    yield Report(
        f"tensorlab {tensorlab.__version__} on NumPy {np.__version__}",
        [
            Paragraph(f"Course: {done} of {total} done in {_count(len(summary), 'lesson')}."),
            Paragraph(str(log.next_step(course))),
            Paragraph("%tensorlab --help lists the commands; Tab completes them."),
        ],
    )


def check(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """Check exercises one after the other, each shown as soon as it is done."""
    course, log = learn.find_course(), Progress()
    if args.exercises:
        items = [item for id in args.exercises for item in _items(course, id)]
    else:
        items = list(_begun(course, notebook))
        if not items:
            raise UsageError(
                "check: your notebook defines nothing that an exercise asks for; "
                "run the exercise's cell first, or give its id, such as %tensorlab check 01.1"
            )
    outcomes: Counter[str] = Counter()
    broken: dict[object, str] = {}  # by lesson: an exercise that raised or ran out of time
    for item in items:
        if isinstance(item, Milestone) and item.lesson in broken:
            # It would run the same broken code again, and wait for it as long as a milestone may.
            outcomes["waiting"] += 1
            yield Report(
                f"{item.id} {item.title}: waits until {broken[item.lesson]} runs without an error"
            )
            continue
        result = learn.check(item, notebook.namespace, seed=args.seed)
        outcomes[str(result.outcome)] += 1
        if result.outcome is learn.Outcome.ERROR:
            broken.setdefault(item.lesson, item.id)
        yield result
        log.checked(result)
    if len(items) > 1:
        counts = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
        all_passed = set(outcomes) == {"passed"}
        yield Report(f"{len(items)} checked: {counts}", state=State.GOOD if all_passed else None)


def hint(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """The next hint."""
    item = learn.find_course().exercise(args.exercise)
    yield Report.of_text(str(learn.hint(item, Progress())))


def solution(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """The course's solution, as it stands in the solved notebook."""
    item = _exercise(args.exercise)
    source = regions.solution(item)
    yield Report(f"Solution of {item.id} {item.title}", [Code(source, "solution")])
    Progress().record("solution", item.id)


def predict(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """Show a question, lock its answer, or put the answer beside the measurement."""
    prediction, log = learn.find_course().prediction(args.prediction), Progress()
    if args.value and args.measured:
        raise UsageError("predict: give a value or --measured, not both: first one, then the other")
    if args.value:
        try:
            locked = learn.lock(prediction, " ".join(args.value), log)
        except ValueError as error:
            raise UsageError(f"predict: {error}") from None
        yield Report.of_text(str(locked), State.GOOD if locked.accepted else State.WARN)
    elif args.measured:
        # Without a locked answer nothing is evaluated: even an error could give the answer away.
        expression = " ".join(args.measured)
        has_answer = log.item(prediction.id).locked is not None
        measured = notebook.evaluate(expression) if has_answer else None
        try:
            revealed = learn.reveal(prediction, measured, log)
        except ValueError as error:
            raise UsageError(f"predict --measured {expression}: {error}") from None
        state = None if revealed.revealed else State.OPEN
        yield Report.of_text(str(revealed), State.GOOD if revealed.score == 1 else state)
    else:
        yield Report.of_text(learn.describe(prediction, log))


def progress(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """The lessons with what is done in each, or the items of one lesson."""
    course, log = learn.find_course(), Progress()
    if args.lesson is not None:
        lesson = course.lesson(args.lesson)
        found = next(each for each in log.summary(course) if each.lesson is lesson)
        table = Table(
            ("", "exercise", "state", "checks", "hints"),
            [_item_row(item) for item in found.items],
            right=frozenset({3, 4}),
        )
        yield Report(
            f"{lesson.id} {lesson.title}", [table, Paragraph(_done(found.done, found.total))]
        )
        return
    summary = log.summary(course)
    table = Table(
        ("lesson", "title", "done", "of"),
        [(each.lesson.id, each.lesson.title, str(each.done), str(each.total)) for each in summary],
        right=frozenset({2, 3}),
        total=(
            "all",
            "",
            str(sum(each.done for each in summary)),
            str(sum(each.total for each in summary)),
        ),
    )
    yield Report("Progress", [table, Paragraph(str(log.next_step(course)))])


def reset(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """Offer the empty exercise in a new cell; the learner's own cell is theirs."""
    item = _exercise(args.exercise)
    notebook.offer(regions.stub(item))
    yield Report(
        f"The empty exercise {item.id} {item.title} is in a new cell below.",
        [Paragraph("Your own cell stays as it is. What is run last counts.")],
    )


# Ids for completion, each with a few words about it.


def exercise_ids() -> Iterator[tuple[str, str]]:
    for lesson in learn.find_course().lessons:
        for item in [*lesson.exercises.values(), *lesson.milestones.values()]:
            yield item.id, item.title


def prediction_ids() -> Iterator[tuple[str, str]]:
    for lesson in learn.find_course().lessons:
        for item in lesson.predictions.values():
            yield item.id, item.question


def lesson_ids() -> Iterator[tuple[str, str]]:
    for lesson in learn.find_course().lessons:
        yield lesson.id, lesson.title


def exercise_and_lesson_ids() -> Iterator[tuple[str, str]]:
    yield from exercise_ids()
    yield from lesson_ids()


# Small parts.


def _exercise(id: str) -> Exercise:
    """An exercise that has a cell of its own, which a milestone has not."""
    item = learn.find_course().exercise(id)
    if isinstance(item, Milestone):
        raise UsageError(
            f"{item.id} is a milestone: it has no cell to solve, it is reached by the exercises"
        )
    return item


def _items(course: Course, id: str) -> list[Exercise | Milestone]:
    if "." in id:
        return [course.exercise(id)]
    lesson = course.lesson(id)
    return [*lesson.exercises.values(), *lesson.milestones.values()]


def _begun(course: Course, notebook: Notebook) -> Iterator[Exercise | Milestone]:
    """What asks for a name that the notebook defines."""
    for lesson in course.lessons:
        for item in [*lesson.exercises.values(), *lesson.milestones.values()]:
            if any(name in notebook.namespace for name in item.names):
                yield item


def _item_row(item: ItemProgress) -> tuple[str, ...]:
    title = item.title if len(item.title) <= 60 else item.title[:59].rstrip() + "…"
    score = f", score {item.score:g}" if item.score is not None else ""
    shown = ", solution shown" if item.solution_shown else ""
    mark = State.GOOD.mark if item.done else State.OPEN.mark
    return (
        mark,
        f"{item.id} {title}",
        f"{item.state}{score}{shown}",
        str(item.attempts or "–"),
        str(item.hints or "–"),
    )


def _done(done: int, total: int) -> str:
    return f"{done} of {total} done."


def _count(number: int, one: str) -> str:
    return f"{number} {one}{'' if number == 1 else 's'}"
