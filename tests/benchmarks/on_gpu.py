"""The workloads of `tensorlab bench` on a GPU, and how near single kernels come to the memory's speed.

    python tests/benchmarks/on_gpu.py                  everything, as two tables
    python tests/benchmarks/on_gpu.py models adam-*    these workloads
    python tests/benchmarks/on_gpu.py --json FILE      and all numbers into a file

Each workload runs eagerly and as a captured CUDA graph, in tensorlab and in PyTorch, all four in turn in one
process; a number is the median of the rounds. The second table says what share of the speed of copying (read
and written bytes in a second) softmax, layer norm and Adam reach, counting every number that must be read
or written once. Needs a GPU, CuPy, and for the comparison PyTorch built for CUDA. With `--device cpu` it
runs without a GPU, to try the script itself: nothing is captured then, and the numbers say nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import tensorlab
from tensorlab._cli.measuring import find_torch
from tensorlab._cli.workloads import NUMBER, Run, Workload, chosen, find_workloads, normal, times

#: Of the files of workloads, those about arrays that a GPU works on.
GROUPS = ("models", "ops", "conv", "attention", "optim")
WARM_UP, LEAST_SECONDS = 5, 0.02


class Column:
    """One way to run a workload: a library, eager or captured."""

    def __init__(self, name: str, library: ModuleType, captured: bool) -> None:
        self.name, self.library, self.captured = name, library, captured

    def prepare(self, setup: Callable[[ModuleType], Run]) -> Run:
        """What runs it once, warmed up."""
        run = setup(self.library)
        if not self.captured:
            for _ in range(WARM_UP):
                run()
            return run
        cuda = self.library.cuda
        graph = cuda.CUDAGraph()
        capture = cuda.graph(graph)
        with _stream(self.library, capture.capture_stream):
            for _ in range(WARM_UP):
                run()
        _synchronize(self.library, "cuda")
        with capture:
            run()
        return graph.replay


def _stream(library: ModuleType, stream: Any) -> Any:
    """Make a stream the current one: CuPy's is such a context itself."""
    return stream if hasattr(stream, "__enter__") else library.cuda.stream(stream)


def _synchronize(library: ModuleType, device: str) -> None:
    if device == "cuda":
        library.cuda.synchronize()


def _seconds(library: ModuleType, device: str, run: Run, count: int) -> float:
    _synchronize(library, device)
    start = time.perf_counter()
    for _ in range(count):
        run()
    _synchronize(library, device)
    return (time.perf_counter() - start) / count


def measure(
    columns: list[Column], setup: Callable[[ModuleType], Run], device: str, rounds: int
) -> dict[str, float | str]:
    """Seconds for each column, or why it did not run; all in turn in every round."""
    runs: dict[str, Run] = {}
    found: dict[str, float | str] = {}
    for column in columns:
        try:
            runs[column.name] = column.prepare(setup)
        except Exception as error:  # one that fails is told about, the others go on
            found[column.name] = f"{type(error).__name__}: {error}"
    counts = {
        c.name: max(1, round(LEAST_SECONDS / _seconds(c.library, device, runs[c.name], 1)))
        for c in columns
        if c.name in runs
    }
    timed: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for column in columns:
            if column.name in runs:
                seconds = _seconds(column.library, device, runs[column.name], counts[column.name])
                timed[column.name].append(seconds)
    return {**found, **{name: statistics.median(seconds) for name, seconds in timed.items()}}


# The memory's speed -----------------------------------------------------------------------


def _copy(library: ModuleType) -> Run:
    x = library.ones(64 << 20)
    y = library.empty_like(x)
    return lambda: y.copy_(x)


def _forward(call: Callable[..., Any], *shapes: tuple[int, ...], dtype: str) -> Any:
    def setup(library: ModuleType) -> Run:
        inputs = [
            normal(library, *s, seed=i).to(getattr(library, dtype)) for i, s in enumerate(shapes)
        ]

        def run() -> Any:
            with library.no_grad():
                return call(library.nn.functional, *inputs)

        return run

    return setup


def _backward(call: Callable[..., Any], *shapes: tuple[int, ...], dtype: str) -> Any:
    def setup(library: ModuleType) -> Run:
        inputs = [
            normal(library, *s, seed=i).to(getattr(library, dtype)).requires_grad_()
            for i, s in enumerate(shapes)
        ]
        out = call(library.nn.functional, *inputs)
        slope = normal(library, *shapes[0], seed=9).to(getattr(library, dtype))
        return lambda: library.autograd.grad(out, inputs, slope, retain_graph=True)[0]

    return setup


def _adam(count: int, each: int) -> Any:
    def setup(library: ModuleType) -> Run:
        parameters = [normal(library, each, seed=i).requires_grad_() for i in range(count)]
        for i, p in enumerate(parameters):
            p.grad = normal(library, each, seed=100 + i)
        settings = {"fused": True} if parameters[0].is_cuda else {}
        return library.optim.Adam(parameters, lr=1e-4, **settings).step

    return setup


