"""What `grad_fn` is called: PyTorch's names, overload numbers included."""

from __future__ import annotations

from typing import Any

import pytest

import tensorlab as tl

EXPRESSIONS = """
y + 1 | 1 - y | y - 1 | y * y | y / 2 | -y | y ** 2 | y ** y | 2 ** y | y ** lib.ones(3) | lib.ones(3) ** y
y % 2 | y % y | y.fmod(y) | y.square() | y.clamp(0, 1) | y.clamp(min=v) | y.lerp(y, 0.5) | y.lerp(y, y)
y.sum() | y.sum(0) | y.sum((0, 1)) | y.sum(0, keepdim=True) | y.mean() | y.mean(1) | y.prod() | y.prod(0)
y.max() | y.max(0)[0] | y.norm() | lib.linalg.norm(y) | y.std(0) | y.var() | lib.logsumexp(y, 0) | y.amax(0)
v @ v | y @ v | y @ y | v @ y | b @ b | b @ y.detach() | y.mm(y) | y.detach() @ y | b.bmm(b) | lib.outer(v, v)
lib.nn.functional.linear(y, y) | lib.nn.functional.linear(y, y, v) | lib.nn.functional.linear(b, y, v)
y.t() | y.T | y.mT | y.H | y.transpose(0, 1) | y.permute(1, 0) | y.view(9) | y.reshape(9) | y.flatten()
y.unsqueeze(0) | b.squeeze() | b[:1].squeeze(0) | b.squeeze((0, 1)) | y.expand(2, 3, 3) | y.narrow(0, 0, 2)
y[0] | y[0, 1] | y[0:2] | y[:, 1] | y[:, 1:] | y[0, :] | y[:, :] | y[None] | y[:, None] | y[...] | y[..., 0]
y[lib.tensor([0, 1])] | y[y > 0] | y.split(2)[0] | y.split([1, 2])[0] | y.chunk(2)[0] | y.unbind()[0]
lib.cat([y, y]) | lib.stack([y, y]) | lib.where(y > 0, y, y) | y.masked_fill(y > 0, 0.0) | lib.diag_embed(v)
y.exp() | y.log() | y.relu() | y.sigmoid() | y.tanh() | y.softmax(0) | y.log_softmax(0) | y.clone() | y.double()
y.clone().add_(1) | y.clone().mul_(y) | y.gather(0, lib.tensor([[0, 1, 2]])) | y.cumsum(0) | y.contiguous()
"""


def _name(lib: Any, expression: str) -> tuple[str, str]:
    data = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]

    def made(values: Any) -> Any:
        return lib.tensor(values, requires_grad=True) * 1.0

    names = {"lib": lib, "y": made(data), "v": made(data[0]), "b": made([data, data])}
    node = eval(expression, names).grad_fn
    return type(node).__name__, node.name()


@pytest.mark.parametrize("expression", EXPRESSIONS.replace("\n", "|").strip("|").split("|"))
def test_a_node_has_pytorchs_name(expression: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    assert _name(tl, expression.strip()) == _name(torch, expression.strip())


def test_nodes_are_classes_of_their_names_all_the_way_down() -> None:
    x = tl.ones(2, requires_grad=True)
    node = (x * 2).sum().grad_fn
    found = []
    while node is not None:
        assert isinstance(node, tl.autograd.graph.Node)
        found.append(type(node).__name__)
        node = node.next_functions[0][0] if node.next_functions else None
    assert found == ["SumBackward0", "MulBackward0", "AccumulateGrad"]


def test_a_graph_that_was_looked_at_still_runs() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    assert y.grad_fn is not None
    assert y.grad_fn.next_functions[0][0] is not None
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 4.0]
