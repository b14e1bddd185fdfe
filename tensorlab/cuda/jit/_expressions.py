"""How the expressions of a kernel are read."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit import _types as types
from tensorlab.cuda.jit import language as words
from tensorlab.cuda.jit._calls import Calls
from tensorlab.cuda.jit._names import did_you_mean

__all__ = ["Expressions"]

_AXES = {"x": 0, "y": 1, "z": 2}


class Expressions(Calls):
    """What one function's expressions are for arguments of given types."""

    def expression(self, node: ast.expr) -> ir.Expr:
        """Read an expression that has one value."""
        read = _EXPRESSIONS.get(type(node))
        if read is None:
            self.source.error(node, f"a kernel has no {type(node).__name__.lower()}")
        return read(self, node)

    def several(self, node: ast.expr) -> list[ir.Expr]:
        """Read the right side of `a, b = …`."""
        line = self.source.line(node)
        if isinstance(node, ast.Tuple):
            return [self.expression(each) for each in node.elts]
        if isinstance(node, ast.Call):
            word = self.outside(node.func)
            if word is words.grid or word is words.gridsize:
                axes = self._dimensions(node, word.name)
                return [self._special(line, word.name, axis) for axis in range(axes)]
        if isinstance(node, ast.Attribute) and node.attr == "shape":
            array = self.array(node.value)
            if array is not None:
                return [self._size(line, array, axis) for axis in range(array.ndim)]
        return self.source.error(
            node, "only grid(2), gridsize(2), x.shape and tuples can be taken apart"
        )

    def _constant(self, node: ast.Constant) -> ir.Expr:
        return self._of_python(node, node.value)

    def _name(self, node: ast.Name) -> ir.Expr:
        line = self.source.line(node)
        if node.id in self.program.arrays:
            array = self.program.arrays[node.id]
            index = ", ".join("ijk"[: array.ndim]) if array.ndim < 4 else "…"
            self.source.error(
                node, f"{node.id} is a whole array", f"take an element: {node.id}[{index}]"
            )
        if node.id in self.program.locals:
            return ir.Local(dtype=self.program.locals[node.id], line=line, name=node.id)
        if node.id in self.params:
            return ir.Scalar(dtype=self.params[node.id].dtype, line=line, name=node.id)
        if node.id in self._assigned:
            self.source.error(node, f"{node.id} is used before it has a value")
        return self._outside_value(node, self.outside(node))

    def _outside_value(self, node: ast.expr, found: Any) -> ir.Expr:
        if isinstance(found, words.Coordinates):
            self.source.error(node, f"{found.name} has three parts", f"write {found.name}.x")
        if isinstance(found, words.Word):
            self.source.error(node, f"{found.name} is called", f"write {found.name}(…)")
        return self._of_python(node, found)

    def _attribute(self, node: ast.Attribute) -> ir.Expr:
        line = self.source.line(node)
        array = self.array(node.value)
        if array is not None:
            if node.attr == "size":
                return self._size(line, array, -1)
            if node.attr == "ndim":
                return ir.Const(dtype=types.INT32, line=line, value=array.ndim, weak=True)
            known = ["shape", "size", "ndim", "dtype"]
            if node.attr in known:
                advice = f"write {array.name}.shape[0]" if node.attr == "shape" else ""
                self.source.error(node, f"{array.name}.{node.attr} is no number", advice)
            self.source.error(
                node,
                f"arrays in a kernel have {', '.join(known)}, not {node.attr}",
                did_you_mean(node.attr, known),
            )
        word = self.outside(node.value)
        if isinstance(word, words.Coordinates):
            if node.attr not in _AXES:
                self.source.error(node, f"{word.name} has .x, .y and .z, not .{node.attr}")
            return self._special(line, word.name, _AXES[node.attr])
        found = self.outside(node)
        if found is None:
            self.source.error(node, "a number has no attributes in a kernel")
        return self._outside_value(node, found)


_EXPRESSIONS: dict[type, Callable[[Expressions, Any], ir.Expr]] = {
    ast.Constant: Expressions._constant,
    ast.Name: Expressions._name,
    ast.Attribute: Expressions._attribute,
    ast.BinOp: Expressions._binop,
    ast.UnaryOp: Expressions._unary,
    ast.Compare: Expressions._compare,
    ast.BoolOp: Expressions._boolop,
    ast.IfExp: Expressions._conditional,
    ast.Subscript: Expressions._subscript,
    ast.Call: Expressions._call,
}
