"""inspect.plot_…: figures with a description, the same each time, with and without matplotlib."""

from __future__ import annotations

import hashlib
import io
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="plots need matplotlib")

import tensorlab as tl
from tensorlab import inspect, nn
from tensorlab.nn import functional as F
from tensorlab.optim import SGD


@pytest.fixture(scope="module")
def run():
    """A small training run under every inspector."""
    tl.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    x, y = tl.randn(32, 6), tl.randint(0, 3, (32,))
    optimizer = SGD(model.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()

    with inspect.gradients(model, every=1) as recorder:
        for _ in range(10):
            step()
    with inspect.profile(names={"model": model}) as profile:
        step()
    with inspect.memory(model) as memory:
        step()
    return {
        "graph": lambda: inspect.plot_graph(inspect.graph(F.cross_entropy(model(x), y), model)),
        "gradients": lambda: inspect.plot_gradients(recorder),
        "profile": lambda: inspect.plot_profile(profile),
        "modules": lambda: inspect.plot_profile(profile, by="module", top=2),
        "memory": lambda: inspect.plot_memory(memory),
        "tensor": lambda: inspect.plot_tensor(x),
    }


PLOTS = ("graph", "gradients", "profile", "modules", "memory", "tensor")


def png(figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=60)
    return file.getvalue()


def text_of(figure) -> str:
    from matplotlib.text import Text

    figure.draw_without_rendering()  # ticks get their labels then
    return "\n".join(each.get_text() for each in figure.findobj(Text))


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_described_and_the_same_each_time(name: str, run, tmp_path) -> None:
    import matplotlib as mpl

    figure = run[name]()
    assert figure.alt_text.endswith(".")
    assert len(figure.alt_text) > 30
    first = png(figure)
    assert first.startswith(b"\x89PNG")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "figure.dpi": 200}):
        again = run[name]()  # whatever the user's settings are
        assert hashlib.sha256(png(again)).digest() == hashlib.sha256(first).digest()
    figure.savefig(tmp_path / "a.svg")
    again.savefig(tmp_path / "b.svg")
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg == (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert figure.alt_text.split(":")[0] in svg  # as the file's description
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_nothing_of_pyplot_is_used(run) -> None:
    before = set(sys.modules)
    run["gradients"]()
    assert "matplotlib.pyplot" not in set(sys.modules) - before


def test_what_the_pictures_say(run) -> None:
    graph = text_of(run["graph"]())
    for words in ("0.weight", "2.bias", "relu", "(32, 3)", "cross_entropy"):
        assert words in graph
    gradients = run["gradients"]()
    assert {"0.weight", "gradient norm", "loss"} <= set(text_of(gradients).split("\n"))
    upper, middle, lower = gradients.axes[:3]
    assert upper.get_yscale() == "log"
    assert len(upper.get_lines()) == 4
    assert len(lower.get_lines()[0].get_xdata()) == 10
    assert middle.get_ylabel() == "update / weight norm"
    assert "Nothing is flagged." in gradients.alt_text
    assert "relu" in text_of(run["profile"]())
    assert "more not shown" in text_of(run["modules"]())
    assert "peak" in text_of(run["memory"]())


def test_flags_are_written_below() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    optimizer = SGD(model[1].parameters(), lr=0.1)
    with inspect.gradients(model, every=1) as recorder:
        for _ in range(3):
            optimizer.zero_grad()
            model(tl.ones(2, 4)).square().mean().backward()
            optimizer.step()
    figure = inspect.plot_gradients(recorder)
    assert "frozen: 0.weight and 0.bias are told not to learn" in text_of(figure)
    assert "told not to learn" in figure.alt_text


def test_many_parameters_are_cut_to_those_that_matter() -> None:
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(12)])
    optimizer = SGD(model.parameters(), lr=0.1)
    with inspect.gradients(model, every=1) as recorder:
        for _ in range(2):
            optimizer.zero_grad()
            model(tl.ones(2, 4)).sum().backward()
            optimizer.step()
    figure = inspect.plot_gradients(recorder)
    assert len(figure.axes[0].get_lines()) == 10
    assert "14 more parameters lie between" in text_of(figure)


def test_a_large_graph_says_what_it_leaves_out() -> None:
    y = tl.ones(1, requires_grad=True)
    for _ in range(250):
        y = y * 2
    figure = inspect.plot_graph(inspect.graph(y))
    assert "The first 51 nodes are not drawn" in figure.alt_text
    assert "The first 51 nodes are not drawn" in text_of(figure)


@pytest.mark.parametrize(
    "tensor",
    [
        tl.tensor(3.0),
        tl.arange(5),
        tl.zeros(3, 3),
        tl.tensor([[1.0, float("nan")], [float("inf"), -1.0]]),
        tl.full((2, 2), float("nan")),
        tl.tensor([True, False]),
        tl.tensor([1 + 2j]),
        tl.ones(300, 2),
        tl.ones(4, requires_grad=True) * 2,
    ],
)
def test_tensors_of_all_kinds(tensor) -> None:
    figure = inspect.plot_tensor(tensor)
    assert png(figure)
    assert str(list(tensor.shape)) in figure.alt_text


def test_a_plane_of_a_larger_tensor() -> None:
    x = tl.tensor(np.arange(24).reshape(2, 3, 2, 2))
    figure = inspect.plot_tensor(x, index=(1, 2))
    assert "x[1, 2, :, :]" in text_of(figure)
    assert figure.axes[0].get_images()[0].get_array().tolist() == [[20.0, 21.0], [22.0, 23.0]]
    with pytest.raises(IndexError, match="needs 2 numbers"):
        inspect.plot_tensor(x, index=(1,))


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="expects a tensor, got int"):
        inspect.plot_tensor(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is empty"):
        inspect.plot_tensor(tl.zeros(0, 2))
    with pytest.raises(TypeError, match="expects a Graph or a tensor"):
        inspect.plot_graph("loss")  # type: ignore[arg-type]
    with inspect.gradients(nn.Linear(1, 1)) as recorder, pytest.raises(ValueError, match="nothing"):
        inspect.plot_gradients(recorder)
    with inspect.profile() as profile:
        pass
    with pytest.raises(ValueError, match="no operation ran"):
        inspect.plot_profile(profile)
    with pytest.raises(ValueError, match="by must be"):
        inspect.plot_profile(profile, by="line")  # type: ignore[arg-type]


def test_without_matplotlib_the_error_says_what_to_do(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="plot_tensor needs matplotlib.*pip install"):
        inspect.plot_tensor(tl.ones(2))
