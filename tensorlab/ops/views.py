"""More views of the same memory: adding, dropping, joining and moving dimensions."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops import _names
from tensorlab.ops._dims import as_dim, as_dims
from tensorlab.ops.shape import permute, reshape, sum_to, transpose


def _out_of_range(r: Any) -> list[ErrorSample]:
    return [ErrorSample(r(2, 3), 5, error=IndexError, match="Dimension out of range")]


# Dimensions of size 1 ---------------------------------------------------------------------


@op(
    samples=lambda r: [
        Sample(r(1, 2, 1)), Sample(r(1, 2, 1), 0), Sample(r(1, 2, 1), 1), Sample(r(1, 2, 1), (0, -1)), Sample(r()),
    ],
    errors=_out_of_range, ref=lambda x, dim=None: _squeeze(x, dim), view=True, method=True,
)  # fmt: skip
def squeeze(xp, input, /, dim=None):
    """A view without the dimensions of size 1, or without `dim` (int or tuple) where it has size 1.

    >>> import tensorlab as tl
    >>> tl.squeeze(tl.zeros(1, 2, 1)).shape
    tensorlab.Size([2])
    """
    return _squeeze(input, dim)


def _squeeze(x: Any, dim: Any) -> Any:
    dims = as_dims("squeeze", dim, x.ndim)
    return x.reshape(tuple(n for i, n in enumerate(x.shape) if i not in dims or n != 1))


squeeze.op.names = _names.squeezed
squeeze.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@op(
    samples=lambda r: [Sample(r(2, 3), 0), Sample(r(2, 3), -1), Sample(r(2, 3), 1), Sample(r(), 0)],
    errors=_out_of_range, ref=np.expand_dims, view=True, method=True,
)  # fmt: skip
def unsqueeze(xp, input, /, dim):
    """A view with a new dimension of size 1 at `dim`.

    >>> import tensorlab as tl
    >>> tl.unsqueeze(tl.tensor([1, 2]), 1)
    tensor([[1],
            [2]])
    """
    return xp.expand_dims(input, as_dim("unsqueeze", dim, input.ndim + 1))


unsqueeze.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@op(
    samples=lambda r: [
        Sample(r(2, 3, 4)), Sample(r(2, 3, 4), 1), Sample(r(2, 3, 4), 0, -2), Sample(r()), Sample(r(0, 3), 0, 1),
    ],
    errors=lambda r: [
        ErrorSample(r(2, 3), 1, 0, error=RuntimeError, match="start_dim cannot come after end_dim"),
        *_out_of_range(r),
    ],
    ref=lambda x, start_dim=0, end_dim=-1: _flatten(x, start_dim, end_dim), name="flatten", view=True, method=True,
    node_name="View",
)  # fmt: skip
def _flatten_op(xp, input, /, start_dim=0, end_dim=-1):
    """The dimensions from `start_dim` to `end_dim` made one; a view where the strides allow it.

    >>> import tensorlab as tl
    >>> tl.flatten(tl.zeros(2, 3, 4), start_dim=1).shape
    tensorlab.Size([2, 12])
    """
    return _flatten(input, start_dim, end_dim)


def _flatten(x: Any, start_dim: int, end_dim: int) -> Any:
    start, end = as_dim("flatten", start_dim, x.ndim), as_dim("flatten", end_dim, x.ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    joined = 1
    for n in x.shape[start : end + 1]:
        joined *= n
    return x.reshape((*x.shape[:start], joined, *x.shape[end + 1 :]))


_flatten_op.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@functools.wraps(_flatten_op)  # keeps `.op`: it is the same operation
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1, **out: Any) -> Any:
    ndim = len(input.shape)
    if ndim and as_dim("flatten", start_dim, ndim) == as_dim("flatten", end_dim, ndim):
        return input  # nothing to flatten: the tensor itself, as PyTorch documents it
    return _flatten_op(input, start_dim, end_dim, **out)


Tensor.flatten = flatten  # type: ignore[attr-defined]


@op(
    samples=lambda r: [Sample(r(6, 2), 0, (2, 3)), Sample(r(2, 6), -1, (3, -1))],
    errors=lambda r: [ErrorSample(r(6), 0, (4, 2), error=RuntimeError, match="don't multiply up to the size")],
    ref=lambda x, dim, sizes: x.reshape((*x.shape[: dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1 :])),
    torch="Tensor.unflatten", view=True, method=True, node_name="View",
)  # fmt: skip
def unflatten(xp, input, /, dim, sizes):
    """One dimension split into several, of these `sizes`; one of them may be -1.

    >>> import tensorlab as tl
    >>> tl.unflatten(tl.zeros(2, 12), 1, (3, 4)).shape
    tensorlab.Size([2, 3, 4])
    """
    dim, sizes = as_dim("unflatten", dim, input.ndim), tuple(sizes)
    known = 1
    for n in sizes:
        known *= n if n != -1 else 1
    missing = sizes.count(-1)
    have = input.shape[dim]
    if missing > 1 or (missing and (known == 0 or have % known)) or (not missing and known != have):
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({have}) in "
            "the input tensor"
        )
    sizes = tuple(have // known if n == -1 else n for n in sizes)
    return input.reshape((*input.shape[:dim], *sizes, *input.shape[dim + 1 :]))


unflatten.vjp(input=lambda g, input_shape: reshape(g, input_shape))


def ravel(input: Any) -> Any:
    """All elements in one dimension; a view where the strides allow it.

    >>> import tensorlab as tl
    >>> tl.ravel(tl.tensor([[1, 2], [3, 4]]))
    tensor([1, 2, 3, 4])
    """
    if isinstance(input, Tensor):
        return input.contiguous().view(-1)  # type: ignore[attr-defined]
    return reshape(input, (-1,))


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """`self.view(other.shape)`."""
    return self.view(other.shape)  # type: ignore[attr-defined]


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """`self.reshape(other.shape)`."""
    return reshape(self, other.shape)


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """`self.expand(other.shape)`."""
    return self.expand(other.shape)  # type: ignore[attr-defined]


def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed over the dimensions that broadcasting `size` to this shape would repeat."""
    return sum_to(self, size[0] if len(size) == 1 and not isinstance(size[0], int) else size)


