"""The graph inspector's Python side: what it says, draws, sends, answers and lets go of."""

from __future__ import annotations

import atexit
import json
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import inspect, nn
from tensorlab_widgets import _base, graph
from tensorlab_widgets._graph import MOST_KEPT, GraphInspector
from tensorlab_widgets._graph_picture import MOST_BOXES, condensed
from tensorlab_widgets._graph_state import MOST_STEPS


def transformer(blocks: int = 12) -> tuple[nn.Module, tl.Tensor]:
    tl.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, blocks)
    with inspect.recording():
        loss = model(tl.randn(2, 3, 8)).pow(2).mean()
    return model, loss


def small() -> tuple[tl.Tensor, GraphInspector]:
    w = tl.tensor([2.0, 3.0], requires_grad=True)
    return w, graph((w * w).sum(), params={"w": w})


def test_words_are_the_same_each_time_and_name_repeats_once() -> None:
    first, again = (graph(loss, params=model) for model, loss in (transformer(), transformer()))
    words = first._text()
    assert words == again._text()
    assert repr(first) == repr(again)
    assert "0x" not in words
    assert "layers.0 (TransformerEncoderLayer) ×12: 20 operations" in words.split("\n  ")
    assert "layers.1" not in words


def test_state_holds_every_record_and_is_small() -> None:
    model, loss = transformer()
    inspector = graph(loss, params=model)
    state = inspector._state()
    edges = np.frombuffer(state.pop("edges"), np.int32).reshape(-1, 4)
    records = inspector.records
    assert edges.tolist() == [edge.to_list() for edge in records.edges]
    assert len(json.dumps(state, allow_nan=False)) < len(json.dumps(records.to_dict())) / 1.5
    common = state["common"]
    for node, sent in zip(records.nodes, state["nodes"], strict=True):
        assert common["names"][sent["name"]] == node.name
        assert common["rules"][sent["rule"]] == node.rule
        assert common["saved"][sent["saved"]] == [value.to_dict() for value in node.saved]
        assert state["modules"][sent["module"]]["path"] == node.module
        assert [common["dtypes"][i] for i in sent["dtypes"]] == list(node.dtypes)
        if node.source is not None:
            assert common["sources"][sent["source"]] == node.source.to_dict()
    assert [(each["parent"], len(each["members"])) for each in state["repeats"]] == [("layers", 12)]


def test_class_names_may_be_given_for_modules_that_the_graph_does_not_know() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    names = {f"model.{name}": p for name, p in model.named_parameters()}
    inspector = GraphInspector(model(tl.ones(1, 3)).sum(), names, types={"model.0": "Linear"})
    found = {module["path"]: module["type"] for module in inspector._state()["modules"]}
    assert found["model.0"] == "Linear"
    assert "model.0 (Linear)" in inspector._text()


def test_values_and_gradients_are_those_of_the_tensors() -> None:
    w, inspector = small()
    value = inspector._answer("values", {"index": 0})
    assert (value["value"]["minimum"], value["value"]["maximum"]) == (2.0, 3.0)
    assert sum(value["value"]["counts"]) == 2
    assert value["gradient"] is None
    assert inspector.values(1)["value"] is None  # nothing needs the product
    assert inspector.values(2)["value"]["mean"] == 13.0
    w.grad = tl.tensor([1.0, 5.0])
    assert inspector.values(0)["gradient"]["maximum"] == 5.0
    w.grad = None
    inspector.steps()
    assert inspector.values(0)["gradient"]["maximum"] == 6.0
    assert w.grad is None
    with pytest.raises(IndexError, match="no node 9"):
        inspector.values(9)


def test_steps_add_up_to_what_backward_gives() -> None:
    model, loss = transformer(3)
    inspector = graph(loss, params=model)
    sent = inspector._answer("steps", {})
    labels = {node.label: node.index for node in inspector.records.leaves}
    norms = dict(zip(sent["nodes"], sent["norms"], strict=True))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        expected = float(parameter.grad.double().norm())
        assert norms[labels[name]] == pytest.approx(expected, rel=1e-5, abs=1e-12)
        (step,) = [each for each in sent["steps"] if each["node"] == labels[name]]
        assert step["grad"]["norm"] == pytest.approx(expected, rel=1e-5, abs=1e-12)


def test_of_a_long_backward_the_browser_asks_for_what_it_shows() -> None:
    y = w = tl.ones(2, requires_grad=True)
    for _ in range(MOST_STEPS + 5):
        y = y * 1.01
    inspector = graph(y.sum(), params={"w": w})
    sent = inspector._answer("steps", {})
    assert set(sent["steps"]) == {None}
    assert sent["seeds"][0][:2] == [len(inspector.records.nodes) - 1, 0]
    asked = inspector._answer("step", {"first": 3, "last": 5})
    assert asked == [step.to_dict() for step in inspector.steps()[3:5]]


def test_two_losses_share_a_trunk_and_step_together() -> None:
    w = tl.tensor([1.0, 2.0], requires_grad=True)
    trunk = w * 3
    inspector = graph([trunk.sum(), trunk.exp()], params={"w": w})
    state = inspector._state()
    assert state["outputs"] == 2
    assert {node["op"]: node["outputs"] for node in state["nodes"]} == {
        "": [0, 1],
        "mul": [0, 1],
        "sum": [0],
        "exp": [1],
    }
    grads = inspector.steps().to_dict()["steps"][-1]["grad"]["values"]
    expected = (3 + 3 * np.exp([3.0, 6.0])).tolist()
    assert grads == pytest.approx(expected, rel=1e-6)


