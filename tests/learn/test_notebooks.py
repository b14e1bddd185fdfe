"""Learners' notebooks, stubs and solutions, slices of the solved notebook, and its structure."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tensorlab.learn import CourseError, find_course, numeric_grad, prove
from tensorlab.learn.notebooks import learner_notebook, validate
from tensorlab.learn.references import reference_namespace, sliced_source, without_magics
from tensorlab.learn.regions import solution, solved_source, stub, stubbed_source

CHECKS = """
from tensorlab.learn import Case, Exercise, Lesson, MilestoneResult, alternative, mutant

lesson = Lesson("91", "small", title="Small")

@lesson.exercise("91.1", names=["double"], title="Double", points=2)
class Double(Exercise):
    hints = ["a", "b", "c"]

    def cases(self, rng):
        for n in (1, 2, 3):
            yield Case(args=(float(n),), label=f"{n}", size=n)

    def expected(self, x):
        return x + x

    one = mutant("one")(lambda x: 2.0)
    same = mutant("same")(lambda x: x)
    square = mutant("square")(lambda x: x * x * x)
    minus = mutant("minus")(lambda x: -x)
    half = mutant("half")(lambda x: x / 2)
    shift = alternative("shift")(lambda x: x * 2)
    twice = alternative("twice")(lambda x: sum([x, x]))

lesson.predict("91.A", question="What is 2 + 2?")

@lesson.milestone("91.M", title="Four", names=["double"])
def four(ns):
    return MilestoneResult(ns["double"](2.0) == 4, ns["double"](2.0), "it is four")
"""

EXERCISE = '''def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    y = FACTOR * x
    return y
    ### END SOLUTION'''


def _graded(kind, id, points=1, **more):
    solution = kind != "check"
    metadata = {
        "schema_version": 3,
        "grade": not solution,
        "solution": solution,
        "locked": not solution,
        "points": points,
        "task": False,
        "grade_id": f"{kind}-{id}",
    }
    return {"nbgrader": metadata, **more}


def _cells():
    text = new_output("stream", name="stdout", text="4\n")
    return [
        new_markdown_cell("# Small\n\nIs it?"),
        new_code_cell("%load_ext tensorlab\n%tensorlab seed 0\n\nimport math"),
        new_code_cell("FACTOR = 2\nunused = math.factorial(5)"),
        new_code_cell("%tensorlab predict 91.A 4", metadata=_graded("predict", "91.A")),
        new_code_cell(EXERCISE, metadata=_graded("ex", "91.1", 2), outputs=[]),
        new_code_cell("%tensorlab check 91.1", metadata=_graded("check", "91.1", 2)),
        new_code_cell(
            "# NBVAL_IGNORE_OUTPUT\nprint(double(2))",
            outputs=[text],
            execution_count=7,
            metadata={"tags": ["nbval-skip", "kept"], "execution": {"iopub.status.busy": "now"}},
        ),
        new_code_cell("%tensorlab predict 91.A --measured double(2)"),
        new_code_cell("%tensorlab check 91.M", metadata=_graded("check", "91.M")),
    ]


@pytest.fixture
def make_lesson(tmp_path):
    """Write a lesson's folder, its cells changed by a function, and load it."""
    from tensorlab.learn.course import load_lesson

    def make(change=lambda cells: None, checks=CHECKS, metadata=None):
        folder = tmp_path / "91_small"
        folder.mkdir(exist_ok=True)
        (folder / "checks.py").write_text(checks)
        cells = _cells()
        change(cells)
        notebook = new_notebook(cells=cells, metadata=metadata or {})
        (folder / "lesson.ipynb").write_text(json.dumps(notebook))
        return load_lesson(folder)

    return make


