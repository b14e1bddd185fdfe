"""Hold a lesson's checks to their word: a check that can't fail, or fails what is right, is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tensorlab.learn.attempts import CourseError
from tensorlab.learn.declare import Alternative, Exercise, Mutant
from tensorlab.learn.engine import check
from tensorlab.learn.lesson import Lesson, Milestone
from tensorlab.learn.references import reference_namespace
from tensorlab.learn.results import CheckResult

__all__ = ["Proof", "prove"]

#: What a slip in the mutant's own text raises: a name that is nowhere, a kernel that is none.
_BROKEN = ("NameError", "CompileError")


@dataclass(slots=True)
class Proof:
    """What `prove` ran and what did not hold.

    Attributes:
        rows: one line for each variant and seed that was run.
        problems: what did not hold; empty if the checks keep their word.
    """

    rows: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def raise_problems(self) -> None:
        """Raise an AssertionError that lists the problems, if there are any."""
        if self.problems:
            raise AssertionError("\n\n".join(self.problems))

    def __bool__(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        return "\n".join([*self.rows, *(f"PROBLEM: {problem}" for problem in self.problems)])


def prove(
    what: Lesson | Exercise | Milestone,
    *,
    seeds: Iterable[int] = range(3),
    reference: Mapping[str, Any] | None = None,
) -> Proof:
    """Run every mutant, every alternative and the reference solution through the checks.

    On each seed: the reference and all alternatives pass with the same number of cases, and each
    mutant runs, fails and is recognised as itself, so that its own hint is given. A milestone is proved
    if it declares mutants or alternatives.

    Args:
        what: an exercise, a milestone, or a lesson: all of both.
        seeds: seeds of the cases.
        reference: the reference solution's names; by default read from the lesson's notebook.

    >>> from tensorlab.learn import Case, alternative, mutant
    >>> lesson = Lesson("90", "example", title="An example")
    >>> @lesson.exercise("90.1", names=["double"], title="Twice as much")
    ... class Double(Exercise):
    ...     def cases(self, rng):
    ...         yield Case(args=(2.0,), label="two")
    ...     def expected(self, x):
    ...         return 2 * x
    ...     @mutant("You square the number.")
    ...     def squares(x):
    ...         return x * x
    >>> print(prove(lesson, reference={"double": lambda x: x + x}, seeds=[0]))
    90.1 reference, seed 0: passed
    90.1 mutant squares, seed 0: passed
    PROBLEM: 90.1: the mutant squares passes (seed 0): no case tells it from a right answer
    """
    proof, seeds = Proof(), list(seeds)
    items: list[Exercise | Milestone] = (
        [*what.exercises.values(), *what.milestones.values()]
        if isinstance(what, Lesson)
        else [what]
    )
    for item in items:
        if isinstance(item, Milestone) and not (item.mutants or item.alternatives):
            continue
        names = item.names + (item.uses if isinstance(item, Exercise) else [])
        try:
            base = dict(reference) if reference is not None else _reference(item, names)
        except CourseError as error:
            proof.problems.append(f"{item.id}: {error}")
            continue
        for seed in seeds:
            try:
                _prove_item(proof, item, base, seed)
            except Exception as error:
                proof.problems.append(f"{item.id}: a variant can't be made: {error}")
                break
    return proof


def _reference(item: Exercise | Milestone, names: list[str]) -> dict[str, Any]:
    until = item.id if isinstance(item, Exercise) else None
    return reference_namespace(item.lesson, names, until)


def _prove_item(proof: Proof, item: Exercise | Milestone, base: dict[str, Any], seed: int) -> None:
    def run(variant: Mutant | Alternative | None, limit: float | None = None) -> CheckResult:
        extra = {} if variant is None else variant.objects(first, base)
        if isinstance(item, Milestone):
            return check(item, {**base, **extra}, seed=seed, time_limit=limit)
        return check(item, {**base, **extra}, seed=seed, time_limit=limit, reference=lambda _: base)

    first = item.names[0] if item.names else ""
    right = run(None)
    proof.rows.append(f"{item.id} reference, seed {seed}: {right.outcome}")
    if not right.passed:
        proof.problems.append(f"{item.id}: the reference does not pass (seed {seed}):\n{right}")
    for variant in item.alternatives:
        result = run(variant)
        proof.rows.append(f"{item.id} alternative {variant.label}, seed {seed}: {result.outcome}")
        if not result.passed:
            proof.problems.append(
                f"{item.id}: the alternative {variant.label} ({variant.text}) does not pass "
                f"(seed {seed}):\n{result}"
            )
        elif result.cases != right.cases:
            proof.problems.append(
                f"{item.id}: the number of cases depends on chance ({right.cases}, {result.cases})"
            )
    # An endless mutant need not take all the time that learners get.
    limit = min(item.time_limit, 1 + 20 * right.seconds)
    for variant in item.mutants:
        result = run(variant, limit)
        proof.rows.append(f"{item.id} mutant {variant.label}, seed {seed}: {result.outcome}")
        told = f"{item.id}: the mutant {variant.label}"
        if result.passed:
            proof.problems.append(
                f"{told} passes (seed {seed}): no case tells it from a right answer"
            )
        elif result.course_error or result.outcome == "unattempted":
            proof.problems.append(f"{told} is not judged (seed {seed}):\n{result}")
        elif result.raised in _BROKEN:
            proof.problems.append(f"{told} can't run at all (seed {seed}):\n{result}")
        elif isinstance(item, Exercise) and result.mutant is None:
            proof.problems.append(f"{told} is not recognised as itself (seed {seed}):\n{result}")
        elif isinstance(item, Exercise) and result.mutant is not variant:
            assert result.mutant is not None
            proof.problems.append(
                f"{told} behaves like {result.mutant.label} on every case (seed {seed}): "
                "add a case that tells them apart, or make them one"
            )
