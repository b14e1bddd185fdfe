"""From a `Program` to what `cupyx.jit` compiles for the GPU: Python with all types written out.

`cupyx.jit` reads Python too, with rules of its own for types. Here every number is cast to the type
that the simulator gives it, so both compute the same. Names get a `v_` in front: what is a fine
name in Python (`new`, `double`) may be a word of C.
"""

from __future__ import annotations

import itertools
import linecache
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit import _types as types
from tensorlab.cuda.jit.report import Triple

__all__ = ["Translation", "compiled", "run", "translate"]

_serial = itertools.count()
_CUPY_NAMES = {"abs": "absolute"}


@dataclass(frozen=True)
class Translation:
    """The text of a kernel for `cupyx.jit`, its device functions first."""

    name: str
    text: str
    devices: tuple[str, ...]


def translate(program: ir.Program) -> Translation:
    """Write a program as Python for `cupyx.jit`; needs neither CuPy nor a GPU."""
    names: dict[int, str] = {}
    parts: list[str] = []
    for each in _called(program):
        names[id(each)] = f"d{len(names)}_{each.name}"
        parts.append(_Writer(each, names).function(names[id(each)]))
    name = f"k_{program.name}"
    parts.append(_Writer(program, names).function(name))
    return Translation(name, "\n\n".join(parts) + "\n", tuple(names.values()))


def _called(program: ir.Program) -> list[ir.Program]:
    """The device functions that a program calls, each after those that it calls itself."""
    found: list[ir.Program] = []
    for each in program.calls:
        found += [inner for inner in _called(each) if inner not in found]
        if each not in found:
            found.append(each)
    return found