def bandwidth_workloads() -> list[Workload]:
    """Single kernels, and what each has to read and write."""
    found = [Workload("copy", "64 Mi float32", _copy, traffic=2 * NUMBER * (64 << 20))]
    softmax = lambda F, x: F.softmax(x, -1)
    layer_norm = lambda F, x, w, b: F.layer_norm(x, x.shape[-1:], w, b)
    for dtype, size in (("float32", 4), ("bfloat16", 2)):
        for shape in ((32_768, 1024), (65_536, 768), (2048, 32_000)):
            total = size * shape[0] * shape[1]
            calls = [("softmax", softmax, (shape,))]
            if shape[1] <= 8192:
                calls.append(("layer_norm", layer_norm, (shape, shape[1:], shape[1:])))
            for name, call, shapes in calls:
                what = f"{times(shape)} {dtype}"
                # Forward reads and writes once; backward reads two arrays and writes one.
                found.append(
                    Workload(name, what, _forward(call, *shapes, dtype=dtype), traffic=2 * total)
                )
                found.append(
                    Workload(f"{name} back", what, _backward(call, *shapes, dtype=dtype), traffic=3 * total)
                )  # fmt: skip
    found.append(
        Workload("adam", "1 of 64 Mi float32", _adam(1, 64 << 20), traffic=7 * NUMBER * (64 << 20))
    )
    found.append(
        Workload("adam", "64 of 256 Ki float32", _adam(64, 1 << 18), traffic=7 * NUMBER * (64 << 18))
    )  # fmt: skip
    return found


# The tables -------------------------------------------------------------------------------


def _cell(value: float | str | None) -> str:
    if value is None:
        return "—"
    return f"{value * 1e3:.3f}" if isinstance(value, float) else "failed"


def _ratio(a: Any, b: Any) -> str:
    return f"{a / b:.2f}" if isinstance(a, float) and isinstance(b, float) else "—"


def print_workloads(workloads: list[Workload], columns: list[Column], options: Any) -> list[Any]:
    print("| workload | " + " | ".join(f"{c.name}, ms" for c in columns) + " | eager | captured |")
    print("| --- |" + " ---: |" * (len(columns) + 2))
    rows = []
    for workload in workloads:
        found = measure(columns, workload.setup, options.device, options.rounds)
        eager = _ratio(found.get("tensorlab"), found.get("PyTorch"))
        captured = _ratio(found.get("tensorlab graph"), found.get("PyTorch"))
        cells = " | ".join(_cell(found.get(c.name)) for c in columns)
        print(f"| {workload.name} | {cells} | {eager} | {captured} |", flush=True)
        for name, value in found.items():
            if isinstance(value, str):
                print(f"<!-- {workload.name}, {name}: {value[:300]} -->")
        rows.append({"workload": workload.name, "what": workload.what, **found})
    print("\nThe last two columns are shares of PyTorch's eager time: less is better.\n")
    return rows


def print_bandwidth(columns: list[Column], options: Any) -> list[Any]:
    print("| kernel | size | " + " | ".join(f"{c.name}, GB/s | of copying" for c in columns) + " |")
    print("| --- | --- |" + " ---: |" * (2 * len(columns)))
    copying: dict[str, float] = {}
    rows = []
    for workload in bandwidth_workloads():
        found = measure(columns, workload.setup, options.device, options.rounds)
        cells = []
        for column in columns:
            seconds = found.get(column.name)
            if not isinstance(seconds, float):
                cells.append("failed | —")
                continue
            speed = workload.traffic / seconds / 1e9
            copying.setdefault(column.name, speed)
            cells.append(f"{speed:.0f} | {speed / copying[column.name]:.0%}")
        print(f"| {workload.name} | {workload.what} | {' | '.join(cells)} |", flush=True)
        rows.append({"kernel": workload.name, "what": workload.what, **found})
    return rows


def main() -> None:
    as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    parser.add_argument("words", nargs="*", help="names, patterns or groups of workloads")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()
    torch = find_torch()
    on_gpu = options.device == "cuda"
    if on_gpu and torch is not None and not torch.cuda.is_available():
        print("PyTorch here is not built for CUDA: there is nothing to compare with.")
        torch = None
    libraries: list[tuple[str, ModuleType]] = [("tensorlab", tensorlab)]
    if torch is not None:
        libraries.insert(0, ("PyTorch", torch))
    for _, library in libraries:
        library.set_default_device(options.device)
    eager = [Column(name, library, False) for name, library in libraries]
    graphs = [Column(f"{name} graph", library, True) for name, library in libraries if on_gpu]
    facts = {
        "date": datetime.date.today().isoformat(),
        "device": tensorlab.cuda.get_device_name() if on_gpu else "none: a trial of the script",
        "tensorlab": tensorlab.__version__,
        "torch": None if torch is None else torch.__version__,
    }
    print(", ".join(f"{name} {value}" for name, value in facts.items()), "\n")
    groups = {name: found for name, found in find_workloads().items() if name in GROUPS}
    workloads = chosen(groups, options.words)
    rows = print_workloads(workloads, [*eager, *graphs], options)
    speeds = [] if options.words else print_bandwidth(eager, options)
    if options.json:
        text = json.dumps({**facts, "workloads": rows, "bandwidth": speeds}, indent=2)
        options.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
