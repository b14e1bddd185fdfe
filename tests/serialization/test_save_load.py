"""Checkpoints travel both ways between PyTorch and tensorlab, and come back as they were."""

from __future__ import annotations

import io
import pickle
from collections import Counter, OrderedDict

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn, optim
from tensorlab._tensor import wrap
from tensorlab.optim import lr_scheduler

NAMES = [d.name for d in tl._dtypes.DTYPES]


def values(name, rng, shape=(3, 4)):
    """Numbers of a dtype that do not look alike, with the odd ones among them."""
    a = rng.integers(0, 2 if name == "bool" else 100, shape)
    a = a.astype(name) if np.dtype(name).kind != "c" else (a + 1j * a[::-1]).astype(name)
    if np.dtype(name).kind in "fc":
        a.reshape(-1)[:3] = [np.nan, -0.0, np.inf]
    return a


def through(obj, write, read):
    """What `read` makes of what `write` wrote."""
    file = io.BytesIO()
    write(obj, file)
    file.seek(0)
    return read(file)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_there_and_back(name, rng, torch):
    a = values(name, rng)
    theirs = through(tl.from_numpy(a.copy()), tl.save, torch.load)
    assert theirs.dtype is getattr(torch, name)
    assert same(theirs.numpy(), a)
    for legacy in (False, True):

        def write(obj, file, legacy=legacy):
            torch.save(obj, file, _use_new_zipfile_serialization=not legacy)

        ours = through(torch.tensor(a), write, tl.load)
        assert ours.dtype.name == name
        assert same(ours.numpy(), a)
    assert same(through(tl.from_numpy(a.copy()), tl.save, tl.load).numpy(), a)


def test_bfloat16_there_and_back(torch):
    pytest.importorskip("ml_dtypes", reason="bfloat16 needs it")
    x = torch.randn(4, 5).bfloat16()
    ours = through({"x": x, "t": x.t(), "d": torch.bfloat16}, torch.save, tl.load)
    assert ours["d"] is ours["x"].dtype is tl.bfloat16
    assert ours["x"].float().tolist() == x.float().tolist()
    assert ours["t"].float().tolist() == x.t().float().tolist()
    again = through(ours, tl.save, torch.load)
    assert again["d"] is again["x"].dtype is torch.bfloat16
    assert torch.equal(again["x"], x)
    assert torch.equal(again["t"], x.t())


def test_types_that_are_missing_are_named(torch):
    for x, name in [
        (torch.zeros(2).to(torch.float8_e4m3fn), "float8_e4m3fn"),
        (torch.zeros(2, dtype=torch.uint16), "uint16"),
    ]:
        with pytest.raises(pickle.UnpicklingError, match=name):
            through(x, torch.save, tl.load)


def views(base):
    return {
        "base": base,
        "row": base[1],
        "column": base[:, 2],
        "transposed": base.t(),
        "stepped": base[::2, 1::2],
        "expanded": base[0].expand(3, 5),
        "scalar": base[2, 3],
        "empty": base[:0],
    }


@pytest.mark.parametrize("direction", ["ours", "theirs", "both"])
@pytest.mark.parametrize("legacy", [False, True])
def test_views_stay_views(direction, legacy, torch):
    if legacy and direction != "ours":
        pytest.skip("the old format is only read")
    source = tl if direction != "ours" else torch
    write = {"ours": torch.save, "theirs": tl.save, "both": tl.save}[direction]
    read = {"ours": tl.load, "theirs": torch.load, "both": tl.load}[direction]
    original = views(source.arange(20.0).reshape(4, 5))

    def written(obj, file):
        write(obj, file, **({"_use_new_zipfile_serialization": False} if legacy else {}))

    found = through(original, written, read)
    for name, want in original.items():
        assert found[name].tolist() == want.tolist(), name
        assert found[name].stride() == want.stride(), name
        assert found[name].storage_offset() == want.storage_offset() or name == "empty"
    found["base"][1, 2] = -1.0
    assert found["row"][2] == -1
    assert found["column"][1] == -1
    assert found["transposed"][2, 1] == -1


