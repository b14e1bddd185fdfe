"""`fit` and `dashboard` in real kernels of ipykernel 6, 7.3 and 7.4, stopped, paused and steered.

The three differ in what they hear while a cell runs. Interrupts reach the main thread in all of them.
A widget's messages are handled at once in a subshell's thread (7.3), between the steps of an
asynchronous cell (7.4), or when the cell has ended (6); while a background thread trains and no cell
runs, in all. The state of a training must be whole after each of them, and nothing may be left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

VIEW = "application/vnd.jupyter.widget-view+json"
VERSIONS = ("6.31.0", "7.3.0", "7.4.0")

SETUP = """
import signal, sys, threading, time
import numpy as np
import tensorlab as tl
from tensorlab import nn
from tensorlab.nn.functional import cross_entropy
from tensorlab_widgets import dashboard, fit
from tensorlab_widgets._stop import guard

tl.manual_seed(0)
batches = [(tl.randn(8, 4), tl.randint(0, 2, (8,))) for _ in range(5)]

def start():
    global calls
    calls = 0
    tl.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    return model, tl.optim.Adam(model.parameters(), lr=0.01)

def slow(output, target):
    global calls
    calls += 1
    if calls == 8:
        print("training", file=sys.stderr)
    time.sleep(0.005)
    return 0.0

def hanging(output, target):
    print("hanging", file=sys.stderr)
    while not guard._asked:
        time.sleep(0.01)
    print("interrupted", file=sys.stderr)
    time.sleep(1000)

def step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss

def after(steps):
    "The weights after so many steps that nobody disturbed."
    model, optimizer = start()
    for i in range(steps):
        step(model, optimizer, *batches[i % 5])
    return [p.detach().numpy() for p in model.parameters()]

def whole(model, steps):
    "Whether a model is exactly what it would be after so many undisturbed steps."
    return all(np.array_equal(p.detach().numpy(), w) for p, w in zip(model.parameters(), after(steps)))
"""
LEFT_BEHIND = """
import comm
from ipywidgets.widgets.widget import _instances
from tensorlab import _apply, _graph
from tensorlab.nn.modules import _hooks
from tensorlab.optim import optimizer as _optimizer
print({name: found for name, found in {
    "comms": len(comm.get_comm_manager().comms), "widgets": len(_instances),
    "watched": len(guard._running), "observers": len(_apply.observers) + len(_graph.on_record),
    "optimizer hooks": len(_optimizer._global_pre_hooks) + len(_optimizer._global_post_hooks),
    "module hooks": len(_hooks.global_forward_pre_hooks) + len(_hooks.global_forward_hooks),
    "threads": sum(each.name == "tensorlab-fit" for each in threading.enumerate()),
    "handler": signal.getsignal(signal.SIGINT) is not signal.default_int_handler,
    "gradients off": not tl.is_grad_enabled(),
}.items() if found})
"""
FIT = "run = fit(model, batches, cross_entropy, optimizer, epochs={epochs}, metrics=[slow]{more})"
REPORT = "\nprint(run.stopped, 0 < run.n < {total}, whole(model, run.n))"


@pytest.fixture(params=VERSIONS)
def kernel(request: pytest.FixtureRequest, kernels: Any) -> Any:
    found = kernels.get("1", request.param)
    ran = found.run(SETUP + "\nimport ipykernel; print(ipykernel.__version__)")
    assert ran.stdout == f"{request.param}\n", ran.reply["content"]
    found.version = request.param
    return found


def nothing_left_behind(kernel: Any) -> None:
    assert kernel.run(LEFT_BEHIND).stdout == "{}\n"


def training(epochs: int, *, more: str = "", begin: str = "") -> str:
    return "model, optimizer = start()\n" + begin + FIT.format(epochs=epochs, more=more)


class Presses:
    """Presses the buttons of a training's widget: each when the widget shows what it waits for."""

    def __init__(self, kernel: Any, *presses: tuple[Callable[[dict], bool], str, dict]) -> None:
        self._kernel, self._left = kernel, list(presses)
        self.states: list[dict] = []
        self.model = ""
        self.answers: list[Any] = []
        self._number = 0

    def __call__(self, message: dict) -> bool:
        content = message["content"]
        if message["msg_type"] == "display_data":
            self.model = content["data"].get(VIEW, {}).get("model_id", self.model)
        data = content.get("data", {})
        if message["msg_type"] == "comm_msg" and content["comm_id"] == self.model:
            if data.get("method") == "custom":
                self.answers.append(data["content"].get("result", data["content"]))
            elif "state" in data.get("state", {}):
                self.states.append(data["state"]["state"])
                self._press()
        return message["msg_type"] == "comm_close" and content["comm_id"] == self.model

    def _press(self) -> None:
        if self._left and self._left[0][0](self.states[-1]):
            _, method, args = self._left.pop(0)
            self._number += 1
            call = {"type": "call", "id": self._number, "method": method, "args": args}
            self._kernel.send(self.model, call)


