"""Products of matrices whose result is narrow: numbers of it are dot products of rows that lie as they are.

A tile of `gemm` is as wide as some vectors; of a result with ten columns, say, most of it would be wasted. Here a
vector holds neighbours in k instead. That takes operands whose rows and columns lie along k, which those of a
linear layer do: x · Wᵀ. A block of HIGH × WIDE sums stays in the registers; each step loads a vector of each of
its rows and columns, and multiplies every pair.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.epilogue import ACTIVATIONS, NO_BIAS, finish
from tensorlab.kernels.cpu.native.lanes import (
    LANES,
    ROWS,
    VECTOR,
    Masked,
    add_up,
    load,
    multiply_add,
    whole_and_rest,
)
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import at
from tensorlab.kernels.threads import blocks, thread_count

__all__ = ["matmul"]

#: Rows and columns of a block: sixteen sums where there are 32 registers, else eight.
HIGH, WIDE = 4, ROWS // 2


def block(rows: int, columns: int) -> Callable[..., None]:
    """The intrinsic `block(a, a_step, b, b_step, count, c, c_step)`.

    c[i · c_step + j] = Σₖ a[i · a_step + k] · b[j · b_step + k] for i < rows, j < columns, k < count. Each lane
    adds up its own part. What a sum is does not depend on the block that it is in.
    """

    def typed(typingctx, a, a_step, b, b_step, count, c, c_step):  # type: ignore[no-untyped-def]
        pointer, number = types.CPointer(types.float32), types.int64
        return types.void(pointer, number, pointer, number, number, pointer, number), codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        a, a_step, b, b_step, count, c, c_step = args
        masked = Masked(builder)
        number = ir.IntType(64)
        left = [builder.gep(a, [builder.mul(a_step, number(i))]) for i in range(rows)]
        right = [builder.gep(b, [builder.mul(b_step, number(j))]) for j in range(columns)]
        cells = [(i, j) for i in range(rows) for j in range(columns)]
        sums = {cell: cgutils.alloca_once(builder, VECTOR) for cell in cells}
        for place in sums.values():
            builder.store(ir.Constant(VECTOR, None), place)

        def multiply(read: Callable[[Any], Any]) -> None:
            x, y = [read(row) for row in left], [read(row) for row in right]
            for (i, j), place in sums.items():
                builder.store(multiply_add(builder, x[i], y[j], builder.load(place)), place)

        def whole(k: Any) -> None:
            multiply(lambda row: load(builder, builder.gep(row, [k])))

        def rest(k: Any) -> None:
            mask = masked.mask(builder.sub(count, k))
            multiply(lambda row: masked.load(builder.gep(row, [k]), mask))

        whole_and_rest(builder, count, LANES, whole, rest)
        for (i, j), place in sums.items():
            total = add_up(builder, builder.load(place))
            start = builder.mul(c_step, number(i))
            builder.store(total, builder.gep(c, [builder.add(start, number(j))]))
        return context.get_dummy_value()

    return intrinsic(typed)


_block, _row, _column, _one = block(HIGH, WIDE), block(1, WIDE), block(HIGH, 1), block(1, 1)


@compiled(
    "void(float32[:, :], float32[:, :], float32[:, ::1], float32[::1], int64, int64, int64, int64, int64)",
    limits=4,
)
def rows_by_rows(a, b, c, bias, activation, top, bottom, left, right):
    """c[i, j] = activation(Σₖ a[i, k] · b[j, k] + bias[j]) for i from top to bottom and j from left to right.

    The last block of a row or column of blocks begins earlier, where there is room for it, and does some numbers
    once more: as long as with whole blocks, it is faster than one by one.
    """
    count = a.shape[1]
    a_step, b_step, c_step = a.strides[0] // 4, b.strides[0] // 4, c.shape[1]
    high = bottom - top >= HIGH
    wide = right - left >= WIDE
    for i in range(top, bottom, HIGH if high else 1):
        row = min(i, bottom - HIGH) if high else i
        here = at(a, row * a_step)
        for j in range(left, right, WIDE if wide else 1):
            column = min(j, right - WIDE) if wide else j
            there, target = at(b, column * b_step), at(c, row * c_step + column)
            if high and wide:
                _block(here, a_step, there, b_step, count, target, c_step)
            elif high:
                _column(here, a_step, there, b_step, count, target, c_step)
            elif wide:
                _row(here, a_step, there, b_step, count, target, c_step)
            else:
                _one(here, a_step, there, b_step, count, target, c_step)
    finish(c, bias, activation, top, bottom, left, right)


def matmul(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None, activation: str = "identity"
) -> np.ndarray:
    """As `gemm.matmul`, of matrices whose rows, or columns, have neighbours in k side by side."""
    m, k = a.shape
    n = b.shape[1]
    out = np.empty((m, n), np.float32)
    threads = thread_count(2 * m * n * k)
    down, across = (threads, 1) if m >= n else (1, threads)
    plus = NO_BIAS if bias is None else np.ascontiguousarray(bias)
    parts = blocks(m, n, down, across, HIGH, WIDE)
    run_parts(rows_by_rows, parts, a, b.T, out, plus, ACTIVATIONS[activation])
    return out
