"""Around every check: the learner's surroundings are guarded, their code runs in a worker."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from tensorlab.learn.declare import Exercise
from tensorlab.learn.lesson import Milestone
from tensorlab.learn.results import CheckResult
from tensorlab.learn.sandbox import Guard, redirected
from tensorlab.learn.worker import FrameFilter, Worker

__all__ = ["code_of", "course_files", "guarded", "working"]


@contextmanager
def guarded(namespace: MutableMapping[str, Any], result: CheckResult) -> Iterator[Guard]:
    with Guard(namespace) as guard:
        for module, names in guard.patched.items():
            listed = ", ".join(f"{module.__name__}.{name}" for name in names)
            result.notes.append(f"{listed} had been replaced; the check used the original.")
        yield guard


@contextmanager
def working(limit: float, own: FrameFilter, result: CheckResult | None = None) -> Iterator[Worker]:
    """A worker whose output is captured, and that is at its end afterwards, come what may."""
    worker = Worker(limit, own)
    try:
        with redirected(worker.ident, worker.output, lambda: worker.alive):
            try:
                yield worker
            finally:
                worker.stop()
    finally:
        if result is not None and worker.abandoned:
            result.notes.append(
                "Your code could not be stopped and goes on in the background, where it slows "
                "everything down. Restart the kernel when you have mended it."
            )


def code_of(value: Any) -> Any:
    """The code object of a function, or None."""
    return getattr(value, "__code__", None)


def course_files(item: Exercise | Milestone) -> list[str]:
    fn = item.check if isinstance(item, Milestone) else type(item).cases
    code = code_of(fn)
    return [code.co_filename] if code is not None else []
