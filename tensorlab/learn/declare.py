"""What a lesson's ``checks.py`` is written with: exercises, cases, mutants, alternatives.

An exercise is one class. Its cases are its inputs, its ``expected`` is an oracle that does
not know how the learner solved it, its mutants are the mistakes that people really make (each
with the sentence that helps), and its alternatives are other right ways. `tensorlab.learn.prove`
holds an exercise to its word: every mutant fails and is recognised, every alternative passes.

>>> import numpy as np
>>> from tensorlab.learn import Case, Exercise, Lesson, alternative, check, mutant
>>> lesson = Lesson("90", "example", title="An example")
>>> @lesson.exercise("90.1", names=["double"], title="Twice as much")
... class Double(Exercise):
...     hints = ["What is x + x?"]
...     def cases(self, rng):
...         for n in (0, 1, 3):
...             yield Case(args=(rng.standard_normal(n),), label=f"{n} numbers")
...     def expected(self, x):
...         return 2 * x
...     @mutant("You square the number. Twice as much is the number added to itself.")
...     def squares(x):
...         return x * x
...     @alternative("adds")
...     def adds(x):
...         return x + x
>>> print(check(lesson.exercises["90.1"], {"double": lambda x: x + x}))
✓ 90.1 Twice as much: passed (3 cases)
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from tensorlab.learn.editing import edited
from tensorlab.learn.values import element_count

if TYPE_CHECKING:
    from tensorlab.learn.lesson import Lesson

__all__ = [
    "Alternative",
    "Answer",
    "Case",
    "Exercise",
    "Failure",
    "Mutant",
    "Raises",
    "alternative",
    "mutant",
]


@dataclass(slots=True)
class Case:
    """One input of an exercise.

    Args:
        args: the positional arguments, a tuple (write ``(x,)`` for one argument).
        kwargs: the keyword arguments; positional ones are kinder to learners who rename.
        label: how the case is named in a failure, for example ``"2×3, float32"``.
        size: how big the input is. Of all failing cases the smallest is shown. Default: the
            number of elements of all array arguments.
        data: anything that ``call`` or ``judge`` of the exercise wants to know beside.

    >>> Case(args=(np.zeros((2, 3)),), label="2×3").size
    6
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    size: int | None = None
    data: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.args, tuple):
            raise TypeError(
                f"Case(args=...) must be a tuple, got {type(self.args).__name__}: "
                "write args=(x,) for a single argument"
            )
        if self.size is None:
            self.size = element_count((self.args, self.kwargs))


class Answer:
    """Base of a lesson's own classes that `Exercise.call` returns in place of plain values.

    Two answers are the same behaviour if they are equal. (Objects of other classes may be the
    learner's, whose ``==`` may say anything.)
    """


@dataclass(slots=True)
class Failure:
    """Why an answer is wrong; `Exercise.judge` returns one, or None for a right answer.

    Args:
        message: one or two sentences to the learner.
        expected, got: what to show beside the message; leave them out to show the whole
            expected and the whole returned value.
        index: the first index at which they differ.
        hint: a sentence that helps with just this failure; a matched mutant's goes first.
    """

    message: str
    expected: Any = None
    got: Any = None
    index: tuple[int, ...] | None = None
    hint: str | None = None


class Raises:
    """Returned by ``expected`` where the right answer is to raise an exception.

    >>> Raises(ValueError)
    raises ValueError
    >>> Raises(TypeError, ValueError)
    raises TypeError or ValueError
    """

    def __init__(self, *types: type[BaseException]) -> None:
        if not types:
            raise TypeError("Raises() needs at least one exception class: Raises(ValueError)")
        self.types = types

    @property
    def names(self) -> str:
        """The exceptions' names, as a message has them."""
        return " or ".join(kind.__name__ for kind in self.types)

    def __repr__(self) -> str:
        return f"raises {self.names}"


