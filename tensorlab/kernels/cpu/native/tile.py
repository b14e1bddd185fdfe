"""The micro-kernel: one tile of a matrix product, held in the vector registers of the machine.

A product C = A · B is made of tiles of C, ROWS high and `lanes · vectors` wide. All of a tile stays in
registers while k runs: each step loads a few vectors of a row of B, takes ROWS numbers of a column of
A, and adds their outer product. Each number that is loaded is so used many times, and the processor's
multipliers, not its memory, set the pace (K. Goto, R. van de Geijn, "Anatomy of high-performance matrix
multiplication", ACM TOMS 34, 2008).

LLVM vectorises loops, but it does not keep a tile in registers by itself. So the instructions are
written here, with llvmlite, and inserted into Numba functions as intrinsics. Where the operands lie is
the difference between the uses:

    A   `packed`   a[k · ROWS + i]: rearranged before, so that a step reads ROWS neighbours
        `rows`     a[starts[i] + k]: rows that begin anywhere; nothing is rearranged
    B   `strided`  b[k · step + j]: packed, or the rows of a matrix as they are
        `shifted`  b[starts[k] + j]: rows that begin anywhere, as the shifted images of a convolution

Addresses are `at(array, index)`. Nothing checks bounds here: callers see to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LANES", "ROWS", "VECTORS", "at", "copy", "copy_row", "tile", "transpose_block"]


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


#: Numbers in a vector, rows in a tile, and the most vectors beside each other in a tile.
LANES, ROWS = _machine()
VECTORS = 3

_f32 = ir.FloatType()
_i64 = ir.IntType(64)
_vector = ir.VectorType(_f32, LANES)


def _int(value: int) -> ir.Constant:
    return ir.Constant(_i64, value)


def _load(builder: ir.IRBuilder, pointer: Any, vector: ir.Type = _vector) -> Any:
    found = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    found.align = 4  # type: ignore[assignment] # of one number: no more is known
    return found


def _store(builder: ir.IRBuilder, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer())).align = 4  # type: ignore[attr-defined]


@intrinsic
def at(typingctx: Any, array: Any, index: Any) -> Any:
    """The address of `array[index]` of a contiguous array, counted in elements."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.gep(data, [context.cast(builder, args[1], signature.args[1], types.int64)])

    return types.CPointer(array.dtype)(array, index), codegen


def tile(vectors: int, a_form: str, b_form: str) -> Callable[..., None]:
    """The intrinsic `tile(a, a_starts, b, b_starts_or_step, count, c, c_step, add)`.

    It computes the ROWS × (vectors · LANES) tile Σₖ a[:, k] · b[k, :] over `count` steps of k, and
    stores it at `c`, whose rows are `c_step` apart: adding to what is there if `add`, else over it.
    `a_starts` is a pointer to ROWS offsets where a_form is "rows"; else it is not looked at.
    """

    def typed(typingctx, a, a_starts, b, b_where, count, c, c_step, add):  # type: ignore[no-untyped-def]
        pointer = types.CPointer(types.float32)
        offsets = types.CPointer(types.int64)
        where = offsets if b_form == "shifted" else types.int64
        rows = offsets if a_form == "rows" else types.int64
        signature = types.void(
            pointer, rows, pointer, where, types.int64, pointer, types.int64, types.boolean
        )
        return signature, codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        a, a_starts, b, b_where, count, c, c_step, add = args
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_vector, [_vector] * 3), f"llvm.fma.v{LANES}f32"
        )
        cells = [(i, v) for i in range(ROWS) for v in range(vectors)]
        row = []
        if a_form == "rows":
            starts = [builder.load(builder.gep(a_starts, [_int(i)])) for i in range(ROWS)]
            row = [builder.gep(a, [start]) for start in starts]
        before, step, after = (
            builder.block,
            builder.append_basic_block("step"),
            builder.append_basic_block("after"),
        )
        zero = ir.Constant(_vector, None)
        builder.cbranch(builder.icmp_signed(">", count, _int(0)), step, after)

        builder.position_at_end(step)
        k = builder.phi(_i64)
        k.add_incoming(_int(0), before)
        sums = {cell: builder.phi(_vector) for cell in cells}
        for phi in sums.values():
            phi.add_incoming(zero, before)
        if b_form == "shifted":
            b_row = builder.gep(b, [builder.load(builder.gep(b_where, [k]))])
        else:
            b_row = builder.gep(b, [builder.mul(k, b_where)])
        b_vectors = [_load(builder, builder.gep(b_row, [_int(v * LANES)])) for v in range(vectors)]
        column = builder.gep(a, [builder.mul(k, _int(ROWS))])  # of packed panels
        new = {}
        for i in range(ROWS):
            where = (
                builder.gep(column, [_int(i)]) if a_form == "packed" else builder.gep(row[i], [k])
            )
            number = _broadcast(builder, builder.load(where))
            for v in range(vectors):
                new[i, v] = builder.call(multiply_add, [number, b_vectors[v], sums[i, v]])
        following = builder.add(k, _int(1))
        k.add_incoming(following, step)
        for cell in cells:
            sums[cell].add_incoming(new[cell], step)
        builder.cbranch(builder.icmp_signed("<", following, count), step, after)

        builder.position_at_end(after)
        total = {}
        for cell in cells:
            total[cell] = builder.phi(_vector)
            total[cell].add_incoming(zero, before)
            total[cell].add_incoming(new[cell], step)
        with builder.if_else(cgutils.as_bool_bit(builder, add)) as (then, otherwise):
            for branch, adding in ((then, True), (otherwise, False)):
                with branch:
                    for i, v in cells:
                        place = builder.gep(
                            c, [builder.add(builder.mul(c_step, _int(i)), _int(v * LANES))]
                        )
                        value = total[i, v]
                        if adding:
                            value = builder.fadd(_load(builder, place), value)
                        _store(builder, value, place)
        return context.get_dummy_value()

    return intrinsic(typed)


