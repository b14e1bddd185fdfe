"""How the expressions of a kernel are read: their types, their constants, the words they call."""

from __future__ import annotations

import ast
import difflib
import math
import operator
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit import _types as types
from tensorlab.cuda.jit import language as words
from tensorlab.cuda.jit._source import Source

__all__ = ["MATH", "Expressions"]

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

#: Functions of numbers: name → (how many, the functions of Python and NumPy that mean it).
MATH: dict[str, tuple[int, tuple[Any, ...]]] = {
    "exp": (1, (math.exp, np.exp)),
    "exp2": (1, (math.exp2, np.exp2)),
    "expm1": (1, (math.expm1, np.expm1)),
    "log": (1, (math.log, np.log)),
    "log2": (1, (math.log2, np.log2)),
    "log10": (1, (math.log10, np.log10)),
    "log1p": (1, (math.log1p, np.log1p)),
    "sqrt": (1, (math.sqrt, np.sqrt)),
    "rsqrt": (1, (words.rsqrt,)),
    "sin": (1, (math.sin, np.sin)),
    "cos": (1, (math.cos, np.cos)),
    "tan": (1, (math.tan, np.tan)),
    "sinh": (1, (math.sinh, np.sinh)),
    "cosh": (1, (math.cosh, np.cosh)),
    "tanh": (1, (math.tanh, np.tanh)),
    "arcsin": (1, (math.asin, np.arcsin)),
    "arccos": (1, (math.acos, np.arccos)),
    "arctan": (1, (math.atan, np.arctan)),
    "arctan2": (2, (math.atan2, np.arctan2)),
    "hypot": (2, (math.hypot, np.hypot)),
    "copysign": (2, (math.copysign, np.copysign)),
    "fmod": (2, (math.fmod, np.fmod)),
    "floor": (1, (math.floor, np.floor)),
    "ceil": (1, (math.ceil, np.ceil)),
    "trunc": (1, (math.trunc, np.trunc)),
    "erf": (1, (math.erf,)),
    "isnan": (1, (math.isnan, np.isnan)),
    "isinf": (1, (math.isinf, np.isinf)),
    "isfinite": (1, (math.isfinite, np.isfinite)),
}
_PLAIN: dict[str, tuple[Any, ...]] = {
    "min": (min, np.minimum),
    "max": (max, np.maximum),
    "abs": (abs, math.fabs, np.abs),
    "pow": (pow, math.pow, np.power),
    "round": (round, np.round),
}
_TESTS = ("isnan", "isinf", "isfinite")
_AXES = {"x": 0, "y": 1, "z": 2}
_FULL = 0xFFFFFFFF
_ATOMIC_DTYPES = {
    "add": "int32 uint32 int64 uint64 float32 float64",
    "sub": "int32 uint32",
    "exch": "int32 uint32 int64 uint64 float32",
    **dict.fromkeys(
        ("max", "min", "cas", "and", "or", "xor"), "int32 uint32 int64 uint64"
    ),
}  # fmt: skip


