"""`gradients`: what it says and sends of a run that is recorded, was saved, or is compared."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.inspect import GradientRecorder
from tensorlab.inspect import gradients as record
from tensorlab.nn.functional import cross_entropy
from tensorlab_widgets import GradientFlow, _base, _gradient_flow, gradients
from tensorlab_widgets._gradient_runs import (
    ACTIVATION_STATISTICS,
    MOST_COLUMNS,
    STATISTICS,
    SavedRun,
    packed,
)


def net(act: type[nn.Module] = nn.ReLU, layers: int = 2) -> nn.Module:
    hidden = [part for _ in range(layers) for part in (nn.Linear(6, 6), act())]
    return nn.Sequential(*hidden, nn.Linear(6, 3))


def train(model: nn.Module, rng: np.random.Generator, steps: int = 12, lr: float = 0.1) -> None:
    optimizer = tl.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        x = tl.tensor(rng.standard_normal((16, 6)).astype(np.float32))
        optimizer.zero_grad()
        cross_entropy(model(x), x[:, :3].argmax(1)).backward()
        optimizer.step()


def recorded(rng: np.random.Generator, steps: int = 12, **kwargs: Any) -> GradientRecorder:
    model = net(**kwargs)
    with record(model, every=1) as recorder:
        train(model, rng, steps)
    return recorder


def floats(data: bytes, *shape: int) -> np.ndarray:
    return np.frombuffer(data, "<f4").reshape(shape)


# What is read of a run ---------------------------------------------------------------------


def test_a_saved_run_reads_like_its_recorder(rng: np.random.Generator) -> None:
    model = net(nn.Sigmoid, 6)
    model[0].requires_grad_(False)  # its columns are nan, which JSON has as null
    with record(model, every=1) as recorder:
        train(model, rng)
    saved = SavedRun(json.loads(json.dumps(recorder.to_dict(), allow_nan=False)))
    assert tuple(saved.names) == tuple(recorder.names)
    assert tuple(saved.sizes) == tuple(recorder.sizes)
    assert saved.count == recorder.count == 12
    assert saved.edges == recorder.edges
    np.testing.assert_array_equal(saved.steps, recorder.steps)
    np.testing.assert_allclose(saved.losses, recorder.losses)
    np.testing.assert_array_equal(saved.histograms, recorder.histograms)
    assert np.isnan(saved.series("norm")[:, 0]).all()
    for name in STATISTICS:
        np.testing.assert_allclose(saved.series(name), recorder.series(name), rtol=1e-6)
    assert saved.activations == tuple(recorder.activations)
    for name in ACTIVATION_STATISTICS:
        np.testing.assert_allclose(
            saved.activation_series(name), recorder.activation_series(name), rtol=1e-6
        )
    assert saved.flags() == recorder.flags() != []
    assert packed(saved, "run") == packed(recorder, "run")


def test_a_run_without_steps_has_empty_arrays() -> None:
    recorder = record(net(), every=1)
    recorder.remove()
    saved = SavedRun(recorder.to_dict())
    for run in (recorder, saved):
        state = packed(run, "new")
        assert state["steps"] == state["losses"] == state["histograms"] == b""
        assert state["flags"] == []
        assert run.series("norm").shape == (0, 6)
        assert run.activation_series("dead").shape == (0, 0)


@pytest.mark.parametrize("wrong", [{}, {"schema": "tensorlab.gradients/0"}, {"names": []}])
def test_a_dict_that_is_no_recording_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected what recorder.to_dict.. gives, with schema"):
        gradients(wrong)


def test_what_is_packed_is_what_was_recorded(rng: np.random.Generator) -> None:
    recorder = recorded(rng)
    state = packed(recorder, "mine")
    assert (state["label"], state["count"]) == ("mine", 12)
    np.testing.assert_array_equal(np.frombuffer(state["steps"], "<i4"), recorder.steps)
    np.testing.assert_allclose(floats(state["losses"], 12), recorder.losses, rtol=1e-6)
    assert set(state["statistics"]) == set(STATISTICS)
    for name, data in state["statistics"].items():
        np.testing.assert_allclose(floats(data, 12, 6), recorder.series(name), rtol=1e-6)
    assert state["activations"] == list(recorder.activations)
    for name, data in state["activationStatistics"].items():
        np.testing.assert_allclose(floats(data, 12, 2), recorder.activation_series(name), rtol=1e-6)
    assert len(state["edges"]) == len(recorder.edges) - 2
    assert np.isfinite(state["edges"]).all()


def test_histograms_are_shares_of_the_largest_bin_and_no_bin_with_something_in_it_is_0(
    rng: np.random.Generator,
) -> None:
    recorder = recorded(rng)
    counts = rng.integers(0, 100_000, recorder.histograms.shape) * (
        rng.random(recorder.histograms.shape) < 0.5
    )
    counts[..., 3] = 1
    run = SavedRun({**recorder.to_dict(), "histograms": counts.tolist()})
    shares = np.frombuffer(packed(run, "")["histograms"], np.uint8).reshape(counts.shape)
    np.testing.assert_array_equal(shares > 0, counts > 0)
    assert (shares.max(axis=2) == 255).all()
    assert (shares[counts == counts.max(axis=2, keepdims=True)] == 255).all()
    order = np.argsort(counts, axis=2, kind="stable")
    assert (np.diff(np.take_along_axis(shares, order, 2).astype(int), axis=2) >= 0).all()


def test_a_long_run_has_as_many_columns_of_histograms_as_a_screen_shows(
    rng: np.random.Generator,
) -> None:
    recorder = recorded(rng, steps=MOST_COLUMNS + 37)
    state = packed(recorder, "long")
    chosen = np.frombuffer(state["histogramSteps"], "<i4")
    assert len(chosen) == MOST_COLUMNS
    assert (chosen[0], chosen[-1]) == (recorder.steps[0], recorder.steps[-1])
    assert set(chosen) <= set(recorder.steps)
    assert len(state["histograms"]) == MOST_COLUMNS * 6 * (len(recorder.edges) - 1)
    assert len(state["losses"]) == 4 * len(recorder.steps)


# What is shown of it -----------------------------------------------------------------------


def test_the_words_say_every_layer_and_every_flag(rng: np.random.Generator) -> None:
    recorder = recorded(rng)
    flow = gradients(recorder)
    lines = flow._text().splitlines()
    assert lines[0] == "Gradient flow: 6 parameters, 12 steps"
    assert [line.split()[0] for line in lines[1:7]] == list(recorder.names)
    norms, ratios = recorder.series("raw_norm")[-1], recorder.series("update_ratio")[-1]
    assert lines[1].split() == (
        f"0.weight gradient norm {norms[0]:.2g}, update / weight {ratios[0]:.2g}".split()
    )
    assert lines[7:] == ["    Nothing is flagged."]

    deep = recorded(rng, act=nn.Sigmoid, layers=8)
    text = gradients(deep)._text()
    assert deep.flags()
    for flag in deep.flags():
        assert f"⚠ {flag.kind}: {flag.reason} {flag.suggestion}" in text
    assert "Nothing is flagged" not in text


def test_a_parameter_without_a_gradient_has_no_numbers_and_many_are_cut_short(
    rng: np.random.Generator,
) -> None:
    model = net(layers=20)
    model[0].requires_grad_(False)
    with record(model, every=1) as recorder:
        train(model, rng)
    lines = gradients(recorder)._text().splitlines()
    assert lines[1].split() == ["0.weight", "gradient", "norm", "–,", "update", "/", "weight", "0"]
    assert lines[1 + _gradient_flow.MOST_ROWS] == "    … and 12 more"


def test_before_the_first_step_it_says_what_to_do() -> None:
    flow = gradients(net())
    try:
        assert flow._text().splitlines() == [
            "Gradient flow: 6 parameters, 0 steps",
            "    Nothing is recorded yet: train for a step.",
        ]
        assert flow._figure() is None
        assert flow.flags() == []
        assert repr(flow) == "<gradient flow of 6 parameters>"
        assert flow._state()["watching"]
    finally:
        flow.close()


def test_a_module_is_watched_until_remove_and_a_recorder_of_the_users_goes_on(
    rng: np.random.Generator,
) -> None:
    model = net()
    flow = gradients(model)
    assert isinstance(flow, GradientFlow)
    train(model, rng, 3)
    assert flow.recorder is not None
    assert list(flow.recorder.steps) == [0, 1, 2], "without a notebook every step is looked at"
    flow.remove()
    flow.remove()
    assert flow.recorder.removed
    assert not flow._state()["watching"]
    train(model, rng, 3)
    assert flow.recorder.count == 3

    recorder = record(model, every=1)
    with gradients(recorder) as other:
        train(model, rng, 2)
    assert not recorder.removed, "who made it removes it"
    assert other.recorder is recorder
    recorder.remove()


def test_two_runs_are_compared_in_words_state_and_picture(rng: np.random.Generator) -> None:
    first, second = recorded(rng), recorded(rng, steps=7, act=nn.Tanh)
    pair = gradients(first, compare=second.to_dict(), labels=("relu", "tanh"))
    text = pair._text()
    assert "Gradient flow of relu: 6 parameters, 12 steps" in text
    assert "Gradient flow of tanh: 6 parameters, 7 steps" in text
    assert [run["label"] for run in pair._state()["runs"]] == ["relu", "tanh"]
    assert gradients(gradients(first), compare=gradients(second))._text().count("flow of") == 2
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    figure: Any = pair._figure()
    assert "relu: 12 steps; tanh: 7 steps" in figure.alt_text
    norm, ratio, loss = figure.axes
    assert [line.get_label() for line in norm.lines] == ["relu", "tanh"]
    for axes, line, run in [(norm, 0, first), (norm, 1, second)]:
        together = np.sqrt(np.square(run.series("raw_norm").astype(float)).sum(1))
        np.testing.assert_allclose(axes.lines[line].get_ydata(), together, rtol=1e-6)
    for line, run in enumerate((first, second)):
        median = np.median(run.series("update_ratio").astype(float), axis=1)
        np.testing.assert_allclose(ratio.lines[line].get_ydata(), median, rtol=1e-6)
        np.testing.assert_allclose(loss.lines[line].get_ydata(), run.losses)


def test_a_saved_run_is_drawn_and_saved_as_a_page(rng: np.random.Generator, tmp_path) -> None:
    flow = gradients(recorded(rng).to_dict())
    assert flow.recorder is None
    html = flow.save(tmp_path / "flow.html").read_text("utf-8")
    assert "0.weight" in html
    flow.update()
    flow.close()
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert flow.save(tmp_path / "flow.svg").read_text("utf-8").startswith("<?xml")


def test_bad_arguments_are_refused_in_words(rng: np.random.Generator) -> None:
    with pytest.raises(TypeError, match="gradients expects a module, .* got list"):
        gradients([1, 2])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a run that was recorded, got a module"):
        gradients(recorded(rng), compare=net())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="every must be a whole number"):
        gradients(net(), every=0)


# Live --------------------------------------------------------------------------------------


def test_a_live_flow_is_pushed_seldom_and_its_hooks_go(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    from tensorlab.optim import optimizer

    for module in (_base, _gradient_flow):
        monkeypatch.setattr(module, "live_widgets", lambda: True)
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: None)
    shown: list[Any] = []

    def display(what: Any, **_: Any) -> Any:
        shown.append(what)
        return SimpleNamespace(update=lambda *_, **__: None)

    monkeypatch.setattr("IPython.display.display", display)
    model = net()
    flow = gradients(model, every=1)
    flow.show()
    flow.show()
    assert shown
    assert flow.live
    hooks = len(optimizer._global_post_hooks)
    assert hooks == 2, "the recorder's and one of the flow's own"
    states = []
    flow._widget.observe(lambda change: states.append(change["new"]), "state")
    begin = time.monotonic()
    train(model, rng, 200)
    spent = time.monotonic() - begin
    assert 1 <= len(states) <= 2 + spent * _gradient_flow.RATE
    flow.remove()
    assert states[-1]["runs"][0]["count"] == 200
    assert not states[-1]["watching"]
    assert len(optimizer._global_post_hooks) == 0
    flow.close()


_VIEW = "application/vnd.jupyter.widget-view+json"
CELL = """
import tensorlab as tl
from tensorlab import nn
from tensorlab_widgets import gradients
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
flow = gradients(model, every=1)
flow"""
TRAIN = """
optimizer = tl.optim.SGD(model.parameters(), lr=0.1)
for _ in range(5):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(tl.randn(8, 4)), tl.randint(0, 2, (8,))).backward()
    optimizer.step()"""
LEFT = """
import comm
from ipywidgets.widgets.widget import _instances
from tensorlab.optim import optimizer as _optimizer
flow.close()
events = get_ipython().events.callbacks["post_run_cell"]
print(len(comm.get_comm_manager().comms), len(_instances), len(_optimizer._global_post_hooks),
      sum("GradientFlow" in repr(each) for each in events))"""


def test_in_a_kernel_the_first_cell_follows_what_others_train(kernels: Any) -> None:
    kernel = kernels.get("1")
    first = kernel.run(CELL)
    # The still form, which a saved notebook keeps, and the widget below it.
    still, widget = first.of("display_data")
    assert "0 steps" in still["data"]["text/plain"]
    assert _VIEW in widget["data"]
    again = kernel.run(TRAIN)
    assert again.reply["content"]["status"] == "ok"
    (update,) = again.of("update_display_data")
    assert update["transient"]["display_id"] == still["transient"]["display_id"]
    assert "5 steps" in update["data"]["text/plain"]
    idle = kernel.run("1 + 1")
    assert not idle.of("update_display_data"), "nothing was trained"
    closed = kernel.run(LEFT)
    assert closed.stdout == "0 0 0 0\n"


def test_not_live_it_shows_every_step_and_no_widget(kernels: Any) -> None:
    kernel = kernels.get("0")
    code = CELL.replace("flow = gradients(model, every=1)\nflow", "flow = gradients(model)")
    ran = kernel.run(code + TRAIN + "\nflow")
    (shown,) = [*ran.of("display_data"), *ran.of("execute_result")]
    assert _VIEW not in shown["data"]
    assert shown["data"]["text/plain"].startswith("Gradient flow: 4 parameters, 5 steps")
    assert kernel.run(LEFT).stdout == "0 0 0 0\n"
