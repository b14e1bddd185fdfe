"""Every widget in a notebook that is saved, opened again and exported: something true is shown each time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from .lab import expect

SETUP = """\
%load_ext tensorlab
import tensorlab as tl
from tensorlab import nn
from tensorlab_widgets import dashboard, gradients, graph, progress, replay, view
tl.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = tl.optim.SGD(model.parameters(), lr=0.1)
x, y = tl.randn(32, 4), tl.randn(32, 1)

def step():
    optimizer.zero_grad()
    loss = (model(x) - y).square().mean()
    loss.backward()
    optimizer.step()
    return loss"""


@dataclass(frozen=True)
class Case:
    """A widget: the code that shows it, its root in the page, and what tells that its style is there."""

    cell: int
    source: str
    root: str
    styled: tuple[str, str, str]
    #: What its still form says, where that is no picture.
    words: str = ""


CASES = {
    "progress": Case(
        1,
        # Loops that go on: nothing has ended them when the notebook is saved.
        "bar = iter(progress(range(9), label='batches'))\nnext(bar);",
        ".tl-progress",
        (".tl-head", "display", "flex"),
        "batches",
    ),
    "dashboard": Case(
        2,
        "board = dashboard(optimizer, model=model)\nsteps = iter(board.steps(range(9)))\n"
        "for _ in range(3):\n    next(steps)\n    board.log(loss=step())",
        ".tl-train",
        (".tl-train-charts", "display", "grid"),
    ),
    "gradients": Case(
        3,
        "flow = gradients(model, every=1)\nflow",
        ".tl-flow",
        (".tl-flow-main", "display", "grid"),
    ),
    "graph": Case(
        4,
        "graph((model(x) - y).square().mean(), params=model)",
        ".tl-graph",
        (".tl-stage", "display", "grid"),
    ),
    "graph by magic": Case(
        5,
        "%tensorlab graph (model(x)-y).square().mean()",
        ".tl-graph",
        (".tl-stage", "display", "grid"),
    ),
    "view": Case(
        6,
        "view(x, names=['x'])",
        ".tl-tensor",
        (".tl-tensor-panels", "display", "flex"),
    ),
    "replay": Case(
        7,
        """\
from tensorlab.cuda import jit

@jit.kernel
def double(x):
    i = jit.grid(1)
    if i < len(x):
        x[i] *= 2

with jit.watch(trace=True) as launches:
    double[2, 64](tl.ones(100))
replay(launches)""",
        ".tl-replay",
        (".tl-replay-slider", "min-width", "120px"),
    ),
}
TRAIN = "for _ in range(5):\n    step()"
LAST = len(CASES) + 1
each_widget = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


@pytest.fixture(scope="module")
def notebook(lab: Any) -> Iterator[Any]:
    """A notebook with every widget in it, saved without and with the widgets' state."""
    sources = [SETUP, *(case.source for case in CASES.values()), TRAIN]
    with lab.notebook("kept", sources) as opened:
        opened.needs(*range(len(sources)))
        for case in CASES.values():
            opened.show(case.cell).locator(case.root).wait_for()
        saved = opened.save()
        assert not saved["metadata"].get("widgets"), (
            "JupyterLab saves no state unless it is told to"
        )
        shutil.copy(opened.path, opened.path.with_name("kept-plain.ipynb"))
        with_state = opened.save_with_state()
        assert with_state["metadata"]["widgets"]
        shutil.copy(opened.path, opened.path.with_name("kept-state.ipynb"))
        yield opened


@pytest.fixture
def live(notebook: Any) -> Any:
    """The notebook in which all have run."""
    if notebook.shows != notebook.path.name or not notebook.has_run(LAST):
        notebook.begin_anew()
        notebook.needs(*range(LAST + 1))
    return notebook


@pytest.fixture
def reopened(notebook: Any) -> Any:
    if notebook.shows != "kept-plain.ipynb":
        notebook.open("kept-plain.ipynb")
    return notebook


@pytest.fixture
def untrusted(notebook: Any) -> Any:
    if notebook.shows != "kept-plain-foreign.ipynb":
        notebook.open_untrusted("kept-plain.ipynb")
    return notebook


