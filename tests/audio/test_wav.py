"""WAV files: what SciPy writes is read, what is written SciPy reads, and nothing false is believed."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from io import BytesIO

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import audio

DTYPES = ["uint8", "int16", "int32", "float32", "float64"]


def sound(rng, dtype, frames=1000, channels=2):
    """Random samples over the whole range of a type, its ends included."""
    if np.dtype(dtype).kind == "f":
        return rng.uniform(-1, 1, (frames, channels)).astype(dtype)
    ends = np.iinfo(dtype)
    samples = rng.integers(ends.min, ends.max, (frames, channels), dtype, endpoint=True)
    samples.flat[: min(2, samples.size)] = [ends.min, ends.max][: samples.size]
    return samples


def as_floats(samples):
    """The same in [-1, 1)."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    half = 2.0 ** (samples.dtype.itemsize * 8 - 1)
    return ((samples.astype(np.float64) - half * (samples.dtype.kind == "u")) / half).astype(
        np.float32
    )


@pytest.fixture
def scipy_wav():
    return pytest.importorskip("scipy.io.wavfile", reason="SciPy is the oracle of this test")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_what_scipy_writes(scipy_wav, rng, tmp_path, dtype, channels):
    samples = sound(rng, dtype, channels=channels)
    scipy_wav.write(tmp_path / "a.wav", 22050, samples)
    raw, rate = audio.load(tmp_path / "a.wav", normalize=False)
    assert rate == 22050
    assert raw.dtype is getattr(tl, dtype)
    np.testing.assert_array_equal(raw.numpy(), samples.T)
    assert raw.is_contiguous()
    wave, _ = audio.load(tmp_path / "a.wav", channels_first=False)
    assert wave.dtype is tl.float32
    np.testing.assert_array_equal(wave.numpy(), as_floats(samples))
    found = audio.info(tmp_path / "a.wav")
    kind = {"u": "PCM_U", "i": "PCM_S", "f": "PCM_F"}[samples.dtype.kind]
    bits = samples.dtype.itemsize * 8
    assert found == audio.AudioMetaData(22050, 1000, channels, bits, kind)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [1, 999])
def test_what_scipy_reads(scipy_wav, rng, tmp_path, dtype, channels, frames):
    samples = sound(rng, dtype, frames, channels)
    audio.save(tmp_path / "a.wav", tl.from_numpy(samples.T.copy()), 8000)
    rate, found = scipy_wav.read(tmp_path / "a.wav")
    assert rate == 8000
    assert found.dtype == samples.dtype
    np.testing.assert_array_equal(found.reshape(frames, channels), samples)


def test_24_bits(scipy_wav, rng, tmp_path):
    samples = sound(rng, "int32")
    audio.save(tmp_path / "a.wav", tl.from_numpy(samples.T.copy()), 8000, bits_per_sample=24)
    _, found = scipy_wav.read(tmp_path / "a.wav")
    np.testing.assert_array_equal(found, samples & ~0xFF)  # the lowest byte is lost
    raw, _ = audio.load(tmp_path / "a.wav", normalize=False, channels_first=False)
    np.testing.assert_array_equal(raw.numpy(), found)
    wave, _ = audio.load(tmp_path / "a.wav", channels_first=False)
    np.testing.assert_array_equal(wave.numpy(), as_floats(found))
    assert audio.info(tmp_path / "a.wav").bits_per_sample == 24


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize(
    ("encoding", "bits"),
    [("PCM_U", 8), ("PCM_S", 16), ("PCM_S", 24), ("PCM_S", 32), ("PCM_F", 32), ("PCM_F", 64)],
)
def test_conversions(rng, source, encoding, bits):
    """The value is the same, up to half a step of the coarser type (a whole one where bits go)."""
    samples = sound(rng, source, frames=100)
    file = BytesIO()
    audio.save(file, tl.from_numpy(samples.T.copy()), 8000, encoding=encoding, bits_per_sample=bits)
    assert audio.info(file).bits_per_sample == bits
    found, _ = audio.load(file, channels_first=False)
    steps = [2.0 ** (1 - bits), 2.0 ** (1 - samples.dtype.itemsize * 8), 2.0**-24]
    expected = as_floats(samples)
    if encoding != "PCM_F":
        expected = np.minimum(expected, 1 - 2.0 ** (1 - bits))
    assert np.abs(found.numpy() - expected).max() <= max(steps)


