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
        `strided`  a[i · row_step + k · column_step]: rearranged, or a matrix as it is, turned or not
        `gathered` a[starts[i] + where[k]]: rows and columns that lie anywhere
    B   `strided`  b[k · step + j]: packed, or the rows of a matrix as they are
        `shifted`  b[starts[k] + j]: rows that begin anywhere, as the shifted images of a convolution
    C   `strided`  c[i · step + j]
        `rows`     c[starts[i] + j]: rows that begin anywhere

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

__all__ = [
    "LANES",
    "ROWS",
    "VECTORS",
    "advance",
    "at",
    "copy",
    "copy_row",
    "dots",
    "merge_row",
    "scale_row",
    "split_row",
    "tile",
    "transpose_block",
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


@intrinsic
def advance(typingctx: Any, address: Any, count: Any) -> Any:
    """The address of the number `count` after the one at `address`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return address(address, types.int64), codegen


def tile(
    vectors: int, a_form: str, b_form: str, c_form: str = "strided", rows: int = ROWS
) -> Callable[..., None]:
    """The intrinsic `tile(a, a_where, b, b_starts_or_step, count, c, c_starts_or_step, add)`.

    It computes the rows × (vectors · LANES) tile Σₖ a[:, k] · b[k, :] over `count` steps of k, and
    stores it at `c`: adding to what is there if `add`, else over it. `a_where` is the pair (row_step,
    column_step) where a_form is "strided", and a pair of pointers, to the offsets of rows and of columns,
    where it is "gathered"; else it is not looked at.
    """

    def typed(typingctx, a, a_where, b, b_where, count, c, c_step, add):  # type: ignore[no-untyped-def]
        pointer = types.CPointer(types.float32)
        offsets = types.CPointer(types.int64)
        pairs = {"strided": types.int64, "gathered": offsets}
        signature = types.void(
            pointer,
            types.UniTuple(pairs[a_form], 2) if a_form in pairs else types.int64,
            pointer,
            offsets if b_form == "shifted" else types.int64,
            types.int64,
            pointer,
            offsets if c_form == "rows" else types.int64,
            types.boolean,
        )
        return signature, codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        a, a_where, b, b_where, count, c, c_where, add = args
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_vector, [_vector] * 3), f"llvm.fma.v{LANES}f32"
        )
        cells = [(i, v) for i in range(rows) for v in range(vectors)]
        row, along = [], None
        if a_form != "packed":
            down, along = (builder.extract_value(a_where, i) for i in range(2))
            row = [
                builder.gep(
                    a,
                    [
                        builder.mul(down, _int(i))
                        if a_form == "strided"
                        else builder.load(builder.gep(down, [_int(i)]))
                    ],
                )
                for i in range(rows)
            ]
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
        # Nothing is loaded for the next step before this one has been computed: two steps at once, as LLVM
        # would have them, need more registers than there are.
        builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], True)
        if b_form == "shifted":
            b_row = builder.gep(b, [builder.load(builder.gep(b_where, [k]))])
        else:
            b_row = builder.gep(b, [builder.mul(k, b_where)])
        b_vectors = [_load(builder, builder.gep(b_row, [_int(v * LANES)])) for v in range(vectors)]
        if a_form == "packed":
            column = builder.gep(a, [builder.mul(k, _int(rows))])
            numbers = [builder.gep(column, [_int(i)]) for i in range(rows)]
        elif a_form == "strided":
            numbers = [builder.gep(start, [builder.mul(k, along)]) for start in row]
        else:
            offset = builder.load(builder.gep(along, [k]))
            numbers = [builder.gep(start, [offset]) for start in row]
        new = {}
        for i in range(rows):
            number = _broadcast(builder, builder.load(numbers[i]))
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
                        start = (
                            builder.load(builder.gep(c_where, [_int(i)]))
                            if c_form == "rows"
                            else builder.mul(c_where, _int(i))
                        )
                        place = builder.gep(c, [builder.add(start, _int(v * LANES))])
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


def dots(rows: int) -> Callable[..., None]:
    """The intrinsic `dots(a, a_starts, b, count, c)`: c[i] = Σₖ a[a_starts[i] + k] · b[k] for i < rows.

    count is a whole number of vectors, each of whose lanes adds up its own part.
    """

    def typed(typingctx, a, a_starts, b, count, c):  # type: ignore[no-untyped-def]
        pointer = types.CPointer(types.float32)
        offsets = types.CPointer(types.int64)
        return types.void(pointer, offsets, pointer, types.int64, pointer), codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        a, a_starts, b, count, c = args
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_vector, [_vector] * 3), f"llvm.fma.v{LANES}f32"
        )
        add_up = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(_f32, [_f32, _vector]),
            f"llvm.vector.reduce.fadd.v{LANES}f32",
        )
        starts = [builder.load(builder.gep(a_starts, [_int(i)])) for i in range(rows)]
        row = [builder.gep(a, [start]) for start in starts]
        sums = [cgutils.alloca_once(builder, _vector) for _ in range(rows)]
        for place in sums:
            builder.store(ir.Constant(_vector, None), place)
        with cgutils.for_range_slice(builder, _int(0), count, _int(LANES)) as (k, _):
            factor = _load(builder, builder.gep(b, [k]))
            for i in range(rows):
                value = _load(builder, builder.gep(row[i], [k]))
                builder.store(
                    builder.call(multiply_add, [value, factor, builder.load(sums[i])]), sums[i]
                )
        for i in range(rows):
            total = builder.call(
                add_up, [ir.Constant(_f32, 0.0), builder.load(sums[i])], fastmath=("reassoc",)
            )
            builder.store(total, builder.gep(c, [_int(i)]))
        return context.get_dummy_value()

    return intrinsic(typed)


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


class _Masked:
    """Loads and stores of vectors of which only the first so many lanes exist."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder
        address, bits = _vector.as_pointer(), ir.VectorType(ir.IntType(1), LANES)
        self._load = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(_vector, [address, ir.IntType(32), bits, _vector]),
            f"llvm.masked.load.v{LANES}f32.p0",
        )
        self._store = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [_vector, address, ir.IntType(32), bits]),
            f"llvm.masked.store.v{LANES}f32.p0",
        )

    def mask(self, count: Any) -> Any:
        """Which lanes are below `count`."""
        i32 = ir.IntType(32)
        lanes = ir.Constant(ir.VectorType(i32, LANES), list(range(LANES)))
        first = self.builder.insert_element(
            ir.Constant(lanes.type, ir.Undefined), self.builder.trunc(count, i32), _int(0)
        )
        everywhere = self.builder.shuffle_vector(
            first, first, ir.Constant(ir.VectorType(i32, LANES), [0] * LANES)
        )
        return self.builder.icmp_signed("<", lanes, everywhere)

    def load(self, pointer: Any, mask: Any) -> Any:
        here = self.builder.bitcast(pointer, _vector.as_pointer())
        zero = ir.Constant(_vector, None)
        return self.builder.call(self._load, [here, ir.Constant(ir.IntType(32), 4), mask, zero])

    def store(self, value: Any, pointer: Any, mask: Any) -> None:
        there = self.builder.bitcast(pointer, _vector.as_pointer())
        self.builder.call(self._store, [value, there, ir.Constant(ir.IntType(32), 4), mask])


