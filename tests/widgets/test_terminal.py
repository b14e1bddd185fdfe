"""The bar as one line of text."""

from __future__ import annotations

import io
import math
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tensorlab_widgets import _progress as module
from tensorlab_widgets import progress
from tensorlab_widgets._display import Terminal

WIDGETS = Path(module.__file__).parents[1]


class Screen(io.TextIOWrapper):
    """A terminal of the given encoding that keeps what was written."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding, newline="", write_through=True)

    def lines(self) -> list[str]:
        """Each state the line went through."""
        return self.bytes.getvalue().decode(self.encoding).replace("\x1b[K", "").split("\r")[1:]


def run(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, *, live: bool = True, width: int = 80
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(module, "choose", lambda: Terminal(screen, live=live))
    monkeypatch.setattr(module.Throttle, "allows", lambda self: True)
    epochs = progress(range(2), label="epochs")
    for _ in epochs:
        batches = progress(range(2), label="batches")
        for i in batches:
            batches.set(loss=0.5 if i else math.nan)
        epochs.set(accuracy=0.75)


def test_innermost_loop_has_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    run(screen, monkeypatch)
    lines = screen.lines()
    assert lines[0] == "epochs ░░░░░░░░░░░░░░░░░░░░ 0/2"
    assert any(
        line.startswith("epochs 0/2 › batches ██████████░░░░░░░░░░ 1/2 · loss ⚠ nan")
        for line in lines
    )
    assert any(
        line.startswith("epochs ██████████░░░░░░░░░░ 1/2 · accuracy 0.7500") for line in lines
    )
    last = lines[-1].split("\n")
    assert last[0].startswith("✓ epochs: 2/2 · accuracy 0.7500 · 0.0 s")
    assert last[1:] == ["    batches: 2/2 · loss 0.5000", ""]


def test_a_line_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    run(screen, monkeypatch, width=30)
    assert max(len(line.split("\n")[0]) for line in screen.lines()) == 29
    assert any(line.endswith("…") for line in screen.lines())


def test_old_terminals_get_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("ascii")
    run(screen, monkeypatch)
    lines = screen.lines()
    wanted = "epochs 0/2 > batches ##########---------- 1/2 | loss ! nan"
    assert any(line.startswith(wanted) for line in lines)
    assert lines[-1].startswith("+ epochs: 2/2 | accuracy 0.7500 | ")


def test_not_live_prints_the_final_form_only(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    run(screen, monkeypatch, live=False)
    assert screen.bytes.getvalue().decode() == (
        "✓ epochs: 2/2 · accuracy 0.7500\n    batches: 2/2 · loss 0.5000\n"
    )


SCRIPT = """
import time
from tensorlab_widgets import progress
bar = progress(range(100_000), label="steps")
for i in bar:
    bar.set(loss=1 / (i + 1))
    time.sleep(0.01)
print(f"after the loop: stopped={bar.stopped} complete={bar.n == i + 1}", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_ctrl_c_in_a_real_terminal() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(WIDGETS), "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    try:
        output = _read(ours, until=b"loss")
        process.send_signal(signal.SIGINT)
        output += _read(ours)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    text = output.decode()
    assert "■ steps: stopped after" in text
    assert "after the loop: stopped=True complete=True" in text
    assert "Traceback" not in text


def _read(terminal: int, until: bytes | None = None, seconds: float = 100) -> bytes:
    """What appears on the screen, until something does or the program has ended."""
    output, end = b"", time.monotonic() + seconds
    while time.monotonic() < end and (until is None or until not in output):
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                output += os.read(terminal, 4096)
            except OSError:  # the other side is closed
                break
    return output
