"""Worker processes of a DataLoader that belong to a real kernel."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ipykernel", reason="the Jupyter part needs ipykernel: install the extra 'lab'")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="workers have what cells define only where they are forked"
)

PATIENCE = 100.0
CELLS = """
import multiprocessing, os, time
from dataclasses import dataclass
from typing import NamedTuple
import tensorlab as tl
from tensorlab.utils.data import DataLoader, Dataset

class Sample(NamedTuple):
    x: tl.Tensor
    y: int

class Squares(Dataset):
    def __init__(self, slow=None):
        self.slow = slow
    def __len__(self):
        return 12
    def __getitem__(self, i):
        if i == self.slow:
            time.sleep(1000)
        return Sample(tl.full((200, 100), float(i)), i * i)

def first_number(samples):
    return tl.utils.data.default_collate(samples).y.tolist()

def workers():
    return [p.pid for p in multiprocessing.active_children()]
"""


def ended(pid: int) -> bool:
    """Whether the process has ended, reaped by its parent or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith(("Z", "X"))
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while alive := [pid for pid in pids if not ended(pid)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def prepared(start_kernel):
    kernel = start_kernel("python3")
    kernel.prepare(CELLS)
    return kernel


def test_what_cells_define_works_in_workers(prepared) -> None:
    reply = prepared.run("print([b.y.tolist() for b in DataLoader(Squares(), 6, num_workers=2)])")
    assert reply.text.strip() == "[[0, 1, 4, 9, 16, 25], [36, 49, 64, 81, 100, 121]]"
    reply = prepared.run(
        "print(list(DataLoader(Squares(), 6, num_workers=2, collate_fn=first_number)), workers())"
    )
    assert reply.text.strip() == "[[0, 1, 4, 9, 16, 25], [36, 49, 64, 81, 100, 121]] []"


def test_prints_of_workers_are_shown_once(prepared) -> None:
    code = "for _ in DataLoader([5, 6], num_workers=2, worker_init_fn=lambda i: print('worker', i)): pass"
    reply = prepared.run(code)
    assert reply.status == "ok"
    shown = "".join(output.get("text", "") for output in reply.outputs)
    assert shown.count("worker") == 2
    assert shown.count("0") == shown.count("1") == 1
    assert prepared.run("1 + 1").text == "2"


def test_errors_name_the_cell(prepared) -> None:
    reply = prepared.run(
        "next(iter(DataLoader(Squares(), collate_fn=lambda b: b[9], num_workers=1)))"
    )
    assert reply.content["ename"] == "IndexError"
    assert "in DataLoader worker process 0" in reply.content["evalue"]
    assert prepared.run("workers()").text == "[]"  # although the notebook keeps the traceback


def test_stop_ends_the_loop_and_the_workers(prepared) -> None:
    prepared.run("loader = DataLoader(Squares(slow=3), 1, num_workers=2, persistent_workers=True)")
    code = "for i, batch in enumerate(loader): print(i)"
    # Otherwise the kernel refuses what comes soon after the error.
    sent = prepared.client.execute(code, stop_on_error=False)
    shown = ""
    while "2" not in shown:
        message = prepared.client.get_iopub_msg(timeout=PATIENCE)
        if message["msg_type"] == "stream":
            shown += message["content"]["text"]
    prepared.manager.interrupt_kernel()
    while True:
        answer = prepared.client.get_shell_msg(timeout=PATIENCE)
        if answer["parent_header"].get("msg_id") == sent:
            break
    assert answer["content"]["ename"] == "KeyboardInterrupt"
    assert prepared.run("workers()").text == "[]"
    # The same loader starts anew.
    reply = prepared.run("iterator = iter(loader)\nprint(next(iterator).y.item(), len(workers()))")
    assert reply.text.strip() == "0 2"
    # Nobody waits for what the workers are busy with once they are told to end by force.
    prepared.run("for process in multiprocessing.active_children(): process.kill()")
    assert prepared.run("del iterator, loader\nworkers()").text == "[]"


def test_other_start_methods_say_what_to_do(prepared) -> None:
    reply = prepared.run(
        "list(DataLoader(Squares(), num_workers=1, multiprocessing_context='spawn'))"
    )
    assert reply.content["ename"] == "AttributeError"
    assert "move it into a .py file beside the notebook" in reply.content["evalue"]
    reply = prepared.run(
        "list(DataLoader(Squares(), num_workers=1, collate_fn=lambda b: b, "
        "multiprocessing_context='spawn'))"
    )
    assert "or use num_workers=0" in reply.content["evalue"]
    assert prepared.run("workers()").text == "[]"


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_no_worker_outlives_its_kernel(start_kernel, how) -> None:
    kernel = start_kernel("python3")
    assert kernel.run(CELLS).status == "ok"
    # Four workers: two that wait for work, and two that are busy for long with it.
    reply = kernel.run(
        "a = iter(DataLoader(Squares(slow=9), 1, num_workers=2, persistent_workers=True))"
    )
    assert reply.status == "ok", reply.text
    reply = kernel.run("b = iter(DataLoader(Squares(slow=3), 2, num_workers=2))")
    assert reply.status == "ok", reply.text
    pids = [int(pid) for pid in kernel.run("next(a), next(b); print(*workers())").text.split()]
    assert len(pids) == 4
    assert not any(map(ended, pids))
    if how == "restart":
        kernel.manager.restart_kernel(now=True)
    else:
        kernel_pid = int(kernel.run("print(os.getpid())").text)
        os.kill(kernel_pid, signal.SIGKILL)
    wait_for_end(pids)
