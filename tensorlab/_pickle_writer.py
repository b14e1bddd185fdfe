"""Writing plain data and tensors as a pickle that PyTorch reads.

A pickle is a program for a small stack machine: "push this string, push that number, make a dict
of them". Python's own pickler writes any object; this one writes exactly what `load` accepts
again, and gives classes PyTorch's names without importing PyTorch. The opcodes are those of
protocol 2, the one that `torch.save` writes and that PyTorch's safe unpickler understands; each
is explained in Python's module `pickletools`.
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict
from typing import Any

import numpy as np

from tensorlab._backend import Device
from tensorlab._dtypes import dtype
from tensorlab._layout import element_strides
from tensorlab._storage import UntypedStorage, place_of, storage_of
from tensorlab._tensor import Size, Tensor, wrap

__all__ = ["PickleWriter", "STORAGE_NAMES"]

#: PyTorch's names of the storage classes.
STORAGE_NAMES = {
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "complex64": "ComplexFloatStorage",
    "complex128": "ComplexDoubleStorage",
    "uint8": "ByteStorage",
    "int8": "CharStorage",
    "int16": "ShortStorage",
    "int32": "IntStorage",
    "int64": "LongStorage",
    "bool": "BoolStorage",
}

_BATCH = 1000  # items per SETITEMS or APPENDS, as in Python's pickler
_PLAIN = (
    "None, bool, int, float, complex, str, bytes, list, tuple, set, dict, OrderedDict, Counter, "
    "tensors, their storages, dtypes, devices and sizes"
)


class PickleWriter:
    """Turns one object into a pickle; `storages` are then to be written beside it, by number.

    Raises `pickle.PicklingError` for an object that `load` would refuse, with the way to it.
    """

    def __init__(self) -> None:
        self.storages: list[UntypedStorage] = []
        self._kinds: list[str] = []  # of each storage, its element type
        self._numbers: dict[int, int] = {}  # id of a storage → its number
        self._out = bytearray()
        self._memo: dict[Any, int] = {}  # id of an object, or a string → its number in the memo
        self._alive: list[Any] = []  # the ids in the memo stay taken
        self._path: list[str] = []  # from the root to what is being written, for messages

    def dumps(self, obj: Any) -> bytes:
        """The pickle of `obj`."""
        self._out += pickle.PROTO + b"\x02"
        try:
            self._write(obj)
        except RecursionError:
            raise pickle.PicklingError(
                f"can't save containers nested {len(self._path)} deep "
                f"(at {''.join(self._path[:5])}…)"
            ) from None
        self._out += pickle.STOP
        return bytes(self._out)

    def _write(self, obj: Any) -> None:
        known = self._memo.get(id(obj))
        if known is not None:
            self._get(known)
            return
        method = _METHODS.get(type(obj))
        if method is None and isinstance(obj, Tensor):
            method = PickleWriter._tensor
        if method is None:
            raise pickle.PicklingError(self._refusal(obj))
        method(self, obj)

    def _refusal(self, obj: Any) -> str:
        kind = type(obj)
        where = "".join(self._path) or "the top level"
        message = (
            f"can't save an object of type {kind.__module__}.{kind.__qualname__} (at {where}): "
            f"a file holds {_PLAIN}, so that loading it never runs code."
        )
        if hasattr(obj, "state_dict"):
            return f"{message} Save its state_dict() and load that into a new one."
        if isinstance(obj, np.generic):
            return f"{message} Make it a Python number with .item()."
        if isinstance(obj, np.ndarray):
            return f"{message} Make it a tensor with tensorlab.from_numpy()."
        for plain in (dict, list, tuple, str, float, int):
            if isinstance(obj, plain):
                return f"{message} Make it plain with {plain.__name__}()."
        return message

    # The memo: what occurs twice is written once -----------------------------------------

    def _put(self, key: Any, obj: Any = None) -> None:
        """Number what is on top of the stack, to be found again under `key`."""
        number = self._memo[key] = len(self._memo)
        self._alive.append(obj)
        small = number < 256
        self._out += (
            pickle.BINPUT + bytes([number])
            if small
            else pickle.LONG_BINPUT + struct.pack("<I", number)
        )

    def _get(self, number: int) -> None:
        small = number < 256
        self._out += (
            pickle.BINGET + bytes([number])
            if small
            else pickle.LONG_BINGET + struct.pack("<I", number)
        )

    def _global(self, module: str, name: str) -> None:
        """The class or function `module.name`."""
        key = (module, name)
        if key in self._memo:
            self._get(self._memo[key])
            return
        self._out += pickle.GLOBAL + f"{module}\n{name}\n".encode()
        self._put(key)

    def _call(self, module: str, name: str, *args: Any) -> None:
        """The result of calling `module.name` with these arguments."""
        self._global(module, name)
        self._tuple_of(args)
        self._out += pickle.REDUCE

    # Plain data --------------------------------------------------------------------------

    def _none(self, obj: None) -> None:
        self._out += pickle.NONE

    def _bool(self, obj: bool) -> None:
        self._out += pickle.NEWTRUE if obj else pickle.NEWFALSE

    def _int(self, obj: int) -> None:
        if 0 <= obj < 256:
            self._out += pickle.BININT1 + bytes([obj])
        elif -(2**31) <= obj < 2**31:
            self._out += pickle.BININT + struct.pack("<i", obj)
        else:
            data = pickle.encode_long(obj)
            if len(data) < 256:
                self._out += pickle.LONG1 + bytes([len(data)]) + data
            else:
                self._out += pickle.LONG4 + struct.pack("<i", len(data)) + data

    def _float(self, obj: float) -> None:
        self._out += pickle.BINFLOAT + struct.pack(">d", obj)

    def _complex(self, obj: complex) -> None:
        self._call("__builtin__", "complex", obj.real, obj.imag)

    def _str(self, obj: str) -> None:
        if obj in self._memo:
            self._get(self._memo[obj])
            return
        data = obj.encode("utf-8", "surrogatepass")
        self._out += pickle.BINUNICODE + struct.pack("<I", len(data)) + data
        self._put(obj)

    def _bytes(self, obj: bytes) -> None:
        # Protocol 2 is older than bytes: each is written as a character of the same number.
        self._call("_codecs", "encode", obj.decode("latin1"), "latin1")
        self._put(id(obj), obj)

    def _bytearray(self, obj: bytearray) -> None:
        self._call("__builtin__", "bytearray", bytes(obj))
        self._put(id(obj), obj)

    def _tuple_of(self, items: tuple[Any, ...]) -> None:
        if not items:
            self._out += pickle.EMPTY_TUPLE
            return
        self._out += pickle.MARK
        for item in items:
            self._write(item)
        self._out += pickle.TUPLE

    def _tuple(self, obj: tuple[Any, ...]) -> None:
        self._out += pickle.MARK if obj else b""
        for i, item in enumerate(obj):
            self._step(i, item)
        self._out += pickle.TUPLE if obj else pickle.EMPTY_TUPLE
        if id(obj) not in self._memo:  # it is there already if it contains itself
            self._put(id(obj), obj)

    def _list(self, obj: list[Any]) -> None:
        self._out += pickle.EMPTY_LIST
        self._put(id(obj), obj)
        for start in range(0, len(obj), _BATCH):
            self._out += pickle.MARK
            for i, item in enumerate(obj[start : start + _BATCH], start):
                self._step(i, item)
            self._out += pickle.APPENDS

    def _set(self, obj: set[Any]) -> None:
        self._call("__builtin__", "set", list(obj))
        self._put(id(obj), obj)

    def _dict(self, obj: dict[Any, Any]) -> None:
        self._out += pickle.EMPTY_DICT
        self._put(id(obj), obj)
        self._items(obj)

    def _ordered(self, obj: OrderedDict[Any, Any]) -> None:
        self._call("collections", "OrderedDict")
        self._put(id(obj), obj)
        self._items(obj)
        if obj.__dict__:  # a module's state_dict carries its _metadata there
            self._dict(obj.__dict__)
            self._out += pickle.BUILD

    def _counter(self, obj: Counter[Any]) -> None:
        self._call("collections", "Counter", dict(obj))
        self._put(id(obj), obj)

    def _items(self, obj: dict[Any, Any]) -> None:
        items = list(obj.items())
        for start in range(0, len(items), _BATCH):
            self._out += pickle.MARK
            for key, value in items[start : start + _BATCH]:
                self._write(key)
                self._step(key, value)
            self._out += pickle.SETITEMS

    def _step(self, key: Any, value: Any) -> None:
        """Write a value of a container, remembering the way to it."""
        self._path.append(f"[{key!r}]")
        self._write(value)
        self._path.pop()

    # Tensors -----------------------------------------------------------------------------

    def _dtype(self, obj: dtype) -> None:
        self._global("torch", obj.name)

    def _device(self, obj: Device) -> None:
        parts = (obj.type,) if obj.index is None else (obj.type, obj.index)
        self._call("torch", "device", *parts)

    def _size(self, obj: Size) -> None:
        self._call("torch", "Size", tuple(obj))
        self._put(id(obj), obj)

    def _untyped_storage(self, obj: UntypedStorage) -> None:
        self._storage(obj, "uint8", obj.nbytes())

    def _storage(self, storage: UntypedStorage, kind: str, count: int) -> None:
        """A reference to a storage, whose bytes stand elsewhere in the file."""
        number = self._numbers.setdefault(id(storage), len(self.storages))
        if number == len(self.storages):
            self.storages.append(storage)
            self._kinds.append(kind)
        elif self._kinds[number] != kind:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different "
                f"types: {self._kinds[number]} and {kind} (at {''.join(self._path)}). clone() one "
                "of them first"
            )
        name = STORAGE_NAMES[kind]
        where = str(storage.device)
        self._out += pickle.MARK
        self._str("storage")
        self._global("torch", name)
        self._str(str(number))
        self._str(where if ":" in where or where == "cpu" else f"{where}:0")
        self._int(count)
        self._out += pickle.TUPLE + pickle.BINPERSID

    def _tensor(self, obj: Tensor) -> None:
        attributes = obj.__dict__
        is_parameter = type(obj) is not Tensor and _is_parameter(obj)
        if type(obj) is not Tensor and not is_parameter:
            raise pickle.PicklingError(self._refusal(obj))
        if is_parameter:
            name = "_rebuild_parameter_with_state" if attributes else "_rebuild_parameter"
            self._global("torch._utils", name)
            self._out += pickle.MARK
            self._rebuild(obj, requires_grad=False)
            self._bool(obj.requires_grad)
            self._call("collections", "OrderedDict")
            if attributes:
                self._dict(attributes)
            self._out += pickle.TUPLE + pickle.REDUCE
        elif attributes:
            self._global("torch._tensor", "_rebuild_from_type_v2")
            self._out += pickle.MARK
            self._global("torch._utils", "_rebuild_tensor_v2")
            self._global("torch", "Tensor")
            self._arguments(obj, obj.requires_grad)
            self._dict(attributes)
            self._out += pickle.TUPLE + pickle.REDUCE
        else:
            self._rebuild(obj, obj.requires_grad)
        self._put(id(obj), obj)

    def _rebuild(self, obj: Tensor, requires_grad: bool) -> None:
        self._global("torch._utils", "_rebuild_tensor_v2")
        self._arguments(obj, requires_grad)
        self._out += pickle.REDUCE

    def _arguments(self, obj: Tensor, requires_grad: bool) -> None:
        """The arguments of PyTorch's function that puts a tensor on its storage."""
        array = obj._data
        size = array.itemsize
        storage, (offset, _, steps, _) = storage_of(array), place_of(array)
        whole = all(s >= 0 and s % size == 0 for s in steps) and offset % size == 0
        if array.size and not (whole and storage.nbytes() % size == 0):
            # NumPy can walk memory backwards or in between elements; a file can't say that.
            array = array.copy(order="C")
            self._alive.append(wrap(array))
            storage, offset = storage_of(array), 0
        self._alive.append(storage)
        self._out += pickle.MARK
        self._storage(storage, obj.dtype.name, storage.nbytes() // size if array.size else 0)
        self._int(offset // size)
        self._tuple_of(array.shape)
        self._tuple_of(element_strides(array))
        self._bool(requires_grad)
        self._call("collections", "OrderedDict")
        self._out += pickle.TUPLE


def _is_parameter(obj: Tensor) -> bool:
    from tensorlab.nn.parameter import Parameter

    return type(obj) is Parameter


_METHODS: dict[type, Any] = {
    type(None): PickleWriter._none,
    bool: PickleWriter._bool,
    int: PickleWriter._int,
    float: PickleWriter._float,
    complex: PickleWriter._complex,
    str: PickleWriter._str,
    bytes: PickleWriter._bytes,
    bytearray: PickleWriter._bytearray,
    tuple: PickleWriter._tuple,
    list: PickleWriter._list,
    set: PickleWriter._set,
    dict: PickleWriter._dict,
    OrderedDict: PickleWriter._ordered,
    Counter: PickleWriter._counter,
    dtype: PickleWriter._dtype,
    Device: PickleWriter._device,
    Size: PickleWriter._size,
    UntypedStorage: PickleWriter._untyped_storage,
}
