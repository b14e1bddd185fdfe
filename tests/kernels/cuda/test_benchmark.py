"""The benchmark of the GPU runs, on the CPU, where it has nothing to say but must not fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_trial(tmp_path):
    file = tmp_path / "numbers.json"
    words = ["--device", "cpu", "--rounds", "1", "adam-small", "--json", str(file)]
    paths = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "tests/benchmarks/on_gpu.py"), *words],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "| adam-small |" in done.stdout
    assert "failed" not in done.stdout
    (row,) = json.loads(file.read_text("utf-8"))["workloads"]
    assert row["workload"] == "adam-small"
    assert 0 < row["tensorlab"] < 60
