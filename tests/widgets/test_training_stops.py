"""Stop in the middle of a real training: lesson 06's own loop, in a real kernel.

The kernel's interrupt leaves model, optimizer and history usable, and training goes on from there,
or from the last whole epoch, where it then ends exactly as a run that nobody disturbed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tensorlab.learn.references import sliced_source

pytest.importorskip("ipykernel", reason="ipykernel is not installed")
LESSON = Path(__file__).parents[2] / "course" / "06_data_and_training" / "lesson.ipynb"
NAMES = ["fit", "start", "train_data", "snapshot", "restore", "same", "np"]


@pytest.fixture(params=["1", "0"], ids=["live", "not live"])
def kernel(request: pytest.FixtureRequest, kernels: Any) -> Any:
    kernel = kernels.get(request.param)
    ran = kernel.run(sliced_source(LESSON, NAMES))
    assert ran.reply["content"]["status"] == "ok", ran.reply["content"]
    return kernel


def test_an_interrupted_training_is_whole_and_goes_on(kernel: Any, interrupt_when: Any) -> None:
    ran = kernel.run(
        "import sys\n"
        "def after_epoch():\n"
        "    saved.append(snapshot(model, optimizer, history))\n"
        "    if len(saved) == 3: print('training', file=sys.stderr)\n"
        "model, optimizer = start(seed=0)\n"
        "history, saved = [], [snapshot(model, optimizer, [])]\n"
        "bar = fit(model, optimizer, train_data, 10_000, history,\n"
        "          after_epoch=after_epoch)\n"
        "print('after the loop', bar.stopped, len(history) == bar.n == len(saved) - 1)",
        interrupt_when(kernel, "training"),
    )
    assert ran.reply["content"]["status"] == "ok"
    assert ran.stdout == "after the loop True True\n"
    final = ran.final()["text/plain"]
    assert final.startswith("■ epochs: stopped after ")
    assert "steps: stopped after " in final or "steps: 46/46" in final

    whole = kernel.run(
        "print(all(bool(np.isfinite(p.detach().numpy()).all()) for p in model.parameters()),\n"
        "      len(optimizer.state_dict()['state']) == len(list(model.parameters())))"
    )
    assert whole.stdout == "True True\n"

    goes_on = kernel.run(
        "done = len(history)\n"
        "bar = fit(model, optimizer, train_data, done + 2, history, show=False)\n"
        "print(bar.stopped, len(history) - done)"
    )
    assert goes_on.stdout == "False 2\n"

    goes_back = kernel.run(
        "again, its_optimizer = start(seed=99)\n"
        "restore(saved[-1], again, its_optimizer, history)\n"
        "fit(again, its_optimizer, train_data, done + 1, history, show=False)\n"
        "undisturbed, its_optimizer = start(seed=0)\n"
        "fit(undisturbed, its_optimizer, train_data, done + 1, [], show=False)\n"
        "print(len(history) == done + 1, same(again, undisturbed))"
    )
    assert goes_back.stdout == "True True\n"
