"""Solution regions of an exercise's cell: what becomes the learner's stub, and the solution.

A region stands between ``### BEGIN SOLUTION`` and ``### END SOLUTION``, as nbgrader has it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tensorlab.learn.attempts import STUB_MESSAGE, CourseError
from tensorlab.learn.declare import Exercise

__all__ = ["grade_id", "read_cells", "solution", "solved_source", "stub", "stubbed_source"]

_BEGIN = re.compile(r"^(\s*)### BEGIN SOLUTION\s*$")
_END = re.compile(r"^\s*### END SOLUTION\s*$")


def solution(exercise: Exercise) -> str:
    """The solved cell of an exercise, without the region's markers.

    Raises:
        CourseError: the lesson's notebook has no cell of the exercise.
    """
    return solved_source(_cell_source(exercise))


def stub(exercise: Exercise) -> str:
    """The cell of an exercise as the learner gets it.

    Raises:
        CourseError: the lesson's notebook has no cell of the exercise.
    """
    return stubbed_source(_cell_source(exercise), exercise.id)


def solved_source(source: str) -> str:
    """A cell without the lines that mark its solution regions.

    >>> solved_source("def f(x):\\n    ### BEGIN SOLUTION\\n    return x\\n    ### END SOLUTION")
    'def f(x):\\n    return x'
    """
    lines = source.split("\n")
    return "\n".join(line for line in lines if not (_BEGIN.match(line) or _END.match(line)))


def stubbed_source(source: str, exercise_id: str) -> str:
    """A cell with each solution region replaced by a line that raises NotImplementedError.

    Raises:
        ValueError: a region has no end, or an end no beginning.

    >>> print(stubbed_source(
    ...     "def f(x):\\n    ### BEGIN SOLUTION\\n    return x\\n    ### END SOLUTION", "01.1"))
    def f(x):
        raise NotImplementedError("exercise 01.1: replace this line by your code")
    """
    kept: list[str] = []
    begun: int | None = None
    for number, line in enumerate(source.split("\n"), 1):
        begin = _BEGIN.match(line)
        if begin and begun is None:
            begun = number
            message = STUB_MESSAGE.format(id=exercise_id)
            kept.append(f'{begin[1]}raise NotImplementedError("{message}")')
        elif begin:
            raise ValueError(f"line {number}: a solution region begins inside another one")
        elif _END.match(line):
            if begun is None:
                raise ValueError(f"line {number}: a solution region ends that never began")
            begun = None
        elif begun is None:
            kept.append(line)
    if begun is not None:
        raise ValueError(f"line {begun}: the solution region has no ### END SOLUTION")
    return "\n".join(kept)


def read_cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook file, as they stand in its JSON, with each source as one string.

    Raises:
        CourseError: the file is missing or no notebook.
    """
    try:
        with open(path, encoding="utf-8") as file:
            cells = json.load(file)["cells"]
        for cell in cells:
            cell["source"] = "".join(cell["source"])
            cell.setdefault("metadata", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(f"{path} can't be read as a notebook: {error!r}") from error
    return cells


def grade_id(cell: dict[str, Any]) -> str:
    """The nbgrader id of a cell (``ex-01.1``, ``check-01.1``, ``predict-01.A``), or ``""``."""
    nbgrader = cell.get("metadata", {}).get("nbgrader")
    found = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    return found if isinstance(found, str) else ""


def _cell_source(exercise: Exercise) -> str:
    path = exercise.lesson.notebook_path
    for cell in read_cells(path):
        if grade_id(cell) == f"ex-{exercise.id}":
            return cell["source"]
    raise CourseError(f"{path} has no cell with the grade_id ex-{exercise.id}")
