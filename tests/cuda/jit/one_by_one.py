"""The simplest way to run a kernel, to compare with: Python itself, one thread at a time.

Each thread is a generator of Python that stops at `syncthreads()`, which is made a `yield`. The threads
of a block take turns; when all have stopped, the next round begins. Nothing is checked.
"""

from __future__ import annotations

import ast
import itertools
import textwrap
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np


class _Yields(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        if ast.unparse(node) == "syncthreads()":
            return ast.copy_location(ast.Expr(ast.Yield()), node)
        return node


class _Atomic:
    @staticmethod
    def add(array: Any, index: Any, value: Any) -> None:
        array[index] += value


class _Shared:
    """Each call of `array` in a block gives all its threads the same array."""

    def __init__(self) -> None:
        self._made: dict[int, np.ndarray[Any, Any]] = {}
        self._calls = 0

    def array(self, shape: Any, dtype: Any) -> Any:
        number, self._calls = self._calls, self._calls + 1
        return self._made.setdefault(number, np.zeros(shape, dtype))

    def next_thread(self) -> None:
        self._calls = 0


def run(text: str, name: str, blocks: int, threads: int, *args: Any) -> None:
    """Run the kernel `name` of a program text; arrays are written in place."""
    tree = ast.parse(textwrap.dedent(text))
    (function,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    function.decorator_list = []
    function.body.append(ast.parse("yield").body[0])
    _Yields().visit(tree)
    names: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(tree), "kernel", "exec"), names)
    code = names[name]
    for block in range(blocks):
        shared = _Shared()
        work = []
        for thread in range(threads):
            here = {
                "np": np,
                "atomic": _Atomic,
                "shared": shared,
                "threadIdx": SimpleNamespace(x=thread),
                "blockIdx": SimpleNamespace(x=block),
                "blockDim": SimpleNamespace(x=threads),
                "grid": lambda _, i=block * threads + thread: i,
            }
            work.append(FunctionType(code.__code__, here)(*args))
        alive = work
        for first in itertools.chain([True], itertools.repeat(False)):
            if not alive:
                break
            left = []
            for thread in alive:
                if first:
                    shared.next_thread()
                if next(thread, StopIteration) is not StopIteration:
                    left.append(thread)
            alive = left
