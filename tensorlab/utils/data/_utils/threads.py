"""Forks and the threads of the linear algebra library: none runs while a fork is made, one after."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import time
from collections.abc import Iterator

from tensorlab.kernels.blas import limit_threads

__all__ = ["quiet_forks"]

_LONGEST = 5.0  # seconds to wait for the others; they may be busy with something harmless
_PAUSE = 200  # microseconds
_SWITCH_INTERVAL = 0.05  # seconds for which nobody asks for the interpreter lock: time to fork

_forking = threading.local()


@contextlib.contextmanager
def quiet_forks() -> Iterator[None]:
    """Forks of this thread in the block wait until no other thread is in a library call.

    OpenBLAS ends its threads before a fork, and waits for ever for one that is at work just then
    (it clears the order to end together with the job). In the child, a lock that another thread
    held in the library would never be released. The children inherit that linear algebra runs
    in one thread: what is left of the library's threads after a fork is only started again, in
    this process too, when it may use them.
    """
    undo = limit_threads(openmp=True)
    _forking.is_ours = True
    try:
        yield
    finally:
        _forking.is_ours = False
        for setter, count in undo:
            setter(count)


def _wait_for_quiet() -> None:
    """Keep the interpreter lock until all other threads of Python's sleep.

    A thread that leaves a library call has to wait for the lock, asleep. One that computes runs.
    This is called when everything else has been done: there is nothing between it and the fork
    that would give the lock away.
    """
    if not getattr(_forking, "is_ours", False):
        return
    me = threading.get_ident()
    others = [t.native_id for t in threading.enumerate() if t.ident != me and t.native_id]
    if not others:
        return
    libc = ctypes.PyDLL(None)  # whose calls, unlike those of a CDLL, keep the interpreter lock
    interval = sys.getswitchinterval()
    deadline = time.monotonic() + _LONGEST
    files = [f for thread in others if (f := _open_state(thread)) is not None]
    sys.setswitchinterval(_SWITCH_INTERVAL)
    try:
        # Twice: one that has just been woken up may still look asleep.
        quiet = 0
        while quiet < 2 and time.monotonic() < deadline:
            quiet = 0 if any(_is_running(libc, file) for file in files) else quiet + 1
            if quiet < 2:
                libc.usleep(_PAUSE)
    finally:
        sys.setswitchinterval(interval)
        for file in files:
            libc.close(file)


def _open_state(thread: int) -> int | None:
    with contextlib.suppress(OSError):  # it has just ended
        return os.open(f"/proc/self/task/{thread}/stat", os.O_RDONLY)
    return None


def _is_running(libc: ctypes.PyDLL, file: int) -> bool:
    """Whether the thread runs or could run; False if it sleeps or has ended."""
    text = ctypes.create_string_buffer(512)
    read = libc.pread(file, text, ctypes.c_size_t(511), ctypes.c_long(0))
    # "id (name) state …", where the name may hold anything
    return read > 0 and text.value.rpartition(b") ")[2][:1] not in (b"S", b"I", b"T", b"Z", b"X")


if sys.platform == "linux":
    os.register_at_fork(before=_wait_for_quiet)
