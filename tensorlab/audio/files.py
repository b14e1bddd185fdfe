"""Waveforms from files and to files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from tensorlab._backend import to_numpy
from tensorlab._files import replacing
from tensorlab._tensor import Tensor, wrap
from tensorlab.audio import wav

__all__ = ["AudioMetaData", "info", "load", "save"]

Source = str | os.PathLike[str] | BinaryIO


@dataclass
class AudioMetaData:
    """What a file says of its sound; `info` returns it.

    Attributes:
        sample_rate: frames per second.
        num_frames: how many frames there are.
        num_channels: samples per frame.
        bits_per_sample: 8, 16, 24, 32 or 64.
        encoding: "PCM_U" (unsigned whole numbers), "PCM_S" (signed ones) or "PCM_F" (floats).
    """

    sample_rate: int
    num_frames: int
    num_channels: int
    bits_per_sample: int
    encoding: str


def info(
    uri: Source, format: str | None = None, buffer_size: int = 4096, backend: str | None = None
) -> AudioMetaData:
    """What a WAV file holds, read from its headers.

    Args:
        uri: a path, or a file open for reading bytes that can seek.
        format: "wav" or None.
        buffer_size, backend: accepted for torchaudio's sake, without effect.

    Raises:
        RuntimeError: it is no WAV file, is truncated, or holds samples of an unknown kind.

    >>> import tensorlab
    >>> from io import BytesIO
    >>> from tensorlab import audio
    >>> file = BytesIO()
    >>> audio.save(file, tensorlab.zeros(2, 8000), 8000)
    >>> audio.info(file)  # doctest: +NORMALIZE_WHITESPACE
    AudioMetaData(sample_rate=8000, num_frames=8000, num_channels=2, bits_per_sample=32,
                  encoding='PCM_F')
    """
    _check_format(format)
    with _reading(uri) as (file, name):
        found = wav.read_format(file, name)
    return AudioMetaData(found.rate, found.frames, found.channels, found.bits, found.encoding)


def load(
    uri: Source,
    frame_offset: int = 0,
    num_frames: int = -1,
    normalize: bool = True,
    channels_first: bool = True,
    format: str | None = None,
    buffer_size: int = 4096,
    backend: str | None = None,
) -> tuple[Tensor, int]:
    """Read a WAV file, or a part of it: the waveform and the frames per second.

    Args:
        uri: a path, or a file open for reading bytes that can seek.
        frame_offset: the first frame to read.
        num_frames: how many frames to read at most; -1, all.
        normalize: float32, where whole numbers are divided by 2^(bits - 1) and so lie in [-1, 1).
            If False, the type in the file: uint8 (around 128), int16, int32 (24 bits stand in the
            upper three bytes), float32 or float64.
        channels_first: shape `(channels, time)`; otherwise `(time, channels)`.
        format: "wav" or None.
        buffer_size, backend: accepted for torchaudio's sake, without effect.

    Raises:
        ValueError: a negative offset, or a number of frames that is none.
        RuntimeError: it is no WAV file, is truncated, or holds samples of an unknown kind.

    >>> import tensorlab
    >>> from io import BytesIO
    >>> from tensorlab import audio
    >>> file = BytesIO()
    >>> audio.save(file, tensorlab.tensor([[0.0, 0.5, -1.0]]), 8000, bits_per_sample=16)
    >>> audio.load(file)
    (tensor([[ 0.0000,  0.5000, -1.0000]]), 8000)
    >>> audio.load(file, frame_offset=1, normalize=False)
    (tensor([[ 16384, -32768]], dtype=tensorlab.int16), 8000)
    """
    _check_format(format)
    if frame_offset < 0:
        raise ValueError(f"Invalid argument: frame_offset must be non-negative, got {frame_offset}")
    if num_frames < -1 or num_frames == 0:
        raise ValueError(
            f"Invalid argument: num_frames must be -1 or greater than 0, got {num_frames}"
        )
    with _reading(uri) as (file, name):
        found = wav.read_format(file, name)
        count = max(found.frames - frame_offset, 0)
        count = count if num_frames == -1 else min(count, num_frames)
        file.seek(found.start + min(frame_offset, found.frames) * found.frame_size)
        raw = file.read(count * found.frame_size)
    if len(raw) != count * found.frame_size:
        raise RuntimeError(f"{name} has become shorter while it was read")
    samples = wav.decode(raw, found)
    if normalize:
        samples = wav.normalized(samples)
    if channels_first:
        samples = np.ascontiguousarray(samples.T)
    return wrap(samples), found.rate


def save(
    uri: Source,
    src: Tensor,
    sample_rate: int,
    channels_first: bool = True,
    format: str | None = None,
    encoding: str | None = None,
    bits_per_sample: int | None = None,
    buffer_size: int = 4096,
    backend: str | None = None,
    compression: Any = None,
) -> None:
    """Write a waveform to a WAV file, which replaces what is there only when it is complete.

    Args:
        uri: a path, or a file open for writing bytes.
        src: shape `(channels, time)`, uint8, int16, int32, or floats, which whole-number formats
            take from [-1, 1): what is beyond is cut off.
        sample_rate: frames per second.
        channels_first: False for shape `(time, channels)`.
        format: "wav" or None.
        encoding: "PCM_U" (8 bits), "PCM_S" (16, 24 or 32) or "PCM_F" (32 or 64); by default what
            suits `bits_per_sample`, or else the dtype of `src`.
        bits_per_sample: 8, 16, 24, 32 or 64.
        buffer_size, backend, compression: accepted for torchaudio's sake, without effect.

    Raises:
        ValueError: a wrong shape, dtype or sample rate, or an encoding that WAV does not have.

    >>> import tensorlab
    >>> from io import BytesIO
    >>> from tensorlab import audio
    >>> time = tensorlab.arange(8000) / 8000
    >>> audio.save(BytesIO(), (2 * tensorlab.pi * 440 * time).sin().unsqueeze(0), 8000)
    """
    _check_format(format)
    if src.dim() != 2:
        raise ValueError(f"Expected 2D Tensor, got {src.dim()}D. Shape should be (channels, time)")
    samples = to_numpy(src.detach()._data)
    if samples.dtype.name not in _NATURAL:
        raise ValueError(f"Unsupported dtype {src.dtype}: expected one of {', '.join(_NATURAL)}")
    samples = samples.T if channels_first else samples
    frames, channels = samples.shape
    if not 0 < channels < 2**16:
        raise ValueError(f"expected 1 to 65535 channels, got {channels} (shape {tuple(src.shape)})")
    if not isinstance(sample_rate, int) or not 0 < sample_rate < 2**32:
        raise ValueError(f"sample_rate should be a positive integer, got {sample_rate!r}")
    kind, bits = _encoding_of(samples.dtype.name, encoding, bits_per_sample)
    layout = wav.WavFormat(kind, bits, channels, sample_rate, frames)
    if sample_rate * layout.frame_size >= 2**32 or layout.frame_size >= 2**16:
        raise ValueError(
            f"WAV has no room for {channels} channels of {bits} bits, {sample_rate} times a second"
        )
    head = wav.header(layout)
    body = wav.encode(np.ascontiguousarray(samples), layout)
    pad = b"\0" * (len(body) % 2)
    if isinstance(uri, (str, os.PathLike)):
        with replacing(uri) as file:
            file.writelines([head, body, pad])
    else:
        uri.write(head + body + pad)


_NATURAL = {
    "uint8": (wav.PCM, 8),
    "int16": (wav.PCM, 16),
    "int32": (wav.PCM, 32),
    "float32": (wav.FLOAT, 32),
    "float64": (wav.FLOAT, 64),
}


def _encoding_of(dtype: str, encoding: str | None, bits: int | None) -> tuple[int, int]:
    """The kind and width of samples in the file."""
    if encoding is None:
        if bits is None:
            return _NATURAL[dtype]
        # 32 bits are whole numbers, as torchaudio has it; 64 can only be floats.
        encoding = {8: "PCM_U", 64: "PCM_F"}.get(bits, "PCM_S")
    widths = {"PCM_U": (8,), "PCM_S": (32, 16, 24), "PCM_F": (32, 64)}
    if encoding not in widths:
        raise ValueError(
            f"Unsupported encoding {encoding!r}: expected one of {', '.join(map(repr, widths))}"
        )
    if bits is not None and bits not in widths[encoding]:
        raise ValueError(
            f"wav does not support {bits}-bit {encoding} encoding, only "
            f"{' or '.join(map(str, sorted(widths[encoding])))} bits"
        )
    return wav.FLOAT if encoding == "PCM_F" else wav.PCM, bits or widths[encoding][0]


def _check_format(format: str | None) -> None:
    if format is not None and format.lower() != "wav":
        raise ValueError(
            f"Unsupported format {format!r}: expected 'wav'; convert other files to it"
        )


@contextmanager
def _reading(uri: Source) -> Iterator[tuple[BinaryIO, str]]:
    """The file, and its name for messages."""
    if isinstance(uri, (str, os.PathLike)):
        with open(uri, "rb") as file:
            yield file, os.fspath(uri)
    else:
        yield uri, str(getattr(uri, "name", "the file"))
