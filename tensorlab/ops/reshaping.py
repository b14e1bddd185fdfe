"""In-place changes of shape and memory: t_, transpose_, squeeze_, unsqueeze_, resize_, set_.

The tensor object stays, what it shows changes. To autograd the first four are views of what it was, as if
`x = x.transpose(0, 1)` had been written for every name of x.
"""

from __future__ import annotations

from typing import Any

from tensorlab._apply import apply
from tensorlab._backend import backend_of
from tensorlab._graph import mode
from tensorlab._layout import address, element_strides, root_array
from tensorlab._op import Op
from tensorlab._tensor import Tensor, wrap
from tensorlab._view_history import View, current_history, reshaped
from tensorlab.autograd.inplace import _check_history
from tensorlab.ops.shape import transpose
from tensorlab.ops.strided import _as_strided, strided_part
from tensorlab.ops.views import squeeze, t, unsqueeze


def _become(target: Tensor, op: Op, params: tuple[Any, ...]) -> Tensor:
    """Make `target` the view of itself that `op` gives."""
    if target._view is not None:
        current_history(target)
    if mode.grad and target._requires_grad:
        _check_history(target)
    seen = apply(op, (target,), params)
    target._data = seen._data
    target._version_cell[0] += 1
    view = target._view
    if view is None:
        reshaped[id(target)] = target
    else:
        version = target._version_cell[0]
        target._view = View(
            view.base, (*view.steps, (op, params, None)), version, view.origin, view.own_flag
        )
    if seen._node is not None:
        target._node, target._index, target._requires_grad = seen._node, 0, True
    return target


def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """In-place version of `transpose`."""
    return _become(self, transpose.op, (dim0, dim1))


def swapaxes_(self: Tensor, axis0: int, axis1: int) -> Tensor:
    """In-place version of `swapaxes`."""
    return transpose_(self, axis0, axis1)


def t_(self: Tensor) -> Tensor:
    """In-place version of `t`."""
    return _become(self, t.op, ())


def squeeze_(self: Tensor, dim: Any = None) -> Tensor:
    """In-place version of `squeeze`."""
    return _become(self, squeeze.op, (dim,))


def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """In-place version of `unsqueeze`."""
    return _become(self, unsqueeze.op, (dim,))


def as_strided_(self: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """In-place version of `as_strided`."""
    array = self._data
    start = 0
    if storage_offset is not None:
        start = storage_offset - (address(array) - address(root_array(array))) // array.itemsize
    params = (tuple(size), tuple(stride), start, element_strides(array))
    return _become(self, _as_strided.op, params)


def resize_(self: Tensor, *size: Any, memory_format: Any = None) -> Tensor:
    """Give the tensor this size, in row-major order, from where it begins in its memory.

    Elements beyond the old memory hold any values; the tensor then has memory of its own, which others
    that shared the old one do not see. Raises `RuntimeError` if the tensor requires grad.

    >>> import tensorlab as tl
    >>> tl.tensor([1, 2, 3, 4]).resize_(1, 2)
    tensor([[1, 2]])
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)
    count, strides = 1, []
    for n in reversed(shape):
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
        strides.append(count)
        count *= n
    array = self._data
    xp = backend_of(array).xp
    root = root_array(array)
    before = (address(array) - address(root)) // array.itemsize if array.size else 0
    held = root.nbytes // array.itemsize - before
    if self.shape == shape:
        return self
    if count <= held and count:
        self._data = strided_part(xp, array, shape, tuple(reversed(strides)), 0)
    else:
        grown = xp.zeros(count, array.dtype)
        if held and count:
            grown[:held] = strided_part(xp, array, (held,), (1,), 0)
        self._data = grown.reshape(shape)
    self._view = None
    reshaped[id(self)] = self
    self._version_cell[0] += 1
    return self


def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """`resize_` to the shape of another tensor."""
    return resize_(self, the_template.shape)


def set_(
    self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = (), stride: Any = ()
) -> Tensor:
    """Show the memory of `source`, a tensor or a storage, from now on; nothing, without one.

    With `size` (and `stride`, in elements) that part of it which begins at `storage_offset`.

    >>> import tensorlab as tl
    >>> x, y = tl.zeros(2), tl.tensor([5., 6., 7.])
    >>> x.set_(y)[0] = 1
    >>> y
    tensor([1., 6., 7.])
    """
    if mode.grad and self._requires_grad and self.is_leaf:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    xp, dtype = backend_of(self._data).xp, self._data.dtype
    if source is None:
        self._data = xp.zeros(0, dtype)
    elif isinstance(source, Tensor) and not size:
        if source.dtype is not self.dtype:
            raise RuntimeError(f"set_(): expected a tensor of {self.dtype}, got {source.dtype}")
        self._data = source._data
    else:
        root = root_array(source._data) if isinstance(source, Tensor) else source.root
        memory = root.reshape(-1).view(dtype)
        if not isinstance(source, Tensor) and not size:
            size = (memory.size - storage_offset,)
        shape = (size,) if isinstance(size, int) else tuple(size)
        strides = tuple(stride) or element_strides(wrap(xp.empty(shape, dtype))._data)
        self._data = strided_part(xp, memory[storage_offset:], shape, strides, 0)
    self._view = None
    reshaped[id(self)] = self
    self._version_cell[0] += 1
    return self


for _method in (transpose_, t_, squeeze_, unsqueeze_, as_strided_, resize_, resize_as_, set_):
    setattr(Tensor, _method.__name__, _method)
Tensor.swapaxes_, Tensor.swapdims_ = swapaxes_, transpose_  # type: ignore[attr-defined]
