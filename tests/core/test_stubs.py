"""The stub file that editors and type checkers read says what Tensor has now."""

from __future__ import annotations

import subprocess
import sys

from tensorlab.testing import stubs


def test_the_stub_file_is_current():
    # In a process of its own: other tests declare operations, which attach methods to Tensor.
    command = [sys.executable, "-m", "tensorlab.testing.stubs", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_attached_methods_and_their_parameters_are_in_it():
    text = stubs.generate()
    assert "def mul(self, other: Any, *, out: Any=...) -> Tensor:" in text
    assert "def backward(self, gradient: Any=..." in text
    assert "def uniform_(" in text
