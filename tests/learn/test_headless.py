"""Notebooks checked in a fresh kernel: robust against whatever stands in their cells."""

from __future__ import annotations

import nbformat
import pytest

from tensorlab.learn import Course, find_course
from tensorlab.learn.headless import NotACourseNotebook, run_checks
from tensorlab.learn.notebooks import learner_notebook

CHECKS = """
from tensorlab.learn import Case, Exercise, Lesson, MilestoneResult

lesson = Lesson("91", "headless", title="Headless")

class Same(Exercise):
    def cases(self, rng):
        yield Case(args=(1,), label="one")

    def expected(self, x):
        return x

for k, name in enumerate(["f", "g", "h"], 1):
    lesson.exercise(f"91.{k}", names=[name], title=f"Same {k}", points=k, time_limit=10)(Same)
lesson.milestone(
    "91.M", title="Far", names=["f"], check=lambda ns: MilestoneResult(ns["f"](1) == 1, 1, "far")
)
"""

RIGHT = "def {0}(x):\n    return x"


@pytest.fixture
def course(tmp_path):
    folder = tmp_path / "course" / "91_headless"
    folder.mkdir(parents=True)
    (folder / "checks.py").write_text(CHECKS)
    return Course(tmp_path / "course")


@pytest.fixture
def checked(tmp_path, course):
    """Check a notebook of these cells; returns the rows and says if the file has changed."""

    def run(*cells, **options):
        path = tmp_path / "mine" / "lesson.ipynb"
        path.parent.mkdir(exist_ok=True)
        sources = ["%load_ext tensorlab", *cells, "%tensorlab check 91.1 91.2"]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
        path.write_text(nbformat.writes(notebook))
        before = path.read_bytes()
        rows = run_checks(path, course=course, **options)
        assert path.read_bytes() == before
        assert [entry.name for entry in path.parent.iterdir()] == ["lesson.ipynb"]
        return rows

    return run


def test_all_four_outcomes_in_a_notebook_that_tries_everything(checked, tmp_path):
    rows = checked(
        RIGHT.format("f"),
        "1 / 0",
        "def g(x):\n    return -x",
        "print('x' * 10**6)",
        "check = print = open = globals = __import__ = json = None",
        "raise SystemExit",
        "while True:\n    pass",
        timeout=8,
    )
    assert [(row.id, row.outcome, row.earned, row.points) for row in rows] == [
        ("91.1", "passed", 1, 1),
        ("91.2", "failed", 0, 2),
        ("91.3", "unattempted", 0, 3),
        ("91.M", "passed", 1, 1),
    ]
    assert rows[0].text == "✓ 91.1 Same 1: passed (1 case)"
    assert rows[0].passed
    assert "expected 1, got -1" in rows[1].text.lower()


def test_a_kernel_that_dies_keeps_what_was_found(checked):
    rows = checked(
        RIGHT.format("f"),
        "def g(x):\n    import ctypes\n    ctypes.string_at(0)",
    )
    assert [row.outcome for row in rows] == ["passed", "error", "error", "error"]
    assert rows[1].message == "The kernel died in this exercise."
    assert rows[2].message == "The kernel died before this one was checked."


def test_a_kernel_that_dies_in_a_cell_is_told(checked):
    rows = checked("import os\nos._exit(3)")
    assert {row.outcome for row in rows} == {"error"}
    assert rows[0].message == "The kernel died before this one was checked."


def test_a_kernel_that_can_not_be_interrupted_is_ended_and_told(checked, monkeypatch):
    monkeypatch.setattr("tensorlab.learn.headless._INTERRUPTED", 0.3)
    rows = checked(
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nimport time\n"
        "while True:\n    time.sleep(1)",
        timeout=8,
    )
    assert rows[0].message == (
        "Code cell 2 did not end within 8 s, not even when it was interrupted, "
        "so the kernel was ended before this one was checked."
    )


def test_a_kernel_without_builtins_can_not_check(checked):
    rows = checked("__builtins__ = None")
    assert rows[0].message == "The checks could not be run in the notebook's kernel."


def test_the_learners_own_log_is_left_alone(checked, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("TENSORLAB_HOME", str(home))
    checked(RIGHT.format("f"), "import tensorlab.learn as l; l.Progress().record('check', '91.1')")
    assert not home.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist or is no file"),
        ("", "is no notebook"),
        ("{}", "is no notebook"),
        ("print('a program')", "is no notebook"),
    ],
)
def test_files_that_are_no_notebooks(tmp_path, course, text, message):
    path = tmp_path / "x.ipynb"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NotACourseNotebook, match=message):
        run_checks(path, course=course)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["x = 1"], "has no exercise of the course in it"),
        (["%tensorlab check 91.1", "%tensorlab check 92.1"], "exercises of several lessons"),
        (["%tensorlab check 77.1"], "there is no lesson '77'"),
    ],
)
def test_notebooks_of_something_else(tmp_path, course, sources, message):
    path = tmp_path / "x.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    with pytest.raises(NotACourseNotebook, match=message):
        run_checks(path, course=course)


def test_a_lesson_as_the_learner_gets_it_and_solved(tmp_path):
    lesson = find_course().lesson("01")
    path = tmp_path / "01_tensors.ipynb"
    path.write_text(nbformat.writes(learner_notebook(lesson.notebook_path)))
    assert {row.outcome for row in run_checks(path)} == {"unattempted"}
    solved = run_checks(lesson.notebook_path)
    assert {row.outcome for row in solved} == {"passed"}
    assert sum(row.earned for row in solved) == sum(row.points for row in solved)
