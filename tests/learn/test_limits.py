"""Code that does not end, prints without end, leaves, or is interrupted: a result, not a hang."""

from __future__ import annotations

import _thread
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from tensorlab.learn import (
    Case,
    CheckInterrupted,
    Exercise,
    Lesson,
    Milestone,
    MilestoneResult,
    Outcome,
    check,
)
from tensorlab.learn.sandbox import Capture
from tensorlab.learn.worker import FrameFilter, Worker

STUBBORN = {
    "one loop": """
def softmax(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
    "asleep inside the try": """
import time
def softmax(x):
    while True:
        try: time.sleep(0.01)
        except: continue
""",
    "one inside the other": """
import time
def inner():
    while True:
        try:
            time.sleep(0.001)
        except BaseException:
            print("not me")
        finally:
            time.sleep(0.001)

def softmax(x):
    while True:
        try:
            inner()
        except BaseException:
            try:
                inner()
            except:
                pass
""",
    "a context manager": """
class Never:
    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return True

def softmax(x):
    while True:
        with Never():
            while True:
                pass
""",
    "calls itself on the way out": """
def softmax(x):
    try:
        while True:
            pass
    finally:
        softmax(x)
""",
}

UNREACHABLE = """
import threading
gate = threading.Event()

def softmax(x):
    gate.wait()
    print("still here")
"""


@pytest.fixture
def grace(monkeypatch):
    """Code that listens has the time to end, on a busy machine too."""
    monkeypatch.setattr(Worker.stop, "__defaults__", (60.0,))


def test_an_endless_loop_is_a_result(checked):
    result = checked("def softmax(x):\n    while True:\n        x = x + 1", time_limit=1)
    assert result.outcome is Outcome.ERROR
    assert "still running after 1 s and was stopped" in result.message
    assert "in softmax" in result.traceback
    assert result.case == "1×1, float32"


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN.keys())
def test_a_loop_that_catches_everything_is_stopped(checked, grace, code):
    result = checked(code, time_limit=0.2)
    assert result.outcome is Outcome.ERROR
    assert "was stopped" in result.message
    assert not result.notes


def test_code_that_can_not_be_stopped_is_abandoned_and_told(exercise, run_cells, capsys):
    streams = sys.stdout, sys.stderr
    names = run_cells(UNREACHABLE)
    try:
        result = check(exercise, names, time_limit=0.2)
        assert result.outcome is Outcome.ERROR
        assert "Does it wait for something?" in result.message
        assert any("Restart the kernel" in note for note in result.notes)
        # Its output stays caught, and only its.
        print("what others print")
        names["gate"].set()
        for thread in threading.enumerate():
            if thread.name == "tensorlab-check":
                thread.join(60)
        assert capsys.readouterr().out == "what others print\n"
    finally:
        names["gate"].set()
        sys.stdout, sys.stderr = streams


def test_an_endless_answer_is_stopped_too(checked):
    code = (
        "class Endless:\n"
        "    def __array__(self, dtype=None, copy=None):\n"
        "        while True:\n            pass\n"
        "def softmax(x):\n    return Endless()"
    )
    assert "still running" in checked(code, time_limit=0.3).message


def test_a_million_lines_are_counted_not_kept(checked, right):
    code = right + "i = softmax\ndef softmax(x):\n    if x.size == 1:\n"
    code += "        for k in range(10**6):\n            print(k)\n"
    result = checked(code + "    return None", time_limit=60)
    assert result.outcome is Outcome.FAILED
    assert len(str(result)) < 2000
    assert "your code printed 1,000,000 lines" in str(result)


def test_what_passed_code_prints_is_not_shown(checked, right, capsys):
    result = checked(right + "i = softmax\ndef softmax(x):\n    print('seen')\n    return i(x)")
    assert result.passed
    assert result.stdout.startswith("seen\n")
    assert "seen" not in str(result)
    assert "seen" not in capsys.readouterr().out


def test_what_failed_code_prints_is_shown(checked):
    result = checked("import sys\ndef softmax(x):\n    print('x is', x.shape, file=sys.stderr)")
    assert "your code printed\n    x is (1, 1)" in str(result)


def test_capture_counts_all_and_keeps_the_beginning():
    captured = Capture(max_characters=5, max_lines=100)
    for _ in range(1000):
        captured.write("ab\n")
    assert (captured.text, captured.lines, captured.characters) == ("ab\nab", 1000, 3000)
    assert captured.left_out
    with pytest.raises(TypeError, match="must be str, not int"):
        captured.write(3)  # type: ignore[arg-type]
    lines = Capture(max_lines=3)
    lines.write("1\n2\n")
    lines.write("3\n4\n")
    lines.write("5")
    assert (lines.text, lines.lines) == ("1\n2\n3\n", 4)
    whole = Capture(max_lines=3)
    whole.write("1\n2\n3")
    assert (whole.text, whole.left_out) == ("1\n2\n3", False)


def test_recursion_without_end(checked):
    result = checked("def softmax(x):\n    return softmax(x)")
    assert result.outcome is Outcome.ERROR
    assert "calls itself without end" in result.message
    assert "more calls from this line" in result.traceback
    assert len(str(result)) < 2000


@pytest.mark.parametrize(
    "leave", ["sys.exit()", "sys.exit(3)", "exit()", "quit()", "raise SystemExit", "os._exit(1)"]
)
def test_leaving_is_refused(checked, leave):
    result = checked(f"import os, sys\ndef softmax(x):\n    {leave}")
    assert result.outcome is Outcome.ERROR
    assert "`return`" in result.message


def test_the_notebooks_own_exit_is_set_aside_and_comes_back(exercise, run_cells):
    names = run_cells("def softmax(x):\n    exit")

    def leave_kernel():
        raise AssertionError("the kernel would be gone")

    names["exit"] = leave_kernel
    names.update(run_cells("def softmax(x):\n    return 1"))
    names["exit"] = leave_kernel
    check(exercise, names)
    assert names["exit"] is leave_kernel


def test_raising_keyboard_interrupt_is_an_error_not_an_interrupt(checked):
    result = checked("def softmax(x):\n    raise KeyboardInterrupt")
    assert result.outcome is Outcome.ERROR
    assert "raised KeyboardInterrupt itself" in result.message


def _interrupt_when(condition):
    """Interrupt the main thread, as Jupyter's Stop does, once a condition holds."""

    def wait():
        while not condition():
            time.sleep(0.01)
        _thread.interrupt_main()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(0.1)"])
def test_stop_is_obeyed_and_everything_put_back(exercise, run_cells, body):
    names = run_cells(
        f"import numpy as np\nbegun = []\ndef softmax(x):\n    global shape\n    shape = x.shape\n"
        f"    np.exp = None\n    begun.append(1)\n    while True:\n        {body}"
    )
    before = dict(names), sys.stdout, np.exp
    interrupter = _interrupt_when(lambda: names["begun"])
    with pytest.raises(CheckInterrupted, match=r"the check of 90\.1 was stopped"):
        check(exercise, names, time_limit=60)
    interrupter.join()
    assert (names, sys.stdout, np.exp) == before
    assert check(exercise, run_cells("x = 1")).outcome is Outcome.UNATTEMPTED


def test_threads_end_with_their_check(checked, grace, right):
    before = {thread for thread in threading.enumerate() if thread.name.startswith("tensorlab")}
    checked(right)
    checked("def softmax(x):\n    while True: pass", time_limit=0.2)
    after = {thread for thread in threading.enumerate() if thread.name.startswith("tensorlab")}
    assert after <= before


def test_the_limit_holds_for_all_cases_together(monkeypatch, grace):
    """Of 10 s, by a clock of our own: 4 s each, and the third does not end by itself."""
    now = [0.0]
    clock = SimpleNamespace(perf_counter=lambda: now[0], monotonic=time.monotonic)
    monkeypatch.setattr("tensorlab.learn.worker.time", clock)
    worker = Worker(10.0, FrameFilter({}))

    def case(endless=False):
        now[0] += 4.0
        while endless:
            time.sleep(0.001)

    assert not worker.run(case).timed_out
    assert not worker.run(case).timed_out
    assert worker.run(lambda: case(endless=True)).timed_out
    assert not worker.alive


def test_a_slow_mutant_does_not_hold_up_a_failed_check(run_cells):
    from tensorlab.learn import mutant

    lesson = Lesson("91", "slow", title="Slow")

    @lesson.exercise("91.1", names=["f"], title="One", time_limit=2)
    class One(Exercise):
        def cases(self, rng):
            yield Case(args=(1,), label="one")

        def expected(self, x):
            return 1

        @mutant("It never ends.")
        def endless(x):
            while True:
                pass

        @mutant("It is zero.")
        def zero(x):
            return 0

    exercise = lesson.exercises["91.1"]
    result = check(exercise, run_cells("def f(x):\n    return 0"))
    assert result.hint == "It is zero."
    endless = check(exercise, run_cells("def f(x):\n    while x: x += 1"))
    assert endless.hint == "It never ends."


def _milestone(body, **options) -> Milestone:
    return Lesson("91", "miles", title="Miles").milestone(
        "91.M", title="Far", check=body, **options
    )


def test_milestones_end_in_all_four_ways(run_cells):
    reached = _milestone(lambda ns: MilestoneResult(ns["f"]() > 1, ns["f"](), f"f is {ns['f']()}"))
    passed = check(reached, run_cells("def f():\n    return 2"))
    assert str(passed) == "✓ 91.M Far: passed\n  f is 2"
    assert passed.number == 2
    failed = check(reached, run_cells("def f():\n    return 0"))
    assert str(failed) == "✗ 91.M Far: failed\n  f is 0"
    error = check(reached, run_cells("def f():\n    return 1 / 0"))
    assert error.outcome is Outcome.ERROR
    assert "line 2, in f\n  return 1 / 0" in error.traceback
    missing = check(reached, {})
    assert missing.outcome is Outcome.UNATTEMPTED
    assert "There is no `f` yet" in missing.message
    stub = (
        'def f():\n    raise NotImplementedError("exercise 91.1: replace this line by your code")'
    )
    unwritten = check(reached, run_cells(stub))
    assert unwritten.outcome is Outcome.UNATTEMPTED
    assert "exercise 91.1 is still to be written" in unwritten.message


def test_a_milestone_names_what_it_needs(run_cells):
    milestone = _milestone(lambda ns: MilestoneResult(True, None, ""), names=["model"])
    assert "There is no `model` yet" in check(milestone, {}).message
    assert check(milestone, {"model": 1}).passed


def test_a_milestone_has_a_time_limit_and_a_course_can_be_wrong():
    def endless(ns):
        while True:
            pass

    assert "still running" in check(_milestone(endless, time_limit=0.2), {}).message
    wrong = check(_milestone(lambda ns: True), {})
    assert wrong.course_error
    assert "no MilestoneResult" in wrong.message


def test_a_warning_is_shown_without_a_trace_in_the_namespace(exercise, right, run_cells):
    names = run_cells(
        right + "inner = softmax\ndef softmax(x):\n    np.array([1.0]) / 0\n"
        "    np.mean(np.zeros(0))\n    return inner(x) * 2"
    )
    result = check(exercise, names)
    assert result.outcome is Outcome.FAILED
    assert "RuntimeWarning: divide by zero encountered in divide (line 9)" in result.stdout
    assert "RuntimeWarning: Mean of empty slice" in result.stdout
    # A line of NumPy's own says nothing to a learner.
    assert all(
        "(line" not in line or line.endswith(("(line 9)", "(line 10)"))
        for line in result.stdout.splitlines()
    )
    assert not result.notes
    assert "__warningregistry__" not in names
