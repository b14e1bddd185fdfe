"""inspect.graph: the autograd graph as records."""

from __future__ import annotations

import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.inspect import graph


def test_nodes_and_edges_of_a_small_expression() -> None:
    w = tl.ones(2, 3, requires_grad=True)
    b = tl.ones(3, requires_grad=True)
    y = ((w * 2 + b) ** 2).sum()
    g = graph(y, params={"w": w, "b": b})
    names = [node.label or node.op for node in g.nodes]
    assert names == ["w", "mul", "b", "add", "pow", "sum"]
    assert [(edge.source, edge.target) for edge in g.edges] == [
        (0, 1),
        (1, 3),
        (2, 3),
        (3, 4),
        (4, 5),
    ]
    assert [(edge.target, edge.input) for edge in g.edges if edge.target == 3] == [(3, 0), (3, 1)]
    assert [node.is_leaf for node in g.nodes] == [True, False, True, False, False, False]
    assert [node.index for node in g.nodes if node.is_output] == [5]
    assert g.nodes[0].name == "AccumulateGrad"
    assert g.nodes[0].shapes == ((2, 3),)
    assert g.nodes[3].name == "AddBackward0"
    assert g.nodes[3].dtypes == ("float32",)
    assert g.nodes[5].shapes == ((),)
    assert [node.index for node in g.operations] == [1, 3, 4, 5]
    assert [node.label for node in g.leaves] == ["w", "b"]


def test_every_edge_goes_from_an_earlier_node_to_a_later_one(rng) -> None:
    pool = [tl.ones(3, requires_grad=True)]
    for _ in range(200):
        i, j = rng.integers(0, len(pool), size=2)
        pool.append(pool[i] * pool[j] if rng.random() < 0.5 else pool[i] + pool[j])
    g = graph(pool[-10:])
    assert all(edge.source < edge.target for edge in g.edges)
    assert [node.index for node in g.nodes] == list(range(len(g.nodes)))
    assert [(e.target, e.input) for e in g.edges] == sorted((e.target, e.input) for e in g.edges)


def test_names_come_from_a_module_and_a_shared_parameter_has_its_first() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    g = graph(model(tl.ones(1, 4)).sum(), params=model)
    assert sorted(node.label for node in g.leaves) == ["0.bias", "0.weight", "2.bias"]


def test_saved_memory_is_counted_once() -> None:
    x = tl.ones(5, 5, requires_grad=True)
    assert graph(x * x).saved_bytes == 100  # both factors are the same array
    y = x * x
    assert graph(y * y).saved_bytes == 200
    assert graph(x @ x.T).saved_bytes == 100  # the transpose is a view
    assert graph(x.sum()).saved_bytes == 0


def test_a_tensor_with_several_outputs() -> None:
    x = tl.ones(4, 2, requires_grad=True)
    a, b = (x * 2).split(2)
    g = graph(a.sum() * b.sum())
    split = next(node for node in g.nodes if len(node.shapes) == 2)
    assert split.shapes == ((2, 2), (2, 2))
    assert sorted(edge.output for edge in g.edges if edge.source == split.index) == [0, 1]


def test_after_backward_the_structure_is_left() -> None:
    x = tl.ones(3, requires_grad=True)
    y = (x * x).sum()
    assert not graph(y).freed
    before = graph(y)
    y.backward()
    after = graph(y)
    assert after.freed
    assert after.saved_bytes == 0
    assert [n.name for n in after.nodes] == [n.name for n in before.nodes]
    assert after.edges == before.edges


def test_reading_changes_nothing() -> None:
    x = tl.ones(3, requires_grad=True)
    y = (x * x).sum()
    graph(y, params={"x": x})
    y.backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_a_long_chain() -> None:
    y = tl.ones(1, requires_grad=True)
    for _ in range(20_000):
        y = y + 1
    assert len(graph(y).nodes) == 20_001


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: tl.ones(2), ValueError, "does not require grad"),
        (lambda: tl.ones(2, requires_grad=True), ValueError, "it is a leaf"),
        (list, ValueError, "at least one tensor"),
        (lambda: 3, TypeError, "got int"),
        (lambda: "loss", TypeError, "got str"),
        (lambda: nn.Sequential(nn.ReLU()), TypeError, "got Sequential"),
        (lambda: [tl.ones(2, requires_grad=True) * 2, 1.0], TypeError, "got a float among them"),
    ],
)
def test_what_has_no_graph(make, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        graph(make())
    assert "\n" not in str(caught.value)
