"""inspect.graph: modules, repeated blocks, lines, work and memory of the nodes."""

from __future__ import annotations

import json
import time

import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab._graph import on_record
from tensorlab._op import OPS
from tensorlab.inspect import Source, graph, node_value, profile, recording, saved_values
from tensorlab.inspect.gradient_rules import WORDS, rule_words
from tensorlab.nn import functional as F
from tensorlab.nn.modules import _hooks


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        h = self.norm(x)
        x = x + (self.query(h) @ self.key(h).transpose(-1, -2)).softmax(-1) @ h
        return x + self.down(F.gelu(self.up(x)))


class Transformer(nn.Module):
    def __init__(self, blocks: int = 12, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, width)
        self.blocks = nn.ModuleList([Block(width) for _ in range(blocks)])
        self.head = nn.Linear(width, 7)

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def transformer_loss(model: Transformer):
    tokens = tl.tensor([[0, 1, 2, 3], [4, 5, 6, 0]])
    return model(tokens).logsumexp(-1).mean()


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("step", [1, 2])
def test_twelve_blocks_are_one_times_twelve(recorded: bool, step: int) -> None:
    model = Transformer()
    if step == 2:  # leaves keep the numbers of their first use
        transformer_loss(model).backward()
    with recording() if recorded else tl.enable_grad():
        loss = transformer_loss(model)
    g = graph(loss, params=model)
    blocks = next(repeat for repeat in g.repeats if repeat.parent == "blocks")
    assert blocks.count == 12
    assert blocks.members == tuple((f"blocks.{i}",) for i in range(12))
    assert ("blocks.3", (("blocks.3.query",), ("blocks.3.key",))) in [
        (r.parent, r.members) for r in g.repeats
    ]
    by_path = {module.path: module for module in g.modules}
    assert by_path["blocks.5"].type == "Block"
    assert by_path["blocks.5.up"].type == "Linear"
    assert by_path["blocks.5"].depth == 2
    assert by_path[""].type == "Transformer"
    assert by_path[""].count == len(g.operations)
    assert by_path[""].parameters == sum(p.numel() for p in model.parameters())
    assert by_path["blocks.5"].flops == by_path["blocks.6"].flops > 0
    softmaxes = [node.module for node in g.operations if node.op == "softmax"]
    assert softmaxes == [f"blocks.{i}" for i in range(12)]
    for module in g.modules:  # each module stands after the one it is in
        assert not module.path or module.path.rpartition(".")[0] in by_path
    assert sorted(i for m in g.modules for i in m.nodes) == list(range(len(g.nodes)))


def test_blocks_that_differ_are_not_repeats() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4, bias=False))
    g = graph(model(tl.ones(2, 4)).sum(), params=model)
    assert [repeat.members for repeat in g.repeats] == [(("0",), ("1",))]
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 4))
    assert graph(model(tl.ones(2, 4)).sum(), params=model).repeats == ()


def test_a_pattern_of_modules_repeats() -> None:
    layers = [each for _ in range(3) for each in (nn.Linear(4, 4), nn.Tanh())]
    model = nn.Sequential(*layers, nn.Linear(4, 2))
    with recording():
        loss = model(tl.ones(2, 4)).sum()
    (repeat,) = graph(loss, params=model).repeats
    assert repeat.members == (("0", "1"), ("2", "3"), ("4", "5"))
    assert repeat.count == 3


def test_modules_from_parameters_and_from_recording() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))
    plain = graph(model(tl.ones(2, 4)).sum(), params=model)
    assert {n.module for n in plain.operations if n.op == "relu"} == {""}  # between 0 and 1.1
    assert plain.recorded == 0
    assert "No operation has its source line recorded" in plain.notes[0]
    with recording():
        loss = model(tl.ones(2, 4)).sum()
    exact = graph(loss, params=model)
    assert [n.module for n in exact.operations if n.op == "relu"] == ["1.0"]
    assert exact.recorded == len(exact.operations)
    assert exact.notes == ()
    assert {n.label for n in exact.leaves} == {"0.weight", "0.bias", "1.1.weight", "1.1.bias"}
    # Without names, the model is called by its class.
    unnamed = graph(loss)
    assert {n.module for n in unnamed.operations if n.op == "relu"} == {"Sequential.1.0"}
    assert "Sequential.0.weight" in {n.label for n in unnamed.leaves}
    # A namespace has names of its own.
    names = {f"model.{name}": p for name, p in model.named_parameters()}
    named = graph(loss, params=names)
    assert {n.module for n in named.operations if n.op == "relu"} == {"model.1.0"}


def test_a_graph_that_was_recorded_in_part() -> None:
    w = tl.ones(2, requires_grad=True)
    with recording():
        y = w * 2
    (note,) = graph(y.exp().sum()).notes
    assert note.startswith("2 of 3 operations have no source line recorded")


