"""Arguments of `autograd.grad`, by name and by place."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.optim import lr_scheduler


def _libraries():
    return tl, pytest.importorskip("torch", reason="PyTorch is the oracle here")


def test_gradient_penalty_as_programs_write_it():
    found = []
    for lib in _libraries():
        x = lib.linspace(-1, 1, 6).reshape(2, 3).requires_grad_()
        out = (x**3).sum(1)
        (g,) = lib.autograd.grad(
            outputs=out, inputs=x, grad_outputs=lib.ones(out.size()), create_graph=True,
            retain_graph=True, only_inputs=True,
        )  # fmt: skip
        ((g.norm(2, dim=1) - 1) ** 2).mean().backward()
        found.append(x.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_by_place():
    for lib in _libraries():
        x, y = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
        got = lib.autograd.grad((x * 2).sum(), (x, y), None, None, False, True, True)
        assert got[0].tolist() == [2, 2]
        assert got[1] is None


def test_only_inputs_false_is_ignored():
    for lib in _libraries():
        x = lib.ones(2, requires_grad=True)
        with pytest.warns(FutureWarning, match="only_inputs argument is deprecated"):
            (g,) = lib.autograd.grad((x * 2).sum(), x, only_inputs=False)
        assert g.tolist() == [2, 2]


@pytest.mark.parametrize("create_graph", [False, True])
def test_batched_vectors(rng, create_graph):
    a, v, w = (rng.standard_normal(s) for s in ((3, 4), (5, 3), (5, 4)))
    found = []
    for lib in _libraries():
        x = lib.linspace(0.1, 1, 4, dtype=lib.float64).requires_grad_()
        unused = lib.ones(1, requires_grad=True)
        outs = (lib.from_numpy(a) @ x.sin(), x**3)
        vectors = (lib.from_numpy(v), lib.from_numpy(w))
        g, none = lib.autograd.grad(
            outs,
            (x, unused),
            vectors,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=True,
        )
        assert none is None
        assert g.requires_grad == create_graph
        second = lib.autograd.grad((g**2).sum(), x)[0].numpy() if create_graph else 0
        found.append((g.detach().numpy(), second))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-10)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-10)


def test_batched_vectors_of_other_numbers_are_refused():
    x = tl.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="same number of vectors"):
        tl.autograd.grad((x * 2, x * 3), x, (tl.ones(2, 2), tl.ones(3, 2)), is_grads_batched=True)


def test_a_schedule_of_an_older_program():
    class Warm(lr_scheduler._LRScheduler):
        def get_lr(self):
            return [rate * min(1, (self.last_epoch + 1) / 2) for rate in self.base_lrs]

    optimizer = tl.optim.SGD([tl.zeros(1, requires_grad=True)], lr=0.5)
    schedule = Warm(optimizer)
    rates = [schedule.get_last_lr()[0]]
    optimizer.step()
    schedule.step()
    assert [*rates, *schedule.get_last_lr()] == [0.25, 0.5]
    assert isinstance(schedule, lr_scheduler.LRScheduler)
