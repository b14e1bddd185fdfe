"""What the browser, or another thread, asks of a running training: queued, and done between steps."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any


class Controls:
    """Stop, pause, resume and learning rate, asked for from any thread and applied by the loop.

    Which thread a widget's message arrives on depends on the kernel (the main thread, a subshell's
    thread), and what it arrives in the middle of is never known. So it is only put into a queue;
    the loop empties the queue when a step is complete. While no loop runs, every moment lies
    between two steps, and what comes is done at once.
    """

    def __init__(self, set_rate: Callable[[float, int | None], None]) -> None:
        self._set_rate = set_rate
        self._queue: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        # Held while commands are applied, and while a loop begins or ends: a command that finds no
        # loop must not be applied in the midst of one that begins.
        self.lock = threading.RLock()
        self.running = False
        self.asked_to_stop = False
        self.paused = False
        self.refused = ""
        """Why the last command could not be done."""

    def ask(self, kind: str, content: Any = None) -> None:
        """Queue a command: "stop", "pause", "resume", or "rate" with (value, group).

        Raises:
            ValueError: for another kind.
        """
        if kind not in ("stop", "pause", "resume", "rate"):
            raise ValueError(f"there is no command {kind!r}: stop, pause, resume and rate are")
        self._queue.put((kind, content))
        if not self.running:
            self.apply()

    def begin(self) -> None:
        """A loop begins; what was asked of an earlier one is no concern of it."""
        with self.lock:
            self.apply()
            self.running, self.asked_to_stop, self.paused = True, False, False

    def end(self) -> None:
        with self.lock:
            self.running = False
            self.apply()

    def apply(self) -> bool:
        """Do all that was asked. True if there was anything."""
        if self._queue.empty():
            return False
        with self.lock:
            any_done = False
            while True:
                try:
                    kind, content = self._queue.get_nowait()
                except queue.Empty:
                    return any_done
                any_done = True
                self._do(kind, content)

    def _do(self, kind: str, content: Any) -> None:
        if kind == "rate":
            try:
                value, group = content
                self._set_rate(float(value), None if group is None else int(group))
                self.refused = ""
            except (TypeError, ValueError, IndexError) as error:
                self.refused = f"The learning rate stays as it was: {error}."
        elif not self.running:
            return  # stop, pause and resume are for the loop that they were meant for
        elif kind == "stop":
            self.asked_to_stop = True
        else:
            self.paused = kind == "pause"
