"""Run a learner's code in a thread that can be stopped, and say what became of it.

An endless loop must be a result, not a hang. Signals would do it on one system and on the main
thread only; processes would need the learner's objects pickled. So the code runs in a thread,
and after the time limit an exception is raised *in* that thread (``PyThreadState_SetAsyncExc``).
Code that catches everything is trapped, see `Stopped`. Code that stays in C (a huge matrix
product, a lock that is never released) can't be reached: it is abandoned, and its owner is told.
"""

from __future__ import annotations

import contextvars
import ctypes
import linecache
import os
import queue
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from tensorlab.learn.sandbox import Capture

__all__ = ["Ended", "FrameFilter", "Raised", "Stopped", "Worker", "describe_exception"]

_POLL = 0.05  # seconds; on Windows a wait without end can't be interrupted
_GRACE = 1.0  # seconds that stopped code gets to end
_STACK = 64 * 2**20  # bytes: deep recursion ends in RecursionError, not in a crash


class Stopped(SystemExit):
    """Raised inside a learner's code to end it. A SystemExit: threads end on it in silence.

    Code such as ``while True: try: ... except BaseException: pass`` catches this one too. But
    an exception is made in the thread that it is raised in, and there it can leave a trap: from
    now on every line of the code raises, those of its handlers as well.
    """

    def __init__(self) -> None:
        super().__init__()
        _trap_every_line(sys._getframe(1))


def _trap_every_line(frame: FrameType | None) -> None:
    frames = []
    while frame is not None and frame.f_code is not Worker._serve.__code__:
        frames.append(frame)
        frame = frame.f_back
    if frame is None:  # not raised in a worker
        return
    for each in frames:
        each.f_trace = _raise_on_line
    sys.settrace(_trace_no_calls)
    # A trace function that raises is taken off; this sets it again for the frame below.
    sys.setprofile(_trap_again)


def _raise_on_line(frame: FrameType, event: str, arg: object) -> Any:
    if event == "line":
        raise Stopped
    return _raise_on_line


def _trace_no_calls(frame: FrameType, event: str, arg: object) -> None:
    return None


def _trap_again(frame: FrameType, event: str, arg: object) -> None:
    if event == "return" and frame.f_back and frame.f_back.f_trace is _raise_on_line:
        sys.settrace(_trace_no_calls)


def _untrap() -> None:
    if sys.getprofile() is _trap_again:
        sys.setprofile(None)
        sys.settrace(None)


@dataclass(slots=True)
class Raised:
    """An exception of a learner's code, without the frames that would keep its data alive."""

    type: type[BaseException]
    message: str
    frames: list[traceback.FrameSummary]
    #: Whether it was raised in the learner's own lines, not in a library that they called.
    own: bool

    def __str__(self) -> str:
        name = self.type.__name__
        return f"{name}: {self.message}" if self.message else name


@dataclass(slots=True)
class Ended:
    """How a call ended: with a value, an exception, or at the time limit."""

    value: Any = None
    raised: Raised | None = None
    timed_out: bool = False
    #: After a time-out: where the code was.
    frames: list[traceback.FrameSummary] = field(default_factory=list)


class FrameFilter:
    """Tells a learner's own frames from those of libraries and of the check.

    Args:
        namespace: the learner's namespace; code from notebook cells has it as its globals.
        own_code: code objects that are the learner's wherever they were defined.
        not_own: files that are not the learner's, beside all libraries.
    """

    def __init__(
        self, namespace: Any, own_code: Iterable[Any] = (), not_own: Iterable[str] = ()
    ) -> None:
        self._namespace = namespace
        self._own_code = {id(code) for code in own_code}
        self._not_own = set(not_own)

    def __call__(self, frame: FrameType) -> bool:
        if frame.f_globals is self._namespace or id(frame.f_code) in self._own_code:
            return True
        name = frame.f_code.co_filename
        if name in self._not_own or name.startswith("<frozen ") or "internals>" in name:
            return False
        return not os.path.realpath(name).startswith(_LIBRARIES)


_LIBRARIES = tuple(
    {
        os.path.realpath(path) + os.sep
        for path in [
            *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")),
            str(Path(__file__).parents[1]),
        ]
    }
)


def describe_exception(error: BaseException, own: FrameFilter) -> Raised:
    """What is worth keeping of an exception: its kind, its text and the learner's frames."""
    pairs = list(traceback.walk_tb(error.__traceback__))
    try:
        message = str(error)
    except Exception:  # a learner's own exception class may well be broken
        message = "(its message could not be made)"
    return Raised(
        type(error),
        message,
        _summaries([pair for pair in pairs if own(pair[0])]),
        bool(pairs) and own(pairs[-1][0]),
    )


