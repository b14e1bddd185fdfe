"""Lazy modules against PyTorch: they become the ordinary ones, with the same draws, by their first input."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

CASES = [("LazyLinear", (3,), {"bias": bias}) for bias in (True, False)]
CASES += [
    (f"LazyConv{how}{d}d", (4, 3), options)
    for d in (1, 2, 3)
    for how in ("", "Transpose")
    for options in ({}, {"bias": False, "stride": 2, "padding": 1}, {"groups": 2, "dilation": 2})
]
CASES += [
    (f"Lazy{kind}Norm{d}d", (), options)
    for kind in ("Batch", "Instance")
    for d in (1, 2, 3)
    for options in ({}, {"affine": False}, {"track_running_stats": False, "eps": 0.1})
]


def make(lib, name, arguments, options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Lazy modules are a new feature")
        return getattr(lib, name)(*arguments, **options)


def sample(name, rng, batched=True):
    dims = int(name[-2]) if name.endswith("d") else 0
    size = (*((3,) if batched else ()), 6, *[5, 6, 7][:dims])
    return rng.standard_normal(size).astype(np.float32)


@pytest.mark.parametrize(("name", "arguments", "options"), CASES)
def test_becomes_the_ordinary_module(rng, name, arguments, options):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
    tl.manual_seed(4)
    torch.manual_seed(4)
    ours, theirs = make(nn, name, arguments, options), make(torch.nn, name, arguments, options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.has_uninitialized_params() == theirs.has_uninitialized_params()
    x = sample(name, rng)
    for _ in range(2):
        got, want = ours(tl.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), atol=2e-5)
    assert repr(ours) == repr(theirs)
    assert type(ours).__name__ == type(theirs).__name__ == name.removeprefix("Lazy")
    reference = theirs.state_dict()
    for key, value in ours.state_dict().items():
        np.testing.assert_allclose(value.numpy(), reference[key].numpy(), atol=1e-6, err_msg=key)
    if want.requires_grad:
        got.square().sum().backward()
        want.square().sum().backward()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["LazyConv1d", "LazyConvTranspose2d", "LazyInstanceNorm2d"])
def test_input_without_a_batch(rng, name):
    layer = make(nn, name, (4, 3) if "Conv" in name else (), {})
    layer(tl.tensor(sample(name, rng, batched=False)))
    assert layer.weight.shape[0 if "Conv1d" not in name else 1] == 6


@pytest.mark.parametrize(("name", "arguments", "options"), CASES[::3])
def test_copies_pickles_and_states_before_the_first_input(rng, name, arguments, options):
    layer = make(nn, name, arguments, options).double()
    x = tl.tensor(sample(name, rng)).double()
    copies = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    loaded = make(nn, name, arguments, options).double()
    assert not any(loaded.load_state_dict(layer.state_dict()))
    layer(x)
    assert all(p.dtype == tl.float64 for p in layer.parameters())
    loaded.load_state_dict(layer.state_dict())
    assert not loaded.has_uninitialized_params()
    layer.eval()
    assert tl.allclose(loaded.eval()(x), layer(x))
    assert repr(loaded) == repr(layer)
    for other in copies:
        other.load_state_dict(layer.state_dict())
        assert tl.allclose(other.eval()(x), layer(x))
    if name != "LazyLinear" and not options.get("affine", True):
        return
    with pytest.raises(RuntimeError, match="shape of an uninitialized"):
        layer.load_state_dict(make(nn, name, arguments, options).state_dict())


def test_a_model_learns_after_its_first_input():
    model = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(1))
    x = tl.rand(16, 3)
    model(x)
    assert [tuple(p.shape) for p in model.parameters()] == [(8, 3), (8,), (1, 8), (1,)]
    optimizer = tl.optim.SGD(model.parameters(), lr=0.1)
    before = model(x).square().mean()
    before.backward()
    optimizer.step()
    assert model(x).square().mean() < before


def test_an_optimizer_may_be_made_before():
    layer = nn.LazyLinear(1, bias=False)
    optimizer = tl.optim.SGD(layer.parameters(), lr=0.1)
    layer(tl.ones(1, 2)).sum().backward()
    before = layer.weight.detach().clone()
    optimizer.step()
    assert tl.allclose(layer.weight, before - 0.1)


def test_uninitialized_parameters():
    p = UninitializedParameter(requires_grad=False, dtype=tl.float64)
    assert is_lazy(p)
    assert isinstance(p, nn.Parameter)
    assert repr(p) == "<UninitializedParameter>"
    assert p.dtype == tl.float64
    p.materialize((2, 3))
    assert type(p) is nn.Parameter
    assert p.shape == (2, 3)
    assert not p.requires_grad
    buffer = UninitializedBuffer()
    module = nn.Module()
    module.b = buffer
    assert repr(module.b) == "<UninitializedBuffer>"
    assert list(module.state_dict()) == ["b"]
    buffer.materialize((2,), dtype=tl.int64)
    assert type(buffer) is tl.Tensor
    assert module.b.dtype == tl.int64


@pytest.mark.parametrize(
    "use",
    [
        lambda p: p + 1,
        lambda p: tl.ones(2) * p,
        lambda p: p.sum(),
        lambda p: p[0],
        lambda p: p.dim(),
        lambda p: p.numel(),
        lambda p: p.detach(),
        lambda p: p.tolist(),
        lambda p: nn.init.zeros_(p),
    ],
)
def test_uninitialized_parameters_cannot_be_used(use):
    with pytest.raises(ValueError, match="use an uninitialized parameter"):
        use(UninitializedParameter())


def test_wrong_calls():
    with pytest.raises(RuntimeError, match=r"Expected 3D \(unbatched\) or 4D \(batched\)"):
        nn.LazyConv2d(4, 3)(tl.ones(2, 3))
    with pytest.raises(ValueError, match="expected 4D input"):
        nn.LazyBatchNorm2d()(tl.ones(2, 3))
    with pytest.raises(ValueError, match="divisible by groups"):
        nn.LazyConv1d(4, 3, groups=2)(tl.ones(1, 3, 5))
    with pytest.raises(RuntimeError, match="share memory"):
        UninitializedParameter().share_memory_()

    class Own(nn.modules.lazy.LazyModuleMixin, nn.Linear):
        pass

    with pytest.raises(NotImplementedError, match="initialize_parameters"):
        Own(2, 2)(tl.ones(1, 2))

    class Forgetful(Own):
        def initialize_parameters(self, input):
            pass

    layer = Forgetful(2, 2)
    layer.weight = UninitializedParameter()
    with pytest.raises(RuntimeError, match="not been fully initialized"):
        layer(tl.ones(1, 2))