class Expressions:
    """What one function's expressions are for arguments of given types."""

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
        raise NotImplementedError  # by Reader, which reads statements

    # Names ------------------------------------------------------------------------------

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
                self.source.error(node, str(error), _did_you_mean(node.attr, dir(owner)))
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
            self.source.error(node, f"{node.id} is not defined", _did_you_mean(node.id, known))
        if not isinstance(found, (ModuleType, words.Word)):
            self.program.constants[node.id] = found
        return found

    # Expressions ------------------------------------------------------------------------

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
            return ir.Const(dtype=dtype, line=value.line, value=_number(value.value, dtype))
        return ir.Cast(dtype=dtype, line=value.line, value=value)

    def _constant(self, node: ast.Constant) -> ir.Expr:
        return self._of_python(node, node.value)

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
                _did_you_mean(node.attr, known),
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

    def _special(self, line: int, name: str, axis: int = 0) -> ir.Special:
        return ir.Special(dtype=types.INT32, line=line, name=name, axis=axis)

    def _size(self, line: int, array: ir.Array, axis: int) -> ir.Expr:
        if array.shape:
            value = math.prod(array.shape) if axis < 0 else array.shape[axis]
            return ir.Const(dtype=types.INT32, line=line, value=value, weak=True)
        return ir.Size(dtype=types.INT32, line=line, array=array, axis=axis)

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

    # Arrays -----------------------------------------------------------------------------

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

    # Calls ------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> ir.Expr:
        from tensorlab.cuda.jit.launch import DeviceFunction, Kernel

        word = self.outside(node.func)
        name = ast.unparse(node.func)
        if word is None:
            self.source.error(node, f"{name} can't be called in a kernel")
        if isinstance(word, words.Word):
            return self._word(node, word)
        if isinstance(word, DeviceFunction):
            return self._device_call(node, word.source)
        if isinstance(word, Kernel):
            self.source.error(
                node,
                f"{name} is a kernel, and a thread can't launch one",
                "make it a @jit.device function",
            )
        if node.keywords:
            self.source.error(
                node, f"{name} takes no keywords in a kernel", "give its values in order"
            )
        if word is len:
            return self._len(node)
        dtype = as_dtype(word)
        if dtype is not None and not isinstance(word, str):
            return self._cast_call(node, dtype)
        for function, (count, means) in MATH.items():
            if any(word is each for each in means):
                return self._math(node, function, count)
        for function, means in _PLAIN.items():
            if any(word is each for each in means):
                return self._python_function(node, function)
        known = ", ".join(("min, max, abs, pow, len, range", *MATH))
        return self.source.error(
            node,
            f"{name} is a function of Python, which a GPU does not know",
            "print after the launch: write numbers to an array"
            if word is print
            else f"define one with @jit.device; known are the words of tensorlab.cuda.jit and {known}",
        )

    def _len(self, node: ast.Call) -> ir.Expr:
        array = self.array(node.args[0]) if len(node.args) == 1 else None
        if array is None or array.ndim == 0:
            self.source.error(node, "len takes one array of the kernel")
        return self._size(self.source.line(node), array, 0)

    def _cast_call(self, node: ast.Call, dtype: np.dtype[Any]) -> ir.Expr:
        if len(node.args) != 1:
            self.source.error(node, "a cast takes one value")
        if dtype not in types.ELEMENTS:
            self.source.error(node, f"kernels have no {dtype}", "use float32")
        value = self.expression(node.args[0])
        dtype = types.held_as(dtype)
        if isinstance(value, ir.Const):
            made = _number(value.value, dtype)
            return ir.Const(dtype=dtype, line=value.line, value=made)
        return ir.Cast(dtype=dtype, line=self.source.line(node), value=value)

    def _python_function(self, node: ast.Call, name: str) -> ir.Expr:
        line, args = self.source.line(node), [self.expression(each) for each in node.args]
        if name == "round":
            self.source.error(node, "a kernel has no round", "write math.floor(x + 0.5)")
        if name == "pow" and len(args) == 2:
            return self.binary(node, ast.Pow(), *args)
        if name == "abs" and len(args) == 1:
            return ir.Math(dtype=args[0].dtype, line=line, name="abs", args=(args[0],))
        if name in ("min", "max") and len(args) >= 2:
            dtype = self._common(*args)
            made = self.cast(args[0], dtype)
            for each in args[1:]:
                made = ir.Math(
                    dtype=dtype, line=line, name=name, args=(made, self.cast(each, dtype))
                )
            return made
        return self.source.error(node, f"{name} got {len(args)} values")

    def _math(self, node: ast.Call, name: str, count: int) -> ir.Expr:
        args = [self.expression(each) for each in node.args]
        if len(args) != count:
            self.source.error(
                node, f"{name} takes {count} value{'s' * (count != 1)}, got {len(args)}"
            )
        dtype = self._common(*args)
        if types.kind(dtype) < 2:
            dtype = types.FLOAT32
        made = tuple(self.cast(each, dtype) for each in args)
        out = types.BOOL if name in _TESTS else dtype
        value = ir.Math(dtype=out, line=self.source.line(node), name=name, args=made)
        if name in ("floor", "ceil", "trunc") and self.outside(node.func) in (
            math.floor,
            math.ceil,
            math.trunc,
        ):  # Python's give whole numbers, NumPy's floats
            return ir.Cast(dtype=types.INT32, line=value.line, value=value)
        return value

    def _device_call(self, node: ast.Call, source: Source) -> ir.Expr:
        if source in self.callers or source is self.source:
            self.source.error(
                node, f"{source.name} calls itself", "a GPU has no recursion: write a loop"
            )
        args: list[ir.Expr | ir.Array] = []
        params = []
        for each in node.args:
            array = self.array(each)
            value = array if array is not None else self.expression(each)
            args.append(value)
            params.append(
                ir.Param(value.dtype, value.ndim, value.space, value.shape)
                if isinstance(value, ir.Array)
                else ir.Param(value.dtype, None)
            )
        args = [self.cast(a, a.dtype) if isinstance(a, ir.Expr) else a for a in args]
        program = self.device(source, params)
        self.program.calls.append(program)
        self.program.constants.update(program.constants)
        self.program.notes += program.notes
        for (name, _), value in zip(program.params, args, strict=True):
            if name in program.written and isinstance(value, ir.Array):
                self.program.written.add(value.name)
        dtype = program.returns or types.BOOL
        return ir.Call(dtype=dtype, line=self.source.line(node), program=program, args=tuple(args))

    def sync(self, node: ast.Call) -> ir.Stmt | None:
        """The statement that syncthreads() or syncwarp() is; None if it is another call."""
        word, line = self.outside(node.func), self.source.line(node)
        if word is words.syncthreads:
            if node.args or node.keywords:
                self.source.error(node, "syncthreads() takes nothing")
            if self.callers:
                self.source.error(
                    node,
                    "syncthreads() stands in a device function",
                    "call it in the kernel itself",
                )
            return ir.Barrier(line=line)
        if word is words.syncwarp:
            given = [*node.args, *(key.value for key in node.keywords)]
            if len(given) > 1:
                self.source.error(node, "syncwarp takes a mask at most")
            mask = self._mask(given[0]) if given else self._full(line)
            return ir.SyncWarp(line=line, mask=mask)
        return None

    def _full(self, line: int) -> ir.Const:
        return ir.Const(dtype=types.UINT32, line=line, value=_FULL)

    def _mask(self, node: ast.expr) -> ir.Const:
        value = self.expression(node)
        if not isinstance(value, ir.Const) or not 0 < value.value <= _FULL:
            self.source.error(
                node, "a mask is a constant from 1 to 0xffffffff", "0xffffffff is all lanes"
            )
        return ir.Const(dtype=types.UINT32, line=value.line, value=int(value.value))

    def _dimensions(self, node: ast.Call, name: str) -> int:
        value = self._python_value(node.args[0]) if len(node.args) == 1 else None
        if value not in (1, 2, 3) or node.keywords:
            self.source.error(node, f"{name} takes the number of dimensions: 1, 2 or 3")
        return value

    def _word(self, node: ast.Call, word: words.Word) -> ir.Expr:
        line, name = self.source.line(node), word.name
        if word is words.grid or word is words.gridsize:
            if self._dimensions(node, name) != 1:
                self.source.error(node, f"{name}(2) has two values", f"write x, y = {name}(2)")
            return self._special(line, name)
        if word is words.laneid:
            if node.args or node.keywords:
                self.source.error(node, "laneid() takes nothing")
            return self._special(line, "laneid")
        if name.startswith("atomic."):
            return self._atomic(node, name.partition(".")[2].rstrip("_"))
        if name.startswith("shfl"):
            return self._shuffle(node, name)
        if word in (words.ballot_sync, words.any_sync, words.all_sync):
            if len(node.args) != 2 or node.keywords:
                self.source.error(node, f"{name} takes a mask and a condition")
            kind = name.removesuffix("_sync")
            dtype = types.UINT32 if kind == "ballot" else types.BOOL
            value = self.cast(self.expression(node.args[1]), types.BOOL)
            return ir.Vote(
                dtype=dtype, line=line, kind=kind, mask=self._mask(node.args[0]), value=value
            )
        if word is words.activemask:
            return ir.Vote(dtype=types.UINT32, line=line, kind="active")
        if word is words.rsqrt:
            return self._math(node, "rsqrt", 1)
        if word is words.popc:
            if len(node.args) != 1:
                self.source.error(node, "popc takes one whole number")
            value = self.cast(self.integer(node.args[0], "popc"), types.UINT32)
            return ir.Math(dtype=types.INT32, line=line, name="popc", args=(value,))
        if word in (words.syncthreads, words.syncwarp):
            self.source.error(node, f"{name}() has no value", "write it on a line of its own")
        if name.endswith(".array"):
            self.source.error(node, f"{name}(…) is given a name", f"write tile = {name}(…)")
        return self.source.error(node, f"{name} can't be called", f"write {name}.x")

    def _atomic(self, node: ast.Call, op: str) -> ir.Expr:
        count = 2 if op == "cas" else 1
        if len(node.args) != 2 + count or node.keywords:
            what = "array, index, old, value" if op == "cas" else "array, index, value"
            self.source.error(node, f"atomic.{op} takes ({what})")
        place = ast.copy_location(ast.Subscript(node.args[0], node.args[1], ast.Load()), node)
        array, index = self.element(place)
        if array.space == "local":
            self.source.error(
                node, f"{array.name} is the thread's own", "no other thread can come between"
            )
        if array.dtype.name not in _ATOMIC_DTYPES[op].split():
            extra = "; keep the maximum as bits of an int32, or reduce in shared memory"
            self.source.error(
                node,
                f"the GPU has no atomic.{op} for {array.dtype}: it has it for {_ATOMIC_DTYPES[op].replace(' ', ', ')}"
                + extra * (op in ("max", "min") and array.dtype.kind == "f"),
            )
        values = tuple(
            self.convert(
                each, self.expression(each), array.dtype, f"{array.name} holds {array.dtype}"
            )
            for each in node.args[2:]
        )
        self.program.written.add(array.name)
        site = self.site(node, array, "atomic")
        return ir.Atomic(
            dtype=array.dtype,
            line=site.line,
            op=op,
            array=array,
            index=index,
            values=values,
            site=site,
        )

    def _shuffle(self, node: ast.Call, name: str) -> ir.Expr:
        kind = {"shfl_sync": "idx"}.get(name) or name.split("_")[1]
        width = 32
        for key in node.keywords:
            value = self._python_value(key.value)
            if key.arg != "width" or value not in (2, 4, 8, 16, 32):
                self.source.error(node, f"{name} has width=, one of 2, 4, 8, 16 and 32")
            width = value
        if len(node.args) != 3:
            self.source.error(node, f"{name} takes a mask, a value and a lane")
        mask, lane = self._mask(node.args[0]), self.integer(node.args[2], "a lane")
        value = self.expression(node.args[1])
        value = self.cast(value, types.INT32 if value.dtype.itemsize < 4 else value.dtype)
        return ir.Shuffle(
            dtype=value.dtype, line=self.source.line(node), kind=kind, mask=mask, value=value,
            lane=self.cast(lane, types.INT32), width=width,
        )  # fmt: skip


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


def _number(value: Any, dtype: np.dtype[Any]) -> Any:
    """A Python number rounded and wrapped to `dtype`, as a plain Python number again."""
    if dtype == types.BOOL:
        return bool(value)
    if dtype.kind in "iu":
        bits = dtype.itemsize * 8
        whole = int(value) & ((1 << bits) - 1)
        return whole - (1 << bits) if dtype.kind == "i" and whole >> (bits - 1) else whole
    with np.errstate(over="ignore"):
        return float(dtype.type(value))


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""


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
