"""CUDA graphs without a GPU: a CuPy that records, and kernels on the processor.

The stand-in keeps what CuPy's streams promise for a capture: what is started is written down and not run,
waiting for the device is refused with CUDA's error, and a graph runs what was written down. What it cannot
show is marked `gpu`, in `tests/kernels/cuda/test_on_gpu.py`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _backend, _capturing
from tensorlab.cuda import graphed, graphs
from tensorlab.kernels.cuda import dropout, launch
from tensorlab.ops.dropout import philox_dropout


class CUDARuntimeError(RuntimeError):
    """What CuPy raises, by its name."""


class FakeArray(np.ndarray):
    """Device memory: can be filled from the host."""

    def set(self, values: Any, stream: Any = None) -> None:
        self[...] = values


class FakeGraph:
    def __init__(self, work: list[Any]) -> None:
        self.work = work
        self.launches = 0

    def launch(self) -> None:
        self.launches += 1
        for run in self.work:
            run()


class FakeStream:
    """A stream that runs at once, or while it captures writes down."""

    def __init__(self, cupy: Any, ptr: int) -> None:
        self.cupy, self.ptr = cupy, ptr
        self.captured: list[Any] | None = None
        self.invalid = False
        self.before: list[FakeStream] = []

    def __enter__(self) -> FakeStream:
        self.before.append(self.cupy.stream)
        self.cupy.stream = self
        return self

    def __exit__(self, *exception: Any) -> None:
        self.cupy.stream = self.before.pop()

    def begin_capture(self) -> None:
        assert self.captured is None
        self.captured, self.invalid = [], False

    def end_capture(self) -> FakeGraph:
        work, self.captured = self.captured, None
        if self.invalid:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated: a previous error")
        assert work is not None
        return FakeGraph(work)

    def run(self, work: Any) -> None:
        if self.captured is None:
            work()
        else:
            self.captured.append(work)

    def synchronize(self) -> None:
        if self.captured is not None:
            self.invalid = True
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing"
            )


class FakePool:
    def malloc(self, size: int) -> Any:
        raise AssertionError("the stand-in allocates with NumPy")


class FakeCuPy:
    """What graphs use of CuPy."""

    def __init__(self) -> None:
        self.allocators: list[Any] = []
        null = FakeStream(self, 0)
        self.stream = null
        self.numbers = iter(range(1, 100))
        stream_class = lambda non_blocking=False: FakeStream(self, next(self.numbers))
        stream_class.null = null  # type: ignore[attr-defined]
        self.cuda = SimpleNamespace(
            Stream=stream_class,
            MemoryPool=FakePool,
            Device=lambda: SimpleNamespace(synchronize=lambda: self.stream.synchronize()),
            get_current_stream=lambda: self.stream,
            using_allocator=self._using,
        )

    def _using(self, allocator: Any) -> Any:
        allocators = self.allocators

        class Using:
            def __enter__(self) -> None:
                allocators.append(allocator)

            def __exit__(self, *exception: Any) -> None:
                allocators.pop()

        return Using()

    @staticmethod
    def zeros(count: int, dtype: Any) -> Any:
        return np.zeros(count, dtype).view(FakeArray)

    @staticmethod
    def get_default_memory_pool() -> Any:
        return SimpleNamespace(free_all_blocks=lambda: None)


@pytest.fixture
def cupy(host, monkeypatch):
    """The stand-in for CuPy, with kernels that run on the processor, or are recorded, by stream."""
    found = FakeCuPy()
    monkeypatch.setattr(graphs, "_cupy", lambda: found)
    monkeypatch.setattr(graphed, "_cupy", lambda: found)
    monkeypatch.setattr(graphs.graph, "default_capture_stream", None)
    real = host.launch
    monkeypatch.setattr(host, "launch", lambda *given: found.stream.run(lambda: real(*given)))
    yield found
    assert _capturing.current is None
    assert found.stream.ptr == 0
    assert not found.allocators


def test_what_is_captured_runs_at_replays_and_not_before(cupy):
    x = np.ones(10, np.float32)
    g = graphs.CUDAGraph()
    with graphs.graph(g):
        assert graphs.is_current_stream_capturing()
        assert cupy.allocators == [g.pool().malloc]
        y = dropout.dropout(x, 1.0, 3.0, 0)
        y[...] = 0
    assert not graphs.is_current_stream_capturing()
    assert not y.any()
    g.replay()
    assert (y == 3).all()
    x[...] = 2  # the place for inputs
    g.replay()
    assert (y == 6).all()


def test_random_numbers_go_on_as_they_would_without_a_graph(cupy):
    x = tl.ones(1000)
    g = graphs.CUDAGraph()
    with graphs.graph(g):
        keys = [graphs_key() for _ in range(2)]
        outs = [dropout.dropout(x._data, 0.5, 2.0, key) for key in keys]
    tl.manual_seed(3)
    replays = []
    for _ in range(2):
        g.replay()
        replays += [out.copy() for out in outs]
    tl.manual_seed(3)
    for out in replays:
        key = int(tl.default_generator.words64(1)[0])
        np.testing.assert_array_equal(out, philox_dropout(x, 0.5, 2.0, key).numpy())


def graphs_key() -> Any:
    from tensorlab.ops.dropout import _key

    return _key()


@pytest.mark.parametrize("name", ["Adam", "NAdam", "ASGD", "SGD"])
def test_an_optimizers_step_counts_and_follows_its_schedule(cupy, rng, name):
    start, slopes = rng.standard_normal((2, 30)).astype(np.float32)

    def made() -> Any:
        p = tl.tensor(start.copy(), requires_grad=True)
        p.grad = tl.tensor(slopes.copy())
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(tl.optim, name)([p], lr=0.1, **options)
        optimizer.step()  # the first one makes buffers
        return p, optimizer

    p, optimizer = made()
    g = graphs.CUDAGraph()
    before = p.detach().clone()
    with graphs.graph(g):
        optimizer.step()
    assert (p == before).all()
    twin, other = made()
    for lr in (0.1, 0.05, 0.2):
        for group in (*optimizer.param_groups, *other.param_groups):
            group["lr"] = lr
        g.replay()
        other.step()
        np.testing.assert_allclose(p.detach().numpy(), twin.detach().numpy(), 1e-6)
    for state, wanted in zip(optimizer.state.values(), other.state.values(), strict=True):
        for key, value in wanted.items():
            np.testing.assert_allclose(state[key].numpy(), value.numpy(), 1e-6)


def test_steps_that_cannot_be_captured_say_why(cupy):
    p = tl.ones(3, dtype=tl.complex64, requires_grad=True)  # there are kernels of real numbers only
    p.grad = tl.ones(3, dtype=tl.complex64)
    optimizer = tl.optim.RMSprop([p])
    first = pytest.raises(RuntimeError, match="before it has run once")
    with first, graphs.graph(graphs.CUDAGraph()):
        optimizer.step()
    optimizer.step()
    g = graphs.CUDAGraph()
    with pytest.raises(RuntimeError, match="leave step.. out of the graph"), graphs.graph(g):
        optimizer.step()


def test_waiting_for_the_device_is_refused_with_the_reason(cupy):
    g = graphs.CUDAGraph()
    refused = pytest.raises(RuntimeError, match=r"cannot be captured.*\.item\(\)")
    with refused as caught, graphs.graph(g):
        cupy.stream.synchronize()
    assert isinstance(caught.value.__cause__, CUDARuntimeError)
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        g.replay()
    with graphs.graph(g):  # and it can be used again
        pass
    g.replay()


def test_an_error_of_the_block_is_the_blocks_own(cupy):
    g = graphs.CUDAGraph()
    with pytest.raises(ZeroDivisionError), graphs.graph(g):
        _ = 1 // 0
    with pytest.raises(RuntimeError, match="without a preceding"):
        g.replay()


def test_reading_values_is_refused_before_cuda_is_asked(monkeypatch):
    class Away(np.ndarray):
        pass

    module: Any = SimpleNamespace(asnumpy=np.asarray)
    monkeypatch.setitem(_backend._by_type, Away, _backend.Backend("away", module, Away))
    values = np.ones(3).view(Away)
    assert _backend.to_numpy(values).shape == (3,)
    monkeypatch.setattr(_capturing, "current", object())
    with pytest.raises(RuntimeError, match="read after replay"):
        _backend.to_numpy(values)


def test_captures_are_begun_and_ended_in_order(cupy):
    g, other = graphs.CUDAGraph(), graphs.CUDAGraph()
    with pytest.raises(RuntimeError, match="non-default stream"):
        g.capture_begin()
    with pytest.raises(ValueError, match="Unknown capture error mode"):
        g.capture_begin(capture_error_mode="local")
    with pytest.raises(RuntimeError, match="not being captured"):
        g.capture_end()
    with pytest.raises(RuntimeError, match="while the graph is being captured"):
        g.feed(np.float64, 1, lambda: (0.0,))
    with pytest.raises(RuntimeError, match="already"), graphs.graph(g), graphs.graph(other):
        pass
    with graphs.graph(g):
        pass
    with pytest.raises(RuntimeError, match="already owns a captured graph"), graphs.graph(g):
        pass
    pool = g.pool()
    g.reset()
    with pytest.raises(RuntimeError, match="preceding successful capture"):
        g.pool()
    with graphs.graph(other, pool=pool):
        pass
    assert other.pool() is pool


def test_a_graph_has_room_for_so_many_numbers(cupy):
    g = graphs.CUDAGraph()
    with graphs.graph(g):
        g.feed(np.float64, graphs.CAPACITY, lambda: ())
        with pytest.raises(RuntimeError, match="needs more"):
            g.feed(np.float64, 1, lambda: ())


def test_numbers_are_fed_in_their_order_and_dtype(cupy):
    g, given = graphs.CUDAGraph(), iter(range(100))
    with graphs.graph(g):
        first = g.feed(np.uint64, 1, lambda: (next(given),))
        second = g.feed(np.float64, 3, lambda: (next(given) / 2, -1.0))
    g.replay()
    g.replay()
    assert first.tolist() == [2]
    assert second.tolist() == [1.5, -1.0, 0.0]


class Scaled(tl.nn.Module):
    """A module whose work is kernels alone, since those are what the stand-in records."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tl.nn.Parameter(tl.ones(6))

    def forward(self, x: Any) -> Any:
        return Dropped.apply(x, self.weight)