def _whole_and_rest(builder: ir.IRBuilder, count: Any, unit: int, whole: Any, rest: Any) -> None:
    """`whole(i)` for every `unit` of the count, then `rest(i)` if there is something left."""
    end = builder.and_(count, _int(-unit))
    with cgutils.for_range_slice(builder, _int(0), end, _int(unit)) as (i, _):
        whole(i)
    with builder.if_then(builder.icmp_signed("<", end, count)):
        rest(builder.select(builder.icmp_signed("<", end, _int(0)), _int(0), end))


@intrinsic
def copy_row(typingctx, source, target, count, plus):  # type: ignore[no-untyped-def]
    """target[:count] = source[:count] + plus, a vector at a time; the last one is masked.

    A loop over the few numbers of a picture's row spends most of its time on starting and ending.
    """
    pointer = types.CPointer(types.float32)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, target, count, plus = args
        masked = _Masked(builder)
        added = _broadcast(builder, plus)

        def whole(i: Any) -> None:
            value = _load(builder, builder.gep(source, [i]))
            _store(builder, builder.fadd(value, added), builder.gep(target, [i]))

        def rest(i: Any) -> None:
            mask = masked.mask(builder.sub(count, i))
            value = masked.load(builder.gep(source, [i]), mask)
            masked.store(builder.fadd(value, added), builder.gep(target, [i]), mask)

        _whole_and_rest(builder, count, LANES, whole, rest)
        return context.get_dummy_value()

    return types.void(pointer, pointer, types.int64, types.float32), codegen