def test_memory_that_pytorch_cannot_describe_is_copied(torch):
    back = wrap(np.arange(6.0)[::-1])
    between = wrap(np.zeros(3, dtype=[("a", "<f4"), ("b", "i1")])["a"])
    found = through([back, between], tl.save, torch.load)
    assert found[0].tolist() == [5, 4, 3, 2, 1, 0]
    assert found[1].tolist() == [0, 0, 0]


def test_a_small_view_brings_all_of_its_memory():
    found = through(tl.zeros(100)[3:5], tl.save, tl.load)
    assert found.untyped_storage().nbytes() == 400
    assert through(tl.zeros(100)[3:5].clone(), tl.save, tl.load).untyped_storage().nbytes() == 8


def plain(lib):
    shared = [1, 2]
    return {
        "none": None,
        "numbers": [True, False, 0, 255, 256, -1, 2**31, -(2**31), 2**40, -(2**200), 1.5, 1j],
        "floats": [float("inf"), -0.0, 1e-300],
        "texts": ["", "é", "日本", "a" * 300, "twice", "twice", "\ud800"],
        "bytes": [b"", b"\x00\xff", bytearray(b"xy")],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((), ())],
        "sets": [set(), {1, 2}],
        "ordered": OrderedDict([("b", 1), ("a", OrderedDict())]),
        "counter": Counter("hello"),
        "shared": [shared, shared],
        "many": list(range(2500)),
        "dict": {i: str(i) for i in range(1500)},
        (1, "key"): 3.0,
        "dtype": lib.float16,
        "devices": [lib.device("cpu"), lib.device("cuda"), lib.device("cuda:1")],
        "size": lib.zeros(2, 3).shape,
    }


def comparable(x):
    """A nesting with the libraries' own objects as texts and every type named."""
    if isinstance(x, dict):
        return type(x).__name__, [(comparable(k), comparable(v)) for k, v in x.items()]
    if isinstance(x, (list, tuple)):
        return type(x).__name__, [comparable(v) for v in x]
    return type(x).__name__.lower(), repr(x).replace("torch.", "tensorlab.")


def test_plain_data_there_and_back(torch):
    for write, read, source in [
        (tl.save, tl.load, tl),
        (tl.save, torch.load, tl),
        (torch.save, tl.load, torch),
    ]:
        want = plain(source)
        found = through(want, write, read)
        assert comparable(found) == comparable(want)
        assert found["shared"][0] is found["shared"][1]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pytorch_is_read(protocol, torch):
    want = {**plain(torch), "frozen": frozenset([1])}
    found = through(want, lambda o, f: torch.save(o, f, pickle_protocol=protocol), tl.load)
    assert comparable(found) == comparable(want)


def test_a_list_that_contains_itself():
    loop = [1]
    loop.append(loop)
    found = through(loop, tl.save, tl.load)
    assert found[1] is found
    pair = ([],)
    pair[0].append(pair)
    found = through(pair, tl.save, tl.load)
    assert found[0][0][0] is found[0]
    deep = ()
    for _ in range(5000):
        deep = (deep,)
    with pytest.raises(pickle.PicklingError, match="nested .* deep"):
        tl.save(deep, io.BytesIO())


def test_parameters_attributes_and_requires_grad(torch):
    p = nn.Parameter(tl.arange(3.0), requires_grad=False)
    q = nn.Parameter(tl.arange(3.0))
    q.note = "kept"
    t = tl.arange(2.0).requires_grad_()
    u = tl.arange(2.0)
    u.note = {"a": 1}
    for read, kind in ((tl.load, nn.Parameter), (torch.load, torch.nn.Parameter)):
        a, b, c, d, e = through([p, q, t, u, q], tl.save, read)
        assert [isinstance(x, kind) for x in (a, b, c, d)] == [True, True, False, False]
        assert [x.requires_grad for x in (a, b, c, d)] == [False, True, True, False]
        assert b.note == "kept"
        assert d.note == {"a": 1}
        assert e is b
    x = torch.nn.Parameter(torch.arange(3.0))
    x.note = "kept"
    y = torch.arange(2.0)
    y.note = [1]
    z = torch.ones(2, dtype=torch.complex64) * 1j
    a, b, c = through([x, y, z.conj()], torch.save, tl.load)
    assert type(a) is nn.Parameter
    assert a.note == "kept"
    assert b.note == [1]
    assert c.tolist() == [-1j, -1j]


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_storages_themselves(torch):
    x = tl.arange(3, dtype=tl.uint8)
    for read in (tl.load, torch.load):
        storage, tensor = through([x.untyped_storage(), x], tl.save, read)
        assert list(storage.tolist()) == [0, 1, 2]
        assert tensor.tolist() == [0, 1, 2]
    assert through(torch.arange(3).untyped_storage(), torch.save, tl.load).nbytes() == 24


