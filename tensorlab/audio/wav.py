"""The WAV format: RIFF chunks, of which "fmt " describes the samples and "data" holds them.

Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0" (1991), with
WAVE_FORMAT_EXTENSIBLE (Microsoft, "Multiple Channel Audio Data and WAVE Files", 2001) and, for files
over 4 GiB, RF64 (EBU Tech 3306, 2009). Samples are little-endian; 8-bit ones are unsigned around
128, wider ones signed; frames hold one sample of each channel.

Nothing in a file is believed before it has been compared with the file's size.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, NamedTuple

import numpy as np

__all__ = ["WavFormat", "decode", "encode", "header", "read_format"]

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
_OTHERS = {2: "Microsoft ADPCM", 6: "A-law", 7: "µ-law", 0x11: "IMA ADPCM", 0x55: "MP3"}
# The end of an extensible format's id; its beginning is one of the numbers above.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_UNKNOWN_SIZE = 0xFFFFFFFF  # of a stream that was written before its length was known
_LARGEST_SIZE = 0xFFFFFFFF - 64

_TYPES = {
    (PCM, 8): np.dtype("u1"),
    (PCM, 16): np.dtype("<i2"),
    (PCM, 24): np.dtype("<i4"),  # once unpacked, in the upper three bytes
    (PCM, 32): np.dtype("<i4"),
    (FLOAT, 32): np.dtype("<f4"),
    (FLOAT, 64): np.dtype("<f8"),
}


class WavFormat(NamedTuple):
    """What the samples of a file are.

    Attributes:
        kind: `PCM` or `FLOAT`.
        bits: per sample.
        channels: samples per frame.
        rate: frames per second.
        frames: how many there are.
        start: where in the file the first one is.
    """

    kind: int
    bits: int
    channels: int
    rate: int
    frames: int = 0
    start: int = 0

    @property
    def frame_size(self) -> int:
        """Bytes per frame."""
        return self.channels * self.bits // 8

    @property
    def encoding(self) -> str:
        """torchaudio's name of the sample type."""
        if self.kind == FLOAT:
            return "PCM_F"
        return "PCM_U" if self.bits == 8 else "PCM_S"


