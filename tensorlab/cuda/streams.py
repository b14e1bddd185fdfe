"""Streams, in which a device does one thing after the other, and events, which mark a point in one.

stream = tensorlab.cuda.Stream()
start, end = (tensorlab.cuda.Event(enable_timing=True) for _ in range(2))
with tensorlab.cuda.stream(stream):
    start.record()
    y = x @ x
    end.record()
end.synchronize()
print(start.elapsed_time(end), "ms")
"""

from __future__ import annotations

from typing import Any

from tensorlab._backend import Device
from tensorlab.cuda.devices import index_of, require


class Stream:
    """A queue of work on a device; work in two streams may run at the same time.

    device: by default the current one. priority: lower numbers go first; 0 and -1 are always allowed.

    Raises `RuntimeError` without a CUDA device.
    """

    def __init__(
        self, device: int | str | Device | None = None, priority: int = 0, **kwargs: Any
    ) -> None:
        made = kwargs.pop("stream", None)
        if kwargs:
            raise TypeError(f"Stream() got unexpected keyword arguments {sorted(kwargs)}")
        cupy = require()
        self.device_index = index_of(device, cupy)
        if made is None:
            with cupy.cuda.Device(self.device_index):
                made = cupy.cuda.Stream(non_blocking=True, priority=priority)
        self._stream = made

    @property
    def device(self) -> Device:
        """The device that the stream's work runs on."""
        return Device("cuda", self.device_index)

    @property
    def cuda_stream(self) -> int:
        """The handle, for other libraries."""
        return int(self._stream.ptr)

    @property
    def priority(self) -> int:
        """Lower numbers go first."""
        return int(self._stream.priority)

    def query(self) -> bool:
        """Whether all work in it is done."""
        return bool(self._stream.done)

    def synchronize(self) -> None:
        """Wait until all work in it is done."""
        self._stream.synchronize()

    def record_event(self, event: Event | None = None) -> Event:
        """Mark this point of the stream with an event, a new one unless given; returns it."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let what comes after wait for the event; the host does not wait."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """Let what comes after wait for all that is in another stream now."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Stream)
            and self.device_index == other.device_index
            and self.cuda_stream == other.cuda_stream
        )

    def __hash__(self) -> int:
        return hash((self.device_index, self.cuda_stream))

    def __repr__(self) -> str:
        return f"<tensorlab.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """A stream that another library made, by its handle; it must live as long as this."""

    def __init__(self, stream_ptr: int, device: int | str | Device | None = None) -> None:
        super().__init__(device, stream=require().cuda.ExternalStream(stream_ptr))


class Event:
    """A mark in a stream: reached when all work before it is done.

    enable_timing: whether `elapsed_time` can be asked. blocking: a thread in `synchronize` sleeps.
    interprocess: the mark can be used by another process. external: accepted, without effect.

    Raises `RuntimeError` without a CUDA device.
    """

    def __init__(
        self,
        enable_timing: bool = False,
        blocking: bool = False,
        interprocess: bool = False,
        external: bool = False,
    ) -> None:
        cupy = require()
        self._event = cupy.cuda.Event(
            block=blocking, disable_timing=not enable_timing, interprocess=interprocess
        )
        self._timed = enable_timing
        self._recorded = False

    @property
    def cuda_event(self) -> int:
        """The handle, for other libraries."""
        return int(self._event.ptr)

    def record(self, stream: Stream | None = None) -> None:
        """Mark the current point of a stream, by default of the current one."""
        self._event.record((current_stream() if stream is None else stream)._stream)
        self._recorded = True

    def wait(self, stream: Stream | None = None) -> None:
        """Let what comes after in a stream wait for this event; the host does not wait."""
        (current_stream() if stream is None else stream)._stream.wait_event(self._event)

    def query(self) -> bool:
        """Whether the mark is reached; True if it was never set."""
        return bool(self._event.done)

    def synchronize(self) -> None:
        """Wait until the mark is reached."""
        self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds on the device from this mark to a later one, both reached.

        Raises `ValueError` unless both were made with `enable_timing=True` and recorded.
        """
        for event in (self, end_event):
            if not event._timed:
                raise ValueError("Both events must be created with argument 'enable_timing=True'.")
            if not event._recorded:
                raise ValueError("Both events must be recorded before calculating elapsed time.")
        return float(require().cuda.get_elapsed_time(self._event, end_event._event))

    def __repr__(self) -> str:
        return f"<tensorlab.cuda.Event {self.cuda_event:#x}>"


class StreamContext:
    """Make a stream, and its device, the current ones within a block; None changes nothing."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream
        self._before: list[Any] = []

    def __enter__(self) -> None:
        if self.stream is None:
            return
        cupy = require()
        device = cupy.cuda.Device(self.stream.device_index)
        device.__enter__()
        self.stream._stream.__enter__()
        self._before.append(device)

    def __exit__(self, *exception: Any) -> None:
        if self.stream is None:
            return
        self.stream._stream.__exit__(*exception)
        self._before.pop().__exit__(*exception)


def stream(stream: Stream | None) -> StreamContext:
    """`with cuda.stream(s):` runs what is in the block in the stream `s`; None changes nothing.

    Memory is handed on within a stream in its order. A tensor made in one stream and used in another needs
    `wait_stream`, or its memory must not be freed before the other is done.
    """
    return StreamContext(stream)


def set_stream(stream: Stream | None) -> None:
    """Make a stream the current one from now on, for this thread; prefer `cuda.stream`."""
    if stream is not None:
        stream._stream.use()


def current_stream(device: int | str | Device | None = None) -> Stream:
    """The stream that operations on a device, by default the current one, go to."""
    cupy = require()
    index = index_of(device, cupy)
    with cupy.cuda.Device(index):
        return Stream(index, stream=cupy.cuda.get_current_stream())


def default_stream(device: int | str | Device | None = None) -> Stream:
    """The stream that is the current one unless another was chosen."""
    cupy = require()
    return Stream(index_of(device, cupy), stream=cupy.cuda.Stream.null)
