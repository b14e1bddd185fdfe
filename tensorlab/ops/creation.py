"""Making tensors: filled, counted, like others. Those from data are in `from_data`, random ones in `random`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tensorlab import _backend, _dtypes
from tensorlab._backend import Device
from tensorlab._dtypes import dtype as DType
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Size, Tensor
from tensorlab.ops._dims import named_size
from tensorlab.ops._out import with_out
from tensorlab.ops.from_data import finish, tensor

# Filled -----------------------------------------------------------------------------------


def _size(size: tuple[Any, ...]) -> tuple[int, ...]:
    """`zeros(2, 3)` and `zeros((2, 3))` alike."""
    if len(size) == 1 and not isinstance(size[0], (int, np.integer, Tensor)):
        if isinstance(size[0], str) or not isinstance(size[0], Iterable):
            raise TypeError(
                f"argument 'size' (position 1) must be tuple of ints, not {type(size[0]).__name__}"
            )
        size = tuple(size[0])
    out = tuple(int(n) for n in size)
    if any(n < 0 for n in out):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(out)}: {list(out)}"
        )
    return out


def _made(
    fill: Any,
    shape: tuple[int, ...],
    dtype: Any,
    device: Any,
    requires_grad: bool,
    out: Tensor | None,
) -> Tensor:
    to = _dtypes.get_default_dtype() if dtype is None else _dtypes.as_dtype(dtype)
    if out is not None:
        out._data = np.full(shape, fill, out._data.dtype)
        out._version_cell[0] += 1
        return out
    xp = _backend.NUMPY.xp if device is None else _backend.backend_for(Device(device)).xp
    array = xp.zeros(shape, to.numpy) if fill == 0 else xp.full(shape, fill, to.numpy)
    return finish(array, device, requires_grad)


@named_size
def zeros(
    *size: Any,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros of shape `size`, of the default dtype unless `dtype` says otherwise.

    >>> import tensorlab
    >>> tensorlab.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    return _made(0, _size(size), dtype, device, requires_grad, out)


@named_size
def ones(
    *size: Any,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones of shape `size`.

    >>> import tensorlab
    >>> tensorlab.ones(2, dtype=tensorlab.int64)
    tensor([1, 1])
    """
    return _made(1, _size(size), dtype, device, requires_grad, out)