def pause_steer_stop(kernel: Any) -> Presses:
    return Presses(
        kernel,
        (lambda state: state["n"] >= 3, "rate", {"value": 0.5, "group": None}),
        (lambda state: state["lr"] == [0.5], "pause", {}),
        (lambda state: state["paused"], "rate", {"value": 0.25, "group": None}),
        (lambda state: state["paused"] and state["lr"] == [0.25], "resume", {}),
        (lambda state: not state["paused"], "stop", {}),
    )


def assert_steered(presses: Presses) -> None:
    assert presses.answers == [{"running": True}] * 5
    assert not any(state["refused"] for state in presses.states)
    paused = {state["n"] for state in presses.states if state["paused"]}
    assert len(paused) == 1, f"it went on during the pause: {paused}"
    assert presses.states[-1]["lr"] == [0.25]


# The kernel's interrupt --------------------------------------------------------------------


def test_an_interrupt_stops_between_two_steps_and_all_of_it_can_be_resumed(
    kernel: Any, interrupt_when: Any
) -> None:
    ran = kernel.run(
        training(10_000) + REPORT.format(total=50_000), interrupt_when(kernel, "training")
    )
    assert ran.reply["content"]["status"] == "ok", "the cell goes on after fit"
    assert ran.stdout == "True True True\n"
    assert ran.final()["text/plain"].startswith("■ training: stopped after ")
    nothing_left_behind(kernel)
    ran = kernel.run(
        "begun = run.n; run.resume(epochs=len(run.history) + 2)\n"
        "print(run.stopped, run.n == 5 * len(run.history), run.n > begun, whole(model, run.n))"
    )
    assert ran.stdout == "False True True True\n"
    nothing_left_behind(kernel)


def test_a_second_interrupt_raises_and_the_epoch_can_begin_anew(
    kernel: Any, interrupt_when: Any
) -> None:
    ran = kernel.run(
        training(3, begin="slow = hanging\n"), interrupt_when(kernel, "hanging", "interrupted")
    )
    assert ran.reply["content"]["ename"] == "KeyboardInterrupt"
    assert ran.final()["text/plain"].startswith("✗ training: interrupted in step 1 of 15")
    nothing_left_behind(kernel)


def test_an_interrupt_stops_an_awaited_training(kernel: Any, interrupt_when: Any) -> None:
    code = training(10_000, more=", mode='async'").replace("run = fit", "run = await fit")
    ran = kernel.run(code + REPORT.format(total=50_000), interrupt_when(kernel, "training"))
    assert ran.reply["content"]["status"] == "ok"
    assert ran.stdout == "True True True\n"
    nothing_left_behind(kernel)
    again = kernel.run(
        "run = await run.resume(epochs=len(run.history) + 2, mode='async')\n"
        "print(run.stopped, run.n == 5 * len(run.history), whole(model, run.n))"
    )
    assert again.stdout == "False True True\n"
    nothing_left_behind(kernel)


def test_a_second_interrupt_breaks_off_an_awaited_training(
    kernel: Any, interrupt_when: Any
) -> None:
    code = training(3, more=", mode='async'", begin="slow = hanging\n")
    code = code.replace("run = fit", "run = await fit")
    ran = kernel.run(code, interrupt_when(kernel, "hanging", "interrupted"))
    assert ran.reply["content"]["ename"] == "CancelledError"
    assert ran.final()["text/plain"].startswith("✗ training: interrupted in step 1 of 15")
    nothing_left_behind(kernel)


@pytest.mark.parametrize("loop", ["for", "async for"])
def test_an_interrupt_stops_a_loop_of_ones_own(loop: str, kernel: Any, interrupt_when: Any) -> None:
    ran = kernel.run(
        "model, optimizer = start()\n"
        "board, steps = dashboard(optimizer, model=model), 0\n"
        "for epoch in board.epochs(2000):\n"
        f"    {loop} x, y in board.steps(batches):\n"
        "        board.log(loss=step(model, optimizer, x, y)); steps += 1; slow(x, y)\n"
        "print(board.stopped, board.n == steps, 0 < steps < 10_000, whole(model, steps))",
        interrupt_when(kernel, "training"),
    )
    assert ran.reply["content"]["status"] == "ok", ran.reply["content"]
    assert ran.stdout == "True True True True\n"
    nothing_left_behind(kernel)


