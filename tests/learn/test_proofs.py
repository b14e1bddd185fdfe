"""Mutants are recognised by what they do, and prove() finds checks that don't keep their word."""

from __future__ import annotations

import numpy as np
import pytest

from tensorlab.learn import (
    Case,
    Exercise,
    Lesson,
    MilestoneResult,
    Outcome,
    alternative,
    check,
    mutant,
    prove,
)


def test_every_mutant_of_the_example_is_recognised(exercise, right, run_cells):
    names = run_cells(right)
    proof = prove(exercise, reference=names)
    assert proof, proof
    assert len(proof.rows) == 3 * (1 + 3 + 2)
    proof.raise_problems()


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("return np.exp(x) / np.exp(x).sum(-1, keepdims=True)", "overflows"),
        ("return np.exp(x - x.max()) / np.exp(x - x.max()).sum()", "whole"),
        ("x[:] = np.exp(x - x.max(1, keepdims=True)); x /= x.sum(1, keepdims=True)", "in_place"),
    ],
)
def test_a_learners_own_version_of_a_mistake_gets_its_hint(checked, exercise, code, label):
    result = checked(f"import numpy as np\ndef softmax(x):\n    {code}\n    return x")
    assert result.outcome is Outcome.FAILED
    assert result.mutant.label == label
    assert result.hint == next(m.text for m in exercise.mutants if m.label == label)
    assert f"Hint: {result.hint}" in str(result)


def test_another_mistake_matches_no_mutant(checked, right):
    result = checked(right + "i = softmax\ndef softmax(x):\n    return i(x) + 0.25")
    assert result.outcome is Outcome.FAILED
    assert result.mutant is None


def _lesson() -> Lesson:
    return Lesson("91", "proofs", title="Proofs")


class Absolute(Exercise):
    def cases(self, rng):
        for n in (0, 1, 4):
            yield Case(args=(rng.standard_normal(n) - 0.5,), label=f"{n}")

    def expected(self, x):
        return np.abs(x)


REFERENCE = {"f": lambda x: np.sqrt(x * x)}


def _problems(cls, **options) -> str:
    lesson = _lesson()
    lesson.exercise("91.1", names=options.pop("names", ["f"]), title="f")(cls)
    return "\n".join(prove(lesson, **{"reference": REFERENCE, "seeds": [0], **options}).problems)


def test_a_mutant_that_passes_is_a_problem():
    class Passing(Absolute):
        @mutant("It takes the root of the square.")
        def root(x):
            return (x**2) ** 0.5

    assert "the mutant root passes (seed 0)" in _problems(Passing)


def test_two_mutants_that_behave_alike_are_a_problem():
    class Twins(Absolute):
        @mutant("You forgot the negative ones.")
        def nothing(x):
            return x

        @mutant("You multiply by one.")
        def one(x):
            return 1 * x

    assert "the mutant one behaves like nothing on every case" in _problems(Twins)


def test_a_mutant_that_can_not_run_is_a_problem():
    class Unfinished(Absolute):
        @mutant("You forgot the negative ones.")
        def misspelt(x):
            return xx  # type: ignore[name-defined]  # noqa: F821

    problems = _problems(Unfinished)
    assert "the mutant misspelt can't run at all (seed 0)" in problems
    assert "name 'xx' is not defined" in problems


def test_an_alternative_that_fails_is_a_problem():
    class Strict(Absolute):
        @alternative("as a list")
        def listed(x):
            return [abs(v) for v in x]

    assert "the alternative listed (as a list) does not pass" in _problems(Strict)


def test_a_reference_that_fails_is_a_problem():
    assert "the reference does not pass" in _problems(Absolute, reference={"f": lambda x: x})


def test_a_number_of_cases_that_depends_on_chance_is_a_problem():
    class Uncertain(Absolute):
        def cases(self, rng):
            self.count = getattr(self, "count", 0) + 1
            for n in range(self.count):
                yield Case(args=(np.ones(n),), label=f"{n}")

        @alternative("maximum")
        def maximum(x):
            return np.maximum(x, -x)

    assert "the number of cases depends on chance (1, 2)" in _problems(Uncertain)


def test_an_unwritten_mutant_and_a_broken_oracle_are_problems():
    class Unwritten(Absolute):
        @mutant("not a mistake at all")
        def unwritten(x):
            raise NotImplementedError

    assert "the mutant unwritten is not judged" in _problems(Unwritten)

    class Broken(Absolute):
        def expected(self, x):
            return 1 / 0

    assert "The check itself is broken" in _problems(Broken)


def test_a_lesson_without_notebook_is_a_problem_not_a_crash(tmp_path):
    lesson = _lesson()
    lesson.exercise("91.1", names=["f"], title="f")(Absolute)
    lesson.path = tmp_path
    assert "can't be read as a notebook" in prove(lesson).problems[0]


