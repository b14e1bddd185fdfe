"""safetensors files as the format's description has them."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn, safetensors

# Written by hand from the description of the format.
HEADER = b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"BOOL","shape":[],"data_offsets":[8,9]}}'
GOLDEN = struct.pack("<Q", len(HEADER)) + HEADER + struct.pack("<2f", 1.5, -2) + b"\x01"


def test_a_file_written_by_hand():
    found = safetensors.load(GOLDEN)
    assert found["x"].tolist() == [1.5, -2.0]
    assert found["b"].item() is True


@pytest.mark.parametrize("name", [c for c in safetensors._CODES if c != "bfloat16"])
def test_every_dtype_there_and_back(name, rng, tmp_path):
    a = (rng.standard_normal((3, 5)) * 10).astype(name)
    tensors = {"a": tl.from_numpy(a), "t": tl.from_numpy(a.copy()).t(), "e": tl.zeros(0, 2)}
    safetensors.save_file(tensors, tmp_path / "x", {"epoch": "3"})
    for found in (
        safetensors.load_file(tmp_path / "x"),
        safetensors.load(safetensors.save(tensors)),
    ):
        assert set(found) == set(tensors)
        assert found["a"].dtype is tensors["a"].dtype
        assert found["a"].numpy().tobytes() == a.tobytes()
        assert found["t"].tolist() == a.T.tolist()
        assert found["e"].shape == (0, 2)
    data = (tmp_path / "x").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    assert length % 8 == 0
    assert json.loads(data[8 : 8 + length])["__metadata__"] == {"epoch": "3"}


def test_the_reference_implementation_agrees(tmp_path, rng):
    theirs = pytest.importorskip("safetensors.numpy", reason="the reference implementation")
    arrays = {"a": rng.standard_normal((3, 2)).astype("f4"), "b": np.arange(5, dtype="i1")}
    safetensors.save_file({k: tl.from_numpy(v) for k, v in arrays.items()}, tmp_path / "x")
    for found in (
        theirs.load_file(tmp_path / "x"),
        {k: v.numpy() for k, v in safetensors.load(theirs.save(arrays)).items()},
    ):
        for name, a in arrays.items():
            assert found[name].tobytes() == a.tobytes()


def test_bfloat16_keeps_its_numbers():
    pytest.importorskip("ml_dtypes", reason="bfloat16 needs it")
    header = b'{"x":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}}'
    bits = np.array([1.0, -0.5, np.inf], np.float32).view(np.uint32) >> 16
    data = struct.pack("<Q", len(header)) + header + bits.astype("<u2").tobytes()
    found = safetensors.load(data)
    assert found["x"].dtype is tl.bfloat16
    assert found["x"].float().tolist() == [1.0, -0.5, float("inf")]
    assert safetensors.load(safetensors.save(found))["x"].float().tolist() == [
        1.0,
        -0.5,
        float("inf"),
    ]


def test_a_model(tmp_path):
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    safetensors.save_file(first.state_dict(), tmp_path / "model.safetensors")
    second.load_state_dict(safetensors.load_file(tmp_path / "model.safetensors"))
    assert second.weight.tolist() == first.weight.tolist()


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "x"
    safetensors.save_file({"a": tl.ones(1)}, path)
    before = path.read_bytes()
    x = tl.zeros(4)
    for tensors, error, said in [
        ({"a": 3}, ValueError, "tensors only"),
        ({"a": tl.zeros(1, dtype=tl.complex128)}, ValueError, "no complex128"),
        ({"a": x, "b": x[1:]}, RuntimeError, "'a' and 'b' share memory"),
    ]:
        with pytest.raises(error, match=said):
            safetensors.save_file(tensors, path)
    with pytest.raises(ValueError, match="strings"):
        safetensors.save_file({}, path, {"epoch": 3})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def altered(**entry):
    header = json.loads(HEADER)
    header["x"].update(entry)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + GOLDEN[8 + len(HEADER) :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes"),
        (struct.pack("<Q", 2**60) + b"{}", "header would be"),
        (struct.pack("<Q", 2) + b"[]", "no JSON object"),
        (struct.pack("<Q", 2) + b"{x", "no JSON"),
        (GOLDEN[:-1], "there are 8"),
        (GOLDEN + b"x", "there are 10"),
        (altered(shape=[3]), "should have 12 bytes"),
        (altered(shape=[-2]), "whole numbers"),
        (altered(shape=None), "incomplete"),
        (altered(data_offsets=[1, 9]), "expected"),
        (altered(dtype="F8_E4M3"), "'F8_E4M3', which tensorlab has not"),
        (GOLDEN[:-1] + b"\x07", "other than 0 and 1"),
    ],
)
def test_damaged_files(data, said, tmp_path):
    (tmp_path / "x").write_bytes(data)
    for read in (lambda: safetensors.load(data), lambda: safetensors.load_file(tmp_path / "x")):
        with pytest.raises(ValueError, match=said):
            read()
