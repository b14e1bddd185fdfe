"""`tensorlab check NOTEBOOK`: run a notebook in a fresh kernel and report its checks."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tensorlab._cli import CommandError, course_faults, need

__all__ = ["check"]


def check(notebook: Path, *, timeout: float, as_json: bool) -> int:
    """Check every exercise of `notebook`'s lesson and print the results; returns the exit status.

    Args:
        notebook: the learner's copy of a lesson; it is only read.
        timeout: seconds that one cell may take.
        as_json: print one JSON object instead of text.

    Returns 0 if every exercise and milestone passed, else 1. Raises `CommandError` if `notebook`
    is none of the course's.
    """
    for package in ("nbformat", "nbclient", "ipykernel"):
        need(package)
    from tensorlab.learn.headless import NotACourseNotebook, run_checks

    try:
        with course_faults():
            results = run_checks(notebook, timeout=timeout)
    except NotACourseNotebook as error:
        raise CommandError(str(error), 2) from error
    passed = sum(result.passed for result in results)
    if as_json:
        report = {
            "notebook": str(notebook),
            "passed": passed,
            "total": len(results),
            "results": [asdict(result) for result in results],
        }
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        for result in results:
            print(result.text)
        print(_summary(Counter(result.outcome for result in results)))
    return 0 if passed == len(results) else 1


def _summary(outcomes: Counter[str]) -> str:
    """How many checks ended in each way.

    >>> _summary(Counter(passed=2, unattempted=5))
    '2 of 7 passed, 5 unattempted'
    """
    parts = [f"{outcomes['passed']} of {outcomes.total()} passed"]
    for outcome in ("failed", "error", "unattempted"):
        if outcomes[outcome]:
            parts.append(f"{outcomes[outcome]} {outcome}")
    return ", ".join(parts)
