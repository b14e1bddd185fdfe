"""inspect.step_backward: the same numbers as backward(), one node at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.inspect import graph, step_backward
from tensorlab.nn import functional as F


def same_as_backward(loss, leaves: dict, gradient=None) -> None:
    """Steps give each leaf exactly what backward() gives it, and change nothing before it does."""
    before = {name: None if t.grad is None else t.grad.numpy().copy() for name, t in leaves.items()}
    steps = step_backward(loss, gradient, params=leaves)
    for name, t in leaves.items():
        assert (t.grad is None) == (before[name] is None)
        assert t.grad is None or np.array_equal(t.grad.numpy(), before[name])
    loss.backward(gradient)
    found = {step.label: step.grad for step in steps if step.is_leaf}
    for name, t in leaves.items():
        if t.grad is not None and name in found:
            assert found[name].dtype is t.grad.dtype
            np.testing.assert_array_equal(found[name].numpy(), t.grad.numpy(), err_msg=name)


def test_random_graphs(rng) -> None:
    for _ in range(20):
        leaves = {
            f"x{i}": tl.tensor(rng.normal(size=(3, columns)), requires_grad=True)
            for i, columns in enumerate((1, 3, 1))
        }
        pool = list(leaves.values())
        for _ in range(30):
            a, b = (pool[i] for i in rng.integers(0, len(pool), size=2))
            op = rng.integers(0, 5)
            new = [a * b, a + b, a - b, tl.tanh(a), tl.sin(a) * 2][op]
            if rng.random() < 0.2:
                new = new * 1
                new[1:].mul_(3)
            pool.append(new)
        loss = sum(each.sum() for each in pool[-5:])
        if loss.grad_fn is None:
            continue
        for leaf in leaves.values():
            if rng.random() < 0.3:
                leaf.grad = tl.ones_like(leaf)
        same_as_backward(loss, leaves)


def test_a_model() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4)
    )  # fmt: skip
    loss = F.cross_entropy(model(tl.randn(5, 1, 8, 8)), tl.tensor([0, 1, 2, 3, 0]))
    same_as_backward(loss, dict(model.named_parameters()))


@pytest.mark.parametrize("dtype", [tl.float16, tl.bfloat16, tl.complex64])
def test_other_types(dtype) -> None:
    x = (tl.randn(4, 3) if dtype is not tl.complex64 else tl.randn(4, 3, dtype=dtype)).to(dtype)
    leaves = {"x": x.requires_grad_(), "b": tl.ones(3, requires_grad=True)}
    y = (x * leaves["b"].to(dtype)) @ x.t()
    same_as_backward((y * y).abs().sum() + (x * x).sum().abs(), leaves)


def test_a_users_function_steps_too() -> None:
    class Cube(tl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    x = tl.randn(5, requires_grad=True)
    same_as_backward((Cube.apply(x) * x).sum(), {"x": x})


def test_partial_sums_and_what_is_waiting() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    loss = (y + y * y).sum()
    steps = step_backward(loss, params={"x": x})
    indices = {node.op or "leaf": node.index for node in graph(loss).nodes}
    assert [step.node for step in steps] == list(graph(loss).backward_order)
    assert steps.position == 0
    assert steps.current is None
    assert [g.tolist() for g in steps.waiting().values()] == [1.0]
    assert steps.forward().name == "SumBackward0"
    assert steps.forward().name == "AddBackward0"
    waiting = steps.waiting()
    y_node = steps[-2].node
    assert waiting[y_node, 0].tolist() == [1.0, 1.0]  # of the two ways to y, one has arrived
    square = steps.forward()
    assert [sent.first for sent in square.sent] == [False, False]
    assert [sent.total.tolist() for sent in square.sent] == [[4.0, 7.0], [7.0, 13.0]]
    assert list(steps.waiting()) == [(y_node, 0)]
    assert steps.grads() == {}
    steps.goto(len(steps))
    assert steps.forward() is None
    assert steps.grads()[indices["leaf"]].tolist() == [21.0, 39.0]
    assert steps.waiting() == {}
    assert steps.back().is_leaf
    assert steps.back().node == y_node
    assert steps.waiting()[y_node, 0].tolist() == [7.0, 13.0]
    while steps.back() is not None:
        pass
    assert steps.position == 0
    with pytest.raises(IndexError, match="there are 5 steps"):
        steps.goto(6)


def test_it_adds_to_a_grad_that_is_there() -> None:
    x = tl.ones(2, requires_grad=True)
    x.grad = tl.full((2,), 10.0)
    steps = step_backward((x * 2).sum())
    assert steps[-1].grad.tolist() == [12.0, 12.0]
    assert x.grad.tolist() == [10.0, 10.0]


def test_what_happens_later_changes_nothing() -> None:
    w = tl.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    steps = step_backward(loss)
    loss.backward()
    with tl.no_grad():
        w.mul_(100)
        w.grad.zero_()
    assert steps[-1].grad.tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError, match="second time"):
        step_backward(loss)


def test_hooks_count_and_grads_are_not_touched() -> None:
    w = tl.ones(2, requires_grad=True)
    y = w * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    calls = []
    w.register_post_accumulate_grad_hook(lambda t: calls.append(1))
    steps = step_backward(y.sum())
    assert steps[-1].grad.tolist() == [20.0, 20.0]
    assert (y.grad, w.grad, calls) == (None, None, [])


def test_several_outputs_and_given_gradients() -> None:
    x = tl.ones(3, requires_grad=True)
    a, b = x * 2, x * 3
    steps = step_backward([a, b], [tl.tensor([1.0, 0.0, 0.0]), tl.tensor([0.0, 1.0, 0.0])])
    assert steps[-1].grad.tolist() == [2.0, 3.0, 0.0]
    top, rest = tl.tensor([[1.0, 5.0, 2.0]], requires_grad=True).sort(1)[0].split(2, 1)
    received = step_backward(top.sum())[1].received
    assert len(received) == 2
    assert received[1] is None
    assert rest.requires_grad


def test_errors() -> None:
    x = tl.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="implicitly created only for scalar"):
        step_backward(x * 2)
    with pytest.raises(ValueError, match="no autograd graph"):
        step_backward(x)
    with pytest.raises(TypeError, match="step_backward expects"):
        step_backward("loss")  # type: ignore[arg-type]
    y = x * 1
    z = (y * y).sum()
    y.add_(1)
    with pytest.raises(RuntimeError, match="inplace operation"):
        step_backward(z)


def test_grad_mode_is_left_alone_and_a_long_chain_needs_no_recursion() -> None:
    y = tl.ones(1, requires_grad=True)
    for _ in range(5_000):
        y = y + 1
    assert len(step_backward(y)) == 5_001
    assert tl.is_grad_enabled()


def test_to_dict() -> None:
    x = tl.tensor([0.0, 4.0], requires_grad=True)
    with np.errstate(all="ignore"):
        steps = step_backward((x.sqrt() * 0).sum(), params={"x": x})
    document = json.loads(json.dumps(steps.to_dict(), allow_nan=False))
    assert document["schema"] == "tensorlab.backward/1"
    grad = document["steps"][-1]["grad"]
    assert (grad["nonfinite"], grad["values"]) == (1, ["nan", 0.0])
    assert (grad["shape"], grad["minimum"]) == ([2], 0.0)
    many = tl.ones(100, requires_grad=True)
    big = step_backward(many.sum())
    assert big.to_dict()["steps"][-1]["grad"]["values"] is None
    assert big.to_dict()["steps"][-1]["grad"]["norm"] == 10.0
