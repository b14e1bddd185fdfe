"""Reading and writing safetensors files: named tensors and nothing else.

The format is 8 bytes with the length of a header, the header (JSON: of each tensor its dtype,
shape, and first and last byte), and the bytes of the tensors. There is nothing in it that could
run, and a tensor can be found without reading the others. The functions have the names of
`safetensors.torch`, whose files they exchange.

Source: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab._backend import Device, to_device, to_numpy
from tensorlab._files import replacing
from tensorlab._storage import UntypedStorage, storage_of
from tensorlab._tensor import Tensor, wrap

__all__ = ["load", "load_file", "save", "save_file"]

_CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "complex64": "C64",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
_DTYPES = {code: np.dtype(name).newbyteorder("<") for name, code in _CODES.items()}
_DTYPES["BF16"] = np.dtype("<u2")  # its bits
_CODES["bfloat16"] = "BF16"
_LONGEST_HEADER = 100_000_000  # the limit that the format sets


def save_file(
    tensors: Mapping[str, Tensor],
    filename: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors by name to a safetensors file; it replaces an old one at once, or not at all.

    Args:
        tensors: names and tensors, such as a `state_dict()`; no two may share memory.
        filename: the path.
        metadata: strings to keep in the header.

    Raises:
        ValueError: something is no tensor, or of a dtype that the format has not (complex128).
        RuntimeError: tensors share memory, which a file cannot say: `clone()` them, or use
            `tensorlab.save`.
        OSError: the file cannot be written.

    >>> import os, tempfile, tensorlab
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "weights.safetensors")
    ...     save_file({"weight": tensorlab.ones(2)}, path)
    ...     load_file(path)
    {'weight': tensor([1., 1.])}
    """
    with replacing(filename) as file:
        for part in _parts(tensors, metadata):
            file.write(part)


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """What `save_file` would write, as bytes.

    >>> import tensorlab
    >>> load(save({"weight": tensorlab.ones(2)}))
    {'weight': tensor([1., 1.])}
    """
    return b"".join(_parts(tensors, metadata))


def load_file(
    filename: str | os.PathLike[str], device: str | int | Device = "cpu"
) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name; see `save_file`.

    Args:
        filename: the path.
        device: where to put them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or has a dtype that tensorlab has not.
    """
    size = os.path.getsize(filename)
    with open(filename, "rb") as file:
        header, start = _header(file.read(8), file.read, size, os.fspath(filename))
        out = {}
        for name, kind, shape, begin, end in _entries(header, size - start, os.fspath(filename)):
            file.seek(start + begin)
            array = np.fromfile(file, kind, (end - begin) // kind.itemsize).reshape(shape)
            out[name] = _tensor(array, header[name]["dtype"], device)
        return out


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file; raises as `load_file`."""

    def read(length: int) -> bytes:
        return data[8 : 8 + length]

    header, start = _header(data[:8], read, len(data), "the data")
    out = {}
    for name, kind, shape, begin, end in _entries(header, len(data) - start, "the data"):
        array = np.frombuffer(data[start + begin : start + end], kind).reshape(shape).copy()
        out[name] = _tensor(array, header[name]["dtype"], "cpu")
    return out


def _parts(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> Iterator[Any]:
    """The pieces of a file in order."""
    header: dict[str, Any] = {}
    if metadata:
        if not all(isinstance(s, str) for pair in metadata.items() for s in pair):
            raise ValueError("metadata must be strings by name: convert values with str()")
        header["__metadata__"] = dict(metadata)
    owners: dict[UntypedStorage, str] = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(
                f"safetensors holds tensors only, got {type(tensor).__name__} as {name!r}"
            )
        if tensor.dtype.name not in _CODES:
            raise ValueError(
                f"safetensors has no {tensor.dtype.name} (tensor {name!r}): use tensorlab.save()"
            )
        if tensor.numel():
            other = owners.setdefault(storage_of(tensor._data), name)
            if other != name:
                raise RuntimeError(
                    f"{other!r} and {name!r} share memory, which a safetensors file cannot say: "
                    "clone() one of them, or use tensorlab.save()"
                )
    # Widest elements first: then all of them are aligned in the file.
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    at = 0
    for name in names:
        tensor = tensors[name]
        header[name] = {
            "dtype": _CODES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + tensor.nbytes],
        }
        at += tensor.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text))
    yield text
    for name in names:
        array = to_numpy(tensors[name]._data)
        if tensors[name].dtype.name == "bfloat16":
            array = np.ascontiguousarray(array).view(np.ndarray).view(np.uint16)
        yield (
            np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            .reshape(-1)
            .view(np.uint8)
            .data
        )


def _header(first: bytes, read: Any, size: int, name: str) -> tuple[dict[str, Any], int]:
    """The header and where the bytes of the tensors begin."""
    if len(first) < 8:
        raise ValueError(f"{name} is not a safetensors file: it has {len(first)} bytes")
    (length,) = struct.unpack("<Q", first)
    if length > _LONGEST_HEADER or length > size - 8:
        raise ValueError(
            f"{name} is no safetensors file, or damaged: its header would be {length} bytes long "
            f"and the file has {size}"
        )
    try:
        header = json.loads(read(length).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is damaged: its header is no JSON ({error})") from None
    if not isinstance(header, dict):
        raise ValueError(f"{name} is damaged: its header is no JSON object")
    return header, 8 + length


def _entries(
    header: dict[str, Any], size: int, file: str
) -> Iterator[tuple[str, np.dtype, tuple[int, ...], int, int]]:
    """Name, dtype, shape, first and last byte of each tensor, checked to fill the file exactly."""
    found = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            code, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{file} is damaged: the header's entry of {name!r} is incomplete"
            ) from None
        if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
            raise ValueError(f"{file} is damaged: sizes of {name!r} are no whole numbers")
        if code not in _DTYPES:
            raise ValueError(f"{file} holds {name!r} in {code!r}, which tensorlab has not")
        kind, count = _DTYPES[code], 1
        for n in shape:
            count *= n
        if end - begin != count * kind.itemsize:
            raise ValueError(
                f"{file} is damaged: {name!r} should have {count * kind.itemsize} bytes and has "
                f"{end - begin}"
            )
        found.append((name, kind, shape, begin, end))
    at = 0
    for name, _, _, begin, end in sorted(found, key=lambda entry: entry[3:]):
        if begin != at:
            raise ValueError(f"{file} is damaged: {name!r} begins at byte {begin}, expected {at}")
        at = end
    if at != size:
        raise ValueError(f"{file} is damaged: its tensors have {at} bytes, there are {size}")
    yield from found


def _tensor(array: np.ndarray, code: str, device: Any) -> Tensor:
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if code == "BF16":
        array = _dtypes.held(array.view(_dtypes.load_bfloat16().NUMPY))
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise ValueError("a bool tensor holds something other than 0 and 1: the file is damaged")
    _dtypes.from_numpy_dtype(array.dtype)
    where = Device("cuda", device) if isinstance(device, int) else Device(device)
    return wrap(to_device(array, where))