def test_what_is_too_loud_is_cut_off():
    file = BytesIO()
    audio.save(file, tl.tensor([[-2.0, -1.0, 1.0, 7.0]]), 8000, bits_per_sample=16)
    raw, _ = audio.load(file, normalize=False)
    assert raw.tolist() == [[-32768, -32768, 32767, 32767]]


def test_parts_of_a_file(rng):
    samples = tl.from_numpy(sound(rng, "int16").T.copy())
    file = BytesIO()
    audio.save(file, samples, 8000)
    for offset, count in [(0, -1), (0, 1), (10, 20), (990, 100), (999, -1), (1000, -1), (5000, 3)]:
        part, _ = audio.load(file, offset, count, normalize=False)
        expected = samples[:, offset:] if count == -1 else samples[:, offset : offset + count]
        assert part.shape == expected.shape
        assert part.tolist() == expected.tolist()
    with pytest.raises(ValueError, match="frame_offset must be non-negative, got -1"):
        audio.load(file, -1)
    for wrong in (0, -2):
        with pytest.raises(ValueError, match=f"-1 or greater than 0, got {wrong}"):
            audio.load(file, num_frames=wrong)


def test_channels_last_and_odd_lengths(tmp_path):
    audio.save(
        tmp_path / "a.wav", tl.tensor([[1], [2], [3]], dtype=tl.uint8), 5, channels_first=False
    )
    assert (tmp_path / "a.wav").stat().st_size % 2 == 0
    assert audio.load(tmp_path / "a.wav", normalize=False)[0].tolist() == [[1, 2, 3]]
    audio.save(tmp_path / "a.wav", tl.zeros(1, 0), 5)
    assert audio.load(tmp_path / "a.wav")[0].shape == (1, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: audio.save(f, tl.zeros(4), 8000), "Expected 2D Tensor, got 1D"),
        (
            lambda f: audio.save(f, tl.zeros(1, 4, dtype=tl.int64), 8000),
            "Unsupported dtype .*int64",
        ),
        (lambda f: audio.save(f, tl.zeros(0, 4), 8000), "1 to 65535 channels, got 0"),
        (lambda f: audio.save(f, tl.zeros(1, 4), 0), "positive integer, got 0"),
        (lambda f: audio.save(f, tl.zeros(1, 4), 44.1), "positive integer, got 44.1"),
        (lambda f: audio.save(f, tl.zeros(1, 4), 2**31), "has no room for 1 channels of 32 bits"),
        (lambda f: audio.save(f, tl.zeros(1, 4), 8000, format="mp3"), "Unsupported format 'mp3'"),
        (lambda f: audio.save(f, tl.zeros(1, 4), 8000, encoding="ULAW"), "encoding 'ULAW'"),
        (
            lambda f: audio.save(f, tl.zeros(1, 4), 8000, encoding="PCM_S", bits_per_sample=8),
            "does not support 8-bit PCM_S encoding, only 16 or 24 or 32 bits",
        ),
        (lambda f: audio.save(f, tl.zeros(1, 4), 8000, bits_per_sample=12), "12-bit"),
        (lambda f: audio.load(f, format="flac"), "Unsupported format 'flac'"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(BytesIO())


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    audio.save(path, tl.zeros(1, 4), 8000)
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        audio.save(path, tl.ones(1, 400), 8000)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# Files by hand ----------------------------------------------------------------------------


def chunk(name, body, size=None):
    return (
        struct.pack("<4sI", name, len(body) if size is None else size)
        + body
        + b"\0" * (len(body) % 2)
    )


def fmt(kind=1, channels=1, rate=8000, bits=16, frame=None, extra=b""):
    frame = channels * bits // 8 if frame is None else frame
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits) + extra
    )


def riff(*chunks, head=b"RIFF", size=None, kind=b"WAVE"):
    body = b"".join(chunks)
    return struct.pack("<4sI", head, 4 + len(body) if size is None else size) + kind + body


SAMPLES = chunk(b"data", struct.pack("<3h", 1, -2, 3))
GUID = bytes.fromhex("000000001000800000aa00389b71")
DS64 = chunk(b"ds64", struct.pack("<QQQI", 100, 6, 3, 0))
EXTENSIBLE = fmt(0xFFFE, extra=struct.pack("<HHIH", 22, 16, 4, 1) + GUID)


