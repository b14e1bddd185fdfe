"""`tensorlab check`: a learner's notebook, checked without a front end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest

from tensorlab.cli import main
from tensorlab.learn import find_course
from tensorlab.learn.notebooks import learner_notebook

LESSON = find_course().lesson("01")


def _cell(notebook, name: str):
    (cell,) = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name]
    return cell


@pytest.fixture(scope="module")
def solved():
    return nbformat.read(LESSON.notebook_path, as_version=4)


@pytest.fixture
def write(tmp_path):
    """Write a learner's notebook in which some exercises are solved by the given sources."""

    def write(**sources: str) -> Path:
        notebook = learner_notebook(LESSON.notebook_path)
        for exercise, source in sources.items():
            _cell(notebook, f"ex-{exercise.replace('_', '.').lstrip('.')}").source = source
        path = tmp_path / "mine.ipynb"
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture
def solution(solved) -> str:
    return _cell(solved, "ex-01.1").source


def test_an_untouched_notebook_is_unattempted(write, capsys):
    assert main(["check", str(write())]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    count = len(LESSON.exercises) + len(LESSON.milestones)
    assert last == f"0 of {count} passed, {count} unattempted"
    assert sum(": unattempted" in line for line in lines) == count


def test_one_solved_one_wrong(write, solution, capsys):
    wrong = "def slice_dim(x, dim, s):\n    return 1 / 0"
    path = write(_01_1=solution, _01_2=wrong)
    before = path.read_bytes()
    assert main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^✓ 01\.1 .*: passed", out, re.MULTILINE)
    assert re.search(r"^! 01\.2 .*: error", out, re.MULTILINE)
    assert "ZeroDivisionError" in out
    assert path.read_bytes() == before


def test_json(write, solution, capsys):
    path = write(_01_1=solution)
    assert main(["check", "--json", str(path)]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["notebook"], report["passed"]) == (str(path), 1)
    outcomes = {result["id"]: result["outcome"] for result in report["results"]}
    assert outcomes["01.1"] == "passed"
    assert outcomes["01.2"] == "unattempted"
    assert report["total"] == len(outcomes)


def test_the_solved_notebook_passes_everything(capsys):
    assert main(["check", str(LESSON.notebook_path)]) == 0
    count = len(LESSON.exercises) + len(LESSON.milestones)
    assert capsys.readouterr().out.splitlines()[-1] == f"{count} of {count} passed"


def test_an_endless_loop_is_a_result(write, capsys):
    path = write(_01_1="while True:\n    pass")
    assert main(["check", "--timeout", "2", str(path)]) == 1
    assert "0 of" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        ("", "is no notebook"),
        ("[1, 2]", "is no notebook"),
        (
            '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
            "no exercise of the course",
        ),
    ],
)
def test_what_is_no_notebook_of_the_course(tmp_path, capsys, content, said):
    path = tmp_path / "x.ipynb"
    if content is not None:
        path.write_text(content)
    assert main(["check", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_a_folder_is_no_notebook(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