@dataclass(slots=True)
class _Variant:
    """Code that stands in for the learner's: what mutants and alternatives have in common."""

    text: str
    body: Any
    name: str | None = None
    bundle: bool = False
    label: str = ""

    def __post_init__(self) -> None:
        self.label = getattr(self.body, "__name__", type(self.body).__name__)

    def __set_name__(self, owner: type, name: str) -> None:
        self.label = name  # an edited body has the name of what it was made from

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the body: inside its exercise a variant behaves as a static method."""
        return self.body(*args, **kwargs)

    def objects(self, first_name: str, reference: Mapping[str, Any] | None = None) -> dict:
        """The objects of this variant by name, as they would stand in a learner's namespace.

        A bundle is built anew each time, so that state in its closures starts fresh. One that
        takes an argument gets the reference solution's namespace to build on.
        """
        if not self.bundle:
            return {self.name or first_name: self.body}
        wants_reference = bool(inspect.signature(self.body).parameters)
        made = self.body(dict(reference or {})) if wants_reference else self.body()
        if not isinstance(made, dict):
            raise TypeError(
                f"the bundle {self.label!r} must return a dict of name → object, "
                f"got {type(made).__name__}"
            )
        return made


class Mutant(_Variant):
    """A mistake that people make, and the hint that helps (`text`). Made by `mutant`."""


class Alternative(_Variant):
    """Another right way to write it, described in `text`. Made by `alternative`."""


@overload
def mutant(
    hint: str, *, names: str | None = None, bundle: bool = False
) -> Callable[[Any], Mutant]: ...
@overload
def mutant(hint: str, *, of: Any, edits: Mapping[str, str], names: str | None = None) -> Mutant: ...
def mutant(
    hint: str,
    *,
    of: Any = None,
    edits: Mapping[str, str] | None = None,
    names: str | None = None,
    bundle: bool = False,
) -> Mutant | Callable[[Any], Mutant]:
    """Declare a mistake that people really make, and the sentence that helps.

    It is a function or class, which this decorates; or, where it differs from a longer one by a
    line or two, ``slip = mutant("...", of=solved, edits={"i < n": "i <= n"})``.

    Args:
        hint: shown to a learner whose code behaves like this mutant.
        of: the function or kernel that the mutant is made from.
        edits: pieces of its text and what stands there instead; see
            `tensorlab.learn.editing.edited`.
        names: the name that the decorated function or class stands for; by default the first
            of the exercise's names.
        bundle: the decorated function is no body itself but returns a dict of
            name → object, for exercises of several names. If it takes an argument, it gets
            the reference solution's namespace (a dict) to build on.
    """
    _need_text("mutant", hint)
    if of is not None or edits is not None:
        return Mutant(hint, _edited("mutant", of, edits), names)
    return lambda body: Mutant(hint, body, names, bundle)


@overload
def alternative(
    description: str, *, names: str | None = None, bundle: bool = False
) -> Callable[[Any], Alternative]: ...
@overload
def alternative(
    description: str, *, of: Any, edits: Mapping[str, str], names: str | None = None
) -> Alternative: ...
def alternative(
    description: str,
    *,
    of: Any = None,
    edits: Mapping[str, str] | None = None,
    names: str | None = None,
    bundle: bool = False,
) -> Alternative | Callable[[Any], Alternative]:
    """Declare another right way to solve the exercise: it must pass. Arguments as `mutant`."""
    _need_text("alternative", description)
    if of is not None or edits is not None:
        return Alternative(description, _edited("alternative", of, edits), names)
    return lambda body: Alternative(description, body, names, bundle)


def _edited(what: str, of: Any, edits: Mapping[str, str] | None) -> Any:
    if of is None or not edits:
        raise TypeError(
            f"an edited {what} needs both what it is made of and what is changed: "
            f'{what}("...", of=solved, edits={{"old": "new"}})'
        )
    return edited(of, edits)


def _need_text(what: str, text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise TypeError(f'@{what} needs its text: write @{what}("..."), not @{what}')


class Exercise:
    """One exercise. Subclass it under ``@lesson.exercise(...)``; see the module's example.

    Set by the decorator: ``id``, ``names``, ``title``, ``points``, ``time_limit`` (seconds that
    the learner's code may take over all cases), ``uses`` and ``lesson``.

    To write: ``cases`` and ``expected``, the mutants and alternatives, and the ``hints``.
    To override where needed: ``call`` (classes, several calls, gradients) and ``judge``.
    """

    id: str
    names: list[str]
    title: str
    points: float
    time_limit: float
    uses: list[str]
    lesson: Lesson

    #: Progressive help: the first gentle, the last nearly the answer.
    hints: ClassVar[Sequence[str]] = ()
    #: The learner's function must leave its arguments as they are.
    unmodified: ClassVar[bool] = True
    #: Tolerances; None takes the defaults of the dtype (see `tensorlab.learn.compare`).
    rtol: ClassVar[float | None] = None
    atol: ClassVar[float | None] = None
    #: "same": float32 and float64 are told apart; "kind": only float, int, bool ...; "any".
    dtype: ClassVar[str] = "same"

    def cases(self, rng: np.random.Generator) -> Iterable[Case]:
        """Yield the inputs: ragged, size 1, empty where legal, non-contiguous, float32 and 64.

        The number of cases must not depend on the random numbers: it is part of the printed
        result, which the solved notebooks are compared on.
        """
        raise TypeError(f"{type(self).__name__} must define cases(self, rng)")

    def expected(self, *args: Any, **kwargs: Any) -> Any:
        """The right answer by other means than the learner's, or `Raises` (an exception)."""
        raise TypeError(f"{type(self).__name__} must define expected(self, ...)")

    def call(self, ns: Mapping[str, Any], case: Case) -> Any:
        """Use the learner's code on a case and return what is to be judged.

        Args:
            ns: the learner's object for each of ``names`` and ``uses``.
            case: a private copy of the case: what the code does to it harms nothing.
        """
        return ns[self.names[0]](*case.args, **case.kwargs)

    def judge(self, case: Case, got: Any, want: Any) -> Failure | None:
        """Compare the answer with the expected one; None if it is right."""
        from tensorlab.learn.judging import compare

        return compare(got, want, rtol=self.rtol, atol=self.atol, dtype=self.dtype)

    # -- what the declarations in the class body add up to ---------------------------------

    @property
    def mutants(self) -> list[Mutant]:
        """The declared mistakes, in the order of declaration."""
        return [variant for variant in self._variants() if isinstance(variant, Mutant)]

    @property
    def alternatives(self) -> list[Alternative]:
        """The declared other right ways, in the order of declaration."""
        return [variant for variant in self._variants() if isinstance(variant, Alternative)]

    def _variants(self) -> Iterator[_Variant]:
        found: dict[str, _Variant] = {}
        for cls in reversed(type(self).__mro__):
            for name, value in vars(cls).items():
                if isinstance(value, _Variant):
                    found[name] = value
        yield from found.values()

    def kind_of(self, name: str) -> str | None:
        """What ``name`` has to be: "function", "class", or None where both are right.

        Read off the declared mutants and alternatives.
        """
        kinds = set()
        for variant in self._variants():
            if not variant.bundle and (variant.name or self.names[0]) == name:
                is_class = isinstance(variant.body, type)
                is_function = isinstance(variant.body, types.FunctionType)
                kinds.add("class" if is_class else "function" if is_function else None)
        return kinds.pop() if len(kinds) == 1 else None

    def argument_names(self) -> list[str]:
        """Names of the positional arguments, for messages: those of ``expected``."""
        named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        signature = inspect.signature(self.expected)
        return [p.name for p in signature.parameters.values() if p.kind in named]

    def __repr__(self) -> str:
        return f"<Exercise {self.id} {self.title!r}>"
