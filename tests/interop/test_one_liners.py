"""Lines of PyTorch code, run with both libraries: values, dtypes, shapes, flags and errors agree."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorlab as tl

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")

LINES = [
    line
    for line in Path(__file__).with_name("one_liners.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def outcome(lib: Any, line: str) -> Any:
    """What a line gives, in terms that both libraries share; the class of the error, if it fails."""
    *statements, expression = line.split("; ")
    names = {"lib": lib, "np": np}
    lib.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for statement in statements:
                exec(statement, names)
            return described(lib, eval(expression, names))
        except Exception as error:
            return "error", type(error).__name__


def described(lib: Any, value: Any) -> Any:
    """A value in words and plain numbers."""
    if isinstance(value, lib.Tensor):
        plain = value.detach()
        if lib is torch:
            plain = plain.resolve_conj().resolve_neg()
        numbers = plain.numpy() if value.is_complex() else plain.double().numpy()
        kind = str(value.dtype).rpartition(".")[2]
        return kind, tuple(value.shape), np.round(numbers, 4).tolist(), value.requires_grad
    if isinstance(value, (tuple, list)):
        return [described(lib, v) for v in value]
    if isinstance(value, float):
        return round(value, 4)
    return repr(value).replace("tensorlab", "torch")


def same(ours: Any, theirs: Any) -> bool:
    """Equal, with nan equal to nan and numbers equal to a part in 100,000."""
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, (float, complex)) and isinstance(theirs, (float, complex)):
        return bool(np.isclose(ours, theirs, rtol=1e-5, atol=1e-4, equal_nan=True))
    return ours == theirs


@pytest.mark.parametrize("line", LINES)
def test_line(line: str) -> None:
    theirs, ours = outcome(torch, line), outcome(tl, line)
    assert same(ours, theirs), f"{line}\n  PyTorch gives {theirs}\n  here it is   {ours}"


def test_the_comparison_can_fail() -> None:
    for line, other in (("lib.ones(2)", "lib.ones(2).double()"), ("1.0", "1.1"), ("[1]", "[1, 2]")):
        assert not same(outcome(tl, line), outcome(torch, other))
    assert outcome(tl, "lib.ones(2)[5]") == ("error", "IndexError")
