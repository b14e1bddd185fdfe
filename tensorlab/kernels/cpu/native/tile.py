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

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tensorlab.kernels.cpu.native.lanes import (
    F32,
    I64,
    LANES,
    ROWS,
    VECTOR,
    Masked,
    add_up,
    broadcast,
    integer,
    load,
    multiply_add,
    store,
    whole_and_rest,
)

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


#: The most vectors beside each other in a tile.
VECTORS = 3


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


#: How A, B and C may lie.
_FORMS = ("packed", "strided", "gathered"), ("strided", "shifted"), ("strided", "rows")


def tile(
    vectors: int, a_form: str, b_form: str, c_form: str = "strided", rows: int = ROWS
) -> Callable[..., None]:
    """The intrinsic `tile(a, a_where, b, b_starts_or_step, count, c, c_starts_or_step, add)`.

    It computes the rows × (vectors · LANES) tile Σₖ a[:, k] · b[k, :] over `count` steps of k, and
    stores it at `c`: adding to what is there if `add`, else over it. `a_where` is the pair (row_step,
    column_step) where a_form is "strided", and a pair of pointers, to the offsets of rows and of columns,
    where it is "gathered"; else it is not looked at.
    """
    for name, form, known in zip("ABC", (a_form, b_form, c_form), _FORMS, strict=True):
        if form not in known:
            raise ValueError(f"{name} of a tile lies in one of the forms {known}, not {form!r}")

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
        cells = [(i, v) for i in range(rows) for v in range(vectors)]
        row, along = [], None
        if a_form != "packed":
            down, along = (builder.extract_value(a_where, i) for i in range(2))
            row = [
                builder.gep(
                    a,
                    [
                        builder.mul(down, integer(i))
                        if a_form == "strided"
                        else builder.load(builder.gep(down, [integer(i)]))
                    ],
                )
                for i in range(rows)
            ]
        before, step, after = (
            builder.block,
            builder.append_basic_block("step"),
            builder.append_basic_block("after"),
        )
        zero = ir.Constant(VECTOR, None)
        builder.cbranch(builder.icmp_signed(">", count, integer(0)), step, after)

        builder.position_at_end(step)
        k = builder.phi(I64)
        k.add_incoming(integer(0), before)
        sums = {cell: builder.phi(VECTOR) for cell in cells}
        for phi in sums.values():
            phi.add_incoming(zero, before)
        # Nothing is loaded for the next step before this one has been computed: two steps at once, as LLVM
        # would have them, need more registers than there are.
        builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], True)
        if b_form == "shifted":
            b_row = builder.gep(b, [builder.load(builder.gep(b_where, [k]))])
        else:
            b_row = builder.gep(b, [builder.mul(k, b_where)])
        b_vectors = [
            load(builder, builder.gep(b_row, [integer(v * LANES)])) for v in range(vectors)
        ]
        if a_form == "packed":
            column = builder.gep(a, [builder.mul(k, integer(rows))])
            numbers = [builder.gep(column, [integer(i)]) for i in range(rows)]
        elif a_form == "strided":
            numbers = [builder.gep(start, [builder.mul(k, along)]) for start in row]
        else:
            offset = builder.load(builder.gep(along, [k]))
            numbers = [builder.gep(start, [offset]) for start in row]
        new = {}
        for i in range(rows):
            number = broadcast(builder, builder.load(numbers[i]))
            for v in range(vectors):
                new[i, v] = multiply_add(builder, number, b_vectors[v], sums[i, v])
        following = builder.add(k, integer(1))
        k.add_incoming(following, step)
        for cell in cells:
            sums[cell].add_incoming(new[cell], step)
        builder.cbranch(builder.icmp_signed("<", following, count), step, after)

        builder.position_at_end(after)
        total = {}
        for cell in cells:
            total[cell] = builder.phi(VECTOR)
            total[cell].add_incoming(zero, before)
            total[cell].add_incoming(new[cell], step)
        with builder.if_else(cgutils.as_bool_bit(builder, add)) as (then, otherwise):
            for branch, adding in ((then, True), (otherwise, False)):
                with branch:
                    for i, v in cells:
                        start = (
                            builder.load(builder.gep(c_where, [integer(i)]))
                            if c_form == "rows"
                            else builder.mul(c_where, integer(i))
                        )
                        place = builder.gep(c, [builder.add(start, integer(v * LANES))])
                        value = total[i, v]
                        if adding:
                            value = builder.fadd(load(builder, place), value)
                        store(builder, value, place)
        return context.get_dummy_value()

    return intrinsic(typed)


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
        starts = [builder.load(builder.gep(a_starts, [integer(i)])) for i in range(rows)]
        row = [builder.gep(a, [start]) for start in starts]
        sums = [cgutils.alloca_once(builder, VECTOR) for _ in range(rows)]
        for place in sums:
            builder.store(ir.Constant(VECTOR, None), place)
        with cgutils.for_range_slice(builder, integer(0), count, integer(LANES)) as (k, _):
            factor = load(builder, builder.gep(b, [k]))
            for i in range(rows):
                value = load(builder, builder.gep(row[i], [k]))
                builder.store(multiply_add(builder, value, factor, builder.load(sums[i])), sums[i])
        for i in range(rows):
            total = add_up(builder, builder.load(sums[i]))
            builder.store(total, builder.gep(c, [integer(i)]))
        return context.get_dummy_value()

    return intrinsic(typed)


