"""Find the course, its lessons and everything in them that has an id.

A lesson's ``checks.py`` is code that runs. It is taken from the installed course only, never
from the folder that a learner works in.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tensorlab.learn.attempts import CourseError
from tensorlab.learn.declare import Exercise
from tensorlab.learn.lesson import Lesson, Milestone, Prediction

__all__ = ["Course", "UnknownExercise", "UnknownLesson", "course_dir", "find_course"]

Item = Exercise | Milestone | Prediction

_FOLDER = re.compile(r"(\d\d)_([a-z][a-z0-9_]*)")


class UnknownLesson(LookupError):
    """There is no lesson of this id; the message names the lessons there are."""


class UnknownExercise(LookupError):
    """There is no exercise, prediction or milestone of this id; the message suggests some."""


def course_dir() -> Path:
    """The folder of the installed course: inside the package, or beside it in a checkout.

    Raises:
        CourseError: if the installation has no course.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "course", package.parent / "course"):
        if folder.is_dir():
            return folder
    raise CourseError(f"this installation has no course: neither {package}/course nor beside it")


def find_course(folder: str | Path | None = None) -> Course:
    """The installed course, or the one in a folder. Lessons are loaded when they are asked for.

    >>> "01" in find_course().ids
    True
    """
    return _course(Path(folder).resolve() if folder is not None else course_dir())


@functools.lru_cache(maxsize=8)
def _course(folder: Path) -> Course:
    return Course(folder)


class Course:
    """The lessons in a folder of ``NN_name/{lesson.ipynb, checks.py}``."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        #: The lessons' folders by lesson id, in order. A folder without checks.py is no lesson.
        self.folders: dict[str, Path] = {}
        if self.folder.is_dir():
            for path in sorted(self.folder.iterdir()):
                found = _FOLDER.fullmatch(path.name)
                if found and (path / "checks.py").is_file():
                    self.folders[found[1]] = path
        self._lessons: dict[str, Lesson] = {}

    @property
    def ids(self) -> list[str]:
        """The ids of all lessons, in order."""
        return list(self.folders)

    @property
    def lessons(self) -> list[Lesson]:
        """All lessons, in order. Loads those that are not loaded yet."""
        return [self.lesson(id) for id in self.folders]

    def lesson(self, id: str) -> Lesson:
        """A lesson by id (``"01"``), folder name (``"01_tensors"``) or name (``"tensors"``).

        Raises:
            UnknownLesson: there is none; the message lists the lessons.
            CourseError: its checks.py can't be loaded.
        """
        key = str(id).strip()
        for number, path in self.folders.items():
            if key in (number, path.name, path.name[3:]) or (
                key.isdigit() and int(key) == int(number)
            ):
                if number not in self._lessons:
                    self._lessons[number] = load_lesson(path)
                return self._lessons[number]
        names = [path.name for path in self.folders.values()]
        close = difflib.get_close_matches(key, [*self.folders, *names], 1, 0.5)
        guess = f" Did you mean {close[0]}?" if close else ""
        listed = f"The lessons: {', '.join(names)}." if names else "The course has no lessons."
        raise UnknownLesson(f"there is no lesson {key!r}.{guess} {listed}")

    def find(self, id: str) -> Item:
        """An exercise, prediction or milestone by id: ``"05.2"``, ``"05.A"``, ``"05.M"``.

        Raises:
            UnknownExercise: there is none; the message suggests the closest.
        """
        key = str(id).strip()
        match = re.fullmatch(r"(\d{1,2})\.(\w+)", key)
        if match and match[1].zfill(2) in self.folders:
            lesson = self.lesson(match[1].zfill(2))
            wanted = f"{lesson.id}.{match[2].upper()}"
            if wanted in lesson.items:
                return lesson.items[wanted]
            listed = ", ".join(lesson.items) or "nothing to check"
            close = difflib.get_close_matches(wanted, list(lesson.items), 1, 0.6)
            guess = f" Did you mean {close[0]}?" if close else ""
            raise UnknownExercise(
                f"there is no exercise {key} in lesson {lesson.id}.{guess} It has {listed}."
            )
        form = "" if match else ' An exercise\'s id looks like "01.1".'
        lessons = ", ".join(self.folders) or "none"
        close = difflib.get_close_matches(key, list(self.item_ids()), 1, 0.5)
        guess = f" Did you mean {close[0]}?" if close else ""
        raise UnknownExercise(f"there is no exercise {key!r}.{guess}{form} Lessons: {lessons}.")

    def exercise(self, id: str) -> Exercise | Milestone:
        """An exercise or milestone by id: what `check` takes.

        Raises:
            UnknownExercise: there is none, or the id is a prediction's.
        """
        found = self.find(id)
        if isinstance(found, Prediction):
            raise UnknownExercise(f"{found.id} is a prediction: answer it with predict {found.id}")
        return found

    def prediction(self, id: str) -> Prediction:
        """A prediction by id.

        Raises:
            UnknownExercise: there is none, or the id is an exercise's.
        """
        found = self.find(id)
        if not isinstance(found, Prediction):
            raise UnknownExercise(f"{found.id} is no prediction: check it with check {found.id}")
        return found

    def item_ids(self) -> Iterator[str]:
        """The ids of all exercises, predictions and milestones, for completion."""
        for lesson in self.lessons:
            yield from lesson.items

    def __repr__(self) -> str:
        return f"<Course of {len(self.folders)} lessons>"


def load_lesson(folder: Path) -> Lesson:
    """Run a lesson folder's ``checks.py`` and return the `Lesson` that it declares.

    Raises:
        CourseError: it fails, or declares no ``lesson`` of the folder's id and name.
    """
    path = folder / "checks.py"
    module_name = f"_tensorlab_course_{folder.name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise CourseError(f"{path} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise CourseError(f"{path} fails: {type(error).__name__}: {error}") from error
    lesson = getattr(module, "lesson", None)
    if not isinstance(lesson, Lesson):
        raise CourseError(f"{path} must define lesson = Lesson(...)")
    if lesson.folder_name != folder.name:
        raise CourseError(f"{path} declares {lesson.folder_name}, its folder is {folder.name}")
    lesson.path = folder
    return lesson
