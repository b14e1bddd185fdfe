"""What is asked of CUDA devices, without one and with one that keeps books only (see `fake_cupy`)."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _backend, _gpu
from tensorlab._op import OPS
from tensorlab.utils.data import DataLoader, TensorDataset


@pytest.fixture
def without(monkeypatch):
    """A machine without a driver."""
    monkeypatch.setattr(_gpu, "has_driver", lambda: False)
    monkeypatch.setattr(
        _backend, "_by_kind", {k: v for k, v in _backend._by_kind.items() if k != "cuda"}
    )


def test_every_question_has_an_answer_without_a_gpu(without):
    cuda = tl.cuda
    assert not cuda.is_available()
    assert cuda.device_count() == 0
    assert "no NVIDIA driver on this machine" in cuda.unavailable_reason()
    assert not cuda.is_bf16_supported()
    assert not cuda.is_tf32_supported()
    assert cuda.get_arch_list() == []
    assert cuda.memory_stats() == {}
    for count in (
        cuda.memory_allocated, cuda.memory_reserved, cuda.max_memory_allocated, cuda.max_memory_reserved
    ):  # fmt: skip
        assert count() == 0
    cuda.empty_cache()
    cuda.reset_peak_memory_stats()
    assert "no CUDA device" in cuda.memory_summary()
    assert cuda.get_rng_state_all() == []
    with cuda.device(-1), cuda.stream(None), cuda.device_of(tl.ones(1)):
        pass
    assert not tl.ones(1).is_pinned()


@pytest.mark.parametrize(
    "call",
    [
        lambda: tl.zeros(2, device="cuda"),
        lambda: tl.ones(2).cuda(),
        lambda: tl.ones(2).to("cuda:0"),
        lambda: tl.nn.Linear(1, 1).cuda(),
        lambda: tl.ones(2).pin_memory(),
        lambda: tl.Generator("cuda"),
        lambda: tl.cuda.init(),
        lambda: tl.cuda.current_device(),
        lambda: tl.cuda.get_device_name(),
        lambda: tl.cuda.get_device_capability(),
        lambda: tl.cuda.get_device_properties(0),
        lambda: tl.cuda.set_device(0),
        lambda: tl.cuda.device(0),
        lambda: tl.cuda.mem_get_info(),
        lambda: tl.cuda.synchronize(),
        lambda: tl.cuda.Stream(),
        lambda: tl.cuda.Event(),
        lambda: tl.cuda.current_stream(),
        lambda: tl.cuda.default_stream(),
        lambda: tl.cuda.get_rng_state(),
        lambda: tl.cuda.initial_seed(),
        lambda: tl.device("cuda").__enter__(),
    ],
)  # fmt: skip
def test_what_needs_a_gpu_says_why_there_is_none(without, call):
    with pytest.raises(RuntimeError, match="no NVIDIA driver on this machine"):
        call()
    assert tl.get_default_device().type == "cpu"


def test_names_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch's names are the measure")
    ours = set(tl.cuda.__all__) - {"memory", "random", "streams", "unavailable_reason"}
    unknown = {n for n in ours if not hasattr(torch.cuda, n)}
    assert unknown == set()


def test_devices(fake_cuda):
    cupy = fake_cuda(devices=2)
    cuda = tl.cuda
    assert cuda.is_available()
    assert cuda.unavailable_reason() == ""
    assert cuda.is_initialized()
    assert (cuda.device_count(), cuda.current_device()) == (2, 0)
    assert cuda.get_device_name("cuda:1") == "Test GPU"
    assert cuda.get_device_capability() == (8, 6)
    assert cuda.get_arch_list() == ["sm_86"]
    assert cuda.get_device_properties().total_memory == 16 * 2**30
    assert cuda.is_bf16_supported(including_emulation=False)
    assert cuda.can_device_access_peer(0, 1)
    with cuda.device(1):
        assert cuda.current_device() == 1
        assert cuda.current_stream().device == tl.device("cuda:1")
    assert cuda.current_device() == 0
    cuda.set_device("cuda:1")
    assert cuda.current_device() == 1
    cuda.set_device(-1)
    assert cuda.current_device() == 1
    cuda.synchronize(0)
    assert cupy.LOG[-1] == "synchronize 0"
    with pytest.raises(RuntimeError, match="invalid device ordinal: there is no device 2"):
        cuda.set_device(2)
    with pytest.raises(ValueError, match="Expected a cuda device, but got: cpu"):
        cuda.get_device_name("cpu")


def test_tensors(fake_cuda):
    fake_cuda()
    x = tl.ones(2).cuda()
    assert x.device == tl.device("cuda:0")
    assert x.is_cuda
    assert repr(x) == "tensor([1., 1.], device='cuda:0')"
    assert x.cuda() is x
    assert x.to("cuda:0", non_blocking=True) is x
    with tl.device("cuda"):
        assert tl.zeros(2).device.type == "cuda"
        assert tl.zeros(2, device="cpu").device.type == "cpu"
    assert tl.zeros(2).device.type == "cpu"
    with pytest.raises(RuntimeError, match="at least two devices, cuda:0 and cpu!"):
        x + tl.ones(2)
    with pytest.raises(RuntimeError, match="Invalid device, must be cuda device: got cpu"):
        x.cuda("cpu")
    assert tl.Generator("cuda").device.type == "cuda"
    state = tl.cuda.get_rng_state()
    first = tl.rand(3, device="cuda").tolist()
    tl.cuda.set_rng_state(state)
    assert tl.rand(3, device="cuda").tolist() == first


def test_kernels_take_bfloat16_as_it_is(fake_cuda, monkeypatch):
    """What they decline is computed in float32, as on the CPU."""
    seen = []

    def kernel(*given):
        seen.append([a.dtype.name for a in given if hasattr(a, "dtype")])
        return NotImplemented

    gelu = OPS["gelu"]
    monkeypatch.setitem(gelu.kernels, "cuda", kernel)
    monkeypatch.setitem(gelu.backward_kernels["input"], "cuda", kernel)
    fake_cuda()
    results = []
    for device in ("cpu", "cuda"):
        x = tl.tensor([-1.0, 0.3, 2.0], dtype=tl.bfloat16, device=device, requires_grad=True)
        y = tl.nn.functional.gelu(x)
        y.backward(tl.ones_like(y))
        assert y.dtype == x.grad.dtype == tl.bfloat16
        results.append((y.tolist(), x.grad.tolist()))
    assert results[0] == results[1]
    assert seen == [["bfloat16"], ["float32"], ["bfloat16", "bfloat16"]]
    monkeypatch.setitem(gelu.kernels, "cuda", lambda input, approximate: input)
    assert tl.nn.functional.gelu(x).tolist() == x.tolist()


def test_the_gradient_of_a_linear_layer_in_bfloat16_is_asked_of_kernels(fake_cuda, monkeypatch):
    fake_cuda()
    seen = []
    linear = OPS["linear"]
    for name in ("input", "weight", "bias"):

        def kernel(*given, name=name):
            seen.append((name, {a.dtype.name for a in given if hasattr(a, "dtype")}))
            return NotImplemented

        monkeypatch.setitem(linear.backward_kernels[name], "cuda", kernel)
    layer = tl.nn.Linear(3, 2, dtype=tl.bfloat16, device="cuda")
    x = tl.ones(4, 3, dtype=tl.bfloat16, device="cuda", requires_grad=True)
    monkeypatch.delitem(linear.kernels, "cuda")
    monkeypatch.delitem(OPS["sum_to"].kernels, "cuda")
    layer(x).backward(tl.ones(4, 2, dtype=tl.bfloat16, device="cuda"))
    assert sorted(seen) == [(name, {"bfloat16"}) for name in ("bias", "input", "weight")]
    assert layer.bias.grad.tolist() == [4, 4]


def test_a_file_saved_on_a_gpu_opens_without_one(fake_cuda, tmp_path, monkeypatch):
    fake_cuda()
    tl.save({"w": tl.ones(2, device="cuda")}, tmp_path / "w.pt")
    assert tl.load(tmp_path / "w.pt")["w"].device == tl.device("cuda:0")
    monkeypatch.setattr(tl.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="map_location='cpu'"):
        tl.load(tmp_path / "w.pt")
    found = tl.load(tmp_path / "w.pt", map_location="cpu")["w"]
    assert found.device.type == "cpu"
    assert found.tolist() == [1.0, 1.0]


def test_peaks_of_memory(fake_cuda):
    """Peaks are right to a 256th although the pool is asked only when one may have been passed."""
    cupy = fake_cuda(limit=2**30)
    cuda = tl.cuda
    cuda.init()
    pool = cupy.get_default_memory_pool()
    rng = np.random.default_rng(0)
    for _ in range(3):
        alive, used, peak = [], pool.used_bytes(), pool.used_bytes()
        cuda.reset_peak_memory_stats()
        for _ in range(300):
            if alive and rng.random() < 0.5:
                gone = alive.pop(rng.integers(len(alive)))
                pool.free(gone)
                used -= gone.size
            else:
                alive.append(cupy.allocate(int(rng.integers(1, 5000))))
                used += alive[-1].size
                peak = max(peak, used)
        assert cuda.memory_allocated() == used
        assert peak * 255 / 256 <= cuda.max_memory_allocated() <= peak
        assert cuda.max_memory_reserved() == cuda.memory_reserved() >= peak
    seen = cuda.max_memory_allocated()
    for memory in alive:
        pool.free(memory)
    cuda.empty_cache()
    assert pool.emptied == 1
    assert cuda.max_memory_allocated() == seen
    assert "allocated" in cuda.memory_summary()


def test_the_pool_is_seldom_asked(fake_cuda, monkeypatch):
    cupy = fake_cuda(limit=2**30)
    tl.cuda.init()
    pool = cupy.get_default_memory_pool()
    questions = []
    ask = pool.used_bytes
    monkeypatch.setattr(pool, "used_bytes", lambda: questions.append(1) or ask())
    kept = cupy.allocate(2**20)
    for _ in range(1000):
        pool.free(cupy.allocate(512))
    pool.free(kept)
    assert len(questions) < 150


def test_out_of_memory_says_what_is_held(fake_cuda):
    cupy = fake_cuda(limit=4096)
    x = tl.ones(64, 16, device="cuda")
    y = tl.nn.Parameter(x[:8])
    gc.collect()
    with pytest.raises(tl.cuda.OutOfMemoryError) as caught:
        cupy.allocate(2 * 2**30)
    text = str(caught.value)
    assert text.startswith(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 16.00 GiB of which 1.00 GiB "
        "is free. 0 bytes is allocated by tensorlab, and 0 bytes is reserved by tensorlab but unallocated."
    )
    assert "4.00 KiB" in text
    assert (
        text.count("Parameter") + text.count("Tensor") == 1
    )  # a block is named once, whoever shows it
    assert "loss.item()" in text
    assert isinstance(caught.value, RuntimeError)
    assert tl.OutOfMemoryError is tl.cuda.OutOfMemoryError
    del x, y


def test_streams_and_events(fake_cuda):
    cupy = fake_cuda()
    cuda = tl.cuda
    assert cuda.current_stream() == cuda.default_stream()
    s, t = cuda.Stream(), cuda.Stream(priority=-1)
    assert s != t
    assert t.priority == -1
    assert s.query()
    with cuda.stream(s):
        assert cuda.current_stream() == s
        with cuda.stream(t), cuda.stream(None):
            assert cuda.current_stream() == t
        assert cuda.current_stream() == s
    assert cuda.current_stream() == cuda.default_stream()
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    start.record(s)
    assert cupy.LOG[-1] == f"record {start.cuda_event:#x} in {s.cuda_stream:#x}"
    with pytest.raises(ValueError, match="must be recorded"):
        start.elapsed_time(end)
    end.record(s)
    assert start.elapsed_time(end) == 1.5
    with pytest.raises(ValueError, match="enable_timing=True"):
        start.elapsed_time(cuda.Event())
    t.wait_stream(s)
    assert cupy.LOG[-1].startswith(f"stream {t.cuda_stream:#x} waits for 0xe")
    assert repr(s) == f"<tensorlab.cuda.Stream device=cuda:0 cuda_stream={s.cuda_stream:#x}>"
    end.synchronize()
    s.synchronize()
    assert cupy.LOG[-2:] == [
        f"synchronize {end.cuda_event:#x}",
        f"synchronize stream {s.cuda_stream:#x}",
    ]


def test_tf32_is_carried_over(fake_cuda):
    cupy = fake_cuda()
    tl.cuda.init()
    assert cupy.LOG == ["tf32 False"]
    tl.backends.cuda.matmul.allow_tf32 = True
    assert cupy.LOG[-1] == "tf32 True"
    tl.backends.cuda.matmul.allow_tf32 = False
    assert cupy.LOG[-1] == "tf32 False"


@pytest.fixture
def pinning(monkeypatch):
    """Pinned arrays, without page-locked memory: CuPy's pointers are buffers only in compiled code."""

    def pinned(array, cupy):
        found.append(array.shape)
        return array.copy()

    found = []
    monkeypatch.setattr(_backend, "pinned", pinned)
    return found


