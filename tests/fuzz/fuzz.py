"""Checking programs: both libraries, the comparison, and what to say about a mistake."""

from __future__ import annotations

import warnings
from typing import Any

import tensorlab

from .allowed import reason_for
from .generate import generate
from .program import Mismatch, Program, compare, run
from .shrink import script, shrink


def differences(program: Program, torch: Any) -> Mismatch | None:
    """The first difference of any kind between the two libraries on this program."""
    return compare(program, run(program, torch), run(program, tensorlab))


def check(program: Program, torch: Any) -> Mismatch | None:
    """The first difference that is not meant, or None."""
    theirs = run(program, torch)
    if any(isinstance(e, NameError) for e in theirs.errors):
        return None  # shrinking took away what the rest needs
    mismatch = compare(program, theirs, run(program, tensorlab))
    if mismatch is None or reason_for(mismatch, program):
        return None
    # An allowed difference that nobody looked at may lead to others later: look after every line.
    looking = tuple(text for line in program for text in (line, "observe()"))
    first = differences(looking, torch)
    return None if first is not None and reason_for(first, looking) else mismatch


def fuzz_one(number: int, torch: Any) -> Mismatch | None:
    """Write program `number` and check it."""
    return check(generate(number, torch), torch)


def report(number: int, torch: Any) -> str:
    """The shrunk form of a program that failed, as a script and as an entry for `found.py`."""
    program = generate(number, torch)
    mismatch = check(program, torch)
    assert mismatch is not None, f"program {number} does not fail"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = shrink(program, lambda p: check(p, torch), mismatch.kind)
    final = check(small, torch)
    assert final is not None
    runs = (run(small, torch), run(small, tensorlab))
    failing = {i for r in runs for i, e in enumerate(r.errors) if e is not None}
    entry = "\n".join(f"        {line}" for line in small)
    return (
        f"program {number}: {final}\n\n{script(small, final, failing)}\n\n"
        f'For tests/fuzz/found.py, once it is understood:\n\n    "…": """\n{entry}\n    """,\n'
    )
