"""What learners really write, and what they are told: each a clear message, none accepted."""

from __future__ import annotations

import builtins
import os
import random
import sys

import numpy as np
import pytest

from tensorlab.learn import Case, Exercise, Lesson, Outcome, Raises, check, mutant
from tensorlab.learn.results import _prose


def test_right_code_passes_with_a_stable_text(checked, right):
    result = checked(right)
    assert str(result) == "✓ 90.1 Softmax: passed (10 cases)"
    assert result.seed is None


def test_a_missing_name_is_unattempted(checked):
    result = checked("x = 1")
    assert result.outcome is Outcome.UNATTEMPTED
    assert "There is no `softmax` yet" in result.message


def test_a_missing_name_suggests_a_close_one(checked):
    result = checked("def soft_max(x):\n    return x")
    assert "Is `soft_max` meant to be it?" in result.message


def test_the_stub_is_unattempted(checked):
    code = (
        "def softmax(x):\n"
        '    raise NotImplementedError("exercise 90.1: replace this line by your code")'
    )
    result = checked(code)
    assert result.outcome is Outcome.UNATTEMPTED
    assert "replace" not in str(result).splitlines()[0]
    assert "raise NotImplementedError" in result.message


def test_another_exercises_stub_is_named(checked):
    result = checked(
        "def top(x):\n"
        '    raise NotImplementedError("exercise 90.7: replace this line by your code")',
        "def softmax(x):\n    return top(x)",
    )
    assert result.outcome is Outcome.UNATTEMPTED
    assert "Exercise 90.7 comes first" in result.message


def test_a_librarys_not_implemented_error_is_an_error(checked):
    result = checked(
        "import email.policy\ndef softmax(x):\n    return email.policy.Policy.fold(None, 'a', 'b')"
    )
    assert result.outcome is Outcome.ERROR
    assert "NotImplementedError" in result.message


def test_not_implemented_for_some_cases_is_an_error(checked, right):
    result = checked(
        right
        + "inner = softmax\n"
        + "def softmax(x):\n"
        + "    if x.size > 3:\n        raise NotImplementedError\n"
        + "    return inner(x)"
    )
    assert result.outcome is Outcome.ERROR
    assert result.case is not None


def test_returning_nothing(checked):
    result = checked("def softmax(x):\n    y = x + 1")
    assert result.outcome is Outcome.FAILED
    assert "Did you forget `return`?" in result.message


def test_returning_a_list(checked, right):
    result = checked(right + "inner = softmax\ndef softmax(x):\n    return inner(x).tolist()")
    assert result.outcome is Outcome.FAILED
    assert "got a list: make it one with np.array(...)" in result.message


def test_a_generator_function(checked):
    result = checked("def softmax(x):\n    yield x")
    assert result.outcome is Outcome.FAILED
    assert "a generator" in result.message
    assert "use `return`" in result.message


def test_an_async_function(checked):
    result = checked("async def softmax(x):\n    return x")
    assert "not `async def`" in result.message


def test_returning_a_function(checked):
    result = checked("def softmax(x):\n    def inner():\n        return x\n    return inner")
    assert "parentheses" in result.message


def test_the_wrong_shape(checked):
    result = checked("def softmax(x):\n    return x.sum(-1)")
    assert result.message.startswith("Wrong shape: expected (1, 1), got (1,)")


def test_the_wrong_dtype(checked, right):
    result = checked(right + "i = softmax\ndef softmax(x):\n    return i(x).astype('float64')")
    assert "Wrong dtype: expected float32, got float64" in result.message


def test_the_smallest_failing_case_is_shown(checked, right):
    code = right + "i = softmax\ndef softmax(x):\n    return i(x) + (x.size > 3)"
    result = checked(code, seed=4)
    assert result.outcome is Outcome.FAILED
    assert result.case == "4×1, float32"
    assert result.seed == 4
    text = str(result)
    assert "smallest failing case: 4×1, float32 (seed 4)" in text
    assert "x = array([[" in text
    assert "the first at index (0, 0): expected 1.0, got 2.0" in text


