"""What a learner did: an append-only log on their own machine, and what it adds up to.

One JSON object per line. Several kernels and programs may write at once; a line that a crash
cut short is skipped, and costs nothing but itself. Nothing ever leaves the machine.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorlab.learn.declare import Exercise
from tensorlab.learn.lesson import Lesson, Milestone, Prediction

if TYPE_CHECKING:
    from tensorlab.learn.course import Course
    from tensorlab.learn.results import CheckResult

__all__ = [
    "ItemProgress",
    "LessonProgress",
    "NextStep",
    "Progress",
    "ProgressError",
    "data_home",
]


class ProgressError(OSError):
    """The log can't be written or read; the message says where it should be, and why not."""


def data_home() -> Path:
    """The folder of the learner's own data: ``$TENSORLAB_HOME``, or the system's usual place.

    ``~/.local/share/tensorlab`` on Linux, ``~/Library/Application Support/tensorlab`` on macOS,
    ``%LOCALAPPDATA%\\tensorlab`` on Windows.
    """
    chosen = os.environ.get("TENSORLAB_HOME")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "tensorlab"


@dataclass(slots=True)
class ItemProgress:
    """How far a learner is with one exercise, prediction or milestone.

    ``state`` is "open" (never tried), "passed" (at least once), the last outcome ("failed",
    "error", "unattempted"), or for predictions "locked" and "revealed".
    """

    id: str
    title: str = ""
    kind: str = "exercise"
    points: float = 0
    state: str = "open"
    attempts: int = 0
    hints: int = 0
    solution_shown: bool = False
    #: The id of the mutant that the last check recognised, and whether its hint was given.
    mutant: str | None = None
    mutant_told: bool = False
    #: A prediction's locked value, what was measured, and the score between 0 and 1.
    locked: Any = None
    measured: Any = None
    score: float | None = None

    @property
    def done(self) -> bool:
        return self.state in ("passed", "revealed")


@dataclass(slots=True)
class LessonProgress:
    """How far a learner is with a lesson: its items, in order."""

    lesson: Lesson
    items: list[ItemProgress] = field(default_factory=list)

    @property
    def done(self) -> int:
        return sum(item.done for item in self.items)

    @property
    def total(self) -> int:
        return len(self.items)

    def __str__(self) -> str:
        head = f"{self.lesson.id} {self.lesson.title}: {self.done} of {self.total} done"
        return "\n".join([head, *(f"  {_line(item)}" for item in self.items)])