def test_in_place_and_views_are_shown_as_what_they_are() -> None:
    w = tl.ones(2, 3, requires_grad=True)
    x = w * 2
    x[0].mul_(5)
    inspector = graph(x.t().sum(), params={"w": w})
    kinds = {node["kind"] for node in inspector._state()["nodes"]}
    assert {"leaf", "operation", "view", "write"} <= kinds
    assert inspector.steps()[-1].grad.tolist() == [[10.0] * 3, [2.0] * 3]


def test_a_freed_graph_shows_its_structure_and_says_why_there_is_no_more() -> None:
    w = tl.ones(2, requires_grad=True)
    loss = (w * w).sum()
    loss.backward()
    inspector = graph(loss, params={"w": w})
    assert inspector._state()["freed"]
    assert "backward() has run and freed" in inspector._text()
    assert [node["op"] for node in inspector._state()["nodes"]] == ["", "mul", "sum"]
    with pytest.raises(RuntimeError, match="backward"):
        inspector.steps()
    assert inspector.values(0)["gradient"]["maximum"] == 2.0


def test_bad_input_is_refused_as_inspect_refuses_it() -> None:
    with pytest.raises(TypeError, match="expects a tensor"):
        graph(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no autograd graph"):
        graph(tl.ones(2))


def test_a_closed_inspector_lets_go_of_its_graph() -> None:
    _, inspector = small()
    output = weakref.ref(inspector._tensors()[0])
    inspector.close()
    assert output() is None
    with pytest.raises(RuntimeError, match="show it again"):
        inspector.values(0)


def test_only_the_last_few_graphs_stay_in_memory() -> None:
    _, oldest = small()
    later = [small()[1] for _ in range(MOST_KEPT)]
    with pytest.raises(RuntimeError, match="not kept in memory"):
        oldest.steps()
    assert all(len(each.steps()) == 3 for each in later)


def test_saved_forms_are_whole(tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    _, inspector = small()
    inspector.steps()
    page = inspector.save(tmp_path / "graph.html").read_text("utf-8")
    assert '\\"values\\": {\\"0\\": {\\"value\\": {\\"elements\\": 2' in page
    assert '\\"steps\\": {\\"nodes\\": [2, 1, 0]' in page
    assert inspector.save(tmp_path / "graph.svg").read_text("utf-8").startswith("<?xml")
    assert inspector.save(tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_of_a_large_graph_shows_its_modules() -> None:
    model, loss = transformer()
    records = inspect.graph(loss, params=model)
    picture = condensed(records)
    assert len(records.nodes) > MOST_BOXES >= len(picture.nodes)
    assert [node.label or node.op for node in picture.nodes] == [
        "TransformerEncoderLayer ×12",
        "pow",
        "mean",
    ]
    assert [edge.to_list()[:2] for edge in picture.edges] == [[0, 1], [1, 2]]
    assert picture.saved_bytes == sum(node.saved_bytes for node in records.operations)
    _, inspector = small()
    assert condensed(inspector.records) is inspector.records


def test_the_picture_of_a_large_graph_without_modules_is_still_drawn() -> None:
    y = tl.ones(2, requires_grad=True)
    for _ in range(MOST_BOXES + 1):
        y = y * 1.01
    records = inspect.graph(y.sum())
    assert condensed(records) is records


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    interactive = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    config = pytest.importorskip("traitlets.config").Config(
        HistoryManager={"hist_file": ":memory:"}
    )
    interactive.clear_instance()
    shell = interactive.instance(config=config)
    shell.run_line_magic("load_ext", "tensorlab")
    shown: list[Any] = []
    monkeypatch.setattr("tensorlab.jupyter.magics.display", shown.append)
    shell.push({"w": tl.ones(2, requires_grad=True), "shown": shown})
    shell.run_cell("loss = (w * w).sum()")
    yield shell
    interactive.clear_instance()
    shell.restore_sys_module_state()  # a shell puts its own __main__ there
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


def test_the_magic_shows_the_inspector_only_where_it_can_live(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = shell.user_ns["shown"]
    shell.run_line_magic("tensorlab", "graph loss")
    monkeypatch.setattr("tensorlab_widgets._display.live_widgets", lambda: True)
    shell.run_line_magic("tensorlab", "graph loss")
    report, live = shown
    assert not isinstance(report, GraphInspector)
    assert isinstance(live, GraphInspector)
    assert live._text() == str(report)
    assert "w: leaf" in live._text()


def test_in_a_notebook_widget_picture_and_words_are_shown_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.setattr(_base, "live_widgets", lambda: True)
    _, inspector = small()
    data, metadata = inspector._repr_mimebundle_()
    assert set(data) == {
        "text/plain",
        "image/png",
        "application/vnd.jupyter.widget-view+json",
    }
    assert metadata["image/png"]["alt"].startswith("Autograd graph: 2 operations")
    inspector.close()


@pytest.mark.parametrize(("live", "widget"), [("1", True), ("0", False)])
def test_what_a_kernel_sends_holds_without_a_widget(kernels: Any, live: str, widget: bool) -> None:
    ran = kernels.get(live).run(
        """
import tensorlab as tl
from tensorlab_widgets import graph
w = tl.tensor([2.0, 3.0], requires_grad=True)
inspector = graph((w * w).sum(), params={"w": w})
display(inspector)
"""
    )
    still, *more = (output["data"] for output in ran.of("display_data"))
    assert still["text/plain"].startswith("Autograd graph: 2 operations, 1 leaf, 8 B saved")
    assert "application/vnd.jupyter.widget-view+json" not in still
    assert [set(data) for data in more] == (
        [{"text/plain", "application/vnd.jupyter.widget-view+json"}] if widget else []
    )
    states = [comm["data"]["state"] for comm in ran.of("comm_open")]
    assert any("_esm" in state for state in states) is widget
    closed = kernels.get(live).run("inspector.close(); inspector.close()")
    assert len(closed.of("comm_close")) == len(states)
