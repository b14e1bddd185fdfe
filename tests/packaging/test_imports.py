"""What importing loads, and which part of the library may import which."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tensorlab

PACKAGE = Path(tensorlab.__file__).parent
HEAVY = {
    "IPython", "anywidget", "cupy", "ipykernel", "ipywidgets", "jupyter_client", "jupyter_core", "jupyterlab",
    "matplotlib", "ml_dtypes", "nbclient", "nbformat", "numba", "pandas", "scipy", "torch", "traitlets",
    "tensorlab_widgets",
}  # fmt: skip
# Lower numbers know nothing of higher ones; the same number may import each other.
LAYERS = {
    "_backend": 0, "_files": 0, "_gpu": 0, "_handles": 0, "_layout": 0, "return_types": 0,
    "_bfloat16": 1, "_dtypes": 1, "_settings": 1,
    "_apply": 2, "_autocast": 2, "_calls": 2, "_capturing": 0, "_graph": 2, "_op": 2, "_plan": 2,
    "_printing": 2, "_random": 2, "_storage": 2, "_tensor": 2, "_unrolled": 2, "_view_history": 2,
    "autograd": 3,
    "ops": 4,
    "amp": 5, "nn": 5, "optim": 5, "testing": 5, "utils": 5,
    "accelerator": 5, "backends": 5, "cuda": 5, "fft": 5, "func": 5, "kernels": 5, "linalg": 5, "signal": 5,
    "special": 5,
    "_pickle_reader": 5, "_pickle_writer": 5, "_rebuild": 5, "safetensors": 5, "serialization": 5,
    "": 5,  # "import tensorlab" itself: the public face of everything up to here
    "audio": 6, "vision": 6,
    "inspect": 7,
    "learn": 8,
    "__main__": 9, "_cli": 9, "_doctor": 9, "cli": 9, "jupyter": 9,
}  # fmt: skip

# Derivatives of whole functions stand with autograd, as in PyTorch, but are written with the ops.
LAYER_OF_FILE = {"autograd/functional.py": LAYERS["ops"]}

# Imports inside functions that have to go up, with the reason.
UPWARD = {
    # A node's register_hook is a method, as in PyTorch; the hooks live with the engine.
    ("_graph.py", "tensorlab.autograd.hooks.node_hooks"),
}
# What compares an operation with PyTorch is called by the generic suite alone, so any file of
# operations may name it.
UPWARD_FROM_OPS = "tensorlab.testing._torch"


def _loaded_after(code: str) -> set[str]:
    code += "\nimport sys\nprint(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import tensorlab",
        "import tensorlab.nn, tensorlab.optim, tensorlab.utils.data, tensorlab.vision.datasets, tensorlab.audio",
        "import tensorlab.learn",
        "import tensorlab.inspect",
        "from tensorlab.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass",
    ],
)
def test_loads_numpy_and_nothing_heavier(code):
    loaded = _loaded_after(code)
    assert "numpy" in loaded
    assert not loaded & HEAVY


def _modules() -> list[Path]:
    files = [
        path for path in PACKAGE.rglob("*.py") if "course" not in path.relative_to(PACKAGE).parts
    ]
    return sorted(files)


def _imports(tree: ast.AST) -> Iterator[str]:
    """The modules that a file imports when it runs, wherever in it the import stands."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from _imports(other)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(node)


def _part(name: str) -> str:
    """The part of tensorlab that a dotted name belongs to; "" for a public name of tensorlab itself."""
    part = name.split(".")[1] if "." in name else ""
    return part if part in LAYERS else ""


def _relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize(
    "path", [p for p in _modules() if p != PACKAGE / "__init__.py"], ids=_relative
)
def test_imports_go_down_only(path):
    here = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert here in LAYERS, f"give {here} its place in LAYERS"
    layer = LAYER_OF_FILE.get(_relative(path), LAYERS[here])
    for name in _imports(ast.parse(path.read_text("utf-8"))):
        if name == UPWARD_FROM_OPS and _relative(path).startswith("ops/"):
            continue
        if name == "tensorlab.__version__" or (_relative(path), name) in UPWARD:
            continue
        if name.partition(".")[0] == "tensorlab":
            assert LAYERS[_part(name)] <= layer, (
                f"{_relative(path)} imports {name}, which is above it"
            )


@pytest.mark.parametrize(
    "path", [p for p in _modules() if p.parent.name != "jupyter"], ids=_relative
)
def test_only_the_jupyter_part_imports_ipython(path):
    roots = {name.partition(".")[0] for name in _imports(ast.parse(path.read_text("utf-8")))}
    assert not roots & {"IPython", "ipykernel", "ipywidgets", "anywidget"}