def test_the_learners_notebook(make_lesson):
    lesson = make_lesson(metadata={"widgets": {"x": 1}, "language_info": {"name": "python"}})
    before = lesson.notebook_path.read_bytes()
    notebook = learner_notebook(lesson.notebook_path)
    solved = nbformat.read(lesson.notebook_path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata == {"language_info": {"name": "python"}}
    assert [c.id for c in notebook.cells] == [c.id for c in solved.cells]
    assert [c.metadata.get("nbgrader") for c in notebook.cells] == [
        c.metadata.get("nbgrader") for c in solved.cells
    ]
    assert all(not c.outputs and c.execution_count is None for c in notebook.cells[1:])
    assert notebook.cells[3].source == "%tensorlab predict 91.A"
    assert notebook.cells[4].source == (
        'def double(x):\n    """Twice x."""\n'
        '    raise NotImplementedError("exercise 91.1: replace this line by your code")'
    )
    assert notebook.cells[5].source == "%tensorlab check 91.1"
    assert notebook.cells[6].source == "print(double(2))"
    assert notebook.cells[6].metadata == {"tags": ["kept"]}
    assert notebook.cells[7].source == "%tensorlab predict 91.A --measured double(2)"
    assert lesson.notebook_path.read_bytes() == before
    again = learner_notebook(lesson.path)
    assert nbformat.writes(again) == nbformat.writes(notebook)


def test_solution_and_stub(make_lesson):
    exercise = make_lesson().exercises["91.1"]
    assert (
        solution(exercise) == 'def double(x):\n    """Twice x."""\n    y = FACTOR * x\n    return y'
    )
    assert stub(exercise) == learner_notebook(exercise.lesson.path).cells[4].source
    with pytest.raises(CourseError, match=r"no cell with the grade_id ex-91\.1"):
        solution(make_lesson(lambda cells: cells.pop(4)).exercises["91.1"])


def test_several_regions_at_their_own_indentation():
    source = (
        "class A:\n    def f(self):\n        ### BEGIN SOLUTION\n        return 1\n"
        "        ### END SOLUTION\n\n    def g(self):\n        ### BEGIN SOLUTION  \n"
        "        if self:\n            return 2\n        ### END SOLUTION\n"
    )
    stubbed = stubbed_source(source, "01.2")
    ast.parse(stubbed)
    assert stubbed.count('        raise NotImplementedError("exercise 01.2') == 2
    assert "return" not in stubbed
    assert "SOLUTION" not in solved_source(source)
    assert solved_source(source).count("return") == 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("### BEGIN SOLUTION\nx", "line 1: the solution region has no ### END SOLUTION"),
        ("x\n### END SOLUTION", "line 2: a solution region ends that never began"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", "begins inside another one"),
    ],
)
def test_broken_regions(source, message):
    with pytest.raises(ValueError) as caught:
        stubbed_source(source, "01.1")
    assert message in str(caught.value)


def test_a_broken_region_names_file_and_cell(make_lesson):
    def change(cells):
        cells[4].source = EXERCISE.replace("### END", "### FIN")

    with pytest.raises(CourseError, match=r"lesson\.ipynb, cell ex-91\.1: line 3"):
        learner_notebook(make_lesson(change).path)


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"cells": 3}', "[]"])
def test_files_that_are_no_notebooks(tmp_path, text):
    path = tmp_path / "lesson.ipynb"
    path.write_text(text)
    with pytest.raises(CourseError, match="can't be read as a notebook"):
        learner_notebook(path)


def test_a_well_made_lesson_is_valid(make_lesson):
    assert validate(make_lesson()) == []
    assert prove(make_lesson())


def _set(place, **attributes):
    def change(cells):
        for name, value in attributes.items():
            setattr(cells[place], name, value)

    return change


def _nbgrader(place, **values):
    return lambda cells: cells[place].metadata["nbgrader"].update(values)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda cells: cells.pop(0), "the first cell must be markdown with the title"),
        (_set(1, source="import math"), "must begin with %load_ext tensorlab"),
        (_set(1, source="%load_ext tensorlab"), "must seed the random generators"),
        (lambda cells: cells.pop(5), "91.1 has no cell with the grade_id check-91.1"),
        (lambda cells: cells.pop(8), "91.M has no cell with the grade_id check-91.M"),
        (lambda cells: cells.pop(3), "91.A has no cell with the grade_id predict-91.A"),
        (lambda cells: cells.pop(7), "91.A is never revealed"),
        (lambda cells: cells.insert(2, cells.pop(7)), "91.A is never revealed"),
        (lambda cells: cells.insert(4, cells.pop(5)), "the check of 91.1 comes before its cell"),
        (_set(3, source="%tensorlab predict 91.A"), "must say %tensorlab predict 91.A VALUE"),
        (_set(5, source="%tensorlab check 91.2"), "check-91.1 must say %tensorlab check 91.1"),
        (_set(4, source="def double(x):\n    return 2"), "ex-91.1 has no solution region"),
        (_set(4, source=EXERCISE.replace("double", "triple")), "does not define double"),
        (
            _set(4, source="### BEGIN SOLUTION\n### END SOLUTION\ndef double(x): pass"),
            "is not inside a function",
        ),
        (_set(6, source="double(2);"), "ends in a semicolon"),
        (_set(6, source="double(2"), "is no Python"),
        (_nbgrader(4, points=5), "ex-91.1: nbgrader points is 5, should be 2"),
        (_nbgrader(5, locked=False), "check-91.1: nbgrader locked is False"),
        (_nbgrader(5, grade_id="check-91.7"), "the grade_id check-91.7 belongs to nothing"),
        (_nbgrader(8, grade_id="check-91.1"), "the grade_id check-91.1 is used twice"),
        (
            _set(6, outputs=[new_output("stream", text="see /home/me/x")]),
            "prints a path of one machine (/home/)",
        ),
        (
            _set(6, outputs=[new_output("error", ename="E", evalue="", traceback=[])]),
            "has a traceback in its output",
        ),
        (
            _set(
                6,
                outputs=[
                    new_output(
                        "display_data", data={"application/vnd.jupyter.widget-view+json": {}}
                    )
                ],
            ),
            "has a live widget in its output",
        ),
    ],
)
def test_what_is_wrong_with_a_notebook_is_found(make_lesson, change, problem):
    problems = validate(make_lesson(change))
    assert any(problem in found for found in problems), problems