@intrinsic
def scale_row(typingctx, source, target, count, factor, add):  # type: ignore[no-untyped-def]
    """target[:count] = source[:count] · factor, added to what is there if `add`; as `copy_row`."""
    pointer = types.CPointer(types.float32)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, target, count, factor, add = args
        masked = _Masked(builder)
        by, adds = _broadcast(builder, factor), cgutils.as_bool_bit(builder, add)
        nothing = ir.Constant(_vector, [-0.0] * LANES)

        def result(value: Any, so_far: Any) -> Any:
            start = builder.select(adds, so_far, nothing)
            return builder.fadd(builder.fmul(value, by), start)

        def whole(i: Any) -> None:
            here, there = builder.gep(source, [i]), builder.gep(target, [i])
            _store(builder, result(_load(builder, here), _load(builder, there)), there)

        def rest(i: Any) -> None:
            mask = masked.mask(builder.sub(count, i))
            here, there = builder.gep(source, [i]), builder.gep(target, [i])
            masked.store(result(masked.load(here, mask), masked.load(there, mask)), there, mask)

        _whole_and_rest(builder, count, LANES, whole, rest)
        return context.get_dummy_value()

    return types.void(pointer, pointer, types.int64, types.float32, types.boolean), codegen


@intrinsic
def split_row(typingctx, source, count, evens, odds):  # type: ignore[no-untyped-def]
    """evens[i] = source[2i] and odds[i] = source[2i + 1], of `count` pairs."""
    pointer = types.CPointer(types.float32)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, count, evens, odds = args
        masked = _Masked(builder)

        def pairs(first: Any, second: Any) -> list[Any]:
            kind = ir.VectorType(ir.IntType(32), LANES)
            return [
                builder.shuffle_vector(
                    first, second, ir.Constant(kind, list(range(which, 2 * LANES, 2)))
                )
                for which in (0, 1)
            ]

        def whole(i: Any) -> None:
            place = builder.mul(i, _int(2))
            first = _load(builder, builder.gep(source, [place]))
            second = _load(builder, builder.gep(source, [builder.add(place, _int(LANES))]))
            for value, target in zip(pairs(first, second), (evens, odds), strict=True):
                _store(builder, value, builder.gep(target, [i]))

        def rest(i: Any) -> None:
            left = builder.sub(count, i)
            twice, place = builder.mul(left, _int(2)), builder.mul(i, _int(2))
            first = masked.load(builder.gep(source, [place]), masked.mask(twice))
            second = masked.load(
                builder.gep(source, [builder.add(place, _int(LANES))]),
                masked.mask(builder.sub(twice, _int(LANES))),
            )
            for value, target in zip(pairs(first, second), (evens, odds), strict=True):
                masked.store(value, builder.gep(target, [i]), masked.mask(left))

        _whole_and_rest(builder, count, LANES, whole, rest)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, pointer, pointer), codegen


@intrinsic
def merge_row(typingctx, evens, odds, target, count, plus):  # type: ignore[no-untyped-def]
    """target[2i] = evens[i] + plus and target[2i + 1] = odds[i] + plus, of `count` pairs."""
    pointer = types.CPointer(types.float32)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        evens, odds, target, count, plus = args
        masked = _Masked(builder)
        added = _broadcast(builder, plus)

        def mixed(first: Any, second: Any) -> list[Any]:
            kind = ir.VectorType(ir.IntType(32), LANES)
            order = [i // 2 + i % 2 * LANES for i in range(2 * LANES)]
            return [
                builder.fadd(builder.shuffle_vector(first, second, ir.Constant(kind, half)), added)
                for half in (order[:LANES], order[LANES:])
            ]

        def whole(i: Any) -> None:
            place = builder.mul(i, _int(2))
            values = [_load(builder, builder.gep(row, [i])) for row in (evens, odds)]
            for half, value in enumerate(mixed(*values)):
                there = builder.gep(target, [builder.add(place, _int(half * LANES))])
                _store(builder, value, there)

        def rest(i: Any) -> None:
            left = builder.sub(count, i)
            twice, place = builder.mul(left, _int(2)), builder.mul(i, _int(2))
            mask = masked.mask(left)
            values = [masked.load(builder.gep(row, [i]), mask) for row in (evens, odds)]
            for half, value in enumerate(mixed(*values)):
                there = builder.gep(target, [builder.add(place, _int(half * LANES))])
                masked.store(value, there, masked.mask(builder.sub(twice, _int(half * LANES))))

        _whole_and_rest(builder, count, LANES, whole, rest)
        return context.get_dummy_value()

    return types.void(pointer, pointer, pointer, types.int64, types.float32), codegen
