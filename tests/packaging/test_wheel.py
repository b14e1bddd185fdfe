"""What is in the wheel and in the source distribution, and that the wheel alone is enough."""

from __future__ import annotations

import configparser
import email.parser
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import hatchling.build
import pytest

import tensorlab

ROOT = Path(__file__).parents[2]
JUNK = {"__pycache__", "node_modules", ".ipynb_checkpoints", ".pytest_cache", "tests", "src"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return folder / _in_root(hatchling.build.build_wheel, folder)


def _in_root(build, folder: Path) -> str:
    """Run a hook of the build backend, which works on the current folder."""
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        return build(str(folder))
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's packages in a folder of their own, as an installation has them."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def _lessons() -> list[Path]:
    return sorted((ROOT / "course").glob("[0-9][0-9]_*/lesson.ipynb"))


def test_the_wheel_is_pure_and_named_after_the_distribution(wheel):
    assert wheel.name == f"tensorlab_course-{tensorlab.__version__}-py3-none-any.whl"


def test_it_has_exactly_the_packages_the_metadata_and_the_kernelspec(names):
    info = f"tensorlab_course-{tensorlab.__version__}"
    roots = {PurePosixPath(name).parts[0] for name in names}
    assert roots == {"tensorlab", "tensorlab_widgets", f"{info}.dist-info", f"{info}.data"}


def test_it_has_every_module_of_the_checkout(names):
    packages = {
        "tensorlab": ROOT / "tensorlab",
        "tensorlab_widgets": ROOT / "widgets" / "tensorlab_widgets",
    }
    for name, folder in packages.items():
        modules = {f"{name}/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.py")}
        assert modules
        assert modules <= set(names)


def test_it_has_every_lesson_with_its_checks_and_nothing_else_of_the_course(names):
    course = {name for name in names if name.startswith("tensorlab/course/")}
    lessons = [path.parent for path in _lessons()]
    assert lessons
    for lesson in lessons:
        assert {
            f"tensorlab/course/{lesson.name}/{file}" for file in ("lesson.ipynb", "checks.py")
        } <= course
    assert {PurePosixPath(name).parts[2] for name in course} == {lesson.name for lesson in lessons}


def test_it_has_the_built_widgets(names):
    static = ROOT / "widgets" / "tensorlab_widgets" / "static"
    built = {f"tensorlab_widgets/static/{path.name}" for path in static.iterdir()}
    assert any(name.endswith("graph.js") for name in built)
    assert {name for name in names if name.startswith("tensorlab_widgets/static/")} == built


def test_it_has_no_junk(names):
    junk = [
        name for name in names if JUNK & set(PurePosixPath(name).parts) or name.endswith(".pyc")
    ]
    assert not junk


def test_the_kernelspec_is_shared_data(wheel, names):
    (spec,) = [
        n for n in names if n.endswith(".data/data/share/jupyter/kernels/tensorlab/kernel.json")
    ]
    with zipfile.ZipFile(wheel) as archive:
        kernel = json.loads(archive.read(spec))
    # A bare "python" is replaced by Jupyter with the interpreter of its own environment.
    assert kernel["argv"][0] == "python"
    assert any("tensorlab.jupyter.kernel" in word for word in kernel["argv"])
    assert kernel["display_name"] == "Python (tensorlab)"


def test_the_metadata(unpacked):
    (info,) = unpacked.glob("*.dist-info")
    metadata = email.parser.Parser().parsestr((info / "METADATA").read_text("utf-8"))
    assert metadata["Name"] == "tensorlab-course"
    assert metadata["License-Expression"] == "MIT"
    extras = {"cuda12", "cuda13", "dev", "kernels", "lab", "test", "vision"}
    assert set(metadata.get_all("Provides-Extra")) == extras
    core = [need for need in metadata.get_all("Requires-Dist") if "extra ==" not in need]
    assert core == ["ml-dtypes>=0.5", "numpy>=2.0"]
    scripts = configparser.ConfigParser()
    scripts.read_string((info / "entry_points.txt").read_text())
    assert dict(scripts["console_scripts"]) == {"tensorlab": "tensorlab.cli:main"}


def _run(unpacked: Path, folder: Path, *words: str) -> str:
    """Run Python on the unpacked wheel, away from the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_runs_from_the_wheel(unpacked, tmp_path):
    assert (
        _run(unpacked, tmp_path, "-m", "tensorlab", "--version")
        == f"tensorlab {tensorlab.__version__}\n"
    )


def test_the_course_is_found_in_the_wheel(unpacked, tmp_path):
    code = "from tensorlab.learn import find_course; print([str(l.path) for l in find_course().lessons])"
    found = _run(unpacked, tmp_path, "-c", code)
    assert found.strip() == str(
        [str(unpacked / "tensorlab" / "course" / p.parent.name) for p in _lessons()]
    )


def test_the_learners_notebooks_come_from_the_wheel(unpacked, tmp_path):
    _run(unpacked, tmp_path, "-m", "tensorlab", "lab", "--no-start")
    made = {path.stem for path in (tmp_path / "tensorlab-course").glob("*.ipynb")}
    assert made == {path.parent.name for path in _lessons()}


def test_the_source_distribution_can_be_built_from_and_tested(tmp_path):
    archive = tmp_path / _in_root(hatchling.build.build_sdist, tmp_path)
    with tarfile.open(archive) as tar:
        names = {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in tar.getnames()}
    wanted = ["pyproject.toml", "README.md", "LICENSE", "tests/conftest.py", "widgets/package.json"]
    assert set(map(PurePosixPath, wanted)) <= names
    junk = {"__pycache__", "node_modules", ".ipynb_checkpoints", ".git"}
    assert not [name for name in names if junk & set(name.parts)]
