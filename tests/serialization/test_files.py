"""Files: written whole or not at all, refused when they are damaged or want code to run."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn, serialization


def archive(data, **records):
    """A checkpoint around a pickle that somebody else wrote."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        z.writestr("archive/data.pkl", data)
        z.writestr("archive/version", "3\n")
        for name, content in records.items():
            z.writestr(f"archive/{name.replace('__', '/')}", content)
    file.seek(0)
    return file


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


# Hostile files -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "args", "name"),
    [
        (os.system, ("echo ran > ran",), f"{os.name}.system"),
        (eval, ("1",), "builtins.eval"),
        (exec, ("x = 1",), "builtins.exec"),
        (getattr, (1, "real"), "builtins.getattr"),
        (__import__, ("os",), "builtins.__import__"),
        (pickle.loads, (b"N.",), "pickle.loads"),
        (np.dtype, ("f4",), "numpy.dtype"),
    ],
)
def test_code_is_refused_by_name(function, args, name, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"weights": [Call(function, *args)]}, protocol)
    wanted = name.replace("_pickle", "pickle")
    for file in (archive(data), io.BytesIO(_legacy(data))):
        with pytest.raises(pickle.UnpicklingError) as caught:
            tl.load(file)
        said = str(caught.value).replace("_pickle", "pickle")
        # Protocols 0 and 1 have opcodes of their own, which are refused even before.
        assert wanted in said or (protocol < 2 and "opcode" in said)
    assert not list(tmp_path.iterdir())


def _legacy(data):
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(p, 2) for p in parts) + data + pickle.dumps([], 2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"ctorch.nn.modules.linear\nLinear\n)\x81.", "torch.nn.modules.linear.Linear"),
        (b"ccollections\nOrderedDict\n)R}(X\x04\0\0\0keysNub.", "replaces OrderedDict.keys"),
        (b"ccollections\nOrderedDict\n}(X\x01\0\0\0aNub.", "sets attributes of a Global"),
        (b"}}(X\x01\0\0\0aNub.", "sets attributes of a dict"),
        (b"ctorch\nTensor\n)R.", "calls torch.Tensor"),
        (b"ctorch\nfloat32\n)R.", "calls dtype"),
        (b"c_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0rot13\x86R.", "damaged"),
        (b"(dp0\n.", "opcode DICT"),
        (b"I1\n.", "opcode INT"),
        (b"cos\nsystem\n.", "os.system"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x82\x01.", "opcode EXT1"),
        (b"i__main__\nX\n.", "opcode INST"),
        (b"}]Ne.", "damaged"),
        (b"]X\x01\0\0\0aNs.", "SETITEM is for a dict"),
        (b")Na.", "APPEND is for a list"),
        (b"X\x07\0\0\0storageQ.", "refers to a 's'"),
        (b"(X\x06\0\0\0moduleNNNNtQ.", "refers to a 'module'"),
        (b"h\x05.", "damaged"),
        (b"N", "damaged"),
        (b"0.", "opcode POP"),
        (b"\xff.", "damaged"),
        (b"", "damaged"),
    ],
    ids=repr,
)
def test_hostile_pickles(data, said):
    with pytest.raises((pickle.UnpicklingError, RuntimeError), match=said):
        tl.load(archive(data))


def test_random_pickles_only_ever_fail_clearly(rng):
    """Pickles with bytes changed are refused or read; nothing else happens."""
    good = serialization.PickleWriter().dumps(
        {"a": tl.ones(2), "b": [1, "x", (2.5, None)], "c": OrderedDict(x=Counter("ab")), "d": b"z"}
    )
    outcomes = Counter()
    for _ in range(1500):
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(2, len(data))] = rng.integers(256)
        try:
            tl.load(archive(bytes(data), data__0=b"\0" * 8))
            outcomes["read"] += 1
        except (pickle.UnpicklingError, RuntimeError) as error:
            outcomes[type(error).__name__] += 1
    assert outcomes["UnpicklingError"] > 50
    assert outcomes["RuntimeError"] > 50


