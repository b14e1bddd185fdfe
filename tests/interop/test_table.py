"""The table of operations: all are in it, and what it says was measured."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tensorlab as tl
from tensorlab._op import OPS, Sample, op
from tensorlab.testing import table


@pytest.fixture(scope="module")
def printed() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tensorlab.testing.table"],
        capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    assert not done.stderr
    return done.stdout.splitlines()


def _cells(printed: list[str], first: str) -> list[str]:
    (line,) = [row for row in printed if row.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]


def test_every_operation_is_there_once(printed):
    end = printed.index("# Functions made of operations")
    names = [line.split("`")[1] for line in printed[:end] if line.startswith("| `")]
    assert names == sorted(OPS)
    assert f"{len(OPS)} operations" in printed[2]


def test_every_public_function_is_there(printed):
    text = "\n".join(printed)
    operations = {id(record.call) for record in OPS.values()}
    for module in (tl, tl.linalg, tl.nn.functional):
        for name in module.__all__:
            value = getattr(module, name)
            if type(value) is type(test_every_public_function_is_there):
                by_other_name = any(
                    f".{n}` |" in text for m in (tl, tl.linalg, tl.nn.functional) for n in m.__all__
                    if getattr(m, n) is value
                )  # fmt: skip
                assert id(value) in operations or hasattr(value, "op") or by_other_name, name


def test_no_gradient_is_wrong(printed):
    assert [line for line in printed[8:] if table.WRONG in line] == []


def test_what_it_says_of_some(printed):
    assert _cells(printed, "`mul`") == ["`mul`", "all", "✓", "✓", "`mul_`", "✓", "`*`", "–", "cpu"]
    assert _cells(printed, "`bitwise_or`")[1:7] == [
        "bool, int",
        "–",
        "–",
        "`bitwise_or_`",
        "✓",
        "`/`",
    ]
    assert _cells(printed, "`transpose`")[7] == "✓"
    assert _cells(printed, "`argmax`")[1:4] == ["int, float", "–", "–"]


def test_it_is_measured():
    try:

        @op(samples=lambda r: [Sample(r(3), r.int(3))])
        def half_right(xp, input, index, /):
            """Wrong on purpose: its gradient should be 2 g, and it takes no whole numbers."""
            if input.dtype.kind not in "f":
                raise TypeError("floats, please")
            return input * 2

        half_right.vjp(input=lambda g: g * 3)
        row = table.measure(OPS["half_right"])
    finally:
        OPS.pop("half_right", None)
    assert (row.first, row.second, row.rule) == (False, True, True)
    assert row.dtypes == {"float16", "bfloat16", "float32", "float64"}
    assert "| `half_right` | float | ✗ | ✓ |" in table.markdown([row])


def test_one_operation_to_a_file(tmp_path):
    target = tmp_path / "table.md"
    assert table.main(["exp", "-o", str(target)]) == 0
    text = target.read_text(encoding="utf-8")
    assert "1 operations" in text
    assert "| `exp` | all | ✓ | ✓ | `exp_` | ✓ |" in text


def test_an_unknown_name(capsys):
    assert table.main(["squeez"]) == 2
    assert capsys.readouterr().err == "there is no operation 'squeez'; did you mean 'squeeze'?\n"