def test_an_exception_shows_the_learners_lines_only(checked):
    result = checked("import numpy as np\ndef softmax(x):\n    return np.linalg.inv(x).foo")
    assert result.outcome is Outcome.ERROR
    assert "AttributeError" in result.message or "LinAlgError" in result.message
    assert "line 3, in softmax\n  return np.linalg.inv(x).foo" in result.traceback
    assert "linalg.py" not in str(result)
    assert "tensorlab" not in result.traceback


def test_a_wrong_signature_is_explained(checked):
    result = checked("def softmax(x, axis):\n    return x")
    assert result.outcome is Outcome.ERROR
    assert "missing 1 required positional argument: 'axis'" in result.message


def test_renamed_arguments_are_fine(checked, right):
    assert checked(right + "inner = softmax\ndef softmax(logits):\n    return inner(logits)").passed


def test_a_class_in_place_of_a_function(checked):
    result = checked("class softmax:\n    def __init__(self, x):\n        self.x = x")
    assert result.outcome is Outcome.FAILED
    assert "`softmax` is a class; the exercise asks for a function" in result.message


def test_a_number_in_place_of_a_function(checked):
    result = checked("softmax = 3")
    assert result.outcome is Outcome.FAILED
    assert "`softmax` is no function but 3" in result.message


def test_a_lambda_is_a_function(checked, right):
    assert checked(right + "inner = softmax\nsoftmax = lambda x: inner(x)").passed


def test_changing_the_argument_fails_and_is_recognised(checked):
    result = checked(
        "import numpy as np\n"
        "def softmax(x):\n"
        "    x -= x.max(axis=-1, keepdims=True)\n"
        "    e = np.exp(x)\n"
        "    return e / e.sum(axis=-1, keepdims=True)"
    )
    assert result.outcome is Outcome.FAILED
    assert "changed its argument `x` in place" in result.message


def test_a_hard_coded_answer_is_recognised(checked):
    result = checked("import numpy as np\ndef softmax(x):\n    return np.array([[0.25, 0.75]])")
    assert result.outcome is Outcome.FAILED
    assert "the same answer for every input" in result.hint


def test_a_new_global_name_is_removed_and_told(exercise, right, run_cells):
    names = run_cells(
        right + "inner = softmax\ndef softmax(x):\n    global calls\n    calls = 1\n"
        "    return inner(x)"
    )
    result = check(exercise, names)
    assert result.passed
    assert "calls" not in names
    assert result.notes == ["Your code made the global name `calls`; it was removed."]


def test_a_rebound_global_name_is_put_back_and_told(exercise, right, run_cells):
    names = run_cells(
        "data = [1, 2]",
        right + "inner = softmax\ndef softmax(x):\n    global data\n    data = None\n"
        "    return inner(x)",
    )
    result = check(exercise, names)
    assert names["data"] == [1, 2]
    assert result.notes == ["Your code replaced the name `data`; it was put back."]


def test_code_that_deletes_its_own_name(exercise, right, run_cells):
    names = run_cells(
        right + "inner = softmax\ndef softmax(x):\n    global softmax\n    del softmax\n"
        "    return inner(x)"
    )
    own = names["softmax"]
    result = check(exercise, names)
    assert result.passed
    assert names["softmax"] is own
    assert result.notes == ["Your code deleted the name `softmax`; it was put back."]


WRONG = "import numpy as np\ndef softmax(x):\n    {trick}\n    return x * 0\n"


@pytest.mark.parametrize(
    "trick",
    [
        "np.allclose = np.array_equal = lambda *a, **k: True",
        "np.abs = lambda x: 0 * np.asarray(x)",
        "np.asarray = np.array = lambda x, *a, **k: x",
        "np.argwhere = lambda x: []",
        "np.exp = lambda x: 0 * x",
        "__import__('builtins').all = lambda x: True",
        "__import__('builtins').isinstance = lambda *a: False",
    ],
)
def test_patching_does_not_help(exercise, run_cells, trick):
    module = builtins if "builtins" in trick else np
    before = dict(vars(module))
    result = check(exercise, run_cells(WRONG.format(trick=trick)))
    assert result.outcome in (Outcome.FAILED, Outcome.ERROR)
    changed = [n for n in before if vars(module).get(n) is not before[n]]
    assert not changed
    assert any("it was put back" in note for note in result.notes)


