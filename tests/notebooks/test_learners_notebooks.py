"""A learner's notebook, untouched: it runs to its end, every check says "unattempted", nothing raises.

The solved notebooks themselves are run by nbval, cell by cell: see course/conftest.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tensorlab.learn import find_course
from tensorlab.learn.notebooks import learner_notebook

LESSONS = find_course().lessons


@pytest.fixture(scope="module", params=LESSONS, ids=lambda lesson: lesson.folder_name)
def executed(request, tmp_path_factory):
    """The learner's notebook of a lesson after "Run All", and the lesson."""
    lesson = request.param
    home: Path = tmp_path_factory.mktemp(lesson.folder_name)
    notebook = nbformat.from_dict(learner_notebook(lesson.notebook_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENSORLAB_HOME", str(home / "home"))
        patch.setenv("TENSORLAB_LIVE", "0")
        client = NotebookClient(
            notebook,
            timeout=500,
            allow_errors=True,
            kernel_name="python3",
            resources={"metadata": {"path": str(home)}},
        )
        client.execute()
    return lesson, notebook


def _text(cell) -> str:
    parts = []
    for output in cell.get("outputs", []):
        parts.append(output.get("text", ""))
        parts.append(output.get("data", {}).get("text/plain", ""))
    return "\n".join(parts)


def _checked_ids(source: str) -> list[str]:
    lines = re.findall(r"^\s*%tensorlab check (.+)$", source, re.MULTILINE)
    return [word for line in lines for word in line.split() if re.fullmatch(r"\d\d\.\w+", word)]


def test_no_cell_raises(executed):
    _, notebook = executed
    errors = [
        "\n".join([cell.source, *output.traceback])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert not errors


def test_every_cell_ran(executed):
    _, notebook = executed
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    assert code
    assert all(cell.execution_count for cell in code)


def test_every_exercise_is_checked_and_unattempted(executed):
    lesson, notebook = executed
    outcomes = {
        id: _text(cell)
        for cell in notebook.cells
        if cell.cell_type == "code"
        for id in _checked_ids(cell.source)
    }
    assert set(lesson.exercises) | set(lesson.milestones) <= set(outcomes)
    assert not [id for id, text in outcomes.items() if "unattempted" not in text]


def test_no_answer_to_a_prediction_is_shown(executed):
    lesson, notebook = executed
    for cell in notebook.cells:
        if cell.cell_type == "code" and "%tensorlab predict" in cell.source:
            shown = _text(cell)
            for prediction in lesson.predictions.values():
                assert not prediction.explain or prediction.explain not in shown