def transpose_block(size: int) -> Callable[..., None]:
    """The intrinsic `transpose(source, source_step, target, target_step)` of a size × size block.

    `target[j · target_step + i] = source[i · source_step + j]`. The rows are loaded as vectors, and
    log₂(size) rounds exchange halves of pairs of them: of rows 1 apart, 2 apart, and so on.
    """
    row = ir.VectorType(F32, size)
    indices = ir.VectorType(ir.IntType(32), size)

    def typed(typingctx, source, source_step, target, target_step):  # type: ignore[no-untyped-def]
        pointer = types.CPointer(types.float32)
        return types.void(pointer, types.int64, pointer, types.int64), codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, source_step, target, target_step = args
        rows = [
            load(builder, builder.gep(source, [builder.mul(source_step, integer(i))]), row)
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
            store(builder, rows[j], builder.gep(target, [builder.mul(target_step, integer(j))]))
        return context.get_dummy_value()

    return intrinsic(typed)


def copy(size: int) -> Callable[..., None]:
    """The intrinsic `copy(source, target)` of `size` neighbours, as one vector."""
    row = ir.VectorType(F32, size)

    def typed(typingctx, source, target):  # type: ignore[no-untyped-def]
        pointer = types.CPointer(types.float32)
        return types.void(pointer, pointer), codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        store(builder, load(builder, args[0], row), args[1])
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
        masked = Masked(builder)
        added = broadcast(builder, plus)

        def whole(i: Any) -> None:
            value = load(builder, builder.gep(source, [i]))
            store(builder, builder.fadd(value, added), builder.gep(target, [i]))

        def rest(i: Any) -> None:
            mask = masked.mask(builder.sub(count, i))
            value = masked.load(builder.gep(source, [i]), mask)
            masked.store(builder.fadd(value, added), builder.gep(target, [i]), mask)

        whole_and_rest(builder, count, LANES, whole, rest)
        return context.get_dummy_value()

    return types.void(pointer, pointer, types.int64, types.float32), codegen


@intrinsic
def scale_row(typingctx, source, target, count, factor, add):  # type: ignore[no-untyped-def]
    """target[:count] = source[:count] · factor, added to what is there if `add`; as `copy_row`."""
    pointer = types.CPointer(types.float32)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, target, count, factor, add = args
        masked = Masked(builder)
        by, adds = broadcast(builder, factor), cgutils.as_bool_bit(builder, add)
        nothing = ir.Constant(VECTOR, [-0.0] * LANES)

        def result(value: Any, so_far: Any) -> Any:
            start = builder.select(adds, so_far, nothing)
            return builder.fadd(builder.fmul(value, by), start)

        def whole(i: Any) -> None:
            here, there = builder.gep(source, [i]), builder.gep(target, [i])
            store(builder, result(load(builder, here), load(builder, there)), there)

        def rest(i: Any) -> None:
            mask = masked.mask(builder.sub(count, i))
            here, there = builder.gep(source, [i]), builder.gep(target, [i])
            masked.store(result(masked.load(here, mask), masked.load(there, mask)), there, mask)

        whole_and_rest(builder, count, LANES, whole, rest)
        return context.get_dummy_value()

    return types.void(pointer, pointer, types.int64, types.float32, types.boolean), codegen


@intrinsic
def split_row(typingctx, source, count, evens, odds):  # type: ignore[no-untyped-def]
    """evens[i] = source[2i] and odds[i] = source[2i + 1], of `count` pairs."""
    pointer = types.CPointer(types.float32)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, count, evens, odds = args
        masked = Masked(builder)

        def pairs(first: Any, second: Any) -> list[Any]:
            kind = ir.VectorType(ir.IntType(32), LANES)
            return [
                builder.shuffle_vector(
                    first, second, ir.Constant(kind, list(range(which, 2 * LANES, 2)))
                )
                for which in (0, 1)
            ]

        def whole(i: Any) -> None:
            place = builder.mul(i, integer(2))
            first = load(builder, builder.gep(source, [place]))
            second = load(builder, builder.gep(source, [builder.add(place, integer(LANES))]))
            for value, target in zip(pairs(first, second), (evens, odds), strict=True):
                store(builder, value, builder.gep(target, [i]))

        def rest(i: Any) -> None:
            left = builder.sub(count, i)
            twice, place = builder.mul(left, integer(2)), builder.mul(i, integer(2))
            first = masked.load(builder.gep(source, [place]), masked.mask(twice))
            second = masked.load(
                builder.gep(source, [builder.add(place, integer(LANES))]),
                masked.mask(builder.sub(twice, integer(LANES))),
            )
            for value, target in zip(pairs(first, second), (evens, odds), strict=True):
                masked.store(value, builder.gep(target, [i]), masked.mask(left))

        whole_and_rest(builder, count, LANES, whole, rest)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, pointer, pointer), codegen


