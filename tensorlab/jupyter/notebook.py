"""The learner's notebook as the magics see it: its namespace, its expressions, its cells."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from tensorlab import Tensor
from tensorlab.nn import Module

from .unwritten import unwritten_exercise

__all__ = ["Notebook"]


class Notebook:
    """What a shell's user has defined, and ways to evaluate more of it."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    @property
    def namespace(self) -> dict[str, Any]:
        return self._shell.user_ns

    def names(self) -> Iterator[tuple[str, Any]]:
        """The user's own names and their values: not IPython's, nor private ones."""
        for name, value in list(self.namespace.items()):
            if not name.startswith("_") and name not in self._shell.user_ns_hidden:
                yield name, value

    def evaluate(self, expression: str) -> Any:
        """The value of an expression; what goes wrong in it becomes a `UsageError` of one line."""
        try:
            return eval(compile(expression, "<%tensorlab>", "eval"), self.namespace)
        except Exception as error:
            if unwritten_exercise(error, self.namespace):
                raise  # the extension has its own words for that
            message = (str(error).strip().splitlines() or ["no message"])[0]
            raise UsageError(
                f"could not evaluate {expression!r}: {type(error).__name__}: {message}"
            ) from None

    def run(self, body: str) -> None:
        """Run a cell's body as if it were a cell: magics work, and the last expression is shown.

        What the body raises is raised here. `await` outside of functions is refused: the cell
        magic that runs this can't wait for it.
        """
        __tracebackhide__ = True
        shell = self._shell
        source = shell.transform_cell(body)
        # The cached name is that of a cell, so a traceback shows the learner's lines.
        name = shell.compile.cache(source, shell.execution_count, raw_code=body)
        tree = shell.transform_ast(ast.parse(source, name))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), self.namespace)
        if last is not None:  # compiled like this, an expression is shown as a cell's last one is
            exec(compile(ast.Interactive([last]), name, "single"), self.namespace)

    def offer(self, source: str) -> None:
        """Put `source` into a new cell below this one (in a terminal: at the next prompt)."""
        self._shell.set_next_input(source)

    def models(self) -> dict[str, Module]:
        """The modules that have a name of their own."""
        return {name: value for name, value in self.names() if isinstance(value, Module)}

    def tensor_names(self) -> dict[str, Tensor]:
        """A name for every tensor that the notebook can reach by one: `w`, `params[0]`, `model.0.weight`."""
        found: dict[str, Tensor] = {}
        for name, value in self.names():
            if isinstance(value, Tensor):
                found[name] = value
            elif isinstance(value, Module):
                found.update((f"{name}.{path}", each) for path, each in value.named_parameters())
            elif isinstance(value, (list, tuple)):
                found.update(
                    (f"{name}[{i}]", t) for i, t in enumerate(value) if isinstance(t, Tensor)
                )
            elif isinstance(value, dict):
                found.update(
                    (f"{name}[{key!r}]", t) for key, t in value.items() if isinstance(t, Tensor)
                )
        return found
