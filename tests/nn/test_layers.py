"""Layers against PyTorch: printed form, values, all gradients, draws and errors."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

RNG_SEED = 20_240_602


def both(values):
    """An array as a leaf tensor of both libraries."""
    a = np.asarray(values)
    ours, theirs = tl.from_numpy(a.copy()), torch.tensor(a)
    if a.dtype.kind == "f":
        ours.requires_grad_()
        theirs.requires_grad_()
    return ours, theirs


def assert_same(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance
    )
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]


def assert_same_module(make, *inputs, tolerance=1e-5):
    """Both build the module from one seed; outputs and the gradients of everything must agree."""
    tl.manual_seed(5)
    torch.manual_seed(5)
    ours, theirs = make(nn), make(torch.nn)
    assert repr(ours) == repr(theirs)
    mine = dict(ours.named_parameters())
    reference = dict(theirs.named_parameters())
    assert list(mine) == list(reference)
    for name, p in mine.items():
        np.testing.assert_allclose(p.detach().numpy(), reference[name].detach().numpy(), rtol=1e-6)
    pairs = [both(x) for x in inputs]
    out, expected = ours(*(a for a, _ in pairs)), theirs(*(b for _, b in pairs))
    assert tuple(out.shape) == tuple(expected.shape)
    assert_same(out, expected, tolerance)
    if not expected.requires_grad:
        return
    weight = (
        np.random.default_rng(9).standard_normal(expected.shape).astype(out.detach().numpy().dtype)
    )
    out.backward(tl.from_numpy(np.array(weight)))
    expected.backward(torch.tensor(weight))
    for a, b in pairs:
        if b.requires_grad:
            assert_same(a.grad, b.grad, tolerance)
    for name, p in mine.items():
        assert_same(p.grad, reference[name].grad, tolerance)


def normal(*shape, dtype=np.float32, seed=RNG_SEED):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# Linear ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias):
    assert_same_module(lambda lib: lib.Linear(3, 4, bias=bias), normal(*shape))


def test_linear_draws_pytorchs_numbers_layer_after_layer():
    tl.manual_seed(0)
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    theirs = torch.nn.Sequential(
        torch.nn.Linear(64, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10)
    )
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6, atol=1e-8)


def test_linear_options():
    layer = nn.Linear(3, 2, dtype=tl.float64, device="cpu")
    assert layer.weight.dtype is tl.float64
    assert layer.bias.dtype is tl.float64
    before = layer.weight.tolist()
    layer.reset_parameters()
    assert layer.weight.tolist() != before
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        nn.Linear(3, 2)(tl.zeros(4, 5))


def test_bilinear():
    assert_same_module(lambda lib: lib.Bilinear(3, 4, 2), normal(5, 3), normal(5, 4, seed=1))
    assert_same_module(
        lambda lib: lib.Bilinear(3, 4, 2, bias=False), normal(2, 5, 3), normal(2, 5, 4)
    )
    with pytest.raises(RuntimeError, match="batch dimensions do not match"):
        nn.Bilinear(3, 4, 2)(tl.zeros(5, 3), tl.zeros(6, 4))
    with pytest.raises(RuntimeError, match="which needs 3 and 4"):
        nn.Bilinear(3, 4, 2)(tl.zeros(5, 3), tl.zeros(5, 5))
    with pytest.raises(ValueError, match="in1_features must be > 0"):
        nn.Bilinear(0, 4, 2)


def test_identity():
    x = tl.ones(2)
    assert nn.Identity(1, two=2)(x) is x
    assert repr(nn.Identity(1)) == "Identity()"


# Flatten ---------------------------------------------------------------------------------


def test_flatten():
    assert_same_module(lambda lib: lib.Flatten(), normal(2, 3, 4))
    assert_same_module(lambda lib: lib.Flatten(0, 1), normal(2, 3, 4))
    assert_same_module(lambda lib: lib.Unflatten(1, (2, 3)), normal(2, 6))
    assert_same_module(lambda lib: lib.Unflatten(-1, (2, -1)), normal(2, 6))
    with pytest.raises(TypeError, match="must be a tuple or a list of ints, but found type int"):
        nn.Unflatten(1, 6)
    with pytest.raises(TypeError, match="found element of type str at pos 1"):
        nn.Unflatten(1, (6, "a"))


def classes(*shape, count):
    return np.random.default_rng(4).integers(0, count, shape)


# Functions -------------------------------------------------------------------------------


def test_one_hot():
    y = classes(2, 3, count=4)
    for count in (-1, 7):
        ours = nn.functional.one_hot(tl.from_numpy(y.copy()), count)
        assert_same(ours, torch.nn.functional.one_hot(torch.tensor(y), count))
    for bad, count, message in [
        (tl.zeros(2), -1, "only applicable to index tensor"),
        (tl.tensor([-1]), -1, "must be non-negative"),
        (tl.tensor([3]), 3, "smaller than num_classes"),
        (tl.zeros(0, dtype=tl.int64), -1, "empty tensor"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            nn.functional.one_hot(bad, count)


def test_a_small_model_trains_as_pytorchs_does():
    """Model, loss and optimizer together: the losses of 50 steps agree."""
    x, y = normal(64, 10), classes(64, count=3)
    histories = []
    for lib in (tl, torch):
        lib.manual_seed(1)
        wrap = tl.from_numpy if lib is tl else torch.tensor
        model = lib.nn.Sequential(
            lib.nn.Linear(10, 16), lib.nn.Tanh(), lib.nn.Dropout(0.2), lib.nn.Linear(16, 3)
        )
        optimizer = lib.optim.Adam(model.parameters(), lr=0.01)
        loss_fn = lib.nn.CrossEntropyLoss(label_smoothing=0.05)
        history = []
        for _ in range(50):
            optimizer.zero_grad()
            loss = loss_fn(model(wrap(x.copy())), wrap(y.copy()))
            loss.backward()
            optimizer.step()
            history.append(loss.item())
        histories.append(history)
    np.testing.assert_allclose(*histories, rtol=1e-4)
    assert histories[0][-1] < 0.9 * histories[0][0]


def test_deep_copies_train_apart():
    model = nn.Linear(2, 1)
    twin = copy.deepcopy(model)
    model(tl.ones(1, 2)).sum().backward()
    assert twin.weight.grad is None
