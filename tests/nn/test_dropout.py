"""The dropout family draws PyTorch's masks: values, gradients, modes, in-place forms, errors, warnings."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

SHAPES = {
    "Dropout": [(20, 30), (7,), (), (2, 3, 4), (3, 0)],
    "Dropout1d": [(6, 5, 4), (8, 3)],
    "Dropout2d": [(4, 5, 3, 2), (4, 5, 3)],
    "Dropout3d": [(4, 5, 2, 3, 2), (9, 2, 3, 2)],
    "AlphaDropout": [(20, 30), (7,), ()],
    "FeatureAlphaDropout": [(6, 5, 4), (8, 3), (3, 4, 2, 2, 2)],
}
FUNCTIONS = {
    "Dropout": "dropout", "Dropout1d": "dropout1d", "Dropout2d": "dropout2d", "Dropout3d": "dropout3d",
    "AlphaDropout": "alpha_dropout", "FeatureAlphaDropout": "feature_alpha_dropout",
}  # fmt: skip
CASES = [(name, shape) for name, shapes in SHAPES.items() for shape in shapes]


def run(lib, call, values, dtype="float32"):
    """The result on a leaf that went through one multiplication, its gradient, and the next draw."""
    lib.manual_seed(3)
    leaf = lib.tensor(values.tolist(), dtype=getattr(lib, dtype), requires_grad=True)
    inside = leaf * 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "dropout2d: Received a 3D input", UserWarning)
        out = call(lib, inside)
    (out * out).sum().backward()
    return out.detach().double().numpy(), leaf.grad.double().numpy(), lib.rand(1).item()


def assert_same(call, values, dtype="float32", tolerance=1e-6):
    ours, theirs = run(tl, call, values, dtype), run(torch, call, values, dtype)
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "shape"), CASES, ids=str)
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_modules(name, shape, p, rng):
    x = rng.standard_normal(shape)
    for inplace in (False, True):
        for training in (True, False):
            assert_same(lambda lib, x: getattr(lib.nn, name)(p, inplace).train(training)(x), x)  # noqa: B023
        ours, theirs = getattr(nn, name)(p, inplace), getattr(torch.nn, name)(p, inplace)
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == []


@pytest.mark.parametrize(("name", "shape"), CASES, ids=str)
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_functions(name, shape, inplace, dtype, rng):
    p = float(rng.uniform(0.1, 0.9))
    slack = {"float64": 1e-12, "float16": 6e-3, "bfloat16": 4e-2}[dtype]

    def call(lib, x):
        out = getattr(lib.nn.functional, FUNCTIONS[name])(x, p, True, inplace)
        assert (out is x) == inplace or x.numel() == 0
        return out

    assert_same(call, rng.standard_normal(shape), dtype, slack)


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"])  # fmt: skip
@pytest.mark.parametrize("form", ["", "_"])
def test_those_of_the_top_namespace(name, form, rng):
    x = rng.standard_normal((6, 5, 4))
    assert_same(lambda lib, x: getattr(lib, name + form)(x, 0.4, True), x)
    y = tl.ones(2, 3)
    assert getattr(tl, name + form)(y, 0.4, False) is y


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_statistics(p):
    """Dropout keeps the mean; alpha dropout the mean 0 and the variance 1 as well."""
    tl.manual_seed(0)
    x = tl.randn(100_000)
    kept = nn.functional.dropout(tl.ones(100_000), p)
    assert abs(kept.mean().item() - 1) < 0.03
    assert abs((kept == 0).float().mean().item() - p) < 0.01
    out = nn.functional.alpha_dropout(x, p, training=True)
    assert abs(out.mean().item()) < 0.02
    assert abs(out.var().item() - 1) < 0.03


def test_whole_channels_fall_out():
    tl.manual_seed(0)
    for name, more in (("Dropout1d", (5,)), ("Dropout2d", (5, 4)), ("Dropout3d", (5, 4, 3))):
        out = getattr(nn, name)()(tl.ones(8, 6, *more)).reshape(48, -1)
        assert bool((out == out[:, :1]).all())
        assert set(out.reshape(-1).tolist()) == {0.0, 2.0}


def test_a_single_sample_without_batch_is_its_channels():
    tl.manual_seed(0)
    out = nn.functional.dropout1d(tl.ones(50, 3))
    assert bool((out == out[:, :1]).all())
    assert len(set(out[:, 0].tolist())) == 2


def test_evaluation_returns_the_input_itself():
    x = tl.ones(2, 3, 4, 5)
    for name in ("Dropout", "Dropout2d", "AlphaDropout", "FeatureAlphaDropout"):
        assert getattr(nn, name)().eval()(x) is x


@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.nn.Dropout(1.5),
        lambda lib: lib.nn.AlphaDropout(-0.1),
        lambda lib: lib.nn.functional.dropout(lib.ones(1), -1),
        lambda lib: lib.nn.functional.dropout3d(lib.ones(1, 1, 1, 1), 2),
        lambda lib: lib.nn.functional.feature_alpha_dropout(lib.ones(1, 2), 1.1),
        lambda lib: lib.dropout(lib.ones(1), 1.5, True),
        lambda lib: lib.nn.functional.dropout1d(lib.ones(3)),
        lambda lib: lib.nn.functional.dropout1d(lib.ones(3, 3, 3, 3)),
        lambda lib: lib.nn.functional.feature_alpha_dropout(lib.ones(3), 0.5, True),
        lambda lib: lib.nn.functional.dropout(lib.ones(3, dtype=lib.int64)),
        lambda lib: lib.nn.functional.alpha_dropout(lib.ones(3, dtype=lib.int64), 0.5, True),
    ],
)
def test_errors(call, same_error):
    assert same_error(call)


@pytest.mark.parametrize(
    ("name", "shape", "match"),
    [
        ("dropout2d", (2, 3), "Received a 2-D input to dropout2d, which is deprecated"),
        ("dropout2d", (2, 3, 4), "assuming that channel-wise 1D dropout behavior"),
        ("dropout3d", (2, 3, 4), "Received a 3-D input to dropout3d, which is deprecated"),
    ],
)
def test_warnings(name, shape, match):
    results = []
    for lib in (tl, torch):
        lib.manual_seed(0)
        with pytest.warns(UserWarning, match=match):
            results.append(getattr(lib.nn.functional, name)(lib.ones(shape)).numpy())
    np.testing.assert_array_equal(*results)
