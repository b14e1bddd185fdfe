"""Older and rarer names of what other files declare: ger, adjoint, narrow_copy, split_with_sizes, apply_."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorlab._backend import Device, backend_for
from tensorlab._dtypes import as_dtype, get_default_dtype
from tensorlab._layout import element_strides
from tensorlab._tensor import Size, Tensor, wrap
from tensorlab.ops._out import with_out
from tensorlab.ops.convert import clone
from tensorlab.ops.creation import arange
from tensorlab.ops.cutting import chunk, narrow, split
from tensorlab.ops.linalg import outer
from tensorlab.ops.norms import matrix_norm
from tensorlab.ops.selecting import nonzero
from tensorlab.ops.strided import as_strided

ger = outer


def positive(input: Tensor) -> Tensor:
    """`+input`: the tensor itself; `RuntimeError` for bool.

    >>> import tensorlab as tl
    >>> tl.positive(tl.tensor([1, -2]))
    tensor([ 1, -2])
    """
    return +input


def adjoint(input: Any) -> Any:
    """The conjugate transpose of the last two dimensions: `input.mH`.

    >>> import tensorlab as tl
    >>> tl.adjoint(tl.tensor([[1j, 2]]))
    tensor([[0.-1.j],
            [2.-0.j]])
    """
    if len(input.shape) < 2:
        raise RuntimeError(
            f"tensor.adjoint() is only supported on matrices or batches of matrices. Got {len(input.shape)}-D tensor."
        )
    return input.mH


def detach(input: Tensor) -> Tensor:
    """A tensor on the same storage, cut from the graph; see `Tensor.detach`.

    >>> import tensorlab as tl
    >>> tl.detach(tl.ones(1, requires_grad=True)).requires_grad
    False
    """
    return input.detach()


@with_out
def range(
    start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, **options: Any
) -> Tensor:
    """Numbers from `start` to `end`, which is included, `step` apart. Older than `arange`, which excludes it.

    >>> import tensorlab as tl
    >>> tl.range(1, 3)
    tensor([1., 2., 3.])
    """
    first, last = (0, start) if end is None else (start, end)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (last - first) / step < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: from {first} to {last} by {step}"
        )
    count = int((last - first) / step) + 1
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    return (arange(count, dtype=kind, **options) * step + first).to(kind)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape.

    >>> import tensorlab as tl
    >>> tl.is_same_size(tl.zeros(2, 3), tl.zeros(3, 2))
    False
    """
    return input.shape == other.shape


def is_signed(input: Tensor) -> bool:
    """Whether the dtype can hold negative numbers.

    >>> import tensorlab as tl
    >>> tl.is_signed(tl.tensor([1]))
    True
    """
    return input.is_signed()


def is_conj(input: Tensor) -> bool:
    """Whether the tensor only promises to be conjugated; here conjugates are always computed, so never.

    >>> import tensorlab as tl
    >>> tl.is_conj(tl.tensor([1j]).conj())
    False
    """
    return False


def is_neg(input: Tensor) -> bool:
    """Whether the tensor only promises to be negated; here negatives are always computed, so never.

    >>> import tensorlab as tl
    >>> tl.is_neg(tl.tensor([1j]).imag)
    False
    """
    return False


def get_device(input: Tensor) -> int:
    """The number of the GPU that holds the tensor; -1 for the CPU.

    >>> import tensorlab as tl
    >>> tl.get_device(tl.zeros(1))
    -1
    """
    return -1 if input.device.index is None else input.device.index


def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """`split` into pieces of these sizes.

    >>> import tensorlab as tl
    >>> tl.split_with_sizes(tl.tensor([1, 2, 3]), [1, 2])
    (tensor([1]), tensor([2, 3]))
    """
    return split(input, list(split_sizes), dim)


@with_out
def narrow_copy(input: Any, dim: int, start: int, length: int) -> Any:
    """`narrow`, copied.

    >>> import tensorlab as tl
    >>> tl.narrow_copy(tl.tensor([1, 2, 3]), 0, 1, 2)
    tensor([2, 3])
    """
    return clone(narrow(input, dim, start, length))


