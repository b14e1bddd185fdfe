"""The text of a kernel: where it stands, what it is made of, and what no GPU can do of it."""

from __future__ import annotations

import ast
import builtins
import copy
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, NoReturn, TypeGuard

__all__ = ["CompileError", "Source"]


class CompileError(TypeError):
    """A kernel says something that a GPU can't do, or that has no clear type.

    The message names the line and says what to write instead.
    """


class Source:
    """A function's text. Line numbers are those of its file or notebook cell.

    Raises:
        CompileError: if the text can't be had, or holds what no kernel can.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not inspect.isfunction(function):
            raise TypeError(
                f"a kernel is made of a function written with def, got {type(function).__name__}"
            )
        self.function = function
        self.name = function.__name__
        try:
            lines, first = inspect.getsourcelines(function)
        except (OSError, TypeError):
            raise CompileError(
                f"the text of kernel {self.name!r} can't be read, and a kernel is made from its "
                "text: define it in a notebook cell or in a file"
            ) from None
        try:
            tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
        except (SyntaxError, IndexError):
            tree = None
        if not isinstance(tree, ast.FunctionDef):
            raise CompileError(f"kernel {self.name!r} is not written with def: write it so")
        self.lines = [line.rstrip("\n") for line in lines]
        self.first = max(first, 1)
        self.tree = tree
        self._check()

    def text(self, line: int) -> str:
        """The text of a line, without its indent; "" outside of the function."""
        at = line - self.first
        return self.lines[at].strip() if 0 <= at < len(self.lines) else ""

    def loop_of(self, *lines: int) -> int:
        """The line of the innermost loop around lines; 0 if there is none."""
        loops = [
            self.line(node)
            for node in ast.walk(self.tree)
            if isinstance(node, (ast.For, ast.While))
            and all(self.line(node) <= each < (node.end_lineno or 0) + self.first for each in lines)
        ]
        return max(loops, default=0)

    def line(self, node: ast.AST) -> int:
        """The line of the file or cell that a node stands in."""
        return getattr(node, "lineno", 1) + self.first - 1

    def error(self, node: ast.AST, what: str, instead: str = "") -> NoReturn:
        """Raise `CompileError` for a place in the text."""
        line = self.line(node)
        advice = f"; {instead}" if instead else ""
        raise CompileError(
            f"kernel {self.name!r}, line {line}: {what}{advice}\n    {line} | {self.text(line)}"
        )

    def check_written(self) -> None:
        """Raise the `NotImplementedError` with which the function says that it is still to be written.

        Python runs that one statement as part of the function, so the traceback ends in its line.
        """
        for node in self.tree.body:
            if _is_unwritten(node):
                statement = ast.increment_lineno(copy.deepcopy(node), self.first - 1)
                module = ast.Module([statement], type_ignores=[])
                exec(
                    compile(module, self.function.__code__.co_filename, "exec"),
                    self.function.__globals__,
                )

    def outside(self, name: str) -> Any:
        """What a name that the function does not assign stands for; `NameError` if for nothing."""
        function = self.function
        if name in function.__code__.co_freevars:
            cell = (function.__closure__ or ())[function.__code__.co_freevars.index(name)]
            try:
                return cell.cell_contents
            except ValueError:
                raise NameError(name) from None
        if name in function.__globals__:
            return function.__globals__[name]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        raise NameError(name)

    def _check(self) -> None:
        arguments = self.tree.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            self.error(
                self.tree,
                "a kernel's arguments are plain names, without *, ** or defaults",
                "give every argument at the launch",
            )
        for node in self.tree.body:
            if _is_unwritten(node):
                continue
            for each in ast.walk(node):
                found = _UNSUPPORTED.get(type(each))
                if found is not None:
                    self.error(each, *found)


def _is_unwritten(node: ast.AST) -> TypeGuard[ast.Raise]:
    """Whether a statement is `raise NotImplementedError` or the same with a text."""
    if not isinstance(node, ast.Raise):
        return False
    made = node.exc
    called = made.func if isinstance(made, ast.Call) else made
    texts = made.args if isinstance(made, ast.Call) else []
    return (
        isinstance(called, ast.Name)
        and called.id == "NotImplementedError"
        and all(isinstance(text, ast.Constant) for text in texts)
    )


_NO_LIST = "make an array before the launch and hand it over, or use local.array(shape, dtype)"
_UNSUPPORTED: dict[type, tuple[str, str]] = {
    ast.List: ("a GPU thread has no lists", _NO_LIST),
    ast.ListComp: ("a GPU thread has no lists", "write a for loop over range(…)"),
    ast.Dict: ("a GPU thread has no dictionaries", _NO_LIST),
    ast.DictComp: ("a GPU thread has no dictionaries", _NO_LIST),
    ast.Set: ("a GPU thread has no sets", _NO_LIST),
    ast.SetComp: ("a GPU thread has no sets", _NO_LIST),
    ast.GeneratorExp: ("a GPU thread has no generators", "write a for loop over range(…)"),
    ast.Yield: ("a GPU thread has no generators", "write results to an array"),
    ast.YieldFrom: ("a GPU thread has no generators", "write results to an array"),
    ast.Await: ("a GPU thread can't wait for Python", "use syncthreads() to wait for the block"),
    ast.Try: ("a GPU thread can't catch errors", "test for the case with if before it happens"),
    ast.Raise: ("a GPU thread can't raise errors", "write a mark to an array and look at it later"),
    ast.Assert: ("a GPU thread can't raise errors", "write a mark to an array and look at it later"),
    ast.With: ("a kernel has no with", "write the statements alone"),
    ast.AsyncWith: ("a kernel has no with", "write the statements alone"),
    ast.AsyncFor: ("a kernel has no async", "write for … in range(…)"),
    ast.Lambda: ("a kernel has no lambda", "define a function with @jit.device and call it"),
    ast.FunctionDef: ("a kernel defines no functions", "define it outside with @jit.device"),
    ast.AsyncFunctionDef: ("a kernel defines no functions", "define it outside with @jit.device"),
    ast.ClassDef: ("a kernel defines no classes", "use numbers and arrays"),
    ast.Import: ("a kernel can't import", "import it at the top of the file"),
    ast.ImportFrom: ("a kernel can't import", "import it at the top of the file"),
    ast.Global: ("a kernel can't change Python's names", "write to an array argument"),
    ast.Nonlocal: ("a kernel can't change Python's names", "write to an array argument"),
    ast.Delete: ("a kernel can't delete", "leave it out: variables end with the thread"),
    ast.NamedExpr: ("a kernel has no :=", "assign on a line of its own"),
    ast.JoinedStr: ("a GPU thread has no text", "write numbers to an array and print them later"),
    ast.Starred: ("a kernel has no *", "write the names one by one"),
    ast.Slice: ("a GPU thread handles one element at a time", "write a loop over the indices"),
    ast.Match: ("a kernel has no match", "write if … elif … else"),
    ast.MatMult: ("a GPU thread multiplies numbers, not matrices", "write the loop over k"),
}  # fmt: skip
