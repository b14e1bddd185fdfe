"""Layers and losses against PyTorch: printed form, values, all gradients, draws and errors."""

from __future__ import annotations

import copy
import itertools

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


# Activations -----------------------------------------------------------------------------

ACTIVATIONS = [
    ("ReLU", {}),
    ("ReLU6", {}),
    ("Hardtanh", {}),
    ("Hardtanh", {"min_val": -0.5, "max_val": 0.25}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.3}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.5}),
    ("SiLU", {}),
    ("Mish", {}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("Tanh", {}),
    ("Sigmoid", {}),
    ("LogSigmoid", {}),
    ("Softplus", {}),
    ("Softplus", {"beta": 2.0, "threshold": 1.0}),
    ("Softsign", {}),
    ("Tanhshrink", {}),
    ("Softmax", {"dim": 0}),
    ("Softmax", {"dim": -1}),
    ("Softmin", {"dim": 1}),
    ("LogSoftmax", {"dim": 1}),
]


@pytest.mark.parametrize(("name", "options"), ACTIVATIONS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations(name, options, dtype):
    x = 4 * normal(6, 7, dtype=dtype)
    assert_same_module(lambda lib: getattr(lib, name)(**options), x, tolerance=2e-5)


IN_PLACE = ["ReLU", "ReLU6", "Hardtanh", "LeakyReLU", "ELU", "SiLU", "Mish"]


@pytest.mark.parametrize("name", IN_PLACE)
def test_activations_in_place(name):
    x, reference = both(normal(4, 5))
    inside, expected = x * 2, reference * 2
    out = getattr(nn, name)(inplace=True)(inside)
    wanted = getattr(torch.nn, name)()(expected)
    assert out is inside
    assert repr(getattr(nn, name)(inplace=True)) == repr(getattr(torch.nn, name)(inplace=True))
    assert_same(out, wanted)
    (out * out).sum().backward()
    (wanted * wanted).sum().backward()
    assert_same(x.grad, reference.grad)


def test_softmax_2d_and_implicit_dimension():
    assert_same_module(lambda lib: lib.Softmax2d(), normal(2, 3, 4, 5))
    with pytest.raises(ValueError, match="expected input to be 3D or 4D, got 2D"):
        nn.Softmax2d()(tl.zeros(2, 3))
    for shape in [(4,), (4, 3), (2, 3, 4), (2, 2, 3, 4)]:
        x, reference = both(normal(*shape))
        with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
            ours = nn.Softmax()(x)
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            assert_same(ours, torch.nn.Softmax()(reference))


# Dropout ---------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_draws_pytorchs_mask(p, inplace):
    for lib in (tl, torch):
        lib.manual_seed(3)
    x, reference = both(normal(20, 30))
    ours, theirs = nn.Dropout(p, inplace), torch.nn.Dropout(p)
    out, expected = ours(x * 1), theirs(reference * 1)
    assert_same(out, expected)
    out.sum().backward()
    expected.sum().backward()
    assert_same(x.grad, reference.grad)
    assert repr(ours) == repr(torch.nn.Dropout(p, inplace))
    assert ours.eval()(x) is x


def test_dropout_errors():
    with pytest.raises(ValueError, match="between 0 and 1, but got 1.5"):
        nn.Dropout(1.5)
    with pytest.raises(ValueError, match="between 0 and 1, but got -1"):
        nn.functional.dropout(tl.ones(1), -1)


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


# Losses ----------------------------------------------------------------------------------


def assert_same_loss(make, x, y, tolerance=1e-5):
    (a, b), (s, t) = both(x), (tl.from_numpy(np.array(y)), torch.tensor(y))
    ours, theirs = make(nn, tl), make(torch.nn, torch)
    assert repr(ours) == repr(theirs)
    out, expected = ours(a, s), theirs(b, t)
    assert tuple(out.shape) == tuple(expected.shape)
    assert_same(out, expected, tolerance)
    out.sum().backward()
    expected.sum().backward()
    assert_same(a.grad, b.grad, tolerance)


REDUCTIONS = ["mean", "sum", "none"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["MSELoss", "L1Loss"])
def test_regression_losses(name, reduction):
    assert_same_loss(
        lambda lib, _: getattr(lib, name)(reduction=reduction), normal(4, 5), normal(4, 5, seed=1)
    )


def classes(*shape, count, ignore=None):
    rng = np.random.default_rng(4)
    target = rng.integers(0, count, shape)
    if ignore is not None:
        target[rng.random(shape) < 0.3] = ignore
    return target


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("shape", "target"), [((8, 5), (8,)), ((5,), ()), ((4, 5, 3, 2), (4, 3, 2))]
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "smoothing"), [("NLLLoss", 0), ("CrossEntropyLoss", 0), ("CrossEntropyLoss", 0.2)]
)
def test_classification_losses(name, smoothing, weighted, shape, target, reduction):
    def make(lib, t):
        options = {"reduction": reduction}
        if weighted:
            options["weight"] = t.linspace(0.5, 2.0, 5)
        if name == "CrossEntropyLoss":
            options["label_smoothing"] = smoothing
        return getattr(lib, name)(**options)

    assert_same_loss(make, normal(*shape), classes(*target, count=5))


