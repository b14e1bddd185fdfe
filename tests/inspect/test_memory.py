"""inspect.memory and inspect.live_tensors: who holds how much, and when."""

from __future__ import annotations

import gc
import json
import threading

import pytest

import tensorlab as tl
from tensorlab import _apply, nn
from tensorlab.inspect import live_tensors, memory
from tensorlab.inspect._words import size
from tensorlab.nn import functional as F
from tensorlab.nn.modules import _hooks
from tensorlab.optim import Adam
from tensorlab.optim import optimizer as optimizers

KIB = 1024


def test_a_timeline_and_its_peak() -> None:
    x = tl.ones(256)  # 1 KiB
    with memory() as m:
        y = x * 2
        z = y + y
        del y
        w = z.reshape(16, 16)  # a view
        w.add_(1)  # in place

    steps = [(event.bytes, event.name) for event in m.events]
    assert steps == [(KIB, "mul"), (KIB, "add"), (-KIB, "mul")]
    assert [event.live - m.base for event in m.events] == [KIB, 2 * KIB, KIB]
    assert (m.peak - m.base, m.peak_event, m.live - m.base) == (2 * KIB, 1, KIB)
    assert m.base >= KIB

    def made_here(when):  # other tests may have left some of their own
        return sorted(t.op for t in m.tensors(when) if t.source and t.source.file == __file__)

    assert made_here("peak") == ["add", "mul"]
    assert made_here("end") == ["add"]
    seconds, live = m.timeline()
    assert seconds[0] == 0.0
    assert (seconds[1:] >= seconds[:-1]).all()
    assert live.tolist() == [m.base + n for n in (0, KIB, 2 * KIB, KIB)]
    assert sum(t.bytes for t in m.tensors()) == m.peak
    assert sum(t.bytes for t in m.tensors("end")) == m.live


def test_lines_modules_and_kinds_of_a_training_step() -> None:
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 8))
    optimizer = Adam(model.parameters())
    x, y = tl.randn(32, 64), tl.randint(0, 8, (32,))
    with memory(model) as m:
        loss = F.cross_entropy(model(x), y)  # forward
        loss.backward()
        optimizer.step()
    kinds = {row.name: row for row in m.rows("kind", "end")}
    weights = sum(p.nbytes for p in model.parameters())
    assert kinds["parameter"].bytes >= weights
    named = {t.name: t for t in m.tensors("end") if t.kind == "gradient" and t.name}
    assert set(named) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert named["0.weight"].shape == (128, 64)
    assert named["0.weight"].module == "0"
    assert kinds["optimizer"].bytes >= 2 * weights
    assert {event.module for event in m.events if event.name == "relu"} == {"1"}
    assert {event.module for event in m.events if event.name == "relu backward"} == {"1"}
    for by in ("module", "source", "op", "kind"):
        assert sum(row.bytes for row in m.rows(by)) == m.peak  # type: ignore[arg-type]
    assert "backward" in {event.kind for event in m.events}
    for event in m.events:
        assert event.live <= m.peak
    assert m.base + sum(event.bytes for event in m.events) == m.live
    with memory(model) as m:
        loss = F.cross_entropy(model(x), y)  # forward
    relu = next(t for t in m.tensors() if t.op == "relu")
    assert (relu.module, relu.kind, relu.shape) == ("1", "activation", (32, 128))
    assert relu.source is not None
    assert relu.source.code == "loss = F.cross_entropy(model(x), y)  # forward"
    assert str(relu.source) in {row.name for row in m.rows("source", "end")}
    assert loss.requires_grad


def test_a_gradient_that_a_leaf_takes_over_is_its_own() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(tl.ones(2048))

        def forward(self, x):
            return (self.w * x).sum()

    model = Scale()
    with memory(model) as m:
        model(tl.randn(2048)).backward()
    (row,) = [t for t in m.tensors("end") if t.name == "w" and t.kind != "parameter"]
    assert (row.kind, row.bytes) == ("gradient", 8 * KIB)
    assert m.live - m.base <= 8 * KIB + 64


def test_what_a_graph_keeps_is_given_back_by_backward() -> None:
    x = tl.ones(1024, requires_grad=True)
    with memory() as m:
        y = x.exp().exp().sum()
        kept = m.live
        y.backward()
    assert kept - m.base >= 8 * KIB
    assert m.live - m.base <= 4 * KIB + 64  # the gradient is left


