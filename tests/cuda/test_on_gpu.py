"""What only a GPU can show of the device: memory, streams, events, pinned memory, DLPack, precision.

The operations, modules and optimizers have their GPU tests where their others are: one body for all devices.
"""

from __future__ import annotations

import gc

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.utils.data import DataLoader, TensorDataset

pytestmark = pytest.mark.gpu
cuda = tl.cuda


def test_device():
    assert cuda.is_available()
    assert cuda.unavailable_reason() == ""
    assert cuda.get_device_name()
    major, minor = cuda.get_device_capability()
    assert cuda.get_arch_list() == [f"sm_{major}{minor}"]
    assert cuda.get_device_properties().total_memory == cuda.mem_get_info()[1]
    x = tl.arange(3.0, device="cuda")
    assert repr(x) == "tensor([0., 1., 2.], device='cuda:0')"
    with pytest.raises(RuntimeError, match="at least two devices, cuda:0 and cpu!"):
        x + tl.ones(3)


def test_memory_is_counted():
    gc.collect()
    before = cuda.memory_allocated()
    cuda.reset_peak_memory_stats()
    x = tl.empty(1 << 20, device="cuda")
    assert cuda.memory_allocated() == before + 4 * 2**20
    y = x + 1
    del y
    assert cuda.memory_allocated() == before + 4 * 2**20
    assert cuda.max_memory_allocated() >= (before + 8 * 2**20) * 255 // 256
    del x
    assert cuda.memory_allocated() == before
    assert cuda.memory_reserved() >= before
    cuda.empty_cache()
    assert cuda.memory_reserved() >= before
    assert "allocated" in cuda.memory_summary()


def test_a_training_step_leaves_no_memory_behind():
    model = tl.nn.Sequential(tl.nn.Linear(64, 64), tl.nn.ReLU(), tl.nn.Linear(64, 8)).to("cuda")
    optimizer = tl.optim.Adam(model.parameters())

    def step():
        optimizer.zero_grad()
        model(tl.randn(32, 64, device="cuda")).square().mean().backward()
        optimizer.step()

    for _ in range(3):
        step()
    gc.collect()
    before = cuda.memory_allocated()
    gc.disable()
    try:
        for _ in range(10):
            step()
        assert cuda.memory_allocated() == before
    finally:
        gc.enable()


def test_out_of_memory():
    held = tl.zeros(1 << 20, device="cuda")
    with pytest.raises(
        cuda.OutOfMemoryError, match="CUDA out of memory. Tried to allocate"
    ) as caught:
        tl.empty(1 << 42, device="cuda")
    assert "largest tensors alive" in str(caught.value)
    assert "4.00 MiB" in str(caught.value)
    assert (held + 1).sum().item() == 1 << 20  # all goes on


def test_events_measure_time():
    x = tl.randn(2048, 2048, device="cuda")
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    x @ x
    start.record()
    for _ in range(20):
        y = x @ x
    end.record()
    end.synchronize()
    assert end.query()
    assert y.shape == (2048, 2048)
    assert start.elapsed_time(end) > 0


def test_streams_wait_for_one_another():
    side = cuda.Stream()
    x = tl.ones(1 << 20, device="cuda")
    side.wait_stream(cuda.current_stream())
    with cuda.stream(side):
        assert cuda.current_stream() == side
        y = (x * 2).sum()
    cuda.current_stream().wait_stream(side)
    assert y.item() == 2 << 20
    side.synchronize()
    assert side.query()
    assert cuda.current_stream() == cuda.default_stream()


def test_pinned_memory():
    x = tl.randn(1 << 16)
    pinned = x.pin_memory()
    assert pinned.is_pinned()
    assert pinned.pin_memory() is pinned
    assert not x.is_pinned()
    y = pinned.to("cuda", non_blocking=True)
    assert (y.cpu() == x).all()
    data = TensorDataset(tl.randn(8, 3), tl.arange(8))
    for a, b in DataLoader(data, batch_size=4, pin_memory=True):
        assert a.is_pinned()
        assert b.is_pinned()
        assert a.cuda(non_blocking=True).device.type == "cuda"
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        y.pin_memory()


def test_cupy_and_pytorch_share_memory():
    import cupy

    x = tl.arange(6.0, device="cuda")
    theirs = cupy.from_dlpack(x)
    theirs += 1
    assert x.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert tl.from_dlpack(theirs).data_ptr() == x.data_ptr()
    torch = pytest.importorskip("torch", reason="PyTorch shares memory too, where it is")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    theirs = torch.from_dlpack(x)
    assert theirs.data_ptr() == x.data_ptr()
    back = tl.from_dlpack(theirs)
    assert back.device.type == "cuda"
    assert back.data_ptr() == x.data_ptr()


def test_files(tmp_path):
    model = tl.nn.Linear(3, 2).to("cuda")
    tl.save(model.state_dict(), tmp_path / "m.pt")
    again = tl.load(tmp_path / "m.pt")
    assert all(v.device.type == "cuda" for v in again.values())
    there = tl.load(tmp_path / "m.pt", map_location="cpu")
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(there[name].numpy(), value.cpu().numpy())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_autocast(dtype, rng):
    kind = getattr(tl, dtype)
    x = tl.from_numpy(rng.standard_normal((16, 32)).astype(np.float32)).to("cuda")
    layer = tl.nn.Linear(32, 8).to("cuda")
    with tl.autocast("cuda", dtype=kind):
        low = layer(x)
        assert low.dtype is kind
        loss = tl.nn.functional.mse_loss(low, tl.zeros_like(low))
        assert loss.dtype is tl.float32
    loss.backward()
    assert layer.weight.grad.dtype is tl.float32
    np.testing.assert_allclose(
        low.float().detach().cpu().numpy(), layer(x).detach().cpu().numpy(), 0.05, 0.05
    )


def test_float32_products_are_exact_unless_tf32_is_allowed(rng):
    a = rng.standard_normal((256, 256)).astype(np.float32)
    exact = a.astype(np.float64) @ a.astype(np.float64)
    x = tl.from_numpy(a).to("cuda")

    def error():
        return float(np.abs((x @ x).cpu().numpy() - exact).max())

    full = error()
    assert full < 1e-3
    if not cuda.is_tf32_supported():
        pytest.skip("TF32 came with compute capability 8.0")
    tl.backends.cuda.matmul.allow_tf32 = True
    try:
        assert error() > 4 * full
    finally:
        tl.backends.cuda.matmul.allow_tf32 = False
    assert error() == full


def test_random_numbers_are_those_of_the_cpu():
    tl.manual_seed(3)
    here = tl.randn(100)
    tl.cuda.manual_seed_all(3)
    np.testing.assert_array_equal(tl.randn(100, device="cuda").cpu().numpy(), here.numpy())


def test_inspectors():
    model = tl.nn.Sequential(tl.nn.Linear(3, 4), tl.nn.ReLU(), tl.nn.Linear(4, 2)).to("cuda")
    x = tl.randn(5, 3, device="cuda")
    with tl.inspect.profile() as profiled:
        model(x).sum().backward()
    assert profiled
    with tl.inspect.memory() as remembered:
        model(x).sum().backward()
    assert remembered
    assert tl.inspect.graph(model(x).sum())


@pytest.mark.parametrize("index", [0, 1])
def test_each_device(index):
    if cuda.device_count() <= index:
        pytest.skip(f"there is no device {index} here")
    with cuda.device(index):
        x = tl.ones(3, device="cuda")
        assert x.device == tl.device("cuda", index)
        assert (x * 2).sum().item() == 6
