"""Stop, pressed while a check runs: the check ends, the kernel and the notebook live on."""

from __future__ import annotations

import pytest

pytest.importorskip("ipykernel", reason="the Jupyter part needs ipykernel: install the extra 'lab'")

# The learner's code itself sends what the Stop button sends, so it comes in the middle of the check.
ENDLESS = """
import _thread

def transpose(x, dim0, dim1):
    _thread.interrupt_main()
    while True:
        pass
"""


def test_stop_during_a_check(kernel) -> None:
    kernel.run(ENDLESS)
    reply = kernel.run("class View: pass\nview_of = None\n%tensorlab check 01.1")
    assert reply.status == "error"  # so that Run All stops as well
    assert reply.traceback == ""
    assert reply.text.strip() == ("UsageError: the check of 01.1 was stopped; nothing changed")
    assert kernel.run("1 + 1").text == "2"
    assert kernel.run("transpose.__name__").text == "'transpose'"