@pytest.mark.parametrize(
    "content",
    [
        riff(fmt(), SAMPLES),
        riff(chunk(b"LIST", b"odd"), fmt(), chunk(b"fact", b"1234"), SAMPLES, chunk(b"id3 ", b"x")),
        riff(fmt(extra=b"\0\0"), SAMPLES),
        riff(EXTENSIBLE, SAMPLES),
        riff(DS64, fmt(), chunk(b"data", SAMPLES[8:], 0xFFFFFFFF), head=b"RF64", size=0xFFFFFFFF),
        riff(fmt(), chunk(b"data", SAMPLES[8:], 0xFFFFFFFF), size=0xFFFFFFFF),  # a stream
        riff(fmt(), SAMPLES, size=7),  # nobody relies on this size
        riff(fmt(), SAMPLES) + b"left over",
    ],
    ids=["plain", "chunks", "18 bytes", "extensible", "RF64", "stream", "wrong size", "more"],
)
def test_lawful_files(content):
    raw, rate = audio.load(BytesIO(content), normalize=False)
    assert (raw.tolist(), rate) == ([[1, -2, 3]], 8000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no WAV file"),
        (b"RIFF", "is no WAV file"),
        (b"OggS" + bytes(100), "should begin with RIFF … WAVE, got b'OggS'"),
        (riff(fmt(), SAMPLES, head=b"RIFX"), "big-endian"),
        (riff(kind=b"AVI "), "is no WAV file"),
        (riff(), "ends before its description"),
        (riff(fmt()), "ends before its samples"),
        (riff(SAMPLES), "samples come before their description"),
        (riff(fmt(), SAMPLES)[:-1], "is truncated: its header promises 6 bytes of samples, and 5"),
        (
            riff(fmt(), chunk(b"data", b"", 4 * 10**9)),
            "promises 4000000000 bytes of samples, and 0",
        ),
        (riff(chunk(b"LIST", b"", 4 * 10**9), fmt(), SAMPLES), "'LIST' claims 4000000000 bytes"),
        (
            riff(
                chunk(b"ds64", struct.pack("<QQ", 2**62, 2**62)),
                fmt(),
                chunk(b"data", b"", 2**32 - 1),
            ),
            "promises 4611686018427387904 bytes",
        ),
        (riff(fmt(), chunk(b"data", b"123")), "no whole number of frames of 2 bytes"),
        (riff(chunk(b"fmt ", b"1234"), SAMPLES), "has 4 bytes, not 16"),
        (riff(fmt(channels=0), SAMPLES), "description of the samples is wrong: 0 channels"),
        (riff(fmt(rate=0), SAMPLES), "description of the samples is wrong"),
        (riff(fmt(frame=7), SAMPLES), "frames of 7 bytes"),
        (riff(fmt(kind=7, bits=8), SAMPLES), "holds µ-law of 8 bits.*convert it"),
        (riff(fmt(kind=85), SAMPLES), "holds MP3"),
        (riff(fmt(kind=3, bits=16), SAMPLES), "holds floats of 16 bits"),
        (riff(fmt(bits=12), SAMPLES), "holds PCM of 12 bits"),
        (riff(fmt(kind=999), SAMPLES), "holds format 999"),
        (riff(fmt(kind=0xFFFE), SAMPLES), "not part of the format"),
        (riff(fmt(0xFFFE, extra=bytes(24)), SAMPLES), "not part of the format"),
    ],
)
def test_unlawful_files(content, message):
    for read in (audio.load, audio.info):
        with pytest.raises(RuntimeError, match=message):
            read(BytesIO(content))


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "noise.wav"
    path.write_bytes(b"noise")
    with pytest.raises(RuntimeError, match=r"noise.wav is no WAV file"):
        audio.load(path)
    with pytest.raises(FileNotFoundError):
        audio.load(tmp_path / "none.wav")


def test_damaged_files(rng):
    """Whatever is changed, the answer is sound or a RuntimeError, and memory stays small."""
    content = riff(chunk(b"LIST", b"abc"), EXTENSIBLE, chunk(b"data", bytes(3000)))
    tracemalloc.start()
    try:
        for _ in range(1500):
            damaged = bytearray(content)
            for place in rng.integers(0, 100, rng.integers(1, 4)):
                damaged[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
            damaged = damaged[: rng.integers(len(damaged) // 2, len(damaged) + 1)]
            with contextlib.suppress(RuntimeError):
                wave, _ = audio.load(BytesIO(damaged), rng.integers(0, 9), normalize=False)
                assert wave.nbytes <= 4000
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