def tensor_pickle(storage="FloatStorage", count=4, offset=0, size=(4,), stride=(1,)):
    writer = serialization.PickleWriter()
    writer.dumps(None)
    writer._out.clear()
    writer._out += b"\x80\x02"
    writer._global("torch._utils", "_rebuild_tensor_v2")
    writer._out += b"("
    writer._out += b"("
    writer._str("storage")
    writer._global("torch", storage)
    writer._str("0")
    writer._str("cpu")
    writer._int(count)
    writer._out += b"tQ"
    for value in (offset, size, stride, False, OrderedDict()):
        writer._write(value)
    writer._out += b"tR."
    return bytes(writer._out)


@pytest.mark.parametrize(
    "bad",
    [
        {"size": (5,)},
        {"offset": 1},
        {"offset": -1},
        {"stride": (2,)},
        {"stride": (-1,), "offset": 3},
        {"size": (2, 2)},
        {"size": (-4,)},
        {"size": (2**40,)},
        {"size": (1.0,)},
        {"count": 5},
        {"count": -4},
        {"count": 2**60},
        {"storage": "DoubleStorage"},
        {"storage": "UntypedStorage"},
    ],
    ids=str,
)
def test_tensors_never_reach_outside_of_their_storage(bad):
    with pytest.raises(RuntimeError, match="damaged"):
        tl.load(archive(tensor_pickle(**bad), data__0=b"\0" * 16))


def test_a_huge_view_of_little_memory_costs_nothing():
    found = tl.load(archive(tensor_pickle(size=(2**20, 2**20), stride=(0, 0)), data__0=b"\0" * 16))
    assert found.shape == (2**20, 2**20)


# Damaged files -------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.pt"
    tl.save({"w": tl.arange(6.0).reshape(2, 3), "n": [1, "two"]}, path)
    return path


def test_every_truncation_is_an_error(saved, rng):
    data = saved.read_bytes()
    cuts = {*range(0, len(data), 37), *range(len(data) - 30, len(data))}
    for cut in sorted(cuts):
        saved.write_bytes(data[:cut])
        with pytest.raises((RuntimeError, EOFError), match=r"model\.pt (is|no)"):
            tl.load(saved)


