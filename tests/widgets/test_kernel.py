"""The bar in a real Jupyter kernel: messages, interrupts, and nothing left behind."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ipykernel = pytest.importorskip("ipykernel", reason="ipykernel is not installed")
pytest.importorskip("anywidget", reason="anywidget is not installed")
from jupyter_client.manager import KernelManager  # noqa: E402

ROOT = Path(__file__).parents[2]
VIEW = "application/vnd.jupyter.widget-view+json"
TIMEOUT = 30

SETUP = """
import signal, time
from tensorlab_widgets import progress

class Model:
    "Two halves that must agree whenever someone looks."
    first = second = 0
    history = []

    def step(self):
        self.first += 1
        time.sleep(0.01)
        self.second += 1
        self.history.append(self.second)

model = Model()
"""
TRAIN = """
bar = progress(range(model.second, {end}), label="steps")
for i in bar:
    model.step()
    bar.set(loss=1 / (i + 1))
print("after", bar.stopped, model.first == model.second == bar.n + {begin}, len(model.history) == model.second)
"""


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
    """A kernel with the blocking client, and the moment at which to disturb it."""

    alive = True

    def __init__(self, live: str = "1") -> None:
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


@pytest.fixture(scope="module")
def kernels() -> Iterator[dict[str, Kernel]]:
    started: dict[str, Kernel] = {}
    yield started
    for kernel in started.values():
        if kernel.alive:
            kernel.close()


@pytest.fixture(params=["1", "0"], ids=["live", "not live"])
def kernel(request: pytest.FixtureRequest, kernels: dict[str, Kernel]) -> Kernel:
    return _ready(kernels, request.param)


@pytest.fixture
def live(kernels: dict[str, Kernel]) -> Kernel:
    return _ready(kernels, "1")


@pytest.fixture
def quiet(kernels: dict[str, Kernel]) -> Kernel:
    return _ready(kernels, "0")


def _ready(kernels: dict[str, Kernel], mode: str) -> Kernel:
    if mode not in kernels or not kernels[mode].alive:
        kernels[mode] = Kernel(mode)
    assert kernels[mode].run(SETUP).reply["content"]["status"] == "ok"
    return kernels[mode]


def interrupt_after(kernel: Kernel, *delays: float) -> Callable[[dict], None]:
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


LEFT_BEHIND = """
import comm, ipywidgets, gc
from ipywidgets.widgets.widget import _instances
from tensorlab_widgets._stop import guard
print(len(comm.get_comm_manager().comms), len(_instances), len(guard._running),
      signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def nothing_left_behind(kernel: Kernel) -> None:
    assert kernel.run(LEFT_BEHIND).stdout == "0 0 0 True\n"


def test_final_form_replaces_the_widget(live: Kernel) -> None:
    ran = live.run(TRAIN.format(end=20, begin=0))
    first = ran.of("display_data")[0]["data"]
    assert VIEW in first
    assert first["text/plain"] == "steps: 0/20, running"
    assert ran.final().keys() == {"text/html", "text/plain"}
    assert ran.final()["text/plain"] == "✓ steps: 20/20 · loss 0.05000"
    assert "steps/s" in ran.final()["text/html"]
    kinds = [m["msg_type"] for m in ran.messages]
    assert kinds.index("update_display_data") < kinds.index("comm_close"), (
        "the browser must never show a widget without its model"
    )
    assert kinds.count("comm_open") == kinds.count("comm_close")
    nothing_left_behind(live)


def test_updates_are_few_however_fast_the_loop(live: Kernel) -> None:
    ran = live.run(
        "begin = time.monotonic()\n"
        "bar = progress(iter(lambda: time.monotonic() - begin < 2, False))\n"
        "for _ in bar: bar.set(loss=1.0)\n"
        "print(bar.n)"
    )
    updates = [c for c in ran.of("comm_msg") if "state" in c["data"].get("state", {})]
    assert int(ran.stdout) > 1000
    assert 5 <= len(updates) <= 2 * 10


def test_not_live_shows_one_plain_output_without_times(quiet: Kernel) -> None:
    runs = [quiet.run(SETUP + TRAIN.format(end=20, begin=0)) for _ in range(2)]
    for ran in runs:
        assert not ran.of("comm_open")
        assert not ran.of("update_display_data"), "nbval knows no updates"
        assert "display_id" not in ran.of("display_data")[0].get("transient", {})
    assert runs[0].final() == runs[1].final()
    assert runs[0].final()["text/plain"] == "✓ steps: 20/20 · loss 0.05000"


def test_interrupt_leaves_model_and_history_whole_and_training_resumes(kernel: Kernel) -> None:
    ran = kernel.run(TRAIN.format(end=5000, begin=0), interrupt_after(kernel, 0.5))
    assert ran.reply["content"]["status"] == "ok", "the cell goes on after the loop"
    assert ran.stdout == "after True True True\n"
    assert ran.final()["text/plain"].startswith("■ steps: stopped after ")
    nothing_left_behind(kernel)

    done = int(kernel.run("print(model.second)").stdout)
    assert 0 < done < 5000
    again = kernel.run(TRAIN.format(end=done + 10, begin=done))
    assert again.stdout == "after False True True\n"
    assert kernel.run("print(model.history == list(range(1, model.second + 1)))").stdout == "True\n"


def test_second_interrupt_raises(kernel: Kernel) -> None:
    code = "bar = progress(range(3), label='hanging')\nfor _ in bar: time.sleep(20)"
    begin = time.monotonic()
    ran = kernel.run(code, interrupt_after(kernel, 0.5, 0.5))
    assert time.monotonic() - begin < 15
    assert ran.reply["content"]["ename"] == "KeyboardInterrupt"
    assert ran.final()["text/plain"] == "✗ hanging: interrupted in step 1 of 3"
    nothing_left_behind(kernel)


def test_an_exception_in_the_loop_ends_the_bar(kernel: Kernel) -> None:
    ran = kernel.run("for i in progress(range(9), label='steps'):\n    if i == 4: 1 / 0")
    assert ran.reply["content"]["ename"] == "ZeroDivisionError"
    assert ran.final()["text/plain"] == "– steps: ended after 4 of 9"
    nothing_left_behind(kernel)


def test_nested_bars_in_one_output(kernel: Kernel) -> None:
    ran = kernel.run(
        "for epoch in (epochs := progress(range(2), label='epochs')):\n"
        "    for batch in (batches := progress(range(3), label='batches')):\n"
        "        batches.set(loss=epoch + batch)\n"
        "    epochs.set(accuracy=0.5)"
    )
    assert ran.final()["text/plain"] == (
        "✓ epochs: 2/2 · accuracy 0.5000\n    batches: 3/3 · loss 3"
    )
    nothing_left_behind(kernel)


def test_an_unfinished_loop_does_not_swallow_the_next_one(kernel: Kernel) -> None:
    kernel.run("peek = iter(progress(range(5), label='peek')); next(peek)")
    ran = kernel.run(TRAIN.format(end=5000, begin=0), interrupt_after(kernel, 0.5))
    assert ran.stdout == "after True True True\n"
    assert ran.final()["text/plain"].startswith("■ steps: stopped after ")
    kernel.run("peek.close()")
    nothing_left_behind(kernel)


def _widget_stop(kernel: Kernel) -> Callable[[dict], None]:
    """Press the bar's own button: the message that the browser sends to the widget's comm."""
    state: dict[str, Any] = {}

    def meanwhile(message: dict) -> None:
        content = message["content"]
        if message["msg_type"] == "display_data":
            state["model"] = content["data"].get(VIEW, {}).get("model_id")
        n = (
            content.get("data", {})
            .get("state", {})
            .get("state", {})
            .get("rows", [{}])[0]
            .get("n", 0)
        )
        if n > 2 and not state.get("sent"):
            state["sent"] = True
            data = {"method": "custom", "content": {"type": "stop"}}
            content = {"comm_id": state["model"], "data": data}
            kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", content))

    return meanwhile


@pytest.mark.skipif(
    ipykernel.version_info[:2] < (7, 4),
    reason="older kernels read a widget's messages during a cell only from a subshell",
)
def test_stop_button_by_message_in_an_asynchronous_cell(live: Kernel) -> None:
    ran = live.run(
        "bar = progress(range(100_000), label='steps')\n"
        "async for i in bar:\n"
        "    model.step()\n"
        "print('after', bar.stopped, model.first == model.second == bar.n)",
        _widget_stop(live),
    )
    assert ran.stdout == "after True True\n"
    answers = [c for c in ran.of("comm_msg") if c["data"].get("method") == "custom"]
    assert [c["data"]["content"] for c in answers] == [{"type": "stopping"}]
    nothing_left_behind(live)


def test_stop_button_by_message_in_a_background_thread(live: Kernel) -> None:
    live.run(
        "import threading\n"
        "bar = progress(range(100_000), label='background')\n"
        "def train():\n"
        "    for i in bar: model.step()\n"
        "thread = threading.Thread(target=train); thread.start(); time.sleep(0.3)",
        _widget_stop(live),
    )
    ran = live.run("thread.join(10); print(thread.is_alive(), bar.stopped, bar.n == model.second)")
    if "False" not in ran.stdout.split()[0]:  # the update with n > 2 came after the cell
        live.run("bar.stop(); thread.join(10)")
        raise AssertionError(ran.stdout)
    assert ran.stdout == "False True True\n"
    nothing_left_behind(live)


def test_interrupt_of_an_asynchronous_cell(kernel: Kernel) -> None:
    ran = kernel.run(
        "bar = progress(range(100_000), label='steps')\n"
        "async for i in bar:\n"
        "    model.step()\n"
        "print('after', bar.stopped, model.first == model.second == bar.n)",
        interrupt_after(kernel, 0.5),
    )
    assert ran.stdout == "after True True\n"
    nothing_left_behind(kernel)
