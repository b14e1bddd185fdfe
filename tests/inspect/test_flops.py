"""Floating-point operations: PyTorch's counter is the oracle of those that multiply and add."""

from __future__ import annotations

from typing import Any

import pytest

import tensorlab as tl
from tensorlab.inspect import graph

torch = pytest.importorskip("torch", reason="PyTorch counts what the numbers are compared with")
counter = pytest.importorskip("torch.utils.flop_counter", reason="PyTorch is too old to count")

#: Without biases and softmax, of which PyTorch counts nothing.
PRODUCTS = {
    "convolution 1d": (lambda l: l.nn.Conv1d(3, 8, 5, bias=False), (2, 3, 30)),
    "convolution 2d": (lambda l: l.nn.Conv2d(3, 8, 3, padding=1, bias=False), (2, 3, 10, 12)),
    "convolution 3d": (lambda l: l.nn.Conv3d(3, 4, 3, bias=False), (1, 3, 6, 6, 6)),
    "stride, dilation": (lambda l: l.nn.Conv2d(4, 8, 3, 2, dilation=2, bias=False), (2, 4, 15, 15)),
    "transposed": (lambda l: l.nn.ConvTranspose2d(3, 8, 3, stride=2, bias=False), (2, 3, 6, 6)),
    "linear": (lambda l: l.nn.Linear(7, 5, bias=False), (4, 3, 7)),
    "matmul": (lambda l: l.matmul, (2, 1, 3, 4), (5, 4, 6)),
    "mm": (lambda l: l.mm, (3, 4), (4, 6)),
    "bmm": (lambda l: l.bmm, (3, 4, 5), (3, 5, 6)),
    "einsum": (lambda l: lambda a, b: l.einsum("bij,bkj->bik", a, b), (2, 3, 4), (2, 5, 4)),
    "tensordot": (lambda l: lambda a, b: l.tensordot(a, b, dims=2), (3, 4, 5), (4, 5, 6)),
    "multi_dot": (lambda l: lambda a, b: l.linalg.multi_dot([a, b, b]), (3, 4), (4, 4)),
}
MULTIPLIES = {"matmul", "mm", "bmm", "linear", "convolution"}


def counted(make: Any, *shapes: tuple[int, ...]) -> tuple[int, int]:
    """What PyTorch counts of a forward and of its backward."""
    model, inputs = make(torch), [torch.randn(*shape, requires_grad=True) for shape in shapes]
    with counter.FlopCounterMode(display=False) as forward:
        loss = model(*inputs).sum()
    with counter.FlopCounterMode(display=False) as backward:
        loss.backward()
    return forward.get_total_flops(), backward.get_total_flops()


def ours(make: Any, *shapes: tuple[int, ...], needed: bool = True) -> tuple[int, int]:
    model, inputs = make(tl), [tl.randn(*shape, requires_grad=needed) for shape in shapes]
    out = model(*inputs)
    found = graph((out[0] if isinstance(out, tuple) else out).sum()).operations
    nodes = [node for node in found if node.op in MULTIPLIES or node.op.endswith("_sequence")]
    assert nodes
    return sum(node.flops for node in nodes), sum(node.backward_flops for node in nodes)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_and_convolutions(name: str) -> None:
    assert ours(*PRODUCTS[name]) == counted(*PRODUCTS[name])


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
def test_groups(kind: str) -> None:
    # PyTorch counts the backward of groups as if there was one: each product there has the forward's size.
    case = (lambda l: getattr(l.nn, kind)(4, 8, 3, groups=2, bias=False), (2, 4, 9, 9))
    forward, backward = ours(*case)
    assert forward == counted(*case)[0]
    assert backward == 2 * forward


def test_an_input_that_needs_no_gradient_costs_nothing_on_the_way_back() -> None:
    make = PRODUCTS["linear"][0]
    forward, backward = ours(make, (4, 3, 7), needed=False)
    assert forward == backward


@pytest.mark.parametrize(
    ("name", "inner", "outer", "added"),
    [("addmm", (4, 6), (4, 5, 6), 2), ("baddbmm", (3, 4, 6), (3, 4, 5, 6), 2)],
)
def test_added_products(
    name: str, inner: tuple[int, ...], outer: tuple[int, ...], added: int
) -> None:
    *batch, rows, both, columns = outer
    bias = tl.randn(*inner)  # needs none
    a = tl.randn(*batch, rows, both, requires_grad=True)
    b = tl.randn(*batch, both, columns, requires_grad=True)
    (node,) = (n for n in graph(getattr(tl, name)(bias, a, b).sum()).operations if n.op == name)
    size = tl.zeros(*inner).numel()
    assert node.flops == size * (2 * both + added)
    assert node.backward_flops == 2 * node.flops


def test_attention() -> None:
    shapes = (2, 4, 10, 8), (2, 4, 12, 8), (2, 4, 12, 6)
    inputs = [tl.randn(*shape, requires_grad=True) for shape in shapes]
    out = tl.nn.functional.scaled_dot_product_attention(*inputs)
    (node,) = (n for n in graph(out.sum()).operations if "attention" in n.op)
    scores = 2 * 4 * 10 * 12
    forward, _ = counted(lambda l: l.nn.functional.scaled_dot_product_attention, *shapes)
    assert forward == scores * 2 * (8 + 6)
    assert node.flops == forward + 5 * scores
    # The scores are computed again, and two products belong to each of the forward's.
    assert node.backward_flops == scores * (2 * 3 * 8 + 2 * 2 * 6 + 10)


@pytest.mark.parametrize(
    ("kind", "gates", "each"), [("LSTM", 4, 13), ("GRU", 3, 13), ("RNN", 1, 2)]
)
@pytest.mark.parametrize("needed", [True, False])
def test_recurrence(kind: str, gates: int, each: int, needed: bool) -> None:
    steps, batch, features, hidden = 6, 2, 5, 7

    def make(library: Any) -> Any:
        return getattr(library.nn, kind)(features, hidden, batch_first=True)

    forward, backward = ours(make, (batch, steps, features), needed=needed)
    states = steps * batch * hidden
    assert forward == states * (2 * gates * (features + hidden) + each)
    width = (2 if needed else 1) * features + 2 * hidden
    assert backward == states * (2 * gates * width + each)
