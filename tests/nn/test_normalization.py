"""Normalisation layers against PyTorch: both modes, running statistics, gradients, printed forms, errors."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn

F = nn.functional
SIZES = {1: (6,), 2: (4, 5), 3: (2, 3, 4)}
OPTIONS = [
    {},
    {"affine": False},
    {"momentum": 0.3, "eps": 1e-2},
    {"track_running_stats": False},
    {"affine": True, "bias": False, "track_running_stats": True},
]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("options", [*OPTIONS, {"momentum": None}], ids=str)
def test_batch_norm(compare, normal, dims, options):
    x = 3 * normal(4, 3, *SIZES[dims]) + 1
    compare(lambda lib: getattr(lib, f"BatchNorm{dims}d")(3, **options), x, tolerance=1e-4)
    if dims == 1:
        compare(lambda lib: lib.BatchNorm1d(3, **options), x[..., 0], tolerance=1e-4)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_instance_norm(compare, normal, dims, options):
    x = 3 * normal(4, 3, *SIZES[dims]) + 1
    compare(lambda lib: getattr(lib, f"InstanceNorm{dims}d")(3, **options), x, tolerance=1e-4)
    compare(lambda lib: getattr(lib, f"InstanceNorm{dims}d")(3, **options), x[0], tolerance=1e-4)


def test_running_statistics_over_many_batches(normal):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    for momentum in (0.1, None):
        ours, theirs = (
            nn.BatchNorm1d(3, momentum=momentum),
            torch.nn.BatchNorm1d(3, momentum=momentum),
        )
        for seed in range(4):
            x = normal(5, 3, seed=seed)
            ours(tl.from_numpy(x.copy()))
            theirs(torch.tensor(x))
        for name, value in ours.state_dict().items():
            np.testing.assert_allclose(value.numpy(), theirs.state_dict()[name].numpy(), rtol=1e-5)
        assert ours.num_batches_tracked.item() == 4
    ours.reset_running_stats()
    assert ours.running_mean.tolist() == [0, 0, 0]
    assert ours.num_batches_tracked.item() == 0


@pytest.mark.parametrize("shape", [6, (6,), (5, 6), (3, 5, 6)])
@pytest.mark.parametrize("options", [{}, {"elementwise_affine": False}, {"eps": 0.1}], ids=str)
def test_layer_and_rms_norm(compare, normal, shape, options):
    x = normal(3, 5, 6)
    compare(lambda lib: lib.LayerNorm(shape, **options), x, tolerance=1e-4)
    compare(lambda lib: lib.LayerNorm(shape, bias=False, **options), x, tolerance=1e-4)
    compare(lambda lib: lib.RMSNorm(shape, **options), x, tolerance=1e-4)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"bias": False, "eps": 0.1}], ids=str)
def test_group_norm(compare, normal, groups, options):
    for size in ((), (4,), (3, 2)):
        if groups < 6 or size:
            x = normal(2, 6, *size)
            compare(lambda lib: lib.GroupNorm(groups, 6, **options), x, tolerance=1e-4)


@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 5, 3, 2), (2, 5, 1, 2, 3)])
def test_local_response_norm(compare, normal, size, shape):
    compare(lambda lib: lib.LocalResponseNorm(size, 0.1, 0.5, 2.0), normal(*shape))


@pytest.mark.parametrize("size", [1, 3, 5, 4])
def test_cross_map_lrn(normal, size):
    """Values only: PyTorch's gradient of this layer is not the derivative of what it computes."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    layer, theirs = (
        nn.CrossMapLRN2d(size, 0.1, 0.5, 2.0),
        torch.nn.CrossMapLRN2d(size, 0.1, 0.5, 2.0),
    )
    assert repr(layer) == repr(theirs)
    x = normal(2, 9, 3, 4)
    found = layer(tl.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, theirs(torch.tensor(x)).numpy(), rtol=1e-5)
    few = tl.from_numpy(x[:1, :, :1, :2].astype(np.float64)).requires_grad_()
    assert tl.autograd.gradcheck(layer, (few,))
    with pytest.raises(ValueError, match="to be 4D, got 3D"):
        layer(tl.ones(2, 3, 4))


SHAPES = {"BatchNorm1d": (4, 3, 5), "BatchNorm2d": (2, 3, 4, 2), "BatchNorm3d": (2, 3, 2, 2, 2)}
LAYERS = [
    *(
        lambda lib, n=n, o=o: getattr(lib, n)(3, **o)
        for n in SHAPES
        for o in ({}, {"affine": False})
    ),
    lambda lib: lib.InstanceNorm1d(3, affine=True),
    lambda lib: lib.GroupNorm(3, 3),
    lambda lib: lib.GroupNorm(1, 3, bias=False),
    lambda lib: lib.LayerNorm((3, 5)),
    lambda lib: lib.LayerNorm(5, bias=False),
    lambda lib: lib.RMSNorm(5),
    lambda lib: lib.LocalResponseNorm(2, 0.1),
]


