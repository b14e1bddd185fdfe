"""What a kernel calls: its words, functions of numbers, device functions."""

from __future__ import annotations

import ast
import math
from typing import Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit import _types as types
from tensorlab.cuda.jit import language as words
from tensorlab.cuda.jit._elements import Elements
from tensorlab.cuda.jit._names import as_dtype, number
from tensorlab.cuda.jit._source import Source

__all__ = ["Calls"]

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

_FULL = 0xFFFFFFFF
_ATOMIC_DTYPES = {
    "add": "int32 uint32 int64 uint64 float32 float64",
    "sub": "int32 uint32",
    "exch": "int32 uint32 int64 uint64 float32",
    **dict.fromkeys(
        ("max", "min", "cas", "and", "or", "xor"), "int32 uint32 int64 uint64"
    ),
}  # fmt: skip


class Calls(Elements):
    """Reads what stands before round brackets, and what stands in them."""

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
            made = number(value.value, dtype)
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
