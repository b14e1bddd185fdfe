"""The replay of a GPU kernel in a real JupyterLab: from the magic, by keyboard, in the dark, saved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from .lab import expect

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
        yield opened


def replay_of(notebook: Any) -> Any:
    """The widget of the cell, which is run, in sight."""
    notebook.needs(0)
    return notebook.run_to_its_end(1).locator(".tl-replay")


def test_keys_walk_through_the_steps(notebook: Any) -> None:
    widget = replay_of(notebook)
    words = widget.locator(".tl-replay-words")
    expect(words).to_have_text(re.compile("^Step 1 of "))
    # It has the theme's colours from the start: the picture is drawn before it is part of the page.
    # Which colours depends on the theme that was chosen last.
    expect(widget.locator("svg rect").first).to_have_attribute("fill", re.compile(r"^rgb\("))
    widget.focus()
    widget.press("ArrowRight")
    words.get_by_text("Step 2 of ").wait_for()
    widget.press("End")
    words.get_by_text("line 11, store").wait_for()
    expect(widget.locator("[aria-current=step]")).to_contain_text("out[y, x] = tile")
    expect(widget.locator(".tl-message")).to_contain_text("shared.array((32, 33)")
    slider = widget.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    words.get_by_text("Step 1 of ").wait_for()
    widget.locator(".tl-select").select_option("2")
    words.get_by_text("warp 2").wait_for()
    notebook.screenshot("replay")


def test_it_plays_and_stops(notebook: Any) -> None:
    widget = replay_of(notebook)
    widget.locator(".tl-select").select_option("")
    widget.focus()
    widget.press("Home")
    widget.press("Space")
    # It does not wait for the one who looks: step 3 may be over by then.
    expect(widget.locator(".tl-replay-words")).to_have_text(re.compile(r"^Step ([3-9]|\d\d+) of "))
    widget.get_by_role("button", name="Pause").click()
    widget.get_by_role("button", name="Play").wait_for()


def test_the_dark_theme_and_a_page_of_its_own(notebook: Any) -> None:
    widget = replay_of(notebook)
    notebook.theme("Dark")
    notebook.screenshot("replay-dark")
    ground = widget.locator("svg rect").first
    expect(ground).to_have_attribute("fill", re.compile(r"^rgb"))
    expect(ground).not_to_have_attribute("fill", "rgb(255, 255, 255)")
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
    notebook.needs_all()
    notebook.save()
    bundle = next(
        output["data"]
        for output in notebook.outputs(1)
        if "replay of block 0" in str(output.get("data", {}).get("text/plain", ""))
    )
    assert "image/png" in bundle
    assert "bank-conflict, line 11" in str(bundle["text/plain"])
