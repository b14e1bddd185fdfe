"""Threads for kernels: how many, and the workers that run the parts of one computation.

Kernels are compiled code that lets go of Python's lock, so ordinary Python threads run them side by
side. A computation is cut into parts beforehand, one for each thread; the calling thread does the first
itself. Parts depend on sizes and the number of threads alone, so results are the same from run to run.

Nothing here survives a fork: a child starts with no workers and makes its own when it needs them.
When the workers are busy for another thread, a computation runs its parts one after another: there are
never more running threads than the number asked for, whatever notebooks, loaders or servers do.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tensorlab.kernels.blas import limit_threads

#: Below this many arithmetic operations, waking a second thread costs more than it saves.
WORTH_A_THREAD = 1_000_000

Part = tuple[int, int]


def _allowed() -> int:
    """The processors this process may use: affinity, the container's quota, OMP_NUM_THREADS."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity to ask for
        count = os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked.isdigit() and int(asked):
        count = min(count, int(asked))
    quota = _quota()
    if quota is not None and quota < count:
        count = max(1, math.ceil(quota))
        # Linear algebra libraries know of affinity and OMP_NUM_THREADS, but not of this.
        limit_threads(count)
    return count


def _quota(
    processes: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> float | None:
    """The processors' worth of time that the cgroups of this process grant; None without a limit.

    A line of `processes` is NUMBER:CONTROLLERS:PATH, without controllers in version 2. A group has at
    most what the groups above it have. In a container, the path may be one that only its host can see.
    """
    try:
        lines = processes.read_text().splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "cpu" if controllers else root
        group = top / path.lstrip("/")
        above = [folder for folder in group.parents if folder.is_relative_to(top)]
        found += [_granted(folder) for folder in {group, *above}]
    return min((granted for granted in found if granted is not None), default=None)


def _granted(group: Path) -> float | None:
    """What one cgroup grants: `cpu.max` has limit and period in version 2, two files in version 1."""
    try:
        if (group / "cpu.max").exists():
            limit, period = (group / "cpu.max").read_text().split()
        else:
            limit = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text()
        return None if limit in ("max", "-1") else int(limit) / int(period)
    except (OSError, ValueError):
        return None


class _Workers:
    """Threads that wait for parts. One computation at a time has them."""

    def __init__(self) -> None:
        self.free = threading.Lock()
        self.inboxes: list[SimpleQueue[Any]] = []
        self.done: SimpleQueue[BaseException | None] = SimpleQueue()

    def ensure(self, count: int) -> None:
        while len(self.inboxes) < count:
            inbox: SimpleQueue[Any] = SimpleQueue()
            name = f"tensorlab-kernels-{len(self.inboxes) + 1}"
            threading.Thread(target=_serve, args=(inbox, self.done), name=name, daemon=True).start()
            self.inboxes.append(inbox)

    def retire(self) -> None:
        """End the threads, each when it is done with its part."""
        for inbox in self.inboxes:
            inbox.put(None)


def _serve(inbox: SimpleQueue[Any], done: SimpleQueue[BaseException | None]) -> None:
    while True:
        task = inbox.get()
        if task is None:
            return
        function, part = task
        try:
            function(*part)
        except BaseException as error:
            done.put(error)
        else:
            done.put(None)
        # What the part held must not live on while this thread waits.
        del task, function, part


_workers = _Workers()
_count: int | None = None


def _forget_workers() -> None:
    global _workers
    _workers = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)


def get_num_threads() -> int:
    """The number of threads that CPU kernels use.

    By default the processors that this process may use: its affinity, the quota of its container and
    OMP_NUM_THREADS count.

    >>> import tensorlab
    >>> tensorlab.get_num_threads() >= 1
    True
    """
    global _count
    if _count is None:
        _count = _allowed()
    return _count


def set_num_threads(num: int) -> None:
    """Let CPU kernels use `num` threads; `RuntimeError` if it is not positive.

    The matrix products of NumPy's library, OpenBLAS or MKL, follow: what has no kernel, in float64
    say, takes as many.

    >>> import tensorlab
    >>> before = tensorlab.get_num_threads()
    >>> tensorlab.set_num_threads(1)
    >>> tensorlab.get_num_threads()
    1
    >>> tensorlab.set_num_threads(before)
    """
    global _count
    if isinstance(num, bool) or not isinstance(num, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(num).__name__}")
    if num <= 0:
        raise RuntimeError(f"set_num_threads expects a positive integer, but got {num}")
    _count = num
    limit_threads(num)


def thread_count(operations: int) -> int:
    """How many threads are worth using for this many arithmetic operations."""
    return 1 if operations < WORTH_A_THREAD else get_num_threads()


def split(total: int, parts: int, unit: int = 1) -> list[Part]:
    """0…total in at most `parts` nearly equal ranges that begin at multiples of `unit`.

    >>> split(10, 2, 4)
    [(0, 4), (4, 10)]
    """
    units = -(-total // unit)
    parts = max(1, min(parts, units))
    edges = [units * i // parts * unit for i in range(parts)] + [total]
    return list(itertools.pairwise(edges))


def run_parts(function: Callable[..., None], parts: Sequence[tuple[Any, ...]]) -> None:
    """Call `function(*part)` for every part, side by side; returns when all are done.

    An exception in a part is raised here, after the other parts have ended.
    """
    workers = _workers
    if len(parts) == 1 or workers.free.locked():
        for part in parts:
            function(*part)
        return
    error: BaseException | None = None
    sent = 0
    with workers.free:  # let go wherever Ctrl-C comes
        try:
            try:
                workers.ensure(len(parts) - 1)
                for inbox, part in zip(workers.inboxes, parts[1:], strict=False):
                    inbox.put((function, part))
                    sent += 1
                function(*parts[0])
            finally:
                # Also when the first part failed: the others still write to the caller's arrays.
                for _ in range(sent):
                    error = workers.done.get() or error
        except BaseException as failure:
            if not isinstance(failure, Exception):
                # Ctrl-C comes also while waiting: what these workers are still at is not known.
                _forget_workers()
                workers.retire()
            raise
    if error is not None:
        raise error