def test_a_patch_from_before_is_set_aside_and_comes_back(exercise, run_cells, monkeypatch):
    def zero(x, *args, **kwargs):
        return 0 * x

    monkeypatch.setattr(np, "exp", zero)
    result = check(exercise, run_cells("def softmax(x):\n    return x * 0"))
    assert result.outcome is Outcome.FAILED
    assert "numpy.exp had been replaced; the check used the original." in result.notes
    assert np.exp is zero


EQUAL_TO_ALL = """
import numpy as np

class Yes(np.ndarray):
    __array_priority__ = 1000
    def __eq__(self, other): return True
    def __sub__(self, other): return 0 * np.asarray(self)
    __rsub__ = __sub__
    def __array_ufunc__(self, *args, **kwargs): return np.array(True)
    def __array_function__(self, *args, **kwargs): return True
    def all(self): return True
    @property
    def shape(self): return (1, 1)
    dtype = np.dtype('float64')

def softmax(x):
    return np.zeros(x.shape, x.dtype).view(Yes)
"""

EQUAL_OBJECT = """
class Yes:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __array__(self, dtype=None, copy=None):
        import numpy as np
        return np.zeros((1, 1))

def softmax(x):
    return Yes()
"""


@pytest.mark.parametrize("code", [EQUAL_TO_ALL, EQUAL_OBJECT], ids=["array", "object"])
def test_an_answer_that_equals_everything_is_wrong(checked, code):
    assert checked(code).outcome in (Outcome.FAILED, Outcome.ERROR)


def test_a_broken_answer_is_an_error_of_the_learners(checked):
    result = checked(
        "class Odd:\n"
        "    def __array__(self, dtype=None, copy=None):\n"
        "        raise ZeroDivisionError('odd')\n"
        "def softmax(x):\n    return Odd()"
    )
    assert result.outcome is Outcome.ERROR
    assert not result.course_error
    assert "ZeroDivisionError: odd" in result.message


def test_random_numbers_of_the_notebook_are_not_disturbed(exercise, right, run_cells):
    names = run_cells(right + "i = softmax\ndef softmax(x):\n    np.random.rand()\n    return i(x)")
    random.seed(3)
    np.random.seed(3)
    want = random.random(), np.random.rand()
    random.seed(3)
    np.random.seed(3)
    assert check(exercise, names).passed
    assert (random.random(), np.random.rand()) == want


def test_streams_settings_and_folder_are_as_before(exercise, run_cells, right, tmp_path):
    before = sys.stdout, sys.stderr, sys.getrecursionlimit(), os.getcwd(), builtins.input
    names = run_cells(
        right + "import os, sys, io\ni = softmax\ndef softmax(x):\n"
        f"    os.chdir({str(tmp_path)!r})\n"
        "    sys.setrecursionlimit(12345)\n    sys.stdout = io.StringIO()\n    return i(x)"
    )
    result = check(exercise, names)
    assert result.passed
    assert (sys.stdout, sys.stderr, sys.getrecursionlimit(), os.getcwd(), builtins.input) == before
    assert "Your code changed the working directory; it was set back." in result.notes


def test_asking_for_input_is_refused(checked):
    result = checked("def softmax(x):\n    return input('x?')")
    assert "can't be asked for inside a check" in result.message


def test_a_check_inside_a_check_is_refused(exercise, run_cells):
    names = run_cells("def softmax(x):\n    return again()")
    names["again"] = lambda: check(exercise, names)
    result = check(exercise, names)
    assert "a check is running already" in result.message
    assert check(exercise, run_cells("")).outcome is Outcome.UNATTEMPTED


def test_the_seed_repeats_the_cases(exercise, run_cells):
    names = run_cells("def softmax(x):\n    return x * 0")
    texts = {str(check(exercise, names, seed=11)) for _ in range(3)}
    assert len(texts) == 1
    assert str(check(exercise, names, seed=12)) not in texts


