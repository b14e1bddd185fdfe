"""Timing the same work in tensorlab and in PyTorch, by turns in one process."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import tensorlab
from tensorlab._cli import machine
from tensorlab._cli.workloads import Run, Workload

__all__ = ["Measurement", "find_torch", "measure", "use_threads"]

# One sample repeats the work until it lasts this long, so that the clock's own cost vanishes.
SAMPLE_SECONDS = 0.01

# Between two turns: looks this far apart whether the process still uses a processor, so many at most.
PAUSE_SECONDS = 0.002
PAUSES = 50


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was found of one workload.

    Attributes:
        name, what: the workload's.
        tensorlab, torch, compiled: median seconds of one run; None where it was not measured.
        ratio, ratio_compiled: tensorlab's time divided by PyTorch's (below 1: tensorlab is faster).
        flops, traffic: operations of the products, and bytes to read and write, of one run.
        share: the least time that this machine needs for them, divided by tensorlab's.
        memory, memory_torch: bytes by which a training step rises above what is held between steps.
    """

    name: str
    what: str
    tensorlab: float
    torch: float | None = None
    compiled: float | None = None
    ratio: float | None = None
    ratio_compiled: float | None = None
    flops: float = 0
    traffic: float = 0
    share: float | None = None
    memory: int | None = None
    memory_torch: int | None = None


def find_torch() -> ModuleType | None:
    """PyTorch, or None where it is not installed."""
    return importlib.import_module("torch") if importlib.util.find_spec("torch") else None


def use_threads(threads: int, torch: ModuleType | None) -> None:
    """Let both libraries use so many."""
    tensorlab.set_num_threads(threads)
    if torch is not None:
        torch.set_num_threads(threads)


def measure(
    workload: Workload, torch: ModuleType | None, rounds: int, *, compile: bool = False
) -> Measurement:
    """Time one workload in each library: medians of `rounds` rounds, in each of which all take a turn.

    By turns, because a machine's speed drifts: what slows one slows the others as well. But no turn begins
    before the threads of the last one sleep: PyTorch's wait for work for 10 ms, on processors that the next
    would have.
    """
    runs: dict[str, Run] = {"tensorlab": workload.setup(tensorlab)}
    if torch is not None:
        runs["torch"] = workload.setup(torch)
        compiled = _compiled(workload, torch) if compile else None
        if compiled is not None:
            runs["compiled"] = compiled
    repeats = {name: _repeats(run) for name, run in runs.items()}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in runs.items():
                _settle()
                run()  # to have in the caches what is its own
                samples[name].append(_sample(run, repeats[name]))
    finally:
        if collecting:
            gc.enable()
    seconds = {name: statistics.median(found) for name, found in samples.items()}
    ours = seconds["tensorlab"]
    theirs, compiled_seconds = seconds.get("torch"), seconds.get("compiled")
    least = machine.limit(workload.flops, workload.traffic, tensorlab.get_num_threads())
    return Measurement(
        workload.name,
        workload.what,
        ours,
        theirs,
        compiled_seconds,
        ratio=ours / theirs if theirs else None,
        ratio_compiled=ours / compiled_seconds if compiled_seconds else None,
        flops=workload.flops,
        traffic=workload.traffic,
        share=least / ours if least is not None else None,
    )


def _compiled(workload: Workload, torch: ModuleType) -> Run | None:
    """The work under `torch.compile`, compiled by a first run; None, with a line why, if that fails."""
    torch.compiler.reset()
    run = torch.compile(workload.setup(torch))
    try:
        run()
    except Exception as error:  # whatever a compiler may raise
        reason = (str(error).strip().splitlines() or [""])[0]
        print(
            f"torch.compile of {workload.name}: {type(error).__name__}: {reason}", file=sys.stderr
        )
        return None
    return run


def _sample(function: Callable[[], Any], repeat: int) -> float:
    start = machine.clock()
    for _ in range(repeat):
        function()
    return (machine.clock() - start) / repeat


def _settle() -> None:
    """Wait until no thread of this process is at work, or looking for it."""
    for _ in range(PAUSES):
        before = time.process_time()
        time.sleep(PAUSE_SECONDS)
        if time.process_time() - before < PAUSE_SECONDS / 4:
            return


def _repeats(function: Callable[[], Any]) -> int:
    """How often to repeat `function` for one sample; also its warm-up."""
    function()
    return next(n for n in _doubling() if _sample(function, n) * n >= SAMPLE_SECONDS)


def _doubling() -> Iterator[int]:
    number = 1
    while True:
        yield number
        number *= 2
