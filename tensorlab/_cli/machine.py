"""What this machine can do at best: the limits that `tensorlab bench` holds its measurements against.

A computation can be no faster than its multiplications and additions at the processor's peak, nor than its
reading and writing at the memory's (S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual
performance model for multicore architectures", CACM 52, 2009). Both peaks are measured, not looked up.
"""

from __future__ import annotations

import functools
import importlib.util
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tensorlab.kernels import enabled
from tensorlab.kernels.threads import split

__all__ = ["bandwidth", "clock", "limit", "peak_flops", "processor", "use_processor_time"]

#: What all measurements are taken with; returns seconds.
clock: Callable[[], float] = time.perf_counter


def use_processor_time() -> None:
    """Measure the time that this process has had of the processor, not the time that has gone by.

    Of work in one thread both are the same, but where other programs run, only this one tells its cost.
    """
    global clock
    clock = time.process_time


# The best of so many tries counts: whatever else runs can only slow one down.
TRIES = 7
SECONDS_EACH = 0.02
# The arrays of one copy, source and target together, are as large as the work's, between these.
SMALLEST, LARGEST = 1 << 20, 1 << 28


def processor() -> str:
    """The processor's name.

    >>> processor() != ""
    True
    """
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


@functools.cache
def peak_flops(threads: int) -> float | None:
    """Float32 operations a second of `threads` threads at best; None without Numba."""
    if not enabled() or importlib.util.find_spec("numba") is None:
        return None
    from tensorlab.kernels.cpu.native.peak import FLOPS_EACH, multiply_add

    with ThreadPoolExecutor(threads) as pool:

        def work(rounds: int) -> None:
            list(pool.map(multiply_add, [rounds] * threads, [0.5] * threads, [1.0] * threads))

        return _best(work) * FLOPS_EACH * threads


def bandwidth(threads: int, size: float) -> float:
    """Bytes a second, read and written, that `threads` threads copy in arrays of about `size` bytes."""
    power = min(max(1 << max(int(size) - 1, 1).bit_length(), SMALLEST), LARGEST)
    # Arrays that fit a cache may be copied faster by one thread.
    return max(_copied(count, power) for count in {1, threads})


@functools.cache
def _copied(threads: int, size: int) -> float:
    source = np.ones(size // 8, np.float32)
    target = np.empty_like(source)
    parts = split(len(source), threads, 16)

    def part(rounds: int, first: int, last: int) -> None:
        for _ in range(rounds):
            np.copyto(target[first:last], source[first:last])

    with ThreadPoolExecutor(threads) as pool:

        def work(rounds: int) -> None:
            list(pool.map(part, [rounds] * len(parts), *parts.T.tolist()))

        return _best(work) * size


def _best(work: Callable[[int], None]) -> float:
    """The most rounds a second that `work(rounds)` does."""
    work(1)  # compiles it, and has the system hand out memory
    rounds, seconds = 1, 0.0
    while seconds < SECONDS_EACH:
        rounds *= 2
        seconds = _seconds(work, rounds)
    return rounds / min(_seconds(work, rounds) for _ in range(TRIES))


def _seconds(work: Callable[[int], None], rounds: int) -> float:
    start = clock()
    work(rounds)
    return clock() - start


def limit(flops: float, traffic: float, threads: int) -> float | None:
    """The seconds that so many operations and bytes take at least; None if that is not known."""
    if not flops and not traffic:
        return None
    peak = peak_flops(threads) if flops else None
    if flops and peak is None:
        return None
    computing = flops / peak if peak else 0.0
    # What is read and written again, forward and backward, is about half of the traffic.
    moving = traffic / bandwidth(threads, traffic / 2) if traffic else 0.0
    return max(computing, moving)
