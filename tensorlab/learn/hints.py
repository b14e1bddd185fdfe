"""Help, one step at a time: hints, then the solution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensorlab.learn.declare import Exercise
from tensorlab.learn.lesson import Milestone
from tensorlab.learn.progress import Progress, ProgressError

__all__ = ["Hint", "hint"]


@dataclass(frozen=True, slots=True)
class Hint:
    """One hint. ``number`` counts from 1; it is 0 for the hint of a recognised mistake.

    ``note`` says why the log could not take it, if so: the same hint then comes again next time.
    """

    exercise_id: str
    text: str
    number: int
    total: int
    last: bool
    note: str = ""

    def __str__(self) -> str:
        if not self.total:
            return self.text
        note = f"\n{self.note}" if self.note else ""
        if not self.number:
            return f"Hint (about the mistake in your last check): {self.text}{note}"
        end = " That was the last one." if self.last else ""
        return f"Hint {self.number} of {self.total}: {self.text}{end}{note}"


def hint(item: Exercise | Milestone, progress: Progress) -> Hint:
    """The next hint, and note in the log that it was given.

    If the last check recognised a mistake, the hint for it comes first. Then the exercise's own
    hints follow one by one; the last is given again when all were given.

    >>> import tempfile
    >>> from tensorlab.learn import Lesson
    >>> lesson = Lesson("90", "example", title="An example")
    >>> @lesson.exercise("90.1", names=["double"], title="Twice as much")
    ... class Double(Exercise):
    ...     hints = ["What is x + x?", "return x + x"]
    >>> progress = Progress(tempfile.mkdtemp())
    >>> for _ in range(3):
    ...     print(hint(lesson.exercises["90.1"], progress))
    Hint 1 of 2: What is x + x?
    Hint 2 of 2: return x + x That was the last one.
    Hint 2 of 2: return x + x That was the last one.
    """
    state = progress.item(item.id)
    hints = list(item.hints)
    if state.mutant is not None and not state.mutant_told:
        found = next((m for m in item.mutants if m.label == state.mutant), None)
        if found is not None:
            note = _log(progress, item.id, mutant=found.label)
            return Hint(item.id, found.text, 0, max(len(hints), 1), False, note)
    if not hints:
        return Hint(item.id, f"There are no hints for {item.id}.", 0, 0, True)
    number = min(state.hints, len(hints) - 1) + 1
    note = _log(progress, item.id, number=number)
    return Hint(item.id, hints[number - 1], number, len(hints), number == len(hints), note)


def _log(progress: Progress, id: str, **fields: Any) -> str:
    """Note in the log that a hint was given; returns why not, if the log can't be written.

    Whoever asks for help gets it, also where the disk is full.
    """
    try:
        progress.record("hint", id, **fields)
    except ProgressError as error:
        return str(error)
    return ""
