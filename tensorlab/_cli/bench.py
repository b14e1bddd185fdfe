"""`tensorlab bench`: the same work in tensorlab and, where it is installed, in PyTorch.

The workloads stand in files of the checkout, `tests/benchmarks/bench_*.py`, each with a list
`WORKLOADS`. A workload is written once and set up with either library: that the same lines run in both
is the point of having PyTorch's names.
"""

from __future__ import annotations

import difflib
import gc
import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import tensorlab
from tensorlab._cli import CommandError

__all__ = ["Measurement", "Workload", "bench", "find_torch", "find_workloads", "measure"]

# One sample repeats the work until it lasts this long, so that the clock's own cost vanishes.
SAMPLE_SECONDS = 0.002
FEWEST_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Workload:
    """One piece of work that either library can do.

    Attributes:
        name: what it is called on the command line.
        what: one line: the sizes, the dtype, forward or backward.
        setup: `setup(library)` prepares the work in `tensorlab` or `torch` and returns a function that
            does it once and returns its result as a tensor.
    """

    name: str
    what: str
    setup: Callable[[ModuleType], Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Median seconds of one run, and their ratio (below 1: tensorlab is faster)."""

    name: str
    what: str
    tensorlab: float
    torch: float | None
    ratio: float | None


def bench(names: Sequence[str], *, only_list: bool, seconds: float, as_json: bool) -> int:
    """Run the named workloads (none named: all) and print a line for each; returns the exit status."""
    workloads = _chosen(find_workloads(), names)
    torch = find_torch()
    if only_list:
        width = max(len(workload.name) for workload in workloads)
        for workload in workloads:
            print(f"{workload.name:<{width}}  {workload.what}")
        return 0
    if as_json:
        print(
            json.dumps(
                [asdict(measure(workload, torch, seconds)) for workload in workloads], indent=2
            )
        )
        return 0
    print(f"{'workload':<18}  {'tensorlab':>10}  {'PyTorch':>10}  {'ratio':>6}")
    for workload in workloads:
        result = measure(workload, torch, seconds)
        other = "–" if result.torch is None else _time(result.torch)
        ratio = "–" if result.ratio is None else f"{result.ratio:.2f}"
        line = f"{result.name:<18}  {_time(result.tensorlab):>10}  {other:>10}  {ratio:>6}"
        print(f"{line}  {result.what}", flush=True)
    if torch is None:
        print("PyTorch is not installed here, so there is nothing to compare with.")
    return 0


def find_workloads() -> list[Workload]:
    """All workloads of the checkout that this tensorlab is imported from.

    Raises `CommandError` if tensorlab was installed from a wheel: it brings no benchmarks.
    """
    folder = Path(tensorlab.__file__).parents[1] / "tests" / "benchmarks"
    files = sorted(folder.glob("bench_*.py"))
    if not files:
        raise CommandError(
            "the benchmarks are part of the source checkout (tests/benchmarks), and this tensorlab "
            "is installed without one: run it in a checkout after pip install -e ."
        )
    return [workload for file in files for workload in _load(file).WORKLOADS]


def find_torch() -> ModuleType | None:
    """PyTorch, or None where it is not installed."""
    return importlib.import_module("torch") if importlib.util.find_spec("torch") else None


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tensorlab_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _chosen(workloads: list[Workload], names: Sequence[str]) -> list[Workload]:
    by_name = {workload.name: workload for workload in workloads}
    for name in names:
        if name not in by_name:
            close = difflib.get_close_matches(name, by_name, n=1)
            hint = f"did you mean {close[0]}?" if close else "see tensorlab bench --list"
            raise CommandError(f"there is no workload {name!r}; {hint}", 2)
    return [by_name[name] for name in names] if names else workloads


def measure(workload: Workload, torch: ModuleType | None, seconds: float) -> Measurement:
    """Time one workload for about `seconds` in each library, by turns.

    By turns, because a machine's speed drifts: what slows one library slows the other as well.
    """
    functions = [workload.setup(library) for library in (tensorlab, torch) if library is not None]
    repeats = [_repeats(function) for function in functions]
    samples: list[list[float]] = [[] for _ in functions]
    deadline = time.perf_counter() + seconds * len(functions)
    collecting = gc.isenabled()
    gc.disable()
    try:
        while time.perf_counter() < deadline or len(samples[-1]) < FEWEST_SAMPLES:
            for function, repeat, times in zip(functions, repeats, samples, strict=True):
                times.append(_sample(function, repeat))
    finally:
        if collecting:
            gc.enable()
    ours, *others = [statistics.median(times) for times in samples]
    theirs = others[0] if others else None
    ratio = ours / theirs if theirs else None
    return Measurement(workload.name, workload.what, ours, theirs, ratio)


def _sample(function: Callable[[], Any], repeat: int) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        function()
    return (time.perf_counter() - start) / repeat


def _repeats(function: Callable[[], Any]) -> int:
    """How often to repeat `function` for one sample; also its warm-up."""
    return next(n for n in _doubling() if _sample(function, n) * n >= SAMPLE_SECONDS)


def _doubling() -> Iterator[int]:
    number = 1
    while True:
        yield number
        number *= 2


def _time(seconds: float) -> str:
    """Seconds in the unit that fits.

    >>> _time(0.0000042)
    '4.2 µs'
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
