"""The log of progress: whole lines, many writers, and nothing lost to a bad line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from tensorlab.learn import Course, Progress, ProgressError, check, data_home

CHECKS = """
from tensorlab.learn import Case, Exercise, Lesson, MilestoneResult

lesson = Lesson("{id}", "{slug}", title="{title}")

class Same(Exercise):
    def cases(self, rng):
        yield Case(args=(1,), label="one")

    def expected(self, x):
        return x

lesson.exercise("{id}.1", names=["f"], title="First", points=2)(Same)
lesson.exercise("{id}.2", names=["g"], title="Second")(Same)
lesson.predict("{id}.A", question="How many?")
lesson.milestone("{id}.M", title="Far", check=lambda ns: MilestoneResult(True, 1, ""))
"""


@pytest.fixture
def course(tmp_path):
    for id, slug in (("01", "first"), ("02", "second")):
        path = tmp_path / "course" / f"{id}_{slug}"
        path.mkdir(parents=True)
        (path / "checks.py").write_text(CHECKS.format(id=id, slug=slug, title=f"Why {slug}?"))
    return Course(tmp_path / "course")


def test_nothing_is_written_before_there_is_something(progress, course):
    assert progress.items() == {}
    assert [lesson.done for lesson in progress.summary(course)] == [0, 0]
    assert not progress.home.exists()


def test_results_of_checks_add_up(progress, course, run_cells):
    exercise = course.exercise("01.1")
    for code in ("", "def f(x):\n    return x + 1", "def f(x):\n    return x", ""):
        check(exercise, run_cells(code), progress=progress)
    item = progress.item("01.1")
    assert (item.state, item.attempts) == ("passed", 2)
    assert progress.item("01.2").state == "open"
    failed = [entry for entry in progress.events() if entry["outcome"] == "failed"]
    assert "seed" in failed[0]


def test_a_stub_run_after_a_failure_does_not_undo_it(progress):
    progress.record("check", "01.1", outcome="failed")
    progress.record("check", "01.1", outcome="unattempted")
    assert progress.item("01.1").state == "failed"


def test_the_next_step(progress, course):
    def step():
        return str(progress.next_step(course))

    assert step() == "Start lesson 01, Why first? Its first exercise is 01.1 First."
    progress.record("check", "01.1", outcome="failed")
    assert step() == "Go on with exercise 01.1 First: it has failed so far."
    progress.record("check", "01.1", outcome="passed")
    assert step() == "Next: exercise 01.2 Second (lesson 01, Why first?)."
    progress.record("check", "01.2", outcome="passed")
    assert step() == "Next: milestone 01.M Far (lesson 01, Why first?)."
    progress.record("check", "01.M", outcome="passed")
    assert progress.next_step(course).item_id == "02.1"
    for id in ("02.1", "02.2", "02.M"):
        progress.record("check", id, outcome="passed")
    passed = "You have passed every exercise and milestone of the course."
    assert step() == f"{passed} Predictions still open: 01.A, 02.A."
    for id in ("01.A", "02.A"):
        progress.record("lock", id, value=1)
        progress.record("reveal", id, measured=1, score=1.0)
    assert step() == passed
    assert progress.next_step(Course(course.folder / "none")).text == "The course has no lessons."


def test_the_summary_reads_well(progress, course):
    progress.record("check", "01.1", outcome="failed")
    progress.record("hint", "01.1", number=1)
    progress.record("solution", "01.1")
    progress.record("check", "01.1", outcome="passed")
    first, _ = progress.summary(course)
    assert str(first).splitlines() == [
        "01 Why first?: 1 of 4 done",
        "  ✓ 01.1 First: passed (2 checks, 1 hint, solution shown)",
        "  ○ 01.2 Second: open",
        "  ○ 01.A How many?: open",
        "  ○ 01.M Far: open",
    ]
    assert [item.kind for item in first.items] == [
        "exercise",
        "exercise",
        "prediction",
        "milestone",
    ]
    assert first.items[0].points == 2


BAD_LINES = [
    b"",
    b"not json",
    b'{"event": "check", "id": "01.1", "outcome": "pas',
    b"[1, 2]",
    b'"text"',
    b"null",
    b"{}",
    b'{"event": 3, "id": "01.1"}',
    b'{"event": "check", "id": null}',
    b'{"event": "check", "id": "01.1", "outcome": "won"}',
    b'{"event": "check", "id": "01.1"}',
    b'{"event": "from the future", "id": "01.1"}',
    b'{"event": "lock", "id": "01.1", "value": null}',
    b'{"event": "reveal", "id": "01.1", "score": "much"}',
    b"\xff\xfe\x00\x00",
    b"\x00" * 100,
    b"[" * 5000,
]


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: repr(line[:30]))
def test_a_bad_line_costs_only_itself(progress, line):
    progress.record("check", "01.1", outcome="failed")
    with open(progress.path, "ab") as file:
        file.write(line + b"\n")
    progress.record("check", "01.1", outcome="passed")
    item = progress.item("01.1")
    assert (item.state, item.attempts) == ("passed", 2)


def test_a_line_that_was_cut_short_does_not_swallow_the_next(progress):
    progress.record("check", "01.1", outcome="failed")
    whole = progress.path.read_bytes()
    progress.path.write_bytes(whole[:-5])
    progress.record("check", "01.2", outcome="passed")
    assert progress.item("01.1").state == "open"
    assert progress.item("01.2").state == "passed"


def test_threads_write_whole_lines(progress):
    def write(name):
        for i in range(40):
            progress.record("check", f"{name}.{i}", outcome="passed", note="x" * 500)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = progress.path.read_text().splitlines()
    assert len(lines) == 200
    assert len({json.loads(line)["id"] for line in lines}) == 200


WRITER = """
import sys
from tensorlab.learn.progress import Progress
progress = Progress(sys.argv[1])
for i in range(40):
    progress.record("check", f"{sys.argv[2]}.{i}", outcome="passed", note="x" * 6000)
"""


def test_processes_write_whole_lines(progress):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(progress.home), str(name)])
        for name in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    lines = progress.path.read_text().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 120


def test_a_home_that_can_not_be_written_is_told(tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    progress = Progress(file / "home")
    with pytest.raises(ProgressError, match="Set TENSORLAB_HOME to a folder"):
        progress.record("check", "01.1", outcome="passed")


def test_a_log_that_can_not_be_read_is_told(progress):
    progress.path.mkdir(parents=True)
    with pytest.raises(ProgressError, match="progress can't be read from"):
        progress.items()


def test_the_home_is_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORLAB_HOME", str(tmp_path / "mine"))
    assert data_home() == tmp_path / "mine"
    assert Progress().path == tmp_path / "mine" / "progress.jsonl"


@pytest.mark.parametrize(
    ("platform", "variable", "tail"),
    [
        ("linux", "XDG_DATA_HOME", ("tensorlab",)),
        ("win32", "LOCALAPPDATA", ("tensorlab",)),
        ("darwin", None, ("Library", "Application Support", "tensorlab")),
    ],
)
def test_the_usual_homes(tmp_path, monkeypatch, platform, variable, tail):
    monkeypatch.delenv("TENSORLAB_HOME")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
    assert data_home() == tmp_path.joinpath(*tail)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_without_permission_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ProgressError, match="Permission denied"):
        Progress(tmp_path / "home").record("check", "01.1", outcome="passed")
