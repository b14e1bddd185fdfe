"""The tensor view in a real JupyterLab: sliders, places in storage, a difference, what outputs keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .lab import expect

CELLS = [
    "%load_ext tensorlab\nimport tensorlab as tl\nx = tl.arange(24).reshape(2, 3, 4)",
    "%tensorlab view x",
    "%tensorlab view x[0] x[0].T",
    """\
a = tl.arange(12.0).reshape(3, 4) - 5
b = a.clone()
b[1, 2] += 0.5
b[2, 3] = float('nan')
%tensorlab view a b""",
    "big = tl.randn(3, 2000, 3000)\nbig[0, 3, 5] = float('inf')\n%tensorlab view big",
    "%tensorlab view tl.rand(6,3,12,12)",
]


@pytest.fixture(scope="module")
def notebook(lab: Any) -> Iterator[Any]:
    with lab.notebook("tensors", CELLS) as opened:
        yield opened


def shown(notebook: Any, index: int) -> Any:
    """The widget of a cell, in sight."""
    notebook.needs_all()
    return notebook.show(index).locator(".tl-tensor")


def hover(widget: Any, panel: int, row: float, column: float) -> None:
    """Point at a cell of small planes: rows and columns as shares of the picture."""
    heat = widget.locator(".tl-tensor-heat").nth(panel)
    heat.scroll_into_view_if_needed()  # waits until it stands still
    box = heat.bounding_box()
    heat.hover(position={"x": box["width"] * column, "y": box["height"] * row})


def test_a_slider_moves_through_a_dimension_and_a_cell_has_a_place(notebook: Any) -> None:
    widget = shown(notebook, 1)
    slider = widget.get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    widget.get_by_text("1 of 2").wait_for()
    hover(widget, 0, 0.5, 0.6)
    read = widget.locator(".tl-tensor-read")
    read.get_by_text("x[1, 1, 2] is 18").wait_for()
    expect(read).to_contain_text("offset 0 + 1·12 + 1·4 + 2·1 = 18")
    notebook.screenshot("tensor-slider")
    heat = widget.locator(".tl-tensor-heat")
    heat.focus()
    heat.press("Home")
    heat.press("ArrowDown")
    read.get_by_text("x[1, 2, 0] is 20").wait_for()


def test_two_views_of_one_tape(notebook: Any) -> None:
    widget = shown(notebook, 2)
    hover(widget, 1, 0.6, 0.5)
    read = widget.locator(".tl-tensor-read")
    read.get_by_text("x[0].T[2, 1] is 6").wait_for()
    expect(read).to_contain_text("the same place: x[0][1, 2], x[0].T[2, 1]")
    notebook.screenshot("tensor-tape")
    widget.locator("svg[aria-label^=Storage] rect").nth(4).hover()
    read.get_by_text("place 4: read by x[0][1, 0] and x[0].T[0, 1]").wait_for()


def test_a_difference(notebook: Any) -> None:
    widget = shown(notebook, 3)
    expect(widget).to_contain_text("2 of 12 elements differ")
    hover(widget, 2, 0.5, 0.6)
    read = widget.locator(".tl-tensor-read")
    read.get_by_text("a − b[1, 2] is -0.5").wait_for()
    expect(read).to_contain_text("b[1, 2] is 1.5")
    notebook.screenshot("tensor-difference")


def test_a_large_tensor_is_shown_in_blocks_that_open(notebook: Any) -> None:
    widget = shown(notebook, 4)
    expect(widget).to_contain_text("Each cell is the mean of 16 × 12 elements")
    expect(widget).to_contain_text("✕ marks nan and infinity: 1 element.")
    notebook.screenshot("tensor-large")
    heat = widget.locator(".tl-tensor-heat")
    heat.focus()
    heat.press("Home")
    for rows in ("Rows 0–499, columns 0–749", "Rows 0–124, columns 0–187"):
        heat.press("Enter")
        expect(widget).to_contain_text(rows)
    heat.press("Enter")  # each cell is one element by now: there is nothing to open
    expect(widget).to_contain_text("Rows 0–124, columns 0–187")
    notebook.screenshot("tensor-opened")
    widget.get_by_role("button", name="Whole plane").click()
    widget.get_by_text("Each cell is the mean of 16 × 12 elements").wait_for()


def test_images_and_the_dark_theme(notebook: Any) -> None:
    widget = shown(notebook, 5)
    widget.get_by_role("button", name="Images").click()
    expect(widget.locator(".tl-tensor-images canvas")).to_have_count(6)
    notebook.theme("Dark")
    notebook.screenshot("tensor-images-dark")
    button = widget.get_by_role("button", name="HTML", exact=True)
    with notebook.other_page(notebook.download(button.click, "tensor.html")) as page:
        page.locator(".tl-tensor-heat").wait_for()


def test_outputs_keep_picture_and_words_and_the_page_reloaded_shows_the_widget(
    notebook: Any,
) -> None:
    notebook.needs_all()
    for index in range(1, len(CELLS)):
        data = notebook.outputs(index)[0]["data"]
        assert {"text/plain", "image/png"} < data.keys()
        assert "float32" in data["text/plain"] or "int64" in data["text/plain"]
    notebook.save()
    notebook.open()
    widget = shown(notebook, 3)
    widget.get_by_text("2 of 12 elements differ").wait_for()
    notebook.screenshot("tensor-reopened")
