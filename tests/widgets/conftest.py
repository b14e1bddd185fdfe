"""A real Jupyter kernel, with the messages that it sends and the moment at which to disturb it."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT = 30


@dataclass
class Ran:
    """What one cell sent back."""

    messages: list[dict] = field(default_factory=list)
    reply: dict = field(default_factory=dict)

    def of(self, kind: str) -> list[dict]:
        return [m["content"] for m in self.messages if m["msg_type"] == kind]

    @property
    def stdout(self) -> str:
        return "".join(c["text"] for c in self.of("stream") if c["name"] == "stdout")

    @property
    def stderr(self) -> str:
        return "".join(c["text"] for c in self.of("stream") if c["name"] == "stderr")

    def final(self) -> dict:
        """The outputs as a notebook saves them: updates in place of what they update."""
        shown: list[dict] = []
        for message in self.messages:
            content = message["content"]
            display_id = content.get("transient", {}).get("display_id")
            if message["msg_type"] == "display_data":
                shown.append({"id": display_id, "data": content["data"]})
            elif message["msg_type"] == "update_display_data":
                for output in shown:
                    if output["id"] == display_id:
                        output["data"] = content["data"]
        assert len(shown) == 1, shown
        return shown[0]["data"]


class Kernel:
    """A kernel with the blocking client."""

    alive = True

    def __init__(self, live: str = "1") -> None:
        from jupyter_client.manager import KernelManager

        paths = [str(ROOT), str(ROOT / "widgets"), os.environ.get("PYTHONPATH", "")]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TENSORLAB_LIVE": live}
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=env)
        self.pid: int = self.manager.provisioner.process.pid
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)

    def run(self, code: str, meanwhile: Callable[[dict], None] | None = None) -> Ran:
        """Execute; `meanwhile` sees each message as it comes."""
        ran, request = Ran(), self.client.execute(code)
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            ran.messages.append(message)
            if meanwhile is not None:
                meanwhile(message)
            idle = message["content"].get("execution_state") == "idle"
            if idle and message["parent_header"].get("msg_id") == request:
                break
        else:
            self.close()  # the tests that follow get a new one
            self.alive = False
            raise AssertionError(f"the cell did not end: {ran.messages[-1]}")
        while ran.reply.get("parent_header", {}).get("msg_id") != request:
            ran.reply = self.client.get_shell_msg(timeout=TIMEOUT)
        return ran

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


class Kernels:
    """The kernels of a test file, started when they are first asked for."""

    def __init__(self) -> None:
        self._started: dict[str, Kernel] = {}

    def get(self, live: str) -> Kernel:
        if live not in self._started or not self._started[live].alive:
            self._started[live] = Kernel(live)
        return self._started[live]

    def close(self) -> None:
        for kernel in self._started.values():
            if kernel.alive:
                kernel.close()


@pytest.fixture(scope="module")
def kernels() -> Iterator[Kernels]:
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    started = Kernels()
    yield started
    started.close()


@pytest.fixture
def interrupt_after() -> Callable[..., Callable[[dict], None]]:
    return _interrupt_after


def _interrupt_after(kernel: Kernel, *delays: float) -> Callable[[dict], None]:
    """Interrupt some time after the cell has begun, as the Stop button of JupyterLab does."""
    begun = False

    def press() -> None:
        for delay in delays:
            time.sleep(delay)
            os.kill(kernel.pid, signal.SIGINT)

    def meanwhile(message: dict) -> None:
        nonlocal begun
        if message["msg_type"] == "execute_input" and not begun:
            begun = True
            threading.Thread(target=press, daemon=True).start()

    return meanwhile
