"""Clipping gradients, and parameters as a vector."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.nn import utils


def pair(torch, with_empty=True):
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for shape in ((3, 4), (5,), (), (0, 2))[: 4 if with_empty else 3]:
        g = np.asarray(rng.standard_normal(shape), np.float32)
        p, q = tl.zeros(shape, requires_grad=True), torch.zeros(shape, requires_grad=True)
        p.grad, q.grad = tl.from_numpy(g.copy()), torch.tensor(g)
        ours.append(p)
        theirs.append(q)
    ours.append(tl.zeros(2, requires_grad=True))  # without a gradient
    return ours, theirs


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.1, 1.0, 100.0])
def test_clip_grad_norm(norm_type, max_norm):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours, theirs = pair(torch, with_empty=norm_type < math.inf)
    a = utils.clip_grad_norm_(ours, max_norm, norm_type)
    b = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert a.item() == pytest.approx(b.item(), rel=1e-5)
    for p, q in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-5)


def test_clip_grad_norm_of_one_tensor_none_and_not_finite():
    p = tl.zeros(2, requires_grad=True)
    assert utils.clip_grad_norm_(p, 1.0).item() == 0.0
    p.grad = tl.tensor([3.0, 4.0])
    grad, version = p.grad, p.grad._version
    assert utils.clip_grad_norm_(p, 1.0).item() == 5.0
    assert p.grad is grad
    assert grad._version == version + 1
    assert utils.get_total_norm(p.grad).item() == pytest.approx(1.0)
    p.grad = tl.tensor([math.nan, 1.0])
    with pytest.raises(
        RuntimeError, match="total norm of order 2.0 for gradients .* is non-finite"
    ):
        utils.clip_grad_norm_(iter([p]), 1.0, error_if_nonfinite=True)
    assert math.isnan(utils.clip_grad_norm_(p, 1.0).item())


def test_clip_grad_value():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours, theirs = pair(torch)
    utils.clip_grad_value_(ours, 0.5)
    torch.nn.utils.clip_grad_value_(theirs, 0.5)
    for p, q in zip(ours, theirs, strict=False):
        assert p.grad.tolist() == q.grad.tolist()


def test_parameters_as_a_vector():
    net = nn.Linear(3, 2)
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (8,)
    vector.sum().backward()
    assert net.bias.grad.tolist() == [1.0, 1.0]
    weight = net.weight
    utils.vector_to_parameters(tl.arange(8.0), net.parameters())
    assert net.weight is weight
    assert net.weight.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert net.bias.tolist() == [6.0, 7.0]
    with pytest.raises(TypeError, match="expected tensorlab.Tensor, but got: list"):
        utils.vector_to_parameters([1.0], net.parameters())
    with pytest.raises(RuntimeError, match="8 numbers together, but the vector only 3"):
        utils.vector_to_parameters(tl.zeros(3), net.parameters())
