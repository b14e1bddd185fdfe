"""A window that slides down over the rows of an image, all of whose numbers it needs being in registers.

A vector holds neighbouring pixels of one row. Each row is loaded once for each column of the window, and what is
loaded serves all rows of the window at once: as many rows of the result are under way as the window is high.
Lanes beyond the edges of the image are masked, so that there need be no zeros around it; rows beyond its edges
are passed over.

What the intrinsics here know of the image, in one order:

    x, step        the first row of the first window, from its first column on, and how far it is to the next row
    begin, end     which of the rows from there on exist
    apart          how far it is from one column of the window to the next
    left, width    the column of the image that `x` points to, perhaps before its first one, and how many it has
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tensorlab.kernels.cpu.native.lanes import (
    LANES,
    VECTOR,
    Masked,
    add_up,
    broadcast,
    integer,
    load,
    multiply_add,
    store,
)

_numbers, _int64 = types.CPointer(types.float32), types.int64
_IMAGE = (_numbers, *[_int64] * 6)


class _Rows:
    """The rows of an image in the code that is being built."""

    def __init__(self, builder: ir.IRBuilder, columns: int, given: Any) -> None:
        self.builder, self.masked = builder, Masked(builder)
        x, self.step, self.begin, self.end, self.apart, left, width = given
        self.x = _anew(builder, x)
        self.away = [builder.mul(self.apart, integer(j)) for j in range(columns)]
        self.masks = [self.masked.between(builder.add(left, away), width) for away in self.away]

    def exists(self, t: Any) -> Any:
        builder = self.builder
        return builder.and_(
            builder.icmp_signed(">=", t, self.begin), builder.icmp_signed("<", t, self.end)
        )

    def load(self, t: Any, j: int) -> Any:
        builder = self.builder
        place = builder.add(builder.mul(t, self.step), self.away[j])
        return self.masked.load(builder.gep(self.x, [place]), self.masks[j])


def _anew(builder: ir.IRBuilder, pointer: Any) -> Any:
    """The same pointer, of which LLVM does not know where it comes from.

    Else it keeps one for each row that a turn of the loop goes through, and counts up all of them, in memory,
    in the loops around it; which takes longer than to go over a small image.
    """
    kind = ir.FunctionType(pointer.type, [pointer.type])
    return builder.asm(kind, "", "=r,0", [pointer], False)


def _add_product(builder: ir.IRBuilder, x: Any, y: Any, place: Any) -> None:
    builder.store(multiply_add(builder, x, y, builder.load(place)), place)


def _move_on(builder: ir.IRBuilder, places: list[Any]) -> None:
    """Each number to the next place."""
    for i in range(len(places) - 1, 0, -1):
        builder.store(builder.load(places[i - 1]), places[i])


def slide(size: int) -> Callable[..., None]:
    """The intrinsic `slide(*image, w, plus, out, out_step, rows, columns)` for a window of size × size.

        out[r · out_step + c] = plus + Σᵢⱼ w[i · size + j] · x[(r + i) · step + c + j · apart]

    for r < rows, and the c < columns that fit a vector.
    """  # fmt: skip

    def typed(
        typingctx, x, step, begin, end, apart, left, width, w, plus, out, out_step, rows, columns
    ):  # type: ignore[no-untyped-def]
        given = (*_IMAGE, _numbers, types.float32, _numbers, _int64, _int64, _int64)
        return types.void(*given), codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        w, plus, out, out_step, rows, columns = args[7:]
        image = _Rows(builder, size, args[:7])
        factors = [
            broadcast(builder, builder.load(builder.gep(w, [integer(k)])))
            for k in range(size * size)
        ]
        out = _anew(builder, out)
        start, mask = broadcast(builder, plus), image.masked.mask(columns)
        # sums[i] is of the row of the result whose window is i rows above.
        sums = [cgutils.alloca_once_value(builder, start) for _ in range(size)]
        last = integer(size - 1)
        with cgutils.for_range(builder, builder.add(rows, last)) as loop:
            t = loop.index
            builder.store(start, sums[0])
            with builder.if_then(image.exists(t)):
                for j in range(size):
                    value = image.load(t, j)
                    for i in range(size):
                        _add_product(builder, value, factors[i * size + j], sums[i])
            with builder.if_then(builder.icmp_signed(">=", t, last)):
                row = builder.mul(builder.sub(t, last), out_step)
                image.masked.store(builder.load(sums[-1]), builder.gep(out, [row]), mask)
            _move_on(builder, sums)
        return context.get_dummy_value()

    return intrinsic(typed)


def slide_products(size: int, across: int) -> Callable[..., None]:
    """The intrinsic `slide_products(*image, y, y_step, rows, columns, sums)` for so many columns of a window.

        sums[i, j, c % LANES] += Σ y[r · y_step + c] · x[(r + i) · step + c + j · apart]

    over r < rows and the c < columns that fit a vector.
    """  # fmt: skip

    def typed(typingctx, x, step, begin, end, apart, left, width, y, y_step, rows, columns, sums):  # type: ignore[no-untyped-def]
        given = (*_IMAGE, _numbers, _int64, _int64, _int64, _numbers)
        return types.void(*given), codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        y, y_step, rows, columns, sums = args[7:]
        image, y = _Rows(builder, across, args[:7]), _anew(builder, y)
        mask, nothing = image.masked.mask(columns), ir.Constant(VECTOR, None)
        none = ir.Constant(mask.type, None)
        # of_y[i] is the row of y whose window is i rows above.
        of_y = [cgutils.alloca_once_value(builder, nothing) for _ in range(size)]
        places = [builder.gep(sums, [integer(k * LANES)]) for k in range(size * across)]
        totals = [cgutils.alloca_once_value(builder, load(builder, place)) for place in places]
        with cgutils.for_range(builder, builder.add(rows, integer(size - 1))) as loop:
            t = loop.index
            here = builder.select(builder.icmp_signed("<", t, rows), mask, none)
            row = builder.gep(y, [builder.mul(t, y_step)])
            builder.store(image.masked.load(row, here), of_y[0])
            with builder.if_then(image.exists(t)):
                for j in range(across):
                    value = image.load(t, j)
                    for i in range(size):
                        _add_product(builder, value, builder.load(of_y[i]), totals[i * across + j])
            _move_on(builder, of_y)
        for place, total in zip(places, totals, strict=True):
            store(builder, builder.load(total), place)
        return context.get_dummy_value()

    return intrinsic(typed)


@intrinsic
def sum_of(typingctx, vector):  # type: ignore[no-untyped-def]
    """The sum of the numbers in a vector."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return add_up(builder, load(builder, args[0]))

    return types.float32(_numbers), codegen
