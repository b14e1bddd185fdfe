"""NumPy arrays that compiled code is given as objects, any number of them.

Numba takes the arguments of a call apart one by one, and a function is compiled for so many. A table with the
addresses of array objects, `id(array)`, is one argument, whatever their number. Where an object has what is
part of NumPy's binary interface: after what every object begins with come the address of the numbers, how many
dimensions there are and where their sizes stand, steps, base, dtype and flags, in words of 8 bytes
(https://numpy.org/doc/stable/reference/c-api/types-and-structures.html, `PyArrayObject`).
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from tensorlab.kernels.cpu.native.compile import compiled

__all__ = ["alike", "numbers"]

#: What every object begins with; the address of its class is the last of it.
_HEAD = object.__basicsize__
_CLASS, _NDIM, _SIZES, _DTYPE, _FLAGS = _HEAD - 8, _HEAD + 8, _HEAD + 16, _HEAD + 40, _HEAD + 48
#: Numbers and flags of 4 bytes.
_HALF = 0xFFFFFFFF
#: Flags: contiguous (in C's order) and aligned; and writeable.
_PLAIN, _WRITEABLE = 0x101, 0x400


@intrinsic
def _word(typingctx: Any, address: Any) -> Any:
    """The 8 bytes at an address, as a number."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], args[0].type.as_pointer()))

    return types.int64(types.int64), codegen


@compiled("boolean(int64[::1], int64)")
def alike(arrays, count):
    """Whether of `count` pairs of arrays both are contiguous and of one class, dtype and shape.

    arrays: the ids of those that come first in their pairs, which have to be writeable; then of the others.
    """
    for i in range(count):
        a, b = arrays[i], arrays[count + i]
        if _word(a + _FLAGS) & (_PLAIN | _WRITEABLE) != _PLAIN | _WRITEABLE:
            return False
        if _word(b + _FLAGS) & _PLAIN != _PLAIN:
            return False
        for field in (_CLASS, _DTYPE):
            if _word(a + field) != _word(b + field):
                return False
        ndim = _word(a + _NDIM) & _HALF
        if _word(b + _NDIM) & _HALF != ndim:
            return False
        sizes = _word(a + _SIZES), _word(b + _SIZES)
        for d in range(ndim):
            if _word(sizes[0] + 8 * d) != _word(sizes[1] + 8 * d):
                return False
    return True


@intrinsic
def numbers(typingctx: Any, array: Any, first: Any, last: Any) -> Any:
    """The numbers first…last of a contiguous float32 array of any shape, flat; `array` is its id.

    Nothing is checked here, and nothing keeps the array alive: callers see to both.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, last = args
        flat = context.make_array(signature.return_type)(context, builder)
        field = builder.add(array, ir.Constant(array.type, _HEAD))
        start = builder.load(builder.inttoptr(field, flat.data.type.as_pointer()))
        size = ir.Constant(array.type, 4)
        populate_array(
            flat,
            data=builder.gep(start, [first]),
            shape=[builder.sub(last, first)],
            strides=[size],
            itemsize=size,
            meminfo=None,
        )
        return flat._getvalue()

    return types.Array(types.float32, 1, "C")(types.int64, types.int64, types.int64), codegen
