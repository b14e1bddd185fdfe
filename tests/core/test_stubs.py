"""The stub file that editors and type checkers read says what Tensor has now."""

from __future__ import annotations

from tensorlab.testing import stubs


def test_the_stub_file_is_current():
    assert stubs.main(["--check"]) == 0, "run python -m tensorlab.testing.stubs"


def test_attached_methods_and_their_parameters_are_in_it():
    text = stubs.generate()
    assert "def mul(self, other: Any, *, out: Any=...) -> Tensor:" in text
    assert "def backward(self, gradient: Any=..." in text
    assert "def uniform_(" in text
