"""Variants that are written as edits of another function's text."""

from __future__ import annotations

import inspect
import traceback

import numpy as np
import pytest

from tensorlab.cuda import jit
from tensorlab.learn import Case, Exercise, Lesson, alternative, mutant, prove
from tensorlab.learn.editing import edited

FACTOR = 2


def solved(numbers):
    total = 0
    for x in numbers:
        total += FACTOR * x  # the first
        total += 0 * x  # the second
    return total


@jit.kernel
def double(x, out):
    i = jit.grid(1)
    if i < len(out):
        out[i] = FACTOR * x[i]


def test_a_piece_of_the_text_is_replaced():
    assert solved([1, 2]) == 6
    assert edited(solved, {"FACTOR * x": "x * x"})([1, 2]) == 5
    assert edited(solved, {"total += FACTOR * x  # the first": ""})([1, 2]) == 0


def test_a_replacement_of_several_lines_is_indented_like_its_line():
    only_large = edited(solved, {"total += FACTOR": "if x > 1:\n    total += FACTOR"})
    assert only_large([1, 2]) == 4


def test_replacements_are_not_edited_again():
    exchanged = edited(solved, {"FACTOR * x": "0 * x + 1", "0 * x": "FACTOR * x"})
    assert exchanged([1, 2]) == 8


def test_what_is_edited_can_be_edited_again_and_shown():
    once = edited(solved, {"total = 0": "total = 100"})
    twice = edited(once, {"FACTOR": "1 // 0"})
    assert once([1]) == 102
    assert "total = 100" in inspect.getsource(twice)
    with pytest.raises(ZeroDivisionError) as caught:
        twice([1])
    assert "1 // 0 * x" in "".join(traceback.format_exception(caught.value))


def test_functions_of_one_name_with_the_same_edit_keep_their_own_text():
    here = edited(solved, {"total = 0": "total = 1"})
    there = edited(namesake(), {"total = 0": "total = 1"})
    assert "numbers" in inspect.getsource(here)
    assert "numbers" not in inspect.getsource(there)


def namesake():
    def solved():
        total = 0
        return total

    return solved


def test_a_kernel_stays_a_kernel():
    x, out = np.arange(40, dtype=np.float32), np.zeros(40, np.float32)
    edited(double, {"FACTOR * x[i]": "x[i] + 1.0"})[2, 32](x, out)
    np.testing.assert_array_equal(out, x + 1)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"nowhere": ""}, "'nowhere' stands 0 times in the text of solved"),
        ({"total +=": ""}, "'total +=' stands 2 times"),
        ({"total += 0 * x": "", "0 * x  # the": ""}, "'0 * x  # the' overlaps with another piece"),
    ],
)
def test_pieces_that_have_no_place_of_their_own(edits, message):
    with pytest.raises(ValueError) as caught:
        edited(solved, edits)
    assert message in str(caught.value)


def test_a_function_inside_of_another_one_is_refused():
    factor = 3

    def times(x):
        return factor * x

    with pytest.raises(ValueError, match="times uses variables of a function around it"):
        edited(times, {"factor * x": "x"})


class Total(Exercise):
    solved = solved

    def cases(self, rng):
        yield Case(([1, 2, 3],), label="three numbers")
        yield Case(([4],), label="one number")

    def expected(self, numbers):
        return sum(numbers) * 2

    not_twice = mutant("Twice the sum.", of=solved, edits={"FACTOR * x": "x"})
    squares = mutant("Twice, not squared.", of=solved, edits={"FACTOR * x": "x * x"})
    sums = alternative("adds x to itself", of=solved, edits={"FACTOR * x": "x + x"})


def test_edited_variants_are_proved_like_others():
    lesson = Lesson("90", "example", title="An example")
    lesson.exercise("90.1", names=["total"], title="Twice the sum")(Total)
    exercise = lesson.exercises["90.1"]
    assert [m.label for m in exercise.mutants] == ["not_twice", "squares"]
    assert [m.text for m in exercise.mutants] == ["Twice the sum.", "Twice, not squared."]
    assert [a.label for a in exercise.alternatives] == ["sums"]
    assert exercise.kind_of("total") == "function"
    proof = prove(lesson, reference={"total": solved}, seeds=[0])
    assert proof, str(proof)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: mutant("text", of=solved),  # type: ignore[call-overload]
        lambda: mutant("text", edits={"a": "b"}),  # type: ignore[call-overload]
        lambda: alternative("text", of=solved, edits={}),
    ],
)
def test_an_edited_variant_needs_both_parts(declare):
    with pytest.raises(TypeError, match="needs both"):
        declare()
