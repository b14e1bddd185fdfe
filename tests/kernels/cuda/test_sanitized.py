"""Kernels with shared memory once more, on the processor under AddressSanitizer.

The guards around arrays do not see what a thread does to arrays of its own, or far away from any array. It has
to be there from the start of a process, so other processes run the tests of those kernels, for one type.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .on_host import COMPILER, SANITIZED

HERE = Path(__file__).parent
#: Files of tests, the type of number, and which of the tests for one order of threads.
CHOSEN = {
    "test_softmax.py": ("float", "softmax-float32 and not log"),
    "test_norm.py": ("float", "float32 and not rms"),
    "test_rows.py": ("float", "test_cross_entropy and mean and float32"),
    "test_conv.py": ("float", "float32-True"),
    "test_linear.py": ("float", "float32 and not tanh"),
    "test_attention.py": ("float16", "cores-float16 and not bfloat16"),
}


def _library() -> str | None:
    """AddressSanitizer's, which belongs to the compiler."""
    if COMPILER is None or sys.platform != "linux":
        return None
    found = subprocess.run(
        [COMPILER, "-print-file-name=libasan.so"], capture_output=True, text=True
    )
    path = Path(found.stdout.strip())
    return str(path) if path.is_absolute() and path.exists() else None


def _run(kind: str, file: str, tests: str, folder: Path) -> subprocess.CompletedProcess[str]:
    library = _library()
    if library is None:
        pytest.skip("the C++ compiler has no AddressSanitizer that can be loaded into Python")
    options = (
        "detect_leaks=0:detect_stack_use_after_return=0"  # Python leaks, and fibers change stacks
    )
    environment = {**os.environ, SANITIZED: kind, "LD_PRELOAD": library, "ASAN_OPTIONS": options}
    environment.pop("PYTEST_XDIST_WORKER", None)
    tests = f"ascending and not descending and ({tests})"
    command = [sys.executable, "-m", "pytest", str(HERE / file), "-k", tests, "-q", "-s", "-n", "0"]
    command += ["-p", "no:cacheprovider", "--no-header", f"--basetemp={folder}"]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=HERE)


@pytest.mark.parametrize("file", CHOSEN)
def test_kernels_stay_within_their_memory(file, tmp_path):
    done = _run(CHOSEN[file][0], file, CHOSEN[file][1], tmp_path / "inner")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert " passed" in done.stdout


def test_a_planted_overflow_is_seen(tmp_path):
    done = _run("float", "test_host.py", "own_array", tmp_path / "inner")
    assert done.returncode != 0
    assert "AddressSanitizer: stack-buffer-overflow" in done.stdout + done.stderr