def _broadcast(builder: ir.IRBuilder, number: Any) -> Any:
    """A vector of one number in every lane."""
    nothing = ir.Constant(_vector, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, nothing, lanes)


def transpose_block(size: int) -> Callable[..., None]:
    """The intrinsic `transpose(source, source_step, target, target_step)` of a size × size block.

    `target[j · target_step + i] = source[i · source_step + j]`. The rows are loaded as vectors, and
    log₂(size) rounds exchange halves of pairs of them: of rows 1 apart, 2 apart, and so on.
    """
    row = ir.VectorType(_f32, size)
    indices = ir.VectorType(ir.IntType(32), size)

    def typed(typingctx, source, source_step, target, target_step):  # type: ignore[no-untyped-def]
        pointer = types.CPointer(types.float32)
        return types.void(pointer, types.int64, pointer, types.int64), codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, source_step, target, target_step = args
        rows = [
            _load(builder, builder.gep(source, [builder.mul(source_step, _int(i))]), row)
            for i in range(size)
        ]
        apart = 1
        while apart < size:
            # Bit `apart` of the row number changes places with that bit of the column number.
            low = [j if not j & apart else size + j - apart for j in range(size)]
            high = [j + apart if not j & apart else size + j for j in range(size)]
            for i in range(size):
                if not i & apart:
                    x, y = rows[i], rows[i + apart]
                    rows[i] = builder.shuffle_vector(x, y, ir.Constant(indices, low))
                    rows[i + apart] = builder.shuffle_vector(x, y, ir.Constant(indices, high))
            apart *= 2
        for j in range(size):
            _store(builder, rows[j], builder.gep(target, [builder.mul(target_step, _int(j))]))
        return context.get_dummy_value()

    return intrinsic(typed)


def copy(size: int) -> Callable[..., None]:
    """The intrinsic `copy(source, target)` of `size` neighbours, as one vector."""
    row = ir.VectorType(_f32, size)

    def typed(typingctx, source, target):  # type: ignore[no-untyped-def]
        pointer = types.CPointer(types.float32)
        return types.void(pointer, pointer), codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        _store(builder, _load(builder, args[0], row), args[1])
        return context.get_dummy_value()

    return intrinsic(typed)


@intrinsic
def copy_row(typingctx, source, target, count, plus):  # type: ignore[no-untyped-def]
    """target[:count] = source[:count] + plus, a vector at a time; the last one is masked.

    A loop over the few numbers of a picture's row spends most of its time on starting and ending.
    """
    pointer = types.CPointer(types.float32)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, target, count, plus = args
        mask_type = ir.VectorType(ir.IntType(1), LANES)
        address = _vector.as_pointer()
        load = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(_vector, [address, ir.IntType(32), mask_type, _vector]),
            f"llvm.masked.load.v{LANES}f32.p0",
        )
        store = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [_vector, address, ir.IntType(32), mask_type]),
            f"llvm.masked.store.v{LANES}f32.p0",
        )
        lanes = ir.Constant(ir.VectorType(_i64, LANES), list(range(LANES)))
        aligned = ir.Constant(ir.IntType(32), 4)
        added = _broadcast(builder, plus)
        with cgutils.for_range_slice(builder, _int(0), count, _int(LANES)) as (i, _):
            left = builder.insert_element(
                ir.Constant(lanes.type, ir.Undefined), builder.sub(count, i), _int(0)
            )
            left = builder.shuffle_vector(
                left, left, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            )
            mask = builder.icmp_signed("<", lanes, left)
            here = builder.bitcast(builder.gep(source, [i]), address)
            there = builder.bitcast(builder.gep(target, [i]), address)
            value = builder.call(load, [here, aligned, mask, ir.Constant(_vector, None)])
            builder.call(store, [builder.fadd(value, added), there, aligned, mask])
        return context.get_dummy_value()

    return types.void(pointer, pointer, types.int64, types.float32), codegen
