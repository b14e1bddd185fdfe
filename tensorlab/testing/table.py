"""The table of everything public: `python -m tensorlab.testing.table` prints it as Markdown.

Nothing in it is claimed. Each operation is run on its own samples in every dtype, its gradients
are compared with finite differences, and its in-place form, operators and kernels are looked up
where they are registered. Functions that are made of operations follow with their first line.

With `--nn` it is the table of modules, losses, optimizers and schedulers instead (`coverage`).
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tensorlab
from tensorlab._dtypes import DTYPES, dtype, load_bfloat16
from tensorlab._files import write_text
from tensorlab._op import OPS, Op, Sample
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import GradcheckError, gradcheck, gradgradcheck
from tensorlab.testing import coverage
from tensorlab.testing.opcheck import arrays_of, differentiable_samples, map_inputs, samples_of

#: Modules whose public functions are listed, in this order.
MODULES = ("tensorlab", "tensorlab.linalg", "tensorlab.fft", "tensorlab.nn.functional")

# What a call raises that does not take a dtype.
REFUSALS = (TypeError, RuntimeError, ValueError, NotImplementedError, IndexError)
GROUPS = {
    "bool": ("bool",),
    "int": ("uint8", "int8", "int16", "int32", "int64"),
    "float": ("float16", "bfloat16", "float32", "float64"),
    "complex": ("complex64", "complex128"),
}
YES, NO, WRONG, UNCHECKED = "✓", "–", "✗", "rule"


@dataclass(frozen=True)
class Row:
    """What was found out about one operation.

    first, second: whether gradients of this order agree with finite differences; None where none
        of its samples has a derivative. rule: whether a gradient rule is declared.
    in_place: the name of the in-place form, or "".
    """

    name: str
    dtypes: frozenset[str]
    first: bool | None
    second: bool | None
    rule: bool
    in_place: str
    operators: tuple[str, ...]
    method: bool
    view: bool
    kernels: tuple[str, ...]


def measure(op: Op, seed: int = 0) -> Row:
    """Run an operation on its samples and say what it can do.

    >>> import tensorlab
    >>> from tensorlab.testing.table import measure
    >>> row = measure(tensorlab.mul.op)
    >>> row.first, row.second, row.in_place, row.operators
    (True, True, 'mul_', ('*',))
    """
    first, second = _gradients(op, seed)
    in_place = f"{op.name}_" if hasattr(Tensor, f"{op.name}_") else ""
    return Row(
        op.name,
        frozenset(d.name for d in _all_dtypes() if _takes(op, d, seed)),
        first,
        second,
        bool(op.differentiable),
        in_place,
        tuple(dict.fromkeys(filter(None, map(_symbol, op.dunder)))),
        callable(getattr(Tensor, op.name, None)),
        op.view,
        tuple(sorted(op.kernels)),
    )


def _all_dtypes() -> tuple[dtype, ...]:
    return (*DTYPES, load_bfloat16().bfloat16)


def _takes(op: Op, to: dtype, seed: int) -> bool:
    """Whether one of its samples runs with its numbers in this dtype; indices stay what they are."""
    for sample in samples_of(op, seed):
        args, kwargs = map_inputs(op, sample, _caster(op, sample, to))
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # of what is lost on the way to a smaller type
                op.call(*args, **kwargs)
        except REFUSALS:
            continue
        return True
    return False


def _caster(op: Op, sample: Sample, to: dtype) -> Any:
    """Converts the floats of a sample; where there are none, its whole numbers or its bools."""
    kinds = {a.dtype.kind for a in arrays_of(op, sample)}
    numbers = "fc" if kinds & set("fc") else "iu" if kinds & set("iu") else "b"

    def cast(x: np.ndarray) -> Tensor:
        if x.dtype.kind not in numbers:
            return wrap(x.copy())
        if not to.is_complex:
            x = np.real(x)
        if not (to.is_floating_point or to.is_complex):
            x = np.asarray(np.abs(np.nan_to_num(x, posinf=3, neginf=3)))
        return wrap(x.copy()).to(to)  # type: ignore[attr-defined]

    return cast


def _gradients(op: Op, seed: int) -> tuple[bool | None, bool | None]:
    """Whether first and second gradients are right on the first sample that has them."""
    found = next(differentiable_samples(op, seed), None)
    if found is None:
        return None, None
    _, function, inputs = found

    def passes(check: Any) -> bool:
        try:
            return check(function, inputs)
        except (GradcheckError, *REFUSALS):
            return False

    return passes(gradcheck), passes(gradgradcheck)


_SYMBOLS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**", "matmul": "@",
    "and": "&", "or": "|", "xor": "^", "lshift": "<<", "rshift": ">>", "invert": "~", "neg": "-x", "abs": "abs",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "getitem": "x[…]",
    "round": "round", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
}  # fmt: skip


def _symbol(dunder: str) -> str:
    name = dunder.strip("_")
    return _SYMBOLS.get(name, "" if name[:1] == "r" and name[1:] in _SYMBOLS else dunder)


# Functions that are made of operations ------------------------------------------------------


def other_functions() -> Iterator[tuple[str, str]]:
    """Every public function that is no operation itself: its name, and its first line."""
    known = {id(op.call) for op in OPS.values()}
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if not inspect.isfunction(value) or id(value) in known or hasattr(value, "op"):
                continue
            known.add(id(value))
            yield f"{module_name}.{name}", (inspect.getdoc(value) or "").partition("\n")[0]


# Markdown -----------------------------------------------------------------------------------


def markdown(rows: Iterable[Row]) -> str:
    """The whole table as Markdown."""
    rows = sorted(rows, key=lambda row: row.name)
    lines = [
        "# Operations",
        "",
        f"{len(rows)} operations, measured on their own samples by `python -m tensorlab.testing.table`.",
        "1st and 2nd: gradients that agree with finite differences (✗: that do not; rule: declared, but no",
        "sample has a derivative to compare with). Kernels: beside the generic path.",
        "",
        "| operation | dtypes | 1st | 2nd | in place | method | operators | view | kernels |",
        "|---|---|:-:|:-:|---|:-:|---|:-:|---|",
    ]
    for r in rows:
        cells = [
            f"`{r.name}`", shown_dtypes(r.dtypes), _gradient(r.first, r.rule), _gradient(r.second, r.rule),
            _code(r.in_place), _mark(r.method), " ".join(map(_code, r.operators)), _mark(r.view), ", ".join(r.kernels),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cell or NO for cell in cells)} |")
    lines += ["", "# Functions made of operations", "", "| function | |", "|---|---|"]
    lines += [f"| `{name}` | {_escaped(line)} |" for name, line in other_functions()]
    return "\n".join(lines) + "\n"


def shown_dtypes(names: frozenset[str]) -> str:
    """Names of dtypes, whole groups by the name of the group.

    >>> from tensorlab.testing.table import shown_dtypes
    >>> shown_dtypes(frozenset({"bool", "float32", "complex64", "complex128"}))
    'bool, float32, complex'
    """
    if names >= {n for group in GROUPS.values() for n in group}:
        return "all"
    parts = []
    for group, members in GROUPS.items():
        inside = [n for n in members if n in names]
        parts += [group] if len(inside) == len(members) else inside
    return ", ".join(parts)


def _mark(value: bool) -> str:
    return YES if value else NO


def _gradient(found: bool | None, rule: bool) -> str:
    if found is None:
        return UNCHECKED if rule else NO
    return YES if found else WRONG


def _code(text: str) -> str:
    return f"`{_escaped(text)}`" if text else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or write it to a file."""
    parser = argparse.ArgumentParser(prog="python -m tensorlab.testing.table", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="OPERATION", help="only these; default: all")
    parser.add_argument(
        "--nn", action="store_true", help="networks and optimizers, against PyTorch's names"
    )
    parser.add_argument("-o", "--output", type=Path, help="write there; default: print")
    options = parser.parse_args(arguments)
    tensorlab.ops  # noqa: B018 (all operations are declared once it is imported)
    unknown = [n for n in options.names if n not in OPS]
    if unknown:
        import difflib

        close = difflib.get_close_matches(unknown[0], OPS, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        print(f"there is no operation {unknown[0]!r}{hint}", file=sys.stderr)
        return 2
    if options.nn:
        try:
            text = coverage.markdown(coverage.entries())
        except (ModuleNotFoundError, FileNotFoundError) as error:
            # Without PyTorch, or outside of a checkout.
            print(error, file=sys.stderr)
            return 1
    else:
        text = markdown(measure(OPS[n]) for n in (options.names or list(OPS)))
    if options.output is None:
        print(text, end="")
    else:
        write_text(options.output, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
