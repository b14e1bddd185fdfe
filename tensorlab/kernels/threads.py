"""Threads for kernels: how many, and the parts into which a computation is cut for them.

Parts depend on sizes and the number of threads alone, so results are the same from run to run. Who runs
them is in `cpu.native.team`.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from pathlib import Path

import numpy as np

from tensorlab.kernels.blas import limit_threads

#: Below this many operations of matrix products, a second thread costs more than it saves: most of it by
#: moving what one processor has in its caches to another's.
WORTH_A_THREAD = 1_000_000
#: An operation of a pass over arrays takes as long as so many of a product, which go on in registers.
OF_A_PASS = 4


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


_count: int | None = None


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
    """How many threads are worth using for this many operations of matrix products."""
    return 1 if operations < WORTH_A_THREAD else get_num_threads()


def pass_threads(operations: int) -> int:
    """How many are worth using for a pass over arrays, of this many operations.

    Reading or writing a number is one of them, a division or root about ten, an exponential thirty.
    """
    return 1 if OF_A_PASS * operations < WORTH_A_THREAD else get_num_threads()


def _edges(total: int, parts: int, unit: int) -> list[int]:
    units = -(-total // unit)
    parts = max(1, min(parts, units))
    return [units * i // parts * unit for i in range(parts)] + [total]


def _table(rows: list[tuple[int, ...]]) -> np.ndarray:
    """The parts of a computation as kernels take them, to be kept and given to many."""
    table = np.array(rows, np.int64)
    table.flags.writeable = False
    return table


@functools.lru_cache(maxsize=4096)
def split(total: int, parts: int, unit: int = 1) -> np.ndarray:
    """0…total in at most `parts` nearly equal ranges that begin at multiples of `unit`: (parts, 2).

    >>> split(10, 2, 4).tolist()
    [[0, 4], [4, 10]]
    """
    return _table(list(itertools.pairwise(_edges(total, parts, unit))))


@functools.lru_cache(maxsize=4096)
def numbered(total: int, parts: int, unit: int = 1) -> np.ndarray:
    """The same, each with its number in front: (parts, 3).

    >>> numbered(10, 2, 4).tolist()
    [[0, 0, 4], [1, 4, 10]]
    """
    return _table([(i, *part) for i, part in enumerate(split(total, parts, unit).tolist())])


@functools.lru_cache(maxsize=4096)
def blocks(
    height: int, width: int, down: int, across: int, unit_down: int = 1, unit_across: int = 1
) -> np.ndarray:
    """A matrix in at most down × across nearly equal blocks (top, bottom, left, right): (parts, 4).

    >>> blocks(4, 6, 1, 2).tolist()
    [[0, 4, 0, 3], [0, 4, 3, 6]]
    """
    rows = itertools.pairwise(_edges(height, down, unit_down))
    columns = list(itertools.pairwise(_edges(width, across, unit_across)))
    return _table([(*row, *column) for row in rows for column in columns])
