"""Vectors in code that is being built: how long they are on this machine, how they are loaded, stored and masked.

Intrinsics (see `tile` and `sliding`) are written with these. Addresses are of single numbers, and aligned as such.
"""

from __future__ import annotations

import os
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils

__all__ = [
    "F32",
    "I64",
    "LANES",
    "ROWS",
    "VECTOR",
    "Masked",
    "add_up",
    "broadcast",
    "integer",
    "load",
    "multiply_add",
    "store",
    "whole_and_rest",
]


def _machine() -> tuple[int, int]:
    """Float32 numbers in a vector register, and the rows of a tile that fit the registers.

    TENSORLAB_LANES=8 or 4 chooses the tile of a processor with shorter vectors, to try on this one
    what runs there.
    """
    asked = os.environ.get("TENSORLAB_LANES")
    if asked:
        if asked not in ("4", "8", "16"):
            raise ValueError(f"TENSORLAB_LANES must be 4, 8 or 16, but is {asked!r}")
        return int(asked), 8 if asked == "16" else 4
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16, 8  # 32 registers: 24 of the tile, 3 of B, the rest for A
    if features.get("avx2") and features.get("fma"):
        return 8, 4  # 16 registers: 12, 3, 1
    if binding.get_process_triple().startswith(("aarch64", "arm64")):
        return 4, 8  # 32 registers
    return 4, 4


#: Numbers in a vector, and rows in a tile.
LANES, ROWS = _machine()

F32 = ir.FloatType()
I64 = ir.IntType(64)
VECTOR = ir.VectorType(F32, LANES)
_I32 = ir.IntType(32)
_NUMBERS = ir.Constant(ir.VectorType(_I32, LANES), list(range(LANES)))


def integer(value: int) -> ir.Constant:
    return ir.Constant(I64, value)


def load(builder: ir.IRBuilder, pointer: Any, vector: ir.Type = VECTOR) -> Any:
    found = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    found.align = 4  # type: ignore[assignment] # of one number: no more is known
    return found


def store(builder: ir.IRBuilder, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer())).align = 4  # type: ignore[attr-defined]


def broadcast(builder: ir.IRBuilder, number: Any) -> Any:
    """A vector of one number, of whatever type, in every lane."""
    nothing = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_NUMBERS.type, [0] * LANES))


def multiply_add(builder: ir.IRBuilder, x: Any, y: Any, z: Any) -> Any:
    """x · y + z, rounded once."""
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32"
    )
    return builder.call(function, [x, y, z])


def add_up(builder: ir.IRBuilder, vector: Any) -> Any:
    """The sum of the numbers in a vector, in whatever order is fastest."""
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(F32, [F32, VECTOR]), f"llvm.vector.reduce.fadd.v{LANES}f32"
    )
    return builder.call(function, [ir.Constant(F32, -0.0), vector], fastmath=("reassoc",))


class Masked:
    """Loads and stores of vectors of which only some lanes exist."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder
        address, bits = VECTOR.as_pointer(), ir.VectorType(ir.IntType(1), LANES)
        self._load = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(VECTOR, [address, ir.IntType(32), bits, VECTOR]),
            f"llvm.masked.load.v{LANES}f32.p0",
        )
        self._store = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [VECTOR, address, ir.IntType(32), bits]),
            f"llvm.masked.store.v{LANES}f32.p0",
        )

    def mask(self, count: Any) -> Any:
        """Which lanes are below `count`."""
        return self.builder.icmp_signed("<", _NUMBERS, self._everywhere(count))

    def between(self, first: Any, count: Any) -> Any:
        """Which numbers are in 0…`count`, if `first` is that of the first lane."""
        number = self.builder.add(_NUMBERS, self._everywhere(first))
        # Numbers below 0 are large ones if they have no sign.
        return self.builder.icmp_unsigned("<", number, self._everywhere(count))

    def _everywhere(self, number: Any) -> Any:
        return broadcast(self.builder, self.builder.trunc(number, _I32))

    def load(self, pointer: Any, mask: Any) -> Any:
        here = self.builder.bitcast(pointer, VECTOR.as_pointer())
        zero = ir.Constant(VECTOR, None)
        return self.builder.call(self._load, [here, ir.Constant(ir.IntType(32), 4), mask, zero])

    def store(self, value: Any, pointer: Any, mask: Any) -> None:
        there = self.builder.bitcast(pointer, VECTOR.as_pointer())
        self.builder.call(self._store, [value, there, ir.Constant(ir.IntType(32), 4), mask])


def whole_and_rest(builder: ir.IRBuilder, count: Any, unit: int, whole: Any, rest: Any) -> None:
    """`whole(i)` for every `unit` of the count, then `rest(i)` if there is something left."""
    end = builder.and_(count, integer(-unit))
    with cgutils.for_range_slice(builder, integer(0), end, integer(unit)) as (i, _):
        whole(i)
    with builder.if_then(builder.icmp_signed("<", end, count)):
        rest(builder.select(builder.icmp_signed("<", end, integer(0)), integer(0), end))
