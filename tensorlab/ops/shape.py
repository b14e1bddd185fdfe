"""Operations that rearrange: views of the same memory wherever possible."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._backend import sum_to as _sum_to
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import normalize_dim


@op(
    samples=lambda r: [Sample(r(2, 3), (1, 3)), Sample(r(2, 3), (3,)), Sample(r(2, 3), ()), Sample(r(2, 3), (2, 3))],
    errors=lambda r: [ErrorSample(r(2, 3), (2,), error=RuntimeError, match="sum_to")],
    ref=lambda x, shape: _sum_to(x, tuple(shape)), torch="Tensor.sum_to_size", node_name="Sum",
)  # fmt: skip
def sum_to(xp, input, /, shape):
    """Undo broadcasting: sum over the axes that stretching `shape` to the input's had repeated.

    >>> import tensorlab
    >>> tensorlab.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    shape = tuple(shape)
    try:
        stretched = np.broadcast_shapes(input.shape, shape) == input.shape
    except ValueError:
        stretched = False
    if not stretched:
        raise RuntimeError(f"sum_to: shape {list(shape)} does not broadcast to {list(input.shape)}")
    return _sum_to(input, shape)


sum_to.vjp(input=lambda g, input_shape: expand(g, input_shape))


@op(
    samples=lambda r: [Sample(r(3, 1), (3, 4)), Sample(r(3, 1), (2, 3, -1)), Sample(r(), (2,))],
    errors=lambda r: [
        ErrorSample(r(3), (2,), error=RuntimeError, match="expanded size"),
        ErrorSample(r(3), (-1, 3), error=RuntimeError, match="leading"),
    ],
    view=True, varargs="size", method=True,
)  # fmt: skip
def expand(xp, input, /, size):
    """A view in which size-1 dimensions are repeated to `size` without copying; -1 keeps a size.

    >>> import tensorlab
    >>> tensorlab.tensor([[1], [2]]).expand(2, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    size = tuple(size)
    lead = len(size) - input.ndim
    if lead < 0:
        raise RuntimeError(
            f"expand({list(input.shape)}, size={list(size)}): the number of sizes provided ({len(size)}) "
            f"must be greater or equal to the number of dimensions in the tensor ({input.ndim})"
        )
    full = []
    for i, n in enumerate(size):
        have = 1 if i < lead else input.shape[i - lead]
        if n == -1:
            if i < lead:
                raise RuntimeError(
                    f"The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}"
                )
            n = have
        elif have not in (1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({have}) at "
                f"non-singleton dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: {list(input.shape)}"
            )
        full.append(n)
    out = xp.broadcast_to(input, tuple(full))
    if isinstance(out, np.ndarray) and input.flags.writeable:
        out.flags.writeable = True  # read-only for NumPy; in-place operations check the repetition
    return out


expand.vjp(input=lambda g, input_shape: sum_to(g, input_shape))


def _resolved(shape: Any, count: int) -> tuple[int, ...]:
    """`shape` with its -1 filled in; `RuntimeError` if it does not hold `count` elements."""
    shape = tuple(int(n) for n in shape)
    unknown = [i for i, n in enumerate(shape) if n == -1]
    if len(unknown) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if any(n < -1 for n in shape):
        raise RuntimeError(f"invalid shape dimension {min(shape)}")
    known = 1
    for n in shape:
        known *= n if n != -1 else 1
    if unknown:
        if known == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified "
                f"dimension size -1 can be any value and is ambiguous"
            )
        if count % known == 0:
            return tuple(count // known if n == -1 else n for n in shape)
    if known != count:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {count}")
    return shape


_reshapes = lambda r: [
    Sample(r(2, 6), (3, 4)), Sample(r(2, 6), (-1,)), Sample(r(), (1, 1)), Sample(r(0, 3), (3, 0)),
]  # fmt: skip


def _bad_reshapes(r: Any) -> list[ErrorSample]:
    return [
        ErrorSample(r(2, 3), (4,), error=RuntimeError, match="is invalid for input of size 6"),
        ErrorSample(r(2, 3), (-1, -1), error=RuntimeError, match="only one dimension"),
    ]


@op(
    samples=_reshapes,
    errors=_bad_reshapes,
    ref=np.reshape,
    view=True,
    method=True,
    varargs="shape",
    node_name="View",
)
def reshape(xp, input, /, shape):
    """The same elements in row-major order in another shape; a view when the strides allow it.

    >>> import tensorlab
    >>> tensorlab.arange(4).reshape(2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    return xp.reshape(input, _resolved(shape, input.size))


reshape.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@op(
    samples=_reshapes, errors=_bad_reshapes, ref=np.reshape, view=True, method=True, varargs="shape",
    torch="Tensor.view",
)  # fmt: skip
def view(xp, input, /, shape):
    """Like `reshape`, but never a copy: `RuntimeError` if the strides do not allow a view.

    >>> import tensorlab
    >>> tensorlab.arange(4).view(2, -1).shape
    tensorlab.Size([2, 2])
    """
    shape = _resolved(shape, input.size)
    out = xp.reshape(input, shape)
    if (
        input.size
        and out is not input
        and out.base is not input
        and (out.base is None or out.base is not input.base)
    ):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension "
            "spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return out


view.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@op(
    samples=lambda r: [Sample(r(2, 3), 0, 1), Sample(r(2, 3, 4), -1, 0), Sample(r(), 0, -1)],
    errors=lambda r: [ErrorSample(r(2), 0, 1, error=IndexError, match="Dimension out of range")],
    ref=lambda x, a, b: np.swapaxes(x, a, b) if x.ndim else x,
    view=True, method=True,
)  # fmt: skip
def transpose(xp, input, /, dim0, dim1):
    """A view with two dimensions exchanged.

    >>> import tensorlab
    >>> tensorlab.zeros(2, 3).transpose(0, 1).shape
    tensorlab.Size([3, 2])
    """
    dim0, dim1 = normalize_dim(dim0, input.ndim), normalize_dim(dim1, input.ndim)
    return xp.swapaxes(input, dim0, dim1) if input.ndim else input[...]


transpose.vjp(input=lambda g, dim0, dim1: transpose(g, dim0, dim1))


@op(
    samples=lambda r: [Sample(r(2, 3, 4), (2, 0, 1)), Sample(r(2, 3), (-1, 0)), Sample(r(), ())],
    errors=lambda r: [
        ErrorSample(r(2, 3), (0,), error=RuntimeError, match="number of dimensions"),
        ErrorSample(r(2, 3), (0, 0), error=RuntimeError, match="duplicate dims"),
    ],
    ref=np.transpose, view=True, method=True, varargs="dims",
)  # fmt: skip
def permute(xp, input, /, dims):
    """A view with the dimensions in another order.

    >>> import tensorlab
    >>> tensorlab.zeros(2, 3, 4).permute(2, 0, 1).shape
    tensorlab.Size([4, 2, 3])
    """
    dims = tuple(dims)
    if len(dims) != input.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the "
            f"desired ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(dims)}"
        )
    dims = tuple(normalize_dim(d, input.ndim) for d in dims)
    if len(set(dims)) != len(dims):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return xp.transpose(input, dims)


permute.vjp(input=lambda g, dims: permute(g, _inverse(dims)))


def _inverse(dims: Any) -> tuple[int, ...]:
    n = len(dims)
    return tuple(int(i) for i in np.argsort([d % n for d in dims])) if n else ()
