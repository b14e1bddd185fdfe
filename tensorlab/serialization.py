"""`save` and `load`: checkpoints in PyTorch's file format, both ways and without PyTorch.

A `.pt` or `.pth` file is a zip archive of uncompressed records:

    archive/data.pkl    the objects, as a pickle in which tensors refer to storages by number
    archive/data/0 …    the bytes of each storage, once, however many tensors show it
    archive/byteorder   "little" or "big"
    archive/version     of the format

Old files (PyTorch before 1.6) are a sequence of pickles with the storages at the end; they are
read too. Nothing in a file is ever run: see `tensorlab._pickle_reader`.
"""

from __future__ import annotations

import errno
import io
import os
import pickle
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from tensorlab._backend import to_numpy
from tensorlab._files import replacing
from tensorlab._pickle_reader import DAMAGED, load_pickle
from tensorlab._pickle_writer import PickleWriter
from tensorlab._rebuild import Kind, MapLocation, Placement, PlacementError, Rebuilder
from tensorlab._storage import UntypedStorage, flat_memory

if TYPE_CHECKING:
    import zipfile

__all__ = ["load", "save"]

File = str | os.PathLike[str] | IO[bytes]

_ARCHIVE = "archive"
_VERSION = b"3\n"
_ALIGNMENT = 64  # of each record in the file, so that it can be mapped into memory

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


