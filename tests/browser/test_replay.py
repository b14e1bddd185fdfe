"""The replay of a GPU kernel in a real JupyterLab: from the magic, by keyboard, in the dark, saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

CELLS = [
    "%load_ext tensorlab\nimport tensorlab as tl",
    """\
%%tensorlab kernel --replay
from tensorlab.cuda import jit
from tensorlab.cuda.jit import grid, shared, syncthreads, threadIdx

@jit.kernel
def transpose(a, out):
    tile = shared.array((32, 32), tl.float32)
    x, y = grid(2)
    tile[threadIdx.y, threadIdx.x] = a[y, x]
    syncthreads()
    out[y, x] = tile[threadIdx.x, threadIdx.y]

transpose[1, (32, 32)](tl.ones(32, 32), tl.zeros(32, 32))""",
]


@pytest.fixture(scope="module")
def notebook(lab: Any) -> Iterator[Any]:
    with lab.notebook("replay", CELLS) as opened:
        opened.run_all()
        yield opened


def test_keys_walk_through_the_steps(notebook: Any) -> None:
    widget = notebook.show(1).locator(".tl-replay")
    words = widget.locator(".tl-replay-words")
    assert words.inner_text().startswith("Step 1 of ")
    # It has the theme's colours from the start: the picture is drawn before it is part of the page.
    drawn = widget.locator("svg rect")
    assert {drawn.nth(i).get_attribute("fill") for i in range(2)} == {"rgb(255, 255, 255)", "none"}
    widget.focus()
    widget.press("ArrowRight")
    words.get_by_text("Step 2 of ").wait_for()
    widget.press("End")
    words.get_by_text("line 11, store").wait_for()
    current = widget.locator("[aria-current=step]")
    assert current.count() == 1
    assert "out[y, x] = tile" in current.inner_text()
    assert "shared.array((32, 33)" in widget.locator(".tl-message").inner_text()
    slider = widget.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    words.get_by_text("Step 1 of ").wait_for()
    widget.locator(".tl-select").select_option("2")
    words.get_by_text("warp 2").wait_for()
    notebook.screenshot("replay")


def test_it_plays_and_stops(notebook: Any) -> None:
    widget = notebook.show(1).locator(".tl-replay")
    widget.locator(".tl-select").select_option("")
    widget.focus()
    widget.press("Home")
    widget.press("Space")
    widget.locator(".tl-replay-words").get_by_text("Step 3 of ").wait_for()
    widget.get_by_role("button", name="Pause").click()
    widget.get_by_role("button", name="Play").wait_for()


def test_the_dark_theme_and_a_page_of_its_own(notebook: Any) -> None:
    widget = notebook.show(1).locator(".tl-replay")
    notebook.theme("Dark")
    notebook.screenshot("replay-dark")
    ground = widget.locator("svg rect").first.get_attribute("fill")
    assert ground != "rgb(255, 255, 255)"
    notebook.theme("Light")
    file = notebook.download(
        lambda: widget.get_by_role("button", name="HTML").click(), "replay.html"
    )
    with notebook.other_page(file) as page:
        root = page.locator(".tl-replay")
        root.wait_for()
        root.focus()
        root.press("End")
        page.get_by_text("line 11, store").wait_for()


def test_the_saved_notebook_has_words_and_a_picture(notebook: Any) -> None:
    notebook.save()
    bundle = next(
        output["data"]
        for output in notebook.outputs(1)
        if "replay of block 0" in str(output.get("data", {}).get("text/plain", ""))
    )
    assert "image/png" in bundle
    assert "bank-conflict, line 11" in str(bundle["text/plain"])
