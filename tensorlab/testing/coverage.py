"""The table of networks: every public name of `torch.nn` and `torch.optim`, whether it is here, and what compares it.

`python -m tensorlab.testing.table --nn` prints it as Markdown, in a checkout of the project with
PyTorch beside it. Nothing in it is claimed: the names are those of the PyTorch that is installed,
and the tests are read for what they name.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Where the tests of a checkout are.
TESTS = Path(__file__).parents[2] / "tests"

#: The namespaces that are listed, with what counts in each.
NAMESPACES: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("nn", inspect.isclass),
    ("nn.functional", inspect.isroutine),
    ("nn.init", inspect.isroutine),
    ("nn.utils", inspect.isroutine),
    ("nn.utils.rnn", callable),
    ("optim", inspect.isclass),
    ("optim.lr_scheduler", inspect.isclass),
)
# What those namespaces of PyTorch import for themselves, without an underscore.
INTERNAL = {
    "assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "has_torch_function",
    "has_torch_function_unary", "has_torch_function_variadic", "bind", "copy_method_params", "Tensor",
}  # fmt: skip


#: What is not here on purpose.
ABSENT = {
    "Container": "PyTorch's old name of Module",
    "DataParallel": "for several devices",
    "LinearCrossEntropyOptions": "trades time for memory in a way that is not needed here",
    "SparseAdam": "gradients are dense",
    "SyncBatchNorm": "for several devices",
    "conv_tbc": "conv1d with other strides",
    "grouped_mm": "a product for graphics cards",
    "native_channel_shuffle": "what channel_shuffle calls in PyTorch",
    "scaled_grouped_mm": "a product for graphics cards",
    "scaled_mm": "a product for graphics cards",
}


@dataclass(frozen=True)
class Entry:
    """One public name: its namespace, whether tensorlab has it, and the files that compare it."""

    namespace: str
    name: str
    here: bool
    tests: tuple[str, ...]


def public(module: Any, counts: Callable[[Any], bool]) -> list[str]:
    """The public names of a namespace that are of the kind asked for and its own."""
    root = module.__name__.split(".")[0]
    found = []
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_") or name in INTERNAL or not counts(value):
            continue
        home = getattr(value, "__module__", None) or root
        if home.split(".")[0] == root:
            found.append(name)
    return found


# What tests name --------------------------------------------------------------------------


def names_in(source: str) -> re.Pattern[str]:
    """A pattern of what a test file reaches for: attributes, strings that are names, and f-strings.

    >>> found = names_in("lib.Linear(3), getattr(nn, 'ReLU'), getattr(nn, f'Conv{n}d'), 'some text'")
    >>> [name for name in ("Linear", "ReLU", "Conv2d", "text") if found.fullmatch(name)]
    ['Linear', 'ReLU', 'Conv2d']
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.isidentifier():
                found.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = [str(p.value) if isinstance(p, ast.Constant) else "" for p in node.values]
            # Less than this of a name would fit too many.
            if len("".join(parts)) > 3 and "".join(parts).isidentifier():
                found.add(r"\w*".join(parts))
    return re.compile("|".join(sorted(found)) or "(?!)")


def compares_with_torch(source: str) -> bool:
    """Whether PyTorch is the oracle of a test file: it imports it, or uses a fixture that does.

    >>> compares_with_torch("torch = pytest.importorskip('torch')")
    True
    """
    fixtures = {"compare", "compare_functions", "agree", "same_error"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id == "torch":
            return True
        if isinstance(node, ast.Constant) and node.value == "torch":
            return True
        if isinstance(node, ast.arg) and node.arg in fixtures:
            return True
    return False


def comparisons(tests: Path = TESTS) -> dict[str, re.Pattern[str]]:
    """For each test file that compares with PyTorch, by its path, the names in it.

    Raises `FileNotFoundError` where there are no tests: they are in a checkout, and not installed.
    """
    if not tests.is_dir():
        raise FileNotFoundError(f"no tests at {tests}: run this in a checkout of the project")
    found = {}
    for path in sorted(tests.rglob("test_*.py")):
        if path.name == "test_coverage.py":
            continue  # it names what others compare
        source = path.read_text("utf-8")
        if compares_with_torch(source):
            found[path.relative_to(tests).as_posix()] = names_in(source)
    return found


# The table --------------------------------------------------------------------------------


def entries(tests: Path = TESTS) -> list[Entry]:
    """Every public name of PyTorch's namespaces, and those that are here alone.

    Raises `ModuleNotFoundError` without PyTorch, `FileNotFoundError` without tests.
    """
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError("PyTorch is what this table compares with: pip install torch")
    files = comparisons(tests)
    rows = []
    for namespace, counts in NAMESPACES:
        theirs = importlib.import_module(f"torch.{namespace}")
        ours = importlib.import_module(f"tensorlab.{namespace}")
        names = dict.fromkeys([*public(theirs, counts), *_exported(ours, counts)])
        rows += [
            Entry(namespace, name, hasattr(ours, name), comparing(name, namespace, files))
            for name in sorted(names)
        ]
    return rows


def _exported(module: Any, counts: Callable[[Any], bool]) -> list[str]:
    return [n for n in getattr(module, "__all__", []) if counts(getattr(module, n))]


def comparing(name: str, namespace: str, files: dict[str, re.Pattern[str]]) -> tuple[str, ...]:
    """The files that compare a name of a namespace, those of the same part of the tests first.

    >>> files = {"optim/test_a.py": names_in("optim.Adam"), "nn/test_b.py": names_in("nn.Linear")}
    >>> comparing("Adam", "optim", files)
    ('optim/test_a.py',)
    """
    part = namespace.split(".")[0]
    found = [path for path, names in files.items() if names.fullmatch(name)]
    return tuple(sorted(found, key=lambda path: (not path.startswith(f"{part}/"), path)))


def markdown(rows: Iterable[Entry]) -> str:
    """The table as Markdown, one section for each namespace, with what is missing first."""
    lines = [
        "# Networks",
        "",
        "Made by `python -m tensorlab.testing.table --nn` from the names of the installed PyTorch. The last",
        "column names the first test file in which it is compared with PyTorch.",
    ]
    by_namespace: dict[str, list[Entry]] = {}
    for row in rows:
        by_namespace.setdefault(row.namespace, []).append(row)
    for namespace, group in by_namespace.items():
        missing = [row.name for row in group if not row.here]
        present = [row for row in group if row.here]
        lines += ["", f"## {namespace}: {len(present)} of {len(group)}", ""]
        if missing:
            shown = [f"`{n}` ({ABSENT[n]})" if n in ABSENT else f"`{n}`" for n in missing]
            lines += [f"Not here: {', '.join(shown)}.", ""]
        lines += ["| name | compared in |", "|---|---|"]
        lines += [f"| `{row.name}` | {row.tests[0] if row.tests else '–'} |" for row in present]
    return "\n".join(lines) + "\n"
