"""The examples in the docstrings of what saves and loads run and print what they say."""

from __future__ import annotations

import doctest

import pytest

from tensorlab import safetensors, serialization


@pytest.mark.parametrize("module", [safetensors, serialization])
def test_examples(module):
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried
