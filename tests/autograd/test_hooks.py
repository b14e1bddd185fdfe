"""Hooks on tensors and nodes, retain_grad, and handles."""

from __future__ import annotations

import pytest

import tensorlab as tl


def test_a_tensor_hook_sees_and_may_replace_the_gradient():
    x = tl.ones(2, requires_grad=True)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.clone()))
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert seen[0].tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [30.0, 30.0]


def test_a_leaf_hook_runs_once_on_the_whole_gradient():
    x = tl.ones(2, requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * 2 + x * 3).sum().backward()
    assert seen == [[5.0, 5.0]]


def test_what_a_hook_keeps_is_not_the_grad_buffer():
    x = tl.ones(2, requires_grad=True)
    kept = []
    x.register_hook(kept.append)
    (x * 2).sum().backward()
    (x * 2).sum().backward()
    assert kept[0].tolist() == [2.0, 2.0]
    assert x.grad.tolist() == [4.0, 4.0]


def test_handles_remove_and_are_context_managers():
    x = tl.ones(1, requires_grad=True)
    count = []
    handle = x.register_hook(lambda g: count.append(1))
    (x * 1).backward()
    handle.remove()
    handle.remove()
    (x * 1).backward()
    with x.register_hook(lambda g: count.append(1)):
        (x * 1).backward()
    (x * 1).backward()
    assert len(count) == 2


def test_retain_grad_keeps_a_non_leaf_gradient():
    x = tl.ones(2, requires_grad=True)
    y = x * 3
    assert not y.retains_grad
    y.retain_grad()
    assert y.retains_grad
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 6.0]


def test_post_accumulate_hook_sees_the_accumulated_gradient():
    x = tl.ones(2, requires_grad=True)
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    (x * 2).sum().backward()
    (x * 2).sum().backward()
    assert seen == [[2.0, 2.0], [4.0, 4.0]]


def test_node_hooks_before_and_after():
    x = tl.ones(2, requires_grad=True)
    y = x * 3
    order = []
    y.grad_fn.register_prehook(lambda outs: order.append(("pre", outs[0].tolist())))
    y.grad_fn.register_hook(lambda ins, outs: order.append(("post", ins[0].tolist())))
    y.sum().backward()
    assert order == [("pre", [1.0, 1.0]), ("post", [3.0, 3.0])]


@pytest.mark.parametrize(
    ("register", "error", "match"),
    [
        (lambda: tl.ones(1).register_hook(print), RuntimeError, "doesn't require gradient"),
        (lambda: tl.ones(1).retain_grad(), RuntimeError, "doesn't require gradient"),
        (
            lambda: (tl.ones(1, requires_grad=True) * 1).register_post_accumulate_grad_hook(print),
            RuntimeError,
            "non-leaf",
        ),
    ],
)
def test_hooks_that_cannot_be(register, error, match):
    with pytest.raises(error, match=match):
        register()


def test_a_hook_that_returns_nonsense_is_told_so():
    x = tl.ones(2, requires_grad=True)
    x.register_hook(lambda g: "no")
    with pytest.raises(TypeError, match="Tensor or None"):
        (x * 1).sum().backward()
    y = tl.ones(2, requires_grad=True)
    y.register_hook(lambda g: g.sum())
    with pytest.raises(RuntimeError, match="changed the size"):
        (y * 1).sum().backward()