class Pair(Exercise):
    """Two functions that belong together."""

    def cases(self, rng):
        for n in (1, 3):
            yield Case(args=(rng.standard_normal(n),), label=f"{n}")

    def expected(self, x):
        return x

    def call(self, ns, case):
        return ns["decode"](ns["encode"](*case.args))

    @mutant("You encode with +1 and decode with +1.", bundle=True)
    def both():
        return {"encode": lambda x: x + 1, "decode": lambda x: x + 1}

    @mutant("You decode what was never encoded.", bundle=True)
    def on_the_reference(ns):
        return {"encode": lambda x: x, "decode": ns["decode"]}

    @mutant("You decode twice.", names="decode")
    def twice(x):
        return (x - 1) - 1

    @alternative("with two", bundle=True)
    def two():
        return {"encode": lambda x: x + 2, "decode": lambda x: x - 2}


PAIR = {"encode": lambda x: x + 1, "decode": lambda x: x - 1}


def test_bundles_and_mutants_of_one_of_several_names():
    # "never encoded" and "twice" both give x - 1: the same behaviour, and so one mistake.
    problems = _problems(Pair, names=["encode", "decode"], reference=PAIR)
    assert problems.count("behaves like") == 1
    assert "the mutant twice behaves like on_the_reference" in problems


def test_a_learners_other_names_do_not_stand_in_the_way_of_recognition(run_cells):
    lesson = _lesson()
    lesson.exercise("91.1", names=["encode", "decode"], title="Pair")(Pair)
    names = run_cells("def encode(x):\n    return x * 2\ndef decode(x):\n    return x / 2 - 1")
    result = check(lesson.exercises["91.1"], names, reference=lambda _: PAIR)
    assert result.mutant.label == "on_the_reference"


class Off(Exercise):
    """An exercise that builds on a class of the lesson, which the learner has a copy of."""

    def cases(self, rng):
        yield Case((), label="off")

    def call(self, ns, case):
        switch = ns["Switch"]
        switch.on = True
        ns["turn_off"]()
        return switch.on

    def expected(self):
        return False

    @mutant("You do nothing.")
    def nothing():
        pass

    @mutant("You set it to None.", bundle=True)
    def to_none(ns):
        def turn_off():
            ns["Switch"].on = None

        return {"turn_off": turn_off}


def test_mutants_use_the_learners_own_names_where_the_exercise_builds_on_them(run_cells):
    lesson = _lesson()
    lesson.exercise("91.1", names=["turn_off"], uses=["Switch"], title="Off")(Off)
    switch = "class Switch:\n    on = True\n"
    names = run_cells(switch, "def turn_off():\n    Switch.on = None")
    reference = run_cells(switch, "def turn_off():\n    Switch.on = False")
    result = check(lesson.exercises["91.1"], names, reference=lambda _: reference)
    assert result.outcome is Outcome.FAILED
    assert result.mutant.label == "to_none"


def test_a_bundle_that_returns_no_dict_is_told(run_cells):
    class Odd(Absolute):
        @mutant("no dict", bundle=True)
        def none():
            return None

    lesson = _lesson()
    lesson.exercise("91.1", names=["f"], title="f")(Odd)
    with pytest.raises(TypeError, match="the bundle 'none' must return a dict"):
        lesson.exercises["91.1"].mutants[0].objects("f")
    result = check(lesson.exercises["91.1"], run_cells("def f(x):\n    return x"))
    assert result.outcome is Outcome.FAILED
    assert "The course's mutant none is broken" in result.notes[0]
    assert "91.1: a variant can't be made" in prove(lesson, reference=REFERENCE).problems[0]


def test_state_of_a_mutant_starts_fresh_each_time():
    class Stateful(Absolute):
        @mutant("You keep the first answer for ever.", bundle=True)
        def remembers():
            kept = []

            def f(x):
                kept.append(abs(x))
                return kept[0]

            return {"f": f}

    assert not _problems(Stateful, seeds=[0, 1, 2])


def test_milestones_are_proved_when_they_declare_mistakes():
    lesson = _lesson()

    @lesson.milestone("91.M", title="Ten", names=["ten"])
    def ten(ns):
        value = ns["ten"]()
        return MilestoneResult(value >= 9, value, f"{value}")

    reference = {"ten": lambda: 10}
    assert prove(lesson, reference=reference).rows == []

    @ten.mutant("You count from 1.")
    def nine():
        return 9

    @ten.alternative("five and five")
    def sum_of_fives():
        return 5 + 5

    proof = prove(lesson, reference=reference, seeds=[0])
    assert proof.problems == [
        "91.M: the mutant nine passes (seed 0): no case tells it from a right answer"
    ]
    with pytest.raises(AssertionError, match="the mutant nine passes"):
        proof.raise_problems()