def test_loaders_pin_what_is_in_a_batch(fake_cuda, pinning):
    fake_cuda()
    data = TensorDataset(tl.ones(4, 3), tl.arange(4))
    for x, y in DataLoader(data, batch_size=2, pin_memory=True):
        assert x.shape == (2, 3)
        assert y.shape == (2,)
    assert pinning == [(2, 3), (2,)] * 2


def test_pinning_goes_into_batches_of_every_kind(fake_cuda, pinning):
    from collections import OrderedDict, namedtuple

    from tensorlab.utils.data._utils.pin_memory import pin_memory

    fake_cuda()
    Pair = namedtuple("Pair", "a b")
    batch = OrderedDict(
        a=[tl.ones(1), "word", b"x", 3], b=(tl.ones(2), None), c=Pair(tl.ones(3), 1)
    )
    found = pin_memory(batch)
    assert pinning == [(1,), (2,), (3,)]
    assert type(found) is OrderedDict
    assert type(found["c"]) is Pair
    assert found["a"][1:] == ["word", b"x", 3]
    assert type(found["b"]) is tuple


def test_inspectors_on_another_device():
    """The profiler, the graph and the memory records read tensors of a device as those of the CPU."""
    from tensorlab import inspect
    from tensorlab.testing import strict  # noqa: F401  makes the device known

    model = tl.nn.Sequential(tl.nn.Linear(3, 4), tl.nn.ReLU(), tl.nn.Linear(4, 2)).to("strict")
    x = tl.randn(5, 3, device="strict")
    loss = model(x).square().mean()
    assert inspect.graph(loss)
    with inspect.profile() as profiled:
        model(x).sum().backward()
    assert profiled
    with inspect.memory() as remembered:
        model(x).sum().backward()
    assert remembered
