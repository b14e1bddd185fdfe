"""Modules as functions of their parameters, folded batch normalisation, and modules without a draw."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.func import functional_call


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("calls", tl.tensor(0))

    def forward(self, x, scale=1):
        self.calls = self.calls + 1
        return self.second(self.first(x)) * scale


def test_other_parameters():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    others = {k: tl.rand(*v.shape).requires_grad_() for k, v in before.items()}
    x = tl.rand(5, 3)
    out = functional_call(model, others, (x,))
    twin = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    twin.load_state_dict(others)
    assert tl.allclose(out, twin(x))
    out.sum().backward()
    assert all(v.grad is not None for v in others.values())
    assert all(p.grad is None for p in model.parameters())
    assert all(tl.equal(model.state_dict()[k], v) for k, v in before.items())
    assert all(isinstance(p, nn.Parameter) for p in model.parameters())


def test_gradients_of_gradients_by_parameters(normal):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
    w, x = normal(2, 3, dtype=np.float64), normal(4, 3, dtype=np.float64)

    def penalty(lib, call):
        weight = lib.tensor(w).requires_grad_()
        layer = lib.nn.Linear(3, 2, bias=False).double()
        out = call(layer, {"weight": weight}, lib.tensor(x)).square().sum()
        (g,) = lib.autograd.grad(out, weight, create_graph=True)
        g.square().sum().backward()
        return weight.grad.numpy()

    want = penalty(torch, torch.func.functional_call)
    np.testing.assert_allclose(penalty(tl, functional_call), want)


def test_tied_weights_buffers_and_arguments():
    model = Tied()
    x = tl.rand(1, 2)
    weight = tl.tensor([[2.0, 0.0], [0.0, 3.0]])
    tensors = {"first.weight": weight, "calls": tl.tensor(5)}
    out = functional_call(model, tensors, x, {"scale": 2})
    assert tl.allclose(out, x * tl.tensor([4.0, 9.0]) * 2)
    assert tensors["calls"].item() == 6
    assert model.calls.item() == 0
    apart = functional_call(model, {"first.weight": weight}, x, tie_weights=False)
    assert tl.allclose(apart, model.second(x @ weight.T))
    both = {"first.weight": weight, "second.weight": tl.eye(2)}
    with pytest.raises(ValueError, match="which are tied"):
        functional_call(model, both, x)
    assert model.first.weight is model.second.weight


def test_everything_is_put_back_after_an_error():
    model = nn.Linear(2, 2)
    weight = model.weight
    with pytest.raises(RuntimeError):
        functional_call(model, {"weight": tl.ones(2, 2), "extra": tl.ones(1)}, tl.ones(1, 3))
    assert model.weight is weight
    assert not hasattr(model, "extra")


def test_several_dicts():
    model = nn.Linear(2, 1)
    parts = ({"weight": tl.ones(1, 2)}, {"bias": tl.ones(1)})
    assert functional_call(model, parts, tl.ones(1, 2), strict=True).tolist() == [[3]]


@pytest.mark.parametrize(
    ("tensors", "options", "error", "message"),
    [
        (3, {}, ValueError, "to be a dict"),
        ([3], {}, ValueError, "to be dictionaries"),
        ([{"weight": tl.ones(2, 2)}] * 2, {}, ValueError, "multiple dictionaries"),
        ({"weight": 3}, {}, TypeError, "not an instance of tensorlab.Tensor"),
        ({"in_features": tl.ones(1)}, {}, TypeError, "in_features"),
        ({"a.weight": tl.ones(1)}, {}, AttributeError, "has no attribute `a`"),
        ({"wait": tl.ones(1)}, {"strict": True}, RuntimeError, r"Unexpected key\(s\): 'wait'"),
        ({"weight": tl.ones(2, 2)}, {"strict": True}, RuntimeError, r"Missing key\(s\): 'bias'"),
    ],
)
def test_wrong_calls(tensors, options, error, message):
    with pytest.raises(error, match=message):
        functional_call(nn.Linear(2, 2), tensors, tl.ones(1, 2), **options)


def test_the_older_name_warns():
    with pytest.warns(FutureWarning, match="deprecated"):
        out = nn.utils.stateless.functional_call(
            nn.Linear(2, 1, bias=False), {"weight": tl.ones(1, 2)}, tl.ones(1, 2)
        )
    assert out.tolist() == [[2]]


# Batch normalisation folded away ----------------------------------------------------------

FUSED = {
    "conv": (lambda lib, **o: (lib.Conv2d(3, 4, 2, **o), lib.BatchNorm2d(4)), (2, 3, 5, 5), False),
    "transposed": (
        lambda lib, **o: (lib.ConvTranspose1d(3, 4, 2, **o), lib.BatchNorm1d(4)),
        (2, 3, 5),
        True,
    ),
    "linear": (lambda lib, **o: (lib.Linear(3, 4, **o), lib.BatchNorm1d(4)), (2, 3), None),
}


@pytest.mark.parametrize("kind", list(FUSED))
@pytest.mark.parametrize("bias", [True, False])
def test_fused_batch_norm(kind, bias, normal):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
    make, shape, transpose = FUSED[kind]
    x = normal(*shape)
    made = []
    for lib, root, seed in ((nn, tl, tl.manual_seed), (torch.nn, torch, torch.manual_seed)):
        seed(1)
        layer, norm = make(lib, bias=bias)
        norm(layer(root.tensor(x)))  # gathers statistics
        with root.no_grad():
            norm.weight.uniform_()
            norm.bias.uniform_()
        layer.eval()
        norm.eval()
        if transpose is None:
            fused = lib.utils.fuse_linear_bn_eval(layer, norm)
        else:
            fused = lib.utils.fuse_conv_bn_eval(layer, norm, transpose)
        out = fused(root.tensor(x))
        np.testing.assert_allclose(
            out.detach().numpy(), norm(layer(root.tensor(x))).detach().numpy(), atol=1e-5
        )
        assert fused is not layer
        made.append((fused, out))
    (ours, out), (theirs, want) = made
    np.testing.assert_allclose(out.detach().numpy(), want.detach().numpy(), atol=1e-5)
    reference = theirs.state_dict()
    assert list(ours.state_dict()) == list(reference)
    for name, p in ours.named_parameters():
        np.testing.assert_allclose(p.detach().numpy(), reference[name].numpy(), atol=1e-5)
        assert p.requires_grad == dict(theirs.named_parameters())[name].requires_grad


def test_fusing_wants_evaluation():
    with pytest.raises(AssertionError, match="only for eval"):
        nn.utils.fuse_conv_bn_eval(nn.Conv1d(1, 1, 1), nn.BatchNorm1d(1))
    norm = nn.BatchNorm1d(1, track_running_stats=False).eval()
    with pytest.raises(AssertionError, match="must not be None"):
        nn.utils.fuse_conv_bn_eval(nn.Conv1d(1, 1, 1).eval(), norm)
    with pytest.raises(AssertionError, match="out_features"):
        nn.utils.fuse_linear_bn_eval(nn.Linear(1, 3).eval(), nn.BatchNorm1d(2).eval())


def test_skip_init():
    before = tl.get_rng_state()
    layer = nn.utils.skip_init(nn.Linear, 3, 2, dtype=tl.float64)
    assert tl.equal(tl.get_rng_state(), before)
    assert layer.weight.shape == (2, 3)
    assert layer.weight.dtype == tl.float64
    assert layer.weight.requires_grad
    with pytest.raises(RuntimeError, match="Expected a Module"):
        nn.utils.skip_init(dict)
    with pytest.raises(RuntimeError, match="must support a 'device'"):
        nn.utils.skip_init(nn.ReLU)
