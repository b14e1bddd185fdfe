"""What is public above the operations is documented, and examples that were filled in later are true.

(`tests/packaging/test_docs.py` runs the examples that stand in the modules themselves.)
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

PACKAGES = ("nn", "optim", "utils", "vision")


def modules():
    for name in PACKAGES:
        package = importlib.import_module(f"tensorlab.{name}")
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield found.name


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_is_documented(package):
    missing = []
    for name in modules():
        if name.split(".")[1] != package:
            continue
        module = importlib.import_module(name)
        if not module.__doc__:
            missing.append(name)
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
