"""Gradients that nobody else sees are handed over and added to in place; all others are copied first."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.autograd import engine

COUNT = 100_000
BYTES = COUNT * 4


pytestmark = pytest.mark.usefixtures("without_bfloat16")


def leaf(value: float = 1.0) -> tl.Tensor:
    return tl.full((COUNT,), value, requires_grad=True)


def rise(build) -> float:
    """The most arrays of COUNT float32 that live at once in the backward of what `build` makes, beyond those before."""
    tracemalloc.start()
    try:
        out = build()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        out.backward()
        return (tracemalloc.get_traced_memory()[1] - before) / BYTES
    finally:
        tracemalloc.stop()


def test_what_counts_as_alone():
    whole, part, shown, number = np.zeros(6), np.zeros(6), np.zeros(6), np.zeros(1)
    arrays = [whole.copy(), part.copy()[:3], shown.copy().reshape(2, 3), whole]
    arrays.append(np.broadcast_to(number.copy(), (1,)))  # read-only
    assert [engine.alone(arrays, i) for i in range(5)] == [True, False, True, False, False]
    view = arrays[0][:2]
    assert not engine.alone(arrays, 0)
    del view
    assert engine.alone(arrays, 0)
    kept = arrays[2].base
    assert not engine.alone(arrays, 2)
    del kept
    assert engine.alone(arrays, 2)


def test_a_leaf_keeps_the_array_that_a_rule_made():
    x, y = leaf(), leaf(2.0)
    # For each its gradient, and nothing besides: the gradient of the sum is one number that is shown everywhere.
    assert rise(lambda: (x * y).sum()) < 2.1
    assert x.grad is not None
    assert (x.grad == 2).all()


def test_gradients_are_added_up_in_place():
    x = leaf()

    def build() -> tl.Tensor:
        y = x.exp()
        return sum((y * float(i) for i in range(1, 6)), y).sum()

    build().backward()  # kernels are loaded when they are first used
    x.grad = None
    # What was added up so far, and what comes to it.
    assert rise(build) < 2.1
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 16 * np.e, rtol=1e-6)


def test_a_saved_value_is_freed_before_the_next_rule_runs():
    x, y = leaf(), leaf(2.0)
    # Where one gradient has come, one of the factors has gone.
    assert rise(lambda: ((x * 3.0) * (y * 3.0)).sum()) < 1.1
    assert x.grad is not None
    assert (x.grad == 18).all()


@pytest.mark.parametrize("keep", [False, True])
def test_quotients_keep_what_pytorch_keeps(keep):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    results = []
    for library in (tl, torch):
        x = library.tensor([3.0, -2.0, 1e30, 5.0], requires_grad=True)
        y = library.tensor([2.0, 0.5, 1e10, 0.0], requires_grad=True)
        q = x / y
        q.sum().backward(retain_graph=keep)
        assert x.grad is not None
        assert y.grad is not None
        results.append((x.grad.tolist(), y.grad.tolist()))
    assert results[0] == results[1]


def test_gradients_of_two_leaves_never_share_memory():
    x, y = tl.ones(3, requires_grad=True), tl.ones(3, requires_grad=True)
    for _ in range(2):
        ((x + y) * 2).sum().backward(inputs=[x, y])
    assert x.grad is not None
    assert y.grad is not None
    assert x.grad.tolist() == y.grad.tolist() == [4.0, 4.0, 4.0]
    first, second = tl.autograd.grad(((x + y) * 2).sum(), [x, y])
    first.zero_()
    assert second.tolist() == [2.0, 2.0, 2.0]


def test_a_gradient_that_a_function_has_kept_is_left_alone():
    kept = []

    class Keep(tl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, *grad_outputs):
            kept.append(grad_outputs[0].numpy()[:2])
            return grad_outputs[0]

    x = tl.ones(600, requires_grad=True)
    y = x * 1.0
    (Keep.apply(y) * 3 + y * 2).sum().backward()
    assert x.grad is not None
    x.grad.mul_(100)
    assert kept[0].tolist() == [3.0, 3.0]
    assert (x.grad == 500).all()
