"""The reference solution of an exercise, out of the solved notebook and without running it all.

A notebook trains networks and draws figures; a proof of one exercise needs only the statements
that its names depend on. So the notebook is sliced: from the names wanted back through the names
they use, the imports, definitions and assignments that make them are run, in order.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import symtable
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tensorlab.learn.attempts import CourseError
from tensorlab.learn.lesson import Lesson
from tensorlab.learn.regions import grade_id, read_cells

__all__ = ["code_cells", "reference_namespace", "sliced_source", "without_magics"]


def code_cells(path: Path, until: str | None = None) -> list[str]:
    """The sources of a notebook's code cells, up to the cell of an exercise.

    Raises:
        CourseError: the file is missing or no notebook.
    """
    cells = read_cells(path)
    ids = [grade_id(cell) for cell in cells]
    if until is not None and f"ex-{until}" in ids:
        cells = cells[: ids.index(f"ex-{until}") + 1]
    return [cell["source"] for cell in cells if cell.get("cell_type") == "code"]


def without_magics(source: str) -> str:
    """A cell as plain Python: lines of magics and shell commands become ``pass``.

    >>> without_magics("%tensorlab check 01.1\\nx = 1")
    'pass\\nx = 1'
    >>> without_magics("%%tensorlab profile\\nx = 1")
    'pass\\nx = 1'
    """
    lines = source.split("\n")
    if lines[0].startswith("%%") and not lines[0].startswith(
        ("%%time", "%%tensorlab", "%%capture")
    ):
        return ""  # another language's cell
    for i, line in enumerate(lines):
        text = line.lstrip()
        if text.startswith(("%", "!")) and not _inside_expression(lines[:i]):
            lines[i] = line[: len(line) - len(text)] + "pass"
    return "\n".join(lines)


def _inside_expression(before: list[str]) -> bool:
    """Does a line continue an expression (``a\\n% b`` in parentheses)? Then it is no magic."""
    text = "\n".join(before)
    return text.count("(") > text.count(")") or text.count("[") > text.count("]")


def reference_namespace(
    lesson: Lesson, names: Iterable[str], until: str | None = None
) -> dict[str, Any]:
    """The reference solution's objects for some names, by running the slice that makes them.

    Args:
        until: an exercise's id: what comes after its cell is left out.

    Raises:
        CourseError: the notebook is missing, does not define a name, or its slice fails.
    """
    names = list(names)
    source = sliced_source(lesson.notebook_path, names, until)
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    filename = f"<reference of lesson {lesson.id}>"
    # Registered as a cell's source is, so that inspect.getsource and tracebacks find it.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    try:
        exec(compile(source, filename, "exec"), namespace)
    except Exception as error:
        raise CourseError(
            f"the reference of {', '.join(names)} in lesson {lesson.id} can't be run on its own: "
            f"{type(error).__name__}: {error}"
        ) from error
    absent = [name for name in names if name not in namespace]
    if absent:
        raise CourseError(f"{lesson.notebook_path} does not define {', '.join(absent)}")
    return namespace


def sliced_source(path: Path, names: Iterable[str], until: str | None = None) -> str:
    """The statements of a notebook that define the names, and all that those depend on.

    A statement is taken if it binds a name that is wanted, or changes what the name stands for
    (``RULES["mul"] = ...``, ``Value.__add__ = add``, ``layers.append(...)``).
    """
    statements: list[tuple[ast.stmt, set[str], set[str]]] = []
    modules: set[str] = set()
    for source in code_cells(path, until):
        try:
            tree = ast.parse(without_magics(source))
        except SyntaxError as error:
            raise CourseError(f"a cell of {path} is no Python: {error}: {source[:80]!r}") from error
        for statement in tree.body:
            statements.append((statement, set(_bound(statement)), _used(statement)))
            if isinstance(statement, ast.Import):
                modules |= statements[-1][1]
    wanted, chosen = set(names), set()
    changed = True
    while changed:
        changed = False
        for i, (statement, bound, used) in enumerate(statements):
            # plt.show() changes no module
            relevant = bound if isinstance(statement, ast.Import) else bound - modules
            if i not in chosen and relevant & wanted:
                chosen.add(i)
                wanted |= used
                changed = True
    return "\n".join(ast.unparse(statements[i][0]) for i in sorted(chosen))


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The global names that a top-level statement binds, or whose objects it changes."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            yield from _root(node)
        elif (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Attribute)
        ):
            yield from _root(node.value.func)


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _used(statement: ast.stmt) -> set[str]:
    """The global names that a statement refers to, inside its functions and classes too."""
    used = set()
    tables = [symtable.symtable(ast.unparse(statement), "cell", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (table.get_type() == "module" or symbol.is_global()):
                used.add(symbol.get_name())
    return used
