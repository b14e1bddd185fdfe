"""Run a learner's notebook in a fresh kernel, without a front end, and check its exercises.

The notebook is read, never written. Its cells run in a copy; then one more cell checks every
exercise of the lesson in the namespace they left, and writes each result to a private file as
soon as it has it. Nothing is read off printed text, and a kernel that dies in the third exercise
has still told of the first two.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import MutableMapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tensorlab.learn.course import Course, UnknownExercise, UnknownLesson, find_course
from tensorlab.learn.declare import Exercise
from tensorlab.learn.engine import check
from tensorlab.learn.lesson import Lesson, Milestone
from tensorlab.learn.results import Outcome

__all__ = ["CheckedItem", "NotACourseNotebook", "lesson_of", "run_checks"]

_ID = re.compile(r"^\s*%tensorlab\s+check\s+((?:\d\d\.\w+\s*)+)$", re.M)
_CHECK_LINE = re.compile(r"^(\s*)%tensorlab\s+check\b.*$", re.M)


class NotACourseNotebook(ValueError):
    """The file is missing, is no notebook, or has no exercises of the course in it."""


@dataclass(slots=True)
class CheckedItem:
    """One exercise's (or milestone's) row: `text` is the full message as a learner reads it."""

    id: str
    title: str
    outcome: str
    message: str = ""
    text: str = ""
    points: float = 0
    earned: float = 0
    hint: str | None = None

    @property
    def passed(self) -> bool:
        return self.outcome == Outcome.PASSED


def run_checks(
    path: str | Path, *, timeout: float = 120.0, course: Course | None = None
) -> list[CheckedItem]:
    """Execute a notebook's cells in a fresh kernel and check the lesson's exercises.

    Cells that raise do not end the run. The file is not written to, and the learner's log of
    progress is neither read nor written.

    Args:
        path: the notebook.
        timeout: seconds for each cell; one that takes longer is interrupted.
        course: where the exercises come from; default the installed course.

    Returns:
        A row for each exercise and milestone of the notebook's lesson, in order.

    Raises:
        NotACourseNotebook: the file is missing, is no notebook, or has no exercise of the course.
        ModuleNotFoundError: nbclient, nbformat or ipykernel is not installed.
    """
    import nbformat

    path = Path(path)
    course = course or find_course()
    notebook = _read(path)
    lesson = lesson_of(notebook, course, path)
    items: list[Exercise | Milestone] = [*lesson.exercises.values(), *lesson.milestones.values()]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            # The last cell checks them all; checking twice would only take twice as long.
            cell.source = _CHECK_LINE.sub(r"\1pass", cell.source)
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory(prefix="tensorlab-check-", ignore_cleanup_errors=True) as home:
        results = Path(home) / "results.jsonl"
        plan = {"course": str(course.folder), "lesson": lesson.id, "results": str(results)}
        # A dunder import: the learner's own names can't stand in for ours.
        source = (
            "__import__('tensorlab.learn.headless', fromlist=['_'])"
            f"._check_all(globals(), {json.dumps(plan)!r})"
        )
        notebook.cells.append(nbformat.v4.new_code_cell(source))
        problem = _execute(notebook, path.resolve().parent, Path(home), timeout, items)
        return _rows(items, results, problem)


def lesson_of(notebook: Any, course: Course, path: Path) -> Lesson:
    """The lesson that a notebook belongs to: that of the exercises in it.

    Raises:
        NotACourseNotebook: it has no exercise of the course, or those of several lessons.
    """
    ids: list[str] = []
    for cell in notebook.cells:
        nbgrader = cell.metadata.get("nbgrader")
        key = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
        if isinstance(key, str) and (found := re.fullmatch(r"(?:ex|check)-(\d\d\.\w+)", key)):
            ids.append(found[1])
        if cell.cell_type == "code":
            ids += [id for found in _ID.finditer(cell.source) for id in found[1].split()]
    lessons = dict.fromkeys(id[:2] for id in ids)
    if not lessons:
        raise NotACourseNotebook(f"{path} has no exercise of the course in it")
    if len(lessons) > 1:
        raise NotACourseNotebook(
            f"{path} has exercises of several lessons ({', '.join(lessons)}); check one at a time"
        )
    try:
        return course.lesson(next(iter(lessons)))
    except (UnknownLesson, UnknownExercise) as error:
        raise NotACourseNotebook(f"{path}: {error}") from error


def _read(path: Path) -> Any:
    import nbformat

    if not path.is_file():
        raise NotACourseNotebook(f"{path} does not exist or is no file")
    try:
        return nbformat.read(path, as_version=4)
    except PermissionError as error:
        raise NotACourseNotebook(f"{path} can't be read: {error.strerror}") from error
    except Exception as error:  # nbformat raises many kinds for text that is no notebook
        raise NotACourseNotebook(f"{path} is no notebook: {type(error).__name__}") from error


def _execute(
    notebook: Any,
    folder: Path,
    home: Path,
    timeout: float,
    items: Sequence[Exercise | Milestone],
) -> str:
    """Run the cells; returns what went wrong with the kernel, or ``""``."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    # The last cell holds the checks, each with a limit of its own.
    limits = sum(item.time_limit + 15 for item in items) + 60
    manager = AsyncKernelManager()
    # This interpreter's kernel, whatever the notebook asks for and whatever is registered.
    manager._kernel_spec = KernelSpec(  # pyright: ignore[reportAttributeAccessIssue]
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name="tensorlab check",
        language="python",
    )
    client = NotebookClient(
        notebook,
        km=manager,
        timeout_func=lambda cell: limits if cell is notebook.cells[-1] else timeout,
        allow_errors=True,
        interrupt_on_timeout=True,
        resources={"metadata": {"path": str(folder)}},
    )
    home_variables = {"TENSORLAB_HOME": str(home / "home"), "TENSORLAB_LIVE": "0"}
    try:
        # What the kernel logs is of no use to anybody here.
        client.execute(
            cleanup_kc=True, env={**os.environ, **home_variables}, stderr=subprocess.DEVNULL
        )
    except DeadKernelError:
        return "The kernel died"
    except CellTimeoutError:
        return f"A cell did not end within {timeout:g} s and could not be interrupted"
    return ""


