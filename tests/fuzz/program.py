"""Running one program in one library, and comparing two runs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any

from .observe import Facts, differ, facts_of

Program = tuple[str, ...]


@dataclass
class Run:
    """What one library did: the error of each line (None where there was none), and what was seen."""

    errors: list[Exception | None] = field(default_factory=list)
    seen: dict[int, Facts] = field(default_factory=dict)  # by the number of the observing line


@dataclass(frozen=True)
class Mismatch:
    """One difference: at which line, of what, and both sides."""

    line: int  # counted from 0; the number of lines stands for the end
    what: str  # "error", or a fact such as "t3._version"
    theirs: Any
    ours: Any

    @property
    def kind(self) -> str:
        """What differs, whichever tensor it is: shrinking keeps to it."""
        return self.what.partition(".")[2] or self.what

    def __str__(self) -> str:
        return f"line {self.line + 1}: {self.what}: PyTorch {_shown(self.theirs)}, here {_shown(self.ours)}"


def _shown(value: Any) -> str:
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {value}".splitlines()[0]
    return repr(value)


def run(program: Program, lib: Any) -> Run:
    """Run every line with `lib` as the library; what a line raises is noted, not raised."""
    names: dict[str, Any] = {"lib": lib, "log": []}
    result = Run()
    with warnings.catch_warnings():
        # Warnings, about `.grad` of results or odd uses of `.T`, are not compared.
        warnings.simplefilter("ignore")
        for number, line in enumerate((*program, "observe()")):
            names["observe"] = lambda n=number: result.seen.__setitem__(n, facts_of(names, lib))
            try:
                exec(_compiled(line), names)
            except Exception as error:
                error.__traceback__ = None  # it would keep the frames, and with them tensors
                result.errors.append(error)
            else:
                result.errors.append(None)
    return result


@lru_cache(maxsize=100_000)
def _compiled(line: str) -> CodeType:
    return compile(line, "<program>", "exec")


def _is_backward(line: str) -> bool:
    return ".backward(" in line or ".autograd.grad(" in line


def error_class(error: Exception | None) -> type[Exception] | None:
    """The class to compare: Python's own, for a class that a library derives from it."""
    if error is None:
        return None
    return next(c for c in type(error).__mro__ if c.__module__ == "builtins")


def compare(program: Program, theirs: Run, ours: Run) -> Mismatch | None:
    """The first difference between two runs of a program, or None."""
    seen = [fact for facts in theirs.seen.values() for fact in facts.items()]
    # What was float32 on the way is no more precise as float64.
    single = any(what.endswith(".dtype") and dtype == "float32" for what, dtype in seen)
    tolerance = 2e-4 if single or any(".float()" in line for line in program) else 1e-8
    for number in range(len(program) + 1):
        expected, got = theirs.errors[number], ours.errors[number]
        if error_class(expected) is not error_class(got):
            return Mismatch(number, "error", expected, got)
        if expected is not None and _is_backward(program[number]):
            return (
                None  # how far it came before the error, and what it had freed, is nobody's promise
            )
        if number in theirs.seen:
            for what, left, right in differ(theirs.seen[number], ours.seen[number], tolerance):
                return Mismatch(number, what, left, right)
    return None
