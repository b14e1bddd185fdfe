"""The examples in the docstrings of the packages above the operations run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest


def modules():
    for name in ("nn", "optim", "utils", "vision"):
        package = importlib.import_module(f"tensorlab.{name}")
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield found.name


@pytest.mark.parametrize("name", list(modules()))
def test_examples(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    failed, _ = doctest.testmod(module)
    assert failed == 0


def test_public_classes_and_functions_are_documented():
    missing = []
    for name in modules():
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", []):
            thing = getattr(module, public)
            if callable(thing) and not (getattr(thing, "__doc__", "") or "").strip():
                missing.append(f"{name}.{public}")
    assert not missing


def test_examples_of_functions():
    """Those of `nn.functional` that are made elsewhere, some of them with texts filled in."""
    functional = importlib.import_module("tensorlab.nn.functional")
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    for name in functional.__all__:
        function = getattr(functional, name)
        if function.__module__.startswith("tensorlab.ops"):
            known = dict(vars(importlib.import_module(function.__module__)))
            for example in finder.find(function, name, module=False, globs=known):
                runner.run(example)
    assert runner.summarize().failed == 0