def _rows(items: Sequence[Exercise | Milestone], results: Path, problem: str) -> list[CheckedItem]:
    found: dict[str, dict[str, Any]] = {}
    if results.is_file():
        for line in results.read_bytes().split(b"\n"):
            try:
                entry = json.loads(line)
            except ValueError:  # the kernel died while it wrote this line
                continue
            found[entry["id"]] = entry
    rows = []
    for item in items:
        entry = found.get(item.id)
        if entry is not None and entry["outcome"] != "begun":
            rows.append(CheckedItem(**entry))
            continue
        why = problem or "The checks did not run"
        message = (
            f"{why} in this exercise." if entry else f"{why} before this exercise was checked."
        )
        text = f"! {item.id} {item.title}: error\n  {message}"
        rows.append(
            CheckedItem(item.id, item.title, Outcome.ERROR, message, text, points=item.points)
        )
    return rows


def _check_all(namespace: MutableMapping[str, Any], plan: str) -> None:
    """Runs in the kernel, as the last cell: check everything, one line of the file for each."""
    options = json.loads(plan)
    lesson = Course(options["course"]).lesson(options["lesson"])
    items: list[Exercise | Milestone] = [*lesson.exercises.values(), *lesson.milestones.values()]
    with open(options["results"], "a", encoding="utf-8", buffering=1) as file:
        for item in items:
            row = CheckedItem(item.id, item.title, "begun", points=item.points)
            file.write(json.dumps(asdict(row)) + "\n")
            result = check(item, namespace)
            row.outcome, row.message = str(result.outcome), result.message
            row.text, row.hint = str(result), result.hint
            row.earned = item.points if result.passed else 0
            file.write(json.dumps(asdict(row)) + "\n")
