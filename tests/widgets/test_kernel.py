"""The bar in a real Jupyter kernel: messages, interrupts, and nothing left behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

ipykernel = pytest.importorskip("ipykernel", reason="ipykernel is not installed")
VIEW = "application/vnd.jupyter.widget-view+json"

SETUP = """
import signal, sys, time
from tensorlab_widgets import progress
from tensorlab_widgets._stop import guard

class Model:
    "Two halves that must agree whenever someone looks."
    first = second = 0
    history = []

    def step(self):
        self.first += 1
        if self.first == 30:
            print("training", file=sys.stderr)
        time.sleep(0.01)
        self.second += 1
        self.history.append(self.second)

def hang():
    print("hanging", file=sys.stderr)
    while not guard._asked:
        time.sleep(0.01)
    print("interrupted", file=sys.stderr)
    time.sleep(1000)

model = Model()
"""
TRAIN = """
bar = progress(range(model.second, {end}), label="steps")
for i in bar:
    model.step()
    bar.set(loss=1 / (i + 1))
print("after", bar.stopped, model.first == model.second == bar.n + {begin}, len(model.history) == model.second)
"""


@pytest.fixture(params=["1", "0"], ids=["live", "not live"])
def kernel(request: pytest.FixtureRequest, kernels: Any) -> Any:
    return _ready(kernels, request.param)


@pytest.fixture
def live(kernels: Any) -> Any:
    return _ready(kernels, "1")


@pytest.fixture
def quiet(kernels: Any) -> Any:
    return _ready(kernels, "0")


def _ready(kernels: Any, mode: str) -> Any:
    assert kernels.get(mode).run(SETUP).reply["content"]["status"] == "ok"
    return kernels.get(mode)


LEFT_BEHIND = """
import comm, ipywidgets, gc
from ipywidgets.widgets.widget import _instances
print(len(comm.get_comm_manager().comms), len(_instances), len(guard._running),
      signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def nothing_left_behind(kernel: Any) -> None:
    assert kernel.run(LEFT_BEHIND).stdout == "0 0 0 True\n"


def test_final_form_replaces_the_widget(live: Any) -> None:
    ran = live.run(TRAIN.format(end=20, begin=0))
    still, widget = (shown["data"] for shown in ran.of("display_data"))
    assert "still running" in still["text/html"]
    assert still["text/plain"] == "… steps: 0/20"
    assert widget.keys() == {VIEW, "text/plain"}
    assert widget["text/plain"] == "Run this cell to have it live."
    assert ran.final().keys() == {"text/html", "text/plain"}
    assert ran.final()["text/plain"] == "✓ steps: 20/20 · loss 0.05000"
    assert "steps/s" in ran.final()["text/html"]
    kinds = [m["msg_type"] for m in ran.messages]
    assert kinds.index("update_display_data") < kinds.index("comm_close"), (
        "the browser must never show a widget without its model"
    )
    assert kinds.count("comm_open") == kinds.count("comm_close")
    nothing_left_behind(live)


def test_updates_are_few_however_fast_the_loop(live: Any) -> None:
    ran = live.run(
        "begin = time.monotonic()\n"
        "bar = progress(iter(lambda: time.monotonic() - begin < 2, False))\n"
        "for _ in bar: bar.set(loss=1.0)\n"
        "print(bar.n, time.monotonic() - begin)"
    )
    updates = [c for c in ran.of("comm_msg") if "state" in c["data"].get("state", {})]
    steps, seconds = map(float, ran.stdout.split())
    assert steps > 100
    assert 2 <= len(updates) <= 10 * math.ceil(seconds)


def test_not_live_shows_one_plain_output_without_times(quiet: Any) -> None:
    runs = [quiet.run(SETUP + TRAIN.format(end=20, begin=0)) for _ in range(2)]
    for ran in runs:
        assert not ran.of("comm_open")
        assert not ran.of("update_display_data"), "nbval knows no updates"
        assert "display_id" not in ran.of("display_data")[0].get("transient", {})
    assert runs[0].final() == runs[1].final()
    assert runs[0].final()["text/plain"] == "✓ steps: 20/20 · loss 0.05000"


def test_interrupt_leaves_model_and_history_whole_and_training_resumes(
    kernel: Any, interrupt_when
) -> None:
    ran = kernel.run(TRAIN.format(end=100_000, begin=0), interrupt_when(kernel, "training"))
    assert ran.reply["content"]["status"] == "ok", "the cell goes on after the loop"
    assert ran.stdout == "after True True True\n"
    assert ran.final()["text/plain"].startswith("■ steps: stopped after ")
    nothing_left_behind(kernel)

    done = int(kernel.run("print(model.second)").stdout)
    assert 30 <= done < 100_000
    again = kernel.run(TRAIN.format(end=done + 10, begin=done))
    assert again.stdout == "after False True True\n"
    assert kernel.run("print(model.history == list(range(1, model.second + 1)))").stdout == "True\n"


@pytest.mark.parametrize("loop", ["for", "async for"])
def test_second_interrupt_raises(loop: str, kernel: Any, interrupt_when) -> None:
    code = f"bar = progress(range(3), label='hanging')\n{loop} _ in bar: hang()"
    ran = kernel.run(code, interrupt_when(kernel, "hanging", "interrupted"))
    raised = {"for": "KeyboardInterrupt", "async for": "CancelledError"}[loop]
    assert ran.reply["content"]["ename"] == raised
    assert ran.final()["text/plain"] == "✗ hanging: interrupted in step 1 of 3"
    nothing_left_behind(kernel)


def test_an_exception_in_the_loop_ends_the_bar(kernel: Any) -> None:
    ran = kernel.run("for i in progress(range(9), label='steps'):\n    if i == 4: 1 / 0")
    assert ran.reply["content"]["ename"] == "ZeroDivisionError"
    assert ran.final()["text/plain"] == "– steps: ended after 4 of 9"
    nothing_left_behind(kernel)


def test_nested_bars_in_one_output(kernel: Any) -> None:
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


def test_an_unfinished_loop_does_not_swallow_the_next_one(kernel: Any, interrupt_when) -> None:
    kernel.run("peek = iter(progress(range(5), label='peek')); next(peek)")
    ran = kernel.run(TRAIN.format(end=100_000, begin=0), interrupt_when(kernel, "training"))
    assert ran.stdout == "after True True True\n"
    assert ran.final()["text/plain"].startswith("■ steps: stopped after ")
    kernel.run("peek.close()")
    nothing_left_behind(kernel)


def _widget_stop(kernel: Any) -> Callable[[dict], None]:
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
            kernel.send(state["model"], {"type": "stop"})

    return meanwhile


@pytest.mark.skipif(
    ipykernel.version_info[:2] < (7, 4),
    reason="older kernels read a widget's messages during a cell only from a subshell",
)
def test_stop_button_by_message_in_an_asynchronous_cell(live: Any) -> None:
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


def test_stop_button_by_message_in_a_background_thread(live: Any) -> None:
    press, seen = _widget_stop(live), []

    def meanwhile(message: dict) -> bool:
        press(message)
        seen.append(message["msg_type"])
        return seen[-1] == "comm_close"

    live.run(
        "import threading\n"
        "bar = progress(range(100_000), label='background')\n"
        "def train():\n"
        "    for i in bar: model.step()\n"
        "thread = threading.Thread(target=train); thread.start()",
        meanwhile,
    )
    if "comm_close" not in seen:
        live.listen(meanwhile)
    ran = live.run("thread.join(60); print(thread.is_alive(), bar.stopped, bar.n == model.second)")
    assert ran.stdout == "False True True\n"
    nothing_left_behind(live)


def test_interrupt_of_an_asynchronous_cell(kernel: Any, interrupt_when) -> None:
    ran = kernel.run(
        "bar = progress(range(100_000), label='steps')\n"
        "async for i in bar:\n"
        "    model.step()\n"
        "print('after', bar.stopped, model.first == model.second == bar.n)",
        interrupt_when(kernel, "training"),
    )
    assert ran.stdout == "after True True\n"
    nothing_left_behind(kernel)
