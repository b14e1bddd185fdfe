"""The graph inspector in a real JupyterLab: a transformer of 12 blocks, opened, searched and stepped through.

The tests stand in the order in which a learner does these things, on one open notebook; each runs what it
needs of the cells before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from .lab import expect

TRANSFORMER = """\
%load_ext tensorlab
import tensorlab as tl
from tensorlab import inspect, nn
tl.manual_seed(0)
block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
model = nn.TransformerEncoder(block, 12)
with inspect.recording():
    loss = model(tl.randn(2, 5, 16)).pow(2).mean()
%tensorlab graph loss"""
SMALL = """\
w = tl.tensor([2.0, 3.0], requires_grad=True)
small = (w * w).sum()
%tensorlab graph small"""
FREED = """\
small.backward()
%tensorlab graph small"""


CELLS = [TRANSFORMER, SMALL, FREED]


class Shown:
    """The inspector that a cell shows when it is run, in sight."""

    def __init__(self, notebook: Any, index: int) -> None:
        self.root = notebook.run_to_its_end(index).locator(".tl-graph")
        self.root.wait_for()
        self.root.scroll_into_view_if_needed()
        self.tree = self.root.get_by_role("tree", name="Outline of the graph")
        self.panel = self.root.get_by_role("region", name="Details of what is chosen")
        self.steps = self.root.locator(".tl-step-words")

    def row(self, text: str | re.Pattern[str]) -> Any:
        return self.tree.get_by_role("treeitem").filter(has_text=text).first

    def press(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).click()


@pytest.fixture(scope="module")
def notebook(lab: Any) -> Iterator[Any]:
    with lab.notebook("graphs", CELLS, (1280, 860)) as opened:
        yield opened


@pytest.fixture
def transformer(notebook: Any) -> Shown:
    return Shown(notebook, 0)


def says(locator: Any, text: str) -> None:
    expect(locator).to_contain_text(text)


def test_equal_blocks_are_shown_once(notebook, transformer):
    row = transformer.row("×12")
    says(row, "×12 TransformerEncoderLayer")
    expect(row).to_have_attribute("aria-expanded", "false")
    notebook.screenshot("graph-1-shown")


def test_the_stack_and_one_block_open_with_the_keyboard(notebook, transformer):
    page = notebook.page
    transformer.row("×12").click()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight"):  # open, go in, open the first block
        page.keyboard.press(key)
    expect(transformer.row("×12")).to_have_attribute("aria-expanded", "true")
    says(transformer.row("self_attn"), "MultiheadAttention")
    expect(transformer.row("self_attn")).to_have_attribute("aria-level", "5")
    says(transformer.panel, "TransformerEncoderLayer")
    notebook.screenshot("graph-2-opened")


def test_a_search_finds_nodes_and_shows_what_is_known_of_them(notebook, transformer):
    search = transformer.root.get_by_label("Search nodes")
    search.fill("layer_norm")
    says(transformer.root, "24 found")
    search.press("Enter")
    says(transformer.root, "1 of 24")
    says(transformer.panel, "NativeLayerNormBackward0")
    says(transformer.panel, "(2, 5, 16) float32")
    says(transformer.panel, "this notebook:8")
    says(transformer.panel, "mean ± std")  # the answer of the kernel
    transformer.panel.locator("svg.tl-histogram rect").nth(5).wait_for(state="attached")
    says(transformer.panel, "Saved for backward")
    notebook.screenshot("graph-3-found")


def test_a_click_into_the_picture_chooses_a_box(notebook, transformer):
    transformer.press("Close all")
    canvas = transformer.root.locator("canvas.tl-canvas")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    says(transformer.panel, "used by")
    minimap = transformer.root.locator("canvas.tl-minimap")
    for _ in range(4):
        canvas.press("+")
    minimap.wait_for(state="visible")
    canvas.press("0")
    minimap.wait_for(state="hidden")


def test_backward_goes_forth_and_back_one_node_at_a_time(notebook):
    notebook.needs(0)
    shown = Shown(notebook, 1)
    shown.press("Step through backward")
    says(shown.steps, "Before the first step: the gradient 1 waits at sum (#2)")
    shown.press("Step ▶")
    says(shown.steps, "Step 1 of 3: sum (#2) receives a gradient of norm 1")
    shown.press("Step ▶")
    says(shown.steps, "where it is added: now 7.211")
    says(shown.panel, "[4, 6]")
    notebook.screenshot("graph-4-step")
    shown.press("Step ▶")
    says(shown.panel, ".grad afterwards")
    shown.press("◀ Back")
    says(shown.steps, "Step 2 of 3")
    assert notebook.page.evaluate(
        "() => [...document.querySelectorAll('.tl-graph [aria-live]')].length > 0"
    )


def test_a_freed_graph_says_so(notebook):
    notebook.needs(0)
    notebook.run_to_its_end(1)
    shown = Shown(notebook, 2)
    says(shown.root, "backward() has run and freed")
    shown.press("Step through backward")
    says(shown.root.get_by_role("status").filter(has_text="freed"), "Show it before backward()")
    notebook.screenshot("graph-5-freed")


def test_the_theme_is_followed(notebook):
    notebook.needs(0)
    shown = Shown(notebook, 1).root
    notebook.theme("Dark")
    color = shown.evaluate("(el) => getComputedStyle(el).backgroundColor")
    assert max(map(int, re.findall(r"\d+", color)[:3])) < 80
    notebook.screenshot("graph-6-dark")
