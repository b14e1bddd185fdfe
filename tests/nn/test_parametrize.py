"""Parametrizations against PyTorch: ready ones, own ones, their states, copies and errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.nn.utils import parametrizations, parametrize

LAYERS = {
    "linear": (lambda lib: lib.Linear(4, 3), (5, 4)),
    "wide": (lambda lib: lib.Linear(3, 5, bias=False), (5, 3)),
    "square": (lambda lib: lib.Linear(4, 4), (5, 4)),
    "conv": (lambda lib: lib.Conv2d(2, 3, 2), (2, 2, 4, 4)),
    "transposed": (lambda lib: lib.ConvTranspose1d(2, 3, 2), (2, 2, 4)),
}


@pytest.mark.parametrize("layer", list(LAYERS))
@pytest.mark.parametrize("dim", [0, 1, -1, None])
def test_weight_norm(compare, normal, layer, dim):
    make, shape = LAYERS[layer]
    compare(lambda lib: lib.utils.parametrizations.weight_norm(make(lib), dim=dim), normal(*shape))


@pytest.mark.parametrize("layer", list(LAYERS))
@pytest.mark.parametrize(
    "options", [{}, {"n_power_iterations": 3, "eps": 1e-8}, {"dim": 1}], ids=str
)
def test_spectral_norm(compare, normal, layer, options):
    make, shape = LAYERS[layer]
    compare(
        lambda lib: lib.utils.parametrizations.spectral_norm(make(lib), **options).double(),
        normal(*shape, dtype=np.float64),
    )


@pytest.mark.parametrize("orthogonal_map", [None, "matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("layer", ["linear", "wide", "square"])
@pytest.mark.parametrize("trivial", [True, False])
def test_orthogonal(normal, orthogonal_map, layer, trivial):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
    make, shape = LAYERS[layer]
    layers = []
    for lib, seed in ((nn, tl.manual_seed), (torch.nn, torch.manual_seed)):
        seed(3)
        layers.append(
            lib.utils.parametrizations.orthogonal(
                make(lib).double(), orthogonal_map=orthogonal_map, use_trivialization=trivial
            )
        )
    ours, theirs = layers
    assert repr(ours) == repr(theirs)
    x = normal(*shape, dtype=np.float64)
    for _ in range(2):
        reference = theirs.state_dict()
        for name, value in ours.state_dict().items():
            np.testing.assert_allclose(value.numpy(), reference[name].numpy(), atol=1e-9)
        got, want = ours(tl.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), atol=1e-9)
        got.square().sum().backward()
        want.square().sum().backward()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-8)
        w = ours.weight.detach().numpy()
        small = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
        np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-9)
        # A step of descent away from where it began, where the map is not its first value.
        with tl.no_grad(), torch.no_grad():
            for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
                a -= 0.02 * a.grad
                b -= 0.02 * b.grad


def test_orthogonal_weights_in_batches(normal):
    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(tl.tensor(normal(2, 4, 3)))

    for how in ("matrix_exp", "cayley", "householder"):
        weight = parametrizations.orthogonal(Stack(), orthogonal_map=how).weight
        assert tl.allclose(weight.mT @ weight, tl.eye(3).expand(2, 3, 3), atol=1e-5)


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).T

    def right_inverse(self, x):
        return x.triu()


class Scaled(nn.Module):
    def forward(self, x):
        return 2 * x


def symmetric(size=3):
    return parametrize.register_parametrization(nn.Linear(size, size), "weight", Symmetric())


def test_registering_and_removing():
    layer = nn.Linear(3, 3)
    assert not parametrize.is_parametrized(layer)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.register_parametrization(layer, "bias", Scaled())
    assert type(layer).__name__ == "ParametrizedLinear"
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert isinstance(layer, nn.Linear)
    assert parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "other")
    assert list(layer.state_dict()) == [
        "parametrizations.weight.original",
        "parametrizations.bias.original",
    ]
    with pytest.raises(RuntimeError, match="does not implement right_inverse"):
        layer.bias = tl.ones(3)
    layer.weight = tl.arange(9.0).reshape(3, 3)
    assert layer.weight.tolist() == [[0, 1, 2], [1, 4, 5], [2, 5, 8]]
    bias = layer.bias.detach().clone()
    parametrize.remove_parametrizations(layer, "bias")
    assert tl.equal(layer.bias, bias)
    assert type(layer).__name__ == "ParametrizedLinear"
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert type(layer) is nn.Linear
    assert layer.weight.tolist() == [[0, 1, 2], [0, 4, 5], [0, 0, 8]]
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert isinstance(layer.weight, nn.Parameter)


def test_a_second_one_is_applied_to_the_first():
    layer = symmetric()
    first = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Scaled())
    assert tl.allclose(layer.weight, 2 * first)


def test_several_originals_become_one_tensor_again():
    layer = parametrizations.weight_norm(nn.Linear(3, 2))
    weight = layer.weight.detach().clone()
    with pytest.raises(ValueError, match="Cannot leave unparametrized"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    parametrize.remove_parametrizations(layer, "weight")
    assert tl.equal(layer.weight, weight)
    assert layer.weight.requires_grad


def test_buffers_can_be_parametrized():
    norm = nn.BatchNorm1d(2)
    parametrize.register_parametrization(norm, "running_mean", Scaled())
    assert "parametrizations.running_mean.original" in dict(norm.named_buffers())


def test_a_read_inside_cached_is_computed_once():
    calls = []

    class Counted(nn.Module):
        def forward(self, x):
            calls.append(1)
            return x

    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Counted())
    calls.clear()
    with parametrize.cached():
        layer(tl.ones(1, 2))
        with parametrize.cached():
            layer(tl.ones(1, 2))
        layer(tl.ones(1, 2))
        assert len(calls) == 1
    layer(tl.ones(1, 2))
    assert len(calls) == 2


def test_copies_are_independent():
    layer = symmetric()
    other = copy.deepcopy(layer)
    assert tl.equal(other.weight, layer.weight)
    with tl.no_grad():
        other.parametrizations.weight.original.add_(1)
    assert not tl.equal(other.weight, layer.weight)
    parametrize.remove_parametrizations(other, "weight")
    assert parametrize.is_parametrized(layer, "weight")
    assert tl.equal(layer.weight, layer.weight.T)
    with pytest.raises(RuntimeError, match="state_dict"):
        pickle.dumps(layer)


def test_training_keeps_the_form():
    layer = symmetric()
    optimizer = tl.optim.SGD(layer.parameters(), lr=0.1)
    x, y = tl.rand(8, 3), tl.rand(8, 3)
    losses = []
    for _ in range(5):
        loss = (layer(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert tl.equal(layer.weight, layer.weight.T)
    assert losses[-1] < losses[0]


def test_transfer():
    layer = symmetric()
    other = nn.Linear(3, 3)
    parametrize.transfer_parametrizations_and_params(layer, other)
    assert tl.equal(other.weight, layer.weight)
    assert other.parametrizations.weight.original is layer.parametrizations.weight.original


def test_states_of_the_old_weight_norm_are_read():
    with pytest.warns(FutureWarning, match="deprecated"):
        old = nn.utils.weight_norm(nn.Linear(3, 2))
    new = parametrizations.weight_norm(nn.Linear(3, 2))
    new.load_state_dict(old.state_dict())
    x = tl.rand(4, 3)
    assert tl.allclose(new(x), old(x))


class Wrong(nn.Module):
    def __init__(self, forward, right_inverse=None):
        super().__init__()
        self.forward = forward
        if right_inverse:
            self.right_inverse = right_inverse


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (lambda: Wrong(lambda x: x.double()), "may not change the dtype"),
        (lambda: Wrong(lambda x: x[0]), "may not change the shape"),
        (lambda: Wrong(lambda x: 3), "must return a tensor. Got int"),
        (lambda: Wrong(lambda x: x, lambda x: 3), "must return a Tensor or a Sequence"),
        (lambda: Wrong(lambda x: x, lambda x: x.double()), "may not change the dtype"),
        (lambda: Wrong(lambda x: x, lambda x: [3]), "element 0 of the sequence with type int"),
    ],
)
def test_parametrizations_that_do_not_fit(module, message):
    with pytest.raises(ValueError, match=message):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", module())
    already = symmetric(2)
    if "element" not in message and "Sequence" not in message:
        with pytest.raises(ValueError, match="may not change|return a tensor|same dtype"):
            parametrize.register_parametrization(already, "weight", module())


def test_wrong_calls():
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="does not have a parameter"):
        parametrize.register_parametrization(layer, "wait", Scaled())
    with pytest.raises(ValueError, match="does not have a parametrization on weight"):
        parametrize.remove_parametrizations(layer, "weight")
    with pytest.raises(ValueError, match="requires one or more"):
        parametrize.ParametrizationList([], layer.weight)
    with pytest.raises(ValueError, match="n_power_iterations to be positive"):
        parametrizations.spectral_norm(layer, n_power_iterations=0)
    with pytest.raises(IndexError, match="Dimension out of range"):
        parametrizations.spectral_norm(layer, dim=2)
    with pytest.raises(ValueError, match="no parameter or buffer"):
        parametrizations.spectral_norm(layer, "wait")
    with pytest.raises(ValueError, match="orthogonal_map has to be"):
        parametrizations.orthogonal(layer, orthogonal_map="givens")
    with pytest.raises(ValueError, match="1 dimensions"):
        parametrizations.orthogonal(layer, "bias")
    tied = parametrizations.orthogonal(
        nn.Linear(2, 2), orthogonal_map="cayley", use_trivialization=False
    )
    with pytest.raises(NotImplementedError, match="not possible to assign"):
        tied.weight = tl.eye(2)
    with pytest.raises(ValueError, match="Expected a matrix or batch of matrices of shape"):
        parametrizations.orthogonal(nn.Linear(2, 2)).weight = tl.eye(3)


# The older forms, as hooks ----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("layer", list(LAYERS))
@pytest.mark.parametrize("dim", [0, None])
def test_weight_norm_as_a_hook(compare, normal, layer, dim):
    make, shape = LAYERS[layer]
    ours = compare(lambda lib: lib.utils.weight_norm(make(lib), dim=dim), normal(*shape))
    weight = ours.weight.detach().clone()
    assert nn.utils.remove_weight_norm(ours) is ours
    assert tl.allclose(ours.weight, weight)
    assert isinstance(ours.weight, nn.Parameter)
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        nn.utils.remove_weight_norm(ours)


@pytest.mark.parametrize("layer", list(LAYERS))
@pytest.mark.parametrize("options", [{}, {"n_power_iterations": 2, "dim": 1}], ids=str)
def test_spectral_norm_as_a_hook(compare, normal, layer, options):
    make, shape = LAYERS[layer]
    ours = compare(
        lambda lib: lib.utils.spectral_norm(make(lib).double(), **options),
        normal(*shape, dtype=np.float64),
    )
    assert ours.state_dict()._metadata[""]["spectral_norm"] == {"weight.version": 1}
    assert nn.utils.remove_spectral_norm(ours) is ours
    assert sorted(ours.state_dict()) in (["bias", "weight"], ["weight"])
    with pytest.raises(ValueError, match="spectral_norm of 'weight' not found"):
        nn.utils.remove_spectral_norm(ours)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_wrong_calls_of_hooks():
    layer = nn.utils.weight_norm(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="two weight_norm hooks"):
        nn.utils.weight_norm(layer)
    with pytest.raises(ValueError, match="uninitialized"):
        nn.utils.weight_norm(nn.LazyLinear(2))
    layer = nn.utils.spectral_norm(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="two spectral_norm hooks"):
        nn.utils.spectral_norm(layer)
    with pytest.raises(ValueError, match="is None"):
        nn.utils.spectral_norm(nn.Linear(2, 2, bias=False), "bias")
    with pytest.raises(ValueError, match="uninitialized"):
        nn.utils.spectral_norm(nn.LazyLinear(2))
    with pytest.raises(ValueError, match="to be positive"):
        nn.utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
