"""A real Jupyter kernel, with the messages that it sends and the moment at which to disturb it.

What an IPython kernel hears while a cell runs differs between its versions. Those that are not the
installed one are looked for in the folder that $TENSORLAB_TEST_KERNELS names, each in a folder
called as its version: `pip install --no-deps --target DIR/6.31.0 ipykernel==6.31.0`.
"""

from __future__ import annotations

import importlib.metadata
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT = 100  # seconds for one answer of a kernel, on a machine that is busy with other tests
KERNELS_VARIABLE = "TENSORLAB_TEST_KERNELS"
VIEW = "application/vnd.jupyter.widget-view+json"


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
        """The output as a notebook saves it: updates in place of what they update.

        A widget that has ended leaves one more, with nothing in it.
        """
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
        left = [output["data"] for output in shown if output["data"]["text/plain"]]
        assert len(left) == 1, shown
        return left[0]


class Kernel:
    """A kernel with the blocking client."""

    def __init__(self, live: str = "1", version: str = "") -> None:
        """version: of ipykernel; by default the installed one."""
        from jupyter_client.manager import KernelManager

        paths = [str(ROOT), str(ROOT / "widgets"), os.environ.get("PYTHONPATH", "")]
        paths[:0] = _folders_of(version)
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TENSORLAB_LIVE": live}
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=env)
        self.pid: int = self.manager.provisioner.process.pid
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)
        self._subshell = self._new_subshell()

    def interrupt(self) -> None:
        """As the Stop button of JupyterLab does."""
        os.kill(self.pid, signal.SIGINT)

    def send(self, model: str, content: dict[str, Any]) -> None:
        """Send a widget's own message, on the way that JupyterLab takes: a subshell, where there are any."""
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": model, "data": data})
        if self._subshell:
            message["header"]["subshell_id"] = self._subshell
        self.client.shell_channel.send(message)

    def _new_subshell(self) -> str:
        info = self.client.kernel_info(reply=True, timeout=TIMEOUT)["content"]
        if "kernel subshells" not in info.get("supported_features", ()):
            return ""
        request = self.client.session.msg("create_subshell_request", {})
        self.client.control_channel.send(request)
        return self.client.get_control_msg(timeout=TIMEOUT)["content"]["subshell_id"]

    def listen(self, meanwhile: Callable[[dict], object]) -> None:
        """No cell runs: give `meanwhile` what comes, until it answers True."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            try:
                if meanwhile(self.client.get_iopub_msg(timeout=0.1)):
                    return
            except queue.Empty:
                continue
        raise AssertionError(f"it did not come within {TIMEOUT} seconds")

    def run(self, code: str, meanwhile: Callable[[dict], object] | None = None) -> Ran:
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
            raise AssertionError(f"the cell did not end: {ran.messages[-1:]}")
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
        self._started: dict[tuple[str, str], Kernel] = {}

    def get(self, live: str, version: str = "") -> Kernel:
        key = live, version
        if key not in self._started:
            self._started[key] = Kernel(live, version)
        return self._started[key]

    def begin_anew(self) -> None:
        """End them all: those that are asked for from now on are new."""
        while self._started:
            self._started.popitem()[1].close()


def _folders_of(version: str) -> list[str]:
    """What has to be first on the path for this version of ipykernel; skips where it is not there."""
    if version in ("", importlib.metadata.version("ipykernel")):
        return []
    folder = os.environ.get(KERNELS_VARIABLE, "")
    found = Path(folder, version)
    if not folder or not (found / "ipykernel").is_dir():
        reason = (
            f"no ipykernel {version}: pip install --no-deps --target DIR/{version} "
            f"ipykernel=={version}, and {KERNELS_VARIABLE}=DIR"
        )
        # CI makes them: there its absence is a fault and no reason to skip.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return [str(found)]


@pytest.fixture(scope="module")
def kernels() -> Iterator[Kernels]:
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    started = Kernels()
    yield started
    started.begin_anew()


@pytest.fixture
def interrupt_when() -> Callable[..., Callable[[dict], None]]:
    """`interrupt_when(kernel, *words)`: interrupt when the cell prints the first of these words to
    `sys.stderr`, and again when it prints the next. It does not wait: the interrupt comes in the middle
    of whatever the cell does then, as the Stop button's does."""
    return _interrupt_when


def _interrupt_when(kernel: Kernel, *words: str) -> Callable[[dict], None]:
    left = list(words)

    def meanwhile(message: dict) -> None:
        content = message["content"]
        said = content["text"] if message["msg_type"] == "stream" else ""
        if left and content.get("name") == "stderr" and left[0] in said:
            left.pop(0)
            kernel.interrupt()

    return meanwhile
