"""Where this library differs from PyTorch on purpose, each with its reason. Keep it short."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .program import Mismatch, Program


class Difference(NamedTuple):
    """A difference that is meant: why, and how to know it."""

    reason: str
    matches: Callable[[Mismatch, Program], bool]


ALLOWED: list[Difference] = []


def reason_for(mismatch: Mismatch, program: Program) -> str | None:
    """Why this difference is meant; None if it is a mistake."""
    return next((d.reason for d in ALLOWED if d.matches(mismatch, program)), None)
