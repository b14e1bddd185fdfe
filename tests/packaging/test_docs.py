"""What is public is documented, and every example in a docstring and in the README prints what it says."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

import tensorlab
import tensorlab_widgets

ROOT = Path(__file__).parents[2]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _modules() -> list[str]:
    names = []
    for package in (tensorlab, tensorlab_widgets):
        names.append(package.__name__)
        found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        names += [module.name for module in found if not module.name.endswith("__main__")]
    return names


@pytest.mark.parametrize("name", _modules())
def test_docstrings(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in ("cupy", "cupyx"):
            raise
        pytest.skip("needs CuPy, which is not installed")
    failed, _ = doctest.testmod(module, optionflags=FLAGS)
    assert not failed, "see the captured output"


@pytest.mark.parametrize("package", ["amp", "nn", "optim", "utils", "vision"])
def test_everything_public_is_documented(package):
    missing = []
    for name in _modules():
        if not f"{name}.".startswith(f"tensorlab.{package}."):
            continue
        module = importlib.import_module(name)
        if not module.__doc__:
            missing.append(name)
        for public in getattr(module, "__all__", []):
            thing = getattr(module, public)
            if callable(thing) and not (getattr(thing, "__doc__", "") or "").strip():
                missing.append(f"{name}.{public}")
    assert not missing


README = (ROOT / "README.md").read_text("utf-8")


def test_readme_examples():
    blocks = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    examples = doctest.DocTestParser().get_doctest(blocks, {}, "README.md", "README.md", 0)
    assert len(examples.examples) > 5
    assert not doctest.DocTestRunner(optionflags=FLAGS).run(examples).failed, (
        "see the captured output"
    )


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text("utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith(("http:", "https:", "#")):
            assert (ROOT / target).exists(), f"{document} links to {target}"


def test_the_picture_is_small():
    (picture,) = re.findall(r"!\[[^\]]{20,}\]\(([^)]+)\)", README)
    assert 10_000 < (ROOT / picture).stat().st_size < 300_000


def test_the_readme_has_the_two_commands_that_ci_runs():
    commands = re.findall(r"^pip install .* && (.*)$", README, re.MULTILINE)
    assert commands == ["tensorlab lab", "pytest"]


def test_no_text_tells_anyone_to_install_the_other_distribution():
    """On the public index the name `tensorlab` belongs to somebody else's package."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for folder, pattern in (
        ("tensorlab", "*.py"),
        ("widgets", "*.py"),
        ("course", "*.ipynb"),
        ("course", "*.py"),
    ):
        files += (ROOT / folder).rglob(pattern)
    wrong = re.compile(r"pip3? install (-\S+ )*[\"']?tensorlab(?!-course)\b")
    assert not [path for path in files if wrong.search(path.read_text("utf-8"))]
