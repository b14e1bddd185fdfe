"""The examples in the documentation of tensorlab.learn do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import tensorlab.learn

MODULES = [
    f"tensorlab.learn.{module.name}" for module in pkgutil.iter_modules(tensorlab.learn.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(name), verbose=False)
    assert found.failed == 0
