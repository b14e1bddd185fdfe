"""A shell in this process, and real kernels in processes of their own."""

from __future__ import annotations

import atexit
import json
import queue
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ipykernel", reason="the Jupyter part needs ipykernel: install the extra 'lab'")

from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from traitlets.config import Config

import tensorlab.jupyter

KERNELSPEC = Path(tensorlab.jupyter.__file__).parent / "kernelspec"
PATIENCE = 100.0  # seconds for one answer of a kernel, on a machine that is busy with other tests


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A fresh IPython shell, as `display` finds it, that keeps no history on disk."""
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(config=Config(HistoryManager={"hist_file": ":memory:"}))
    yield made
    InteractiveShell.clear_instance()
    made.restore_sys_module_state()  # a shell puts its own __main__ there
    atexit.unregister(made.atexit_operations)
    made.atexit_operations()


@dataclass
class Reply:
    """What one cell produced."""

    status: str
    content: dict[str, Any]
    outputs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All outputs as a reader of plain text sees them."""
        parts = []
        for output in self.outputs:
            data = output.get("data", {})
            parts.append(output.get("text") or data.get("text/plain") or output.get("evalue", ""))
        return "\n".join(parts)

    @property
    def traceback(self) -> str:
        return "\n".join(line for output in self.outputs for line in output.get("traceback", []))


class Kernel:
    """A running kernel: run cells in it, ask it for completions."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self._prepared: list[str] = []
        self._connect()

    def _connect(self) -> None:
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def prepare(self, code: str) -> None:
        """Run what the tests of a module build upon."""
        reply = self.run(code)
        assert reply.status == "ok", reply.traceback
        self._prepared.append(code)

    def begin_anew(self) -> None:
        """A new process, in which nothing has run but what prepares the tests."""
        self.client.stop_channels()
        self.manager.restart_kernel(now=True)
        self._connect()
        for code in self._prepared:
            self.run(code)

    def run(self, code: str) -> Reply:
        sent = self.client.execute(code)
        outputs = []
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.0, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                break
            if kind in ("stream", "display_data", "execute_result", "error"):
                outputs.append(content)
        content = self._answer(sent)
        return Reply(content["status"], content, outputs)

    def complete(self, code: str, cursor: int | None = None) -> dict[str, Any]:
        return self._answer(self.client.complete(code, cursor))

    def info(self) -> dict[str, Any]:
        return self._answer(self.client.kernel_info())

    def _answer(self, sent: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                message = self.client.get_shell_msg(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError("the kernel gave no answer") from None
            if message["parent_header"].get("msg_id") == sent:
                return message["content"]

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def start_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Kernel]]:
    """A function that starts a kernel by its name: `python3`, or `tensorlab` from its kernelspec."""
    folder = tmp_path_factory.mktemp("jupyter")
    shutil.copytree(KERNELSPEC, folder / "kernels" / "tensorlab")
    assert json.loads((folder / "kernels" / "tensorlab" / "kernel.json").read_text())["argv"]
    specs = KernelSpecManager()
    specs.kernel_dirs = [str(folder / "kernels"), *specs.kernel_dirs]
    running: list[Kernel] = []

    def start(name: str = "python3", cwd: Path | None = None) -> Kernel:
        manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
        manager.start_kernel(cwd=str(cwd or folder))
        running.append(Kernel(manager))
        return running[-1]

    yield start
    for kernel in running:
        kernel.stop()


@pytest.fixture(scope="module")
def kernel(start_kernel: Callable[..., Kernel]) -> Kernel:
    """A stock kernel with the extension loaded, shared by the tests of a module."""
    made = start_kernel("python3")
    made.prepare("%load_ext tensorlab")
    return made