def test_names_for_several_models_and_none() -> None:
    a, b = nn.Linear(16, 16), nn.Sequential(nn.Tanh())
    with memory({"a": a, "b": b}) as m:
        out = b(a(tl.ones(16, 16)))
    assert {event.module for event in m.events} >= {"a", "b.0"}
    with memory() as m:
        out = b(a(tl.ones(16, 16)))
    assert {event.module for event in m.events} >= {"Linear", "Sequential.0"}
    assert out.requires_grad


def test_events_have_a_limit_and_totals_do_not() -> None:
    kept = []
    with memory(most_events=5) as m:
        for _ in range(20):
            kept.append(tl.ones(256) * 2)
    assert len(m.events) == 5
    assert m.dropped > 10
    assert m.peak - m.base >= 20 * KIB
    assert m.live - m.base >= 20 * KIB


def test_nothing_is_left_behind() -> None:
    model = nn.Linear(4, 4)
    with pytest.raises(RuntimeError), memory(model) as m:
        model(tl.ones(1, 5))
    assert _apply.observers == ()
    assert not _hooks.global_forward_hooks
    assert not _hooks.global_forward_pre_hooks
    assert not optimizers._global_pre_hooks
    assert not optimizers._global_post_hooks
    with pytest.raises(RuntimeError, match="used already"), m:
        pass
    live = m.live
    x = tl.ones(100) * 2
    del x
    assert m.live == live
    with pytest.raises(TypeError, match="got int"):
        memory(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'peak' or 'end'"):
        m.tensors("middle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="by must be"):
        m.rows("size")  # type: ignore[arg-type]


def test_threads() -> None:
    def work() -> None:
        for _ in range(200):
            (tl.ones(256) * 2) + 1

    with memory() as m:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    gc.collect()
    assert m.base + sum(event.bytes for event in m.events) == m.live
    assert abs(m.live - m.base) <= 8 * KIB


def test_to_dict() -> None:
    with memory() as m:
        y = tl.ones(8) * 2
    document = json.loads(json.dumps(m.to_dict(), allow_nan=False))
    assert document["schema"] == "tensorlab.memory/1"
    assert document["events"][-1][3:5] == ["activation", "mul"]
    assert {"bytes", "shape", "dtype", "kind", "name", "op", "module", "source"} == set(
        document["at_end"][0]
    )
    assert y.numel() == 8


def test_it_says_what_it_has_without_times_and_ids() -> None:
    x = tl.ones(1024)
    with memory() as m:
        y = (x + 1) * 2
    base, peak, live = m.base, m.peak, m.live
    assert (peak - base, live - base) == (2 * y.nbytes, y.nbytes)
    sizes = f"{size(base)} at first, {size(peak)} at most, {size(live)} now"
    assert repr(m) == f"<memory over 3 events: {sizes}>"


def test_live_tensors() -> None:
    model = nn.Sequential(nn.Linear(100, 200), nn.BatchNorm1d(200))
    optimizer = Adam(model.parameters())
    model(tl.randn(8, 100)).sum().backward()
    optimizer.step()
    big = tl.ones(300, 300)
    view = big[:10].t()
    kept = (tl.ones(123, requires_grad=True) * 1).exp().sum()
    rows = live_tensors(model)
    assert [row.bytes for row in rows] == sorted((row.bytes for row in rows), reverse=True)
    by_name = {(row.kind, row.name): row for row in rows if row.name}
    assert by_name["parameter", "0.weight"].bytes == 80_000
    assert by_name["parameter", "0.weight"].module == "0"
    assert by_name["gradient", "0.weight"].bytes == 80_000
    assert by_name["buffer", "1.running_mean"].bytes == 800
    assert sum(row.bytes for row in rows if row.kind == "optimizer") >= 160_000
    assert sum(row.shape == (300, 300) for row in rows) == 1
    assert any(row.kind == "saved" and row.shape == (123,) for row in rows)
    assert view.shape == (300, 10)
    assert kept.requires_grad
    del big, view
    assert not any(row.shape == (300, 300) for row in live_tensors())