def _line(item: ItemProgress) -> str:
    extras = []
    if item.attempts:
        extras.append(f"{item.attempts} check{'' if item.attempts == 1 else 's'}")
    if item.hints:
        extras.append(f"{item.hints} hint{'' if item.hints == 1 else 's'}")
    if item.solution_shown:
        extras.append("solution shown")
    if item.score is not None:
        extras.append(f"score {item.score:g}")
    told = f" ({', '.join(extras)})" if extras else ""
    return f"{'✓' if item.done else '○'} {item.id} {item.title}: {item.state}{told}"


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do next. ``item_id`` is None when the whole course is done."""

    lesson_id: str | None
    item_id: str | None
    text: str

    def __str__(self) -> str:
        return self.text


class Progress:
    """The log under a folder; by default the learner's own (`data_home`).

    >>> import tempfile
    >>> progress = Progress(tempfile.mkdtemp())
    >>> progress.record("check", "01.1", outcome="failed")
    >>> progress.record("check", "01.1", outcome="passed")
    >>> progress.item("01.1").state, progress.item("01.1").attempts
    ('passed', 2)
    """

    def __init__(self, home: str | Path | None = None) -> None:
        self.home = Path(home) if home is not None else data_home()

    @property
    def path(self) -> Path:
        return self.home / "progress.jsonl"

    # -- writing ---------------------------------------------------------------------------

    def record(self, event: str, id: str, **fields: Any) -> None:
        """Append one event, whole or not at all.

        Raises:
            ProgressError: the folder or the file can't be written.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"v": 1, "time": now, "event": event, "id": id, **fields}
        line = json.dumps(entry, ensure_ascii=True, allow_nan=True, default=str) + "\n"
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab+", buffering=0) as file, _locked(file.fileno()):
                # A writer that died in the middle of its line must not swallow this one.
                if file.seek(0, os.SEEK_END) and _last_byte(file) != b"\n":
                    line = "\n" + line
                _write_all(file.fileno(), line.encode())
        except OSError as error:
            raise ProgressError(
                f"progress can't be written to {self.path}: {error.strerror or error}. "
                "Set TENSORLAB_HOME to a folder that you may write to."
            ) from error

    def checked(self, result: CheckResult) -> None:
        """Append the result of a check."""
        fields: dict[str, Any] = {"outcome": str(result.outcome)}
        if result.seed is not None:
            fields["seed"] = result.seed
        if result.mutant is not None:
            fields["mutant"] = result.mutant.label
        if result.number is not None:
            fields["number"] = float(result.number)
        self.record("check", result.exercise_id, **fields)

    # -- reading ---------------------------------------------------------------------------

    def events(self) -> Iterator[dict[str, Any]]:
        """All events, oldest first. Lines that are no event are skipped.

        Raises:
            ProgressError: the file is there but can't be read.
        """
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise ProgressError(
                f"progress can't be read from {self.path}: {error.strerror or error}"
            ) from error
        for line in raw.split(b"\n"):
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):  # cut short, or no text at all
                continue
            if (
                isinstance(entry, dict)
                and isinstance(entry.get("event"), str)
                and isinstance(entry.get("id"), str)
            ):
                yield entry

    def items(self) -> dict[str, ItemProgress]:
        """What the log adds up to, by id; ids that it doesn't mention are left out."""
        items: dict[str, ItemProgress] = {}
        for entry in self.events():
            _apply(items.setdefault(entry["id"], ItemProgress(entry["id"])), entry)
        return items

    def item(self, id: str) -> ItemProgress:
        """What the log adds up to for one id."""
        return self.items().get(id) or ItemProgress(id)

    def summary(self, course: Course) -> list[LessonProgress]:
        """The whole course with the learner's state of every item."""
        items = self.items()
        return [_lesson_progress(lesson, items) for lesson in course.lessons]

    def next_step(self, course: Course) -> NextStep:
        """The first exercise or milestone that is not passed yet, in the order of the course."""
        items = self.items()
        for lesson_id in course.ids:
            lesson = course.lesson(lesson_id)
            for item in [*lesson.exercises.values(), *lesson.milestones.values()]:
                state = items.get(item.id) or ItemProgress(item.id)
                if state.done:
                    continue
                place = f"lesson {lesson.id}, {lesson.title}"
                what = "milestone" if isinstance(item, Milestone) else "exercise"
                if not any(id in items for id in lesson.items):
                    text = f"Start {place} Its first exercise is {item.id} {item.title}."
                    if lesson.title[-1] not in "?!.":
                        text = text.replace(place, f"{place}.")
                elif state.state in ("failed", "error"):
                    text = f"Go on with {what} {item.id} {item.title}: it {_TRIED[state.state]}."
                else:
                    text = f"Next: {what} {item.id} {item.title} ({place})."
                return NextStep(lesson.id, item.id, text)
        if not course.ids:
            return NextStep(None, None, "The course has no lessons.")
        text = "You have passed every exercise and milestone of the course."
        left = [item for lesson in self.summary(course) for item in lesson.items if not item.done]
        if left:
            text += f" Predictions still open: {', '.join(item.id for item in left)}."
        return NextStep(None, None, text)


_TRIED = {"failed": "has failed so far", "error": "has raised an error so far"}


def _lesson_progress(lesson: Lesson, items: dict[str, ItemProgress]) -> LessonProgress:
    made = LessonProgress(lesson)
    for id, declared in lesson.items.items():
        item = items.get(id) or ItemProgress(id)
        if isinstance(declared, Prediction):
            item.kind, item.title = "prediction", declared.question
        else:
            item.kind = "exercise" if isinstance(declared, Exercise) else "milestone"
            item.title, item.points = declared.title, declared.points
        made.items.append(item)
    return made


def _apply(item: ItemProgress, entry: dict[str, Any]) -> None:
    """One event's part in the state. Values of a wrong type are ignored, not believed."""
    event = entry["event"]
    if event == "check":
        outcome = entry.get("outcome")
        if outcome not in ("passed", "failed", "error", "unattempted"):
            return
        item.attempts += outcome != "unattempted"
        if item.state != "passed" and not (outcome == "unattempted" and item.attempts):
            item.state = outcome
        mutant = entry.get("mutant")
        item.mutant = mutant if isinstance(mutant, str) else None
        item.mutant_told = False
    elif event == "hint":
        if entry.get("mutant") is not None:
            item.mutant_told = True
        else:
            item.hints += 1
    elif event == "solution":
        item.solution_shown = True
    elif event == "lock" and item.locked is None and entry.get("value") is not None:
        item.kind, item.state, item.locked = "prediction", "locked", entry["value"]
    elif event == "reveal" and item.state == "locked":
        score = entry.get("score")
        item.state, item.measured = "revealed", entry.get("measured")
        item.score = float(score) if isinstance(score, (int, float)) else None


# -- a line at a time ----------------------------------------------------------------------


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Hold the file's lock: appends of several processes don't mix, on any system."""
    if sys.platform == "win32":
        import msvcrt

        # Bytes far behind the end: the lock is only a sign between writers.
        os.lseek(descriptor, 2**30, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        try:
            yield
        finally:
            os.lseek(descriptor, 2**30, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            held = True
        except OSError:  # some network file systems have no locks; one append is still one write
            held = False
        try:
            yield
        finally:
            if held:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
