"""CUDA graphs: a training step is recorded once, and from then on started as a whole.

A step of a small network is hundreds of kernels of a few microseconds each, and Python needs longer to
start one than the device to run it. A graph holds all of them, with their arguments, and starts them with
one call. So everything in it is fixed: which kernels run, on which memory. New data is copied *into* the
tensors that the capture has seen, and results are read from the tensors that it has made:

    x = tensorlab.empty(64, 784, device="cuda")     # the place for inputs
    for _ in range(3):                              # warm-up: kernels are compiled, buffers are made
        step(x)
    optimizer.zero_grad(set_to_none=True)           # gradients are to live in the graph's memory
    g = tensorlab.cuda.CUDAGraph()
    with tensorlab.cuda.graph(g):                   # nothing runs here: it is written down
        loss = step(x)
    for batch in data:
        x.copy_(batch)
        g.replay()                                  # `loss` now holds this batch's

Three things do change from one replay to the next, and are put into device memory before each: the keys of
dropout's random numbers, drawn from the default generator as they would be without a graph; and the
numbers of an optimizer's step, its count and learning rate among them, so schedulers work.

What a graph cannot hold is refused with the reason: reading a value on the host (`.item()`, printing,
`if tensor:`) above all, since there is no value yet. As in PyTorch, memory that the graph works on must
stay alive as long as it is replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab import _backend, _capturing
from tensorlab._backend import Device
from tensorlab._files import write_text

__all__ = ["CUDAGraph", "graph", "graph_pool_handle", "is_current_stream_capturing"]

#: Numbers of 64 bits that a graph can be fed with before each replay.
CAPACITY = 4096

_MODES = ("global", "thread_local", "relaxed")

#: What the errors of CUDA mean to whoever wrote the captured code, by parts of their names.
_REASONS = {
    "StreamCaptureUnsupported": (
        "something in it has to wait for the device, which has not computed anything while a graph is being "
        "captured: reading a value (.item(), .cpu(), .numpy(), printing, `if tensor:`), a check of values, or "
        "a copy from the host"
    ),
    "StreamCaptureInvalidated": "an earlier operation in it could not be captured",
    "StreamCaptureUnjoined": (
        "it started work on another stream and did not wait for it: let the capturing stream wait for the other "
        "before the capture ends"
    ),
    "StreamCaptureIsolation": "it waits for work on another stream that is not part of the capture",
    "StreamCaptureImplicit": "it used the default stream, which would have to wait for this one",
    "StreamCaptureWrongThread": "the capture was begun in another thread",
    "StreamCaptureMerge": "it joins two captures into one",
    "CapturedEvent": "it asked whether an event has happened that is itself being captured",
    "MemoryAllocation": "the device has no memory left for it",
}  # fmt: skip


def _cupy() -> Any:
    return _backend.backend_for(Device("cuda")).xp


def is_current_stream_capturing() -> bool:
    """Whether CUDA work is being captured into a graph now; False where there is no GPU.

    >>> is_current_stream_capturing()
    False
    """
    return _capturing.current is not None


def graph_pool_handle() -> Any:
    """A memory pool that several graphs may share, if they never run at the same time."""
    return _cupy().cuda.MemoryPool()


class CUDAGraph:
    """Captured CUDA work, to be run again and again with one call.

    Usually `with cuda.graph(g):` captures into it, see `tensorlab.cuda.graphs`.

    Args:
        keep_graph: accepted for PyTorch's sake; CuPy keeps what is run and not what was recorded.
    """

    def __init__(self, keep_graph: bool = False) -> None:
        self._keep_graph = keep_graph
        self._debug = False
        self._clear()

    def _clear(self) -> None:
        self._graph: Any = None
        self._pool: Any = None
        self._allocator: Any = None
        self._stream: Any = None
        self._feeds: list[tuple[int, int, Any, Callable[[], Any]]] = []
        self._words: Any = None
        self._fed = 0

    # Capturing ----------------------------------------------------------------------------

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """Begin to capture the work of the current stream, which may not be the default one.

        Args:
            pool: the memory pool of another graph (`other.pool()`) or of `graph_pool_handle()`, for graphs
                that are not run at the same time; by default one of its own.
            capture_error_mode: "global", "thread_local" or "relaxed". Memory is allocated while capturing,
                which CUDA allows only in the relaxed mode, so that is what all three are.

        Raises:
            RuntimeError: this graph holds a capture already, another capture is under way, or the current
                stream is the default one.
            ValueError: for another mode.
        """
        if capture_error_mode not in _MODES:
            raise ValueError(
                f"Unknown capture error mode. Expected `global`, `thread_local`, or `relaxed`, "
                f"got {capture_error_mode}"
            )
        if self._graph is not None:
            raise RuntimeError(
                "This CUDAGraph instance already owns a captured graph. To capture a new graph, create a new "
                "instance, or reset() this one."
            )
        _require_none()
        cupy = _cupy()
        stream = cupy.cuda.get_current_stream()
        if stream.ptr == cupy.cuda.Stream.null.ptr:
            raise RuntimeError(
                "CUDA graphs must be captured on a non-default stream. (However, after capture, it's ok to "
                "replay them on the default stream.)"
            )
        self._pool = cupy.cuda.MemoryPool() if pool is None else pool
        self._words = cupy.zeros(CAPACITY, np.uint64)
        stream.synchronize()  # the zeros are there before anything is captured
        self._stream = stream
        self._allocator = cupy.cuda.using_allocator(self._pool.malloc)
        self._allocator.__enter__()
        try:
            stream.begin_capture()
        except BaseException:
            self._allocator.__exit__(None, None, None)
            self._clear()
            raise
        _capturing.current = self

    def capture_end(self) -> None:
        """End the capture; from now on `replay` may be called.

        Raises:
            RuntimeError: no capture of this graph is under way, or it failed; the message says why.
        """
        if _capturing.current is not self:
            raise RuntimeError("capture_end() was called, but this graph is not being captured")
        _capturing.current = None
        self._allocator.__exit__(None, None, None)
        try:
            self._graph = self._stream.end_capture()
        except Exception as error:
            self._clear()
            raise refusal(error) from error

    def _abandon(self) -> None:
        """End a capture that has failed, leaving the stream as it was before."""
        _capturing.current = None
        self._allocator.__exit__(None, None, None)
        try:
            self._stream.end_capture()
        except Exception as error:
            if not _is_cuda_error(error):
                raise
            # The capture was invalid already, which is why we are here: it has ended now.
        self._clear()

    def feed(self, dtype: Any, count: int, make: Callable[[], Any]) -> Any:
        """Numbers that change from replay to replay: an array on the device, filled before each.

        What is captured reads them from it. `make` is called for each replay, in the order of the feeds, and
        returns up to `count` numbers of `dtype`, which takes 64 bits.

        Raises:
            RuntimeError: while this graph is not being captured, or when it is fed with too much.
        """
        if _capturing.current is not self:
            raise RuntimeError("feed() is for the time while the graph is being captured")
        end = self._fed + count
        if end > CAPACITY:
            raise RuntimeError(
                f"a CUDA graph can be fed with {CAPACITY} numbers before each replay, and this one needs more: "
                "capture less at a time"
            )
        self._feeds.append((self._fed, count, np.dtype(dtype), make))
        found = self._words[self._fed : end].view(dtype)
        self._fed = end
        return found

    # Running ------------------------------------------------------------------------------

    def replay(self) -> None:
        """Run the captured work on the current stream; returns at once, as every start of a kernel.

        Raises:
            RuntimeError: nothing has been captured.
        """
        if self._graph is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        if self._feeds:
            words = np.zeros(self._fed, np.uint64)
            for start, count, dtype, make in self._feeds:
                numbers = np.array(make(), dtype)
                words[start : start + min(count, len(numbers))] = numbers.view(np.uint64)
            # Ordinary memory: it has been read when this returns, whenever the device gets to it.
            self._words[: self._fed].set(words, stream=_cupy().cuda.get_current_stream())
        self._graph.launch()

    def reset(self) -> None:
        """Forget the captured work, and with it the memory that only it uses."""
        self._clear()

    def pool(self) -> Any:
        """The memory pool of this graph, for another graph to share.

        Raises:
            RuntimeError: nothing has been captured.
        """
        if self._pool is None:
            raise RuntimeError("Called CUDAGraph::pool() without a preceding successful capture.")
        return self._pool

    def enable_debug_mode(self) -> None:
        """Accepted for PyTorch's sake: `debug_dump` needs no preparation here."""
        self._debug = True

    def debug_dump(self, debug_path: str) -> None:
        """Write the captured kernels and what they wait for as a graph in the DOT language.

        Raises:
            RuntimeError: nothing has been captured, or this CuPy does not keep it.
        """
        describe = getattr(self._graph, "debug_dot_str", None)
        if describe is None:
            raise RuntimeError(
                "debug_dump() needs a captured graph, and a CuPy that can describe it (14 or later)"
            )
        write_text(debug_path, describe())


