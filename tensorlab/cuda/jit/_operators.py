"""The operators of a kernel's expressions, and which type a result has."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit import _types as types
from tensorlab.cuda.jit._names import Names

__all__ = ["Operators"]

_BINARY: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
    ast.LShift: ("<<", operator.lshift),
    ast.RShift: (">>", operator.rshift),
    ast.BitAnd: ("&", operator.and_),
    ast.BitOr: ("|", operator.or_),
    ast.BitXor: ("^", operator.xor),
}
_COMPARE: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}


class Operators(Names):
    """Reads sums, comparisons, conditions."""

    def _binop(self, node: ast.BinOp) -> ir.Expr:
        return self.binary(node, node.op, self.expression(node.left), self.expression(node.right))

    def binary(self, node: ast.AST, op: ast.operator, left: ir.Expr, right: ir.Expr) -> ir.Expr:
        line = self.source.line(node)
        sign, fold = _BINARY[type(op)]
        if isinstance(left, ir.Const) and isinstance(right, ir.Const):
            try:
                value = fold(left.value, right.value)
            except (ArithmeticError, TypeError, ValueError) as error:
                self.source.error(node, str(error))
            if left.weak and right.weak:
                return self._of_python(node, value)
        dtype = self._common(left, right)
        if sign in ("<<", ">>", "&", "|", "^"):
            if types.kind(dtype) > 1:
                self.source.error(node, f"{sign} takes whole numbers, got {dtype}")
        elif dtype == types.BOOL:
            dtype = types.INT32
        if sign == "/" and types.kind(dtype) < 2:
            dtype = types.FLOAT32
        negative = isinstance(right, ir.Const) and right.value < 0
        if sign == "**" and types.kind(dtype) < 2 and negative:
            self.source.error(
                node, "a whole number to a negative power", "write the base as a float"
            )
        left, right = self.cast(left, dtype), self.cast(right, dtype)
        return ir.Binary(dtype=dtype, line=line, op=sign, left=left, right=right)

    def _common(self, *values: ir.Expr) -> np.dtype[Any]:
        """The dtype of all together; Python's numbers take that of the others."""
        firm = [v for v in values if not (isinstance(v, ir.Const) and v.weak)]
        weak = [v for v in values if isinstance(v, ir.Const) and v.weak]
        dtype = firm[0].dtype if firm else weak[0].dtype
        for each in firm[1:]:
            dtype = types.promote(dtype, each.dtype)
        for each in weak:
            fits = types.kind(each.dtype) <= types.kind(dtype)
            if not fits or (
                dtype.kind in "iu"
                and each.dtype.kind in "iu"
                and not np.iinfo(dtype).min <= each.value <= np.iinfo(dtype).max
            ):
                dtype = types.promote(dtype, each.dtype)
        return dtype

    def _unary(self, node: ast.UnaryOp) -> ir.Expr:
        value, line = self.expression(node.operand), self.source.line(node)
        if isinstance(node.op, ast.UAdd):
            return value
        if isinstance(node.op, ast.Not):
            if isinstance(value, ir.Const):
                return self._of_python(node, not value.value)
            value = self.cast(value, types.BOOL)
            return ir.Unary(dtype=types.BOOL, line=line, op="not", value=value)
        sign = "-" if isinstance(node.op, ast.USub) else "~"
        if isinstance(value, ir.Const):
            folded = -value.value if sign == "-" else ~int(value.value)
            return ir.Const(dtype=value.dtype, line=line, value=folded, weak=value.weak)
        if sign == "~" and types.kind(value.dtype) > 1:
            self.source.error(node, f"~ takes whole numbers, got {value.dtype}")
        if sign == "-" and value.dtype == types.BOOL:
            value = self.cast(value, types.INT32)
        return ir.Unary(dtype=value.dtype, line=line, op=sign, value=value)

    def _compare(self, node: ast.Compare) -> ir.Expr:
        sides = [self.expression(each) for each in (node.left, *node.comparators)]
        for each, at in zip(sides[1:-1], node.comparators, strict=False):
            if not isinstance(each, (ir.Const, ir.Local, ir.Scalar, ir.Special, ir.Size)):
                self.source.error(
                    at, "what stands between two comparisons is a name", "write two with and"
                )
        made: ir.Expr | None = None
        for op, left, right in zip(node.ops, sides, sides[1:], strict=False):
            if type(op) not in _COMPARE:
                self.source.error(node, "numbers are compared with ==, !=, <, <=, > and >=")
            sign, fold = _COMPARE[type(op)]
            one: ir.Expr
            if isinstance(left, ir.Const) and isinstance(right, ir.Const):
                one = self._of_python(node, bool(fold(left.value, right.value)))
            else:
                dtype = self._common(left, right)
                one = ir.Compare(
                    dtype=types.BOOL,
                    line=self.source.line(node),
                    op=sign,
                    left=self.cast(left, dtype),
                    right=self.cast(right, dtype),
                )
            made = one if made is None else self._logic(node, "and", made, one)
        assert made is not None
        return made

    def _boolop(self, node: ast.BoolOp) -> ir.Expr:
        op = "and" if isinstance(node.op, ast.And) else "or"
        made = self.expression(node.values[0])
        for each in node.values[1:]:
            made = self._logic(node, op, made, self.expression(each))
        return self.cast(made, types.BOOL)

    def _logic(self, node: ast.AST, op: str, left: ir.Expr, right: ir.Expr) -> ir.Expr:
        if isinstance(left, ir.Const):
            decided = bool(left.value) == (op == "or")
            return self.cast(left if decided else right, types.BOOL)
        left, right = self.cast(left, types.BOOL), self.cast(right, types.BOOL)
        return ir.Logic(
            dtype=types.BOOL, line=self.source.line(node), op=op, left=left, right=right
        )

    def _conditional(self, node: ast.IfExp) -> ir.Expr:
        test = self.expression(node.test)
        yes, no = self.expression(node.body), self.expression(node.orelse)
        if isinstance(test, ir.Const):
            return yes if test.value else no
        dtype = self._common(yes, no)
        return ir.Select(
            dtype=dtype,
            line=self.source.line(node),
            test=self.cast(test, types.BOOL),
            yes=self.cast(yes, dtype),
            no=self.cast(no, dtype),
        )