def _summaries(pairs: list[tuple[FrameType, int]]) -> list[traceback.FrameSummary]:
    made = []
    for frame, line in pairs:
        code = frame.f_code
        text = linecache.getline(code.co_filename, line, frame.f_globals).strip()
        made.append(traceback.FrameSummary(code.co_filename, line, code.co_name, line=text))
    return made


class Worker:
    """One thread that runs calls one after the other, within one time limit for all.

    Args:
        seconds: the time limit of all calls together.
        own: tells the learner's frames from others, for tracebacks.

    >>> worker = Worker(1.0, FrameFilter({}))
    >>> worker.run(lambda: 6 * 7).value
    42
    >>> str(worker.run(lambda: 1 / 0).raised)
    'ZeroDivisionError: division by zero'
    >>> def endless():
    ...     while True:
    ...         pass
    >>> worker.run(endless).timed_out, worker.abandoned
    (True, False)
    """

    def __init__(self, seconds: float, own: FrameFilter) -> None:
        self._limit = seconds
        self._own = own
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Ended, threading.Event] | None]
        self._calls = queue.SimpleQueue()
        #: Seconds that the calls took so far.
        self.seconds = 0.0
        #: The code could not be stopped and goes on in the background.
        self.abandoned = False
        #: What the code prints, as far as it is redirected here.
        self.output = Capture()
        self._busy = False
        self._ended = False
        self._ending = threading.Lock()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._main,), name="tensorlab-check", daemon=True
        )
        before = _set_stack_size(_STACK)
        try:
            self._thread.start()
        finally:
            _set_stack_size(before)

    @property
    def ident(self) -> int:
        """The thread's identifier."""
        assert self._thread.ident is not None
        return self._thread.ident

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def run(self, call: Callable[[], Any]) -> Ended:
        """Run a call; after a time-out the worker is at its end and takes no more."""
        ended, done = Ended(), threading.Event()
        start = time.perf_counter()
        self._busy = True
        self._calls.put((call, ended, done))
        try:
            while not done.wait(min(_POLL, max(self._limit - self.seconds, 0.001))):
                spent = time.perf_counter() - start
                if self.seconds + spent >= self._limit and not done.is_set():
                    frames = self._where()
                    self.stop()
                    return Ended(timed_out=True, frames=frames)
        finally:
            self.seconds += time.perf_counter() - start
        self._busy = False
        return ended

    def stop(self, grace: float = _GRACE) -> None:
        """End the thread: at once if it is idle, else by exceptions raised inside it.

        Code that does not end within the grace (seconds) is abandoned.
        """
        self._calls.put(None)
        if not self._busy:
            self._thread.join(grace)
        end = time.monotonic() + grace
        try:
            while self._thread.is_alive() and time.monotonic() < end:
                self._raise_inside()
                self._thread.join(0.01)
        finally:
            if self._thread.is_alive():
                self.abandoned = True
                threading.Thread(
                    target=self._insist, name="tensorlab-check-reaper", daemon=True
                ).start()

    def _main(self) -> None:
        while not self._ended:
            try:
                self._serve()
                with self._ending:
                    self._ended = True
                    _set_async_exception(self.ident, None)  # one may be on its way still
            except Stopped:
                _untrap()
                self._calls.put(None)

    def _serve(self) -> None:
        while (item := self._calls.get()) is not None:
            call, ended, done = item
            try:
                ended.value = call()
            except Stopped:
                _untrap()
                return
            except BaseException as error:
                _untrap()
                ended.raised = describe_exception(error, self._own)
            finally:
                done.set()
            # Nothing of this call may live on in the waiting thread's frame.
            del item, call, ended, done

    def _insist(self) -> None:
        """Go on raising in abandoned code: the moment may come when it listens."""
        while self._thread.is_alive():
            self._raise_inside()
            self._thread.join(0.25)

    def _raise_inside(self) -> None:
        if self._ending.acquire(timeout=0.1):
            try:
                if not self._ended:
                    _set_async_exception(self.ident, Stopped)
            finally:
                self._ending.release()

    def _where(self) -> list[traceback.FrameSummary]:
        frame = sys._current_frames().get(self.ident)
        stack = list(traceback.walk_stack(frame))[::-1] if frame is not None else []
        return _summaries([pair for pair in stack if self._own(pair[0])])


def _set_async_exception(thread: int, kind: type[BaseException] | None) -> None:
    """Have an exception raised in a thread, or take back one that is still on its way."""
    api = getattr(ctypes, "pythonapi", None)  # CPython's; elsewhere code is abandoned
    if api is not None:
        what = None if kind is None else ctypes.py_object(kind)
        api.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


def _set_stack_size(size: int) -> int:
    try:
        return threading.stack_size(size)
    except (ValueError, RuntimeError):  # the system allows no other size: its default is used
        return 0
