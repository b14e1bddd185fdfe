"""`replay`: what it sends of a traced launch, what it says, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import inspect
from tensorlab.cuda import jit
from tensorlab.cuda.jit import grid, shared, syncthreads, threadIdx
from tensorlab_widgets import replay


@jit.kernel
def reverse(x, out):
    held = shared.array((2, 20), tl.float32)
    t = threadIdx.x
    i = grid(1)
    if i < len(x):
        held[t // 20, t % 20] = x[i]
    syncthreads()
    if i < len(x):
        out[i] = held[(39 - t) // 20, (39 - t) % 20]


def traced(block: int | bool = True, **options) -> jit.Watch:
    with jit.watch(trace=block, **options) as launches:
        reverse[2, 40](np.arange(80, dtype=np.float32), np.zeros(80, np.float32))
    return launches


def elements(touch) -> list[int]:
    """As the browser unpacks them: widgets/src/replay/data.ts."""
    _, _, lanes, first, _, _, rest = touch
    count = bin(lanes).count("1")
    return [first + (rest * i if isinstance(rest, int) else rest[i]) for i in range(count)]


def test_steps_say_what_each_warp_touched() -> None:
    state = replay(traced(1))._state()
    assert json.loads(json.dumps(state)) == state
    assert (state["threads"], state["warps"], state["complete"]) == (40, 2, True)
    names = [array["name"] for array in state["arrays"]]
    lines = {text.strip(): state["first"] + i for i, text in enumerate(state["source"])}
    read, stored = [], []
    for line, warp, active, what, touches in state["steps"]:
        if warp < 0:
            assert (line, what) == (lines["syncthreads()"], "barrier opens")
            continue
        assert active == (0xFFFFFFFF if warp == 0 else 0xFF)
        for touch in touches:
            assert touch[4] >= touch[5] > 0
            if names[touch[0]] == "x":
                assert line == lines["held[t // 20, t % 20] = x[i]"]
                read += elements(touch)
            if names[touch[0]] == "held" and touch[1] == 0:
                stored += elements(touch)
    assert sorted(read) == list(range(40, 80))
    assert sorted(stored) == list(range(40))
    assert sum(step[1] < 0 for step in state["steps"]) == 1


def test_uneven_elements_are_sent_one_by_one() -> None:
    @jit.kernel
    def squares(x):
        x[threadIdx.x * threadIdx.x] = 1.0

    with jit.watch(trace=True) as launches:
        squares[1, 8](np.zeros(64, np.float32))
    (touch,) = [t for step in replay(launches)._state()["steps"] for t in step[4]]
    assert touch[6] == [0, 1, 4, 9, 16, 25, 36, 49]
    assert elements(touch) == [i * i for i in range(8)]


def test_words_and_picture() -> None:
    launches = traced()
    shown = replay(launches)
    assert repr(shown) == "<replay of block 0 of reverse>"
    text = shown._text()
    assert text.splitlines()[:2] == [
        "replay of block 0 of reverse: 15 steps of 2 warps",
        "reverse[2, 40]: 80 threads",
    ]
    assert str(launches[0]) in text
    assert "and there were more" in replay(traced(steps=5))._text()


def test_figures(tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    launches = traced()
    figure: Any = inspect.plot_kernel(launches[0])
    assert len(figure.axes) == 2
    assert "15 steps traced. 20 sectors of global memory, 20 of them needed." in figure.alt_text
    for ending in (".png", ".svg", ".html"):
        assert replay(launches).save(tmp_path / f"replay{ending}").stat().st_size > 5000
    reverse[2, 40](np.zeros(80, np.float32), np.zeros(80, np.float32))
    assert len(inspect.plot_kernel(reverse.report).axes) == 1
    with pytest.raises(TypeError, match="report of a kernel's launch"):
        inspect.plot_kernel(launches)  # pyright: ignore[reportArgumentType]


def test_findings_stand_at_their_lines() -> None:
    @jit.kernel
    def beyond(x):
        x[threadIdx.x] = 1.0

    with jit.watch(trace=True) as launches:
        beyond[1, 8](np.zeros(4, np.float32))
    state = replay(launches)._state()
    ((line, mark, words),) = state["notes"]
    assert (line, mark) == (beyond.source.first + 2, "✗")
    assert words.startswith("out-of-bounds, thread 4 of block 0")
    (touch,) = [t for step in state["steps"] for t in step[4]]
    assert elements(touch) == [0, 1, 2, 3]


def test_what_it_refuses() -> None:
    with jit.watch() as launches:
        pass
    with pytest.raises(ValueError, match="no kernel was launched"):
        replay(launches)
    with jit.watch() as launches:
        reverse[2, 40](np.zeros(80, np.float32), np.zeros(80, np.float32))
    with pytest.raises(ValueError, match=r"jit.watch\(trace=True\)"):
        replay(launches)
    with pytest.raises(TypeError, match="got list"):
        replay([])  # pyright: ignore[reportArgumentType]
    with pytest.raises(IndexError, match="has 2 blocks"):
        traced(7)
