"""Peak memory of a training step: `python -m tensorlab._cli.step_memory LIBRARY WORKLOAD THREADS`.

Each library trains in a process of its own. After some steps of warm-up the kernel's mark of the highest
resident memory is reset (Linux: 5 to /proc/self/clear_refs), another two steps run, and what the mark
(VmHWM) has risen above the resident memory between steps is what a step needs besides parameters and
optimizer state, whoever allocates it. Freed memory goes back to the system at once (a fixed
MALLOC_MMAP_THRESHOLD_) in both processes, or what the last step left would hide what this one takes. The
least of several such measurements counts.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tensorlab._cli import CommandError
from tensorlab._cli.measuring import use_threads
from tensorlab._cli.workloads import chosen, find_workloads

__all__ = ["can_measure", "rise_of_step"]

WARM_UP, STEPS, TRIES = 3, 2, 3
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def can_measure() -> bool:
    """Whether this system tells the highest resident memory, and resets it."""
    return _STATUS.exists() and os.access(_RESET, os.W_OK)


def rise_of_step(library: str, workload: str, threads: int) -> int:
    """Bytes by which a step of `workload` rises above what is held between steps, in a new process."""
    environment = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "131072",
        "OMP_NUM_THREADS": str(threads),
    }
    command = [sys.executable, "-m", __name__, library, workload, str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise CommandError(f"the memory of {workload} in {library} was not measured: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def _status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{_STATUS} has no {name}")


def _measure(library_name: str, name: str, threads: int) -> int:
    """In this process: the least rise of several tries."""
    library = importlib.import_module(library_name)
    use_threads(threads, library if library_name == "torch" else None)
    (workload,) = chosen(find_workloads(), [name])
    step = workload.setup(library)
    for _ in range(WARM_UP):
        step()
    rises = []
    for _ in range(TRIES):
        rest = _status("VmRSS")
        _RESET.write_text("5")
        for _ in range(STEPS):
            step()
        rises.append(_status("VmHWM") - rest)
    return min(rises)


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
