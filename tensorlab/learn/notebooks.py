"""Learners' notebooks, generated from the solved ones, and what a solved one has to look like."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorlab.learn.attempts import CourseError
from tensorlab.learn.declare import Exercise
from tensorlab.learn.lesson import Lesson, Milestone
from tensorlab.learn.references import without_magics
from tensorlab.learn.regions import grade_id, read_cells, stubbed_source

__all__ = ["learner_notebook", "validate"]

_PREDICT = re.compile(r"^(\s*%tensorlab\s+predict\s+(\d\d\.[A-Z]))(?!.*--measured)\b.*$", re.M)
_NBVAL_LINE = re.compile(r"^#\s*NBVAL_[A-Z_]+\s*\n?", re.M)
_LOCAL_PATH = re.compile(r"(/tmp/|/home/|/root/|/Users/|[A-Z]:\\|ipykernel_\d)")
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def learner_notebook(path: str | Path) -> Any:
    """The learner's notebook (an nbformat ``NotebookNode``) of a solved one.

    Solution regions become a line that raises NotImplementedError, the values of predictions
    are taken out, outputs are cleared, and marks for the test runner are removed. Cell ids and
    nbgrader metadata stay.

    Args:
        path: the solved notebook, or the lesson's folder.

    Raises:
        CourseError: the notebook can't be read, or one of its solution regions is broken.
    """
    import nbformat

    path = Path(path)
    path = path / "lesson.ipynb" if path.is_dir() else path
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:
        raise CourseError(f"{path} can't be read as a notebook: {error!r}") from error
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if tags := cell.metadata.get("tags"):
            cell.metadata["tags"] = [tag for tag in tags if not tag.startswith("nbval-")]
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        cell.metadata.pop("execution", None)
        cell.source = _learners_source(cell, path)
    nbformat.validate(notebook)
    return notebook


def _learners_source(cell: Any, path: Path) -> str:
    source = _NBVAL_LINE.sub("", cell.source)
    id = grade_id(cell)
    if id.startswith("ex-"):
        try:
            return stubbed_source(source, id.removeprefix("ex-"))
        except ValueError as error:
            raise CourseError(f"{path}, cell {id}: {error}") from error
    return _PREDICT.sub(r"\1", source)


def validate(lesson: Lesson) -> list[str]:
    """What is wrong with the structure of a lesson: one sentence each; empty if all is well.

    The solved notebook must have, for every exercise, its cell (with a solution region inside a
    function, defining the exercise's names) and after it its check cell; for every prediction a
    cell that locks it and a later one that reveals it; a check cell for every milestone; the
    nbgrader metadata for all of them; and nothing in it that differs from machine to machine.
    Every exercise has at least three hints, five mutants and two alternatives.
    """
    problems: list[str] = []
    for exercise in lesson.exercises.values():
        problems += _declaration_problems(exercise)
    numbers = [int(id.split(".")[1]) for id in lesson.exercises]
    if numbers != list(range(1, len(numbers) + 1)):
        problems.append(f"the exercises are not numbered in order from 1: {numbers}")
    try:
        cells = read_cells(lesson.notebook_path)
        learners = learner_notebook(lesson.notebook_path)
    except CourseError as error:
        return [*problems, str(error)]
    problems += _notebook_problems(cells)
    places = {grade_id(cell): i for i, cell in enumerate(cells) if grade_id(cell)}
    ids = [grade_id(cell) for cell in cells if grade_id(cell)]
    problems += [f"the grade_id {id} is used twice" for id in {i for i in ids if ids.count(i) > 1}]
    known = {f"{kind}-{id}" for id in lesson.items for kind in ("ex", "check", "predict")}
    problems += [f"the grade_id {id} belongs to nothing" for id in ids if id not in known]
    for exercise in lesson.exercises.values():
        problems += _exercise_problems(exercise, cells, learners.cells, places)
    for milestone in lesson.milestones.values():
        problems += _check_cell_problems(milestone, cells, places)
    for id in lesson.predictions:
        problems += _prediction_problems(id, cells, places)
    return problems


def _declaration_problems(exercise: Exercise) -> Iterator[str]:
    for what, found, least in (
        ("hints", exercise.hints, 3),
        ("mutants", exercise.mutants, 5),
        ("alternatives", exercise.alternatives, 2),
    ):
        if len(found) < least:
            yield f"{exercise.id} has {len(found)} {what}; at least {least} are asked for"
    texts = [mutant.text for mutant in exercise.mutants]
    if len(set(texts)) < len(texts):
        yield f"{exercise.id} has two mutants with the same hint"


def _notebook_problems(cells: list[dict[str, Any]]) -> Iterator[str]:
    if not cells or cells[0]["cell_type"] != "markdown" or not cells[0]["source"].startswith("# "):
        yield "the first cell must be markdown with the title (# ...)"
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    first = code[0]["source"].splitlines() if code else []
    if not first or first[0] != "%load_ext tensorlab":
        yield "the first code cell must begin with %load_ext tensorlab"
    if not any(line.startswith("%tensorlab seed ") for line in first):
        yield "the first code cell must seed the random generators: %tensorlab seed 0"
    seen: set[str] = set()
    for number, cell in enumerate(cells, 1):
        id = cell.get("id")
        if not id or id in seen:
            yield f"cell {number} needs an id of its own"
        seen.add(id or "")
        if cell["cell_type"] != "code":
            continue
        place = f"cell {number} ({id})"
        try:
            ast.parse(without_magics(cell["source"]))
        except SyntaxError as error:
            yield f"{place} is no Python: {error}"
        if cell["source"].rstrip().endswith(";"):
            yield f"{place} ends in a semicolon, which the notebook test can't follow"
        yield from _output_problems(place, cell.get("outputs", []))


def _output_problems(place: str, outputs: list[dict[str, Any]]) -> Iterator[str]:
    for output in outputs:
        if output.get("output_type") == "error":
            yield f"{place} has a traceback in its output"
        texts = [output.get("text", "")]
        for kind, data in output.get("data", {}).items():
            if kind == _WIDGET_VIEW:
                yield f"{place} has a live widget in its output: strip it"
            if kind.startswith("text/"):
                texts.append(data)
        for text in texts:
            if found := _LOCAL_PATH.search("".join(text)):
                yield f"{place} prints a path of one machine ({found[1]})"


def _exercise_problems(
    exercise: Exercise,
    cells: list[dict[str, Any]],
    learners: list[Any],
    places: dict[str, int],
) -> Iterator[str]:
    key = f"ex-{exercise.id}"
    if key not in places:
        yield f"{exercise.id} has no cell with the grade_id {key}"
        return
    cell, stub = cells[places[key]], learners[places[key]].source
    yield from _nbgrader_problems(key, cell, exercise.points, solution=True)
    if stub == cell["source"]:
        yield f"{key} has no solution region"
        return
    try:
        tree = ast.parse(without_magics(stub))
    except SyntaxError as error:
        yield f"the stub of {key} is no Python: {error}"
        return
    defined = {node.name for node in tree.body if hasattr(node, "name")}  # type: ignore[attr-defined]
    missing = [name for name in exercise.names if name not in defined]
    if missing:
        yield f"the stub of {key} does not define {', '.join(missing)}"
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and id(node) not in inside:
            yield f"a solution region of {key} is not inside a function: the cell would not run"
    yield from _check_cell_problems(exercise, cells, places)
    check = places.get(f"check-{exercise.id}")
    if check is not None and check < places[key]:
        yield f"the check of {exercise.id} comes before its cell"


def _check_cell_problems(
    item: Exercise | Milestone, cells: list[dict[str, Any]], places: dict[str, int]
) -> Iterator[str]:
    key = f"check-{item.id}"
    if key not in places:
        yield f"{item.id} has no cell with the grade_id {key}"
        return
    cell = cells[places[key]]
    if cell["source"].strip() != f"%tensorlab check {item.id}":
        yield f"{key} must say %tensorlab check {item.id}"
    yield from _nbgrader_problems(key, cell, item.points, solution=False)


def _prediction_problems(
    id: str, cells: list[dict[str, Any]], places: dict[str, int]
) -> Iterator[str]:
    key = f"predict-{id}"
    if key not in places:
        yield f"{id} has no cell with the grade_id {key}"
        return
    if not re.search(
        rf"^%tensorlab predict {re.escape(id)} \S", cells[places[key]]["source"], re.M
    ):
        yield f"{key} must say %tensorlab predict {id} VALUE"
    reveal = re.compile(rf"^%tensorlab predict {re.escape(id)} --measured \S", re.M)
    if not any(reveal.search(cell["source"]) for cell in cells[places[key] + 1 :]):
        yield f"{id} is never revealed: %tensorlab predict {id} --measured EXPR"


def _nbgrader_problems(
    key: str, cell: dict[str, Any], points: float, *, solution: bool
) -> Iterator[str]:
    wanted = {
        "schema_version": 3,
        "grade": not solution,
        "solution": solution,
        "locked": not solution,
        "task": False,
        "points": points,
    }
    found = cell["metadata"]["nbgrader"]
    for name, value in wanted.items():
        if found.get(name) != value:
            yield f"{key}: nbgrader {name} is {found.get(name)!r}, should be {value!r}"
