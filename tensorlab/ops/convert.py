"""Copies and conversions: clone, contiguous, dtype and device."""

from __future__ import annotations

from typing import Any

from tensorlab import _backend, _dtypes
from tensorlab._backend import Device
from tensorlab._dtypes import dtype as DType
from tensorlab._op import OPS, Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops.creation import TYPED


class memory_format:
    """How elements lie in memory. Only row-major exists here; the names are accepted for old code."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"tensorlab.{self.name}"


class layout:
    """How a tensor stores its elements. All are `strided` here: none is sparse."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"tensorlab.{self.name}"


strided = layout("strided")


def _layout(self: Tensor) -> layout:
    """How the elements are stored: always `tensorlab.strided`."""
    return strided


preserve_format = memory_format("preserve_format")
contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")


@op(samples=lambda r: [Sample(r(2, 3)), Sample(r()), Sample(r(0, 2))], method=True, result=None)
def clone(xp, input, /, *, memory_format=None):
    """A copy with memory of its own; gradients pass through.

    >>> import tensorlab
    >>> x = tensorlab.ones(2)
    >>> y = x.clone()
    >>> y[0] = 5
    >>> x
    tensor([1., 1.])
    """
    return input.copy()


clone.vjp(input=lambda g: g)


@op(
    samples=lambda r: [Sample(r(2, 3), "cpu", "cpu")],
    method=False,
    result=None,
    node_name="ToCopy",
    torch="",
)
def transfer(xp, input, /, device, source, non_blocking=False):
    """The values of a tensor on device `source` on another one; `Tensor.to` is the public form.

    The gradient travels back.
    """
    return _backend.to_device(input, Device(device), non_blocking)


transfer.vjp(input=lambda g, device, source: transfer(g, source, device))


def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """This tensor if its elements lie in row-major order without gaps, else a copy that does.

    >>> import tensorlab
    >>> tensorlab.ones(2, 3).T.contiguous().stride()
    (2, 1)
    """
    return self if self.is_contiguous() else OPS["clone"].call(self)


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """This tensor with another dtype, on another device, or both; itself if nothing changes.

    Called as `to(dtype)`, `to(device)`, `to(device, dtype)` or `to(other_tensor)`, each with
    `non_blocking=False` and `copy=False` (True: always a copy). Differentiable.

    non_blocking: a copy from page-locked memory (`pin_memory`) to a GPU may still be under way on return;
    what then runs on the GPU waits for it, but the source must not be changed before.

    >>> import tensorlab
    >>> tensorlab.tensor([1, 2]).to(tensorlab.float32)
    tensor([1., 2.])
    """
    device, dtype, non_blocking, copy = _target(*args, **kwargs)
    out = self
    if dtype is not None and dtype.numpy != self._data.dtype:
        out = OPS["cast"].call(out, dtype.numpy)
    if device is not None and device != self.device and not _is_same_kind(device, self.device):
        if device.type == "cuda" and device.index is None and _backend.several:
            device = Device("cuda", _backend.current_cuda_device().id)
        out = transfer(out, str(device), str(self.device), non_blocking)
    return OPS["clone"].call(self) if copy and out is self else out


def _is_same_kind(wanted: Device, have: Device) -> bool:
    """Whether "cuda", which is the current CUDA device, was asked for and this is it: "cuda:0"."""
    if wanted.index is not None or wanted.type != have.type:
        return False
    return not _backend.several or have.index == _backend.current_cuda_device().id