@named_size
def empty(
    *size: Any, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor of shape `size` whose values are not specified: write before you read.

    >>> import tensorlab
    >>> tensorlab.empty(2, 3).shape
    tensorlab.Size([2, 3])
    """
    to = _dtypes.get_default_dtype() if dtype is None else _dtypes.as_dtype(dtype)
    xp = _backend.NUMPY.xp if device is None else _backend.backend_for(Device(device)).xp
    return finish(xp.empty(_size(size), to.numpy), device, requires_grad)


def full(
    size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`fill_value` repeated in shape `size`; its kind of number decides the dtype, if none is given.

    >>> import tensorlab
    >>> tensorlab.full((2,), 7)
    tensor([7, 7])
    """
    if isinstance(fill_value, (Tensor, np.generic)):
        fill_value = fill_value.item()
    if dtype is None:
        dtype = _dtypes.default_of_category(_dtypes.category_of_number(fill_value))
    return _made(fill_value, _size((size,)), dtype, device, requires_grad, out)


def scalar_tensor(
    value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A 0-dim tensor of the default dtype (or `dtype`).

    >>> import tensorlab
    >>> tensorlab.scalar_tensor(3)
    tensor(3.)
    """
    return full(
        (),
        value,
        dtype=_dtypes.get_default_dtype() if dtype is None else dtype,
        device=device,
        requires_grad=requires_grad,
    )


def _like(input: Tensor, dtype: Any, device: Any) -> dict[str, Any]:
    return {
        "dtype": input.dtype if dtype is None else dtype,
        "device": input.device if device is None else device,
    }


def zeros_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Zeros of `input`'s shape, dtype and device.

    >>> import tensorlab
    >>> tensorlab.zeros_like(tensorlab.tensor([1, 2]))
    tensor([0, 0])
    """
    return zeros(input._data.shape, requires_grad=requires_grad, **_like(input, dtype, device))


def ones_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Ones of `input`'s shape, dtype and device.

    >>> import tensorlab
    >>> tensorlab.ones_like(tensorlab.tensor([5.0]))
    tensor([1.])
    """
    return ones(input._data.shape, requires_grad=requires_grad, **_like(input, dtype, device))


def empty_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """An unspecified tensor of `input`'s shape, dtype and device.

    >>> import tensorlab
    >>> tensorlab.empty_like(tensorlab.ones(3)).shape
    tensorlab.Size([3])
    """
    return empty(input._data.shape, requires_grad=requires_grad, **_like(input, dtype, device))


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """`fill_value` in `input`'s shape, dtype and device.

    >>> import tensorlab
    >>> tensorlab.full_like(tensorlab.tensor([1.0, 2.0]), 9)
    tensor([9., 9.])
    """
    return full(
        input._data.shape, fill_value, requires_grad=requires_grad, **_like(input, dtype, device)
    )


# Counted ----------------------------------------------------------------------------------


@with_out
def eye(
    n: int, m: int | None = None, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal of an n × m matrix of zeros; m defaults to n.

    >>> import tensorlab
    >>> tensorlab.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    for name, size in (("n", n), ("m", m)):
        if size is not None and size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    to = _dtypes.get_default_dtype() if dtype is None else _dtypes.as_dtype(dtype)
    return finish(np.eye(n, m, dtype=to.numpy), device, requires_grad)


@with_out
def arange(
    start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The numbers `start + i · step` below `end`: ⌈(end − start) / step⌉ of them.

    `arange(end)` starts at 0. Whole numbers give int64, others the default dtype.
    Raises `RuntimeError` if `step` is 0 or leads away from `end`.

    >>> import tensorlab
    >>> tensorlab.arange(1, 7, 2)
    tensor([1, 3, 5])
    """
    if end is None:
        start, end = 0, start
    start, end, step = (
        x.item() if isinstance(x, (Tensor, np.generic)) else x for x in (start, end, step)
    )
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: arange({start}, {end}, {step})"
        )
    whole = all(isinstance(x, int) for x in (start, end, step))
    to = (
        (_dtypes.int64 if whole else _dtypes.get_default_dtype())
        if dtype is None
        else _dtypes.as_dtype(dtype)
    )
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    # Like PyTorch, compute in the result's precision from the index, so errors do not build up.
    wide = np.int64 if to.category == _dtypes.INTEGER else np.float64
    array = (start + np.arange(count, dtype=wide) * wide(step)).astype(to.numpy)
    return finish(array, device, requires_grad)


@with_out
def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers evenly spaced from `start` to `end`, both included.

    >>> import tensorlab
    >>> tensorlab.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    start, end = (x.item() if isinstance(x, Tensor) else x for x in (start, end))
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    to = _dtypes.get_default_dtype() if dtype is None else _dtypes.as_dtype(dtype)
    if to.category != _dtypes.FLOATING:
        array = np.linspace(start, end, steps).astype(to.numpy)
        return finish(array, device, requires_grad)
    # PyTorch counts the first half from the start and the second from the end, in the result's
    # precision, so that both ends are met exactly.
    number = to.numpy.type
    index = np.arange(steps, dtype=to.numpy)
    step = number((end - start) / (steps - 1)) if steps > 1 else number(0)
    half = steps // 2
    array = np.where(
        index < half, number(start) + step * index, number(end) - step * (steps - 1 - index)
    )
    if steps == 1:
        array = np.array([start], to.numpy)
    return finish(array.astype(to.numpy), device, requires_grad)


@with_out
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`base` to the power of `linspace(start, end, steps)`.

    >>> import tensorlab
    >>> tensorlab.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    to = _dtypes.get_default_dtype() if dtype is None else _dtypes.as_dtype(dtype)
    exponents = linspace(start, end, steps, dtype=_dtypes.float64)._data
    return finish(np.power(float(base), exponents).astype(to.numpy), device, requires_grad)


# Methods: tensors like this one -----------------------------------------------------------


def _new(self: Tensor, dtype: Any, device: Any) -> dict[str, Any]:
    return _like(self, dtype, device)


@named_size
def new_zeros(
    self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of shape `size` with this tensor's dtype and device."""
    return zeros(*size, requires_grad=requires_grad, **_new(self, dtype, device))


@named_size
def new_ones(
    self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones of shape `size` with this tensor's dtype and device."""
    return ones(*size, requires_grad=requires_grad, **_new(self, dtype, device))


@named_size
def new_empty(
    self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """An unspecified tensor of shape `size` with this tensor's dtype and device."""
    return empty(*size, requires_grad=requires_grad, **_new(self, dtype, device))


def new_full(
    self: Tensor,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` in shape `size` with this tensor's dtype and device."""
    return full(size, fill_value, requires_grad=requires_grad, **_new(self, dtype, device))


def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A copy of `data` with this tensor's dtype and device."""
    return tensor(data, requires_grad=requires_grad, **_new(self, dtype, device))


for _method in (new_zeros, new_ones, new_empty, new_full, new_tensor):
    setattr(Tensor, _method.__name__, _method)


# Overwriting --------------------------------------------------------------------------------


@op(
    samples=lambda r: [Sample(r(2, 3), 2.0), Sample(r(2, 3), r())],
    errors=lambda r: [ErrorSample(r(2), r(2), error=RuntimeError, match="0-dimension")],
    ref=np.full_like, torch="fill", promote=(), result=None, inplace=True,
)  # fmt: skip
def fill(xp, input, value, /):
    """`value` in every element of a tensor like `input`; `fill_` stores it there.

    >>> import tensorlab
    >>> tensorlab.zeros(2).fill_(3)
    tensor([3., 3.])
    """
    if getattr(value, "ndim", 0):
        raise RuntimeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions."
        )
    return xp.full_like(input, value)


fill.vjp(input=lambda g: fill(g, 0.0), value=lambda g: g)


def zero_(self: Tensor) -> Tensor:
    """Overwrite every element with 0."""
    return self.fill_(0)  # type: ignore[attr-defined]


def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Overwrite the main diagonal of a matrix (or of a tensor with equal dimensions)."""
    if self.ndim < 2:
        raise RuntimeError(f"dimensions must larger than 1, got {self.ndim}")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise RuntimeError(
            f"all dimensions of input must be of equal length, got {list(self.shape)}"
        )
    mask = np.zeros(self.shape, bool)
    np.fill_diagonal(mask, True, wrap=wrap)
    on_diagonal = tensor(mask, device=self.device)
    return self.masked_fill_(on_diagonal, fill_value)  # type: ignore[attr-defined]


Tensor.zero_ = zero_  # type: ignore[attr-defined]
Tensor.fill_diagonal_ = fill_diagonal_  # type: ignore[attr-defined]


# Old names --------------------------------------------------------------------------------


class _TypedTensor(type):
    """`FloatTensor` and its like: constructors of old code, that answer `isinstance` by dtype."""

    dtype_name: str

    @property
    def to(cls) -> DType:
        return _dtypes.as_dtype(cls.dtype_name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Tensor:
        if len(args) == 1 and not isinstance(args[0], (int, Size)):
            return tensor(args[0], dtype=cls.to)
        return zeros(*(args or (0,)), dtype=cls.to)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype.name == cls.dtype_name


def _typed(name: str, dtype_name: str) -> Any:
    doc = f"Old form of {dtype_name} tensors: `{name}(data)` or `{name}(*sizes)`. Prefer `tensor(data, dtype=…)`."
    made = _TypedTensor(name, (), {"__doc__": doc})
    made.dtype_name = dtype_name
    return made


FloatTensor = _typed("FloatTensor", "float32")
DoubleTensor = _typed("DoubleTensor", "float64")
HalfTensor = _typed("HalfTensor", "float16")
LongTensor = _typed("LongTensor", "int64")
IntTensor = _typed("IntTensor", "int32")
ShortTensor = _typed("ShortTensor", "int16")
CharTensor = _typed("CharTensor", "int8")
ByteTensor = _typed("ByteTensor", "uint8")
BoolTensor = _typed("BoolTensor", "bool")
BFloat16Tensor = _typed("BFloat16Tensor", "bfloat16")
#: The old name by dtype name.
TYPED = {
    t.dtype_name: t.__name__
    for t in (
        FloatTensor,
        DoubleTensor,
        HalfTensor,
        LongTensor,
        IntTensor,
        ShortTensor,
        CharTensor,
        ByteTensor,
        BoolTensor,
        BFloat16Tensor,
    )
}
