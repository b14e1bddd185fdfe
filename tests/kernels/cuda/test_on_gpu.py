"""What only a GPU can show: that CuPy compiles and starts the kernels, and captures them into graphs."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _op
from tensorlab.kernels.cuda import launch

pytestmark = pytest.mark.gpu
nn, F = tl.nn, tl.nn.functional


@pytest.fixture
def started(monkeypatch):
    """The names of the kernels that CuPy has been asked to start."""
    if launch.runtime() is None:
        tl.zeros(1, device="cuda")  # imports CuPy
    runtime = launch.runtime()
    assert runtime is not None
    names: list[str] = []
    real = runtime.launch

    def spy(file, name, *rest):
        names.append(name)
        return real(file, name, *rest)

    monkeypatch.setattr(runtime, "launch", spy)
    return names


def _both(run, *shapes, rng, tolerance=1e-4):
    """Value and gradients of `run` on the GPU and on the CPU."""
    arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    results = []
    for device in ("cpu", "cuda"):
        inputs = [tl.from_numpy(a).to(device).requires_grad_() for a in arrays]
        out = run(*inputs)
        out.square().sum().backward()
        results.append([out.detach().cpu().numpy(), *[x.grad.cpu().numpy() for x in inputs]])
    for found, wanted in zip(results[1], results[0], strict=True):
        size = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found, wanted, tolerance, tolerance * size)


CASES = {
    "softmax_rows": (lambda x: F.softmax(x, -1), [(30, 1000)]),
    "softmax_long": (lambda x: F.log_softmax(x, -1), [(3, 50_257)]),
    "softmax_columns": (lambda x: F.softmax(x, 1), [(4, 30, 7)]),
    "norm_rows": (lambda x, w, b: F.layer_norm(x, (768,), w, b), [(50, 768), (768,), (768,)]),
    "plane_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True), [(8, 5, 9, 9), (5,), (5,)]
    ),
    "gelu": (lambda x: F.gelu(x), [(1003,)]),
    "bias_activation": (lambda x, w, b: F.linear(x, w, b), [(9, 7, 33), (40, 33), (40,)]),
    "convolution": (
        lambda x, w, b: F.conv2d(x, w, b, 2, 1), [(4, 6, 17, 17), (9, 6, 3, 3), (9,)]
    ),
    "attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), [(2, 3, 100, 64)] * 3
    ),
}  # fmt: skip


@pytest.mark.parametrize("kernel", CASES)
def test_values_and_gradients(started, rng, kernel):
    run, shapes = CASES[kernel]
    # Convolutions may round their operands to TF32, as in PyTorch.
    _both(run, *shapes, rng=rng, tolerance=5e-3 if kernel == "convolution" else 1e-4)
    assert any(name.partition("<")[0] == kernel for name in started)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_tensor_cores(started, rng, dtype):
    x, w = (rng.standard_normal(s).astype(np.float32) for s in [(4, 16, 20, 20), (24, 16, 3, 3)])
    kind = getattr(tl, dtype)
    found = F.conv2d(*(tl.from_numpy(a).cuda().to(kind) for a in (x, w)), padding=1)
    short = [tl.from_numpy(a).to(kind).float() for a in (x, w)]
    wanted = F.conv2d(*short, padding=1)
    np.testing.assert_allclose(found.float().cpu().numpy(), wanted.numpy(), 2e-2, 0.2)
    assert any("TensorCores" in name for name in started)


def test_attention_on_tensor_cores(started, rng):
    arrays = [rng.standard_normal((2, 3, 100, 64)).astype(np.float16) for _ in range(3)]
    results = []
    for kind, device in ((tl.float32, "cpu"), (tl.float16, "cuda")):
        inputs = [tl.from_numpy(a).to(device).to(kind).requires_grad_() for a in arrays]
        out = F.scaled_dot_product_attention(*inputs, is_causal=True)
        out.float().square().sum().backward()
        results.append([t.float().cpu().numpy() for t in (out.detach(), *(x.grad for x in inputs))])
    for found, wanted in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(found, wanted, 2e-2, 1e-2 * float(np.abs(wanted).max()))
    assert any(name.startswith("attention_cores_by_key") for name in started)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(32, 64), nn.GELU(), nn.LayerNorm(64), nn.Dropout(0.1), nn.Linear(64, 10)
        )  # fmt: skip

    def forward(self, x):
        return self.body(x)


def _step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


def test_a_captured_training_is_the_eager_one(rng):
    batches = [rng.standard_normal((16, 32)).astype(np.float32) for _ in range(8)]
    labels = tl.from_numpy(rng.integers(0, 10, 16)).cuda()

    def made():
        tl.manual_seed(0)
        model = Net().cuda()
        return model, tl.optim.AdamW(model.parameters(), 1e-2)

    model, optimizer = made()
    eager = [_step(model, optimizer, tl.from_numpy(b).cuda(), labels).item() for b in batches]
    model, optimizer = made()
    place = tl.from_numpy(batches[0]).cuda()
    side = tl.cuda.graph(tl.cuda.CUDAGraph()).capture_stream
    losses = []
    with side:
        for b in batches[:3]:
            place.copy_(tl.from_numpy(b).cuda())
            losses.append(_step(model, optimizer, place, labels).item())
    g = tl.cuda.CUDAGraph()
    optimizer.zero_grad()
    with tl.cuda.graph(g):
        loss = _step(model, optimizer, place, labels)
    for b in batches[3:]:
        place.copy_(tl.from_numpy(b).cuda())
        g.replay()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, eager, 1e-3)


def test_reading_while_capturing_is_refused():
    x = tl.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="read after replay"), tl.cuda.graph(tl.cuda.CUDAGraph()):
        (x * 2).sum().item()
    assert (x * 2).sum().item() == 6


def test_graphed_callables(rng):
    tl.manual_seed(0)
    model, twin = Net().cuda().eval(), Net().cuda().eval()
    twin.load_state_dict(model.state_dict())
    sample = tl.zeros(4, 32, device="cuda", requires_grad=True)
    tl.cuda.make_graphed_callables(model, (sample,))
    for _ in range(2):
        x = tl.from_numpy(rng.standard_normal((4, 32)).astype(np.float32)).cuda()
        results = []
        for net in (model, twin):
            net.zero_grad()
            y = net(x)
            y.square().sum().backward()
            results.append((y.detach(), *[p.grad.clone() for p in net.parameters()]))
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a.cpu().numpy(), b.cpu().numpy(), 1e-4, 1e-4)


def test_every_registered_kernel_belongs_to_an_operation():
    assert sum("cuda" in op.kernels for op in _op.OPS.values()) > 20
