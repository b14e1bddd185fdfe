"""Finding the course, and what is said about ids that are not in it."""

from __future__ import annotations

import pytest

from tensorlab.learn import (
    Course,
    CourseError,
    UnknownExercise,
    UnknownLesson,
    course_dir,
    find_course,
)

CHECKS = """
from tensorlab.learn import Case, Exercise, Lesson, MilestoneResult

lesson = Lesson("{id}", "{slug}", title="{title}")

@lesson.exercise("{id}.1", names=["f"], title="First")
class First(Exercise):
    def cases(self, rng):
        yield Case(args=(1,), label="one")

    def expected(self, x):
        return x

lesson.exercise("{id}.2", names=["g"], title="Second")(First)
lesson.predict("{id}.A", question="How many?")
lesson.milestone("{id}.M", title="Far", check=lambda ns: MilestoneResult(True, 1, ""))
"""


@pytest.fixture
def folder(tmp_path):
    for id, slug in (("01", "first"), ("12", "second")):
        path = tmp_path / f"{id}_{slug}"
        path.mkdir()
        (path / "checks.py").write_text(CHECKS.format(id=id, slug=slug, title=f"Lesson {id}"))
    (tmp_path / "notes").mkdir()
    (tmp_path / "13_unfinished").mkdir()
    return tmp_path


def test_lessons_are_found_in_order_and_loaded_once(folder):
    course = Course(folder)
    assert course.ids == ["01", "12"]
    assert course.lesson("01") is course.lesson("1") is course.lesson("first")
    assert course.lesson("12_second").id == "12"
    assert [lesson.title for lesson in course.lessons] == ["Lesson 01", "Lesson 12"]
    assert course.lesson("01").notebook_path == folder / "01_first" / "lesson.ipynb"


def test_items_are_found_by_id(folder):
    course = Course(folder)
    assert course.exercise("01.2").title == "Second"
    assert course.exercise(" 1.2 ").id == "01.2"
    assert course.exercise("12.m").id == "12.M"
    assert course.prediction("12.a").id == "12.A"
    assert list(course.item_ids())[:4] == ["01.1", "01.2", "01.A", "01.M"]


def test_one_broken_lesson_does_not_hide_the_others(folder):
    (folder / "13_unfinished" / "checks.py").write_text("lesson = 1 / 0")
    course = Course(folder)
    assert course.exercise("01.1").id == "01.1"
    with pytest.raises(CourseError, match="ZeroDivisionError"):
        course.lesson("13")


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda c: c.lesson("99"), UnknownLesson, "The lessons: 01_first, 12_second."),
        (lambda c: c.lesson("frist"), UnknownLesson, "there is no lesson 'frist'"),
        (lambda c: c.exercise("01.3"), UnknownExercise, "It has 01.1, 01.2, 01.A, 01.M."),
        (lambda c: c.exercise("99.1"), UnknownExercise, "Lessons: 01, 12."),
        (lambda c: c.exercise("transpose"), UnknownExercise, 'looks like "01.1"'),
        (lambda c: c.exercise(""), UnknownExercise, 'looks like "01.1"'),
        (lambda c: c.exercise("01.A"), UnknownExercise, "01.A is a prediction"),
        (lambda c: c.prediction("01.1"), UnknownExercise, "01.1 is no prediction"),
    ],
)
def test_unknown_ids(folder, ask, error, message):
    with pytest.raises(error) as caught:
        ask(Course(folder))
    assert message in str(caught.value)


def test_a_close_id_is_suggested(folder):
    with pytest.raises(UnknownExercise, match=r"Did you mean 01\.1\?"):
        Course(folder).exercise("01.11")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "must define lesson = Lesson"),
        (CHECKS.format(id="05", slug="first", title="t"), "declares 05_first, its folder is"),
        ("def f(:", "SyntaxError"),
        ("import no_such_module", "ModuleNotFoundError"),
    ],
)
def test_broken_checks_are_told_with_their_path(folder, text, message):
    (folder / "01_first" / "checks.py").write_text(text)
    with pytest.raises(CourseError) as caught:
        Course(folder).lesson("01")
    assert message in str(caught.value)
    assert "01_first" in str(caught.value)


def test_an_empty_course(tmp_path):
    course = Course(tmp_path / "nothing")
    assert course.ids == []
    with pytest.raises(UnknownLesson, match="The course has no lessons"):
        course.lesson("01")


def test_the_installed_course_is_found_whatever_the_folder(tmp_path, monkeypatch):
    (tmp_path / "course" / "01_evil").mkdir(parents=True)
    (tmp_path / "course" / "01_evil" / "checks.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    course = find_course()
    assert course.folder == course_dir()
    assert "01_tensors" in {path.name for path in course.folders.values()}