def test_an_error_in_a_step_leaves_nothing_behind(kernel: Any) -> None:
    broken = "def slow(output, target):\n    return 1 / 0\n"
    ran = kernel.run(training(3, begin=broken))
    assert ran.reply["content"]["ename"] == "ZeroDivisionError"
    nothing_left_behind(kernel)


# The widget's buttons ----------------------------------------------------------------------


def test_in_a_thread_every_button_is_heard_at_once(kernel: Any) -> None:
    presses = pause_steer_stop(kernel)
    ran = kernel.run(training(10_000, more=", mode='thread'") + "\nprint(run.running)", presses)
    assert ran.stdout == "True\n"
    kernel.listen(presses)
    assert_steered(presses)
    ran = kernel.run("run.wait(60); print(run.stopped, run.lr, 0 < run.n < 50_000)")
    assert ran.stdout == "True [0.25] True\n"
    nothing_left_behind(kernel)


def test_a_thread_trains_on_while_cells_run_and_are_interrupted(
    kernel: Any, interrupt_when: Any
) -> None:
    kernel.run(training(10_000, more=", mode='thread'"))
    ran = kernel.run(
        "n = run.n\n"
        "while run.n < n + 3: time.sleep(0.01)\n"
        "print('looping', file=sys.stderr)\n"
        "while True: time.sleep(0.01)",
        interrupt_when(kernel, "looping"),
    )
    assert ran.reply["content"]["ename"] == "KeyboardInterrupt"
    ran = kernel.run("print(run.running); run.stop(); run.wait(60); print(run.stopped)")
    assert ran.stdout == "True\nTrue\n"
    assert kernel.run("print(whole(model, run.n))").stdout == "True\n"
    nothing_left_behind(kernel)
    again = kernel.run(
        "run.resume(epochs=len(run.history) + 1, mode='sync'); print(whole(model, run.n))"
    )
    assert again.stdout == "True\n"
    nothing_left_behind(kernel)


@pytest.mark.parametrize("kernel", VERSIONS[1:], indirect=True)
def test_an_awaited_training_hears_every_button(kernel: Any) -> None:
    presses = pause_steer_stop(kernel)
    code = training(10_000, more=", mode='async'").replace("run = fit", "run = await fit")
    ran = kernel.run(code + "\nprint(run.stopped, run.lr, 0 < run.n < 50_000)", presses)
    assert ran.stdout == "True [0.25] True\n", ran.reply["content"]
    assert_steered(presses)
    nothing_left_behind(kernel)


@pytest.mark.parametrize("kernel", VERSIONS[1:], indirect=True)
def test_async_steps_of_ones_own_loop_hear_every_button(kernel: Any) -> None:
    presses = pause_steer_stop(kernel)
    ran = kernel.run(
        "model, optimizer = start()\n"
        "board, steps = dashboard(optimizer, model=model), 0\n"
        "async for x, y in board.steps(batches * 2000):\n"
        "    board.log(loss=step(model, optimizer, x, y)); steps += 1; slow(x, y)\n"
        "print(board.stopped, board.lr, board.n == steps)",
        presses,
    )
    assert ran.stdout == "True [0.25] True\n", ran.reply["content"]
    assert_steered(presses)
    nothing_left_behind(kernel)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_stop_that_a_busy_kernel_hears_too_late_does_no_harm(mode: str, kernel: Any) -> None:
    at_once = kernel.version in {"sync": ("7.3.0",), "async": ("7.3.0", "7.4.0")}[mode]
    presses = Presses(kernel, (lambda state: state["n"] >= 3, "stop", {}))
    # Where the stop is heard it ends any training; the other one has to come to its end.
    epochs = 10_000 if at_once else 60
    code = training(epochs, more=f", mode={mode!r}")
    if mode == "async":
        code = code.replace("run = fit", "run = await fit")
    ran = kernel.run(
        code + f"\nprint(run.stopped, run.n < {5 * epochs}, whole(model, run.n))", presses
    )
    assert ran.stdout == ("True True True\n" if at_once else "False False True\n")
    assert presses.answers == ([{"running": True}] if at_once else [])
    # What came too late was for a training that is over: the next one is not stopped by it.
    ran = kernel.run(training(2) + "\nprint(run.stopped, run.n)")
    assert ran.stdout == "False 10\n"
    nothing_left_behind(kernel)
