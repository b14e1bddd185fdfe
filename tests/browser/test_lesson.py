"""A learner's first quarter of an hour in JupyterLab: run all, solve an exercise, make a mistake.

The tests stand in the order in which the learner does these things, on one open notebook; each begins with
what it needs.
"""

from __future__ import annotations

import re

import nbformat
import pytest

from tensorlab.learn import find_course

from .lab import expect

EXERCISE = "01.1"


@pytest.fixture(scope="module")
def solution() -> str:
    """The course's own solution of the exercise, as a learner would type it."""
    notebook = nbformat.read(find_course().lesson("01").notebook_path, as_version=4)
    (source,) = [
        cell.source
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") == f"ex-{EXERCISE}"
    ]
    return re.sub(r"\n *### (BEGIN|END) SOLUTION", "", source)


@pytest.fixture(scope="module")
def mistake(solution: str) -> str:
    """The solution with the line left out that exchanges the strides."""
    wrong = re.sub(r" *strides\[dim0\], strides\[dim1\] = .*\n", "", solution)
    assert wrong != solution
    return wrong


def test_the_lesson_opens(lesson):
    expect(lesson.page).to_have_title(re.compile("^01_tensors"))
    assert lesson.index(f"ex-{EXERCISE}") > 0
    lesson.screenshot("1-opened")


def test_run_all_raises_nothing_and_every_check_says_unattempted(lesson):
    if lesson.has_run(0):
        lesson.begin_anew()  # an exercise may be solved in it
    lesson.run_all()
    cells = lesson.cells()
    lesson.show(lesson.index(f"ex-{EXERCISE}"))
    lesson.screenshot("2-run-all")
    assert not [cell["source"] for cell in cells if cell["errors"]]
    assert not [
        c["source"] for c in cells if c["kind"] == "code" and c["source"] and not c["count"]
    ]
    checks = [cell for cell in cells if cell["name"].startswith("check-")]
    assert len(checks) >= len(find_course().lesson("01").exercises)
    assert not [cell["name"] for cell in checks if "unattempted" not in cell["text"]]


def test_a_right_solution_passes(lesson, solution):
    lesson.needs_all()
    lesson.write_and_run(f"ex-{EXERCISE}", solution)
    text = lesson.run_named(f"check-{EXERCISE}")
    lesson.show(lesson.index(f"ex-{EXERCISE}"))
    lesson.screenshot("3-passed")
    assert f"✓ {EXERCISE}" in text
    assert "passed" in text


def test_a_mistake_fails_with_the_hint_made_for_it(lesson, mistake):
    lesson.needs_all()
    lesson.write_and_run(f"ex-{EXERCISE}", mistake)
    text = lesson.run_named(f"check-{EXERCISE}")
    lesson.show(lesson.index(f"ex-{EXERCISE}"))
    lesson.screenshot("4-failed")  # this one is the picture in the README
    assert f"✗ {EXERCISE}" in text
    assert "failed" in text
    hint = "You exchange the sizes but not the strides."
    assert hint in " ".join(text.split())
    # The check's own HTML is drawn: nothing is hidden because the notebook were not trusted.
    cell = lesson.show(lesson.index(f"check-{EXERCISE}"))
    cell.locator(".jp-OutputArea-output", has_text=hint).first.wait_for()


def test_nobody_was_asked_about_news(lesson):
    assert lesson.page.locator(".Toastify__toast").count() == 0
