"""Run a learner's notebook in a fresh kernel, without a front end, and check its exercises.

The notebook is read, never written. Its cells run in a copy; then one more cell checks every
exercise of the lesson in the namespace they left, and writes each result to a private file as
soon as it has it. Nothing is read off printed text, and a kernel that dies in the third exercise
has still told of the first two.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
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
_INTERRUPTS, _INTERRUPTED = 3, 5.0  # how often, and for how many seconds each, before the end
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
        ModuleNotFoundError: nbformat, jupyter_client or ipykernel is not installed.
    """
    path = Path(path)
    course = course or find_course()
    notebook = _read(path)
    lesson = lesson_of(notebook, course, path)
    items: list[Exercise | Milestone] = [*lesson.exercises.values(), *lesson.milestones.values()]
    # The last cell checks them all; checking twice would only take twice as long.
    sources = [
        _CHECK_LINE.sub(r"\1pass", cell.source)
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.strip()
    ]
    # Each check has a limit of its own; this one is for a kernel that is lost.
    limit = sum(item.time_limit + 15 for item in items) + 60
    with tempfile.TemporaryDirectory(prefix="tensorlab-check-", ignore_cleanup_errors=True) as home:
        results = Path(home) / "results.jsonl"
        plan = {"course": str(course.folder), "lesson": lesson.id, "results": str(results)}
        # The statement, not the function __import__, and no globals(): the learner's own names
        # can't stand in for ours.
        last = (
            "import tensorlab.learn.headless as __checks__\n"
            f"__checks__._check_caller({json.dumps(plan)!r})"
        )
        problem = _execute([*sources, last], path.resolve().parent, Path(home), timeout, limit)
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
        raise NotACourseNotebook(
            f"{path} is no notebook ({type(error).__name__}): expected your copy of a lesson"
        ) from error


class _KernelLost(Exception):
    """The kernel died or had to be ended; the message says why."""


def _execute(
    sources: Sequence[str], folder: Path, home: Path, timeout: float, last_timeout: float
) -> str:
    """Run cells in a fresh kernel; returns what went wrong with the kernel, or ``""``.

    What the cells display is not even received: it may be a million lines.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import KernelManager

    manager = KernelManager()
    # This interpreter's kernel, whatever the notebook asks for and whatever is registered.
    manager._kernel_spec = KernelSpec(  # pyright: ignore[reportAttributeAccessIssue]
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name="tensorlab check",
        language="python",
    )
    variables = {"TENSORLAB_HOME": str(home / "home"), "TENSORLAB_LIVE": "0"}
    manager.start_kernel(
        cwd=str(folder),
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = manager.client()
    client.start_channels(stdin=False)
    try:
        client.wait_for_ready(timeout=60)
        for number, source in enumerate(sources, 1):
            last = number == len(sources)
            _run_cell(manager, client, source, last_timeout if last else timeout, number)
    except (_KernelLost, RuntimeError) as error:  # RuntimeError: it never got ready
        return str(error)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return ""


def _run_cell(manager: Any, client: Any, source: str, timeout: float, number: int) -> None:
    """Run one cell and wait for its end; one that takes too long is interrupted."""
    request = client.execute(source, allow_stdin=False, stop_on_error=False)
    end = time.monotonic() + timeout
    interrupts = 0
    while True:
        try:
            reply = client.get_shell_msg(timeout=min(1.0, max(end - time.monotonic(), 0.01)))
        except queue.Empty:
            if not manager.is_alive():
                raise _KernelLost("The kernel died") from None
            if time.monotonic() < end:
                continue
            if interrupts == _INTERRUPTS:
                raise _KernelLost(
                    f"Code cell {number} did not end within {timeout:g} s, not even when it was "
                    "interrupted, so the kernel was ended"
                ) from None
            interrupts += 1
            manager.interrupt_kernel()
            end = time.monotonic() + _INTERRUPTED
            continue
        if reply["parent_header"].get("msg_id") == request:
            return


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
        why = problem or "The checks could not be run in the notebook's kernel"
        message = f"{why} in this exercise." if entry else f"{why} before this one was checked."
        message = message if problem else f"{why}."
        text = f"! {item.id} {item.title}: error\n  {message}"
        rows.append(
            CheckedItem(item.id, item.title, Outcome.ERROR, message, text, points=item.points)
        )
    return rows


def _check_caller(plan: str) -> None:
    """Runs in the kernel, from the last cell: check everything, one line of the file for each."""
    namespace = sys._getframe(1).f_globals
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
