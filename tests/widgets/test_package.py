"""What is committed: the built files, the lockfile, and what they must not contain."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import pytest

import tensorlab_widgets

ROOT = Path(__file__).parents[2] / "widgets"
# JupyterLab saves a widget's code with every widget.
LIMIT = 150 * 1024


STATIC = Path(str(resources.files(tensorlab_widgets))) / "static"
BUILT = sorted(path.name for path in STATIC.iterdir())
WIDGETS = re.findall(r"\w+", re.search(r"WIDGETS = \[(.*?)\]", (ROOT / "build.mjs").read_text())[1])  # type: ignore[index]


def test_every_widget_has_its_two_files_and_there_are_no_others() -> None:
    assert {"gradients", "graph", "progress", "tensor", "training"} <= set(WIDGETS)
    built = {f"{name}.{kind}" for name in WIDGETS for kind in ("js", "css")}
    assert built | {"page.html", "theme.css"} == set(BUILT)


def test_all_built_files_together_are_small() -> None:
    assert sum((STATIC / name).stat().st_size for name in BUILT) < LIMIT


@pytest.mark.parametrize("name", BUILT)
def test_built_files_are_self_contained(name: str) -> None:
    text = (STATIC / name).read_text("utf-8")
    assert len(text) > 500
    # The namespace of SVG is a name, not an address that anything is loaded from.
    addresses = set(re.findall(r"https?://[^\"'`)\s]+", text)) - {"http://www.w3.org/2000/svg"}
    assert addresses == set()
    assert "import(" not in text
    assert "sourceMappingURL" not in text


def test_the_lockfile_is_complete_and_names_no_registry() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text("utf-8"))
    packages = {name: data for name, data in lock["packages"].items() if name}
    assert packages
    for name, data in packages.items():
        assert "resolved" not in data, name
        assert data.get("integrity", "").startswith("sha512-"), name
        # For every platform, not only the one on which the file was written.
        for needed in {**data.get("dependencies", {}), **data.get("optionalDependencies", {})}:
            inside = f"{name}/node_modules/{needed}"
            assert inside in packages or f"node_modules/{needed}" in packages, needed


def test_versions_are_pinned() -> None:
    package = json.loads((ROOT / "package.json").read_text("utf-8"))
    for name, version in package["devDependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
    assert "dependencies" not in package, "everything is bundled"


def test_typed() -> None:
    assert resources.files(tensorlab_widgets).joinpath("py.typed").is_file()
