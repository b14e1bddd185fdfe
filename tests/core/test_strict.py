"""The look-alike of a CUDA device: it refuses what CuPy refuses, and every operation runs on it."""

from __future__ import annotations

import importlib.util
import json
import pickle

import numpy as np
import pytest

import tensorlab as tl
import tensorlab.nn
from tensorlab._op import OPS, Sample, op
from tensorlab.testing import opcheck, strict
from tensorlab.testing.strict import StrictArray, _rules, names, xp

# Values are compared with the CPU's by "device", and dtypes with PyTorch's by "dtypes".
CHECKS = ("device", "reference", "raw_arrays", "errors", "edges", "strides", "in_place")


@pytest.mark.parametrize("name", list(OPS))
def test_every_operation_runs_on_it(name):
    opcheck(name, CHECKS, device="strict")


@pytest.mark.gpu
@pytest.mark.parametrize("name", list(OPS))
def test_every_operation_runs_on_a_gpu(name, monkeypatch):
    monkeypatch.setattr(tl.backends.cudnn, "allow_tf32", False)
    opcheck(name, (*CHECKS, "dtypes", "gradient_dtypes"), device="cuda")


@pytest.fixture
def a() -> StrictArray:
    return xp.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize(
    "call",
    [
        lambda a: np.asarray(a),
        lambda a: np.add(a, a),
        lambda a: np.exp(a),
        lambda a: np.concatenate([a, a]),
        lambda a: a + np.ones(4, np.float32),
        lambda a: np.ones(4, np.float32) * a,
        lambda a: xp.maximum(a, np.zeros(4, np.float32)),
        lambda a: xp.where(True, a, a),
        lambda a: xp.sum([1.0, 2.0]),
        lambda a: xp.add(a, [1.0, 2.0, 3.0, 4.0]),
        lambda a: xp.add(a, a, where=a > 0),
        lambda a: xp.sum(a, initial=1.0),
        lambda a: xp.max(a, where=a > 0),
        lambda a: a.astype(np.int32, casting="unsafe"),
        lambda a: a.sum(axis=0, where=True),
        lambda a: float(a),
    ],
)
def test_what_cupy_refuses_with_type_error(a, call):
    with pytest.raises(TypeError):
        call(a)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda a: xp.vectorize, AttributeError),
        (lambda a: xp.frompyfunc, AttributeError),
        (lambda a: xp.linalg.multi_dot, AttributeError),
        (lambda a: a.ctypes, AttributeError),
        (lambda a: a.__array_interface__, AttributeError),
        (lambda a: xp.maximum.reduce(a), NotImplementedError),
        (lambda a: xp.logaddexp.accumulate(a), NotImplementedError),
        (lambda a: xp.multiply.at(a, xp.asarray([0]), 2.0), NotImplementedError),
        (lambda a: xp.add.at(a.astype(np.int64), xp.asarray([0]), 1), TypeError),
        (lambda a: xp.add.at(a.astype(np.complex64), xp.asarray([0]), 1), TypeError),
        (lambda a: xp.maximum.at(a.astype(np.int64), xp.asarray([0]), 1), TypeError),
        (lambda a: xp.asarray(["word"]), ValueError),
        (lambda a: a.__setitem__(slice(None), [1.0] * 4), ValueError),
        (lambda a: bool(a), ValueError),
        (lambda a: a[xp.asarray([0.5])], IndexError),
        (lambda a: xp.bitwise_and(a, a), TypeError),
    ],
)
def test_what_cupy_has_not(a, call, error):
    with pytest.raises(error):
        call(a)


def test_one_element_is_an_array(a):
    for found in (
        a[0, 0],
        a.sum(),
        a.max(),
        xp.add.reduce(a.reshape(-1)),
        xp.mean(a),
        a[1].dot(a[1]),
    ):
        assert type(found) is StrictArray
        assert found.shape == ()
    element = a[1, 2]
    element[...] = 50
    assert a.get()[1, 2] == 50  # a view


def test_views_have_the_array_that_owns_the_memory_as_base(a):
    a = a.copy()
    for view in (
        a[1:],
        a.T,
        a[1:][1:],
        a.reshape(-1),
        a[None, 0],
        a.diagonal(),
        xp.broadcast_to(a, (2, 3, 4)),
    ):
        assert view.base is a
        assert not view.flags.owndata
    strided = xp.lib.stride_tricks.as_strided(a, (2,), (4,))
    assert strided.base is None  # this one has not, but shows it
    strided[0] = 70
    assert a[0, 0].item() == 70
    for new in (a.copy(), a[[0, 1]], a[a > 3], a + 1, a.T.reshape(-1), a.astype(np.float64)):
        assert new.base is None
    assert a.astype(np.float32, copy=False) is a
    assert xp.asarray(a) is a