def _target(
    *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False, copy: bool = False,
    memory_format: Any = None, other: Any = None,
) -> tuple[Device | None, DType | None, bool, bool]:  # fmt: skip
    rest = list(args)
    first = rest.pop(0) if rest else other
    if isinstance(first, Tensor):
        device, dtype = first.device, first.dtype
    elif isinstance(first, (str, Device)) or (
        isinstance(first, int) and not isinstance(first, bool)
    ):
        device = first
        if rest and not isinstance(rest[0], bool):
            dtype = rest.pop(0)
    elif first is not None or args:
        if first is None and rest and not isinstance(rest[0], bool):
            first = rest.pop(0)
        dtype = dtype if first is None else first
    if rest:
        non_blocking = rest[0]
    if len(rest) > 1:
        copy = rest[1]
    return (
        None if device is None else Device(device),
        None if dtype is None else _dtypes.as_dtype(dtype),
        non_blocking,
        copy,
    )


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The type's name, such as "tensorlab.FloatTensor"; with an argument, the tensor converted to it.

    >>> import tensorlab
    >>> tensorlab.ones(1).type()
    'tensorlab.FloatTensor'
    """
    if dtype is None:
        prefix = "tensorlab.cuda." if self.is_cuda else "tensorlab."
        return prefix + TYPED.get(self.dtype.name, f"{self.dtype.name.title()}Tensor")
    if isinstance(dtype, str):
        name = dtype.rsplit(".", 1)[-1]
        found = next((d for d, n in TYPED.items() if n == name), None)
        if found is None:
            raise ValueError(
                f"invalid type: '{dtype}'; expected one such as 'tensorlab.FloatTensor'"
            )
        return to(self, _dtypes.as_dtype(found))
    return to(self, getattr(dtype, "to", dtype))


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """This tensor converted to `other`'s dtype and device."""
    return to(self, other)


def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """This tensor in main memory: itself if it is there, else a copy."""
    return to(self, "cpu")


def cuda(
    self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None
) -> Tensor:
    """This tensor on a CUDA device, by default the current one.

    Raises `RuntimeError` if there is none, and for a device of another type. `non_blocking`: see `to`.
    """
    where = Device("cuda" if device is None else device)
    if where.type != "cuda":
        raise RuntimeError(f"Invalid device, must be cuda device: got {where}")
    return to(self, where, non_blocking=non_blocking)


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """A copy in page-locked memory, from which copies to a GPU are faster and may be `non_blocking`.

    The tensor itself if it is there already. Raises `RuntimeError` without a CUDA device, and for tensors
    that are not in main memory.
    """
    if self.device.type != "cpu":
        raise RuntimeError(
            f"cannot pin 'tensorlab.{self.device.type}' only dense CPU tensors can be pinned"
        )
    if is_pinned(self):
        return self
    try:
        cupy = _backend.backend_for(Device("cuda")).xp
    except RuntimeError as error:
        raise RuntimeError(
            f"Cannot access accelerator device when none is available: {error}"
        ) from None
    return wrap(_dtypes.held(_backend.pinned(_backend.to_numpy(self._data), cupy)))


def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the tensor is in page-locked memory, see `pin_memory`."""
    return _backend.is_pinned(self._data)


def bfloat16(self: Tensor, memory_format: Any = None) -> Tensor:
    """This tensor as bfloat16: itself if it is, else a converted copy, rounded to 8 bits of precision."""
    return to(self, _dtypes.load_bfloat16().bfloat16)


def _converter(name: str, target: DType) -> Any:
    def convert(self: Tensor, memory_format: Any = None) -> Tensor:
        return to(self, target)

    convert.__name__ = name
    convert.__qualname__ = f"Tensor.{name}"
    convert.__doc__ = f"This tensor as {target.name}: itself if it is, else a converted copy."
    return convert


for _name, _target_type in {
    "half": _dtypes.float16, "float": _dtypes.float32, "double": _dtypes.float64, "long": _dtypes.int64,
    "int": _dtypes.int32, "short": _dtypes.int16, "char": _dtypes.int8, "byte": _dtypes.uint8,
    "bool": _dtypes.bool_, "cfloat": _dtypes.complex64, "cdouble": _dtypes.complex128,
}.items():  # fmt: skip
    setattr(Tensor, _name, _converter(_name, _target_type))
for _method in (bfloat16, contiguous, to, type_as, cpu, cuda, is_pinned, pin_memory):
    setattr(Tensor, _method.__name__, _method)
Tensor.layout = property(_layout)  # type: ignore[attr-defined]
Tensor.type = type_  # type: ignore[attr-defined]
