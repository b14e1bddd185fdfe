"""inspect.profile: operations counted and timed, forward and backward, by op and by module."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _apply, _backend, _op, nn
from tensorlab.inspect import OUTSIDE, profile


def counts(rows) -> dict[str, tuple[int, int]]:
    return {row.name: (row.forward_calls, row.backward_calls) for row in rows}


def test_calls_by_operation() -> None:
    w = tl.ones(4, requires_grad=True)
    with profile() as p:
        y = (w * 2 + w * 3).sum()
        y.backward()
    assert counts(p.by_op()) == {"mul": (2, 2), "add": (1, 1), "sum": (1, 1)}
    assert all(row.forward_seconds > 0 and row.backward_seconds > 0 for row in p.by_op())
    in_ops = sum(row.seconds for row in p.by_op())
    assert 0 < in_ops <= p.seconds
    assert p.by_op() == sorted(p.by_op(), key=lambda row: -row.seconds)


def test_calls_by_module_forward_and_backward() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))
    with profile(names={"model": model}) as p:
        model(tl.ones(2, 4)).sum().backward()
    rows = counts(p.by_module())
    assert set(rows) == {"model.0", "model.1.0", "model.1.1", OUTSIDE}
    assert rows["model.1.0"] == (1, 1)
    assert rows[OUTSIDE] == (1, 1)  # the sum
    assert rows["model.0"][0] == rows["model.1.1"][0] > 0
    by_op, by_module = p.by_op(), p.by_module()
    assert sum(row.calls for row in by_op) == sum(row.calls for row in by_module)
    assert sum(row.bytes for row in by_op) == sum(row.bytes for row in by_module)


def test_a_model_without_a_name_is_called_by_its_class() -> None:
    with profile() as p:
        nn.Sequential(nn.ReLU())(tl.ones(2))
    assert counts(p.by_module()) == {"Sequential.0": (1, 0)}


def test_a_child_in_a_list_has_its_dotted_name() -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.ReLU(), nn.ReLU())

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    with profile() as p:
        Stack()(tl.ones(2))
    assert counts(p.by_module()) == {"Stack.layers.0": (1, 0), "Stack.layers.1": (1, 0)}


def test_memory_of_new_results_only() -> None:
    x = tl.ones(8, 8)
    with profile() as p:
        y = x * 2
        y.reshape(64)
        y.t()
        y.add_(1)
    rows = {row.name: row.bytes for row in p.by_op()}
    assert rows.pop("mul") == 256
    assert set(rows.values()) == {0}


def test_nested_operations_are_not_counted_twice() -> None:
    x = tl.ones(3, requires_grad=True)
    with profile() as p:
        (g,) = tl.autograd.grad((x * x * x).sum(), x, create_graph=True)
        g.sum().backward()
    assert sum(row.seconds for row in p.by_op()) <= p.seconds
    outer = [event for event in p.events if event.phase == "backward"]
    assert outer


def test_nothing_is_left_behind_and_errors_pass_through() -> None:
    from tensorlab.nn.modules import _hooks

    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 3))
    p = profile()
    with pytest.raises(RuntimeError), p:
        model(tl.ones(1, 4))
    assert _apply.observers == ()
    assert not _hooks.global_forward_hooks
    assert not _hooks.global_forward_pre_hooks
    assert p.by_op()  # what ran before the error is still there
    with profile() as again:
        tl.ones(2) * 2
    assert counts(again.by_module()) == {OUTSIDE: (1, 0)}


def test_the_module_after_a_failed_one_is_found_right() -> None:
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bad = nn.Linear(9, 9)
            self.good = nn.ReLU()

        def forward(self, x):
            try:
                return self.bad(x)
            except RuntimeError:
                return self.good(x)

    with profile() as p:
        Careful()(tl.ones(2)) * 2
    assert counts(p.by_module())["Careful.good"] == (1, 0)
    assert counts(p.by_module())[OUTSIDE] == (1, 0)


def test_a_profile_is_used_once() -> None:
    p = profile()
    with p:
        pass
    with pytest.raises(RuntimeError, match="used already"), p:
        pass


def test_profiles_nest() -> None:
    with profile() as outer:
        tl.ones(2) * 2
        with profile() as inner:
            tl.ones(2) * 3
    assert counts(outer.by_op())["mul"] == (2, 0)
    assert counts(inner.by_op())["mul"] == (1, 0)


def test_threads_do_not_mix() -> None:
    model = nn.Sequential(nn.ReLU(), nn.ReLU())

    def work() -> None:
        for _ in range(50):
            model(tl.ones(4))

    with profile() as p:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts(p.by_module())["Sequential.0"] == (200, 0)
    assert counts(p.by_module())["Sequential.1"] == (200, 0)
    assert len({event.thread for event in p.events}) == 4


def test_events_have_a_limit_and_rows_do_not() -> None:
    with profile(most_events=10) as p:
        for _ in range(25):
            tl.ones(1) * 2
    assert len(p.events) == 10
    assert p.dropped > 0
    assert counts(p.by_op())["mul"] == (25, 0)


def test_the_chrome_trace(tmp_path) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    with profile(names={"model": model}) as p:
        model(tl.ones(2, 4)).sum().backward()
    path = p.export_chrome_trace(tmp_path / "trace.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    spans = [event for event in document["traceEvents"] if event["ph"] == "X"]
    assert {event["cat"] for event in spans} == {"forward", "backward", "module"}
    assert "relu backward" in {event["name"] for event in spans}
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in spans)
    module = next(e for e in spans if e["cat"] == "module" and e["name"] == "model.0")
    inside = [e for e in spans if e["cat"] == "forward" and e["args"]["module"] == "model.0"]
    assert inside
    for event in inside:
        assert module["ts"] <= event["ts"]
        assert event["ts"] + event["dur"] <= module["ts"] + module["dur"] + 0.01
    assert list(tmp_path.iterdir()) == [path]  # no temporary file is left
    with pytest.raises(OSError):
        p.export_chrome_trace(tmp_path / "missing" / "trace.json")


def test_a_gpu_is_waited_for_before_each_reading_of_the_clock(monkeypatch) -> None:
    class OnGpu(np.ndarray):
        """An array of a backend that calls itself CUDA and counts how often it is waited for."""

    waits = []
    stream = SimpleNamespace(synchronize=lambda: waits.append(1))
    xp = SimpleNamespace(cuda=SimpleNamespace(get_current_stream=lambda: stream))
    monkeypatch.setitem(_backend._by_type, OnGpu, _backend.Backend("cuda", xp, OnGpu))
    op = _op.OPS["mul"]
    array = np.ones(3).view(OnGpu)
    p = profile()
    with p:
        p.before(op, [array])
        p.after(op, [array], (array * 2,), None)
        assert len(waits) == 1
        p.before(op, [array])
        p.after(op, [array], (array * 2,), None)
        assert len(waits) == 3
    assert len(waits) == 4
    assert counts(p.by_op()) == {"mul": (2, 0)}


def test_a_tree_of_modules_adds_up() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))
    with profile(names={"model": model}) as p:
        model(tl.ones(2, 4)).sum().backward()
    tree = {row.name: row for row in p.by_module_tree()}
    assert list(tree) == sorted(tree)
    assert set(tree) == {"model", "model.0", "model.1", "model.1.0", "model.1.1", OUTSIDE}
    for name in ("calls", "bytes"):
        below = getattr(tree["model.0"], name) + getattr(tree["model.1"], name)
        assert getattr(tree["model"], name) == below
        flat_sum = sum(getattr(row, name) for row in p.by_module())
        assert getattr(tree["model"], name) + getattr(tree[OUTSIDE], name) == flat_sum
    assert tree["model.1"].seconds == pytest.approx(
        tree["model.1.0"].seconds + tree["model.1.1"].seconds
    )


@pytest.mark.parametrize("create_graph", [False, True])
def test_seconds_add_up(create_graph: bool, monkeypatch) -> None:
    """By operation, by module, by node, by event, and all of them within the whole.

    The clock goes on by one second with every operation that is computed, and else it stands: so it is
    known what the sum must be, and nothing may be counted twice or be lost.
    """
    clock = [0]
    monkeypatch.setattr("time.perf_counter_ns", lambda: clock[0])
    model = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.Tanh(), nn.Linear(3, 2)))
    x = tl.rand(5, 4, requires_grad=True)

    class Ticks:  # an observer after the profile's own: inside the time of each operation
        def before(self, op, arrays):
            clock[0] += 1_000_000_000

        def after(self, op, arrays, outputs, node):
            pass

        def before_backward(self, node):
            clock[0] += 1_000_000_000 if node.op is not None else 0

        def after_backward(self, node, grads):
            pass

    with profile(names={"model": model}) as p, _apply.observe(Ticks()):
        loss = model(x).square().mean()
        (slope,) = tl.autograd.grad(loss, x, create_graph=create_graph)
        if create_graph:  # the rules were computed by operations, which have rules of their own
            slope.square().sum().backward()
    total = clock[0] / 1e9
    assert p.seconds == total == sum(row.calls for row in p.by_op())
    assert total > 8
    by_op, by_module = p.by_op(), p.by_module()
    for rows in (by_op, by_module):
        assert sum(row.forward_seconds for row in rows) + sum(
            row.backward_seconds for row in rows
        ) == pytest.approx(total)
        assert all(row.seconds == row.forward_seconds + row.backward_seconds for row in rows)
    for phase in ("forward", "backward"):
        sums = [
            sum(getattr(row, f"{phase}_seconds") for row in rows) for rows in (by_op, by_module)
        ]
        assert sums[0] == sums[1] > 0
    tree = {row.name: row for row in p.by_module_tree()}
    below = [row.seconds for row in by_module if row.name.startswith("model")]
    assert tree["model"].seconds == pytest.approx(sum(below))
    if not create_graph:  # else a rule's event lasts as long as the operations inside it
        events = [each for each in p.events if each.phase != "module"]
        assert sum(each.seconds for each in events) == pytest.approx(total)
        times = [t for pair in p.node_times().values() for t in pair if t is not None]
        assert sum(times) == pytest.approx(total)


def test_nodes_know_their_times() -> None:
    w = tl.ones(4, requires_grad=True)
    before = w * 2
    with profile() as p:
        loss = (before * 3).sum()
        loss.backward()
    times = p.node_times()
    forward, backward = times[loss.grad_fn]
    assert forward > 0
    assert backward > 0
    assert times[before.grad_fn][0] is None
    assert times[before.grad_fn][1] > 0
    count = len(times)
    del times, loss
    assert len(p.node_times()) < count  # it keeps no graph alive


def test_it_says_what_it_has_without_times_and_ids() -> None:
    with profile() as p:
        tl.ones(2, 3, requires_grad=True).sum().backward()
    assert repr(p) == "<profile of 2 calls of 1 kind of operations: by_op() has the slowest>"


def test_everything_as_a_dict() -> None:
    with profile() as p:
        tl.ones(2, 3) * 2
    document = json.loads(json.dumps(p.to_dict(), allow_nan=False))
    assert document["schema"] == "tensorlab.profile/1"
    assert document["by_op"][0]["name"] == "mul"
    assert document["by_op"][0]["calls"] == 1
    assert document["by_op"][0]["bytes"] == 24
    assert document["events"][0]["shapes"] == [[2, 3]]


def test_perfetto_can_read_the_trace() -> None:
    """The parts of the Trace Event Format that its importer asks for."""
    with profile() as p:
        nn.Sequential(nn.Linear(2, 2), nn.ReLU())(tl.ones(1, 2)).sum().backward()
    document = json.loads(p.chrome_trace())
    assert document["displayTimeUnit"] in ("ms", "ns")
    threads = {e["tid"] for e in document["traceEvents"] if e["ph"] == "M"}
    for event in document["traceEvents"]:
        assert event["ph"] in ("M", "X")
        assert isinstance(event["pid"], int)
        assert event["tid"] in threads
        assert isinstance(event["name"], str)
        if event["ph"] == "X":
            assert isinstance(event["ts"], float)
            assert isinstance(event["dur"], float)
            assert isinstance(event["args"], dict)
    spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in document["traceEvents"] if e["ph"] == "X")
    open_until = []  # complete events of one thread must nest
    for start, end in spans:
        while open_until and open_until[-1] <= start + 0.002:
            open_until.pop()
        assert not open_until or end <= open_until[-1] + 0.002
        open_until.append(end)
