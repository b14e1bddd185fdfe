"""How many floating-point operations a second this processor does at best, for `tensorlab bench`.

A loop of fused multiply-adds between registers: nothing is loaded, and there are as many sums as the tile
of a matrix product has, so that none waits for its last result. No product of matrices can be faster.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.tile import LANES, ROWS, VECTORS

__all__ = ["FLOPS_EACH", "multiply_add"]

#: Operations of one round.
FLOPS_EACH = 2 * LANES * ROWS * VECTORS


@intrinsic
def _rounds(typingctx: Any, count: Any, factor: Any, plus: Any) -> Any:
    """Σ of all lanes of s ← s · factor + plus, `count` times over, of ROWS · VECTORS vectors s."""
    vector = ir.VectorType(ir.FloatType(), LANES)

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        fused = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{LANES}f32"
        )
        nothing = ir.Constant(vector, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        factor, plus = (
            builder.shuffle_vector(
                builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0)),
                nothing,
                everywhere,
            )
            for number in args[1:]
        )
        # Of different starts, or the compiler sees that all of them are the same number.
        places = [cgutils.alloca_once(builder, vector) for _ in range(ROWS * VECTORS)]
        for i, place in enumerate(places):
            builder.store(ir.Constant(vector, [float(i * LANES + j) for j in range(LANES)]), place)
        with cgutils.for_range(builder, args[0]):
            for place in places:
                builder.store(builder.call(fused, [builder.load(place), factor, plus]), place)
        found = builder.load(places[0])
        for place in places[1:]:
            found = builder.fadd(found, builder.load(place))
        total = builder.extract_element(found, ir.Constant(ir.IntType(32), 0))
        for lane in range(1, LANES):
            total = builder.fadd(
                total, builder.extract_element(found, ir.Constant(ir.IntType(32), lane))
            )
        return total

    return types.float32(types.int64, types.float32, types.float32), codegen


@compiled("float32(int64, float32, float32)")
def multiply_add(count, factor, plus):
    """`count` rounds of FLOPS_EACH operations."""
    return _rounds(count, factor, plus)