def save(obj: Any, f: File, pickle_module: Any = None, pickle_protocol: int = 2) -> None:
    """Write tensors and plain containers to a file that `load` and `torch.load` read.

    Tensors that share memory share it again when they are loaded, and a view is saved with all
    of the memory that it is a view of: `clone()` a small view of something large first. Gradients
    and history are not saved.

    Args:
        obj: a tensor, parameter, number, string, dtype, device, or a nesting of them in lists,
            tuples, sets, dicts, OrderedDicts and Counters, such as a `state_dict()`.
        f: a path, whose file is replaced at once when all is written (if saving fails, or the
            process is killed, the old file is still there), or a file open for binary writing.
        pickle_module, pickle_protocol: only `pickle` and 2, for PyTorch's sake.

    Raises:
        pickle.PicklingError: something else is in `obj`; the message says what and where.
        RuntimeError: two tensors show the same memory as different types.
        OSError: the folder does not exist or may not be written to.

    >>> import io, tensorlab
    >>> file = io.BytesIO()
    >>> tensorlab.save({"weight": tensorlab.ones(2), "epoch": 3}, file)
    >>> _ = file.seek(0)
    >>> tensorlab.load(file)
    {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    if pickle_module not in (None, pickle) or pickle_protocol != 2:
        raise ValueError(
            "save() writes PyTorch's format with pickle protocol 2 only: leave pickle_module and "
            "pickle_protocol out"
        )
    writer = PickleWriter()
    data = writer.dumps(obj)
    if isinstance(f, (str, os.PathLike)):
        with replacing(f) as file:
            _write_archive(file, data, writer.storages)
        return
    if isinstance(f, io.TextIOBase) or not hasattr(f, "write"):
        raise TypeError(
            f"save() needs a path or a file open for binary writing, got {type(f).__name__}: open "
            "it with mode 'wb'"
        )
    # In memory first: some files can't be sought in, which the zip format needs.
    buffer = io.BytesIO()
    _write_archive(buffer, data, writer.storages)
    f.write(buffer.getbuffer())


def _write_archive(file: IO[bytes], data: bytes, storages: list[UntypedStorage]) -> None:
    import zipfile

    with zipfile.ZipFile(file, "w") as archive:

        def record(name: str, content: Any) -> None:
            info = zipfile.ZipInfo(f"{_ARCHIVE}/{name}")
            header = file.tell() + 30 + len(info.filename) + 4
            if len(content) * 1.05 > zipfile.ZIP64_LIMIT:
                header += 20  # zipfile then adds a field of this size
            padding = -header % _ALIGNMENT
            info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
            archive.writestr(info, content)

        record("data.pkl", data)
        record("byteorder", sys.byteorder.encode())
        for i, storage in enumerate(storages):
            flat = np.ascontiguousarray(to_numpy(flat_memory(storage.root)))
            record(f"data/{i}", flat.reshape(-1).view(np.uint8).data)
        record("version", _VERSION)


def load(
    f: File,
    map_location: MapLocation = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
) -> Any:
    """Read what `save` or `torch.save` wrote: tensors and plain containers, nothing else.

    Args:
        f: a path, or a file open for binary reading.
        map_location: where tensors go: None for the device that they were on; a device or its
            name for all of them; a dict from saved names to new ones (`{"cuda:1": "cuda:0"}`); or
            a function of a storage on the CPU and its saved name that returns a storage, or None
            to leave it to the saved name.
        pickle_module: must be left out.
        weights_only: must not be `False`: a file that needs it could run any code when loaded.
        mmap: map the storages of a file into memory instead of reading them: parts are read when
            they are used. Changes stay in memory. The checksums are then not verified.

    Raises:
        pickle.UnpicklingError: the file holds something else; the message says what it wanted.
        RuntimeError: the file is damaged, or not such a file, or its device is not there.
        ValueError: `weights_only=False`, or a pickle module.
        FileNotFoundError: there is no such file.

    >>> import os, tempfile, tensorlab
    >>> from tensorlab import nn
    >>> model = nn.Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.pth")
    ...     tensorlab.save(model.state_dict(), path)
    ...     nn.Linear(3, 2).load_state_dict(tensorlab.load(path))
    <All keys matched successfully>
    """
    if weights_only is False or pickle_module is not None:
        raise ValueError(
            "load() never runs code from a file, which weights_only=False and a pickle module "
            "would allow: leave them out. A file with more than tensors and plain containers can "
            "be opened with PyTorch, if you trust it, and its state_dict() saved from there."
        )
    if isinstance(f, (str, os.PathLike)):
        name = os.fspath(f)
        with open(f, "rb") as file:
            return _load(file, name, map_location, mmap=bool(mmap))
    for method in ("read", "readline", "seek", "tell"):
        if not hasattr(f, method):
            raise AttributeError(
                f"'{type(f).__name__}' object has no attribute '{method}'. You can only load from "
                "a path or a file that is seekable: read the data into io.BytesIO first."
            )
    if isinstance(f, io.TextIOBase):
        raise TypeError("load() needs a file open for binary reading: open it with mode 'rb'")
    if mmap:
        raise ValueError("mmap=True needs the path of a file, got a file object")
    return _load(f, getattr(f, "name", "the file"), map_location, mmap=False)


def _load(file: IO[bytes], name: Any, map_location: MapLocation, *, mmap: bool) -> Any:
    start = file.tell()
    head = file.read(8)
    file.seek(start)
    if not head:
        raise EOFError(f"{name} is empty: expected a file written by save()")
    rebuild = Rebuilder(Placement(map_location))
    with _damage_named(name):
        if head[:4] == b"PK\x03\x04":
            return _read_archive(file, name, rebuild, mmap=mmap)
        if head[:1] == b"\x80":
            if mmap:
                raise RuntimeError(
                    f"mmap=True needs a file in the zip format, and {name} is an older one"
                )
            return _read_legacy(file, name, rebuild)
        hint = ""
        if head[8:9] == b"{" or struct.unpack("<Q", head.ljust(8, b"\0"))[0] < 100_000_000:
            hint = "; if it is a safetensors file, read it with tensorlab.safetensors.load_file()"
        raise RuntimeError(f"{name} is not a file written by save() or torch.save(){hint}")


@contextmanager
def _damage_named(name: Any) -> Iterator[None]:
    """Turn what the parts of a damaged file raise into one clear error."""
    import zipfile
    import zlib

    try:
        yield
    except PlacementError as error:
        raise error.cause from None
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(f"{name}: {error}") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # which is what seeking to before the beginning gives
            raise
        raise RuntimeError(f"{name} is damaged or incomplete: copy or download it again") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, *DAMAGED) as error:
        raise RuntimeError(
            f"{name} is damaged or incomplete ({error}): copy or download it again"
        ) from error


def _read_archive(file: IO[bytes], name: Any, rebuild: Rebuilder, *, mmap: bool) -> Any:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        found = [n for n in entries if n.endswith("/data.pkl") and n.count("/") == 1]
        if len(found) != 1:
            raise RuntimeError(
                f"{name} is a zip archive, but not one of save() or torch.save(): it has no data.pkl"
            )
        prefix = found[0].removesuffix("data.pkl")
        if f"{prefix}constants.pkl" in entries:
            raise RuntimeError(
                f"{name} is a TorchScript program, not a checkpoint: load it with torch.jit.load() "
                "and save its state_dict()"
            )
        for entry in entries.values():
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise zipfile.BadZipFile(f"record {entry.filename} is compressed or encrypted")

        order = sys.byteorder
        if f"{prefix}byteorder" in entries:
            order = archive.read(f"{prefix}byteorder").decode()
            if order not in ("little", "big"):
                raise ValueError(f"the byte order is {order!r}")

        def read(key: str, kind: np.dtype, count: int) -> Any:
            entry = entries[f"{prefix}data/{key}"]
            if entry.file_size != count * kind.itemsize:
                raise ValueError(
                    f"storage {key} should have {count * kind.itemsize} bytes and has {entry.file_size}"
                )
            if mmap and count:
                return np.asarray(_mapped(file, name, entry, kind, count))
            array = np.empty(count, kind)
            with archive.open(entry) as record:
                _fill(record, array)
                record.read(1)  # at its end the checksum is verified
            return array

        storages: dict[str, tuple[Kind, UntypedStorage]] = {}

        def find(saved: Any) -> UntypedStorage:
            kind, key, location, count, _ = _reference(saved)
            if key not in storages:
                array = _in_order(read(key, kind.in_file, count), order)
                storages[key] = (kind, rebuild.storage(array, kind, location))
            elif storages[key][0] is not kind:
                raise ValueError(f"storage {key} is used as two types")
            return storages[key][1]

        data = archive.read(f"{prefix}data.pkl")
        return load_pickle(io.BytesIO(data), rebuild.names, find)


def _mapped(file: IO[bytes], name: Any, entry: zipfile.ZipInfo, kind: Any, count: int) -> Any:
    """A record's bytes, mapped copy-on-write."""
    file.seek(entry.header_offset + 26)
    name_length, extra_length = struct.unpack("<HH", file.read(4))
    start = entry.header_offset + 30 + name_length + extra_length
    return np.memmap(name, kind, "c", start, (count,))