def read_format(file: BinaryIO, name: str) -> WavFormat:
    """Read the headers of a file. `RuntimeError` says what is wrong with it."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        found = "a big-endian WAV file (RIFX)" if head[:4] == b"RIFX" else f"{head[:4]!r}"
        raise RuntimeError(f"{name} is no WAV file: it should begin with RIFF … WAVE, got {found}")
    layout, long_size, position = None, None, 12
    while position + 8 <= end:
        file.seek(position)
        chunk, size = struct.unpack("<4sI", file.read(8))
        position += 8
        if chunk == b"data":
            if layout is None:
                raise RuntimeError(f"{name}: the samples come before their description ('fmt ')")
            if size == _UNKNOWN_SIZE:
                whole = (end - position) // layout.frame_size * layout.frame_size
                size = whole if long_size is None else long_size
            return _with_samples(layout, size, position, end, name)
        if size > end - position:
            raise RuntimeError(
                f"{name}: the chunk {chunk.decode('latin-1')!r} claims {size} bytes, and the file has "
                f"{end - position} left: it is truncated or no WAV file"
            )
        if chunk == b"fmt ":
            layout = _layout(file.read(min(size, 40)), name)
        elif chunk == b"ds64" and size >= 16:
            long_size = struct.unpack("<Q", file.read(16)[8:])[0]
        position += size + size % 2  # chunks begin at even places
    missing = "samples ('data')" if layout else "description of the samples ('fmt ')"
    raise RuntimeError(f"{name}: the file ends before its {missing}: it is truncated")


def _layout(chunk: bytes, name: str) -> WavFormat:
    """The format that a "fmt " chunk describes."""
    if len(chunk) < 16:
        raise RuntimeError(f"{name}: the description of the samples has {len(chunk)} bytes, not 16")
    kind, channels, rate, _, frame_size, bits = struct.unpack("<HHIIHH", chunk[:16])
    if kind == EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != _GUID_TAIL:
            raise RuntimeError(f"{name}: the samples are of a kind that is not part of the format")
        kind = struct.unpack("<H", chunk[24:26])[0]
    if (kind, bits) not in _TYPES:
        what = _OTHERS.get(kind, {PCM: "PCM", FLOAT: "floats"}.get(kind, f"format {kind}"))
        raise RuntimeError(
            f"{name} holds {what} of {bits} bits; PCM of 8, 16, 24 or 32 bits and floats of 32 or 64 "
            "can be read: convert it to one of them"
        )
    if not channels or not rate or frame_size != channels * bits // 8:
        raise RuntimeError(
            f"{name}: the description of the samples is wrong: {channels} channels of {bits} bits "
            f"in frames of {frame_size} bytes, {rate} per second"
        )
    return WavFormat(kind, bits, channels, rate)


def _with_samples(layout: WavFormat, size: int, start: int, end: int, name: str) -> WavFormat:
    if size > end - start:
        raise RuntimeError(
            f"{name} is truncated: its header promises {size} bytes of samples, and {end - start} are there"
        )
    frames, rest = divmod(size, layout.frame_size)
    if rest:
        raise RuntimeError(
            f"{name}: {size} bytes of samples are no whole number of frames of {layout.frame_size} bytes"
        )
    return layout._replace(frames=frames, start=start)


def decode(raw: bytes, layout: WavFormat) -> np.ndarray:
    """Samples from bytes, shape `(frames, channels)`; those of 24 bits as int32, times 256."""
    if layout.bits == 24:
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        samples = wide.view("<i4")
    else:
        samples = np.frombuffer(raw, _TYPES[layout.kind, layout.bits])
    native = samples.dtype.newbyteorder("=")
    return samples.reshape(-1, layout.channels).astype(native)  # a copy, which may be written to


def encode(samples: np.ndarray, layout: WavFormat) -> bytes:
    """The bytes of samples `(frames, channels)` of uint8, int16, int32, float32 or float64.

    Whole numbers lose their lowest bits where the format has fewer, floats are rounded to the
    nearest, and what is beyond [-1, 1) becomes the nearest value that there is.
    """
    if layout.kind == FLOAT:
        return _as_floats(samples).astype(_TYPES[FLOAT, layout.bits]).tobytes()
    if samples.dtype.kind == "f":
        scale = 2.0 ** (layout.bits - 1)
        wide = np.clip(np.rint(samples.astype(np.float64) * scale), -scale, scale - 1)
        wide = wide.astype(np.int64)
    else:
        bits = samples.dtype.itemsize * 8
        wide = samples.astype(np.int64) - (128 if bits == 8 else 0)
        wide = wide << max(layout.bits - bits, 0) >> max(bits - layout.bits, 0)
    if layout.bits == 8:
        return (wide + 128).astype(np.uint8).tobytes()
    if layout.bits == 24:
        return wide.astype("<i4")[..., None].view(np.uint8)[..., :3].tobytes()
    return wide.astype(_TYPES[PCM, layout.bits]).tobytes()


def _as_floats(samples: np.ndarray) -> np.ndarray:
    """Samples as float64 in [-1, 1); floats as they are."""
    if samples.dtype.kind == "f":
        return samples
    bits = samples.dtype.itemsize * 8
    return (samples.astype(np.float64) - (128 if bits == 8 else 0)) / 2.0 ** (bits - 1)


def normalized(samples: np.ndarray) -> np.ndarray:
    """Samples as float32: whole numbers by the largest of their type, floats as they are."""
    return _as_floats(samples).astype(np.float32)


def header(layout: WavFormat) -> bytes:
    """What stands before the samples in a file. `ValueError` if they are too many for the format."""
    size = layout.frames * layout.frame_size
    if size > _LARGEST_SIZE:
        raise ValueError(f"a WAV file holds at most {_LARGEST_SIZE} bytes of samples, got {size}")
    rate = layout.rate
    chunk = struct.pack(
        "<HHIIHH", layout.kind, layout.channels, rate, rate * layout.frame_size,
        layout.frame_size, layout.bits,
    )  # fmt: skip
    if layout.kind == FLOAT:  # the specification asks for these of all but PCM
        chunk += struct.pack("<H", 0)
    chunks = struct.pack("<4sI", b"fmt ", len(chunk)) + chunk
    if layout.kind == FLOAT:
        chunks += struct.pack("<4sII", b"fact", 4, layout.frames)
    chunks += struct.pack("<4sI", b"data", size)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks) + size + size % 2, b"WAVE") + chunks
