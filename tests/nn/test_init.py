"""`nn.init` draws PyTorch's numbers from the same seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.nn import init

CASES = [
    ("uniform_", (), {}),
    ("uniform_", (-2.0, 3.0), {}),
    ("normal_", (), {}),
    ("normal_", (1.0, 0.1), {}),
    ("constant_", (0.25,), {}),
    ("ones_", (), {}),
    ("zeros_", (), {}),
    ("eye_", (), {}),
    ("xavier_uniform_", (), {}),
    ("xavier_uniform_", (), {"gain": 2.0}),
    ("xavier_normal_", (), {}),
    ("kaiming_uniform_", (), {}),
    ("kaiming_uniform_", (), {"a": math.sqrt(5)}),
    ("kaiming_uniform_", (), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_normal_", (), {"nonlinearity": "tanh"}),
    ("orthogonal_", (), {}),
    ("orthogonal_", (), {"gain": 3.0}),
    ("trunc_normal_", (), {}),
    ("trunc_normal_", (), {"std": 0.02}),
    ("trunc_normal_", (), {"mean": 0.5, "std": 1.0, "a": -0.1, "b": 0.7}),
    ("trunc_normal_", (), {"a": 1.5, "b": 2.0}),
    ("sparse_", (), {"sparsity": 0.3}),
]


@pytest.mark.parametrize("shape", [(5, 3), (20, 30)])
@pytest.mark.parametrize(("name", "args", "options"), CASES, ids=str)
def test_values_are_pytorchs(name, args, options, shape):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    tl.manual_seed(7)
    torch.manual_seed(7)
    ours, theirs = nn.Parameter(tl.empty(*shape)), torch.nn.Parameter(torch.empty(*shape))
    version = ours._version
    assert getattr(init, name)(ours, *args, **options) is ours
    getattr(torch.nn.init, name)(theirs, *args, **options)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=2e-5, atol=2e-6)
    assert ours._version > version
    assert ours.requires_grad
    assert ours.is_leaf
    # The generators are left in the same state.
    assert tl.rand(1).item() == torch.rand(1).item()


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 2, 3, 3), (4, 5, 1, 2, 3)])
def test_dirac(shape, groups):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours, theirs = tl.empty(*shape), torch.empty(*shape)
    init.dirac_(ours, groups)
    torch.nn.init.dirac_(theirs, groups)
    assert ours.tolist() == theirs.tolist()


def test_convolution_weights_count_their_kernel():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    for name in ("xavier_uniform_", "kaiming_normal_", "orthogonal_"):
        tl.manual_seed(0)
        torch.manual_seed(0)
        ours, theirs = tl.empty(4, 3, 2, 2), torch.empty(4, 3, 2, 2)
        getattr(init, name)(ours)
        getattr(torch.nn.init, name)(theirs)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-5, atol=2e-6)


def test_generator():
    a = init.normal_(tl.empty(3), generator=tl.Generator().manual_seed(1))
    b = init.normal_(tl.empty(3), generator=tl.Generator().manual_seed(1))
    assert a.tolist() == b.tolist()


@pytest.mark.parametrize(
    "name",
    ["linear", "conv2d", "conv_transpose1d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"],
)
def test_gain(name):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: init.calculate_gain("swish"), "Unsupported nonlinearity swish"),
        (
            lambda: init.calculate_gain("leaky_relu", "steep"),
            "negative_slope steep not a valid number",
        ),
        (lambda: init.xavier_uniform_(tl.empty(3)), "fewer than 2 dimensions"),
        (lambda: init.kaiming_normal_(tl.empty(3, 3), mode="fan"), "Mode fan not supported"),
        (lambda: init.eye_(tl.empty(3)), "Only tensors with 2 dimensions"),
        (lambda: init.sparse_(tl.empty(3), 0.1), "Only tensors with 2 dimensions"),
        (lambda: init.orthogonal_(tl.empty(3)), "2 or more dimensions"),
        (lambda: init.dirac_(tl.empty(3, 3)), "3, 4, or 5 dimensions"),
        (lambda: init.dirac_(tl.empty(3, 3, 3), groups=2), "divisible by groups"),
    ],
)
def test_errors(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_warnings():
    empty = tl.empty(0, 3)
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        assert init.kaiming_uniform_(empty) is empty
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        init.trunc_normal_(tl.empty(3), mean=9.0, a=5.0, b=6.0)
    with pytest.warns(FutureWarning, match="deprecated in favor of `nn.init.uniform_`"):
        init.uniform(tl.empty(3))