def test_a_submodule_called_alone_and_a_second_model() -> None:
    model, other = nn.Sequential(nn.Sequential(nn.Linear(2, 2))), nn.Sequential(nn.Tanh())
    with recording():
        loss = other(model[0](tl.ones(1, 2))).sum()
    g = graph(loss, params=model)
    assert [n.module for n in g.operations][-2:] == ["Sequential.0", ""]
    assert all(n.module == "0.0" for n in g.operations[:-2])


def test_lines_of_code() -> None:
    w = tl.ones(3, requires_grad=True)
    with recording():
        y = w * 2  # the line
        loss = y.sum()
    node = graph(loss).operations[0]
    assert isinstance(node.source, Source)
    assert node.source.file == __file__
    assert node.source.function == "test_lines_of_code"
    assert node.source.code == "y = w * 2  # the line"
    assert str(node.source) == f"{__file__}:{node.source.line}"
    assert graph((w * 3).sum()).operations[0].source is None
    with tl.autograd.detect_anomaly(check_nan=False):
        loss = (w * 3).sum()
    assert graph(loss).operations[0].source.code == "loss = (w * 3).sum()"


def test_recording_leaves_nothing_behind() -> None:
    r = recording()
    model = nn.Sequential(nn.Sequential(nn.Tanh()))
    with r, r:
        y = model(tl.ones(1, requires_grad=True))
    assert graph(y, params=model).operations[0].module == "0.0"
    assert not on_record
    assert not _hooks.global_forward_hooks
    assert not _hooks.global_forward_pre_hooks
    with pytest.raises(RuntimeError, match="not running"):
        r.stop()
    with pytest.raises(RuntimeError), recording():
        nn.Linear(2, 2)(tl.ones(1, 3))
    assert not on_record


def test_two_losses_share_a_trunk() -> None:
    w = tl.ones(3, requires_grad=True)
    trunk = w.exp()
    first, second = trunk.sum(), (trunk * 2).mean()
    g = graph([first, second])
    assert {n.op or "leaf": n.outputs for n in g.nodes} == {
        "leaf": (0, 1),
        "exp": (0, 1),
        "sum": (0,),
        "mul": (1,),
        "mean": (1,),
    }
    assert [n.op for n in g.nodes if n.is_output] == ["sum", "mean"]


def test_views_and_writes() -> None:
    base = tl.zeros(4, 4, requires_grad=True) * 1
    for i in range(3):
        base[i].mul_(2)
    base.t()[0] += 1
    g = graph(base.sum())
    kinds = [n.kind for n in g.operations]
    assert kinds.count("write") >= 4
    assert kinds.count("view") >= 4
    assert all(n.bytes == 0 for n in g.nodes if n.kind in ("view", "leaf"))
    write = next(n for n in g.operations if n.kind == "write")
    assert write.name == "CopySlices"
    assert "0 where the view was written" in write.rule
    json.dumps(g.to_dict(), allow_nan=False)


def test_a_users_function() -> None:
    class Twice(tl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    (node, _) = graph(Twice.apply(tl.ones(2, requires_grad=True)).sum()).operations
    assert (node.kind, node.flops) == ("function", None)
    assert node.rule == "what the backward of Twice returns"
    assert [value.name for value in node.saved] == ["saved[0]"]


def test_a_freed_graph_says_so() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid())
    loss = model(tl.ones(1, 2)).sum()
    before = graph(loss, params=model)
    loss.backward()
    after = graph(loss, params=model)
    assert "backward() has run and freed" in after.notes[0]
    assert not any("freed" in note for note in before.notes)
    assert [n.module for n in after.nodes] == [n.module for n in before.nodes]
    assert all(node.saved == () for node in after.nodes)
    assert saved_values(loss, 2) == {}


def test_saved_arrays_have_the_rules_names() -> None:
    x = tl.ones(2, 3, requires_grad=True)
    y = tl.full((2, 3), 3.0, requires_grad=True)
    loss = ((x * y).exp().max(1)[0]).sum()
    g = graph(loss, params={"x": x, "y": y})
    saved = {n.op: [v.name for v in n.saved] for n in g.operations}
    assert saved["mul"] == ["other", "input"]
    assert saved["exp"] == ["out"]
    mul = next(n for n in g.operations if n.op == "mul")
    assert mul.saved[0].to_dict() == {
        "name": "other",
        "shape": [2, 3],
        "dtype": "float32",
        "bytes": 24,
    }
    assert saved_values(loss, mul.index)["other"].tolist() == y.tolist()
    with pytest.raises(IndexError, match="no node 99"):
        saved_values(loss, 99)