def test_one_memory_as_two_types_is_refused():
    x = tl.zeros(4)
    with pytest.raises(RuntimeError, match="view the same data as different types.*clone"):
        tl.save([x, wrap(x._data.view(np.int32))], io.BytesIO())


def test_results_are_saved_without_their_history():
    x = tl.ones(2, requires_grad=True)
    found = through(x * 2, tl.save, tl.load)
    assert found.is_leaf
    assert found.requires_grad
    assert found.tolist() == [2, 2]


# Models and training -------------------------------------------------------------------------


def model(nn):
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))


def test_a_training_state_goes_on_in_the_other_library(rng, torch):
    """Some steps in one library, a checkpoint, some in the other: as if in one alone."""
    data = rng.standard_normal((8, 6)).astype("float32")

    def steps(lib, module, optimizer, scheduler, count):
        for _ in range(count):
            optimizer.zero_grad()
            (module(lib.tensor(data)) ** 2).mean().backward()
            optimizer.step()
            scheduler.step()

    def parts(lib):
        made = model(lib.nn)
        optimizer = lib.optim.AdamW(made.parameters(), lr=0.05, amsgrad=True)
        scheduler = lib.optim.lr_scheduler.MultiStepLR(optimizer, [2, 5], gamma=0.5)
        return made, optimizer, scheduler

    def checkpoint(parts):
        module, optimizer, scheduler = parts
        return {
            "model": module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "milestones": scheduler.state_dict()["milestones"],
            "last_epoch": scheduler.last_epoch,
            "epoch": 3,
        }

    def resume(lib, state):
        made = parts(lib)
        made[0].load_state_dict(state["model"])
        made[1].load_state_dict(state["optimizer"])
        made[2].last_epoch = state["last_epoch"]
        made[2].milestones = state["milestones"]
        return made

    for first, second in ((tl, torch), (torch, tl)):
        start = parts(first)
        steps(first, *start, 3)
        read = {tl: tl.load, torch: lambda f: torch.load(f, weights_only=True)}[second]
        moved = resume(second, through(checkpoint(start), first.save, read))
        steps(second, *moved, 4)
        steps(first, *start, 4)
        for p, q in zip(start[0].parameters(), moved[0].parameters(), strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_state_dict_keeps_its_metadata(torch):
    want = torch.nn.Linear(2, 2).state_dict()
    found = through(want, torch.save, tl.load)
    assert type(found) is OrderedDict
    assert found._metadata == want._metadata
    again = through(nn.Linear(2, 2).state_dict(), tl.save, torch.load)
    assert again._metadata == nn.Linear(2, 2).state_dict()._metadata


def test_a_resumed_run_is_bit_identical(tmp_path, rng):
    data = tl.from_numpy(rng.standard_normal((8, 6)).astype("float32"))

    def parts():
        made = model(nn)
        optimizer = optim.Adam(made.parameters(), lr=0.01)
        return made, optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 10)

    def step(made, optimizer, scheduler):
        optimizer.zero_grad()
        noisy = data + 0.1 * tl.randn(8, 6)
        (made(noisy) ** 2).mean().backward()
        optimizer.step()
        scheduler.step()

    whole = parts()
    for i in range(6):
        if i == 3:
            states = [part.state_dict() for part in whole]
            tl.save({"parts": states, "rng": tl.get_rng_state()}, tmp_path / "c.pt")
        step(*whole)
    state = tl.load(tmp_path / "c.pt")
    part = parts()
    for p, s in zip(part, state["parts"], strict=True):
        p.load_state_dict(s)
    tl.set_rng_state(state["rng"])
    for _ in range(3):
        step(*part)
    for p, q in zip(whole[0].parameters(), part[0].parameters(), strict=True):
        assert p.detach().numpy().tobytes() == q.detach().numpy().tobytes()
