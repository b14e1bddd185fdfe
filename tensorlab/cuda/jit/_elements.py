"""The arrays of a kernel: those that it makes, and their elements."""

from __future__ import annotations

import ast
import math
from typing import Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit import _types as types
from tensorlab.cuda.jit import language as words
from tensorlab.cuda.jit._names import as_dtype
from tensorlab.cuda.jit._operators import Operators

__all__ = ["Elements"]


class Elements(Operators):
    """Reads what stands in square brackets."""

    def array(self, node: ast.expr) -> ir.Array | None:
        return self.program.arrays.get(node.id) if isinstance(node, ast.Name) else None

    def new_array(self, name: str, node: ast.expr) -> ir.Array | None:
        """The array that `name = shared.array(…)` makes; None if it makes none."""
        if not isinstance(node, ast.Call):
            return None
        word = self.outside(node.func)
        space = {"shared.array": "shared", "local.array": "local"}.get(getattr(word, "name", ""))
        if not isinstance(word, words.Word) or space is None:
            return None
        if self.callers:
            self.source.error(
                node, "a device function makes no arrays", "hand it over as an argument"
            )
        if name in self.program.arrays or name in self.program.locals or name in self.params:
            self.source.error(
                node, f"{name} has a value already", "give the array a name of its own"
            )
        given: dict[str, ast.expr] = dict(zip(("shape", "dtype"), node.args, strict=False))
        given.update({key.arg: key.value for key in node.keywords if key.arg})
        if set(given) != {"shape", "dtype"} or len(node.args) + len(node.keywords) != 2:
            self.source.error(
                node, f"{space}.array takes a shape and a dtype", "such as (16, 16), float32"
            )
        sizes = given["shape"].elts if isinstance(given["shape"], ast.Tuple) else [given["shape"]]
        shape = []
        for each in sizes:
            value = self._python_value(each)
            for size in value if isinstance(value, tuple) else (value,):
                if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
                    self.source.error(
                        node,
                        f"the shape of a {space} array is made of constants from 1 up",
                        "write a number, or a name that is a number outside of the kernel",
                    )
                shape.append(int(size))
        dtype = self._dtype(given["dtype"])
        if dtype == np.float16:
            self.source.error(node, f"{space} arrays are not made of float16", "use float32")
        array = ir.Array(name, space, dtype, len(shape), tuple(shape), self.source.line(node))
        self.program.arrays[name] = array
        held = sum(math.prod(a.shape) * a.dtype.itemsize for a in self.program.shared)
        if held > 48 * 1024:
            self.source.error(
                node,
                f"the block has {held:,} bytes of shared arrays, and 49,152 is the most",
                "make them smaller",
            )
        return array

    def _python_value(self, node: ast.expr) -> Any:
        """A constant, worked out when the kernel is read."""
        found = self.outside(node)
        if found is not None and isinstance(found, (int, tuple, np.integer)):
            return found
        value = self.expression(node)
        return value.value if isinstance(value, ir.Const) else None

    def _dtype(self, node: ast.expr) -> np.dtype[Any]:
        found: Any = None
        if isinstance(node, ast.Attribute) and node.attr == "dtype":
            array = self.array(node.value)
            if array is not None:
                return array.dtype
        if isinstance(node, ast.Constant):
            found = node.value
        elif isinstance(node, (ast.Name, ast.Attribute)):
            found = self.outside(node)
        dtype = as_dtype(found)
        if dtype is None:
            self.source.error(node, "expected a dtype", "such as float32 of tensorlab or numpy")
        if dtype not in types.ELEMENTS:
            self.source.error(node, f"kernels have no {dtype}", "use float32")
        return dtype

    def element(self, node: ast.Subscript) -> tuple[ir.Array, tuple[ir.Expr, ...]]:
        """Read `a[i, j]` (or `a[i][j]`) as an array and its index."""
        groups: list[ast.expr] = []
        at: ast.expr = node
        while isinstance(at, ast.Subscript):
            groups.insert(0, at.slice)
            at = at.value
        array = self.array(at)
        if array is None:
            self.source.error(node, f"{ast.unparse(at)} is no array of the kernel")
        parts = [p for g in groups for p in (g.elts if isinstance(g, ast.Tuple) else [g])]
        if len(parts) != array.ndim:
            few = len(parts) < array.ndim
            self.source.error(
                node,
                f"{array.name} has {array.ndim} dimension{'s' * (array.ndim != 1)}, and "
                f"{len(parts)} index{'es' * (len(parts) != 1)} {'is' if len(parts) == 1 else 'are'} given",
                f"a thread takes one element: {array.name}[{', '.join('ijkl'[: array.ndim])}]"
                if few and array.ndim
                else "hand over numbers as numbers: x.item()"
                if array.ndim == 0
                else "",
            )
        index = tuple(self.integer(each, "an index") for each in parts)
        for axis, (each, part) in enumerate(zip(index, parts, strict=True)):
            if isinstance(each, ir.Const):
                if each.value < 0:
                    self.source.error(
                        part,
                        f"index {each.value}: a GPU does not count from the end",
                        "count from 0",
                    )
                if array.shape and each.value >= array.shape[axis]:
                    self.source.error(
                        part,
                        f"index {each.value} is outside of {array.name}, of shape {array.shape}",
                    )
        return array, tuple(
            self.cast(e, types.INT32) if isinstance(e, ir.Const) else e for e in index
        )

    def site(self, node: ast.AST, array: ir.Array, kind: str) -> ir.Site:
        text = ast.unparse(node)
        site = ir.Site(len(self.program.sites), self.source.line(node), array, kind, text)
        self.program.sites.append(site)
        return site

    def load(self, node: ast.AST, array: ir.Array, index: tuple[ir.Expr, ...]) -> ir.Load:
        site = self.site(node, array, "read")
        dtype = types.held_as(array.dtype)
        return ir.Load(dtype=dtype, line=site.line, array=array, index=index, site=site)

    def _subscript(self, node: ast.Subscript) -> ir.Expr:
        shaped = node.value
        if isinstance(shaped, ast.Attribute) and shaped.attr == "shape":
            array = self.array(shaped.value)
            if array is not None:
                axis = self._python_value(node.slice)
                if not isinstance(axis, int) or not -array.ndim <= axis < array.ndim:
                    self.source.error(
                        node,
                        f"{array.name} has {array.ndim} dimensions",
                        "write a constant below that",
                    )
                return self._size(self.source.line(node), array, axis % array.ndim)
        found = self.outside(node.value)
        if isinstance(found, tuple):  # a tuple of constants
            at = self._python_value(node.slice)
            if isinstance(at, int) and -len(found) <= at < len(found):
                return self._of_python(node, found[at])
            self.source.error(
                node, "a tuple from outside is indexed with a constant", "use an array argument"
            )
        array, index = self.element(node)
        return self.load(node, array, index)