def test_values_of_nodes() -> None:
    x = tl.tensor([[1.0, 2.0]], requires_grad=True)
    y = x * 3
    z = y.exp()
    w = z * y
    loss = (w + 1).sum()
    values = {n.op or "leaf": node_value(loss, n.index) for n in graph(loss).nodes}
    assert values["leaf"].tolist() == x.tolist()
    assert values["exp"].tolist() == z.tolist()
    assert node_value(loss, 1).tolist() == y.tolist()  # two operations saved it
    assert values["add"] is None  # a sum needs no values
    assert values["sum"].item() == loss.item()
    with tl.no_grad():
        z.mul_(2)
    assert node_value(loss, 2) is None  # overwritten
    loss = (x.exp() * 2).sum()
    loss.backward()
    assert node_value(loss, 1) is None  # freed
    with pytest.raises(IndexError, match="no node 9"):
        node_value(loss, 9)


def test_flops_of_known_operations() -> None:
    from tensorlab.ops.linear_activation import linear_relu

    cases = {
        "linear": (lambda: F.linear(tl.ones(5, 4), w(3, 4)), 5 * 3 * 2 * 4),
        "joined": (lambda: linear_relu(tl.ones(5, 4), w(3, 4)), 5 * 3 * (2 * 4 + 1)),
        "matmul": (lambda: tl.ones(2, 5, 4) @ w(4, 3), 2 * 5 * 3 * 2 * 4),
        "vector": (lambda: w(4) @ tl.ones(4, 3), 3 * 2 * 4),
        "convolution": (lambda: F.conv2d(tl.ones(2, 4, 6, 6), w(8, 2, 3, 3), groups=2), 2 * 8 * 16 * 2 * 18),
        "transposed": (lambda: F.conv_transpose2d(tl.ones(1, 3, 5, 5), w(3, 2, 2, 2)), 75 * 2 * 8),
        "exp": (lambda: w(7, 2).exp(), 14),
        "sum": (lambda: w(7, 2).sum(1), 14),
        "view": (lambda: w(7, 2).t(), 0),
        "softmax": (lambda: w(7, 2).softmax(0), 70),
    }  # fmt: skip

    def w(*shape: int):
        return tl.ones(*shape, requires_grad=True)

    for name, (make, expected) in cases.items():
        assert graph(make()).nodes[-1].flops == expected, name
    linear = graph(F.linear(w(5, 4), w(3, 4), w(3))).nodes[-1]
    assert 5 * 3 * (2 * 4 + 1) <= linear.flops <= 5 * 3 * (2 * 4 + 2)  # as linear, or as addmm
    assert linear.backward_flops == 2 * linear.flops


def test_times_come_from_a_profile() -> None:
    w = tl.ones(50, 50, requires_grad=True)
    with profile() as p:
        loss = (w @ w).sum()
        loss.backward()
    g = graph(loss, profile=p)
    for node in g.operations:
        assert (node.forward_seconds or 0) > 0
        assert (node.backward_seconds or 0) > 0
    assert g.leaves[0].forward_seconds is None


def test_orders() -> None:
    w = tl.ones(2, requires_grad=True)
    g = graph((w.exp() * w).sum())
    assert [g.nodes[i].op for i in g.forward_order] == ["exp", "mul", "sum"]
    assert [g.nodes[i].op for i in g.backward_order] == ["sum", "mul", "exp", ""]


def test_every_operation_with_a_rule_has_its_words() -> None:
    missing, wrong = [], []
    for op in OPS.values():
        if not op.differentiable:
            continue
        words = rule_words(op)
        if not words:
            missing.append(op.name)
        elif not set(words) <= set(op.inputs) or not set(op.rules) <= set(words):
            wrong.append(f"{op.name}: inputs {op.inputs}, words for {sorted(words)}")
    assert not missing, "write the gradient rule in words in tensorlab/inspect/gradient_rules.py"
    assert not wrong


def test_no_words_for_what_is_no_operation() -> None:
    assert set(WORDS) <= {*OPS, "copy_slices"}


def test_to_dict_is_json_and_complete() -> None:
    model = Transformer(2)
    with recording():
        loss = transformer_loss(model)
    document = json.loads(json.dumps(graph(loss, params=model).to_dict(), allow_nan=False))
    assert document["schema"] == "tensorlab.graph/1"
    assert set(document) == {
        "schema", "nodes", "edges", "modules", "repeats", "backward_order", "recorded", "freed",
        "saved_bytes", "flops", "notes",
    }  # fmt: skip
    assert set(document["nodes"][0]) == set(graph(loss).nodes[0].__slots__)
    for source, target, _, _ in document["edges"]:
        assert source < target < len(document["nodes"])


def test_ten_thousand_nodes_need_no_recursion_and_little_time() -> None:
    x = tl.ones(2, requires_grad=True)
    y = x
    with recording():
        for _ in range(5_000):
            y = y * 1.001 + x
    begin = time.process_time()
    g = graph(y)
    assert len(g.nodes) == 10_001
    # A tenth of a second here; the generous limit only tells linear from quadratic.
    assert time.process_time() - begin < 10
