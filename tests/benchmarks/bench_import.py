"""What it costs to start: Python, NumPy and the library, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tensorlab._cli.workloads import Workload


def start(library: ModuleType) -> Callable[[], Any]:
    command = [sys.executable, "-c", f"import {library.__name__}"]
    return lambda: library.tensor(subprocess.run(command, check=True).returncode)


WORKLOADS = [Workload("start", "a new process that imports the library", start)]