def test_html_says_the_same_and_is_escaped(checked):
    result = checked("def softmax(x):\n    raise ValueError('<b>&')")
    html = result.to_html()
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html
    assert result.headline in html


def test_html_shows_names_as_code(checked):
    assert "There is no <code>softmax</code> yet" in checked("x = 1").to_html()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the *new* stride", "the <em>new</em> stride"),
        ("write g * y, not y *= g", "write g * y, not y *= g"),
        (
            "a*b*c, x**2**n, f(*args), (*shape, *strides)",
            "a*b*c, x**2**n, f(*args), (*shape, *strides)",
        ),
        ("`x*y*z` is *one* product", "<code>x*y*z</code> is <em>one</em> product"),
        ("a < b", "a &lt; b"),
    ],
)
def test_stressed_words_and_products_in_html(text, shown):
    assert _prose(text) == shown


def test_exercises_that_ask_for_an_exception(run_cells):
    lesson = Lesson("91", "raising", title="Raising")

    @lesson.exercise("91.1", names=["root"], title="Root")
    class Root(Exercise):
        def cases(self, rng):
            yield Case(args=(4.0,), label="four")
            yield Case(args=(-1.0,), label="negative")

        def expected(self, x):
            return Raises(ValueError) if x < 0 else x**0.5

    def outcome(code):
        return check(lesson.exercises["91.1"], run_cells(code))

    assert outcome("import math\ndef root(x):\n    return math.sqrt(x)").passed
    silent = outcome("def root(x):\n    return abs(x) ** 0.5")
    assert silent.outcome is Outcome.FAILED
    assert "This should raise ValueError, but it returned a float" in silent.message
    other = outcome("def root(x):\n    assert x >= 0\n    return x ** 0.5")
    assert other.outcome is Outcome.FAILED
    assert "should raise ValueError, but it raised AssertionError" in other.message


def test_exercises_with_classes(run_cells):
    lesson = Lesson("91", "classes", title="Classes")

    @lesson.exercise("91.1", names=["Counter"], title="Counter", uses=["STEP"])
    class Counting(Exercise):
        def cases(self, rng):
            for n in (0, 1, 5):
                yield Case(args=(n,), label=f"{n} calls", size=n)

        def expected(self, n):
            return 2 * n

        def call(self, ns, case):
            counter = ns["Counter"]()
            for _ in range(case.args[0]):
                counter.up(ns["STEP"])
            return counter.value

        @mutant("All counters share one value: make it in __init__.", names="Counter")
        class Shared:
            values = [0]  # noqa: RUF012

            def up(self, step):
                self.values[0] += step

            @property
            def value(self):
                return self.values[0]

    exercise = lesson.exercises["91.1"]
    right = (
        "class Counter:\n    def __init__(self):\n        self.value = 0\n"
        "    def up(self, step):\n        self.value += step\n"
    )
    assert check(exercise, run_cells("STEP = 2", right)).passed
    assert "which this exercise builds on" in check(exercise, run_cells(right)).message
    function = check(exercise, run_cells("STEP = 2\ndef Counter():\n    pass"))
    assert "`Counter` must be a class" in function.message
    without = check(exercise, run_cells("STEP = 2\nclass Counter:\n    pass"))
    assert "Using what you wrote raised AttributeError" in without.message


def test_a_broken_check_does_not_blame_the_learner(run_cells):
    lesson = Lesson("91", "broken", title="Broken")

    @lesson.exercise("91.1", names=["f"], title="No oracle")
    class Broken(Exercise):
        def cases(self, rng):
            yield Case(args=(1,), label="one")

        def expected(self, x):
            return x / 0

    @lesson.exercise("91.2", names=["f"], title="No cases")
    class Empty(Exercise):
        def cases(self, rng):
            return []

    @lesson.exercise("91.3", names=["f"], title="No judge")
    class Unjudged(Broken):
        def expected(self, x):
            return 1

        def judge(self, case, got, want):
            raise KeyError("judge")

    for exercise in lesson.exercises.values():
        result = check(exercise, run_cells("def f(x):\n    return x"))
        assert result.course_error
        assert result.message.startswith("The check itself is broken, your code is not to blame")