def test_indices_beyond_the_end_wrap_around(a):
    assert a[xp.asarray([3, -4])].get()[:, 0].tolist() == [0.0, 8.0]
    assert xp.take(a, xp.asarray([5]), axis=1).get()[0, 0] == 1.0
    with pytest.raises(IndexError):
        a[3]


def test_new_memory_holds_what_nobody_should_read():
    assert np.isnan(xp.empty(3, np.float32).get()).all()
    assert np.isnan(xp.empty_like(xp.ones(2)).get()).all()
    assert xp.empty(2, np.int64).get().all()


def test_loops_are_cupys():
    assert xp.add.types == ["??->?", *xp.add.types[1:]]
    assert xp.sqrt(xp.asarray([4], dtype=np.int32)).dtype == np.float64
    assert xp.multiply(xp.ones(2, np.float32), 2).dtype == np.float32
    assert xp.multiply(xp.ones(2, np.float32), np.float64(2)).dtype == np.float64
    out = xp.zeros(2, np.float32)
    assert xp.add(xp.ones(2, np.float32), 1, out) is out
    with pytest.raises(TypeError, match="could not be coerced"):
        xp.add(out, 1, xp.zeros(2, np.int64))


def test_waiting_for_the_device_can_be_forbidden(a):
    for call in (
        lambda: a.sum().item(),
        lambda: bool(a.sum() > 0),
        lambda: xp.nonzero(a),
        lambda: a.tolist(),
        lambda: xp.unique(a),
        lambda: a[a > 3],
        lambda: a.copy().__setitem__(a > 3, 0.0),
    ):
        call()
        with strict.no_sync(), pytest.raises(RuntimeError, match="waits for the device"):
            call()


def test_singular_matrices_raise_only_where_that_is_asked_for():
    zero = xp.zeros((2, 2))
    assert np.isnan(xp.linalg.inv(zero).get()).all()
    with _rules.linalg_errors(), pytest.raises(np.linalg.LinAlgError):
        xp.linalg.inv(zero)


def test_tensors_on_it():
    x = tl.arange(4.0, device="strict")
    assert str(x.device) == "strict"
    assert repr(x) == "tensor([0., 1., 2., 3.], device='strict')"
    assert x.cpu().device.type == "cpu"
    assert tl.tensor([1, 2]).to("strict").tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="at least two devices, strict and cpu!"):
        x + tl.ones(4)
    assert (x + tl.tensor(1.0)).tolist() == [1.0, 2.0, 3.0, 4.0]  # 0-dim CPU tensors may join
    with pytest.raises(TypeError, match="Tensor.cpu"):
        x.numpy()
    assert pickle.loads(pickle.dumps(x)).device == x.device
    y = x.clone()
    y.copy_(tl.ones(4))
    y[1] = tl.tensor(5.0)
    y[tl.tensor([2])] = tl.tensor([7.0])
    assert y.tolist() == [1.0, 5.0, 7.0, 1.0]
    assert y[tl.tensor([0, 2])].tolist() == [1.0, 7.0]
    with pytest.raises(RuntimeError, match="indices should be either on cpu or on the same device"):
        tl.ones(3)[tl.tensor([0], device="strict")]


def test_views_share_their_version_and_their_storage():
    x = tl.arange(6.0, device="strict")
    for view in (
        x[1:],
        x.as_strided((2, 2), (1, 2)),
        x.unfold(0, 2, 1),
        x.view(2, 3),
        x.expand(2, 6),
    ):
        assert view._is_view()
        assert view.untyped_storage() is x.untyped_storage()
    part = x.as_strided((2,), (2,), 1)
    assert part.storage_offset() == 1
    part.mul_(10)
    assert x.tolist() == [0.0, 10.0, 2.0, 30.0, 4.0, 5.0]
    assert x._version == 1
    both = pickle.loads(pickle.dumps([x, x[2:]]))
    both[0][2] = 9
    assert both[1][0].item() == 9