@pytest.fixture
def with_state(notebook: Any) -> Any:
    if notebook.shows != "kept-state.ipynb":
        notebook.open("kept-state.ipynb")
    return notebook


@pytest.fixture(scope="module", params=["kept-plain.ipynb", "kept-state.ipynb"])
def exported(notebook: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    with notebook.exported(request.param) as page:
        yield page


def shows_still_form(case: Case, cell: Any) -> None:
    if case.words:
        cell.locator(".jp-OutputArea-output strong", has_text=case.words).wait_for()
    else:
        picture = cell.locator(".jp-OutputArea-output img")
        picture.wait_for()
        drawn = "(image) => image.decode().then(() => image.naturalWidth)"
        assert picture.evaluate(drawn) > 200
    text = cell.inner_text()
    assert "Error displaying widget" not in text
    assert "Loading widget" not in text


@each_widget
def test_the_widget_lives_and_hides_its_still_form(case: Case, live: Any) -> None:
    cell = live.show(case.cell)
    root = cell.locator(case.root)
    root.wait_for()
    expect(cell.locator(".tl-still")).to_have_count(1)
    expect(cell.locator(".tl-still")).to_be_hidden()
    # Each has its own style, though others are shown beside it.
    inside, name, value = case.styled
    expect(root.locator(inside)).to_have_css(name, value)


def test_what_is_kept_is_of_now(live: Any) -> None:
    """Another cell has trained since it was shown."""
    assert "5 steps" in live.outputs(CASES["gradients"].cell)[0]["data"]["text/plain"]


def test_what_has_ended_leaves_nothing_but_its_still_form(live: Any) -> None:
    live.write(LAST, "board.stop(); list(steps); flow.close(); list(bar); print('ended')")
    live.run(LAST)
    live.finished(LAST, "ended")
    saved = live.save()
    for name in ("progress", "dashboard", "gradients"):
        case = CASES[name]
        cell = live.show(case.cell)
        cell.locator(case.root).wait_for(state="detached")
        shows_still_form(case, cell)
        still, gone = (output["data"] for output in saved["cells"][case.cell]["outputs"])
        assert ("image/png" in still) is not case.words
        assert "tl-still" not in "".join(still.get("text/html", ""))
        assert not "".join(gone["text/plain"])
        rows = cell.locator(".jp-OutputArea-child")
        expect(rows).to_have_count(2)
        expect(rows.nth(0)).to_be_visible()
        expect(rows.nth(1)).to_be_hidden()
        live.screenshot(f"kept-ended-{case.cell}")
    live.shut_kernel_down()


@each_widget
def test_opened_again_with_a_new_kernel_it_shows_its_still_form(case: Case, reopened: Any) -> None:
    cell = reopened.show(case.cell)
    shows_still_form(case, cell)
    expect(cell.locator(".tl-still")).to_be_visible()
    assert case.words or cell.locator(".tl-still img").get_attribute("alt")
    expect(cell.locator(case.root)).to_have_count(0)
    reopened.screenshot(f"kept-reopened-{case.cell}")


@each_widget
def test_untrusted_it_shows_its_still_form(case: Case, untrusted: Any) -> None:
    cell = untrusted.show(case.cell)
    shows_still_form(case, cell)
    expect(cell.locator(case.root)).to_have_count(0)
    untrusted.screenshot(f"kept-untrusted-{case.cell}")


@each_widget
def test_opened_again_with_its_state_it_is_a_widget(case: Case, with_state: Any) -> None:
    cell = with_state.show(case.cell)
    cell.locator(case.root).wait_for()
    expect(cell.locator(".tl-still")).to_be_hidden()
    with_state.screenshot(f"kept-state-{case.cell}")


@each_widget
def test_exported_it_shows_its_still_form_without_a_network(case: Case, exported: Any) -> None:
    cell = exported.locator(".jp-Cell").nth(case.cell)
    shows_still_form(case, cell)
    expect(cell.locator(".tl-still")).to_be_visible()
    assert "Run this cell" not in cell.inner_text(), "the line for where there are no styles"


def test_the_exported_page_is_looked_at(exported: Any, notebook: Any) -> None:
    name = exported.url.rsplit("/", 1)[-1].removesuffix(".html")
    exported.screenshot(path=notebook.screenshots / f"{name}-exported.png", full_page=True)
