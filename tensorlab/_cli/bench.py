"""`tensorlab bench`: the same work in tensorlab and, where it is installed, in PyTorch.

What is timed stands in `tests/benchmarks`, and what can be said of it in `workloads`; `measuring` has the
clock, `machine` the limits of this processor, `step_memory` the peak of a training step.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
import shutil
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

import tensorlab
from tensorlab._cli import CommandError, machine
from tensorlab._cli.measuring import Measurement, find_torch, measure, use_threads
from tensorlab._cli.step_memory import can_measure, rise_of_step
from tensorlab._cli.workloads import chosen, find_workloads

__all__ = ["bench"]

MIB = 1 << 20


def bench(
    words: Sequence[str],
    *,
    only_list: bool,
    rounds: int,
    threads: int | None,
    compile: bool,
    memory: bool,
    processor_time: bool,
    as_json: bool,
) -> int:
    """Run the workloads that `words` mean (none: all) and print a line for each; the exit status."""
    workloads = chosen(find_workloads(), words)
    if only_list:
        width = max(len(workload.name) for workload in workloads)
        for workload in workloads:
            print(f"{workload.name:<{width}}  {workload.what}")
        return 0
    torch = find_torch()
    if compile:
        _can_compile(torch)
    if memory and not can_measure():
        raise CommandError("peak memory is measured on Linux only; run it without --memory")
    if processor_time:
        if threads != 1:
            raise CommandError("--processor-time is for work in one thread: add --threads 1", 2)
        machine.use_processor_time()
    use_threads(threads or tensorlab.get_num_threads(), torch)
    facts = _facts(torch)
    if not as_json:
        print(_heading(facts))
        print(_columns(compile, memory))
    found = []
    for workload in workloads:
        result = measure(workload, torch, rounds, compile=compile)
        if memory and workload.step:
            result = _with_memory(result, torch)
        found.append(result)
        if not as_json:
            print(_row(result, compile, memory), flush=True)
    if as_json:
        rows = [dataclasses.asdict(result) for result in found]
        how = {"rounds": rounds, "processor_time": processor_time}
        print(json.dumps({**facts, **how, "results": rows}, indent=2))
    elif torch is None:
        print("PyTorch is not installed here, so there is nothing to compare with.")
    return 0


def _can_compile(torch: ModuleType | None) -> None:
    """Raise `CommandError` if `torch.compile` cannot work here."""
    if torch is None:
        raise CommandError("--compile needs PyTorch, which is not installed here")
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        raise CommandError("--compile needs a C++ compiler on the PATH (g++, say): there is none")


def _with_memory(result: Measurement, torch: ModuleType | None) -> Measurement:
    count = tensorlab.get_num_threads()
    ours = rise_of_step("tensorlab", result.name, count)
    theirs = None if torch is None else rise_of_step("torch", result.name, count)
    return dataclasses.replace(result, memory=ours, memory_torch=theirs)


def _facts(torch: ModuleType | None) -> dict[str, Any]:
    """Where and with what was measured."""
    threads = tensorlab.get_num_threads()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": machine.processor(),
        "threads": threads,
        "peak_flops": machine.peak_flops(threads),
        "bandwidth": machine.bandwidth(threads, machine.LARGEST),
        "tensorlab": tensorlab.__version__,
        "torch": None if torch is None else torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _heading(facts: dict[str, Any]) -> str:
    plural = "" if facts["threads"] == 1 else "s"
    peak = facts["peak_flops"]
    limits = [] if peak is None else [f"{peak / 1e9:.0f} GFLOP/s"]
    limits.append(f"{facts['bandwidth'] / 1e9:.0f} GB/s")
    return f"{facts['processor']}, {facts['threads']} thread{plural}; at best {', '.join(limits)}"


def _columns(compile: bool, memory: bool) -> str:
    words = [f"{'workload':<20}", f"{'tensorlab':>10}", f"{'PyTorch':>10}", f"{'ratio':>6}"]
    if compile:
        words += [f"{'compiled':>10}", f"{'ratio':>6}"]
    words += [f"{'rate':>13}", f"{'limit':>6}"]
    if memory:
        words += [f"{'MiB':>7}", f"{'PyTorch':>8}"]
    return "  ".join(words)


def _row(found: Measurement, compile: bool, memory: bool) -> str:
    words = [f"{found.name:<20}", f"{_time(found.tensorlab):>10}", f"{_time(found.torch):>10}"]
    words.append(f"{_number(found.ratio, '.2f'):>6}")
    if compile:
        words += [f"{_time(found.compiled):>10}", f"{_number(found.ratio_compiled, '.2f'):>6}"]
    words += [f"{_rate(found):>13}", f"{_number(found.share, '.0%'):>6}"]
    if memory:
        words += [f"{_mib(found.memory):>7}", f"{_mib(found.memory_torch):>8}"]
    return "  ".join([*words, found.what])


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _mib(size: int | None) -> str:
    return "–" if size is None else f"{size / MIB:.1f}"


def _rate(found: Measurement) -> str:
    """Operations or bytes a second."""
    if found.flops:
        return f"{found.flops / found.tensorlab / 1e9:.3g} GFLOP/s"
    return f"{found.traffic / found.tensorlab / 1e9:.3g} GB/s" if found.traffic else "–"


def _time(seconds: float | None) -> str:
    """Seconds in the unit that fits.

    >>> _time(0.0000042)
    '4.2 µs'
    """
    if seconds is None:
        return "–"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
