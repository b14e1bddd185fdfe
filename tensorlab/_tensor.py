"""The tensor: an array, its place in the autograd graph, and its storage's version.

This file knows no operation. `_op` attaches the methods that the operations in
`tensorlab.ops` declare, and `tensorlab.autograd` attaches `backward` and the hooks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tensorlab import _backend, _dtypes, _printing
from tensorlab._backend import Device
from tensorlab._dtypes import dtype
from tensorlab._graph import Node, mode, named
from tensorlab._layout import address, element_strides, root_array
from tensorlab._view_history import View, current_history, view_requires_grad


class Size(tuple[int, ...]):
    """A tensor's shape: a tuple that prints and counts as PyTorch's does.

    >>> import tensorlab
    >>> tensorlab.zeros(2, 3).shape
    tensorlab.Size([2, 3])
    >>> tensorlab.zeros(2, 3).shape.numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements: the product of the sizes."""
        count = 1
        for n in self:
            count *= n
        return count

    def __repr__(self) -> str:
        return f"tensorlab.Size([{', '.join(map(str, self))}])"

    def __add__(self, other: tuple[int, ...]) -> Size:  # type: ignore[override]
        return Size(tuple.__add__(self, other))

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found


class Tensor:
    """An n-dimensional array with automatic differentiation.

    Make one with `tensorlab.tensor`, `zeros`, `randn` and so on; `Tensor(*sizes)` and
    `Tensor(data)` exist for old code and always give the default float type.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_data",
        "_grad",
        "_index",
        "_node",
        "_requires_grad",
        "_version_cell",
        "_view",
    )
    _data: Any  # numpy.ndarray or cupy.ndarray
    _requires_grad: bool
    _node: Node | None  # who made this tensor; for a leaf, who collects its gradient
    _index: int  # which output of that node
    _version_cell: list[int]  # counts in-place writes; shared by a base, its views and detach()
    _view: View | None
    _grad: Tensor | None

    __array_priority__ = 1000  # numpy_array * tensor asks the tensor

    def __new__(cls, *args: Any, device: Any = None) -> Tensor:
        if len(args) == 1 and not isinstance(args[0], int):
            data = args[0]
            if isinstance(data, Tensor):
                array = data._data
            elif isinstance(data, Size):
                array = np.empty(data, _dtypes.get_default_dtype().numpy)
            else:
                array = np.array(data, _dtypes.get_default_dtype().numpy)
        else:
            array = np.zeros(args if args else (0,), _dtypes.get_default_dtype().numpy)
        if device is not None:
            array = _backend.to_device(array, Device(device))
        return wrap(_dtypes.held(array), cls)

    # What it is ------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return Size(self._data.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of dimension `dim`; `IndexError` if there is no such dimension."""
        if dim is None:
            return Size(self._data.shape)
        return self._data.shape[normalize_dim(dim, self._data.ndim)]

    @property
    def dtype(self) -> dtype:
        """The element type, such as `tensorlab.float32`."""
        return _dtypes.from_numpy_dtype(self._data.dtype)

    @property
    def device(self) -> Device:
        """Where the numbers live: `device(type='cpu')`."""
        return _backend.backend_of(self._data).device(self._data)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    def dim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    nelement = numel

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self._data.itemsize

    def element_size(self) -> int:
        """Bytes per element."""
        return self._data.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements: `numel() * itemsize`."""
        return self._data.size * self._data.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """For each dimension (or for `dim`), how many elements to step to the next index."""
        strides = element_strides(self._data)
        return strides if dim is None else strides[normalize_dim(dim, self._data.ndim)]

    def storage_offset(self) -> int:
        """Where in the storage, in elements, the first element lies."""
        root = root_array(self._data)
        return (address(self._data) - address(root)) // self._data.itemsize

    def data_ptr(self) -> int:
        """The address of the first element in memory."""
        return address(self._data)

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in memory in row-major order without gaps.

        `memory_format` is accepted for PyTorch's sake: there is one order here.
        """
        return bool(self._data.flags.c_contiguous)

    def is_floating_point(self) -> bool:
        """Whether the dtype is float16, bfloat16, float32 or float64."""
        return self._data.dtype.kind in "fV"

    def is_complex(self) -> bool:
        """Whether the dtype is complex64 or complex128."""
        return self._data.dtype.kind == "c"

    def is_signed(self) -> bool:
        """Whether the dtype can hold negative numbers."""
        return self._data.dtype.kind in "ifcV"

    @property
    def is_cuda(self) -> bool:
        """Whether the numbers live on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        """Whether the numbers live in the computer's main memory."""
        return self.device.type == "cpu"

    is_sparse = False
    is_quantized = False
    is_meta = False
    is_nested = False

    # Its place in the graph ------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded for `backward`."""
        return self._requires_grad if self._view is None else view_requires_grad(self)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Start (or stop) recording operations on this leaf tensor, in place.

        Raises `RuntimeError` for integer and bool tensors, and for stopping on a tensor that
        an operation made: use `detach()` there.
        """
        if requires_grad and self._data.dtype.kind not in "fcV":
            raise RuntimeError(
                "only Tensors of floating point dtype can require gradients, "
                f"got {self.dtype}; convert with .float() first"
            )
        if not requires_grad and self._node is not None and self._node.op is not None:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a "
                "computed variable in a subgraph that doesn't require differentiation use "
                "var_no_grad = var.detach()."
            )
        self._requires_grad = bool(requires_grad)
        if self._view is not None:
            self._view = self._view._replace(own_flag=self._requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """True for tensors that the user made; False for results of recorded operations."""
        if self._view is not None:
            current_history(self)
        return self._node is None or self._node.op is None

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor; None for a leaf."""
        if self._view is not None:
            current_history(self)
        node = self._node
        return None if node is None or node.op is None else named(node)

    @property
    def output_nr(self) -> int:
        """Which output of `grad_fn` this tensor is."""
        return self._index

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` accumulated, or None.

        Only leaf tensors and those with `retain_grad()` collect one.
        """
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
                )
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value.shape != self.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: expected {list(self.shape)}, "
                    f"got {list(value.shape)}"
                )
            if value.dtype is not self.dtype:
                raise RuntimeError(
                    f"assigned grad has data of a different type: expected {self.dtype}, got {value.dtype}"
                )
            if value.device != self.device:
                raise RuntimeError(
                    f"assigned grad has data located on a different device: expected {self.device}, "
                    f"got {value.device}"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def _version(self) -> int:
        return self._version_cell[0]

    @property
    def _base(self) -> Tensor | None:
        return None if self._view is None else self._view.base

    def _is_view(self) -> bool:
        return self._view is not None

    @property
    def data(self) -> Tensor:
        """The same numbers with no history and a version counter of its own.

        Writing through it is invisible to autograd, so gradients may come out wrong without
        an error: prefer `detach()`.
        """
        return wrap(self._data)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        self._data = value._data
        if self._node is not None and self._node.op is None:
            # It is the same leaf, so what was computed from it still sends its gradient here.
            self._node.shapes, self._node.dtypes = (self._data.shape,), (self._data.dtype,)

    def detach(self) -> Tensor:
        """A tensor on the same storage, cut from the graph.

        An in-place change of either is seen by both, and noticed by autograd.
        """
        out = wrap(self._data)
        out._version_cell = self._version_cell
        return out

    def detach_(self) -> Tensor:
        """Cut this tensor from the graph that made it; it becomes a leaf."""
        if self._view is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._node, self._index, self._view, self._requires_grad = None, 0, None, False
        return self

    # Out of tensorland -----------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The numbers as a NumPy array that shares this tensor's memory.

        Raises `RuntimeError` if the tensor requires grad, unless under `no_grad`, and `TypeError`
        if it is on a GPU; `force=True` detaches and copies to the CPU instead. bfloat16, which
        PyTorch does not hand out, comes as an array of `ml_dtypes.bfloat16`.
        """
        if not force:
            if self.requires_grad and mode.grad:
                raise RuntimeError(
                    "Can't call numpy() on Tensor that requires grad. "
                    "Use tensor.detach().numpy() instead."
                )
            if self.device.type != "cpu":
                raise TypeError(
                    f"can't convert {self.device} device type tensor to numpy. "
                    "Use Tensor.cpu() to copy the tensor to host memory first."
                )
        array = _backend.to_numpy(self._data)
        return array if array.dtype.kind != "V" else array.view(np.ndarray)

    def item(self) -> Any:
        """The one element as a Python number; `RuntimeError` unless there is exactly one."""
        if self._data.size != 1:
            raise RuntimeError(
                f"a Tensor with {self._data.size} elements cannot be converted to Scalar"
            )
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as nested Python lists, or one number for a 0-dim tensor."""
        return self._data.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self._data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    def __bool__(self) -> bool:
        if self._data.size != 1:
            many = "more than one value" if self._data.size else "no values"
            raise RuntimeError(f"Boolean value of Tensor with {many} is ambiguous")
        return bool(self._data.item())

    def __float__(self) -> float:
        return float(_real(self._number()))

    def __int__(self) -> int:
        return int(_real(self._number()))

    def __complex__(self) -> complex:
        return complex(self._number())

    def _number(self) -> Any:
        if self._data.size != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars, "
                f"got shape {list(self.shape)}"
            )
        return self._data.item()

    def __index__(self) -> int:
        if self._data.size != 1 or self._data.dtype.kind not in "iub":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._data.item())

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self._data.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self._data.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter([self[i] for i in range(self._data.shape[0])])  # type: ignore[index]

    def __contains__(self, element: Any) -> bool:
        if isinstance(element, (Tensor, bool, int, float, complex)):
            return bool((self == element)._data.any())  # type: ignore[attr-defined]
        raise RuntimeError(
            f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element).__name__}."
        )

    __hash__ = object.__hash__

    def __format__(self, spec: str) -> str:
        if self._data.ndim == 0:
            return self.item().__format__(spec)
        return object.__format__(self, spec)

    def __repr__(self) -> str:
        name = None if self.grad_fn is None else self.grad_fn.name()
        return _printing.tensor_str(
            self._data,
            dtype_name=self.dtype.name,
            default_dtype=_dtypes.get_default_dtype().name,
            device=None if self.device.type == "cpu" else str(self.device),
            grad_fn=name,
            requires_grad=self.requires_grad,
        )

    def __copy__(self) -> Tensor:
        out = wrap(self._data, type(self))
        out._requires_grad = self._requires_grad
        out.__dict__.update(self.__dict__)
        return out

    def __dir__(self) -> list[str]:
        return sorted({*dir(type(self)), *self.__dict__})


def _real(number: Any) -> Any:
    """A number without its imaginary part, which must be 0."""
    if isinstance(number, complex):
        if number.imag:
            raise RuntimeError(
                f"value {number} cannot be converted to a real number without overflow: "
                "take .real or .abs() first"
            )
        return number.real
    return number


def wrap(array: Any, cls: type[Tensor] = Tensor) -> Tensor:
    """A tensor on `array`, sharing its memory, with no history."""
    out = object.__new__(cls)
    out._data = array
    out._requires_grad = False
    out._node = None
    out._index = 0
    out._version_cell = [0]
    out._view = None
    out._grad = None
    return out


def normalize_dim(dim: int, ndim: int) -> int:
    """`dim` counted from the front; `IndexError` in PyTorch's words if it is out of range.

    A 0-dim tensor accepts -1 and 0.
    """
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})"
        )
    return dim % bound