class graph:
    """Captures the CUDA work of a block into a `CUDAGraph`; see `tensorlab.cuda.graphs`.

    Args:
        cuda_graph: what to capture into.
        pool: see `CUDAGraph.capture_begin`.
        stream: the stream to capture on; by default one that is kept for this.
        capture_error_mode: see `CUDAGraph.capture_begin`.

    Raises:
        RuntimeError: the block does something that a graph cannot hold; the message says what, and the
            traceback where. The graph is then empty, and the device is as it was.
    """

    default_capture_stream: Any = None

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: Any = None,
        capture_error_mode: str = "global",
    ) -> None:
        cupy = _cupy()
        if stream is None:
            if graph.default_capture_stream is None:
                graph.default_capture_stream = cupy.cuda.Stream(non_blocking=True)
            stream = graph.default_capture_stream
        self.cuda_graph = cuda_graph
        self.pool = pool
        self.capture_stream = getattr(stream, "_stream", stream)  # CuPy's, of a `cuda.Stream`
        self.capture_error_mode = capture_error_mode

    def __enter__(self) -> None:
        _require_none()
        cupy = _cupy()
        cupy.cuda.Device().synchronize()
        cupy.get_default_memory_pool().free_all_blocks()
        self.capture_stream.__enter__()
        try:
            self.cuda_graph.capture_begin(self.pool, self.capture_error_mode)
        except BaseException:
            self.capture_stream.__exit__(None, None, None)
            raise

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            if error is None:
                self.cuda_graph.capture_end()
                return
            if _capturing.current is self.cuda_graph:
                self.cuda_graph._abandon()
            if _is_cuda_error(error):
                raise refusal(error) from error
        finally:
            self.capture_stream.__exit__(kind, error, traceback)


def _require_none() -> None:
    if _capturing.current is not None:
        raise RuntimeError(
            "a CUDA graph is being captured already; only one capture may be under way at a time"
        )


def _is_cuda_error(error: BaseException) -> bool:
    return type(error).__name__ in ("CUDARuntimeError", "CUDADriverError", "OutOfMemoryError")


def refusal(error: BaseException) -> RuntimeError:
    """The error of CUDA during a capture, in words."""
    found = next((reason for name, reason in _REASONS.items() if name in str(error)), None)
    reason = found or "CUDA refused an operation in it"
    return RuntimeError(f"this code cannot be captured into a CUDA graph: {reason} ({error})")