def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first `size` rows of `nonzero`; rows of `fill_value` where there are fewer.

    >>> import tensorlab as tl
    >>> tl.nonzero_static(tl.tensor([0, 3, 4]), size=3)
    tensor([[ 1],
            [ 2],
            [-1]])
    """
    found = nonzero(input)
    out = found.new_full((size, found.shape[1]), fill_value)
    n = min(size, found.shape[0])
    out[:n] = found[:n]
    return out


def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of this size with these strides (in elements) and any values in it.

    >>> import tensorlab as tl
    >>> tl.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError(
            f"dimensionality of sizes ({len(size)}) must match dimensionality of strides ({len(stride)})"
        )
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    xp = backend_for(Device("cpu" if device is None else device)).xp
    count = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if 0 not in size else 0
    memory = wrap(xp.zeros(count, kind.numpy))
    return as_strided(memory, size, stride).detach().requires_grad_(requires_grad)


@with_out
def frobenius_norm(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """The root of the sum of squares over `dim`.

    >>> import tensorlab as tl
    >>> tl.frobenius_norm(tl.tensor([[3., 4.]]), (0, 1))
    tensor(5.)
    """
    return input.norm(2, dim, keepdim)


@with_out
def nuclear_norm(input: Any, dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The sum of the singular values of matrices; see `linalg.matrix_norm`.

    >>> import tensorlab as tl
    >>> tl.nuclear_norm(tl.tensor([[3., 0.], [0., 4.]]))
    tensor(7.)
    """
    return matrix_norm(input, "nuc", dim, keepdim)


# Methods only -----------------------------------------------------------------------------


def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by what a Python function gives for it. Slow: one call per element."""
    if self.requires_grad:
        raise TypeError(
            "apply_() is only implemented on tensors without gradient history: detach() first"
        )
    _write_each(self, [callable(x) for x in self.detach().reshape(-1).tolist()])
    return self


def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element by what a Python function gives for it and the element of another tensor."""
    if self.requires_grad:
        raise TypeError(
            "map_() is only implemented on tensors without gradient history: detach() first"
        )
    others = tensor.detach().expand(self.shape).reshape(-1).tolist()
    pairs = zip(self.reshape(-1).tolist(), others, strict=True)
    _write_each(self, [callable(a, b) for a, b in pairs])
    return self


def _write_each(target: Tensor, values: list[Any]) -> None:
    array = np.array(values, target._data.dtype).reshape(target.shape)
    target.copy_(wrap(backend_for(target.device).xp.asarray(array)))


def new(self: Tensor, *args: Any) -> Tensor:
    """A tensor of this dtype and device from sizes or data. Old: prefer `new_empty` and `new_tensor`."""
    if args and not all(isinstance(a, int) for a in args):
        first = args[0]
        if isinstance(first, Tensor):
            return first.detach().to(self.device, self.dtype)
        return self.new_empty(first) if isinstance(first, Size) else self.new_tensor(first)
    return self.new_empty(args or (0,))


def new_empty_strided(
    self: Tensor,
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`empty_strided` with this tensor's dtype and device unless others are given."""
    return empty_strided(
        size,
        stride,
        dtype=dtype or self.dtype,
        device=device or self.device,
        requires_grad=requires_grad,
    )


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both show the same memory in the same way."""
    return (
        self.data_ptr() == tensor.data_ptr()
        and self.shape == tensor.shape
        and element_strides(self._data) == element_strides(tensor._data)
    )


def dim_order(self: Tensor) -> tuple[int, ...]:
    """The dimensions in the order of their strides, the largest first."""
    strides = element_strides(self._data)
    return tuple(d for d, _ in sorted(enumerate(strides), key=lambda pair: -pair[1]))


def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool = True) -> Tensor:
    """The tensor itself: all tensors here are dense."""
    return self if dtype is None else self.to(dtype)


def as_subclass(self: Tensor, cls: type[Any]) -> Any:
    """This tensor's numbers and history as an object of a subclass of `Tensor`."""
    if not issubclass(cls, Tensor):
        raise TypeError(f"as_subclass() needs a subclass of Tensor, got {cls.__name__}")
    seen = self.view(self.shape)
    out = wrap(seen._data, cls)
    out._node, out._index, out._requires_grad = seen._node, seen._index, seen._requires_grad
    out._version_cell, out._view = seen._version_cell, seen._view
    return out


def _false(self: Tensor, device: Any = None) -> bool:
    """False: there is nothing of the kind here."""
    return False


def _itself(self: Tensor) -> Tensor:
    """The tensor itself: on a CPU any process that forks shares its memory already."""
    return self


def _is_nonzero(self: Tensor) -> bool:
    """Whether the one element is not 0; `RuntimeError` unless there is exactly one."""
    return bool(self)


for _method in (
    positive, adjoint, is_same_size, is_conj, is_neg, get_device, split_with_sizes, narrow_copy, nonzero_static,
    apply_, map_, new, new_empty_strided, is_set_to, dim_order, to_dense, as_subclass,
):  # fmt: skip
    setattr(Tensor, _method.__name__, _method)
Tensor.ger = outer  # type: ignore[attr-defined]
Tensor.is_pinned = Tensor.is_shared = _false  # type: ignore[attr-defined]
Tensor.share_memory_ = _itself  # type: ignore[attr-defined]
Tensor.is_nonzero = _is_nonzero  # type: ignore[attr-defined]
Tensor.unsafe_chunk, Tensor.unsafe_split = chunk, split  # type: ignore[attr-defined]
Tensor.unsafe_split_with_sizes = split_with_sizes  # type: ignore[attr-defined]