def _fill(source: Any, array: np.ndarray) -> None:
    """Read the bytes of an array."""
    view = array.view(np.uint8).data
    done = 0
    while done < len(view):
        got = source.readinto(view[done:])
        if not got:
            raise EOFError(f"{len(view) - done} bytes of a storage are missing")
        done += got


def _in_order(array: np.ndarray, order: str) -> np.ndarray:
    """An array from a file as this machine writes numbers."""
    return array if order == sys.byteorder else array.byteswap()


def _reference(saved: Any) -> tuple[Kind, str, str, int, Any]:
    """The storage class, key, location and length of a reference to a storage, and what follows."""
    tag, kind, key, location, count, *more = saved
    if tag != "storage" or not isinstance(kind, Kind):
        raise pickle.UnpicklingError(f"refused: the file refers to a {tag!r}, not to a storage")
    if not (isinstance(key, str) and isinstance(location, str) and type(count) is int):
        raise ValueError("a reference to a storage is not as it should be")
    if count < 0:
        raise ValueError(f"storage {key} has {count} elements")
    return kind, key, location, count, more


# The format before PyTorch 1.6 ---------------------------------------------------------------


def _read_legacy(file: IO[bytes], name: Any, rebuild: Rebuilder) -> Any:
    """The magic number, the version, facts of the machine, the objects, keys, then storages."""
    begin = file.tell()
    total = file.seek(0, os.SEEK_END)
    file.seek(begin)
    if load_pickle(file, {}) != _LEGACY_MAGIC:
        raise RuntimeError(
            f"{name} is a pickle, but not a file written by save() or torch.save(): its first item "
            "is not PyTorch's"
        )
    protocol = load_pickle(file, {})
    if protocol != _LEGACY_PROTOCOL:
        raise RuntimeError(f"{name} has the unknown format {protocol!r}")
    order = "little" if load_pickle(file, {}).get("little_endian", True) else "big"

    # The storages come after the objects that refer to them: so the objects are read twice, first
    # only to learn the lengths of the storages.
    references: dict[str, tuple[Kind, str, int]] = {}

    def note(saved: Any) -> None:
        kind, key, location, count, more = _reference(saved)
        if any(part is not None for part in more):
            raise RuntimeError(
                f"{name} refers to parts of storages, which only PyTorch before 0.4 wrote: load it "
                "with PyTorch and save it again"
            )
        if count * kind.in_file.itemsize > total:
            raise ValueError(f"storage {key} is larger than the file")
        if references.setdefault(key, (kind, location, count)) != (kind, location, count):
            raise ValueError(f"storage {key} is used as two types")

    at = file.tell()
    load_pickle(file, Rebuilder(None).names, note)
    keys = load_pickle(file, {})
    storages: dict[str, UntypedStorage] = {}
    for key in keys:
        kind, location, count = references[key]
        (written,) = struct.unpack("<q", file.read(8))
        if written != count:
            raise ValueError(f"storage {key} should have {count} elements and has {written}")
        array = np.empty(count, kind.in_file)
        _fill(_Readable(file), array)
        storages[key] = rebuild.storage(_in_order(array, order), kind, location)
    file.seek(at)
    return load_pickle(file, rebuild.names, lambda saved: storages[saved[2]])


class _Readable:
    """`readinto` for files that have only `read`."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def readinto(self, view: memoryview) -> int:
        data = self.file.read(len(view))
        view[: len(data)] = data
        return len(data)
