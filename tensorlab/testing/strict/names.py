"""Writes down what CuPy offers, from the CuPy that is installed: the data of the strict device.

    python -m tensorlab.testing.strict.names

writes `cupy_api.json` beside this file. CuPy need not find a GPU for that: its functions can be
looked at without one. The file holds, for the modules that operations use, each public function
with its parameters, each ufunc with its types and with what `ufunc.at` can do, and the methods
and attributes of `cupy.ndarray`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("cupy_api.json")
MODULES = ("", "linalg", "fft", "lib.stride_tricks")

# What would be pointless or wrong to imitate: input and output, compiling kernels, CuPy's own
# classes, and NumPy's functions that CuPy passes on as they are (those read no array).
_SKIPPED_CLASSES = (
    "module", "type", "IndexExpression", "CClass", "RClass", "nd_grid", "_Feature", "_LazyModule",
    "_DTypeMeta", "ABCMeta",
)  # fmt: skip


def describe() -> dict[str, Any]:
    """All of it, for the installed CuPy."""
    cupy = importlib.import_module("cupy")
    found: dict[str, Any] = {"version": cupy.__version__, "modules": {}}
    for name in MODULES:
        module = importlib.import_module(f"cupy.{name}" if name else "cupy")
        found["modules"][name] = _module(module)
    found["ndarray"] = _methods(cupy.ndarray)
    return found


def _module(module: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in sorted(dir(module)):
        value = getattr(module, name)
        kind = type(value).__name__
        if name.startswith("_") or kind in _SKIPPED_CLASSES:
            continue
        if kind == "ufunc":
            found[name] = {"nin": value.nin, "nout": value.nout, "types": value.types}
            if value._scatter_op is not None:
                found[name]["at"] = value._scatter_op
        elif kind == "_GUFunc":
            found[name] = {"parameters": ["x1", "x2", "out=", "axes=", "axis=", "keepdims="]}
        elif callable(value):
            parameters = _parameters(value)
            if parameters is not None:
                found[name] = {"parameters": parameters}
        elif isinstance(value, float) or value is None:
            found[name] = {"constant": None if value is None else repr(value)}
    if module.__name__ == "cupy":
        scalars = vars(module).items()
        found |= {
            n: {"scalar": v.__name__}
            for n, v in scalars
            if inspect.isclass(v) and issubclass(v, np.generic) and not n.startswith("_")
        }
    return dict(sorted(found.items()))


def _parameters(function: Any) -> list[str] | None:
    """Its parameters as text, those with a default with a "=" behind them; None if it tells none."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return _from_text(function.__doc__)
    return [
        ("" if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) else _MARK[p.kind])
        + p.name
        + ("" if p.default is p.empty else "=")
        for p in signature.parameters.values()
    ]


_MARK: dict[Any, str] = {
    inspect.Parameter.KEYWORD_ONLY: "!",
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def _from_text(doc: str | None) -> list[str] | None:
    """The parameters from a first line such as `_ndarray_base.sum(self, axis=None) -> _ndarray_base`."""
    match = re.match(r"[\w.]+\((.*)\)", (doc or "").split("\n")[0])
    if match is None:
        return None
    found = []
    mark = ""
    for part in filter(None, (p.strip() for p in match[1].split(","))):
        if part == "self":
            continue
        if part == "*":
            mark = "!"
            continue
        head, equals, _ = part.partition("=")
        found.append(mark + head.split(" ")[-1] + equals)
        if part.startswith("*"):
            mark = "!"
    return found


def _methods(cls: Any) -> dict[str, list[str] | None]:
    """Public methods with their parameters; attributes that are no methods with None."""
    found = {}
    for name in sorted(dir(cls)):
        if not name.startswith("_"):
            value = getattr(cls, name)
            found[name] = _parameters(value) if callable(value) else None
            if found[name] and found[name][0] == "self":
                found[name] = found[name][1:]
    return found


def main() -> None:
    """Write the file, one name to a line, so that a new CuPy shows as a readable difference."""
    api = describe()
    lines = ["{", f' "version": {json.dumps(api["version"])},', ' "modules": {']
    for i, (module, names) in enumerate(api["modules"].items()):
        lines.append(f"  {json.dumps(module)}: {{")
        lines.append(",\n".join(f"   {json.dumps(n)}: {json.dumps(v)}" for n, v in names.items()))
        lines.append("  }," if i + 1 < len(api["modules"]) else "  }")
    lines += [" },", ' "ndarray": {']
    lines.append(
        ",\n".join(f"  {json.dumps(n)}: {json.dumps(v)}" for n, v in api["ndarray"].items())
    )
    lines += [" }", "}"]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{FILE.name}: CuPy {api['version']}")


if __name__ == "__main__":
    main()