# Moving dimensions ------------------------------------------------------------------------


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """A view with the dimensions at `source` moved to `destination`; the others keep their order.

    >>> import tensorlab as tl
    >>> tl.movedim(tl.zeros(2, 3, 4), 0, -1).shape
    tensorlab.Size([3, 4, 2])
    """
    ndim = len(input.shape)
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    if len(sources) != len(targets):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source should contain the same number of dims "
            f"as destination, got {len(sources)} and {len(targets)}"
        )
    sources, targets = (
        list(as_dims("movedim", sources, ndim)),
        list(as_dims("movedim", targets, ndim)),
    )
    rest = [d for d in range(ndim) if d not in sources]
    order: list[int] = []
    for position in range(ndim):
        order.append(sources[targets.index(position)] if position in targets else rest.pop(0))
    return permute(input, order)


moveaxis = movedim


@op(
    samples=lambda r: [Sample(r(2, 3)), Sample(r(3)), Sample(r()), Sample(r(0, 2))],
    errors=lambda r: [ErrorSample(r(1, 2, 3), error=RuntimeError, match="<= 2 dimensions, but self is 3D")],
    ref=np.transpose, view=True, method=True,
)  # fmt: skip
def t(xp, input, /):
    """The transpose of a matrix; tensors of fewer dimensions as they are.

    Raises `RuntimeError` for more than two dimensions.

    >>> import tensorlab as tl
    >>> tl.t(tl.zeros(2, 3)).shape
    tensorlab.Size([3, 2])
    """
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return input.T if input.ndim else input[...]


t.vjp(input=lambda g: t(g))


def _reversed(self: Tensor) -> Tensor:
    """A view with the order of the dimensions reversed: the transpose of a matrix."""
    return permute(self, tuple(range(self.ndim - 1, -1, -1)))


def _matrix_transpose(self: Tensor) -> Tensor:
    """A view with the last two dimensions exchanged: the transpose of a batch of matrices."""
    if self.ndim < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor."
        )
    return transpose(self, -2, -1)


def _adjoint(self: Tensor) -> Tensor:
    """The conjugate transpose of the last two dimensions."""
    turned = _matrix_transpose(self)
    return turned.conj() if turned.is_complex() else turned  # type: ignore[attr-defined]


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """`transpose` under NumPy's name.

    >>> import tensorlab as tl
    >>> tl.swapaxes(tl.zeros(2, 3), 0, 1).shape
    tensorlab.Size([3, 2])
    """
    return transpose(input, axis0, axis1)


def swapdims(input: Any, dim0: int, dim1: int) -> Any:
    """`transpose` under another name.

    >>> import tensorlab as tl
    >>> tl.swapdims(tl.zeros(2, 3), 0, 1).shape
    tensorlab.Size([3, 2])
    """
    return transpose(input, dim0, dim1)


for _name, _method in {
    "ravel": ravel, "view_as": view_as, "reshape_as": reshape_as, "expand_as": expand_as, "movedim": movedim,
    "moveaxis": moveaxis, "swapaxes": swapaxes, "swapdims": swapdims, "sum_to_size": sum_to_size,
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
Tensor.T = property(_reversed)  # type: ignore[attr-defined]
Tensor.mT = property(_matrix_transpose)  # type: ignore[attr-defined]
Tensor.H = Tensor.mH = property(_adjoint)  # type: ignore[attr-defined]