class Dropped(tl.autograd.Function):
    """x times 3, by a kernel; the gradient by both is g times 3, likewise."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any) -> Any:
        return tl.from_numpy(dropout.dropout(x._data, 1.0, 3.0, 0))

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return tuple(tl.from_numpy(dropout.dropout(g._data, 1.0, 3.0, 0)) for _ in range(2))


def test_graphed_callables_are_drop_in_replacements(cupy):
    module = Scaled()
    sample = tl.zeros(6, requires_grad=True)
    assert graphed.make_graphed_callables(module, (sample,)) is module
    launches = []
    for value in (1.0, 2.0):
        x = tl.full((6,), value, requires_grad=True)
        module.weight.grad = None
        y = module(x)
        launches.append(y.detach().clone())
        y.backward(tl.full((6,), 2.0))
        assert x.grad is not None
        assert module.weight.grad is not None
        assert (x.grad == 6).all()
        assert (module.weight.grad == 6).all()
    assert [float(y[0]) for y in launches] == [3.0, 6.0]
    module.eval()
    cupy.stream.run = lambda work: work()
    assert (module(tl.ones(6)) == 3).all()
    with pytest.raises(TypeError, match="captured with 1 arguments"):
        module.train()(tl.ones(6), tl.ones(6))


def test_several_functions_share_one_pool(cupy):
    constant = tl.ones(4)

    def triple(x: Any) -> Any:
        return {"out": (Dropped.apply(x, constant), [Dropped.apply(constant, constant)])}

    samples = tuple((tl.ones(4, requires_grad=True),) for _ in range(2))
    first, second = graphed.make_graphed_callables((triple, triple), samples, 1)
    x = tl.ones(4, requires_grad=True)
    a, (b,) = first(x)["out"]
    c, _ = second(a)["out"]
    assert not b.requires_grad
    assert (c == 9).all()
    c.backward(tl.ones(4))
    assert x.grad is not None
    assert (x.grad == 9).all()


def test_what_cannot_be_graphed(cupy):
    module = Scaled()
    module.register_forward_hook(lambda *given: None)
    with pytest.raises(AssertionError, match="must not have hooks"):
        graphed.make_graphed_callables(module, (tl.ones(6),))
    with pytest.raises(AssertionError, match="only Tensors"):
        graphed.make_graphed_callables(Scaled(), (1.0,))
    with pytest.raises(AssertionError, match="outputs must be tensors"):
        graphed.make_graphed_callables(lambda x: 1.0, (tl.ones(6),))


def test_without_a_gpu_it_says_so():
    if launch.runtime() is not None or tl.cuda.is_available():
        pytest.skip("there is CuPy here")
    with pytest.raises(RuntimeError, match="CuPy|CUDA"):
        tl.cuda.graph(tl.cuda.CUDAGraph())
    assert not tl.cuda.is_current_stream_capturing()
    assert tl.cuda.make_graphed_callables is graphed.make_graphed_callables
