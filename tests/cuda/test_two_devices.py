"""Everything runs on the device of its tensors, whichever is the current one (see `fake_cupy`).

Its arrays know which device was the current one when they were made, and refuse to be computed with while
another one is.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _gpu, nn
from tensorlab._op import OPS
from tensorlab.kernels.cuda import launch
from tensorlab.testing.opcheck import opcheck
from tensorlab.testing.strict import _rules

F = nn.functional
THERE = tl.device("cuda:1")


@pytest.fixture
def two(fake_cuda, monkeypatch):
    """Two devices, of which the first stays the current one."""
    monkeypatch.setattr(
        _gpu, "linalg_errors", _rules.linalg_errors
    )  # CuPy's is in a package of its own
    cupy = fake_cuda(devices=2, limit=2**40)
    tl.cuda.init()
    monkeypatch.setattr(launch, "runtime", lambda: None)  # there is nothing to run kernels on
    yield cupy
    assert tl.cuda.current_device() == 0


def test_the_fake_refuses_what_runs_on_the_wrong_device(two):
    x = tl.ones(2, device=THERE)._data
    with pytest.raises(
        RuntimeError, match="an array of device 1 is computed with while the current device is 0"
    ):
        x + x
    with two.cuda.Device(1):
        assert (x + x).device.id == 1


def test_kernels_are_loaded_and_started_on_the_device_of_their_arrays(fake_cuda):
    cupy = fake_cuda(devices=2)
    loaded, started = [], []

    class RawModule:
        def __init__(self, code, options, name_expressions):
            loaded.append(cupy.cuda.runtime.getDevice())

        def get_function(self, name):
            return lambda *given, **more: started.append((name, cupy.cuda.runtime.getDevice()))

    cupy.RawModule = RawModule
    for where in ("cuda:1", "cuda:0", "cuda:1"):
        assert F.softmax(tl.ones(4, 8, device=where), -1).device == tl.device(where)
    assert loaded == [1, 0]
    assert started == [("softmax_rows<float, 4>", number) for number in (1, 0, 1)]


def test_operations(two):
    x, y = tl.arange(6.0, device=THERE).reshape(2, 3), tl.ones(3, dtype=tl.float64, device=THERE)
    for found in (
        x + y, x * 2, x @ x.T, x.sum(), x.mean(0), x.double(), x.t().contiguous(), x[x > 2], x[:, [0, 2]], x.clone(),
        tl.cat([x, x]), tl.where(x > 1, x, 0), tl.zeros_like(x), tl.rand_like(x), x.new_ones(2), F.softmax(x, -1),
        F.layer_norm(x, (3,)), F.dropout(x), F.one_hot(x.long()), F.conv1d(x[None], tl.ones(1, 2, 2, device=THERE)),
        x.topk(2).values, x.sort().indices, x.to("cuda:1"), copy.deepcopy(x), x + tl.tensor(1.0), x.half().float(),
    ):  # fmt: skip
        assert found.device == THERE
    assert (x + y).tolist() == [[1, 2, 3], [4, 5, 6]]
    for away in (x.to("cuda:0"), x.to("cuda"), x.cuda()):
        assert away.device == tl.device("cuda:0")
        assert away.tolist() == x.tolist()
    with tl.cuda.device(1):
        assert x.cuda() is x
        assert tl.ones(1, device="cuda").device == THERE
    assert x.sum().item() == 15
    assert "device='cuda:1'" in repr(x)
    with pytest.raises(RuntimeError, match="at least two devices, cuda:1 and cuda:0!"):
        x + tl.ones(3, device="cuda:0")


def test_writing_in_place(two):
    x = tl.zeros(2, 3, device=THERE)
    x += 1
    x[0] = 5
    x[:, 1].mul_(2)
    x[x == 5] = 0
    x.add_(tl.ones(3, device=THERE)).clamp_(max=3)
    x[1].copy_(tl.tensor([7.0, 8.0, 9.0]))
    assert x.tolist() == [[1, 3, 1], [7, 8, 9]]
    for change in ("normal_", "uniform_", "zero_", "bernoulli_"):
        assert getattr(x, change)().device == THERE


def test_gradients_across_devices(two):
    a = tl.tensor([1.0, 2.0, 3.0], device=THERE, requires_grad=True)
    b = tl.tensor([2.0, 2.0, 2.0], device="cuda:0", requires_grad=True)
    shared = a * a
    loss = ((shared.to("cuda:0") * b).sum() + shared.sum().to("cuda:0")) * b.sum()
    loss.backward()
    twins = [tl.tensor(x.tolist(), requires_grad=True) for x in (a, b)]
    (
        (twins[0] ** 2 * twins[1]).sum() * twins[1].sum() + (twins[0] ** 2).sum() * twins[1].sum()
    ).backward()
    for x, twin in zip((a, b), twins, strict=True):
        assert x.grad.device == x.device
        assert x.grad.tolist() == twin.grad.tolist()
    first = tl.autograd.grad((a**3).sum(), a, create_graph=True)[0]
    first.square().sum().backward()
    assert a.grad.device == THERE


OPTIMIZERS = {
    name: getattr(tl.optim, name)
    for name in (
        "SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "ASGD", "Rprop",
        "Adafactor",
    )
}  # fmt: skip


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Dropout(0.1), nn.Linear(12, 5), nn.GELU(),
        )  # fmt: skip
        self.words, self.rnn = nn.Embedding(7, 5), nn.LSTM(5, 4, batch_first=True)
        self.attention, self.head = (
            nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
            nn.Linear(9, 3),
        )

    def forward(self, image, words):
        states = self.attention(self.rnn(self.words(words))[0]).mean(1)
        return self.head(tl.cat([self.body(image), states], 1))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training(two, rng, name):
    model = Net().to(THERE)
    optimizer = OPTIMIZERS[name](model.parameters(), lr=1e-2)
    schedule = tl.optim.lr_scheduler.StepLR(optimizer, 1)
    averaged = tl.optim.swa_utils.AveragedModel(model)
    for _ in range(2):
        image = tl.from_numpy(rng.standard_normal((2, 1, 4, 4)).astype(np.float32)).to(THERE)
        words = tl.from_numpy(rng.integers(0, 7, (2, 3))).to(THERE)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(image, words), tl.tensor([0, 2], device=THERE))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(model)
    for tensor in (
        *model.parameters(),
        *model.buffers(),
        *[p.grad for p in model.parameters()],
        *averaged.parameters(),
    ):
        assert tensor.device == THERE
    for state in optimizer.state.values():
        assert all(value.device == THERE for value in state.values() if getattr(value, "ndim", 0))
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    optimizer.step()


def test_gradients_of_a_model_on_two_devices_are_clipped_together(two):
    first, second = (
        tl.zeros(1, device=where, requires_grad=True) for where in ("cuda:0", "cuda:1")
    )
    first.grad, second.grad = tl.tensor([3.0], device="cuda:0"), tl.tensor([4.0], device="cuda:1")
    assert nn.utils.clip_grad_norm_([second, first], 1.0).item() == 5
    assert [first.grad.item(), second.grad.item()] == pytest.approx([0.6, 0.8])
    assert second.grad.device == THERE


def test_mixed_precision(two):
    model, x = nn.Linear(3, 2).to(THERE), tl.ones(4, 3, device=THERE)
    optimizer, scaler = (
        tl.optim.SGD(model.parameters(), lr=0.1),
        tl.amp.GradScaler("cuda", init_scale=8.0),
    )
    with tl.autocast("cuda", dtype=tl.float16):
        loss = model(x).float().square().mean()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert model.weight.device == THERE


def test_saving_and_loading(two, tmp_path):
    tl.save({"w": tl.ones(2, device=THERE)}, tmp_path / "w.pt")
    found = tl.load(tmp_path / "w.pt")["w"]
    assert found.device == THERE
    assert found.tolist() == [1, 1]


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_operation(two, name):
    op = OPS[name]
    if op.samples is None:
        pytest.skip("it has no samples")
    opcheck(op, ("device",), device="cuda:1")
