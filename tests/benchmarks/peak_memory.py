"""Peak memory of a training step, in tensorlab and in PyTorch: `python tests/benchmarks/peak_memory.py`.

Each library trains in a process of its own. After two steps of warm-up the kernel's mark of the highest
resident memory is reset (Linux: 5 to /proc/self/clear_refs), another two steps run, and what the mark
(VmHWM) has risen above the resident memory between steps is what a step needs besides parameters,
gradients and optimizer state, whoever allocates it. Sizes are such that every activation has pages of
its own, and freed ones go back at once (a fixed MALLOC_MMAP_THRESHOLD_), in both processes. The least
of several runs counts.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

MIB = 2**20


def mlp(library: ModuleType, algorithm: str) -> Callable[[], Any]:
    """784-1024-1024-10 at batch 4096 in float32: an activation is 16 MiB."""
    nn = library.nn
    model = nn.Sequential(
        nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
    )
    optimizer = getattr(library.optim, algorithm)(model.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)
    x = library.from_numpy(rng.standard_normal((4096, 784), dtype=np.float32))
    y = library.from_numpy(rng.integers(0, 10, 4096))

    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def elementwise(library: ModuleType, algorithm: str) -> Callable[[], Any]:
    """16 operations on 4 Mi float32 (16 MiB each), and back."""
    w = library.ones(4 * MIB, requires_grad=True)

    def step() -> Any:
        w.grad = None
        x = w
        for _ in range(4):
            x = ((x * 1.01 + 0.1).tanh() * w).exp()
            x = x / (x + 1)
        loss = x.sum()
        loss.backward()
        return loss

    return step


WORK: dict[str, Callable[[ModuleType, str], Callable[[], Any]]] = {
    "mlp SGD": mlp,
    "mlp Adam": mlp,
    "elementwise": elementwise,
}


def status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}: this benchmark needs Linux")


def measure(library_name: str, work: str) -> dict[str, int]:
    """In this process: memory between steps, and how far a step rises above it."""
    library = importlib.import_module(library_name)
    importlib.import_module(f"{library_name}.nn")
    importlib.import_module(f"{library_name}.optim")
    step = WORK[work](library, work.rpartition(" ")[2])
    for _ in range(2):
        step()
    rest = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(2):
        step()
    return {"rest": rest, "rise": status("VmHWM") - rest}


def in_a_process(library: str, work: str, runs: int) -> dict[str, int]:
    """The run with the least rise."""
    environment = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "131072",
        "OMP_NUM_THREADS": "2",
    }
    command = [sys.executable, __file__, "--measure", library, "--work", work]
    found = [
        json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        for _ in range(runs)
    ]
    return min(found, key=lambda one: one["rise"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=3, help="processes for each; the least counts")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.work)))
        return 0
    print(f"{'':12} {'tensorlab':>12} {'PyTorch':>12} {'ratio':>7}   rise of a step, MiB")
    for work in WORK:
        ours = in_a_process("tensorlab", work, options.runs)
        theirs = in_a_process("torch", work, options.runs)
        print(
            f"{work:12} {ours['rise'] / MIB:12.1f} {theirs['rise'] / MIB:12.1f} "
            f"{ours['rise'] / theirs['rise']:7.2f}   "
            f"(between steps: {ours['rest'] / MIB:.0f} and {theirs['rest'] / MIB:.0f})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
