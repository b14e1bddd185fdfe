"""From a kernel's text and the types of its arguments to a `Program`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit import _types as types
from tensorlab.cuda.jit._expressions import Expressions
from tensorlab.cuda.jit._source import Source

__all__ = ["read"]


def read(source: Source, params: Sequence[ir.Param]) -> ir.Program:
    """The program that `source` is for arguments of these types.

    Raises:
        CompileError: if it says something that has no meaning on a GPU.
    """
    return Reader(source, params, sites=[], callers=()).read()


class Reader(Expressions):
    """Reads the statements of one function; `Expressions` reads what stands in them."""

    def read(self) -> ir.Program:
        self.program.body = self.block(self.source.tree.body, top=True)
        _find_private_loops(self.program.body)
        return self.program

    def device(self, source: Source, params: Sequence[ir.Param]) -> ir.Program:
        return Reader(source, params, self.program.sites, (*self.callers, self.source)).read()

    def block(self, body: Sequence[ast.stmt], top: bool = False) -> list[ir.Stmt]:
        found: list[ir.Stmt] = []
        for at, node in enumerate(body):
            if isinstance(node, ast.Pass) or _is_docstring(node):
                continue
            # Statements that an expression needs first go in front of it.
            self.before = []
            made = self.statement(node, top)
            found += [*self.before, *made]
            if isinstance(node, (ast.Return, ast.Break, ast.Continue)) and at + 1 < len(body):
                self.source.error(body[at + 1], "this line is never reached", "take it out")
        return found

    def statement(self, node: ast.stmt, top: bool) -> list[ir.Stmt]:
        read = _STATEMENTS.get(type(node))
        if read is None:
            self.source.error(node, f"a kernel has no {type(node).__name__.lower()}")
        return read(self, node, top)

    # Assignments ------------------------------------------------------------------------

    def _assign(self, node: ast.Assign, top: bool) -> list[ir.Stmt]:
        if len(node.targets) != 1:
            self.source.error(node, "one name at a time is assigned", "write two lines")
        target = node.targets[0]
        if isinstance(target, ast.Tuple):
            return self._unpack(node, target)
        if isinstance(target, ast.Name):
            array = self.new_array(target.id, node.value)
            if array is not None:
                if not top and array.space == "shared":
                    self.source.error(
                        node,
                        "shared.array stands inside of an if or a loop",
                        "a block's arrays are there from its start: write it at the top of the kernel",
                    )
                return []
            return [self.set_local(node, target.id, self.expression(node.value))]
        if isinstance(target, ast.Subscript):
            array, index = self.element(target)
            value = self.expression(node.value)
            return [self._store(target, array, index, value)]
        return self.source.error(target, "only names and elements of arrays can be assigned")

    def _annotated(self, node: ast.AnnAssign, top: bool) -> list[ir.Stmt]:
        return self.source.error(
            node, "a kernel's variables have no annotations", "their first value says what they are"
        )

    def _unpack(self, node: ast.Assign, target: ast.Tuple) -> list[ir.Stmt]:
        values = self.several(node.value)
        if len(values) != len(target.elts):
            self.source.error(
                node, f"{len(values)} values are assigned to {len(target.elts)} names"
            )
        stmts: list[ir.Stmt] = []
        # All values are made before the first name changes: a, b = b, a.
        held: list[ir.Expr] = []
        for value in values:
            if isinstance(value, (ir.Const, ir.Special, ir.Size, ir.Scalar)):
                held.append(value)
                continue
            stmt, local = self.hidden(node, value)
            stmts.append(stmt)
            held.append(local)
        for each, value in zip(target.elts, held, strict=True):
            if isinstance(each, ast.Name):
                stmts.append(self.set_local(node, each.id, value))
            elif isinstance(each, ast.Subscript):
                array, index = self.element(each)
                stmts.append(self._store(each, array, index, value))
            else:
                self.source.error(each, "only names and elements of arrays can be assigned")
        return stmts

    def _augmented(self, node: ast.AugAssign, top: bool) -> list[ir.Stmt]:
        target = node.target
        if isinstance(target, ast.Name):
            left = self.expression(ast.copy_location(ast.Name(target.id, ast.Load()), target))
            value = self.binary(node, node.op, left, self.expression(node.value))
            return [self.set_local(node, target.id, value)]
        if isinstance(target, ast.Subscript):
            array, index = self.element(target)
            # The element is read and written: its index must not be worked out twice.
            stmts: list[ir.Stmt] = []
            once: list[ir.Expr] = []
            for each in index:
                if _is_simple(each):
                    once.append(each)
                else:
                    stmt, local = self.hidden(node, each)
                    stmts.append(stmt)
                    once.append(local)
            left = self.load(target, array, tuple(once))
            value = self.binary(node, node.op, left, self.expression(node.value))
            return [*stmts, self._store(target, array, tuple(once), value)]
        return self.source.error(target, "only names and elements of arrays can be assigned")

    def _store(
        self, node: ast.Subscript, array: ir.Array, index: tuple[ir.Expr, ...], value: ir.Expr
    ) -> ir.Store:
        value = self.convert(node, value, array.dtype, f"{array.name} holds {array.dtype}")
        self.program.written.add(array.name)
        site = self.site(node, array, "write")
        return ir.Store(line=site.line, array=array, index=index, value=value, site=site)

    # Control ----------------------------------------------------------------------------

    def _if(self, node: ast.If, top: bool) -> list[ir.Stmt]:
        test = self.expression(node.test)
        before = self.before
        if isinstance(test, ir.Const):  # decided when the kernel is read, as #if
            return self.block(node.body if test.value else node.orelse, top)
        body, orelse = self.block(node.body), self.block(node.orelse)
        self.before = before
        return [ir.If(line=self.source.line(node), test=test, body=body, orelse=orelse)]

    def _while(self, node: ast.While, top: bool) -> list[ir.Stmt]:
        if node.orelse:
            self.source.error(node.orelse[0], "a kernel's loops have no else", "use a variable")
        test = self.expression(node.test)
        if self.before:
            self.source.error(node.test, "this can't stand in the condition of a while")
        body = self.block(node.body)
        self.before = []
        return [ir.While(line=self.source.line(node), test=test, body=body)]

    def _for(self, node: ast.For, top: bool) -> list[ir.Stmt]:
        line = self.source.line(node)
        if node.orelse:
            self.source.error(node.orelse[0], "a kernel's loops have no else", "use a variable")
        call = node.iter
        if not (
            isinstance(call, ast.Call)
            and self.outside(call.func) is range
            and not call.keywords
            and 1 <= len(call.args) <= 3
        ):
            self.source.error(
                node.iter, "a kernel's for goes over range(…)", "loop over the indices"
            )
        if not isinstance(node.target, ast.Name):
            self.source.error(node.target, "the variable of a for is one name")
        bounds = [self.integer(each, "range") for each in call.args]
        one = ir.Const(dtype=types.INT32, line=line, value=1, weak=True)
        zero = ir.Const(dtype=types.INT32, line=line, value=0, weak=True)
        start, stop, step = {
            1: lambda: (zero, bounds[0], one),
            2: lambda: (bounds[0], bounds[1], one),
            3: lambda: tuple(bounds),
        }[len(bounds)]()
        if isinstance(step, ir.Const) and step.value == 0:
            self.source.error(node.iter, "a step of 0 goes nowhere")
        dtype = types.promote(types.promote(start.dtype, stop.dtype), step.dtype)
        name = node.target.id
        known = self.program.locals.get(name)
        if known is not None and types.kind(known) != 1:
            self.source.error(node.target, f"{name} is {known} already", "use another name")
        dtype = self.program.locals.setdefault(name, dtype)
        self.check_name(node.target, name)
        before = self.before
        body = self.block(node.body)
        self.before = before
        bounds = [self.cast(each, dtype) for each in (start, stop, step)]
        return [
            ir.For(line=line, name=name, start=bounds[0], stop=bounds[1], step=bounds[2], body=body)
        ]

    def _return(self, node: ast.Return, top: bool) -> list[ir.Stmt]:
        line = self.source.line(node)
        if node.value is None or (
            isinstance(node.value, ast.Constant) and node.value.value is None
        ):
            return [ir.Return(line=line)]
        if not self.callers:
            self.source.error(
                node, "a kernel returns nothing", "write results to an array argument"
            )
        value = self.expression(node.value)
        if self.program.returns is None:
            self.program.returns = value.dtype
        value = self.convert(
            node, value, self.program.returns, f"{self.source.name} returns {self.program.returns}"
        )
        return [ir.Return(line=line, value=value)]

    def _break(self, node: ast.stmt, top: bool) -> list[ir.Stmt]:
        made = ir.Break if isinstance(node, ast.Break) else ir.Continue
        return [made(line=self.source.line(node))]

    def _expression_statement(self, node: ast.Expr, top: bool) -> list[ir.Stmt]:
        line = self.source.line(node)
        if not isinstance(node.value, ast.Call):
            self.source.error(node, "this line does nothing", "assign its value, or take it out")
        sync = self.sync(node.value)
        if sync is not None:
            return [sync]
        value = self.expression(node.value)
        if isinstance(value, ir.Atomic):
            value.used = False
        elif not isinstance(value, (ir.Call, ir.Shuffle, ir.Vote)):
            self.source.error(node, "this line does nothing", "assign its value, or take it out")
        return [ir.Evaluate(line=line, value=value)]


_STATEMENTS: dict[type, Callable[[Reader, Any, bool], list[ir.Stmt]]] = {
    ast.Assign: Reader._assign,
    ast.AnnAssign: Reader._annotated,
    ast.AugAssign: Reader._augmented,
    ast.If: Reader._if,
    ast.While: Reader._while,
    ast.For: Reader._for,
    ast.Return: Reader._return,
    ast.Break: Reader._break,
    ast.Continue: Reader._break,
    ast.Expr: Reader._expression_statement,
}


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_simple(value: ir.Expr) -> bool:
    """Whether working it out twice is the same as once, and costs nothing worth counting."""
    if isinstance(value, ir.Binary):
        return value.dtype.kind in "iu" and _is_simple(value.left) and _is_simple(value.right)
    if isinstance(value, (ir.Cast, ir.Unary)):
        return _is_simple(value.value)
    return isinstance(value, (ir.Const, ir.Local, ir.Scalar, ir.Special, ir.Size))


def _find_private_loops(body: list[ir.Stmt]) -> None:
    """Mark the loops whose variable is read in their own body alone.

    Then all threads can share one number for it, for as long as they count alike: those that have
    left the loop don't look at it any more.
    """
    loops: dict[str, list[ir.For]] = {}
    spoiled: set[str] = set()

    def walk(node: Any, inside: frozenset[str]) -> None:
        if isinstance(node, ir.For):
            if node.name in inside:
                spoiled.add(node.name)
            loops.setdefault(node.name, []).append(node)
            for each in (node.start, node.stop, node.step):
                walk(each, inside)
            walk(node.body, inside | {node.name})
        elif isinstance(node, ir.Assign):
            spoiled.add(node.name)
            walk(node.value, inside)
        elif isinstance(node, ir.Local):
            if node.name not in inside:
                spoiled.add(node.name)
        elif isinstance(node, (list, tuple)):
            for each in node:
                walk(each, inside)
        elif isinstance(node, (ir.Expr, ir.Stmt)):
            for each in vars(node).values():
                if not isinstance(each, (ir.Program, ir.Array, ir.Site, np.dtype)):
                    walk(each, inside)

    walk(body, frozenset())
    for name, found in loops.items():
        for loop in found:
            loop.private = name not in spoiled