@pytest.mark.parametrize("number", range(len(LAYERS)))
@pytest.mark.parametrize("training", [True, False])
def test_second_gradients(compare_second, normal, number, training):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    ours, theirs = (LAYERS[number](lib).double().train(training) for lib in (nn, torch.nn))
    rng = np.random.default_rng(number)
    state = {k: rng.random(tuple(v.shape)) + 0.5 for k, v in theirs.state_dict().items()}
    ours.load_state_dict({k: tl.tensor(v) for k, v in state.items()})
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    shape = SHAPES.get(type(theirs).__name__, (4, 3, 5))
    compare_second(ours, theirs, normal(*shape), tolerance=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("number", range(len(LAYERS) - 1))
def test_half_precision_is_rounded_once(normal, dtype, number):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    theirs = LAYERS[number](torch.nn)
    x = 3 * normal(*SHAPES.get(type(theirs).__name__, (4, 3, 5))) + 1
    found = []
    for lib, make in ((tl, tl.from_numpy), (torch, torch.tensor)):
        layer = LAYERS[number](lib.nn).to(getattr(lib, dtype))
        leaf = make(x).to(getattr(lib, dtype)).requires_grad_()
        out = layer(leaf)
        (out * make(np.cos(x)).to(out.dtype)).sum().backward()
        assert leaf.grad.dtype is leaf.dtype
        gradients = [leaf.grad, *(p.grad for p in layer.parameters())]
        found.append([t.detach().to(lib.float32).numpy() for t in (out, *gradients)])
    slack = 4e-3 if dtype == "float16" else 3e-2
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=slack, atol=5 * slack)


def test_float64_and_half_precision(compare, normal):
    compare(lambda lib: lib.LayerNorm(4).double(), normal(3, 4, dtype=np.float64))
    x = tl.full((1, 4096), 300.0, dtype=tl.float16)  # the sum of squares is beyond float16
    assert F.layer_norm(x, (4096,)).abs().max().item() == 0
    assert abs(F.rms_norm(x, (4096,)).max().item() - 1) < 1e-3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.batch_norm(tl.ones(1, 2), None, None, training=True), ValueError, "more than 1 value"),
        (lambda: F.batch_norm(tl.ones(3, 2), None, None), RuntimeError, "running_mean must be defined"),
        (lambda: F.batch_norm(tl.ones(3, 2), tl.ones(3), tl.ones(3)), RuntimeError, "contain 2 elements not 3"),
        (lambda: F.batch_norm(tl.ones(3), None, None), RuntimeError, "expects input .N, C"),
        (lambda: nn.BatchNorm2d(3)(tl.ones(2, 3)), ValueError, "expected 4D input .got 2D input"),
        (lambda: nn.BatchNorm1d(3)(tl.ones(2, 4)), RuntimeError, "contain 4 elements not 3"),
        (lambda: nn.InstanceNorm2d(3)(tl.ones(2, 3)), ValueError, "expected 3D or 4D input"),
        (lambda: nn.InstanceNorm2d(3, affine=True)(tl.ones(2, 4, 5, 5)), ValueError, "match num_features .3"),
        (lambda: F.instance_norm(tl.ones(3, 4, 1)), ValueError, "more than 1 spatial element"),
        (lambda: F.layer_norm(tl.ones(3, 2), (3,)), RuntimeError, r"Given normalized_shape=\[3\]"),
        (lambda: F.layer_norm(tl.ones(3, 2), (2,), tl.ones(3)), RuntimeError, "same shape as normalized_shape"),
        (lambda: F.layer_norm(tl.ones(3, 2), ()), RuntimeError, "at least 1-dimensional"),
        (lambda: F.group_norm(tl.ones(3, 5), 2), RuntimeError, "divisible by num_groups"),
        (lambda: F.group_norm(tl.ones(3, 4), 2, tl.ones(3)), RuntimeError, "Expected weight to be a vector"),
        (lambda: F.group_norm(tl.ones(1, 4), 4), ValueError, "more than 1 value"),
        (lambda: nn.GroupNorm(3, 4), ValueError, "must be divisible by num_groups"),
        (lambda: F.local_response_norm(tl.ones(2), 3), ValueError, "3D or higher"),
    ],
)  # fmt: skip
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_another_number_of_channels_is_only_warned_of_where_it_does_not_matter():
    with pytest.warns(UserWarning, match="does not match num_features"):
        nn.InstanceNorm2d(3)(tl.ones(2, 4, 5, 5))


def test_old_checkpoints_without_a_count_of_batches_load():
    layer = nn.BatchNorm1d(2)
    old = {k: v + 1 for k, v in layer.state_dict().items() if k != "num_batches_tracked"}
    assert str(nn.BatchNorm1d(2).load_state_dict(old)) == "<All keys matched successfully>"
    current = layer.state_dict()
    del current["num_batches_tracked"]
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        layer.load_state_dict(current)
