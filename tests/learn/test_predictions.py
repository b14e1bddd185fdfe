"""Predictions: locked once, shown after that, scored against the measurement. And hints."""

from __future__ import annotations

import numpy as np
import pytest

from tensorlab.learn import Lesson, Progress, ProgressError, check, describe, hint, lock, reveal
from tensorlab.learn.predictions import parse_answer


@pytest.fixture
def number():
    return Lesson("91", "guess", title="Guess").predict(
        "91.A", question="How big?", unit="bytes", tolerance=0.1, explain="Because of strides."
    )


@pytest.fixture
def choice():
    return Lesson("91", "guess", title="Guess").predict(
        "91.B",
        question="Which is slower?",
        kind="choice",
        choices=["the row", "the column"],
        explain="Cache lines.",
    )


def test_the_first_answer_stays(number, progress):
    first = lock(number, "24", progress)
    assert (first.accepted, str(first)) == (True, "Prediction 91.A is locked: 24 bytes.")
    again = lock(number, "24 bytes", progress)
    assert (again.accepted, str(again)) == (True, str(first))
    other = lock(number, "48", progress)
    assert not other.accepted
    assert str(other) == (
        "Prediction 91.A was locked before: 24 bytes. It stays (48 bytes is not taken)."
    )
    assert other.value == 24
    assert len(list(progress.events())) == 1


def test_two_notebooks_at_once_agree_on_the_first(number, progress):
    Progress(progress.home).record("lock", "91.A", value=7)
    progress.record("lock", "91.A", value=8)
    assert reveal(number, 7, progress).locked == 7


def test_nothing_is_shown_before_it_is_locked(number, progress):
    shown = reveal(number, 24, progress)
    assert not shown.revealed
    assert shown.score is None
    assert shown.measured is None
    assert "Predict first" in str(shown)
    assert "strides" not in str(shown)
    assert "24" not in str(shown)
    assert list(progress.events()) == []


@pytest.mark.parametrize(
    ("locked", "measured", "score", "verdict"),
    [
        (24, 24, 1.0, "right."),
        (24, 25, 1.0, "right, within the tolerance"),
        (24, 30, 0.5, "close, 20% too little"),
        (40, 30, 0.5, "close, 33% too much"),
        (300, 30, 0.0, "10 times too much"),
        (3, 30, 0.0, "10 times too little"),
        (-3, 30, 0.0, "not so"),
        (0, 30, 0.0, "not so"),
        (0, 0, 1.0, "right."),
        (5, 0, 0.0, "not so"),
    ],
)
def test_numbers_are_scored(number, progress, locked, measured, score, verdict):
    lock(number, locked, progress)
    shown = reveal(number, measured, progress)
    assert shown.revealed
    assert shown.score == score
    assert verdict in str(shown)
    assert str(shown).endswith("Because of strides.")
    assert progress.item("91.A").score == score


def test_the_first_reveal_counts(number, progress):
    lock(number, 24, progress)
    reveal(number, 24, progress)
    reveal(number, 1000, progress)
    assert progress.item("91.A").score == 1.0


@pytest.mark.parametrize("answer", ["b", "B", "b)", "the column", "The Column", "'b'", 1])
def test_choices_are_answered_by_letter_or_text(choice, progress, answer):
    assert str(lock(choice, answer, progress)) == "Prediction 91.B is locked: b) the column."
    shown = reveal(choice, "a", progress)
    assert (shown.score, shown.measured) == (0.0, "the row")
    assert "you said b) the column, measured a) the row: not so" in str(shown)


@pytest.mark.parametrize("measured", [24, 24.0, np.float32(24), np.array([24]), "24"])
def test_measurements_of_many_kinds(number, progress, measured):
    lock(number, 24, progress)
    assert reveal(number, measured, progress).score == 1.0


@pytest.mark.parametrize(
    ("kind", "answer", "message"),
    [
        ("number", "many", "asks for a number (bytes), got 'many'; write it like 24000"),
        ("number", "4,00", "asks for a number (bytes), got '4,00'"),
        ("number", "", "asks for a number"),
        ("number", "nan", "asks for a finite number"),
        ("number", "1/0", "asks for a number"),
        ("number", np.ones(3), "asks for a number, got ndarray"),
        ("choice", "c", "asks for one of a (the row), b (the column); got 'c'"),
        ("choice", 2, "asks for one of"),
        ("choice", "", "asks for one of"),
        ("choice", True, "asks for one of"),
    ],
)
def test_bad_answers_are_refused_and_nothing_is_locked(
    number, choice, progress, kind, answer, message
):
    with pytest.raises(ValueError) as caught:
        lock(number if kind == "number" else choice, answer, progress)
    assert message in str(caught.value)
    assert list(progress.events()) == []


def test_numbers_are_said_as_people_write_them(number, progress):
    assert str(lock(number, "1048576", progress)).endswith("is locked: 1,048,576 bytes.")
    shown = str(reveal(number, 2_345.6789, progress))
    assert "you said 1,048,576 bytes, measured 2346 bytes: 447 times too much" in shown


def test_a_prediction_says_how_to_answer_it(number, choice, progress):
    assert describe(number, progress).endswith(
        "Answer with a number, in bytes; the first answer counts:\n  %tensorlab predict 91.A 24"
    )
    assert "  b) the column" in describe(choice, progress)
    lock(choice, "a", progress)
    assert describe(choice, progress).endswith("Locked: a) the row.")


def test_a_locked_answer_of_another_version_of_the_question_does_not_count(choice, progress):
    progress.record("lock", "91.B", value="the diagonal")
    assert not reveal(choice, "a", progress).revealed


@pytest.mark.parametrize(
    ("text", "value"), [("399,960,400", 399960400.0), ("1,000.5 bytes", 1000.5), ("4_000", 4000.0)]
)
def test_thousands_may_be_separated(number, text, value):
    assert parse_answer(number, text) == value


def test_a_hint_is_given_also_where_the_log_cannot_be_written(exercise, progress, monkeypatch):
    def full(*args, **fields):
        raise ProgressError("progress can't be written to the log: No space left on device.")

    monkeypatch.setattr(progress, "record", full)
    told = str(hint(exercise, progress))
    assert told == (
        "Hint 1 of 3: Which axis sums to 1?\n"
        "progress can't be written to the log: No space left on device."
    )


def test_a_recognised_mistake_is_the_first_hint(exercise, run_cells, progress):
    def asked():
        return str(hint(exercise, progress))

    assert asked() == "Hint 1 of 3: Which axis sums to 1?"
    wrong = run_cells("import numpy as np\ndef softmax(x):\n    return np.exp(x)/np.exp(x).sum()")
    check(exercise, run_cells("def softmax(x):\n    return x"), progress=progress)
    assert asked() == "Hint 2 of 3: Subtract the maximum first."
    names = run_cells(
        "import numpy as np\ndef softmax(x):\n    e = np.exp(x - x.max())\n    return e / e.sum()"
    )
    result = check(exercise, names, progress=progress)
    assert asked() == f"Hint (about the mistake in your last check): {result.hint}"
    assert asked() == "Hint 3 of 3: e = exp(x - max) That was the last one."
    assert progress.item(exercise.id).hints == 3
    check(exercise, wrong, progress=progress)
    assert "e = exp(x - max)" in asked()


def test_an_exercise_without_hints_says_so(progress):
    milestone = Lesson("91", "m", title="m").milestone("91.M", title="t", check=lambda ns: None)
    assert str(hint(milestone, progress)) == "There are no hints for 91.M."
    assert list(progress.events()) == []