@pytest.mark.parametrize("name", ["NLLLoss", "CrossEntropyLoss"])
def test_ignored_targets(name):
    y = classes(12, count=5, ignore=-100)
    assert (y == -100).any()
    assert_same_loss(lambda lib, _: getattr(lib, name)(), normal(12, 5), y)
    y[y == -100] = 3
    assert_same_loss(lambda lib, _: getattr(lib, name)(ignore_index=3), normal(12, 5), y)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_probabilities(reduction, smoothing):
    p = np.abs(normal(6, 5, seed=2))
    p /= p.sum(1, keepdims=True)
    assert_same_loss(
        lambda lib, t: lib.CrossEntropyLoss(
            t.linspace(0.5, 2, 5), reduction=reduction, label_smoothing=smoothing
        ),
        normal(6, 5),
        p,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_binary_losses(reduction, weighted):
    y = (normal(4, 3, seed=3) > 0).astype(np.float32)

    def weight(t):
        return t.linspace(0.5, 2.0, 3) if weighted else None

    assert_same_loss(
        lambda lib, t: lib.BCEWithLogitsLoss(weight(t), reduction=reduction), 5 * normal(4, 3), y
    )
    assert_same_loss(
        lambda lib, t: lib.BCEWithLogitsLoss(
            weight(t), reduction=reduction, pos_weight=t.linspace(1, 3, 3)
        ),
        5 * normal(4, 3),
        y,
    )
    probabilities = 1 / (1 + np.exp(-normal(4, 3)))
    assert_same_loss(lambda lib, t: lib.BCELoss(weight(t), reduction=reduction), probabilities, y)


def test_logits_do_not_overflow():
    x = tl.tensor([1e4, -1e4], requires_grad=True)
    loss = nn.BCEWithLogitsLoss(reduction="none")(x, tl.tensor([0.0, 1.0]))
    assert loss.tolist() == [1e4, 1e4]
    scores = tl.tensor([[1e4, 0.0]], requires_grad=True)
    loss = nn.CrossEntropyLoss()(scores, tl.tensor([1]))
    loss.backward()
    assert loss.item() == 1e4
    assert scores.grad.tolist() == [[1.0, -1.0]]


def test_weights_are_buffers():
    loss = nn.CrossEntropyLoss(weight=tl.ones(3))
    assert list(loss.state_dict()) == ["weight"]
    assert list(nn.CrossEntropyLoss().state_dict()) == []
    assert loss.double().weight.dtype is tl.float64


def test_weighted_regression():
    for name, reduction in itertools.product(["mse_loss", "l1_loss"], REDUCTIONS):
        x, y, w = normal(3, 2), normal(3, 2, seed=1), np.abs(normal(3, 2, seed=2))
        ours = getattr(nn.functional, name)(
            *map(tl.from_numpy, (x, y)), reduction=reduction, weight=tl.from_numpy(w)
        )
        theirs = getattr(torch.nn.functional, name)(
            torch.tensor(x), torch.tensor(y), reduction=reduction, weight=torch.tensor(w)
        )
        assert_same(ours, theirs)


def test_loss_errors_and_warnings():
    F = nn.functional
    with pytest.warns(UserWarning, match="Using a target size"):
        F.mse_loss(tl.zeros(3, 1), tl.zeros(3))
    with pytest.raises(ValueError, match="Target size .* must be the same as input size"):
        F.binary_cross_entropy_with_logits(tl.zeros(2), tl.zeros(3))
    with pytest.raises(ValueError, match="Please ensure they have the same size"):
        F.binary_cross_entropy(tl.zeros(2), tl.zeros(3))
    with pytest.raises(ValueError, match="is not a valid value for reduction"):
        F.binary_cross_entropy(tl.zeros(2), tl.zeros(2), tl.ones(2), reduction="average")
    with pytest.raises(ValueError, match="Weights and input must have the same size"):
        F.mse_loss(tl.zeros(2), tl.zeros(2), weight=tl.zeros(3))
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        assert nn.MSELoss(size_average=False).reduction == "sum"
    with pytest.warns(UserWarning, match="reduction='none'"):
        assert F.l1_loss(tl.zeros(2), tl.ones(2), reduce=False).shape == (2,)


# Functions -------------------------------------------------------------------------------


def test_normalize():
    for options in ({}, {"p": 1.0, "dim": 0}, {"dim": (0, 1)}):
        x, reference = both(normal(3, 4))
        ours, theirs = (
            nn.functional.normalize(x, **options),
            torch.nn.functional.normalize(reference, **options),
        )
        assert_same(ours, theirs)
        ours.sum().backward()
        theirs.sum().backward()
        assert_same(x.grad, reference.grad)
    assert nn.functional.normalize(tl.zeros(1, 2)).tolist() == [[0.0, 0.0]]


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
