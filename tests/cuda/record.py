"""Runs the GPU suite and writes down what it gave, with the device and the date.

    python tests/cuda/record.py            pytest -m gpu, then tests/cuda/RESULTS.md

Without a GPU it says why there is none, and writes nothing: no result, no claim.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tensorlab as tl
from tensorlab._files import write_text

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = (
    "# The last run of the GPU suite\n\n"
    "Written by `python tests/cuda/record.py`, which runs `pytest -m gpu`.\n\n"
)


def run(report: Path) -> None:
    """The suite; its results go to `report`."""
    arguments = ["-m", "gpu", "-n", "0", "-q", "--no-header", f"--junitxml={report}"]
    subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False)


def summary(report: Path, facts: dict[str, Any]) -> str:
    """The text for RESULTS.md: facts about the machine, counts, and each test that failed or was skipped."""
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    skipped = [c for c in cases if c.find("skipped") is not None]
    passed = len(cases) - len(failed) - len(skipped)
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    lines.append(f"- tests: {passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    lines += ["", "Failed:", *(f"- `{_name(c)}`" for c in failed)] if failed else []
    reasons = sorted({(c.find("skipped").get("message") or "").strip() for c in skipped})  # type: ignore[union-attr]
    lines += ["", "Skipped because:", *(f"- {reason}" for reason in reasons)] if reasons else []
    return HEAD + "\n".join(lines) + "\n"


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def facts_of(cupy: Any) -> dict[str, Any]:
    """Where and with what the suite ran."""
    runtime = cupy.cuda.runtime
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "date": datetime.date.today().isoformat(),
        "device": f"{tl.cuda.get_device_name()}, compute capability "
        + ".".join(map(str, tl.cuda.get_device_capability())),
        "CUDA": f"{runtime.runtimeGetVersion()} (driver {runtime.driverGetVersion()})",
        "CuPy": cupy.__version__,
        "tensorlab": f"{tl.__version__} {commit.stdout.strip()}".strip(),
        "Python": sys.version.split()[0],
    }


def main() -> int:
    """Run and record; the exit status is 1 without a GPU or if a test failed."""
    if not tl.cuda.is_available():
        print(f"nothing was run: {tl.cuda.unavailable_reason()}")
        return 1
    from tensorlab import _backend

    cupy = _backend.backend_for(tl.device("cuda")).xp
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        run(report)
        text = summary(report, facts_of(cupy))
    write_text(RESULTS, text)
    print(text)
    return int(" 0 failed" not in text)


if __name__ == "__main__":
    sys.exit(main())
