"""A small exercise, and a learner who writes cells."""

from __future__ import annotations

import linecache
import secrets

import numpy as np
import pytest

from tensorlab.learn import Case, Exercise, Lesson, Progress, alternative, check, mutant


class Softmax(Exercise):
    """The example of most tests: a function of one array, with its usual mistakes."""

    hints = ("Which axis sums to 1?", "Subtract the maximum first.", "e = exp(x - max)")

    def cases(self, rng):
        for dtype in (np.float32, np.float64):
            for n, m in ((1, 1), (2, 3), (4, 1), (3, 5)):
                yield Case(
                    args=(rng.standard_normal((n, m)).astype(dtype),),
                    label=f"{n}×{m}, {np.dtype(dtype)}",
                )
        yield Case(args=(rng.standard_normal((5, 4)).T,), label="transposed")
        yield Case(args=(np.array([[1e4, 0.0]]),), label="large")

    def expected(self, x):
        shifted = x.astype(np.float64) - x.max(axis=-1, keepdims=True)
        return (np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)).astype(x.dtype)

    @mutant("Without subtracting the maximum, exp overflows.")
    def overflows(x):
        with np.errstate(all="ignore"):
            e = np.exp(x)
            return e / e.sum(axis=-1, keepdims=True)

    @mutant("You sum over the whole array; each row sums to 1.")
    def whole(x):
        e = np.exp(x - x.max())
        return e / e.sum()

    @mutant("You work on x itself; the caller still needs it.")
    def in_place(x):
        x -= x.max(axis=-1, keepdims=True)
        np.exp(x, out=x)
        x /= x.sum(axis=-1, keepdims=True)
        return x

    @alternative("through logarithms")
    def logarithms(x):
        top = x.max(axis=-1, keepdims=True)
        return np.exp(x - top - np.log(np.exp(x - top).sum(axis=-1, keepdims=True)))

    @alternative("row by row")
    def rows(x):
        result = np.empty_like(x)
        for i, row in enumerate(x):
            e = np.exp(row - max(row))
            result[i] = e / sum(e)
        return result


RIGHT = """
import numpy as np

def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
"""


@pytest.fixture
def lesson():
    made = Lesson("90", "example", title="An example")
    made.exercise("90.1", names=["softmax"], title="Softmax", time_limit=5.0)(Softmax)
    return made


@pytest.fixture
def exercise(lesson):
    return lesson.exercises["90.1"]


@pytest.fixture
def right():
    return RIGHT


@pytest.fixture
def run_cells():
    """Run cells as a kernel does: one namespace, each source known to linecache."""

    def run(*cells: str) -> dict:
        namespace: dict = {"__name__": "__main__"}
        for source in cells:
            name = f"<cell {secrets.token_hex(4)}>"
            linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
            exec(compile(source, name, "exec"), namespace)
        return namespace

    return run


@pytest.fixture
def checked(exercise, run_cells):
    """Check the example exercise after some cells; the seed is random and printed."""

    def run(*cells: str, **options):
        seed = secrets.randbits(31)
        print("seed", seed)
        return check(exercise, run_cells(*cells), **{"seed": seed, **options})

    return run


@pytest.fixture
def progress(tmp_path):
    return Progress(tmp_path / "home")
