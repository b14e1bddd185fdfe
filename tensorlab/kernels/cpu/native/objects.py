"""The numbers of NumPy arrays that compiled code is given as objects, any number of them.

Numba takes the arguments of a call apart one by one, and a function is compiled for so many. A table with the
addresses of array objects, `id(array)`, is one argument, whatever their number. Where an object has the
address of its numbers is part of NumPy's binary interface: it comes first, after what every object begins with
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

__all__ = ["numbers"]

#: What every object begins with.
_HEAD = object.__basicsize__


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
