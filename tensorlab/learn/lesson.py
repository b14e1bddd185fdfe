"""A lesson and what it holds besides exercises: predictions and the milestone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, overload

from tensorlab.learn.declare import Alternative, Exercise, Mutant, alternative, mutant

__all__ = ["Lesson", "Milestone", "MilestoneResult", "Prediction"]

_E = TypeVar("_E", bound=type[Exercise])
MilestoneCheck = Callable[[Mapping[str, Any]], "MilestoneResult"]


@dataclass(slots=True)
class MilestoneResult:
    """What a milestone's check found.

    Args:
        passed: whether the milestone is reached: number and mechanism.
        number: the measured number, or None where there is none.
        text: one sentence to the learner with the number and its unit in it.
    """

    passed: bool
    number: float | None
    text: str


@dataclass(eq=False)
class Milestone:
    """The number at the end of a lesson, with a check of the mechanism behind it.

    Mistakes that must not reach it can be declared as for exercises, and `prove` runs them:

    >>> lesson = Lesson("90", "example", title="An example")
    >>> @lesson.milestone("90.M", title="Ten", names=["ten"])
    ... def reaches_ten(ns):
    ...     value = ns["ten"]()
    ...     return MilestoneResult(value == 10, value, f"ten() gives {value}")
    >>> @reaches_ten.mutant("You count from 1 to 9.")
    ... def nine():
    ...     return 9
    >>> [m.text for m in reaches_ten.mutants]
    ['You count from 1 to 9.']
    """

    id: str
    title: str
    check: MilestoneCheck
    lesson: Lesson
    names: list[str] = field(default_factory=list)
    points: float = 1
    time_limit: float = 60.0
    hints: list[str] = field(default_factory=list)
    mutants: list[Mutant] = field(default_factory=list)
    alternatives: list[Alternative] = field(default_factory=list)

    def mutant(
        self, hint: str, *, names: str | None = None, bundle: bool = False
    ) -> Callable[[Any], Mutant]:
        """Declare a mistake with which the milestone must not be reached; see `mutant`."""

        def declare(body: Any) -> Mutant:
            self.mutants.append(mutant(hint, names=names, bundle=bundle)(body))
            return self.mutants[-1]

        return declare

    def alternative(
        self, description: str, *, names: str | None = None, bundle: bool = False
    ) -> Callable[[Any], Alternative]:
        """Declare another right way, with which the milestone must be reached."""

        def declare(body: Any) -> Alternative:
            made = alternative(description, names=names, bundle=bundle)(body)
            self.alternatives.append(made)
            return made

        return declare

    def __repr__(self) -> str:
        return f"<Milestone {self.id} {self.title!r}>"


@dataclass(eq=False)
class Prediction:
    """A question that is answered before the measurement and can't be answered twice.

    Args:
        question: what is asked; one or two sentences.
        unit: the unit of a number, for example ``"bytes"``.
        kind: ``"number"`` or ``"choice"``.
        choices: the answers to choose from, shown as a), b), c) ...
        tolerance: how far off a number may be and still count as right, as a share of the
            measured value: 0.1 is ten per cent. 0 asks for the exact number.
        explain: shown after the reveal: why it is so.
    """

    id: str
    question: str
    lesson: Lesson
    unit: str = ""
    kind: str = "number"
    choices: list[str] = field(default_factory=list)
    tolerance: float = 0.0
    explain: str = ""

    def __repr__(self) -> str:
        return f"<Prediction {self.id} {self.question!r}>"


class Lesson:
    """A lesson: what its ``checks.py`` declares, in the order of the notebook.

    Args:
        id: two digits, for example ``"01"``.
        slug: the rest of the folder's name: ``"tensors"`` for ``course/01_tensors``.
        title: the lesson's title.

    >>> Lesson("01", "tensors", title="What is a tensor?").folder_name
    '01_tensors'
    """

    def __init__(self, id: str, slug: str, *, title: str) -> None:
        if not re.fullmatch(r"\d\d", id):
            raise ValueError(f'a lesson\'s id is two digits, like "01"; got {id!r}')
        if not re.fullmatch(r"[a-z][a-z0-9_]*", slug):
            raise ValueError(
                f'a lesson\'s slug is lower case with underscores, like "tensors"; got {slug!r}'
            )
        self.id = id
        self.slug = slug
        self.title = title
        self.exercises: dict[str, Exercise] = {}
        self.predictions: dict[str, Prediction] = {}
        self.milestones: dict[str, Milestone] = {}
        #: The lesson's folder; set when the course loads it.
        self.path: Path | None = None

    @property
    def folder_name(self) -> str:
        return f"{self.id}_{self.slug}"

    @property
    def notebook_path(self) -> Path:
        """The solved notebook."""
        if self.path is None:
            raise LookupError(f"lesson {self.id} was not loaded from a course folder")
        return self.path / "lesson.ipynb"

    @property
    def items(self) -> dict[str, Exercise | Prediction | Milestone]:
        """Everything with an id: exercises, then predictions, then milestones."""
        return {**self.exercises, **self.predictions, **self.milestones}

    def exercise(
        self,
        id: str,
        *,
        names: Sequence[str],
        title: str,
        points: float = 1,
        time_limit: float = 5.0,
        uses: Sequence[str] = (),
    ) -> Callable[[_E], _E]:
        """Register the decorated `Exercise` subclass under an id such as ``"01.1"``.

        Args:
            names: what the learner defines; the first is what the default ``call`` calls.
            title: a few words.
            points: for nbgrader.
            time_limit: seconds that the learner's code may take over all cases together.
            uses: further names that ``call`` reads in ``ns``: things that the notebook itself
                defines in earlier cells.
        """
        self._need_new_id(id, r"[1-9]\d*", 'like "01.1"')
        if isinstance(names, str) or not names:
            raise TypeError(f'exercise {id}: names must be a list, like ["transpose"]')
        if time_limit <= 0:
            raise ValueError(f"exercise {id}: time_limit must be positive, got {time_limit}")

        def register(cls: _E) -> _E:
            if not (isinstance(cls, type) and issubclass(cls, Exercise)):
                raise TypeError(f"exercise {id}: decorate a subclass of Exercise, got {cls!r}")
            made = cls()
            made.id, made.title, made.lesson = id, title, self
            made.names, made.uses = list(names), list(uses)
            made.points, made.time_limit = points, float(time_limit)
            self.exercises[id] = made
            return cls

        return register

    def predict(
        self,
        id: str,
        *,
        question: str,
        unit: str = "",
        kind: str = "number",
        choices: Sequence[str] = (),
        tolerance: float = 0.0,
        explain: str = "",
    ) -> Prediction:
        """Declare a prediction under an id such as ``"01.A"``; arguments as `Prediction`."""
        self._need_new_id(id, r"[A-LN-Z]", 'like "01.A" (M is the milestone)')
        if kind not in ("number", "choice"):
            raise ValueError(f'prediction {id}: kind is "number" or "choice", got {kind!r}')
        if kind == "choice" and len(choices) < 2:
            raise ValueError(f"prediction {id}: a choice needs at least two choices")
        if kind == "number" and choices:
            raise ValueError(f'prediction {id}: choices need kind="choice"')
        if tolerance < 0:
            raise ValueError(f"prediction {id}: tolerance must not be negative: {tolerance}")
        made = Prediction(id, question, self, unit, kind, list(choices), float(tolerance), explain)
        self.predictions[id] = made
        return made

    @overload
    def milestone(
        self,
        id: str,
        *,
        title: str,
        check: MilestoneCheck,
        names: Sequence[str] = ...,
        points: float = ...,
        time_limit: float = ...,
        hints: Sequence[str] = ...,
    ) -> Milestone: ...

    @overload
    def milestone(
        self,
        id: str,
        *,
        title: str,
        check: None = ...,
        names: Sequence[str] = ...,
        points: float = ...,
        time_limit: float = ...,
        hints: Sequence[str] = ...,
    ) -> Callable[[MilestoneCheck], Milestone]: ...

    def milestone(
        self,
        id: str,
        *,
        title: str,
        check: MilestoneCheck | None = None,
        names: Sequence[str] = (),
        points: float = 1,
        time_limit: float = 60.0,
        hints: Sequence[str] = (),
    ) -> Milestone | Callable[[MilestoneCheck], Milestone]:
        """Declare the milestone, ``"01.M"``; without ``check`` it is a decorator.

        Args:
            check: ``check(ns) -> MilestoneResult``; ``ns`` is the learner's whole namespace.
            names: what must be there before the check is worth running. A name that is
                missing makes the milestone "unattempted".
            time_limit: seconds for the whole check.
        """
        self._need_new_id(id, "M", f'"{self.id}.M"')

        def register(fn: MilestoneCheck) -> Milestone:
            made = Milestone(
                id, title, fn, self, list(names), points, float(time_limit), list(hints)
            )
            self.milestones[id] = made
            return made

        return register if check is None else register(check)

    def _need_new_id(self, id: str, tail: str, form: str) -> None:
        if not re.fullmatch(rf"{self.id}\.({tail})", id):
            raise ValueError(f"the id must be {form} in lesson {self.id}; got {id!r}")
        if id in self.items:
            raise ValueError(f"{id} is declared twice in lesson {self.id}")

    def __repr__(self) -> str:
        return f"<Lesson {self.id} {self.title!r}>"