@intrinsic
def merge_row(typingctx, evens, odds, target, count, plus):  # type: ignore[no-untyped-def]
    """target[2i] = evens[i] + plus and target[2i + 1] = odds[i] + plus, of `count` pairs."""
    pointer = types.CPointer(types.float32)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        evens, odds, target, count, plus = args
        masked = Masked(builder)
        added = broadcast(builder, plus)

        def mixed(first: Any, second: Any) -> list[Any]:
            kind = ir.VectorType(ir.IntType(32), LANES)
            order = [i // 2 + i % 2 * LANES for i in range(2 * LANES)]
            return [
                builder.fadd(builder.shuffle_vector(first, second, ir.Constant(kind, half)), added)
                for half in (order[:LANES], order[LANES:])
            ]

        def whole(i: Any) -> None:
            place = builder.mul(i, integer(2))
            values = [load(builder, builder.gep(row, [i])) for row in (evens, odds)]
            for half, value in enumerate(mixed(*values)):
                there = builder.gep(target, [builder.add(place, integer(half * LANES))])
                store(builder, value, there)

        def rest(i: Any) -> None:
            left = builder.sub(count, i)
            twice, place = builder.mul(left, integer(2)), builder.mul(i, integer(2))
            mask = masked.mask(left)
            values = [masked.load(builder.gep(row, [i]), mask) for row in (evens, odds)]
            for half, value in enumerate(mixed(*values)):
                there = builder.gep(target, [builder.add(place, integer(half * LANES))])
                masked.store(value, there, masked.mask(builder.sub(twice, integer(half * LANES))))

        whole_and_rest(builder, count, LANES, whole, rest)
        return context.get_dummy_value()

    return types.void(pointer, pointer, pointer, types.int64, types.float32), codegen
