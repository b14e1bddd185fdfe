"""Random programs, and all that ever disagreed: both libraries must see the same."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .found import programs
from .fuzz import check, differences, fuzz_one, report
from .program import Program
from .shrink import shrink

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")

PROGRAMS = 300
FOUND = programs()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors of six numbers gain nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("part", range(6))
def test_random_programs(part: int) -> None:
    """The same programs every time: a failure is the change's. `python -m tests.fuzz` tries new ones."""
    size = PROGRAMS // 6
    first = int(os.environ.get("TENSORLAB_TEST_SEED", "0")) + part * size
    for number in range(first, first + size):
        if fuzz_one(number, torch) is not None:
            pytest.fail(report(number, torch), pytrace=False)


@pytest.mark.parametrize("name", FOUND)
def test_found_before(name: str) -> None:
    mismatch = differences(FOUND[name], torch)
    assert mismatch is None, str(mismatch)


def test_the_same_number_is_the_same_program() -> None:
    from .generate import generate

    assert generate(7, torch) == generate(7, torch) != generate(8, torch)


def test_a_difference_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer itself: with the version counter broken, one write is left of a program."""
    import tensorlab

    monkeypatch.setattr(tensorlab.Tensor, "_version", 0)
    program: Program = (
        "a1 = lib.tensor([1.0, 2.0], dtype=lib.float64)", "t2 = a1 * 2", "t3 = t2[0:1]", "t4 = t3 + 1", "t2.mul_(3)",
        "observe()", "t4.sin_()",
    )  # fmt: skip
    mismatch = check(program, torch)
    assert mismatch is not None
    assert mismatch.kind == "_version"
    small = shrink(program, lambda p: check(p, torch), mismatch.kind)
    assert len(small) == 2
    assert small[1].endswith("_()") or "mul_" in small[1]