def test_what_is_missing_in_the_declarations_is_found(make_lesson):
    checks = CHECKS.replace('hints = ["a", "b", "c"]', "")
    checks = checks.replace('    half = mutant("half")', '    half = mutant("one")')
    checks = checks.replace(
        "    shift = alternative", "    _ = lambda t: lambda f: f\n    shift = _"
    )
    problems = validate(make_lesson(checks=checks))
    assert problems == [
        "91.1 has 0 hints; at least 3 are asked for",
        "91.1 has 1 alternatives; at least 2 are asked for",
        "91.1 has two mutants with the same hint",
    ]


def test_a_slice_takes_what_the_names_need_and_no_more(make_lesson):
    def change(cells):
        cells[2].source = (
            "import time\nFACTOR = 1\nRULES = {}\nRULES['a'] = 1\n"
            "time.sleep(0)\ndef slow():\n    raise AssertionError\n"
            "slow_result = slow()\nFACTOR += 1\nRULES.update(b=2)\n"
        )
        cells[4].source = EXERCISE.replace("FACTOR * x", "FACTOR * x + 0 * RULES['b']")

    lesson = make_lesson(change)
    source = sliced_source(lesson.notebook_path, ["double"])
    assert "slow" not in source
    assert "sleep" not in source
    assert source.splitlines()[:4] == ["FACTOR = 1", "RULES = {}", "RULES['a'] = 1", "FACTOR += 1"]
    assert reference_namespace(lesson, ["double"])["double"](4) == 8


def test_a_slice_ends_at_the_exercise(make_lesson):
    def change(cells):
        cells[6].source = "def double(x):\n    return 'broken on purpose'"

    lesson = make_lesson(change)
    assert reference_namespace(lesson, ["double"], until="91.1")["double"](1) == 2
    assert reference_namespace(lesson, ["double"])["double"](1) == "broken on purpose"


def test_a_slice_that_can_not_run_is_told(make_lesson):
    lesson = make_lesson(lambda cells: cells.pop(2))
    assert reference_namespace(lesson, ["double"])["double"] is not None
    lesson = make_lesson(_set(2, source="FACTOR = missing"))
    with pytest.raises(CourseError, match=r"can't be run on its own: NameError.*missing"):
        reference_namespace(lesson, ["double"])
    with pytest.raises(CourseError, match="does not define triple"):
        reference_namespace(make_lesson(), ["triple"])


@pytest.mark.parametrize(
    ("cell", "plain"),
    [
        ("%load_ext tensorlab\nx = 1", "pass\nx = 1"),
        ("if x:\n    !ls\n    %time f()", "if x:\n    pass\n    pass"),
        ("%%tensorlab profile\nf()", "pass\nf()"),
        ("%%bash\nls -l", ""),
        ("y = (a\n% b)", "y = (a\n% b)"),
    ],
)
def test_magics_become_plain_python(cell, plain):
    assert without_magics(cell) == plain
    ast.parse(plain)


def test_learn_needs_nothing_heavier_than_numpy():
    code = (
        "import sys, tensorlab.learn, tensorlab.learn.headless, tensorlab.learn.notebooks;"
        "heavy = {'IPython', 'nbformat', 'nbclient', 'jupyter_client', 'matplotlib', 'scipy',"
        " 'torch'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_helpers_are_public():
    assert numeric_grad(lambda x: x * x, 3.0) == pytest.approx(6)
    assert find_course().lesson("01").title
