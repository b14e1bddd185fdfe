"""The idx format of MNIST: a magic number with type and dimensions, the sizes, the numbers.

Two zero bytes, one byte for the type, one for the number of dimensions, a big-endian 32-bit size
for each of them, then the elements, big-endian. Source: http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from math import prod

import numpy as np

__all__ = ["read_idx"]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an idx file, which may be compressed with gzip.

    Raises `ValueError` if it is no such file, or not complete.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"{name} is damaged or incomplete ({error}): download it again"
            ) from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES:
        raise ValueError(f"{name} is not an idx file: it begins with {data[:4].hex(' ')}")
    kind, dims = np.dtype(_TYPES[data[2]]), data[3]
    start = 4 + 4 * dims
    if len(data) < start:
        raise ValueError(f"{name} is damaged or incomplete: download it again")
    shape = struct.unpack(f">{dims}I", data[4:start])
    wanted = prod(shape) * kind.itemsize
    if len(data) - start != wanted:
        raise ValueError(
            f"{name} is damaged or incomplete: {shape} of {kind.name} are {wanted} bytes, and "
            f"{len(data) - start} are there; delete it and download it again"
        )
    flat = np.frombuffer(data, kind, offset=start)
    return flat.reshape(shape).astype(kind.newbyteorder("="))
