"""copy, deepcopy and pickle: values, layout, flags, and memory that stays shared."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def _pickled(value: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


COPIES = [
    pytest.param(copy.deepcopy, id="deepcopy"),
    *(pytest.param(lambda v, p=p: _pickled(v, p), id=f"pickle-{p}") for p in PROTOCOLS),
]
LAYOUTS = {
    "whole": lambda x: x,
    "transposed": lambda x: x.permute(2, 0, 1),
    "offset": lambda x: x[1, 1:],
    "steps": lambda x: x[:, ::2, 1::2],
    "expanded": lambda x: x[0, 0].expand(5, 4),
    "0-dim": lambda x: x[1, 2, 3],
    "empty": lambda x: x[:0],
    "diagonal": lambda x: x.diagonal(dim1=1, dim2=2),
}
DTYPES = [tl.float16, tl.float32, tl.float64, tl.complex64, tl.uint8, tl.int64, tl.bool]


def _tensor(dtype: tl.dtype = tl.float32) -> tl.Tensor:
    return tl.arange(24.0).reshape(2, 3, 4).clone().to(dtype)


@pytest.mark.parametrize("again", COPIES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_values_and_layout(again, layout, dtype):
    x = LAYOUTS[layout](_tensor(dtype))
    y = again(x)
    assert y.dtype is x.dtype
    assert (y.shape, y.stride()) == (x.shape, x.stride())
    assert y.storage_offset() == (x.storage_offset() if x.numel() else 0)
    assert y.tolist() == x.tolist()
    assert y.is_leaf
    assert y._base is None
    if y.numel():
        assert y.data_ptr() != x.data_ptr()
        if layout != "expanded":
            y.zero_()
            x.fill_(1)
            assert not y.any()


@pytest.mark.parametrize("again", COPIES)
@pytest.mark.parametrize(
    "make", ["row-major", "column-major", "permuted", "buffer", "gaps", "structured"]
)
def test_views_share_memory_again(again, make):
    x = _owner(make)
    views = {"x": x, "row": x[1], "same": x, "part": x[:, 1:], "alone": tl.ones(2)}
    y = again(views)
    assert y["x"] is y["same"]
    assert all(y[k].tolist() == v.tolist() for k, v in views.items())
    assert all(y[k].stride() == v.stride() for k, v in views.items())
    y["row"][1] = 100
    assert y["x"][1, 1] == 100
    assert y["part"][1, 0] == 100
    assert y["x"].untyped_storage() is y["row"].untyped_storage()
    assert y["x"].untyped_storage() is not y["alone"].untyped_storage()
    assert not (x == 100).any()


def _owner(make: str) -> tl.Tensor:
    """A 3 × 4 tensor whose memory is laid out in this way."""
    values = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    if make == "column-major":
        return tl.from_numpy(np.asfortranarray(values))
    if make == "permuted":
        return tl.from_numpy(np.array(values.reshape(3, 2, 2).transpose(1, 0, 2), order="K")[0])
    if make == "buffer":
        return tl.frombuffer(bytearray(values.tobytes()), dtype=tl.float32).reshape(3, 4)
    if make == "gaps":
        wide = np.zeros((3, 9), np.float32)
        wide[:, :8:2] = values
        return tl.from_numpy(wide)[:, :8:2]
    if make == "structured":
        records = np.zeros((3, 4), [("a", "i4"), ("b", "f4")])
        records["b"] = values
        return tl.from_numpy(records["b"])
    return tl.from_numpy(values)


def test_a_storage_is_written_once():
    x = tl.zeros(100_000)
    together = len(pickle.dumps([x, *x.split(1000), x.reshape(100, 1000).T]))
    assert together < x.nbytes + 20_000


def test_all_of_the_storage_is_written():
    # As in PyTorch: clone a small view of a large tensor before pickling it alone.
    x = tl.zeros(10_000)
    assert len(pickle.dumps(x[:1])) > 40_000
    assert len(pickle.dumps(x[:1].clone())) < 1_000


@pytest.mark.parametrize("again", COPIES)
def test_flags_attributes_and_class(again):
    x = tl.ones(2, requires_grad=True)
    x.note = ["kept"]
    y = again(x)
    assert type(y) is tl.Tensor
    assert y.requires_grad
    assert y.is_leaf
    assert y.note == ["kept"]
    assert y.note is not x.note
    p = nn.Parameter(tl.ones(2), requires_grad=False)
    q = again(p)
    assert type(q) is nn.Parameter
    assert not q.requires_grad
    assert repr(again(nn.Parameter(tl.ones(2)))) == repr(nn.Parameter(tl.ones(2)))


class Marked(tl.Tensor):
    """A subclass, at module level so that pickle finds it."""


@pytest.mark.parametrize("again", [*COPIES, pytest.param(copy.copy, id="copy")])
def test_subclasses_stay(again):
    x = Marked([1.0, 2.0])
    x.unit = "m"
    y = again(x)
    assert type(y) is Marked
    assert (y.unit, y.tolist()) == ("m", [1, 2])


def test_pickle_leaves_history_and_gradient_behind():
    x = tl.ones(2, requires_grad=True)
    x.sum().backward()
    assert _pickled(x).grad is None
    y = _pickled(x * 2)
    assert y.is_leaf
    assert y.requires_grad
    assert y.grad_fn is None


def test_deepcopy_copies_the_gradient():
    x = tl.ones(2, requires_grad=True)
    x.sum().backward()
    y = copy.deepcopy(x)
    assert y.grad.tolist() == [1, 1]
    y.sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([1, 1], [2, 2])


def test_only_leaves_are_deepcopied():
    x = tl.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"Only Tensors created explicitly by the user .*clone"):
        copy.deepcopy(x * 2)
    assert copy.deepcopy((x * 2).detach()).tolist() == [2, 2]


def test_copy_shares_memory():
    x = tl.ones(2, requires_grad=True)
    y = copy.copy(x)
    assert y.requires_grad
    assert y.data_ptr() == x.data_ptr()
    with tl.no_grad():
        y[0] = 5
    assert x.tolist() == [5, 1]


@pytest.mark.parametrize("again", COPIES)
def test_modules_with_tied_weights(again):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model.register_buffer("window", tl.arange(6.0))
    model.register_buffer("tail", model.window[3:])
    made = again(model)
    assert made[1].weight is made[0].weight
    made.tail[0] = 100
    assert made.window.tolist() == [0, 1, 2, 100, 4, 5]
    assert model.window.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("again", COPIES)
def test_small_things(again):
    for value in (tl.Size([2, 3]), tl.device("cpu"), tl.device("cuda", 1)):
        assert again(value) == value
        assert type(again(value)) is type(value)
    for d in DTYPES:
        assert again(d) is d


def test_torch_keeps_the_same_things():
    torch: Any = pytest.importorskip("torch", reason="PyTorch is the oracle")
    for make in LAYOUTS.values():
        x, y = make(_tensor()), make(torch.arange(24.0).reshape(2, 3, 4).clone())
        ours, theirs = copy.deepcopy(x), copy.deepcopy(y)
        assert ours.stride() == theirs.stride()
        if x.numel():
            assert ours.storage_offset() == theirs.storage_offset()
            assert ours.untyped_storage().nbytes() == theirs.untyped_storage().nbytes()
    a, b = tl.ones(4), torch.ones(4)
    for found in (copy.deepcopy([a, a[1:]]), copy.deepcopy([b, b[1:]])):
        found[0][1] = 5
        assert found[1][0] == 5


def test_storage():
    x = tl.arange(4, dtype=tl.int16)
    storage = x[2:].untyped_storage()
    assert storage is x.untyped_storage()
    assert (storage.nbytes(), len(storage), storage.size()) == (8, 8, 8)
    assert storage.tolist() == [0, 0, 1, 0, 2, 0, 3, 0]
    assert storage.data_ptr() == x.data_ptr()
    assert repr(storage) == "<tensorlab.UntypedStorage of 8 bytes on cpu>"