def test_training_on_it_goes_as_on_the_cpu(rng):
    data = rng.standard_normal((16, 5)).astype(np.float32)
    labels = rng.integers(0, 3, 16)
    losses = []
    for device in ("cpu", "strict"):
        tl.manual_seed(0)
        model = tl.nn.Sequential(
            tl.nn.Linear(5, 8), tl.nn.BatchNorm1d(8), tl.nn.GELU(), tl.nn.Dropout(0.2), tl.nn.Linear(8, 3)
        ).to(device)  # fmt: skip
        optimizer = tl.optim.AdamW(model.parameters(), lr=0.01)
        x, y = tl.from_numpy(data).to(device), tl.from_numpy(labels).to(device)
        found = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = tl.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            tl.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            found.append(loss.item())
        losses.append(found)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_training_steps_do_not_wait_for_the_device(optimizer):
    nn = tl.nn
    models = [
        (nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.LayerNorm(8), nn.Dropout(0.1), nn.Linear(8, 3)), (4, 6)),
        (
            nn.Sequential(
                nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
            ),
            (4, 3, 8, 8),
        ),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
    ]  # fmt: skip
    for model, shape in models:
        model.to("strict")
        x = tl.randn(*shape, device="strict")
        update = getattr(tl.optim, optimizer)(model.parameters(), lr=0.01)
        for _ in range(2):
            with strict.no_sync():
                update.zero_grad()
                model(x).square().mean().backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                update.step()


@pytest.fixture
def forgetful():
    """An operation with a NumPy function that CuPy has not."""

    @op(samples=lambda r: [Sample(r(3))], torch="", name="uses_numpy_alone")
    def forward(xp, input, /):
        return xp.array(np.vectorize(float)(input))

    yield forward
    del OPS["uses_numpy_alone"]


def test_an_operation_for_numpy_alone_fails(forgetful):
    opcheck(forgetful, ["strides"])
    with pytest.raises(TypeError):
        opcheck(forgetful, ["device"], device="strict")


VIEWS = [
    "a.T", "a[1:]", "a[None]", "a[..., 0]", "a[0]", "a[0, 0, 0]", "a[::-1]", "a[:, ::2]", "a[:, None, 1]", "a[0:0]",
    "a.reshape(-1)", "a.reshape(4, 6)", "a.transpose(1, 0, 2)", "a.squeeze()", "a.ravel()", "a.view('i4')", "a.real",
    "a.diagonal(1, 0, 2)", "a[1:][:, 1:]", "a.T.T", "xp.broadcast_to(a, (5, 2, 3, 4))", "xp.moveaxis(a, 0, 2)",
    "xp.lib.stride_tricks.as_strided(a, (2, 2), (4, 8))", "xp.ascontiguousarray(a)", "xp.flip(a, 0)",
    "a.astype('f4', copy=False)", "xp.split(a, 3, 1)[1]", "xp.expand_dims(a, 1)", "a[5]", "a[0, 0, 0, 0]", "a['x']",
    "a.reshape(5, 5)", "a.ctypes", "a.item()", "np.asarray(a)", "xp.maximum.reduce(a)", "xp.sum(a, initial=1)",
    "a.clip(0, 1, casting='unsafe')", "hash(a)", "xp.linalg.multi_dot", "xp.frompyfunc",
]  # fmt: skip


@pytest.mark.parametrize("expression", VIEWS)
def test_views_and_refusals_are_those_of_the_installed_cupy(expression):
    """CuPy's arrays can be made on main memory without a GPU, as long as nothing is computed."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: nothing to compare with")
    room = np.zeros(24, np.float32)
    memory = cupy.cuda.memory.UnownedMemory(room.ctypes.data, room.nbytes, room, 0)
    real = cupy.ndarray((2, 3, 4), np.float32, cupy.cuda.memory.MemoryPointer(memory, 0))
    found = [
        described(expression, module, array)
        for module, array in ((cupy, real), (xp, StrictArray((2, 3, 4), np.float32)))
    ]
    assert found[1] == found[0]


def described(expression, module, array):
    try:
        result = eval(expression, {"a": array, "xp": module, "np": np})
    except Exception as error:
        return type(error)
    steps = [s for s, n in zip(result.strides, result.shape, strict=True) if n != 1]
    shown = result.base is array or result is array
    return (
        result.shape,
        steps if result.size else None,
        result.dtype,
        shown,
        result.flags.c_contiguous,
    )


def test_the_data_is_what_the_installed_cupy_has():
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed: nothing to compare with")
    api = json.loads(names.FILE.read_text("utf-8"))
    found = names.describe()
    if found["version"] != api["version"]:
        pytest.skip(f"the data is of CuPy {api['version']}, here is {found['version']}")
    assert found == api
