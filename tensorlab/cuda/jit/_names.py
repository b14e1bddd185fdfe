"""Names and types in a kernel: what a name stands for, and how a value gets another type."""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit import _types as types
from tensorlab.cuda.jit import language as words
from tensorlab.cuda.jit._source import Source

__all__ = ["Names", "as_dtype", "did_you_mean", "number"]


class Names:
    """What one function's names are for arguments of given types."""

    def __init__(
        self,
        source: Source,
        params: Sequence[ir.Param],
        sites: list[ir.Site],
        callers: tuple[Source, ...],
    ) -> None:
        names = [each.arg for each in source.tree.args.args]
        if len(names) != len(params):
            raise TypeError(
                f"{source.name}() takes {len(names)} argument{'s' * (len(names) != 1)} "
                f"({', '.join(names) or 'none'}), got {len(params)}"
            )
        self.source = source
        self.callers = callers
        self.program = ir.Program(source.name, tuple(zip(names, params, strict=True)), sites=sites)
        self.params = dict(self.program.params)
        for name, param in self.program.params:
            if param.ndim is not None:
                self.program.arrays[name] = ir.Array(
                    name, param.space, param.dtype, param.ndim, param.shape, source.first
                )
        self.before: list[ir.Stmt] = []
        self._first_line: dict[str, int] = {}
        self._assigned = {
            each.id
            for each in ast.walk(source.tree)
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        }
        self._hidden = 0

    def device(self, source: Source, params: Sequence[ir.Param]) -> ir.Program:
        """Read a device function; by `Reader`."""
        raise NotImplementedError

    def expression(self, node: ast.expr) -> ir.Expr:
        """Read an expression that has one value; by `Expressions`."""
        raise NotImplementedError

    def check_name(self, node: ast.AST, name: str) -> None:
        """Refuse to assign what is an argument array or an array of the kernel."""
        if name in self.program.arrays:
            self.source.error(
                node, f"{name} is an array", f"assign its elements, {name}[…] = …, or another name"
            )
        self._first_line.setdefault(name, self.source.line(node))

    def set_local(self, node: ast.AST, name: str, value: ir.Expr) -> ir.Stmt:
        self.check_name(node, name)
        known = self.program.locals.get(name)
        if known is None and name in self.params:
            known = self.params[name].dtype
        if known is None:
            known = value.dtype
        since = self._first_line[name]
        value = self.convert(
            node, value, known, f"{name} is {known} since line {since}", narrow=name
        )
        self.program.locals[name] = known
        return ir.Assign(line=self.source.line(node), name=name, value=value)

    def hidden(self, node: ast.AST, value: ir.Expr) -> tuple[ir.Stmt, ir.Local]:
        """A variable that the kernel does not name, to hold a value that is used twice."""
        self._hidden += 1
        name = f"held{self._hidden}_"
        self.program.locals[name] = value.dtype
        line = self.source.line(node)
        return (
            ir.Assign(line=line, name=name, value=value),
            ir.Local(dtype=value.dtype, line=line, name=name),
        )

    def outside(self, node: ast.expr) -> Any:
        """The Python object that a name or a dotted name outside of the kernel stands for.

        None if it is no such name (None itself has no place in a kernel).
        """
        if isinstance(node, ast.Attribute):
            owner = self.outside(node.value)
            if owner is None or isinstance(owner, words.Coordinates):
                return None
            try:
                return getattr(owner, node.attr)
            except AttributeError as error:
                self.source.error(node, str(error), did_you_mean(node.attr, dir(owner)))
        if not isinstance(node, ast.Name):
            return None
        if node.id in self._assigned or node.id in self.params:
            return None
        try:
            found = self.source.outside(node.id)
        except NameError:
            known = [
                *self.params,
                *self._assigned,
                *words.__all__,
                *self.source.function.__globals__,
            ]
            self.source.error(node, f"{node.id} is not defined", did_you_mean(node.id, known))
        if not isinstance(found, (ModuleType, words.Word)):
            self.program.constants[self.source, node.id] = found
        return found

    # Types ------------------------------------------------------------------------------

    def integer(self, node: ast.expr, what: str) -> ir.Expr:
        value = self.expression(node)
        if types.kind(value.dtype) != 1:
            self.source.error(
                node,
                f"{what} takes whole numbers, got {value.dtype}",
                "divide with // and cast with int(…)",
            )
        return value

    def convert(
        self, node: ast.AST, value: ir.Expr, dtype: np.dtype[Any], why: str, narrow: str = ""
    ) -> ir.Expr:
        """`value` as `dtype`; an error where that would silently lose what it is."""
        target = types.held_as(dtype)
        if types.kind(value.dtype) > types.kind(target):
            if narrow:
                advice = "start it as a float, such as 0.0, or cast with int(…)"
            else:
                advice = f"cast it: np.{np.dtype(dtype).name}(…)"
            self.source.error(node, f"{why}, and the value is {value.dtype}", advice)
        if narrow and target == types.FLOAT32 and value.dtype == types.FLOAT64:
            self.program.notes.append(
                (
                    self.source.line(node),
                    f"{why}, and a float64 value is rounded to it",
                    f"start {narrow} as np.float64(…) to keep all digits",
                )
            )
        return self.cast(value, target)

    def cast(self, value: ir.Expr, dtype: np.dtype[Any]) -> ir.Expr:
        if value.dtype == dtype and not (isinstance(value, ir.Const) and value.weak):
            return value
        if isinstance(value, ir.Const):
            return ir.Const(dtype=dtype, line=value.line, value=number(value.value, dtype))
        return ir.Cast(dtype=dtype, line=value.line, value=value)

    def _of_python(self, node: ast.AST, value: Any) -> ir.Expr:
        line = self.source.line(node)
        if isinstance(value, (bool, int, float)) and not isinstance(value, np.generic):
            if isinstance(value, int) and not -(2**63) <= value < 2**64:
                self.source.error(node, f"{value} does not fit into 64 bits")
            return ir.Const(dtype=types.of_number(value), line=line, value=value, weak=True)
        if isinstance(value, np.generic) and value.dtype in types.ELEMENTS:
            dtype = types.held_as(value.dtype)
            return ir.Const(dtype=dtype, line=line, value=value.item())
        name = ast.unparse(node) if isinstance(node, ast.expr) else "this"
        if isinstance(value, str):
            self.source.error(
                node, "a GPU thread has no text", "write numbers to an array and print them later"
            )
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            self.source.error(
                node, f"{name} is an array of Python", "hand it over as an argument of the kernel"
            )
        return self.source.error(
            node,
            f"{name} is of Python's type {type(value).__name__}, which a GPU does not know",
            "a kernel may use numbers from outside; arrays are arguments",
        )

    def _special(self, line: int, name: str, axis: int = 0) -> ir.Special:
        return ir.Special(dtype=types.INT32, line=line, name=name, axis=axis)

    def _size(self, line: int, array: ir.Array, axis: int) -> ir.Expr:
        if array.shape:
            value = math.prod(array.shape) if axis < 0 else array.shape[axis]
            return ir.Const(dtype=types.INT32, line=line, value=value, weak=True)
        return ir.Size(dtype=types.INT32, line=line, array=array, axis=axis)


def as_dtype(found: Any) -> np.dtype[Any] | None:
    """The NumPy dtype that a dtype of tensorlab, NumPy, Python or a name stands for; else None."""
    if isinstance(found, _dtypes.dtype):
        return found.numpy
    if found in (int, float, bool) and isinstance(found, type):
        return {int: types.INT32, float: types.FLOAT32, bool: types.BOOL}[found]
    if isinstance(found, type) and issubclass(found, np.generic):
        return np.dtype(found)
    if isinstance(found, np.dtype):
        return found
    if isinstance(found, str):
        try:
            return np.dtype(found)
        except TypeError:
            return None
    return None


def number(value: Any, dtype: np.dtype[Any]) -> Any:
    """A Python number rounded and wrapped to `dtype`, as a plain Python number again."""
    if dtype == types.BOOL:
        return bool(value)
    if dtype.kind in "iu":
        bits = dtype.itemsize * 8
        whole = int(value) & ((1 << bits) - 1)
        return whole - (1 << bits) if dtype.kind == "i" and whole >> (bits - 1) else whole
    with np.errstate(over="ignore"):
        return float(dtype.type(value))


def did_you_mean(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""
