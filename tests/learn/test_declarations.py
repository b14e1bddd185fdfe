"""What a lesson may declare; a mistake in a checks.py says where it is."""

from __future__ import annotations

import pytest

from tensorlab.learn import Case, Exercise, Lesson, Raises, alternative, check, mutant


class Plain(Exercise):
    def cases(self, rng):
        yield Case(args=(1,))

    def expected(self, x):
        return x


@pytest.fixture
def lesson():
    return Lesson("91", "declared", title="Declared")


def _exercise(lesson, id="91.1", **options):
    lesson.exercise(id, **{"names": ["f"], "title": "t", **options})(Plain)


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda _: Lesson("1", "a", title=""), ValueError, "two digits"),
        (lambda _: Lesson("01", "A b", title=""), ValueError, "lower case"),
        (lambda l: _exercise(l, "92.1"), ValueError, 'like "01.1" in lesson 91'),
        (lambda l: _exercise(l, "91.0"), ValueError, "91.0"),
        (lambda l: _exercise(l, names="f"), TypeError, "names must be a list"),
        (lambda l: _exercise(l, names=[]), TypeError, "names must be a list"),
        (lambda l: _exercise(l, time_limit=0), ValueError, "time_limit must be positive"),
        (lambda l: [_exercise(l), _exercise(l)], ValueError, "91.1 is declared twice"),
        (
            lambda l: l.exercise("91.1", names=["f"], title="t")(int),
            TypeError,
            "decorate a subclass of Exercise",
        ),
        (lambda l: l.predict("91.M", question="?"), ValueError, "M is the milestone"),
        (lambda l: l.predict("91.A", question="?", kind="text"), ValueError, '"number" or'),
        (lambda l: l.predict("91.A", question="?", kind="choice"), ValueError, "two choices"),
        (lambda l: l.predict("91.A", question="?", choices=["a"]), ValueError, "need kind"),
        (lambda l: l.predict("91.A", question="?", tolerance=-1), ValueError, "not be negative"),
        (lambda l: l.milestone("91.1", title="t"), ValueError, '"91.M"'),
        (lambda _: mutant(lambda x: x), TypeError, "needs its text"),  # type: ignore[arg-type]
        (lambda _: alternative("  "), TypeError, "needs its text"),
        (lambda _: Raises(), TypeError, "at least one exception class"),
    ],
)
def test_bad_declarations(lesson, declare, error, message):
    with pytest.raises(error) as caught:
        declare(lesson)
    assert message in str(caught.value)


def test_an_exercise_without_cases_or_oracle_is_told(lesson, run_cells):
    lesson.exercise("91.1", names=["f"], title="t")(Exercise)
    result = check(lesson.exercises["91.1"], run_cells("def f(x):\n    return x"))
    assert "must define cases(self, rng)" in result.message


def test_a_prediction_can_not_be_checked(lesson):
    prediction = lesson.predict("91.A", question="?")
    with pytest.raises(TypeError, match="not checked but revealed"):
        check(prediction, {})


def test_variants_behave_as_static_methods_and_keep_their_order():
    class Base(Plain):
        @mutant("one")
        def first(x):
            return 1

        @mutant("two")
        def second(x):
            return 2

    class Derived(Base):
        @mutant("one, better")
        def first(x):
            return -1

        @alternative("three")
        def third(x):
            return x

    made = Derived()
    made.names = ["f"]
    assert [m.text for m in made.mutants] == ["one, better", "two"]
    assert [a.text for a in made.alternatives] == ["three"]
    assert made.first(5) == -1
    assert Derived.second(5) == 2
    assert made.kind_of("f") == "function"
    assert made.kind_of("g") is None


def test_argument_names_come_from_the_oracle():
    class Named(Plain):
        def expected(self, x, axis=0, *rest, keep=True):
            return x

    assert Named().argument_names() == ["x", "axis"]