def compiled(program: ir.Program) -> Any:
    """The kernel as an object of `cupyx.jit`; it compiles for the types it is first launched with."""
    import cupy  # pyright: ignore[reportMissingImports]
    import cupyx  # pyright: ignore[reportMissingImports]
    import cupyx.jit  # pyright: ignore[reportMissingImports]
    import cupyx.scipy.special  # pyright: ignore[reportMissingImports]

    from tensorlab.cuda.jit._cupyx_words import WORDS

    made = translate(program)
    # cupyx.jit reads the text of functions where Python's tracebacks do.
    file = f"<tensorlab.cuda.jit {made.name} {next(_serial)}>"
    linecache.cache[file] = (len(made.text), None, made.text.splitlines(keepends=True), file)
    names: dict[str, Any] = {
        "__name__": __name__,
        "tl_np": np,
        "tl_cp": cupy,
        "tl_jit": cupyx.jit,
        "tl_inf": float("inf"),
        "tl_nan": float("nan"),
        "tl_rsqrt": cupyx.rsqrt,
        "tl_erf": cupyx.scipy.special.erf,
        **{f"tl_{name}": word for name, word in WORDS.items()},
    }
    exec(compile(made.text, file, "exec"), names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # cupyx.jit calls itself experimental
        for name in made.devices:
            names[name] = cupyx.jit.rawkernel(device=True)(names[name])
        return cupyx.jit.rawkernel()(names[made.name])


def run(
    kept: dict[Any, Any], program: ir.Program, grid: Triple, block: Triple, args: Sequence[Any]
) -> None:
    """Launch a kernel on the GPU; `kept` holds what was compiled before."""
    key = id(program)
    if key not in kept:
        kept[key] = (program, compiled(program))  # the program too, so that its id stays its own
    values = [
        value if param.ndim is not None else param.dtype.type(value)
        for (_, param), value in zip(program.params, args, strict=True)
    ]
    arrays = [
        value
        for (_, param), value in zip(program.params, args, strict=True)
        if param.ndim is not None
    ]
    with arrays[0].device:  # the GPU that has the arrays, whichever is the current one
        kept[key][1](grid, block, tuple(values))


class _Writer:
    """Writes one function."""

    def __init__(self, program: ir.Program, names: dict[int, str]) -> None:
        self._program, self._names = program, names

    def function(self, name: str) -> str:
        params = ", ".join(f"v_{param}" for param, _ in self._program.params)
        lines = [f"def {name}({params}):"]
        for array in self._program.arrays.values():
            size = int(np.prod(array.shape))
            if array.space == "global" or array.name in dict(self._program.params):
                continue
            make = "tl_jit.shared_memory" if array.space == "shared" else "tl_local_array"
            lines.append(f"    v_{array.name} = {make}(tl_np.{array.dtype.name}, {size})")
        return "\n".join(lines + self._block(self._program.body, 1))

    def _block(self, body: Sequence[ir.Stmt], depth: int) -> list[str]:
        lines = [line for stmt in body for line in self._statement(stmt, depth)]
        return lines or ["    " * depth + "pass"]

    def _statement(self, stmt: ir.Stmt, depth: int) -> list[str]:
        indent = "    " * depth
        match stmt:
            case ir.Assign():
                return [f"{indent}v_{stmt.name} = {self._value(stmt.value)}"]
            case ir.Store():
                place = self._element(stmt.array, stmt.index)
                return [f"{indent}{place} = {self._value(stmt.value)}"]
            case ir.Evaluate():
                return [f"{indent}{self._value(stmt.value)}"]
            case ir.If():
                lines = [
                    f"{indent}if {self._value(stmt.test)}:",
                    *self._block(stmt.body, depth + 1),
                ]
                if stmt.orelse:
                    lines += [f"{indent}else:", *self._block(stmt.orelse, depth + 1)]
                return lines
            case ir.While():
                return [
                    f"{indent}while {self._value(stmt.test)}:",
                    *self._block(stmt.body, depth + 1),
                ]
            case ir.For():
                bounds = ", ".join(self._value(e) for e in (stmt.start, stmt.stop, stmt.step))
                head = f"{indent}for v_{stmt.name} in range({bounds}):"
                return [head, *self._block(stmt.body, depth + 1)]
            case ir.Return():
                value = "" if stmt.value is None else f" {self._value(stmt.value)}"
                return [f"{indent}return{value}"]
            case ir.Break():
                return [f"{indent}break"]
            case ir.Continue():
                return [f"{indent}continue"]
            case ir.Barrier():
                return [f"{indent}tl_jit.syncthreads()"]
            case ir.SyncWarp(mask=ir.Const(value=mask)):
                return [f"{indent}tl_syncwarp({mask})"]
        raise AssertionError(type(stmt))

    def _value(self, node: ir.Expr) -> str:
        match node:
            case ir.Const():
                return self._constant(node.value, node.dtype)
            case ir.Scalar() | ir.Local():
                return f"v_{node.name}"
            case ir.Special():
                return self._special(node.name, "xyz"[node.axis])
            case ir.Size():
                what = "size" if node.axis < 0 else f"shape[{node.axis}]"
                return f"tl_np.int32(v_{node.array.name}.{what})"
            case ir.Binary() | ir.Compare() | ir.Logic():
                return f"({self._value(node.left)} {node.op} {self._value(node.right)})"
            case ir.Unary():
                return f"({node.op} {self._value(node.value)})"
            case ir.Select():
                return f"({self._value(node.yes)} if {self._value(node.test)} else {self._value(node.no)})"
            case ir.Cast():
                return self._cast(node.dtype, self._value(node.value))
            case ir.Load():
                place = self._element(node.array, node.index)
                if node.array.dtype != node.dtype:  # float16 is computed in float32
                    return self._cast(node.dtype, place)
                return place
            case ir.Math():
                return self._math(node)
            case ir.Atomic():
                return self._atomic(node)
            case ir.Shuffle():
                return self._shuffle(node)
            case ir.Vote():
                return self._vote(node)
            case ir.Call():
                given = ", ".join(
                    f"v_{a.name}" if isinstance(a, ir.Array) else self._value(a) for a in node.args
                )
                return f"{self._names[id(node.program)]}({given})"
        raise AssertionError(type(node))

    @staticmethod
    def _cast(dtype: Any, code: str) -> str:
        name = "bool_" if dtype == types.BOOL else dtype.name
        return f"tl_np.{name}({code})"

    def _constant(self, value: Any, dtype: Any) -> str:
        if isinstance(value, float) and value != value:
            return self._cast(dtype, "tl_nan")
        if value in (float("inf"), -float("inf")):
            return self._cast(dtype, "tl_inf" if value > 0 else "-tl_inf")
        return self._cast(dtype, repr(value))

    @staticmethod
    def _special(name: str, axis: str) -> str:
        if name == "laneid":
            return "tl_np.int32(tl_jit.laneid())"
        block, dim = f"tl_jit.blockIdx.{axis}", f"tl_jit.blockDim.{axis}"
        code = {
            "grid": f"{block} * {dim} + tl_jit.threadIdx.{axis}",
            "gridsize": f"tl_jit.gridDim.{axis} * {dim}",
        }.get(name, f"tl_jit.{name}.{axis}")
        return f"tl_np.int32({code})"

    def _element(self, array: ir.Array, index: Sequence[ir.Expr]) -> str:
        return f"v_{array.name}[{self._index(array, index)}]"

    def _index(self, array: ir.Array, index: Sequence[ir.Expr]) -> str:
        if not array.shape or len(index) == 1:
            return ", ".join(map(self._value, index)) or "()"
        # Arrays of the block and the thread have one dimension there: rows lie one after another.
        code = self._value(index[0])
        for each, size in zip(index[1:], array.shape[1:], strict=True):
            code = f"({code}) * tl_np.int32({size}) + {self._value(each)}"
        return code

    def _math(self, node: ir.Math) -> str:
        args = ", ".join(map(self._value, node.args))
        if node.name in ("min", "max"):
            return f"{node.name}({args})"
        if node.name in ("rsqrt", "erf", "popc"):
            return f"tl_{node.name}({args})"
        return f"tl_cp.{_CUPY_NAMES.get(node.name, node.name)}({args})"

    def _atomic(self, node: ir.Atomic) -> str:
        own = "tl_" if node.dtype == types.INT64 else "tl_jit."
        index = self._index(node.array, node.index)
        if len(node.index) > 1 and not node.array.shape:
            index = f"({index})"
        values = ", ".join(map(self._value, node.values))
        return f"{own}atomic_{node.op}(v_{node.array.name}, {index}, {values})"

    def _shuffle(self, node: ir.Shuffle) -> str:
        assert isinstance(node.mask, ir.Const)
        name = "shfl_sync" if node.kind == "idx" else f"shfl_{node.kind}_sync"
        lane = self._value(node.lane)
        if node.kind in ("up", "down"):
            lane = f"tl_np.uint32({lane})"
        return f"tl_jit.{name}({node.mask.value}, {self._value(node.value)}, {lane}, width={node.width})"

    def _vote(self, node: ir.Vote) -> str:
        if node.value is None:
            return "tl_active()"
        assert isinstance(node.mask, ir.Const)
        return f"tl_{node.kind}({node.mask.value}, {self._value(node.value)})"
