"""Messages between a loader and its workers: objects over a socket, their arrays in shared memory.

An object is pickled with its arrays kept apart (PEP 574). A few kilobytes of arrays follow the
pickle through the socket. More are written to a block of memory without a name, of which only the
open file travels: nothing lies in /dev/shm that a killed process could leave behind, and the
limit that containers put on that folder does not count. The receiver maps what is large in it, so
that it is never copied on the side that trains. Each array has memory of its own there: who keeps
the labels of a batch does not keep its pictures.

There are no locks: each worker has a socket of its own, and one that dies can block nobody.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import pickle
import socket
import struct
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np

from tensorlab._dtypes import held
from tensorlab._tensor import Tensor, wrap

__all__ = ["Channel", "Frame", "Tag"]

# From here on a block of memory of its own is faster than the way through the socket.
SHARED_FROM = 64 * 1024
# From here on mapping an array is faster than reading it into memory that is at hand already.
MAPPED_FROM = 1024 * 1024
# Python keeps a file open for each map, and 1024 open files are a usual limit. Who holds more
# large arrays than this at a time gets copies.
MOST_MAPPED = 128
_ALIGNMENT = 64  # a cache line, and the widest load of a processor

# Three numbers that say what it is; the length of the pickle, how many arrays there are, whether
# these come in a block of their own. The arrays' sizes follow.
_HEADER = struct.Struct("<qqqQQ?")
_HAS_BLOCKS = os.name == "posix"

_mapped: WeakSet[mmap.mmap] = WeakSet()


class Tag(NamedTuple):
    """What a message is about, readable without unpickling it."""

    epoch: int
    number: int
    kind: int


class Frame(NamedTuple):
    """A message as it arrived; `load` makes the object of it."""

    tag: Tag
    pickled: Any
    arrays: list[Any]

    def load(self) -> Any:
        """The object. Raises what unpickling raises."""
        return pickle.loads(self.pickled, buffers=self.arrays)


class Channel:
    """One end of the connection between a loader and one worker; `Channel.pair()` makes both."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two ends of a new connection."""
        one, other = socket.socketpair()
        return cls(one), cls(other)

    def send(self, tag: Tag, value: Any) -> None:
        """Send an object. `OSError` if the other side has gone; what pickling raises, before
        anything is sent, if the object can't be pickled."""
        stream = io.BytesIO()
        buffers: list[pickle.PickleBuffer] = []
        _Pickler(stream, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append).dump(value)
        pickled, arrays = stream.getbuffer(), [buffer.raw() for buffer in buffers]
        sizes = [array.nbytes for array in arrays]
        in_block = _HAS_BLOCKS and sum(sizes) >= SHARED_FROM
        header = _HEADER.pack(*tag, pickled.nbytes, len(arrays), in_block)
        head = header + struct.pack(f"<{len(sizes)}Q", *sizes)
        if in_block:
            block = _block_of(arrays, _layout(sizes))
            try:
                sent = socket.send_fds(self.socket, [head], [block])
            finally:
                os.close(block)
            self.socket.sendall(b"".join([head[sent:], pickled]))
            return
        self.socket.sendall(b"".join([head, pickled, *arrays]))

    def receive(self) -> Frame:
        """The next message. `EOFError` or another `OSError` if the other side has gone."""
        header, block = self._receive_header()
        try:
            *tag, length, count, in_block = _HEADER.unpack(header)
            sizes = struct.unpack(f"<{count}Q", self._receive_exactly(8 * count))
            pickled = self._receive_exactly(length)
            if in_block and block is None:
                raise RuntimeError(
                    "Too many open files: a batch could not be received. Raise the limit (ulimit -n), "
                    "or let go of files or batches that you hold."
                )
            if block is None:
                arrays = [self._receive_exactly(size) for size in sizes]
            else:
                places = zip(_layout(sizes), sizes, strict=True)
                arrays = [_memory_of(block, start, size) for start, size in places]
        finally:
            if block is not None:
                os.close(block)
        return Frame(Tag(*tag), pickled, arrays)

    def _receive_header(self) -> tuple[bytes | bytearray, int | None]:
        """The header, and the open file that came with its first byte if one did."""
        if not _HAS_BLOCKS:
            return self._receive_exactly(_HEADER.size), None
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        start, files, _, _ = socket.recv_fds(self.socket, _HEADER.size, 1, flags)
        if not start:
            raise EOFError
        return start + self._receive_exactly(_HEADER.size - len(start)), next(iter(files), None)

    def _receive_exactly(self, count: int) -> bytearray:
        memory = bytearray(count)
        missing = memoryview(memory)
        while missing:
            received = self.socket.recv_into(missing)
            if not received:
                raise EOFError
            missing = missing[received:]
        return memory

    def hang_up(self) -> None:
        """End the connection on both sides: whoever waits to read or to write in it stops waiting.

        Unlike closing, this works although other processes may have inherited this end.
        """
        with contextlib.suppress(OSError):  # the other side was first
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back to the system."""
        self.socket.close()


def _layout(sizes: Sequence[int]) -> list[int]:
    """Where arrays of these sizes start in a block; large ones where a map can start."""
    starts, end = [], 0
    for size in sizes:
        step = mmap.ALLOCATIONGRANULARITY if size >= MAPPED_FROM else _ALIGNMENT
        starts.append(-(-end // step) * step)
        end = starts[-1] + size
    return starts


def _block_of(arrays: list[memoryview], starts: list[int]) -> int:
    """An open file of memory without a name that holds the arrays at their starts."""
    if hasattr(os, "memfd_create"):
        block = os.memfd_create("tensorlab")
    else:  # a file that has lost its name: in memory too, while there is enough of it
        with tempfile.TemporaryFile() as file:
            block = os.dup(file.fileno())
    try:
        for start, array in zip(starts, arrays, strict=True):
            while array:
                written = os.pwrite(block, array, start)
                start, array = start + written, array[written:]
    except BaseException:
        os.close(block)
        raise
    return block


def _memory_of(block: int, start: int, size: int) -> Any:
    """A part of an open file as writable memory that the caller may keep."""
    if size >= MAPPED_FROM and len(_mapped) < MOST_MAPPED:
        with contextlib.suppress(OSError):  # too many maps or files: a copy does as well
            flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
            mapped = mmap.mmap(block, size, flags, offset=start)
            _mapped.add(mapped)
            return mapped
    memory = np.empty(size, np.uint8)
    missing = memory.data
    while missing:
        count = os.preadv(block, [missing], start + size - len(missing))
        if not count:
            raise EOFError
        missing = missing[count:]
    return memory


# How tensors are pickled ---------------------------------------------------------------------


class _Pickler(pickle.Pickler):
    """Sends of a tensor what it shows, where pickling it sends all of its storage.

    One row of a large tensor would otherwise take the whole tensor along.
    """

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, Tensor) or not isinstance(obj._data, np.ndarray):
            return NotImplemented
        if obj.requires_grad and not obj.is_leaf:
            raise RuntimeError(
                "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd "
                "does not support crossing process boundaries. If you just want to transfer the "
                "data, call detach() on the tensor before serializing (e.g., putting it on the queue)."
            )
        array = obj._data.view(np.ndarray)
        # The order of the dimensions in memory, so that a transposed tensor arrives as one.
        order = tuple(sorted(range(array.ndim), key=lambda dim: -array.strides[dim]))
        shape = tuple(array.shape[dim] for dim in order)
        packed = np.ascontiguousarray(array.transpose(order)).reshape(shape)
        # Of the types that NumPy does not know, only bytes can be kept apart.
        foreign = None if packed.dtype.isbuiltin == 1 else packed.dtype
        if foreign is not None:
            packed = packed.reshape(-1).view(np.uint8)
        state = (shape, foreign, order, obj.requires_grad, obj.__dict__)
        return _tensor, (type(obj), packed, *state)


def _tensor(
    cls: type[Tensor],
    packed: np.ndarray,
    shape: tuple[int, ...],
    foreign: np.dtype | None,
    order: tuple[int, ...],
    requires_grad: bool,
    attributes: dict[str, Any],
) -> Tensor:
    """The tensor that `_Pickler` took apart."""
    array = packed if packed.flags.writeable else packed.copy()
    if foreign is not None:
        array = array.view(foreign).reshape(shape)
    if order != tuple(range(len(order))):
        array = array.transpose(np.argsort(order))
    out = wrap(held(array), cls)
    out._requires_grad = requires_grad
    out.__dict__.update(attributes)
    return out
