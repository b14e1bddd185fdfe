"""Stop by interrupt: leave a training loop between two steps, with everything intact.

An ordinary KeyboardInterrupt strikes anywhere: between `optimizer.zero_grad()` and
`optimizer.step()`, or in the middle of writing a checkpoint.  While a progress bar runs on the main
thread, the first interrupt (the kernel's Stop button, or Ctrl-C) therefore only raises a flag, which
the bar reads at its next step boundary.  A second interrupt goes to the handler that was there
before, so that a hanging step can always be broken off.  In an asynchronous cell, or under
`asyncio.run`, that handler only cancels the task, which takes effect at its next `await`: a hanging
step never gets there, so it is broken off here.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import weakref
from types import FrameType
from typing import Protocol


class Stoppable(Protocol):
    """What the guard asks to stop."""

    def stop(self) -> None: ...


class StopGuard:
    """One SIGINT handler for all the bars that are running on the main thread.

    Nested bars share it: the first to start installs it, the last to end puts the old one back.
    """

    def __init__(self) -> None:
        self._running: list[Stoppable] = []
        self._old: signal._HANDLER = None
        self._tasks: weakref.WeakSet[asyncio.Task] = weakref.WeakSet()
        self._asked = False
        self.broken_off = False
        """A second interrupt came before every bar had reached its step boundary."""

    def enter(self, bar: Stoppable) -> bool:
        """Watch over `bar`. False where an interrupt can't be caught or must not be."""
        if threading.current_thread() is not threading.main_thread():
            return False
        old = signal.getsignal(signal.SIGINT)
        if old != self._on_interrupt:
            # None: installed by C code, and Python could not put it back.
            # SIG_IGN: the process was started to ignore Ctrl-C (`nohup`, `command &`).
            if old is None or old is signal.SIG_IGN:
                return False
            # A bar may still be listed that was begun in an earlier cell and never finished: the
            # kernel has put its own handler back since, so that bar's watch is over.
            self._running, self._old, self._asked, self.broken_off = [], old, False, False
            self._tasks.clear()
            signal.signal(signal.SIGINT, self._on_interrupt)
        self._running.append(bar)
        return True

    def awaited(self) -> None:
        """The loop is an asynchronous one: it runs in the task of now."""
        task = asyncio.current_task()
        if task is not None and threading.current_thread() is threading.main_thread():
            self._tasks.add(task)

    def leave(self, bar: Stoppable) -> None:
        """Stop watching `bar`; after the last one, SIGINT is as it was before the first."""
        self._running = [other for other in self._running if other is not bar]
        # Someone may have put a handler of their own above ours meanwhile: theirs stays.
        if not self._running:
            self._tasks.clear()
            if signal.getsignal(signal.SIGINT) == self._on_interrupt:
                signal.signal(signal.SIGINT, self._old)

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        # Runs between two bytecodes of whatever the main thread is doing: it may set flags, but
        # must not draw, send or lock anything.
        if self._running and not self._asked:
            self._asked = True
            for bar in self._running:
                bar.stop()
            return
        self.broken_off = bool(self._running)
        if callable(self._old):
            self._old(signum, frame)
        else:
            raise KeyboardInterrupt
        # It did not raise. A KeyboardInterrupt in a task would end the event loop, the kernel's too.
        if self._running and _task() in self._tasks:
            raise asyncio.CancelledError("interrupted")


def _task() -> asyncio.Task | None:
    """The task whose code is being run; None while the event loop waits, or where there is none."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


guard = StopGuard()