def test_every_changed_byte_is_an_error_or_harmless(saved):
    data = saved.read_bytes()
    noticed = 0
    for at in range(0, len(data), 3):
        changed = bytearray(data)
        changed[at] ^= 0x55
        saved.write_bytes(changed)
        try:
            found = tl.load(saved)
        except (RuntimeError, pickle.UnpicklingError) as error:
            noticed += "model.pt" in str(error)
        else:  # a date or the padding
            assert found["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
            assert found["n"] == [1, "two"]
    assert noticed > 100


def test_truncated_old_files(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch writes the old format")
    path = tmp_path / "old.pt"
    torch.save({"w": torch.ones(5)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    assert tl.load(path)["w"].tolist() == [1] * 5
    for cut in range(1, len(data)):
        path.write_bytes(data[:cut])
        with pytest.raises(RuntimeError, match=r"old\.pt"):
            tl.load(path)


def test_other_files_are_named(tmp_path):
    path = tmp_path / "x.pt"
    for content, said in [
        (b"hello, this is text", "not a file written by save"),
        (struct.pack("<Q", 20) + b"{}" + b" " * 18, r"safetensors\.load_file"),
        (pickle.dumps({"a": 1}), "is a pickle, but not"),
    ]:
        path.write_bytes(content)
        with pytest.raises(RuntimeError, match=said):
            tl.load(path)
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("a.txt", "x")
    with pytest.raises(RuntimeError, match="zip archive, but not one of save"):
        tl.load(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("archive/data.pkl", b"N." + b"\0" * 1000)
    with pytest.raises(RuntimeError, match="compressed"):
        tl.load(path)
    path.write_bytes(b"")
    with pytest.raises(EOFError, match="is empty"):
        tl.load(path)
    with pytest.raises(FileNotFoundError):
        tl.load(tmp_path / "missing.pt")


# Writing -------------------------------------------------------------------------------------


def test_a_save_that_fails_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()
    with pytest.raises(pickle.PicklingError):
        tl.save({"a": tl.ones(1000), "bad": object()}, saved)

    def half(file, data, storages):
        file.write(data)
        raise KeyboardInterrupt

    monkeypatch.setattr(serialization, "_write_archive", half)
    with pytest.raises(KeyboardInterrupt):
        tl.save(tl.ones(3), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_paths_links_and_file_objects(tmp_path):
    target = tmp_path / "there.pt"
    tl.save(1, str(target))
    link = tmp_path / "link.pt"
    link.symlink_to(target)
    tl.save(tl.ones(2), link)
    assert link.is_symlink()
    assert tl.load(target).tolist() == [1, 1]
    with open(target, "wb") as file:
        file.write(b"")
        tl.save([2], file)
    with open(target, "rb") as file:
        assert tl.load(file) == [2]
    with open(target, "w") as file, pytest.raises(TypeError, match="mode 'wb'"):
        tl.save([2], file)
    with pytest.raises(TypeError, match="path or a file"):
        tl.save([2], 3)
    with pytest.raises(AttributeError, match="seekable"):
        tl.load(3)
    with pytest.raises(FileNotFoundError):
        tl.save(1, tmp_path / "no" / "folder.pt")
    with pytest.raises(ValueError, match="protocol 2"):
        tl.save(1, target, pickle_protocol=4)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"m": [nn.Linear(2, 2)]}, r"Linear \(at \['m'\]\[0\]\).*Save its state_dict\(\)"),
        ([np.float64(1)], r"\.item\(\)"),
        ([np.zeros(2)], "from_numpy"),
        (lambda: 1, "function .at the top level"),
        ({"x": type("D", (dict,), {})()}, r"Make it plain with dict\(\)"),
    ],
)
def test_what_cannot_be_saved(value, said):
    with pytest.raises(pickle.PicklingError, match=said):
        tl.save(value, io.BytesIO())


# Options of load -----------------------------------------------------------------------------


def test_unsafe_loading_is_refused_with_the_reason(saved):
    with pytest.raises(ValueError, match="never runs code"):
        tl.load(saved, weights_only=False)
    with pytest.raises(ValueError, match="never runs code"):
        tl.load(saved, pickle_module=pickle)
    assert tl.load(saved, weights_only=True)["n"] == [1, "two"]


def test_map_location(saved):
    seen = []

    def place(storage, location):
        seen.append((storage.nbytes(), location))
        return storage

    for where in ("cpu", tl.device("cpu"), {"cpu": "cpu"}, {}, place, lambda s, l: None):
        assert tl.load(saved, map_location=where)["w"].sum() == 15
    assert seen == [(24, "cpu")]
    with pytest.raises(TypeError, match="map_location must be"):
        tl.load(saved, map_location=3)
    with pytest.raises(TypeError, match="must return a storage or None"):
        tl.load(saved, map_location=lambda s, l: "cpu")
    with pytest.raises(ZeroDivisionError):
        tl.load(saved, map_location=lambda s, l: 1 // 0)


@pytest.mark.parametrize("location", ["cuda:0", "mps"])
def test_devices_that_are_not_here(location, monkeypatch):
    monkeypatch.setattr(tl.cuda, "is_available", lambda: False)
    data = tensor_pickle().replace(
        b"X\x03\0\0\0cpu", b"X" + struct.pack("<I", len(location)) + location.encode()
    )
    file = archive(data, data__0=np.ones(4, np.float32).tobytes())
    with pytest.raises(RuntimeError, match="map_location='cpu'"):
        tl.load(file)
    file.seek(0)
    assert tl.load(file, map_location="cpu").tolist() == [1] * 4
    file.seek(0)
    assert tl.load(file, map_location={location: "cpu"}).tolist() == [1] * 4


def test_files_of_the_other_byte_order():
    file = archive(tensor_pickle(), data__0=np.arange(4, dtype=">f4").tobytes(), byteorder=b"big")
    assert tl.load(file).tolist() == [0, 1, 2, 3]


def test_mapped_files(saved):
    found = tl.load(saved, mmap=True)["w"]
    found += 1
    assert found.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert tl.load(saved)["w"].sum() == 15
    with open(saved, "rb") as file, pytest.raises(ValueError, match="path"):
        tl.load(file, mmap=True)


def test_pytorch_maps_our_files(saved):
    torch = pytest.importorskip("torch", reason="PyTorch reads the file")
    assert torch.load(saved, mmap=True)["w"].sum() == 15
